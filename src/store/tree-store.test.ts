import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Bytes } from '#base/bytes.ts';
import { openTreeStore, type TreeGrowth, type TreeLeaf } from './tree-store.ts';

const hash = (seed: number): Bytes => new Uint8Array(32).fill(seed);
const leaf = (block: number, key: string, value: Bytes | null = Uint8Array.of(block)): TreeLeaf => ({ block, tx: 0, namespace: 'con', key, value, hash: hash(block + 100) });
const growth = (block: number, size: number, leaves: readonly TreeLeaf[]): TreeGrowth => ({ head: { block, blockHash: hash(block), size }, leaves, nodes: leaves.length === 2 ? [{ level: 1, index: 0, hash: hash(200) }] : [] });

describe('the tree store', () => {
  it('gives back leaves, nodes and heads, with keys that hold U+0000', () => {
    const store = openTreeStore(':memory:');
    store.append('uic', growth(0, 2, [leaf(0, '\u0000entry\u0000a\u0000'), leaf(0, 'b', null)]));
    expect(store.head('uic')).toEqual({ block: 0, blockHash: hash(0), size: 2 });
    expect(store.leaf('uic', 0)).toEqual(leaf(0, '\u0000entry\u0000a\u0000'));
    expect(store.leaf('uic', 1)?.value).toBeNull();
    expect([store.node('uic', 0, 1), store.node('uic', 1, 0), store.node('uic', 2, 0)]).toEqual([hash(100), hash(200), undefined]);
    store.close();
  });

  it('keeps channels apart', () => {
    const store = openTreeStore(':memory:');
    store.append('uic', growth(0, 1, [leaf(0, 'a')]));
    store.append('con', growth(0, 0, []));
    expect([store.head('uic')?.size, store.head('con')?.size, store.head('drc')]).toEqual([1, 0, undefined]);
    expect(store.leaf('con', 0)).toBeUndefined();
    store.close();
  });

  it('finds the last write of a key among the first leaves', () => {
    const store = openTreeStore(':memory:');
    ['a', 'b', 'a', 'a'].forEach((key, block) => store.append('uic', growth(block, block + 1, [leaf(block, key)])));
    const last = (size: number, key = 'a'): number | undefined => store.lastWrite('uic', { namespace: 'con', key, size });
    expect([last(4), last(3), last(2), last(0), last(4, 'c')]).toEqual([3, 2, 0, undefined, undefined]);
    expect(store.headAt('uic', 1)).toEqual({ block: 1, blockHash: hash(1), size: 2 });
    store.close();
  });

  it('lists keys under a prefix once each', () => {
    const store = openTreeStore(':memory:');
    ['\u0000time-claim\u0000a\u0000', 'z', '\u0000time-claim\u0000b\u0000', '\u0000time-claim\u0000a\u0000', '\u0000time-claims\u0000'].forEach((key, block) => store.append('con', growth(block, block + 1, [leaf(block, key)])));
    expect(store.keysUnder('con', { namespace: 'con', prefix: '\u0000time-claim\u0000' })).toEqual(['\u0000time-claim\u0000a\u0000', '\u0000time-claim\u0000b\u0000']);
    expect(store.keysUnder('con', { namespace: 'uic', prefix: '' })).toEqual([]);
    store.close();
  });

  it('grows block by block only', () => {
    const store = openTreeStore(':memory:');
    store.append('uic', growth(0, 1, [leaf(0, 'a')]));
    for (const wrong of [growth(0, 2, [leaf(0, 'b')]), growth(2, 2, [leaf(2, 'b')]), growth(1, 5, [leaf(1, 'b')])]) expect(() => store.append('uic', wrong)).toThrow(/grows/);
    expect(store.head('uic')?.size).toBe(1);
    store.close();
  });

  it('keeps nothing of a block that could not be written whole', () => {
    const store = openTreeStore(':memory:');
    const broken = {
      level: 1,
      index: 0,
      get hash(): Bytes {
        throw new Error('stopped in the middle');
      },
    };
    expect(() => store.append('uic', { ...growth(0, 1, [leaf(0, 'a')]), nodes: [{ level: 1, index: 1, hash: hash(1) }, broken] })).toThrow('stopped in the middle');
    expect([store.head('uic'), store.leaf('uic', 0)]).toEqual([undefined, undefined]);
    store.append('uic', growth(0, 1, [leaf(0, 'a')]));
    expect(store.head('uic')?.size).toBe(1);
    store.close();
  });

  it('is there again after a restart', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tree-'));
    const first = openTreeStore(join(folder, 'tree.sqlite'));
    first.append('uic', growth(0, 1, [leaf(0, 'a')]));
    first.close();
    const second = openTreeStore(join(folder, 'tree.sqlite'));
    expect(second.head('uic')?.size).toBe(1);
    second.append('uic', growth(1, 2, [leaf(1, 'b')]));
    expect(second.leaf('uic', 1)?.key).toBe('b');
    second.close();
    rmSync(folder, { recursive: true });
  });
});
