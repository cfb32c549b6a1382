/**
 * Who looked: a keeper's access log, read by its owner and checked against the chained head on the keeper's channel
 * (docs/protocol.md section 8). What the channel confirmed once is kept and may never read differently again.
 */
import type { LeafProof } from '#api/endpoints.ts';
import { equalBytes, fromBase64url, fromUtf8, lengthPrefixed, toBase64url, utf8, type Bytes } from '#base/bytes.ts';
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import { compositeKey } from '#contracts/keys.ts';
import { parseCheckpoint } from '#crypto/checkpoint.ts';
import { sha256 } from '#crypto/digest.ts';
import { encodeLeaf, leafHash, verifyInclusion } from '#crypto/merkle.ts';
import type { AccessHeadState } from '#model/hdc.ts';
import { Digest, type OrgId } from '#model/ids.ts';
import type { AccessLine } from '#model/messages.ts';
import { hdcOf } from '#model/orgs.ts';
import { hdc } from './channels.ts';
import { compareWith } from './checkpoints.ts';
import type { Context } from './context.ts';
import { pairwiseSigner } from './links.ts';
import { keeperApi, memberOf } from './organisations.ts';
import { codeOf } from './persistence.ts';
import { links, logs, slots, type KeptLog } from './state.ts';
import { put } from './vault.ts';

export interface AccessLogView {
  readonly keeper: OrgId;
  readonly lines: readonly AccessLine[];
  /** Lines up to this number are confirmed by the channel; later ones are the keeper's word until its next head. −1: none yet. */
  readonly verifiedTo: number;
  /** ACCESS_LOG_ALTERED, ACCESS_LOG_CUT, ACCESS_LOG_SPLIT (its head is not the one that the members watch), ACCESS_LOG_OMITS (a release that this device ordered is not in it), or why it could not be read. */
  readonly problem?: string;
}

const START: Bytes = new Uint8Array(32);

/** The logs of all linked keepers. One that cannot be read or is wrong is named, with what was confirmed before. */
export async function accessLogs(context: Context): Promise<readonly AccessLogView[]> {
  const views: AccessLogView[] = [];
  for (const [, { keeper, identity }] of await context.vault.all(links)) if (identity.certificate !== undefined) views.push(await accessLog(context, keeper));
  return views;
}

async function accessLog(context: Context, keeper: OrgId): Promise<AccessLogView> {
  const kept = (await context.vault.get(logs, keeper)) ?? { keeper, lines: [], verifiedTo: -1, head: Digest.parse(toBase64url(START)) };
  const told = (problem: string): AccessLogView => ({ keeper, lines: kept.lines, verifiedTo: kept.verifiedTo, problem });
  try {
    const signer = await pairwiseSigner(context, keeper);
    const api = await keeperApi(context, keeper, signer);
    // The head first: lines written in between only make the log longer than the head.
    const onChannel = await hdc(context, keeper, signer).evaluate('getAccessHead', {});
    const answer = await readAll(api, kept.verifiedTo, onChannel?.to ?? -1);
    const checked = checkLog({ kept, answer, onChannel });
    if (typeof checked === 'string') return told(checked);
    const shared = await sharedHead(context, { keeper, kept: checked.kept, proof: answer.proof });
    if (shared === 'split') return told('ACCESS_LOG_SPLIT');
    await context.vault.write(put(logs, keeper, { ...checked.kept, ...(shared === undefined ? {} : { checkpoint: shared }) }));
    const lines = [...checked.kept.lines, ...checked.unconfirmed];
    const omitted = await omittedRelease(context, keeper, lines);
    return { keeper, lines, verifiedTo: checked.kept.verifiedTo, ...(omitted ? { problem: 'ACCESS_LOG_OMITS' } : {}) };
  } catch (error) {
    return told(codeOf(error));
  }
}

/** A keeper answers in windows; they are read until they reach the head on the channel, or end. */
async function readAll(api: Awaited<ReturnType<typeof keeperApi>>, verifiedTo: number, to: number): Promise<LogAnswer> {
  let whole: LogAnswer | undefined;
  for (;;) {
    const last = whole === undefined ? verifiedTo : whole.chain.from + whole.chain.digests.length - 1;
    const window = await api.accessLog({ query: last < 0 ? {} : { after: last } });
    if (whole !== undefined && (window.chain.from !== last + 1 || window.chain.digests.length === 0)) return whole;
    whole = whole === undefined ? window : { proof: window.proof, lines: [...whole.lines, ...window.lines], chain: { ...whole.chain, digests: [...whole.chain.digests, ...window.chain.digests] } };
    if (window.chain.digests.length === 0 || window.chain.from + window.chain.digests.length > to) return whole;
  }
}

/**
 * Is the head that this owner is shown the one that every member watches? It must stand in the keeper's tree, and the tree's
 * checkpoint, like that of the last time, on one line with the one that a quorum signed. Gives the checkpoint.
 */
async function sharedHead(context: Context, { keeper, kept, proof }: { readonly keeper: OrgId; readonly kept: KeptLog; readonly proof: LeafProof | undefined }): Promise<string | 'split' | undefined> {
  if (kept.verifiedTo === -1) return undefined;
  if (proof === undefined || proof.value === null || proof.namespace !== 'hdc' || proof.key !== compositeKey(['access-head'])) return 'split';
  const { origin, size, root } = parseCheckpoint(proof.checkpoint);
  const value = fromBase64url(proof.value);
  const leaf = leafHash(encodeLeaf({ block: proof.block, tx: proof.tx, namespace: proof.namespace, key: proof.key, value }));
  const included = origin === `healthkeep/${hdcOf(keeper)}` && size === proof.size && verifyInclusion({ leaf, index: proof.leafIndex, size, path: proof.path.map((hash) => fromBase64url(hash)), root });
  const { to, head } = JSON.parse(fromUtf8(value)) as { readonly to?: number; readonly head?: string };
  // The tree may know a line more or less than the channel's answer; where it knows the same, it must say the same.
  if (!included || (to === kept.verifiedTo && head !== kept.head)) return 'split';
  const from = await memberOf(context, keeper);
  for (const note of [kept.checkpoint, proof.checkpoint]) {
    const compared = note === undefined ? 'fits' : await compareWith(context, note, from);
    if (compared !== 'fits' && compared !== 'pinned') return 'split';
  }
  return proof.checkpoint;
}

interface LogAnswer {
  readonly proof?: LeafProof | undefined;
  readonly lines: readonly AccessLine[];
  readonly chain: { readonly from: number; readonly start: string; readonly digests: readonly string[] };
}

/** Recomputes the chain. Gives the log with what is confirmed now, or the code of what is wrong. Pure. */
export function checkLog({ kept, answer, onChannel }: { readonly kept: KeptLog; readonly answer: LogAnswer; readonly onChannel: AccessHeadState | null }): { readonly kept: KeptLog; readonly unconfirmed: readonly AccessLine[] } | string {
  const { chain, lines } = answer;
  if (chain.from !== kept.verifiedTo + 1 || chain.start !== kept.head) return 'ACCESS_LOG_ALTERED';
  const heads: Bytes[] = [];
  for (const digest of chain.digests) heads.push(nextHead(heads.at(-1) ?? fromBase64url(chain.start), fromBase64url(digest)));
  for (const line of lines) {
    const at = line.sequence - chain.from;
    const before = at === 0 ? fromBase64url(chain.start) : heads[at - 1];
    if (before === undefined || chain.digests[at] !== lineDigest(line) || line.previous !== toBase64url(before)) return 'ACCESS_LOG_ALTERED';
  }
  if (onChannel === null || onChannel.to <= kept.verifiedTo) return onChannel !== null && onChannel.to === kept.verifiedTo && onChannel.head !== kept.head ? 'ACCESS_LOG_ALTERED' : { kept, unconfirmed: lines };
  const head = heads[onChannel.to - chain.from];
  if (head === undefined) return 'ACCESS_LOG_CUT';
  if (!equalBytes(head, fromBase64url(onChannel.head))) return 'ACCESS_LOG_ALTERED';
  const confirmed = lines.filter(({ sequence }) => sequence <= onChannel.to);
  return { kept: { ...kept, lines: [...kept.lines, ...confirmed], verifiedTo: onChannel.to, head: onChannel.head }, unconfirmed: lines.filter(({ sequence }) => sequence > onChannel.to) };
}

/** head_n = SHA-256(lengthPrefixed("healthkeep/v1/access", head_{n-1}, digest_n)). */
export function nextHead(head: Uint8Array, digest: Uint8Array): Bytes {
  return sha256(lengthPrefixed(utf8('healthkeep/v1/access'), head, digest));
}

/** SHA-256 of the line's canonical JSON without `previous`. */
export function lineDigest(line: AccessLine): string {
  const { previous: _, ...rest } = line;
  return toBase64url(sha256(canonicalBytes(rest as Json)));
}

/** The one kind of access of which the owner knows itself that it happened: its own releases must be in the log. */
async function omittedRelease(context: Context, keeper: OrgId, lines: readonly AccessLine[]): Promise<boolean> {
  const logged = new Set(lines.map(({ grant }) => grant));
  for (const [, { answer }] of await context.vault.all(slots)) {
    for (const part of answer?.parts ?? []) if (part.keeper === keeper && part.state === 'released' && !logged.has(part.order.grant)) return true;
  }
  return false;
}
