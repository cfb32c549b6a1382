import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { utf8, type Bytes } from '#base/bytes.ts';
import { openSqliteKeyValueStore } from './sqlite-kv.ts';

const folders: string[] = [];
function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'healthkeep-kv-'));
  folders.push(folder);
  return join(folder, 'state.sqlite');
}
afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true, force: true })));

describe('the SQLite key-value store', () => {
  it('behaves as a sorted map, whatever the keys', async () => {
    // Code units, not code points: lone surrogates and astral characters included.
    const key = fc.array(fc.constantFrom('a', 'b', '/', '\u0000', '\ud83d', '\ude00', '\ue000', '\uffff'), { maxLength: 4 }).map((units) => units.join(''));
    const batch = fc.array(fc.tuple(key, fc.option(fc.uint8Array({ maxLength: 4 }), { nil: undefined })), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(fc.array(batch, { maxLength: 6 }), key, fc.option(key, { nil: undefined }), fc.option(fc.integer({ min: 0, max: 4 }), { nil: undefined }), async (batches, prefix, after, limit) => {
        const store = openSqliteKeyValueStore(':memory:');
        const model = new Map<string, Bytes>();
        for (const changes of batches) {
          await store.write(new Map(changes) as Map<string, Bytes | undefined>);
          for (const [name, value] of new Map(changes)) if (value === undefined) model.delete(name); else model.set(name, value as Bytes);
        }
        const expected = [...model.entries()].filter(([name]) => name.startsWith(prefix) && (after === undefined || name > after)).sort(([a], [b]) => (a < b ? -1 : 1)).slice(0, limit ?? model.size);
        const listed = await store.list(prefix, { ...(after === undefined ? {} : { after }), ...(limit === undefined ? {} : { limit }) });
        expect(listed.map(([name, value]) => [name, [...value]])).toEqual(expected.map(([name, value]) => [name, [...value]]));
        for (const [name, value] of model) expect([...((await store.get(name)) ?? [])]).toEqual([...value]);
        await store.close();
      }),
      { numRuns: 150 },
    );
  });

  it('keeps what was written when opened again without a close', async () => {
    const file = scratch();
    const store = openSqliteKeyValueStore(file);
    await Promise.all([store.write(new Map([['a', utf8('1')]])), store.write(new Map([['b', utf8('2')]]))]);
    const again = openSqliteKeyValueStore(file);
    expect((await again.list('')).map(([key]) => key)).toEqual(['a', 'b']);
    await again.close();
    await store.close();
  });

  it('takes the map as it was when write was called', async () => {
    const store = openSqliteKeyValueStore(':memory:');
    const changes = new Map<string, Bytes | undefined>([['a', utf8('1')]]);
    const written = store.write(changes);
    changes.set('b', utf8('2'));
    await written;
    expect(await store.get('b')).toBeUndefined();
    await store.close();
  });

  it('names the damaged file: not a database, cut short, or one value changed', async () => {
    const file = scratch();
    const canary = 'x'.repeat(64);
    const store = openSqliteKeyValueStore(file);
    await store.write(new Map([['a', utf8(canary)]]));
    await store.close();
    const good = readFileSync(file);

    const changed = Buffer.from(good);
    changed[changed.indexOf(canary) + 5] = 0x79;
    writeFileSync(file, changed);
    const damaged = openSqliteKeyValueStore(file);
    await expect(damaged.get('a')).rejects.toMatchObject({ code: 'STORE_CORRUPT', details: { file } });
    await damaged.close();

    writeFileSync(file, 'this is not a database, whatever its name says. '.repeat(40));
    expect(() => openSqliteKeyValueStore(file)).toThrow(expect.objectContaining({ code: 'STORE_CORRUPT', details: expect.objectContaining({ file }) }));
  });

  it('refuses writes after close with a code', async () => {
    const store = openSqliteKeyValueStore(':memory:');
    await store.close();
    await expect(store.write(new Map([['a', utf8('1')]]))).rejects.toMatchObject({ code: 'STORE_CLOSED' });
  });

  it('leaves nothing of a deleted value in any file once it was scrubbed', async () => {
    const file = scratch();
    const store = openSqliteKeyValueStore(file);
    const secret = utf8('SECRET-'.repeat(2_000));
    await store.write(new Map([['key', secret]]));
    await store.write(new Map([['key', undefined]]));
    const held = (): boolean => [file, `${file}-wal`].some((name) => readFileSync(name).includes('SECRET-SECRET-'));
    expect(held()).toBe(true);
    await store.scrub?.();
    expect(held()).toBe(false);
    await store.close();
  });
});
