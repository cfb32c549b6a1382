/** Damage inside rows: blocks against their digests, facts against the last block, private values against their hashes. */
import type { DatabaseSync } from 'node:sqlite';
import { equalBytes, toHex } from '#base/bytes.ts';
import { isCoded } from '#base/errors.ts';
import { commitHashOf, headerHash } from '../block.ts';
import { Block } from '../protos/common.ts';
import { digestOf, RUNNING_FACT } from './block-digest.ts';
import { nativeHash } from './hash.ts';
import type { StateReader } from './state-reader.ts';

/** Takes down what is found; without a file's name it is the channel's own. */
export interface Note {
  finding(place: string, what: string, file?: string): void;
  remark(place: string, what: string): void;
}

type Row = Readonly<Record<string, unknown>>;
const rowsOf = <T>(database: DatabaseSync, sql: string): Iterable<T> => database.prepare(sql).iterate() as Iterable<T>;

/** Every block's bytes against the digest beside it, and its kept hash against its header. False: something is wrong. */
export function checkBlocks(database: DatabaseSync, note: Note): boolean {
  const facts = factsOf(database);
  let right = true;
  const wrong = (block: number, what: string): void => {
    right = false;
    note.finding(`block ${block}`, what);
  };
  let expected = 0;
  for (const { number, hash, bytes, digest } of rowsOf<{ number: number; hash: Uint8Array; bytes: Uint8Array; digest: Uint8Array | null }>(database, 'SELECT number, hash, bytes, digest FROM blocks LEFT JOIN digests ON block = number ORDER BY number')) {
    if (number !== expected) wrong(expected, `The next block in the file is ${number}.`);
    expected = number + 1;
    if (digest === null) wrong(number, 'Its digest is missing.');
    else if (!equalBytes(digest, digestOf(number === 0 ? { bytes, facts } : { bytes }))) wrong(number, number === 0 ? 'Its bytes or the first facts are not those that were written.' : 'Its bytes are not those that were written.');
    else if (!equalBytes(hash, hashIn(bytes) ?? new Uint8Array(0))) wrong(number, 'The hash kept beside it is not that of its header.');
  }
  const { extra } = database.prepare('SELECT count(*) AS extra FROM digests WHERE block NOT IN (SELECT number FROM blocks)').get() as { extra: number };
  if (extra > 0) wrong(expected, `${extra} digests stand for blocks that are not there.`);
  return right;
}

function factsOf(database: DatabaseSync): ReadonlyMap<string, Uint8Array> {
  return new Map([...rowsOf<{ name: string; value: Uint8Array }>(database, 'SELECT name, value FROM facts')].map(({ name, value }) => [name, value]));
}

function hashIn(bytes: Uint8Array): Uint8Array | undefined {
  try {
    const { header } = Block.decode(bytes);
    return header === undefined ? undefined : headerHash(header, nativeHash);
  } catch (error) {
    if (isCoded(error, 'LEDGER_MALFORMED')) return undefined;
    throw error;
  }
}

/** The running commit hash goes on from the last block's. */
export function checkFacts(reader: StateReader, database: DatabaseSync, note: Note): boolean {
  const height = reader.height();
  const last = height === 0 ? undefined : reader.block(height - 1);
  const kept = factsOf(database).get(RUNNING_FACT);
  if (last === undefined) note.finding('table blocks', 'It is empty.');
  else if (kept === undefined || !equalBytes(kept, commitHashOf(Block.decode(last).metadata?.metadata ?? []))) note.finding('table facts', 'The commit hash is not that of the last block.');
  else return true;
  return false;
}

interface PrivateRow {
  readonly namespace: string;
  readonly collection: string;
  readonly key: Uint8Array;
  readonly keyHash: Uint8Array;
  readonly value: Uint8Array;
  readonly block: number;
  readonly tx: number;
  readonly expires: number | null;
  readonly valueHash: Uint8Array | null;
  readonly hashBlock: number;
  readonly hashTx: number;
  readonly hashExpires: number | null;
}

const PRIVATE = `SELECT p.namespace, p.collection, p.key, p.key_hash AS keyHash, p.value, p.block, p.tx, p.expires, h.value_hash AS valueHash, h.block AS hashBlock, h.tx AS hashTx, h.expires AS hashExpires
  FROM private AS p LEFT JOIN hashes AS h USING (namespace, collection, key_hash)`;
const ABSENT = 'SELECT namespace, collection, count(*) AS count FROM hashes AS h WHERE NOT EXISTS (SELECT 1 FROM private AS p WHERE p.namespace = h.namespace AND p.collection = h.collection AND p.key_hash = h.key_hash) GROUP BY namespace, collection';

/** What makes a private row wrong, if anything does. */
function faultOf(row: PrivateRow): string | undefined {
  if (!equalBytes(nativeHash(row.key), row.keyHash)) return 'A key is not the one its hash names.';
  if (row.valueHash === null) return 'A value has no hash on the channel.';
  if (!equalBytes(nativeHash(row.value), row.valueHash)) return 'A value is not the one its hash names.';
  if (row.block !== row.hashBlock || row.tx !== row.hashTx || row.expires !== row.hashExpires) return 'A value has another version or life than its hash.';
  return undefined;
}

/** Every private value against its hash; the hashes themselves are checked by the replay. False: something is wrong. */
export function checkPrivate(database: DatabaseSync, note: Note): boolean {
  let right = true;
  for (const row of rowsOf<PrivateRow>(database, PRIVATE)) {
    const fault = faultOf(row);
    if (fault === undefined) continue;
    right = false;
    note.finding(`table private, ${row.namespace} ${row.collection}, key hash ${toHex(row.keyHash)}`, fault);
  }
  for (const { namespace, collection, count } of rowsOf<Row>(database, ABSENT)) note.remark(`table private, ${String(namespace)} ${String(collection)}`, `${String(count)} values are not here; their hashes are.`);
  return right;
}
