import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { utf8 } from '#base/bytes.ts';
import { openBlobStore } from './blob-store.ts';
import { delivery, record } from './conformance/record-store.ts';
import { openSqliteRecordStore } from './record-store.ts';
import { openSqlite } from './sqlite.ts';
import { openSqliteKeyValueStore } from './sqlite-kv.ts';

const MIGRATIONS = ['CREATE TABLE entry (id INTEGER PRIMARY KEY, bytes BLOB)'];

describe('a SQLite file', () => {
  let folder: string;
  beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'healthkeep-sqlite-'))));
  afterEach(() => rmSync(folder, { recursive: true }));
  const open = (over: { readonly file?: string; readonly applicationId?: number; readonly migrations?: readonly string[] } = {}) => openSqlite({ file: join(folder, 'a.sqlite'), applicationId: 7, migrations: MIGRATIONS, ...over });

  it('says when it is full, writes nothing then, goes on reading, and writes again when there is room', () => {
    const sqlite = open();
    const insert = sqlite.db.prepare('INSERT INTO entry (bytes) VALUES (?)');
    const count = (): number => sqlite.read(() => (sqlite.db.prepare('SELECT count(*) AS n FROM entry').get() as { n: number }).n);
    sqlite.transact(() => insert.run(utf8('first')));
    sqlite.db.exec('PRAGMA max_page_count = 20');
    expect(() => sqlite.transact(() => [insert.run(utf8('small')), insert.run(new Uint8Array(200_000))])).toThrow(expect.objectContaining({ code: 'STORE_FULL', details: expect.objectContaining({ file: join(folder, 'a.sqlite') }) }));
    expect(count()).toBe(1);
    sqlite.db.exec('PRAGMA max_page_count = 1000000');
    sqlite.transact(() => insert.run(new Uint8Array(200_000)));
    expect(count()).toBe(2);
    sqlite.close();
  });

  it('is durable before a transaction returns, by the settings it was opened with', () => {
    const sqlite = open();
    const pragma = (name: string): unknown => Object.values(sqlite.db.prepare(`PRAGMA ${name}`).get() as object)[0];
    expect([pragma('journal_mode'), pragma('synchronous'), pragma('secure_delete')]).toEqual(['wal', 2, 1]);
    sqlite.close();
  });

  it('takes back a transaction that throws', () => {
    const sqlite = open();
    const insert = sqlite.db.prepare('INSERT INTO entry (bytes) VALUES (?)');
    expect(() =>
      sqlite.transact(() => {
        insert.run(utf8('a'));
        throw new Error('changed my mind');
      }),
    ).toThrow('changed my mind');
    expect(sqlite.db.prepare('SELECT count(*) AS n FROM entry').get()).toEqual({ n: 0 });
    sqlite.close();
  });

  it('runs each migration once, and refuses a file of a later version or of another store', () => {
    open().close();
    open({ migrations: [...MIGRATIONS, 'ALTER TABLE entry ADD COLUMN more TEXT'] }).close();
    open({ migrations: [...MIGRATIONS, 'ALTER TABLE entry ADD COLUMN more TEXT'] }).close();
    expect(() => open()).toThrow(expect.objectContaining({ code: 'STORE_NEWER' }));
    expect(() => open({ applicationId: 8 })).toThrow(expect.objectContaining({ code: 'STORE_CORRUPT' }));
  });

  it('names a folder that cannot be made', () => {
    writeFileSync(join(folder, 'plain'), 'a file');
    expect(() => open({ file: join(folder, 'plain', 'a.sqlite') })).toThrow(expect.objectContaining({ code: 'STORE_IO' }));
  });

  const stores: readonly { readonly name: string; readonly file: string; readonly write: (folder: string) => Promise<void>; readonly read: (folder: string) => Promise<unknown> }[] = [
    {
      name: 'key-value', file: 'kv.sqlite',
      write: async (at) => {
        const store = openSqliteKeyValueStore(join(at, 'kv.sqlite'));
        await store.write(new Map(Array.from({ length: 200 }, (_, n) => [`key-${n}`, new Uint8Array(500)])));
        await store.close();
      },
      read: async (at) => openSqliteKeyValueStore(join(at, 'kv.sqlite')).list(''),
    },
    {
      name: 'record', file: 'records.sqlite',
      write: async (at) => {
        const store = openSqliteRecordStore(join(at, 'records.sqlite'));
        await store.addDeliveries({ deliveries: [delivery('d1', { count: 200 })], records: Array.from({ length: 200 }, (_, n) => record(`r${n}`, { position: n })), replaces: new Map() });
        await store.close();
      },
      read: async (at) => openSqliteRecordStore(join(at, 'records.sqlite')).scan({ limit: 1_000 }),
    },
    {
      name: 'body', file: 'small.sqlite',
      write: async (at) => {
        const store = openBlobStore({ folder: at });
        await store.put(Array.from({ length: 200 }, (_, n) => ({ id: `r${n}`, bytes: new Uint8Array(500) })));
        await store.close();
      },
      read: async (at) => openBlobStore({ folder: at }).list({ limit: 1_000 }),
    },
  ];

  it.each(stores)('of the $name store is named when its pages are overwritten or it is cut off', async ({ file, write, read }) => {
    await write(folder);
    const path = join(folder, file);
    const good = readFileSync(path);
    const damages = [good.subarray(0, Math.floor(good.length / 2)), Buffer.concat([good.subarray(0, 4_096), Buffer.alloc(good.length - 4_096, 0xa5)]), Buffer.alloc(good.length, 0x20)];
    for (const damaged of damages) {
      writeFileSync(path, damaged);
      for (const suffix of ['-wal', '-shm']) rmSync(`${path}${suffix}`, { force: true });
      const outcome = await Promise.resolve().then(() => read(folder)).then(() => 'read as if nothing were wrong', (error: unknown) => error);
      expect(outcome).toMatchObject({ code: 'STORE_CORRUPT', details: { file: path } });
    }
  });
});
