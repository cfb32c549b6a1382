import { describe, expect, it } from 'vitest';
import { utf8, type Bytes } from '#base/bytes.ts';
import { parseCheckpoint, writeCheckpoint, type Checkpoint } from './checkpoint.ts';
import { sha256 } from './digest.ts';
import { compareNotes, judgeGrowth, relation, type Beginning } from './growth.ts';
import { appendLeaf, consistencyPath, leafHash, memoryNodes, rootAt, type MerkleNodes } from './merkle.ts';

/** A ledger of one leaf a block; histories of two names share what came before the fork. */
function history(name: string, length: number, forkedAt: number): MerkleNodes {
  const nodes = memoryNodes();
  for (let at = 0; at < length; at++) appendLeaf(nodes, at, leafHash(utf8(at < forkedAt ? `leaf ${at}` : `${name} ${at}`)));
  return nodes;
}
const blockHash = (name: string, at: number, forkedAt: number): Bytes => sha256(utf8(at < forkedAt ? `block ${at}` : `${name} block ${at}`));
const FORK = 9;
const [east, west] = [history('east', 40, FORK), history('west', 40, FORK)];
const at = (name: 'east' | 'west', size: number, extraBlocks = 0): Checkpoint => ({ origin: 'healthkeep/drc', size, root: rootAt(name === 'east' ? east : west, size), height: size + extraBlocks, blockHash: blockHash(name, size + extraBlocks, FORK + 1) });
const beginning = (nodes: MerkleNodes, from: number, to: number): Beginning => ({ root: rootAt(nodes, from), path: consistencyPath(nodes, from, to) });

describe('two checkpoints', () => {
  it('of one history are the same, or one is longer', () => {
    expect(relation(at('east', 12), at('east', 12))).toBe('same');
    expect(relation(at('east', 12), at('east', 20))).toBe('longer');
    expect(relation(at('east', 20), at('east', 12))).toBe('shorter');
    // Blocks without public writes grow the chain, not the tree.
    expect(relation(at('east', 12), at('east', 12, 1))).toBe('longer');
    expect(relation(at('east', 8), at('west', 8))).toBe('same');
  });

  it.each<[string, Partial<Checkpoint>]>([
    ['another root', { root: at('west', 12).root }], ['another block at one height', { blockHash: new Uint8Array(32) }], ['another size at one height', { size: 13 }],
    ['another root of one size', { height: 13, root: at('west', 12).root }], ['more blocks but fewer leaves', { height: 14, size: 11 }], ['fewer blocks but more leaves', { height: 10, size: 13 }],
  ])('cannot both be true: %s', (_what, change) => {
    expect(relation(at('east', 12), { ...at('east', 12), ...change })).toBe('fork');
    expect(relation({ ...at('east', 12), ...change }, at('east', 12))).toBe('fork');
  });

  it('of different sizes are judged by a path, whatever the sizes', () => {
    for (let from = 1; from < 40; from++) {
      for (const to of [from + 1, 39, 40].filter((size) => size > from)) {
        expect(judgeGrowth(at('east', from), at('east', to), beginning(east, from, to)), `${from} ${to}`).toBe('grown');
        const foreign = judgeGrowth(at('west', from), at('east', to), beginning(east, from, to));
        expect(foreign, `${from} ${to}`).toBe(from <= FORK ? 'grown' : 'fork');
        // A path of the other history shows nothing of this one.
        if (to > FORK) expect(judgeGrowth(at('west', from), at('east', to), beginning(west, from, to)), `${from} ${to}`).toBe('unproven');
      }
    }
  });
});

describe('compared notes', () => {
  const note = (name: 'east' | 'west', size: number): string => writeCheckpoint(at(name, size));
  const showing = (nodes: MerkleNodes) => async function* (shorter: Checkpoint, longer: Checkpoint) {
    yield { root: new Uint8Array(32), path: [] };
    yield beginning(nodes, shorter.size, longer.size);
  };
  const silent = async function* (): AsyncIterable<Beginning> {};

  it('are told apart whichever way they are given, the shorter one first', async () => {
    expect(await compareNotes(note('east', 12), note('east', 20), showing(east))).toEqual({ verdict: 'longer', notes: [note('east', 12), note('east', 20)] });
    expect(await compareNotes(note('east', 20), note('east', 12), showing(east))).toEqual({ verdict: 'shorter', notes: [note('east', 12), note('east', 20)] });
    for (const pair of [[note('west', 12), note('east', 20)], [note('east', 20), note('west', 12)]] as const) {
      expect(await compareNotes(...pair, showing(east))).toEqual({ verdict: 'fork', notes: [note('west', 12), note('east', 20)], beginning: beginning(east, 12, 20) });
    }
  });

  it('of one size need no path, others are unproven without one', async () => {
    expect((await compareNotes(note('west', 20), note('east', 20), silent)).verdict).toBe('fork');
    expect((await compareNotes(note('east', 20), note('east', 20), silent)).verdict).toBe('same');
    expect((await compareNotes(note('east', 12), note('east', 20), silent)).verdict).toBe('unproven');
    expect((await compareNotes(note('east', 12), note('east', 20), showing(west))).verdict).toBe('unproven');
    expect(parseCheckpoint((await compareNotes(note('east', 20), writeCheckpoint({ ...at('east', 12), height: 30 }), silent)).notes[0]).size).toBe(12);
  });
});
