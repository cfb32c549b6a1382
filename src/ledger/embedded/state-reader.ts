/** Reading a channel's tables through one SQLite connection: state, hashes, private values, history, blocks. */
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import { fromUtf8, utf8 } from '#base/bytes.ts';
import { storeError, type Where } from './store-error.ts';

export interface StoredValue {
  readonly value: Uint8Array;
  readonly block: number;
  readonly tx: number;
  /** Key-level endorsement policy, if the key has one. */
  readonly policy: Uint8Array | null;
}

export interface StoredRow extends StoredValue {
  readonly key: string;
}

export interface StoredHash {
  readonly valueHash: Uint8Array;
  readonly block: number;
  readonly tx: number;
}

export interface TransactionPlace {
  readonly block: number;
  readonly tx: number;
  readonly code: number;
}

/** All methods throw LEDGER_CORRUPT or LEDGER_STORAGE when the file fails. */
export interface StateReader {
  get(namespace: string, key: string): StoredValue | undefined;
  /** Does any key of the namespace have a policy of its own? Most have none, and then nobody needs to look. */
  hasKeyPolicies(namespace: string): boolean;
  /** Keys in `[start, end)`, in order; no end: to the end of the namespace. */
  range(namespace: string, bounds: { readonly start: string; readonly end: string }, limit: number): StoredRow[];
  hash(namespace: string, collection: string, keyHash: Uint8Array): StoredHash | undefined;
  privateValue(namespace: string, collection: string, key: string): StoredValue | undefined;
  privateRange(namespace: string, collection: string, bounds: { readonly start: string; readonly end: string }): StoredRow[];
  /** The value kept under a hashed key, with the key itself. */
  privateByHash(namespace: string, collection: string, keyHash: Uint8Array): StoredRow | undefined;
  /** Where a key was written, newest first. */
  history(namespace: string, key: string): { readonly block: number; readonly tx: number }[];
  transaction(txId: string): TransactionPlace | undefined;
  block(number: number): Uint8Array | undefined;
  /** Number of blocks. */
  height(): number;
  /** Hash of the last block's header, as kept when it was written. */
  lastHash(): Uint8Array | undefined;
  /** Every row of a table of derived state, in key order, for comparison after a replay. */
  rows(table: DerivedTable): Iterable<Readonly<Record<string, unknown>>>;
}

export type DerivedTable = 'state' | 'hashes' | 'history' | 'transactions';

interface Row {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly block: number;
  readonly tx: number;
  readonly policy: Uint8Array | null;
}

/** Each is answered from an index: none takes longer the more keys there are. */
export const sql = {
  get: 'SELECT value, block, tx, policy FROM state WHERE namespace = ? AND key = ?',
  keyPolicies: 'SELECT EXISTS (SELECT 1 FROM state INDEXED BY state_with_policy WHERE namespace = ? AND policy IS NOT NULL) AS found',
  range: 'SELECT key, value, block, tx, policy FROM state WHERE namespace = ? AND key >= ? AND key < ? ORDER BY key LIMIT ?',
  rangeOpen: 'SELECT key, value, block, tx, policy FROM state WHERE namespace = ? AND key >= ? ORDER BY key LIMIT ?',
  hash: 'SELECT value_hash AS valueHash, block, tx FROM hashes WHERE namespace = ? AND collection = ? AND key_hash = ?',
  privateValue: 'SELECT value, block, tx, NULL AS policy FROM private WHERE namespace = ? AND collection = ? AND key = ?',
  privateRange: 'SELECT key, value, block, tx, NULL AS policy FROM private WHERE namespace = ? AND collection = ? AND key >= ? AND (? = 0 OR key < ?) ORDER BY key',
  privateByHash: 'SELECT key, value, block, tx, NULL AS policy FROM private WHERE namespace = ? AND collection = ? AND key_hash = ?',
  history: 'SELECT block, tx FROM history WHERE namespace = ? AND key = ? ORDER BY block DESC, tx DESC',
  transaction: 'SELECT block, tx, code FROM transactions WHERE tx_id = ?',
  block: 'SELECT bytes FROM blocks WHERE number = ?',
  lastHash: 'SELECT hash FROM blocks ORDER BY number DESC LIMIT 1',
  height: 'SELECT coalesce(max(number) + 1, 0) AS height FROM blocks',
} as const;

/** A reader over an open connection; statements are prepared once, when first used. */
export function createStateReader(database: DatabaseSync, where: Where): StateReader {
  const prepared = new Map<string, StatementSync>();
  const statement = (text: string): StatementSync => {
    const known = prepared.get(text);
    if (known !== undefined) return known;
    const fresh = database.prepare(text);
    prepared.set(text, fresh);
    return fresh;
  };
  const one = <T>(text: string, ...values: SQLInputValue[]): T | undefined => {
    try {
      return statement(text).get(...values) as T | undefined;
    } catch (error) {
      throw storeError(error, where);
    }
  };
  const all = <T>(text: string, ...values: SQLInputValue[]): T[] => {
    try {
      return statement(text).all(...values) as unknown as T[];
    } catch (error) {
      throw storeError(error, where);
    }
  };
  const rows = (text: string, ...values: SQLInputValue[]): StoredRow[] => all<Row>(text, ...values).map((row) => ({ ...row, key: fromUtf8(row.key) }));
  return {
    get: (namespace, key) => one<StoredValue>(sql.get, namespace, utf8(key)),
    hasKeyPolicies: (namespace) => one<{ found: number }>(sql.keyPolicies, namespace)?.found === 1,
    range: (namespace, { start, end }, limit) => (end === '' ? rows(sql.rangeOpen, namespace, utf8(start), limit) : rows(sql.range, namespace, utf8(start), utf8(end), limit)),
    hash: (namespace, collection, keyHash) => one<StoredHash>(sql.hash, namespace, collection, keyHash),
    privateValue: (namespace, collection, key) => one<StoredValue>(sql.privateValue, namespace, collection, utf8(key)),
    privateRange: (namespace, collection, { start, end }) => rows(sql.privateRange, namespace, collection, utf8(start), end === '' ? 0 : 1, utf8(end)),
    privateByHash: (namespace, collection, keyHash) => rows(sql.privateByHash, namespace, collection, keyHash)[0],
    history: (namespace, key) => all<{ block: number; tx: number }>(sql.history, namespace, utf8(key)),
    transaction: (txId) => one<TransactionPlace>(sql.transaction, txId),
    block: (number) => one<{ bytes: Uint8Array }>(sql.block, number)?.bytes,
    lastHash: () => one<{ hash: Uint8Array }>(sql.lastHash)?.hash,
    rows: (table) => database.prepare(`SELECT * FROM ${table}`).iterate() as Iterable<Readonly<Record<string, unknown>>>,
    height: () => one<{ height: number }>(sql.height)?.height ?? 0,
  };
}
