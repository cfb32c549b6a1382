/** What the valid transactions of one block change, in the order of the block, before it is written. */
import { sortedKeys } from '../key-order.ts';
import { bool, bytes, list, message, str } from '../wire.ts';
import type { Hash } from '../transaction.ts';
import { toHex } from '#base/bytes.ts';

export interface Height {
  readonly block: number;
  readonly tx: number;
}

export interface StateUpdate extends Height {
  /** null: deleted. */
  readonly value: Uint8Array | null;
  readonly policy: Uint8Array | null;
}

export interface HashUpdate extends Height {
  readonly keyHash: Uint8Array;
  /** null: deleted. */
  readonly valueHash: Uint8Array | null;
  readonly purge: boolean;
}

export interface PrivateUpdate extends Height {
  readonly namespace: string;
  readonly collection: string;
  readonly key: string;
  readonly keyHash: Uint8Array;
  readonly value: Uint8Array;
}

export interface UpdateBatch {
  /** namespace → key → update */
  readonly state: Map<string, Map<string, StateUpdate>>;
  /** namespace → collection → hexadecimal key hash → update */
  readonly hashes: Map<string, Map<string, Map<string, HashUpdate>>>;
  readonly private: PrivateUpdate[];
  /** Every write of a valid transaction, for the history index. */
  readonly history: { readonly namespace: string; readonly key: string; readonly tx: number }[];
}

export const newBatch = (): UpdateBatch => ({ state: new Map(), hashes: new Map(), private: [], history: [] });

/** The entry of a map, made when absent. */
export function entryOf<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const fresh = make();
  map.set(key, fresh);
  return fresh;
}

export function putHash(batch: UpdateBatch, place: { readonly namespace: string; readonly collection: string }, update: HashUpdate): void {
  entryOf(entryOf(batch.hashes, place.namespace, () => new Map()), place.collection, () => new Map()).set(toHex(update.keyHash), update);
}

// Fabric's `privacyenabledstate/update_batch.proto`: the bytes that its commit hash covers.
const KVWriteProto = message({ namespace: str(1), collection: str(2), key: bytes(3), isDelete: bool(4), value: bytes(5), versionBytes: bytes(6) });
const KVWritesBatchProto = message({ kvwrites: list(1, KVWriteProto) });

/** Order-preserving varint of Fabric's `common/ledger/util`: a count of bytes, then big-endian bytes without leading zeros. */
function orderedVarint(value: number): number[] {
  const digits: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest % 256);
  return [digits.length, ...digits];
}

const versionBytes = ({ block, tx }: Height): Uint8Array => new Uint8Array([...orderedVarint(block), ...orderedVarint(tx)]);

type Row = { namespace?: string; collection?: string; key: Uint8Array; isDelete: boolean; value: Uint8Array; versionBytes: Uint8Array };
const encoder = new TextEncoder();
const NOTHING = new Uint8Array(0);

/** Deterministic bytes of all public and hashed updates; a namespace or collection is named at its first row only. */
export function batchBytes(batch: UpdateBatch): Uint8Array {
  const rows: Row[] = [];
  for (const namespace of sortedKeys(new Map<string, unknown>([...batch.state, ...batch.hashes]))) {
    const first = rows.length;
    const state = batch.state.get(namespace);
    for (const key of state === undefined ? [] : sortedKeys(state)) {
      const update = state?.get(key) as StateUpdate;
      rows.push({ key: encoder.encode(key), isDelete: update.value === null, value: update.value ?? NOTHING, versionBytes: versionBytes(update) });
    }
    const collections = batch.hashes.get(namespace);
    for (const collection of collections === undefined ? [] : sortedKeys(collections)) {
      const start = rows.length;
      const updates = [...(collections?.get(collection) as Map<string, HashUpdate>).entries()].sort(([left], [right]) => (left < right ? -1 : 1));
      for (const [, update] of updates) rows.push({ key: update.keyHash, isDelete: update.valueHash === null, value: update.valueHash ?? NOTHING, versionBytes: versionBytes(update) });
      if (rows.length > start) rows[start] = { ...(rows[start] as Row), collection };
    }
    if (rows.length > first) rows[first] = { ...(rows[first] as Row), namespace };
  }
  return KVWritesBatchProto.encode({ kvwrites: rows });
}

/** Fabric's running commit hash: SHA-256 of varint(count of codes) ‖ codes ‖ updates ‖ previous hash. */
export function nextCommitHash(previous: Uint8Array, codes: Uint8Array, batch: UpdateBatch, hash: Hash): Uint8Array {
  const count: number[] = [];
  for (let rest = codes.length; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) {
      count.push(rest);
      break;
    }
    count.push((rest % 128) | 0x80);
  }
  return hash(new Uint8Array(count), codes, batchBytes(batch), previous);
}
