/**
 * Did one ledger grow from one checkpoint to another, or were two histories told? Two notes about one channel either lie on
 * one line of growth, or both cannot be true; in the second case the pair itself, with a path where the sizes differ, is
 * the proof (docs/protocol.md section 7).
 */
import { equalBytes, type Bytes } from '#base/bytes.ts';
import { parseCheckpoint, type Checkpoint } from './checkpoint.ts';
import { verifyConsistency } from './merkle.ts';

/**
 * How the second checkpoint stands to the first. `fork`: both cannot be true. `longer` and `shorter` are what they claim
 * to be; whether one is the other's beginning takes a path (`judgeGrowth`).
 */
export type Relation = 'same' | 'longer' | 'shorter' | 'fork';

/** What two checkpoints of one origin say of each other without anything else: sizes and heights only grow together. */
export function relation(first: Checkpoint, second: Checkpoint): Relation {
  const sameTree = first.size === second.size && equalBytes(first.root, second.root);
  if (first.height === second.height) return sameTree && equalBytes(first.blockHash, second.blockHash) ? 'same' : 'fork';
  if (first.size === second.size && !sameTree) return 'fork';
  const [lower, higher] = first.height < second.height ? [first, second] : [second, first];
  if (lower.size > higher.size) return 'fork';
  return lower === first ? 'longer' : 'shorter';
}

/** What stands at the beginning of a tree: the root of its first leaves, and the RFC 9162 consistency path to its own root. */
export interface Beginning {
  readonly root: Bytes;
  readonly path: readonly Bytes[];
}

/** `grown`: the shorter is the longer's beginning. `fork`: the longer's own beginning is another one, proven. `unproven`: the path shows nothing. */
export type Growth = 'grown' | 'fork' | 'unproven';

/** Judges a path from the shorter checkpoint to the longer. */
export function judgeGrowth(shorter: Checkpoint, longer: Checkpoint, beginning: Beginning): Growth {
  const holds = verifyConsistency({ size1: shorter.size, size2: longer.size, root1: beginning.root, root2: longer.root, path: beginning.path });
  if (!holds) return 'unproven';
  return equalBytes(beginning.root, shorter.root) ? 'grown' : 'fork';
}

/** What two notes are to each other, with the pair as evidence when they cannot both be true. The shorter note stands first. */
export interface Comparison {
  /** How the other note stands to the kept one; `unproven`: nobody could show growth from the one to the other. */
  readonly verdict: Relation | 'unproven';
  readonly notes: readonly [string, string];
  /** Proves a fork between notes of different sizes. */
  readonly beginning?: Beginning;
}

/** Compares two notes of one origin. `beginnings` gives what anybody can show of the longer tree's beginning, best first; it is not asked when the notes alone decide. */
export async function compareNotes(kept: string, other: string, beginnings: (shorter: Checkpoint, longer: Checkpoint) => AsyncIterable<Beginning>): Promise<Comparison> {
  const [first, second] = [parseCheckpoint(kept), parseCheckpoint(other)];
  const verdict = relation(first, second);
  const turned = verdict === 'shorter' || (verdict === 'fork' && second.size < first.size);
  const notes: readonly [string, string] = turned ? [other, kept] : [kept, other];
  if (verdict === 'same' || verdict === 'fork' || first.size === second.size) return { verdict, notes };
  const [shorter, longer] = turned ? [second, first] : [first, second];
  for await (const beginning of beginnings(shorter, longer)) {
    const growth = judgeGrowth(shorter, longer, beginning);
    if (growth === 'fork') return { verdict: 'fork', notes, beginning };
    if (growth === 'grown') return { verdict, notes };
  }
  return { verdict: 'unproven', notes };
}
