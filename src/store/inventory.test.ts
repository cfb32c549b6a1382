import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openSqliteKeyValueStore } from './sqlite-kv.ts';
import { openTreeStore } from './tree-store.ts';

describe('a store file that was here before', () => {
  let folder: string;
  let file: string;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'healthkeep-inventory-'));
    file = join(folder, 'state.sqlite');
    await openSqliteKeyValueStore(file).close();
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  const refusal = (): unknown => {
    try {
      void openSqliteKeyValueStore(file).close();
      return 'opened as if nothing were wrong';
    } catch (error) {
      return error;
    }
  };
  const missing = expect.objectContaining({ code: 'STORE_MISSING', details: expect.objectContaining({ file: expect.stringContaining('state.sqlite') }) });

  it.each([
    ['gone', () => rmSync(file)],
    ['empty', () => truncateSync(file)],
  ])('and is %s is missed, not begun anew', (_, take) => {
    take();
    for (const suffix of ['-wal', '-shm']) rmSync(`${file}${suffix}`, { force: true });
    expect(refusal()).toEqual(missing);
    expect(refusal()).toEqual(missing);
  });

  it('may be given up by taking its line out', () => {
    rmSync(file);
    writeFileSync(join(folder, 'inventory.txt'), '');
    expect(refusal()).toBe('opened as if nothing were wrong');
  });

  it('does not make its neighbours missed: a second store of the folder is new', async () => {
    await openSqliteKeyValueStore(join(folder, 'other.sqlite')).close();
    rmSync(file);
    expect(refusal()).toEqual(missing);
  });

  it('and can be made again from the ledger is not missed', () => {
    openTreeStore(join(folder, 'tree.sqlite')).close();
    rmSync(join(folder, 'tree.sqlite'));
    expect(() => openTreeStore(join(folder, 'tree.sqlite')).close()).not.toThrow();
  });
});
