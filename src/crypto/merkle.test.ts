import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex, utf8, type Bytes } from '#base/bytes.ts';
import { appendLeaf, consistencyPath, encodeLeaf, inclusionPath, leafHash, memoryNodes, nodeHash, rootAt, verifyConsistency, verifyInclusion, type MerkleNodes } from './merkle.ts';

// The leaves and roots of Certificate Transparency's reference tests (google/certificate-transparency, merkle_tree_test), hexadecimal.
const LEAVES = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
const ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

function tree(leaves: readonly Uint8Array[]): { readonly nodes: MerkleNodes; readonly hashes: readonly Bytes[] } {
  const nodes = memoryNodes();
  const hashes = leaves.map(leafHash);
  hashes.forEach((hash, size) => appendLeaf(nodes, size, hash));
  return { nodes, hashes };
}

/** RFC 9162 section 2.1.1, word for word, over all leaves at once. */
function mth(hashes: readonly Bytes[]): Bytes {
  if (hashes.length === 1) return hashes[0] as Bytes;
  let k = 1;
  while (k * 2 < hashes.length) k *= 2;
  return nodeHash(mth(hashes.slice(0, k)), mth(hashes.slice(k)));
}

const numbered = (count: number): Uint8Array[] => Array.from({ length: count }, (_, at) => utf8(`leaf ${at}`));

describe('roots', () => {
  it('are those of Certificate Transparency', () => {
    const { nodes } = tree(LEAVES.map(fromHex));
    expect(ROOTS.map((_, size) => toHex(rootAt(nodes, size)))).toEqual(ROOTS);
  });

  it('at every size are the recursive definition\'s, also long after', () => {
    const { nodes, hashes } = tree(numbered(130));
    for (let size = 1; size <= 130; size++) expect(rootAt(nodes, size)).toEqual(mth(hashes.slice(0, size)));
  });

  it('write each node once', () => {
    const written = new Map<string, number>();
    const inner = memoryNodes();
    const nodes: MerkleNodes = { get: inner.get, set: (level, index, hash) => (written.set(`${level}/${index}`, (written.get(`${level}/${index}`) ?? 0) + 1), inner.set(level, index, hash)) };
    numbered(100).map(leafHash).forEach((hash, size) => appendLeaf(nodes, size, hash));
    expect(Math.max(...written.values())).toBe(1);
  });
});

describe('inclusion', () => {
  it('holds for every leaf of every size up to 40, and for no other index, size, leaf or root', () => {
    const { nodes, hashes } = tree(numbered(40));
    for (let size = 1; size <= 40; size++) {
      const root = rootAt(nodes, size);
      for (let index = 0; index < size; index++) {
        const path = inclusionPath(nodes, index, size);
        const proof = { leaf: hashes[index] as Bytes, index, size, path, root };
        expect(verifyInclusion(proof)).toBe(true);
        for (let other = 0; other < size; other++) expect(verifyInclusion({ ...proof, index: other })).toBe(other === index);
        expect(verifyInclusion({ ...proof, leaf: leafHash(utf8('forged')) })).toBe(false);
        expect(verifyInclusion({ ...proof, root: nodeHash(root, root) })).toBe(false);
      }
    }
  });

  it('does not hold with a path cut, lengthened, reordered or with a changed hash', () => {
    const { nodes, hashes } = tree(numbered(100));
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 100 }), fc.nat(), fc.nat(), fc.integer({ min: 0, max: 255 }), (size, someIndex, somePlace, bit) => {
        const index = someIndex % size;
        const path = inclusionPath(nodes, index, size);
        const proof = { leaf: hashes[index] as Bytes, index, size, root: rootAt(nodes, size) };
        const place = somePlace % path.length;
        const flipped = path.map((hash, at) => (at === place ? hash.map((byte, where) => (where === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte)) : hash));
        for (const forged of [path.slice(1), path.slice(0, -1), [...path, ...path.slice(0, 1)], [...path, leafHash(utf8(''))], flipped, path.map((hash, at) => (at === place ? hash.subarray(1) : hash))]) expect(verifyInclusion({ ...proof, path: forged })).toBe(false);
        if (path.length > 1) expect(verifyInclusion({ ...proof, path: [...path].reverse() })).toBe(false);
      }),
    );
  });

  it.each([[-1, 4], [4, 4], [0, 0], [0.5, 4], [Number.NaN, 4], [0, Number.POSITIVE_INFINITY], [2 ** 53, 2 ** 54]])('of leaf %d in %d leaves is refused', (index, size) => {
    const { nodes, hashes } = tree(numbered(4));
    expect(verifyInclusion({ leaf: hashes[0] as Bytes, index, size, path: inclusionPath(nodes, 0, 4), root: rootAt(nodes, 4) })).toBe(false);
    if (size <= 4) expect(() => inclusionPath(nodes, index, size)).toThrow(expect.objectContaining({ code: 'TREE_RANGE' }));
  });

  it('a leaf cannot pass for a node, nor a node for a leaf', () => {
    const { nodes, hashes } = tree(numbered(2));
    const [left, right] = hashes as [Bytes, Bytes];
    expect(leafHash(Uint8Array.of(...left, ...right))).not.toEqual(nodeHash(left, right));
    expect(verifyInclusion({ leaf: rootAt(nodes, 2), index: 0, size: 1, path: [], root: rootAt(nodes, 2) })).toBe(true);
    // That last one is why readers take the size from a signed checkpoint and hash the leaf themselves.
    expect(verifyInclusion({ leaf: rootAt(nodes, 2), index: 0, size: 2, path: [], root: rootAt(nodes, 2) })).toBe(false);
  });
});

describe('consistency', () => {
  it('holds between every two sizes up to 40, and not with another root, size or path', () => {
    const { nodes } = tree(numbered(40));
    const forged = tree(numbered(40).map((leaf, at) => (at === 0 ? utf8('forged') : leaf))).nodes;
    for (let size2 = 1; size2 <= 40; size2++) {
      for (let size1 = 1; size1 <= size2; size1++) {
        const proof = { size1, size2, root1: rootAt(nodes, size1), root2: rootAt(nodes, size2), path: consistencyPath(nodes, size1, size2) };
        expect(verifyConsistency(proof)).toBe(true);
        expect(verifyConsistency({ ...proof, root1: rootAt(forged, size1) })).toBe(false);
        expect(verifyConsistency({ ...proof, root2: rootAt(forged, size2) })).toBe(false);
        expect(verifyConsistency({ ...proof, path: [...proof.path, leafHash(utf8('more'))] })).toBe(false);
        if (proof.path.length > 0) expect(verifyConsistency({ ...proof, path: proof.path.slice(1) })).toBe(false);
        if (size1 > 1) expect(verifyConsistency({ ...proof, size1: size1 - 1 })).toBe(false);
      }
    }
  });

  it('from the empty tree proves nothing and is refused, as are sizes in the wrong order', () => {
    const { nodes } = tree(numbered(4));
    const root = rootAt(nodes, 4);
    for (const [size1, size2] of [[0, 4], [4, 3], [-1, 4], [1.5, 4]] as const) {
      expect(verifyConsistency({ size1, size2, root1: root, root2: root, path: [] })).toBe(false);
      expect(() => consistencyPath(nodes, size1, size2)).toThrow(expect.objectContaining({ code: 'TREE_RANGE' }));
    }
  });

  it('asks for nodes the tree has not reached with a code', () => {
    const { nodes } = tree(numbered(4));
    expect(() => rootAt(nodes, 5)).toThrow(expect.objectContaining({ code: 'TREE_RANGE' }));
    expect(() => inclusionPath(nodes, 0, 8)).toThrow(expect.objectContaining({ code: 'TREE_RANGE' }));
  });
});

describe('channel leaves', () => {
  const leaf = { block: 7, tx: 3, namespace: 'hdc', key: '\0anchor\0x\0', value: utf8('{}') };

  it('differ in bytes whenever they differ in anything', () => {
    const others = [{ block: 8 }, { tx: 4 }, { namespace: 'hd' }, { key: '\0anchor\0y\0' }, { value: utf8('{ }') }, { value: null }, { value: new Uint8Array(0) }, { namespace: 'hdc\0', key: 'anchor\0x\0' }];
    const texts = [leaf, ...others.map((other) => ({ ...leaf, ...other }))].map((one) => toHex(encodeLeaf(one)));
    expect(new Set(texts).size).toBe(texts.length);
  });

  it('mark a delete, which is not the write of an empty value', () => {
    expect(toHex(encodeLeaf({ ...leaf, value: null })).endsWith('0000000101')).toBe(true);
    expect(toHex(encodeLeaf({ ...leaf, value: new Uint8Array(0) })).endsWith('0000000100')).toBe(true);
  });
});
