/**
 * The SQLite twin of `KeyValueStore`: one file, durable when `write` resolves. Writes asked for in the same turn of the
 * event loop share one transaction (and one sync). Each row carries a CRC-32 of key and value, because SQLite itself
 * does not notice a bit that flipped inside a value.
 */
import { crc32 } from 'node:zlib';
import type { Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { KeyValueStore } from '#base/ports.ts';
import { openSqlite, type Sqlite } from './sqlite.ts';

const APPLICATION_ID = 0x686b6b76;
/** Keys are UTF-16BE, so that SQLite's byte order is the port's UTF-16 code unit order. */
const MIGRATIONS = ['CREATE TABLE entry (key BLOB PRIMARY KEY, value BLOB NOT NULL, sum INTEGER NOT NULL) WITHOUT ROWID'];

type Changes = ReadonlyMap<string, Bytes | undefined>;
interface Waiting {
  readonly changes: Changes;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}
interface Row {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly sum: number;
}

/** Opens or creates the file (`:memory:` for a store that dies with the process). Throws STORE_CORRUPT, STORE_LOCKED, STORE_NEWER. */
export function openSqliteKeyValueStore(file: string): KeyValueStore {
  const sqlite = openSqlite({ file, applicationId: APPLICATION_ID, migrations: MIGRATIONS });
  const select = sqlite.db.prepare('SELECT key, value, sum FROM entry WHERE key = ?');
  const apply = writer(sqlite);
  let waiting: Waiting[] = [];
  let closed = false;

  const flush = (): void => {
    const group = waiting;
    waiting = [];
    if (group.length === 0) return;
    try {
      sqlite.transact(() => group.forEach((one) => apply(one.changes)));
    } catch (error) {
      group.forEach((one) => one.reject(error));
      return;
    }
    group.forEach((one) => one.resolve());
  };

  return {
    async get(key) {
      flush();
      const row = sqlite.read(() => select.get(encodeKey(key)) as Row | undefined);
      return row === undefined ? undefined : checked(file, row);
    },
    write(changes) {
      if (closed) return Promise.reject(new CodedError('STORE_CLOSED', 'The store is closed.', { file }));
      if (changes.size === 0) return Promise.resolve();
      return new Promise<void>((resolve, reject) => {
        // A copy: the caller may go on using its map.
        waiting.push({ changes: new Map(changes), resolve, reject });
        if (waiting.length === 1) queueMicrotask(flush);
      });
    },
    async list(prefix, options = {}) {
      flush();
      return listRows(sqlite, file, { prefix, ...options });
    },
    async scrub() {
      flush();
      sqlite.scrub();
    },
    async close() {
      if (closed) return;
      flush();
      closed = true;
      sqlite.close();
    },
  };
}

function writer(sqlite: Sqlite): (changes: Changes) => void {
  const put = sqlite.db.prepare('INSERT INTO entry (key, value, sum) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, sum = excluded.sum');
  const remove = sqlite.db.prepare('DELETE FROM entry WHERE key = ?');
  return (changes) => {
    for (const [key, value] of changes) {
      const bytes = encodeKey(key);
      if (value === undefined) remove.run(bytes);
      else put.run(bytes, value, crc32(value, crc32(bytes)));
    }
  };
}

function listRows(sqlite: Sqlite, file: string, range: { readonly prefix: string; readonly after?: string; readonly limit?: number }): readonly (readonly [string, Bytes])[] {
  const from = encodeKey(range.prefix);
  const to = successor(from);
  const after = range.after === undefined ? undefined : encodeKey(range.after);
  const conditions = ['key >= ?', ...(to ? ['key < ?'] : []), ...(after ? ['key > ?'] : [])].join(' AND ');
  const statement = sqlite.db.prepare(`SELECT key, value, sum FROM entry WHERE ${conditions} ORDER BY key LIMIT ?`);
  const rows = sqlite.read(() => statement.all(from, ...(to ? [to] : []), ...(after ? [after] : []), range.limit ?? -1)) as unknown as Row[];
  return rows.map((row) => [decodeKey(row.key), checked(file, row)] as const);
}

function checked(file: string, row: Row): Bytes {
  if (crc32(row.value, crc32(row.key)) !== row.sum) throw new CodedError('STORE_CORRUPT', `The store file ${file} is damaged: a value does not match its checksum.`, { file });
  return row.value as Bytes;
}

function encodeKey(key: string): Uint8Array {
  return Buffer.from(key, 'utf16le').swap16();
}

function decodeKey(key: Uint8Array): string {
  return Buffer.from(key).swap16().toString('utf16le');
}

/** The smallest byte string greater than everything that starts with `prefix`; undefined when there is none. */
function successor(prefix: Uint8Array): Uint8Array | undefined {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length--;
  if (length === 0) return undefined;
  const out = Uint8Array.from(prefix.subarray(0, length));
  out[length - 1] = (out[length - 1] as number) + 1;
  return out;
}
