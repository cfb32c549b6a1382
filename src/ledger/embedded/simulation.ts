/** One endorser's run of a contract: reads committed state at one height, keeps what was read and what is to be written. */
import { utf8 } from '#base/bytes.ts';
import { compareKeys, sortedKeys } from '../key-order.ts';
import type { Bounds } from '../key-rules.ts';
import { HashedRWSet, KVRWSet, TxReadWriteSet, VALIDATION_PARAMETER, type KVRead, type RangeQueryInfo, type TxPvtReadWriteSet, type Version } from '../protos/rwset.ts';
import type { Hash } from '../transaction.ts';
import type { StateReader, StoredRow, StoredValue } from './state-reader.ts';
import { entryOf } from './update-batch.ts';

interface CollectionSet {
  readonly reads: Map<string, { readonly keyHash: Uint8Array; readonly version: Version | undefined }>;
  readonly writes: Map<string, { readonly value: Uint8Array | null; readonly purge: boolean }>;
}

interface NamespaceSet {
  readonly reads: Map<string, Version | undefined>;
  readonly ranges: RangeQueryInfo[];
  readonly writes: Map<string, Uint8Array | null>;
  readonly policies: Map<string, Uint8Array>;
  readonly collections: Map<string, CollectionSet>;
}

/** Results per answer to a contract, as in Fabric's peer. The peer reads one result ahead, to know whether there are more. */
const BATCH = 100;

/** Results as a peer hands them to a contract: batch after batch, until there are no more. */
export interface Batches<T> {
  next(): { readonly items: readonly T[]; readonly more: boolean };
}

/** A list in batches, for what is not protected at commit. */
export function batchesOf<T>(items: readonly T[]): Batches<T> {
  let at = 0;
  return {
    next: () => {
      const from = at;
      at += BATCH;
      return { items: items.slice(from, at), more: at < items.length };
    },
  };
}

export interface SimulationResult {
  /** Serialised TxReadWriteSet. */
  readonly publicSet: Uint8Array;
  /** Undefined when no private value was written. */
  readonly privateSet: TxPvtReadWriteSet | undefined;
}

const versionOf = (stored: { readonly block: number; readonly tx: number } | undefined): Version | undefined => (stored === undefined ? undefined : { blockNum: stored.block, txNum: stored.tx });

export class Simulation {
  readonly #reader: StateReader;
  readonly #hash: Hash;
  readonly #sets = new Map<string, NamespaceSet>();
  #wrote = false;
  #queriedPages = false;
  #queriedPrivateRange = false;

  constructor(reader: StateReader, hash: Hash) {
    this.#reader = reader;
    this.#hash = hash;
  }

  #set(namespace: string): NamespaceSet {
    return entryOf(this.#sets, namespace, () => ({ reads: new Map(), ranges: [], writes: new Map(), policies: new Map(), collections: new Map() }));
  }

  #collection(namespace: string, collection: string): CollectionSet {
    return entryOf(this.#set(namespace).collections, collection, () => ({ reads: new Map(), writes: new Map() }));
  }

  /** Committed value of a key; own writes are not seen. The read is checked again when the transaction commits. */
  read(namespace: string, key: string): StoredValue | undefined {
    const stored = this.#reader.get(namespace, key);
    this.#set(namespace).reads.set(key, versionOf(stored));
    return stored;
  }

  /** Notes a read that somebody else did at the same height. */
  noteRead(namespace: string, key: string, version: Version | undefined): void {
    this.#set(namespace).reads.set(key, version);
  }

  write(namespace: string, key: string, value: Uint8Array | null): void {
    this.#beforeWrite();
    this.#set(namespace).writes.set(key, value);
  }

  writePolicy(namespace: string, key: string, policy: Uint8Array): void {
    this.#beforeWrite();
    this.#set(namespace).policies.set(key, policy);
  }

  #beforeWrite(): void {
    if (this.#queriedPages) throw new Error('Transaction has already performed a paginated query. Writes are not allowed');
    if (this.#queriedPrivateRange) throw new Error('Transaction has already performed queries on pvt data. Writes are not allowed');
    this.#wrote = true;
  }

  /** A range in state order; every row fetched, and where the scan stopped, is checked again at commit. */
  range(namespace: string, bounds: Bounds): Batches<StoredRow> {
    const reads: KVRead[] = [];
    const set = this.#set(namespace);
    const index = set.ranges.length;
    set.ranges.push({ startKey: bounds.start, endKey: bounds.end, itrExhausted: false, rawReads: { kvReads: reads }, readsMerkleHashes: undefined });
    let ahead: readonly StoredRow[] = [];
    let from = bounds.start;
    const fetch = (): StoredRow[] => {
      const wanted = BATCH + 1 - ahead.length;
      const rows = this.#reader.range(namespace, { start: from, end: bounds.end }, wanted);
      for (const row of rows) reads.push({ key: row.key, version: versionOf(row) });
      const exhausted = rows.length < wanted;
      const last = rows.at(-1)?.key;
      // The smallest key after the last one read is that key with NUL appended.
      if (last !== undefined) from = `${last}\0`;
      set.ranges[index] = { startKey: bounds.start, endKey: exhausted ? bounds.end : (last ?? bounds.end), itrExhausted: exhausted, rawReads: { kvReads: reads }, readsMerkleHashes: undefined };
      return rows;
    };
    return {
      next: () => {
        const rows = [...ahead, ...fetch()];
        ahead = rows.slice(BATCH);
        return { items: rows.slice(0, BATCH), more: ahead.length > 0 };
      },
    };
  }

  /** One page of a range; for reading only, because pages are not protected at commit. */
  page(namespace: string, bounds: Bounds, size: number): StoredRow[] {
    if (this.#wrote) throw new Error('Paginated queries are supported only in a read-only transaction');
    this.#queriedPages = true;
    return this.#reader.range(namespace, bounds, size);
  }

  history(namespace: string, key: string): { readonly block: number; readonly tx: number }[] {
    return this.#reader.history(namespace, key);
  }

  blockBytes(number: number): Uint8Array | undefined {
    return this.#reader.block(number);
  }

  /** Hash of a private value, from any organisation's peer. */
  readHash(namespace: string, collection: string, key: string): Uint8Array | undefined {
    const keyHash = this.#hash(utf8(key));
    const stored = this.#reader.hash(namespace, collection, keyHash);
    this.#collection(namespace, collection).reads.set(key, { keyHash, version: versionOf(stored) });
    return stored?.valueHash;
  }

  readPrivate(namespace: string, collection: string, key: string): Uint8Array | undefined {
    const hash = this.readHash(namespace, collection, key);
    const stored = this.#reader.privateValue(namespace, collection, key);
    if (hash !== undefined && stored === undefined) throw new Error(`private data matching public hash version is not available. Collection [${collection}]`);
    return stored?.value;
  }

  privateRange(namespace: string, collection: string, bounds: Bounds): StoredRow[] {
    if (this.#wrote) throw new Error('Queries on pvt data is supported only in a read-only transaction');
    this.#queriedPrivateRange = true;
    return this.#reader.privateRange(namespace, collection, bounds);
  }

  writePrivate(namespace: string, collection: string, change: { readonly key: string; readonly value: Uint8Array | null; readonly purge?: boolean }): void {
    this.#beforeWrite();
    this.#collection(namespace, collection).writes.set(change.key, { value: change.value, purge: change.purge === true });
  }

  /** Public keys to be written, by namespace; namespaces that are only read are left out. */
  written(): ReadonlyMap<string, readonly string[]> {
    const written = new Map<string, readonly string[]>();
    for (const [namespace, { writes, policies }] of this.#sets) if (writes.size + policies.size > 0) written.set(namespace, [...writes.keys(), ...policies.keys()]);
    return written;
  }

  /** The sets in Fabric's canonical order: namespaces, keys and collections sorted, so that endorsers who agree give equal bytes. */
  result(): SimulationResult {
    const nsRwset = [];
    const nsPvtRwset = [];
    for (const namespace of sortedKeys(this.#sets)) {
      const set = this.#set(namespace);
      const collectionHashedRwset = [];
      const collectionPvtRwset = [];
      for (const collectionName of sortedKeys(set.collections)) {
        const { hashed, open } = this.#collectionSets(this.#collection(namespace, collectionName));
        collectionHashedRwset.push({ collectionName, hashedRwset: hashed, pvtRwsetHash: open === undefined ? new Uint8Array(0) : this.#hash(open) });
        if (open !== undefined) collectionPvtRwset.push({ collectionName, rwset: open });
      }
      nsRwset.push({ namespace, rwset: publicBytes(set), collectionHashedRwset });
      if (collectionPvtRwset.length > 0) nsPvtRwset.push({ namespace, collectionPvtRwset });
    }
    return { publicSet: TxReadWriteSet.encode({ nsRwset }), privateSet: nsPvtRwset.length === 0 ? undefined : { dataModel: 0, nsPvtRwset } };
  }

  #collectionSets(set: CollectionSet): { readonly hashed: Uint8Array; readonly open: Uint8Array | undefined } {
    const keys = sortedKeys(set.writes);
    const hashedWrites = keys.map((key) => {
      const { value, purge } = set.writes.get(key) as { value: Uint8Array | null; purge: boolean };
      return { keyHash: this.#hash(utf8(key)), isDelete: value === null, valueHash: value === null ? new Uint8Array(0) : this.#hash(value), isPurge: purge };
    });
    const hashedReads = sortedKeys(set.reads).map((key) => set.reads.get(key) as { keyHash: Uint8Array; version: Version | undefined });
    const hashed = HashedRWSet.encode({ hashedReads, hashedWrites });
    if (keys.length === 0) return { hashed, open: undefined };
    const writes = keys.map((key) => {
      const value = set.writes.get(key)?.value ?? null;
      return { key, isDelete: value === null, value: value ?? new Uint8Array(0) };
    });
    return { hashed, open: KVRWSet.encode({ writes }) };
  }
}

function publicBytes(set: NamespaceSet): Uint8Array {
  const reads = [...set.reads].sort(([left], [right]) => compareKeys(left, right)).map(([key, version]) => ({ key, version }));
  const writes = [...set.writes].sort(([left], [right]) => compareKeys(left, right)).map(([key, value]) => ({ key, isDelete: value === null, value: value ?? new Uint8Array(0) }));
  const metadataWrites = sortedKeys(set.policies).map((key) => ({ key, entries: [{ name: VALIDATION_PARAMETER, value: set.policies.get(key) as Uint8Array }] }));
  return KVRWSet.encode({ reads, rangeQueriesInfo: set.ranges, writes, metadataWrites });
}
