/** Power cuts, simulated from recorded system calls. How, and why that is faithful: docs/durability.md. More of them: power-cut.slow.ts. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, describe, expect, it } from 'vitest';
import { readLog } from './channel-log.ts';
import { referenceOf, survey } from './power-cut-check.test-kit.ts';
import { syncOrder } from './sync-order.test-kit.ts';
import { fastFolder, record, straceWorks } from './trace.test-kit.ts';

const home = fastFolder('power-cut');
afterAll(() => rmSync(home, { recursive: true, force: true }));

describe('strace for these tests', () => {
  it.runIf(process.env['HEALTHKEEP_REQUIRE_STRACE'] === '1')('is here', () => {
    expect(straceWorks, 'strace is missing or may not trace').toBe(true);
  });
});

describe('a log whose last transaction is torn in the middle of a frame header', () => {
  it('is not taken for damaged because an older round had a commit there', () => {
    const file = join(home, 'torn.sqlite');
    const database = new DatabaseSync(file);
    database.exec('PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (bytes BLOB)');
    for (let turn = 0; turn < 60; turn++) database.exec('INSERT INTO t VALUES (randomblob(10))');
    database.exec('PRAGMA wal_checkpoint(RESTART)');
    const older = readFileSync(`${file}-wal`);
    database.exec("INSERT INTO t SELECT randomblob(4000) FROM (WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 55) SELECT i FROM n)");
    const newer = readFileSync(`${file}-wal`);
    database.close();
    let torn = 0;
    for (let offset = 32 + 4120; offset < 32 + 50 * 4120; offset += 4120) {
      const sector = (Math.floor(offset / 512) + 1) * 512;
      if (sector >= offset + 24) continue;
      const state = Uint8Array.from(newer);
      state.set(older.subarray(offset, sector), offset);
      writeFileSync(`${file}-wal`, state);
      expect(readLog(file).lost).toMatchObject({ synced: false });
      torn++;
    }
    expect(torn).toBeGreaterThan(0);
  });
});

describe.skipIf(!straceWorks)('an embedded ledger whose power is cut', () => {
  it('has every acknowledged transaction, and no half block, in every state that the disk may be left in', async () => {
    const recording = await record({ home, shape: { turns: 2 } });
    const operations = recording.operations();
    const order = syncOrder(operations);
    expect(order.early).toEqual([]);
    expect(order.acknowledged).toBe(64);
    const looking = { plan: recording.plan, root: recording.root, scratch: join(home, 'scratch') };
    const { reference, violations } = await referenceOf(operations, looking);
    expect(violations).toEqual([]);
    expect([...reference.keys()].sort()).toEqual(['one', 'three', 'two']);
    const surveyed = await survey(operations, { ...looking, reference, count: 500, seed: 1, part: 0, parts: 1, wholeEvery: 50 });
    expect(surveyed.violations).toEqual([]);
    expect(surveyed.states).toBeGreaterThan(480);
    expect(surveyed.whole).toBeGreaterThan(8);
  });
});
