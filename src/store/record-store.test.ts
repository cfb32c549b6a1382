import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { blobStoreSuite } from './conformance/blob-store.ts';
import { delivery, record, recordStoreSuite } from './conformance/record-store.ts';
import { openBlobStore } from './blob-store.ts';
import { openSqliteRecordStore } from './record-store.ts';

function scratch(): string {
  return mkdtempSync(join(tmpdir(), 'healthkeep-store-'));
}

recordStoreSuite('SQLite', () => {
  const folder = scratch();
  const open = () => openSqliteRecordStore(join(folder, 'records.sqlite'));
  const stores = [open()];
  const reopen = () => {
    stores.push(open());
    return stores.at(-1) as (typeof stores)[number];
  };
  return { store: stores[0] as (typeof stores)[number], reopen, dispose: async () => (await Promise.all(stores.map((store) => store.close())), rmSync(folder, { recursive: true })) };
});

blobStoreSuite('SQLite and files', () => {
  const folder = scratch();
  // A low limit, so that both kinds of body are met.
  const open = () => openBlobStore({ folder, inlineBytes: 100 });
  const stores = [open()];
  const reopen = () => {
    stores.push(open());
    return stores.at(-1) as (typeof stores)[number];
  };
  return { store: stores[0] as (typeof stores)[number], reopen, dispose: async () => (await Promise.all(stores.map((store) => store.close())), rmSync(folder, { recursive: true })) };
});

/** Every byte of every file below a folder. */
function allBytes(folder: string): Buffer {
  return Buffer.concat(readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => readFileSync(join(entry.parentPath, entry.name))));
}

describe('shredding', () => {
  const folders: string[] = [];
  afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true })));

  it('leaves no byte of keys, rows and tags in any file, logs and free pages included', async () => {
    const folder = scratch();
    folders.push(folder);
    const store = openSqliteRecordStore(join(folder, 'records.sqlite'));
    const marked = (id: string) => record(id, { position: Number(id.slice(1)), sealedRow: Buffer.from(`ROW-${id}-`.repeat(150)) as never, wrappedKeys: Buffer.from(`KEYS-${id}-`.repeat(12)) as never, commitment: Buffer.from(`COMMITMENT-${id}-`) as never, signature: Buffer.from(`SIGNATURE-${id}-`) as never, contentTag: Buffer.from(`TAG-${id}-`) as never, sourceKey: `SOURCE-${id}-` });
    const records = Array.from({ length: 300 }, (_, at) => marked(`r${at}`));
    await store.addDeliveries({ deliveries: [delivery('d1', { count: 300 })], records, replaces: new Map() });
    await store.markAnchored(records.map(({ id }) => id), { txId: 't', blockNumber: 1 });
    const gone = records.filter((_, at) => at % 3 === 0).map(({ id }) => id);
    expect(allBytes(folder).includes('ROW-r3-')).toBe(true);
    await store.shred(gone);
    const left = allBytes(folder);
    for (const id of gone) for (const word of ['ROW', 'KEYS', 'COMMITMENT', 'SIGNATURE', 'TAG', 'SOURCE'].map((name) => `${name}-${id}-`)) expect(left.includes(word), word).toBe(false);
    expect(left.includes('ROW-r1-')).toBe(true);
    await store.close();
  });

  it('leaves no byte of a body, small or large', async () => {
    const folder = scratch();
    folders.push(folder);
    const store = openBlobStore({ folder, inlineBytes: 5_000 });
    const body = (id: string, size: number) => ({ id, bytes: Buffer.from(`BODY-${id}-`.repeat(size)) as never });
    await store.put([...Array.from({ length: 50 }, (_, at) => body(`s${at}`, 100)), body('large', 9_000)]);
    expect(allBytes(folder).includes('BODY-large-')).toBe(true);
    await store.shred(['s7', 's8', 'large']);
    const left = allBytes(folder);
    for (const id of ['s7', 's8', 'large']) expect(left.includes(`BODY-${id}-`), id).toBe(false);
    expect(left.includes('BODY-s9-')).toBe(true);
    await store.close();
  });
});
