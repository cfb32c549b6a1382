/**
 * The package gateway: collects the parts of one answer from their keepers and hands them on as one package, manifest
 * first, then items in whatever order they arrive. What passes through is ciphertext, and nothing of it is kept: no
 * store, no file, no cache. A broken transfer goes on where it stopped (RFC 9110 Range); a keeper that cannot be reached
 * is named and the rest is delivered.
 */
import { concat, type Bytes } from '#base/bytes.ts';
import { isCoded } from '#base/errors.ts';
import type { LeafProof } from '#api/endpoints.ts';
import type { Digest, GrantId, OrgId, RecordId } from '#model/ids.ts';
import { ReleaseManifest, type ReleasedItem, type Signed } from '#model/messages.ts';
import type { KeeperCalls } from './keeper-calls.ts';
import { parallel } from './parallel.ts';
import { passing, type Retry } from './retry.ts';

/** Largest single item the gateway carries, in bytes of ciphertext: it is held in memory until it can be verified. */
export const ITEM_BYTES_MAX = 64 * 1024 * 1024;
const ITEMS_AT_ONCE = 8;

export interface PackagePart {
  readonly keeper: OrgId;
  readonly grant: GrantId;
  readonly ticket: Digest;
}

export type PackageFrame =
  | { readonly kind: 'manifest'; readonly part: PackagePart; readonly manifest: Signed; readonly proofs: readonly LeafProof[] }
  | { readonly kind: 'item'; readonly part: PackagePart; readonly record: RecordId; readonly ciphertext: Bytes }
  /** The keeper answered, but not with this item. */
  | { readonly kind: 'item-missing'; readonly part: PackagePart; readonly record: RecordId; readonly code: string; readonly retry: boolean }
  /** Nothing more came of this part. */
  | { readonly kind: 'part-missing'; readonly part: PackagePart; readonly code: string; readonly retry: boolean };

export interface PackageOrder {
  readonly parts: readonly PackagePart[];
  /**
   * Asked after the part's manifest was handed on: false for items that were delivered before an interruption, and for
   * all items of a manifest that the recipient refused.
   */
  readonly wanted: (part: PackagePart, record: RecordId) => boolean;
  readonly signal?: AbortSignal;
}

/** One package, streamed. Every listed item ends in exactly one frame; the generator throws only when the signal aborts it. */
export async function* collectPackage(order: PackageOrder, { keepers, retry }: { readonly keepers: KeeperCalls; readonly retry: Retry }): AsyncGenerator<PackageFrame, void, undefined> {
  for (const part of order.parts) {
    order.signal?.throwIfAborted();
    const opened = await openPart(part, { keepers, retry, signal: order.signal });
    yield opened.frame;
    if (opened.items === undefined) continue;
    const wanted = opened.items.filter((item) => order.wanted(part, item.id));
    for await (const frame of parallel(wanted, ITEMS_AT_ONCE, (item) => fetchItem({ part, item, signal: order.signal }, { keepers, retry }))) {
      order.signal?.throwIfAborted();
      yield frame;
    }
  }
}

async function openPart(
  part: PackagePart,
  { keepers, retry, signal }: { readonly keepers: KeeperCalls; readonly retry: Retry; readonly signal?: AbortSignal | undefined },
): Promise<{ readonly frame: PackageFrame; readonly items?: readonly ReleasedItem[] }> {
  try {
    const manifest = await retry.until(() => keepers.manifest(part, signal), signal);
    const items = listedItems(manifest);
    if (items === undefined) return { frame: { kind: 'part-missing', part, code: 'MANIFEST_MALFORMED', retry: false } };
    const proofs = await retry.until(() => keepers.proofs(part, signal), signal);
    return { frame: { kind: 'manifest', part, manifest, proofs }, items };
  } catch (error) {
    signal?.throwIfAborted();
    return { frame: { kind: 'part-missing', part, ...refusal(error) } };
  }
}

/** The items a manifest names, each once. The gateway believes nothing else of it: checking is the recipient's. */
export function listedItems(manifest: Signed): readonly ReleasedItem[] | undefined {
  let payload: unknown;
  try {
    payload = JSON.parse(manifest.payload);
  } catch {
    return undefined;
  }
  const parsed = ReleaseManifest.safeParse(payload);
  if (!parsed.success) return undefined;
  return [...new Map(parsed.data.items.map((item) => [item.id, item])).values()];
}

interface ItemOrder {
  readonly part: PackagePart;
  readonly item: ReleasedItem;
  readonly signal?: AbortSignal | undefined;
}

/** The whole ciphertext of one item, over as many connections as it takes. */
async function fetchItem({ part, item, signal }: ItemOrder, { keepers, retry }: { readonly keepers: KeeperCalls; readonly retry: Retry }): Promise<PackageFrame> {
  const record = item.id;
  if (item.cipherBytes > ITEM_BYTES_MAX) return { kind: 'item-missing', part, record, code: 'ITEM_TOO_LARGE', retry: false };
  const chunks: Bytes[] = [];
  let received = 0;
  try {
    // Progress earns new patience: an item that has started must not fail because the line is bad, only because it is dead.
    await retry.whileProgressing(
      async () => {
        for await (const chunk of keepers.item({ part, record, from: received, total: item.cipherBytes, signal })) {
          signal?.throwIfAborted();
          chunks.push(chunk);
          received += chunk.length;
        }
      },
      () => received,
      signal,
    );
    return { kind: 'item', part, record, ciphertext: concat(...chunks) };
  } catch (error) {
    signal?.throwIfAborted();
    return { kind: 'item-missing', part, record, ...refusal(error) };
  }
}

function refusal(error: unknown): { readonly code: string; readonly retry: boolean } {
  return { code: isCoded(error) ? error.code : 'ORG_UNREACHABLE', retry: passing(error) };
}
