/**
 * What the keeper remembers of each grant it released: the manifest, who may fetch it, until when, and whether it was
 * revoked. Kept in the organisation's store; tickets as digests only. Transfers in flight watch their grant and are cut at
 * once when it ends.
 */
import { equalBytes, fromBase64url, fromUtf8, toBase64url, utf8 } from '#base/bytes.ts';
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import type { KeyValueStore } from '#base/ports.ts';
import { sha256 } from '#crypto/digest.ts';
import { Digest, GrantId, Instant, OrgId, PairwiseId, RecordId, SubjectId } from '#model/ids.ts';
import { Signed } from '#model/messages.ts';
import { z } from 'zod';

const GrantRow = z
  .strictObject({
    grant: GrantId,
    owner: PairwiseId,
    subject: SubjectId,
    recipient: OrgId,
    purpose: z.string(),
    until: Instant,
    /** SHA-256 of the owner's request: the same request again gets the same answer, another one is a replay. */
    request: Digest,
    /** SHA-256 of the ticket. */
    ticket: Digest,
    items: z.array(z.strictObject({ id: RecordId, cipherBytes: z.int(), blockNumber: z.int() })).readonly(),
    manifest: Signed,
    manifestDigest: Digest,
    /** `prepared` before the release stands on the channel, `released` after; `revoked` for good. */
    state: z.enum(['prepared', 'released', 'revoked']),
  })
  .readonly();
export type GrantRow = z.infer<typeof GrantRow>;

export interface Grants {
  get(grant: GrantId): Promise<GrantRow | undefined>;
  /** Writes the row, unless the grant is revoked already. Throws GRANT_REVOKED. */
  put(row: GrantRow): Promise<void>;
  /** For good, also when the grant is not known yet: an order that comes later finds it. Cuts what is in flight. */
  revoke(grant: GrantId): Promise<void>;
  isRevoked(grant: GrantId): Promise<boolean>;
  /** Calls `cut` once when the grant is revoked; returns how to stop watching. */
  watch(grant: GrantId, cut: () => void): () => void;
  /** Number of transfers in flight. */
  inFlight(): number;
}

/** The grant as a recipient may use it. Unknown grant, other recipient and wrong ticket look alike. Throws GRANT_UNKNOWN, GRANT_REVOKED. */
export function usableBy(row: GrantRow | undefined, recipient: OrgId, ticket: string | null): GrantRow {
  if (row === undefined || row.state === 'prepared' || row.recipient !== recipient || !sameTicket(row, ticket)) throw new CodedError('GRANT_UNKNOWN', 'There is no such grant for this recipient.');
  if (row.state === 'revoked') throw new CodedError('GRANT_REVOKED', 'The owner revoked this grant.', { grant: row.grant });
  return row;
}

export const ticketDigest = (ticket: string): Digest => toBase64url(sha256(utf8(ticket))) as Digest;

function sameTicket(row: GrantRow, ticket: string | null): boolean {
  return ticket !== null && equalBytes(fromBase64url(row.ticket), fromBase64url(ticketDigest(ticket)));
}

const rowKey = (grant: GrantId): string => `grant/${grant}`;
const revokedKey = (grant: GrantId): string => `grant-revoked/${grant}`;
const MARK = utf8('1');
/** Items of the manifests that stay parsed. */
const REMEMBERED_ITEMS = 50_000;

export function createGrants(store: KeyValueStore): Grants {
  const watchers = new Map<GrantId, Set<() => void>>();
  // Manifests are large and asked for once per item; a few recent ones stay parsed.
  const recent = new Map<GrantId, GrantRow>();
  let rememberedItems = 0;
  const forget = (grant: GrantId): void => {
    rememberedItems -= recent.get(grant)?.items.length ?? 0;
    recent.delete(grant);
  };
  const remember = (row: GrantRow): void => {
    forget(row.grant);
    recent.set(row.grant, row);
    rememberedItems += row.items.length;
    while (rememberedItems > REMEMBERED_ITEMS && recent.size > 1) forget(recent.keys().next().value as GrantId);
  };
  const isRevoked = async (grant: GrantId): Promise<boolean> => (await store.get(revokedKey(grant))) !== undefined;

  return {
    isRevoked,
    async get(grant) {
      const known = recent.get(grant);
      if (known !== undefined) return known;
      const bytes = await store.get(rowKey(grant));
      if (bytes === undefined) return undefined;
      const row = GrantRow.parse(JSON.parse(fromUtf8(bytes)));
      const current = (await isRevoked(grant)) ? { ...row, state: 'revoked' as const } : row;
      remember(current);
      return current;
    },
    async put(row) {
      await store.write(new Map([[rowKey(row.grant), canonicalBytes(row as Json)]]));
      // Looked at after the write: a revocation that came in between must not be overwritten.
      const revoked = await isRevoked(row.grant);
      remember(revoked ? { ...row, state: 'revoked' } : row);
      if (revoked) throw new CodedError('GRANT_REVOKED', 'The owner revoked this grant.', { grant: row.grant });
    },
    async revoke(grant) {
      // Transfers stop before the disk is waited for.
      for (const cut of watchers.get(grant) ?? []) cut();
      watchers.delete(grant);
      const known = recent.get(grant);
      if (known !== undefined) remember({ ...known, state: 'revoked' });
      if (!(await isRevoked(grant))) await store.write(new Map([[revokedKey(grant), MARK]]));
      const row = recent.get(grant);
      if (row !== undefined && row.state !== 'revoked') remember({ ...row, state: 'revoked' });
    },
    watch(grant, cut) {
      const cuts = watchers.get(grant) ?? new Set();
      watchers.set(grant, cuts.add(cut));
      return () => {
        cuts.delete(cut);
        if (cuts.size === 0 && watchers.get(grant) === cuts) watchers.delete(grant);
      };
    },
    inFlight: () => [...watchers.values()].reduce((sum, cuts) => sum + cuts.size, 0),
  };
}
