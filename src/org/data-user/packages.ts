/**
 * Received packages, sealed: one random key per package, bodies under that key, the key itself sealed in the vault.
 * Erasing a package destroys both keys (the one that opens the bodies and the one-time key that opens the answer) and
 * the bodies in one durable write.
 */
import { z } from 'zod';
import { compareBytes, fromBase64url, lengthPrefixed, toBase64url, utf8, type Bytes } from '#base/bytes.ts';
import type { Json } from '#base/canonical-json.ts';
import type { Random } from '#base/ports.ts';
import { ItemVerdict } from '#api/endpoints.ts';
import { openWith, sealWith } from '#crypto/aead.ts';
import { sha256 } from '#crypto/digest.ts';
import { Digest, GrantId, OrgId, RecordId, type SlotTag } from '#model/ids.ts';
import { invitationName } from './requests.ts';
import type { Vault } from './vault.ts';

const Part = z.strictObject({ keeper: OrgId, grant: GrantId, granted: z.int(), manifestDigest: Digest.optional(), listed: z.int().optional(), refused: z.string().optional() }).readonly();
export type Part = z.infer<typeof Part>;

/** `open`: items still come in; `verified`: every part is decided, the receipt is not on the ledger yet; `received`: it is. */
export const Package = z
  .strictObject({ step: z.enum(['open', 'verified', 'received']), key: z.string(), parts: z.array(Part).readonly(), packageDigest: Digest.optional() })
  .readonly();
export type Package = z.infer<typeof Package>;

/** One item that arrived, good or bad. `bodyDigest`: SHA-256 of the ciphertext as delivered. */
export const KeptItem = z.strictObject({ grant: GrantId, verdict: ItemVerdict, bodyDigest: Digest.optional() }).readonly();
export type KeptItem = z.infer<typeof KeptItem>;

export interface Packages {
  get(slot: SlotTag): Promise<Package | undefined>;
  open(slot: SlotTag, parts: readonly Part[]): Promise<Package>;
  put(slot: SlotTag, changed: Package): Promise<void>;
  /** Verdict and body in one write. A bad item keeps its verdict only. */
  addItem(slot: SlotTag, item: KeptItem, body?: Bytes): Promise<void>;
  items(slot: SlotTag): Promise<readonly KeptItem[]>;
  /** Undefined when it never came, was refused, or is destroyed. */
  read(slot: SlotTag, record: RecordId): Promise<{ readonly verdict: ItemVerdict; readonly bytes: Bytes } | undefined>;
  all(): Promise<readonly (readonly [SlotTag, Package])[]>;
  /** Destroys keys and bodies; `instead` is written in the same step. */
  destroy(slot: SlotTag, instead: ReadonlyMap<string, Json>): Promise<void>;
}

const packageName = (slot: SlotTag): string => `package/${slot}`;

/** Grant and record: a keeper that lists another's record id must not stand in that one's way. */
interface Place {
  readonly grant: GrantId;
  readonly record: RecordId;
}
const itemName = (slot: SlotTag, { grant, record }: Place): string => `item/${slot}/${grant}/${record}`;
const bodyName = (slot: SlotTag, { grant, record }: Place): string => `body/${slot}/${grant}/${record}`;
const bodyAad = (slot: SlotTag, { grant, record }: Place): Bytes => lengthPrefixed(utf8('healthkeep/v1/received'), utf8(slot), utf8(grant), utf8(record));
const placeOf = (item: KeptItem): Place => ({ grant: item.grant, record: item.verdict.record });

export function createPackages({ vault, random }: { readonly vault: Vault; readonly random: Random }): Packages {
  const get = (slot: SlotTag): Promise<Package | undefined> => vault.get(packageName(slot), Package);
  const put = (slot: SlotTag, changed: Package): Promise<void> => vault.write(new Map([[packageName(slot), changed as unknown as Json]]));
  const items = async (slot: SlotTag): Promise<readonly KeptItem[]> => (await vault.list(`item/${slot}/`, KeptItem)).map(([, item]) => item);
  return {
    get,
    put,
    items,
    async open(slot, parts) {
      const fresh: Package = { step: 'open', key: toBase64url(random.bytes(32)), parts };
      await put(slot, fresh);
      return fresh;
    },
    async addItem(slot, item, body) {
      const changes = new Map<string, Json | Uint8Array>([[itemName(slot, placeOf(item)), item as unknown as Json]]);
      const kept = await get(slot);
      // Destroyed while the item was on its way: nothing of it may be kept.
      if (kept === undefined) return;
      if (body !== undefined) changes.set(bodyName(slot, placeOf(item)), await sealWith(fromBase64url(kept.key), body, bodyAad(slot, placeOf(item)), random));
      await vault.write(changes);
    },
    async read(slot, record) {
      const kept = await get(slot);
      for (const { grant } of kept?.parts ?? []) {
        const place = { grant, record };
        const item = await vault.get(itemName(slot, place), KeptItem);
        const sealed = item?.verdict.good === true ? await vault.raw(bodyName(slot, place)) : undefined;
        if (kept !== undefined && item !== undefined && sealed !== undefined) return { verdict: item.verdict, bytes: await openWith(fromBase64url(kept.key), sealed, bodyAad(slot, place)) };
      }
      return undefined;
    },
    async all() {
      return (await vault.list('package/', Package)).map(([name, kept]) => [name.slice('package/'.length) as SlotTag, kept] as const);
    },
    async destroy(slot, instead) {
      const changes = new Map<string, Json | undefined>([[packageName(slot), undefined], [invitationName(slot), undefined]]);
      for (const item of await items(slot)) {
        changes.set(bodyName(slot, placeOf(item)), undefined);
        changes.set(itemName(slot, placeOf(item)), undefined);
      }
      for (const [name, value] of instead) changes.set(name, value);
      await vault.write(changes);
    },
  };
}

/**
 * The digest that stands for the package on DRC: over slot, each part's manifest and each delivered ciphertext, sorted.
 * Whoever holds the same manifests and ciphertexts computes the same.
 */
export function packageDigest(slot: SlotTag, parts: readonly Part[], items: readonly KeptItem[]): Digest {
  const parted = parts.map(({ keeper, grant, manifestDigest }) => ['part', keeper, grant, manifestDigest ?? '']);
  const delivered = items.filter((item) => item.bodyDigest !== undefined).map(({ grant, verdict, bodyDigest }) => ['item', grant, verdict.record, bodyDigest as string]);
  const rows = [...parted, ...delivered].map((fields) => lengthPrefixed(...fields.map((field) => utf8(field)))).sort(compareBytes);
  return toBase64url(sha256(lengthPrefixed(utf8('healthkeep/v1/package'), utf8(slot), ...rows))) as Digest;
}
