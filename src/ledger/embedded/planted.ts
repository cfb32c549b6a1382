/**
 * Bugs planted on purpose, for tests only: each proves that one of the harnesses would notice a ledger that is wrong in
 * that way (docs/durability.md). They come in as an option of `openEmbeddedLedger` and in no other way: no variable of
 * the environment and no configuration file can turn one on.
 */
import { headerType } from '../protos/common.ts';
import type { Hash } from '../transaction.ts';
import { sortedKeys } from '../key-order.ts';
import { utf8 } from '#base/bytes.ts';
import type { Prepared } from './prepared.ts';
import type { UpdateBatch } from './update-batch.ts';

/** Every bug, by the rule that it breaks. */
export const plantedBugs = [
  /** Blocks are written, never synced. */
  'no-sync',
  /** Folders are never synced: new files and new names may be lost. */
  'no-folder-sync',
  /** Clients are answered before the block is written. */
  'early-acknowledgement',
  /** `verifyChain` believes what it reads. */
  'no-chain-check',
  /** A transaction id may come twice. */
  'no-duplicate-check',
  /** A revocation is in force one block late. */
  'late-revocation',
  /** Transactions are ordered by the clock of their clients. */
  'client-time-order',
  /** The commit hash depends on the order in which a map was filled. */
  'map-order',
  /** A write that failed counts as done. */
  'swallowed-io-error',
  /** After a failed sync the ledger tries again and goes on. */
  'sync-retried',
  /** A block may take the number of an earlier one. */
  'lower-height',
  /** State is written after the block, in a transaction of its own. */
  'state-apart',
  /** Private values are written after the block, in a transaction of their own. */
  'private-apart',
  /** What a transaction read may have changed. */
  'no-read-check',
] as const;

export type PlantedBug = (typeof plantedBugs)[number];
export type PlantedBugs = ReadonlySet<PlantedBug>;

/** What everybody runs. */
export const noBugs: PlantedBugs = new Set();

/** `no-read-check`: the transaction as if it had read nothing. */
export function withoutReads(prepared: Prepared): Prepared {
  const sets = prepared.sets.map((set) => ({
    ...set, set: { ...set.set, reads: [], rangeQueriesInfo: [] }, collections: set.collections.map((collection) => ({ ...collection, hashed: { ...collection.hashed, hashedReads: [] } })),
  }));
  return { ...prepared, sets };
}

/** `client-time-order`: the queue sorted by what clients say the time is; configurations keep their place. */
export function sortByClientTime(queue: { readonly prepared: Prepared }[]): void {
  const seconds = ({ prepared }: { readonly prepared: Prepared }): number => prepared.outer?.channelHeader.timestamp?.seconds ?? 0;
  if (queue.some(({ prepared }) => prepared.type === headerType.config)) return;
  queue.sort((left, right) => seconds(left) - seconds(right));
}

/** `map-order`: a commit hash over the keys as they lie in their maps; right only when that happens to be their order. */
export function unorderedCommitHash(commitHash: Uint8Array, batch: UpdateBatch, hash: Hash): Uint8Array {
  const keys = [...batch.state].flatMap(([namespace, updates]) => [...updates.keys()].map((key) => `${namespace}\0${key}`));
  const inOrder = sortedKeys(new Map(keys.map((key) => [key, key]))).every((key, index) => key === keys[index]);
  return inOrder ? commitHash : hash(commitHash, utf8(keys.join('\n')));
}
