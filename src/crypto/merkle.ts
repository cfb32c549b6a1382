/**
 * Merkle trees as in Certificate Transparency (RFC 9162 section 2.1): an append-only list whose root, with a path of hashes,
 * proves that a leaf is in it or that a shorter list is its beginning. Only full subtrees are stored, so a node is written once.
 */
import { equalBytes, lengthPrefixed, u32, u64, utf8, concat, type Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import { sha256 } from './digest.ts';

const HASH_BYTES = 32;
const LEAF_PREFIX = Uint8Array.of(0);
const NODE_PREFIX = Uint8Array.of(1);
const LEAF_DOMAIN = utf8('healthkeep/v1/leaf');

/** Hashes of full subtrees: node (level, index) covers the leaves index·2^level to (index+1)·2^level − 1. */
export interface MerkleNodes {
  get(level: number, index: number): Uint8Array | undefined;
  set(level: number, index: number, hash: Bytes): void;
}

/** RFC 9162 section 2.1.1: HASH(0x00 ‖ leaf). */
export function leafHash(leaf: Uint8Array): Bytes {
  return sha256(concat(LEAF_PREFIX, leaf));
}

/** RFC 9162 section 2.1.1: HASH(0x01 ‖ left ‖ right). */
export function nodeHash(left: Uint8Array, right: Uint8Array): Bytes {
  return sha256(concat(NODE_PREFIX, left, right));
}

/** Nodes in memory. */
export function memoryNodes(): MerkleNodes {
  const nodes = new Map<string, Bytes>();
  return { get: (level, index) => nodes.get(`${level}/${index}`), set: (level, index, hash) => void nodes.set(`${level}/${index}`, hash) };
}

/** Appends a leaf's hash to a tree of `size` leaves and returns the new size. */
export function appendLeaf(nodes: MerkleNodes, size: number, hash: Bytes): number {
  let node = hash;
  nodes.set(0, size, node);
  for (let level = 0, index = size; index % 2 === 1; level++) {
    node = nodeHash(stored(nodes, level, index - 1), node);
    index = (index - 1) / 2;
    nodes.set(level + 1, index, node);
  }
  return size + 1;
}

/** The root over the first `size` leaves; of the empty tree SHA-256 of nothing. Throws TREE_RANGE when nodes are missing. */
export function rootAt(nodes: MerkleNodes, size: number): Bytes {
  return size === 0 ? sha256(new Uint8Array(0)) : subtreeRoot(nodes, 0, size);
}

/** RFC 9162 section 2.1.3.1: the path that proves leaf `index` in the tree of `size` leaves. Throws TREE_RANGE. */
export function inclusionPath(nodes: MerkleNodes, index: number, size: number): readonly Bytes[] {
  if (![index, size].every(Number.isSafeInteger) || index < 0 || index >= size) throw range({ index, size });
  const path: Bytes[] = [];
  let [start, end] = [0, size];
  while (end - start > 1) {
    const middle = start + split(end - start);
    if (index < middle) {
      path.unshift(subtreeRoot(nodes, middle, end));
      end = middle;
    } else {
      path.unshift(subtreeRoot(nodes, start, middle));
      start = middle;
    }
  }
  return path;
}

/** RFC 9162 section 2.1.4.1: the path that proves the tree of `size1` leaves to be the beginning of that of `size2`. Throws TREE_RANGE. */
export function consistencyPath(nodes: MerkleNodes, size1: number, size2: number): readonly Bytes[] {
  if (![size1, size2].every(Number.isSafeInteger) || size1 < 1 || size1 > size2) throw range({ size1, size2 });
  const path: Bytes[] = [];
  let [start, end] = [0, size2];
  // The left subtree is known to the verifier as a whole (it is the old root) until a turn to the right.
  let known = true;
  while (size1 !== end) {
    const middle = start + split(end - start);
    if (size1 <= middle) {
      path.unshift(subtreeRoot(nodes, middle, end));
      end = middle;
    } else {
      path.unshift(subtreeRoot(nodes, start, middle));
      start = middle;
      known = false;
    }
  }
  if (!known) path.unshift(subtreeRoot(nodes, start, end));
  return path;
}

/** RFC 9162 section 2.1.3.2. `leaf` is the leaf's hash. */
export function verifyInclusion(proof: { readonly leaf: Uint8Array; readonly index: number; readonly size: number; readonly path: readonly Uint8Array[]; readonly root: Uint8Array }): boolean {
  const { index, size } = proof;
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) return false;
  if (proof.leaf.length !== HASH_BYTES || proof.root.length !== HASH_BYTES) return false;
  let [fn, sn, hash] = [index, size - 1, proof.leaf];
  for (const sibling of proof.path) {
    if (sn === 0 || sibling.length !== HASH_BYTES) return false;
    if (fn % 2 === 1 || fn === sn) {
      hash = nodeHash(sibling, hash);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [fn / 2, half(sn)];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && equalBytes(hash, proof.root);
}

/** RFC 9162 section 2.1.4.2. An empty first tree proves nothing and is refused. */
export function verifyConsistency(proof: {
  readonly size1: number;
  readonly size2: number;
  readonly root1: Uint8Array;
  readonly root2: Uint8Array;
  readonly path: readonly Uint8Array[];
}): boolean {
  const { size1, size2, root1, root2 } = proof;
  if (!Number.isSafeInteger(size1) || !Number.isSafeInteger(size2) || size1 < 1 || size1 > size2) return false;
  if (size1 === size2) return proof.path.length === 0 && equalBytes(root1, root2);
  if ([root1, root2, ...proof.path].some((hash) => hash.length !== HASH_BYTES)) return false;
  // RFC 9162: if size1 is an exact power of two, the old root itself begins the path.
  const path = levelOf(size1) !== undefined ? [root1, ...proof.path] : proof.path;
  const [first, ...rest] = path;
  if (first === undefined) return false;
  let [fn, sn] = [size1 - 1, size2 - 1];
  while (fn % 2 === 1) [fn, sn] = [half(fn), half(sn)];
  let [old, now] = [first, first];
  for (const sibling of rest) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      old = nodeHash(sibling, old);
      now = nodeHash(sibling, now);
      while (fn % 2 === 0 && fn !== 0) [fn, sn] = [fn / 2, half(sn)];
    } else {
      now = nodeHash(now, sibling);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && equalBytes(old, root1) && equalBytes(now, root2);
}

/** One public write of a valid transaction as a leaf of its channel's tree (docs/protocol.md section 7). A null value is a delete. */
export interface ChannelLeaf {
  readonly block: number;
  readonly tx: number;
  readonly namespace: string;
  readonly key: string;
  readonly value: Uint8Array | null;
}

/** lengthPrefixed("healthkeep/v1/leaf", u64(block), u32(tx), namespace, key, marker ‖ value); the marker is 0 for a write, 1 for a delete. */
export function encodeLeaf(leaf: ChannelLeaf): Bytes {
  const value = leaf.value === null ? Uint8Array.of(1) : concat(Uint8Array.of(0), leaf.value);
  return lengthPrefixed(LEAF_DOMAIN, u64(leaf.block), u32(leaf.tx), utf8(leaf.namespace), utf8(leaf.key), value);
}

/** Root over the leaves start to end − 1, where start is a multiple of the largest power of two below the length. */
function subtreeRoot(nodes: MerkleNodes, start: number, end: number): Bytes {
  const level = levelOf(end - start);
  if (level !== undefined) return stored(nodes, level, start / (end - start));
  const middle = start + split(end - start);
  return nodeHash(subtreeRoot(nodes, start, middle), subtreeRoot(nodes, middle, end));
}

function stored(nodes: MerkleNodes, level: number, index: number): Bytes {
  const hash = nodes.get(level, index);
  if (hash === undefined) throw range({ level, index });
  return hash as Bytes;
}

/** The level of a full subtree of so many leaves; undefined when the length is no power of two. */
function levelOf(length: number): number | undefined {
  let level = 0;
  let power = 1;
  while (power < length) [level, power] = [level + 1, power * 2];
  return power === length ? level : undefined;
}

/** The largest power of two smaller than a length of at least 2. */
function split(length: number): number {
  let power = 1;
  while (power * 2 < length) power *= 2;
  return power;
}

function half(value: number): number {
  return Math.floor(value / 2);
}

function range(details: Readonly<Record<string, number>>): CodedError {
  return new CodedError('TREE_RANGE', 'The tree has no such leaf or size.', details);
}
