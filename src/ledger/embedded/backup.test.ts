/** Copies under load, restored and checked; damaged ones refused by name; state made again from blocks alone. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fakeClock, seededRandom } from '#sim/seams.ts';
import { backupFolder, restoreFolder } from './backup.ts';
import { checkFolder } from './corruption.ts';
import { contentOf, flipBit } from './corruption.test-kit.ts';
import { changeMixedConfig, MIXED, mixedKeys, openMixed, writeMixed, type MixedLedger } from './mixed-chain.test-kit.ts';
import { rebuildFolder } from './rebuild.ts';

const clock = fakeClock(Date.UTC(2026, 0, 6));
const folder = mkdtempSync(join(tmpdir(), 'healthkeep-backup-'));
const place = join(folder, 'ledger');
let keys: Awaited<ReturnType<typeof mixedKeys>>;
let live: MixedLedger;
let copies = 0;
const fresh = (): string => join(folder, `new-${++copies}`);
const copyOf = (from: string): string => {
  const to = fresh();
  cpSync(from, to, { recursive: true });
  return to;
};
const file = `${MIXED}.sqlite`;

beforeAll(async () => {
  keys = await mixedKeys();
  live = await openMixed(place, keys);
  await writeMixed(live, 24);
  await changeMixedConfig(live, keys);
});
afterAll(async () => {
  await live.ledger.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('a backup', () => {
  it('made while eight writers write holds one height, and restores to a ledger that goes on', async () => {
    const to = fresh();
    const before = live.ledger.height(MIXED);
    const writing = writeMixed(live, 80, { seed: 'load' });
    const { channels } = await backupFolder({ folder: place, to, clock });
    await writing;
    const [copied] = channels;
    expect(copied?.height).toBeGreaterThanOrEqual(before);
    expect(live.ledger.height(MIXED)).toBeGreaterThan(copied?.height as number);
    const restored = fresh();
    const facts = await restoreFolder({ from: to, to: restored });
    expect(facts).toMatchObject({ findings: [], remarks: [], channels: [{ height: copied?.height, lastHash: copied?.lastHash, commitHash: copied?.commitHash }] });
    const again = await openMixed(restored, keys);
    expect(await again.client.evaluate(again.run(['get', 'counter']))).not.toEqual(['']);
    await writeMixed(again, 8, { seed: 'again' });
    await again.ledger.replay(MIXED);
    await again.ledger.close();
  });

  it('many of them under load are all whole', async () => {
    let writing = true;
    const load = writeMixed(live, 160, { seed: 'more load' }).finally(() => (writing = false));
    const heights: number[] = [];
    while (writing) {
      const to = fresh();
      const { channels: [channel] } = await backupFolder({ folder: place, to, clock });
      heights.push(channel?.height ?? -1);
      expect((await checkFolder({ folder: to })).channels).toMatchObject([{ height: channel?.height }]);
    }
    await load;
    expect(heights.length).toBeGreaterThan(1);
    expect(new Set(heights).size).toBeGreaterThan(1);
  });

  it('is refused into a folder that holds something, and leaves nothing when it fails', async () => {
    const filled = fresh();
    mkdirSync(filled);
    writeFileSync(join(filled, 'kept.txt'), 'mine');
    await expect(backupFolder({ folder: place, to: filled, clock })).rejects.toMatchObject({ code: 'LEDGER_BACKUP_REFUSED' });
    expect(readdirSync(filled)).toEqual(['kept.txt']);
    const lost = fresh();
    mkdirSync(lost);
    writeFileSync(join(lost, 'channels.txt'), 'gone\n');
    await expect(backupFolder({ folder: lost, to: join(folder, 'never'), clock })).rejects.toMatchObject({ code: 'LEDGER_MISSING' });
    expect(readdirSync(folder).filter((name) => name.startsWith('never'))).toEqual([]);
  });

  it('keeps a ledger that does not run from starting meanwhile', async () => {
    const still = fresh();
    const closed = await openMixed(still, keys);
    await closed.ledger.close();
    const to = fresh();
    const making = backupFolder({ folder: still, to, clock });
    await expect(openMixed(still, keys)).rejects.toMatchObject({ code: 'LEDGER_IN_USE' });
    await making;
    await (await openMixed(still, keys)).ledger.close();
  });
});

describe('restoring', () => {
  let backup: string;
  beforeAll(async () => {
    backup = fresh();
    await backupFolder({ folder: place, to: backup, clock });
  });
  const sql = (at: string, text: string): void => {
    const database = new DatabaseSync(join(at, file));
    database.exec(text);
    database.close();
  };

  it.each<readonly [string, (at: string) => void, string]>([
    ['a bit of a channel file', (at) => void flipBit(at, { name: file, bit: 1_000_003 }), file],
    ['the end of a channel file', (at) => truncateSync(join(at, file), 8192), file],
    ['a channel file', (at) => rmSync(join(at, file)), file],
    ['the manifest', (at) => rmSync(join(at, 'manifest.json')), 'manifest.json'],
    ['a height in the manifest', (at) => writeFileSync(join(at, 'manifest.json'), readFileSync(join(at, 'manifest.json'), 'utf8').replace(/"height":\d+/, '"height":3')), 'manifest.json'],
    ['a space in the manifest', (at) => writeFileSync(join(at, 'manifest.json'), `${readFileSync(join(at, 'manifest.json'), 'utf8')} `), 'manifest.json'],
    ['a row, by hand', (at) => sql(at, "UPDATE state SET value = x'00' WHERE key = CAST('counter' AS BLOB)"), file],
  ])('a backup with %s damaged is refused, named, and nothing is left', async (_what, damage, named) => {
    const from = copyOf(backup);
    damage(from);
    const to = fresh();
    await expect(restoreFolder({ from, to })).rejects.toMatchObject({ code: 'LEDGER_BACKUP_DAMAGED', details: { file: named } });
    expect(readdirSync(folder).filter((name) => name.startsWith(to.slice(folder.length + 1)))).toEqual([]);
  });

  it('every single bit of the manifest and every byte of a file counts', async () => {
    const random = seededRandom('manifest');
    const from = copyOf(backup);
    for (const name of ['manifest.json', file]) {
      const bits = readFileSync(join(from, name)).length * 8;
      for (let turn = 0; turn < 30; turn++) {
        const back = flipBit(from, { name, bit: Buffer.from(random.bytes(6)).readUIntBE(0, 6) % bits });
        await expect(restoreFolder({ from, to: join(folder, 'none') }), name).rejects.toMatchObject({ code: 'LEDGER_BACKUP_DAMAGED' });
        back();
      }
    }
  });

  it('refuses a folder that is in use or holds something', async () => {
    const before = live.ledger.height(MIXED);
    await expect(restoreFolder({ from: backup, to: place })).rejects.toMatchObject({ code: 'LEDGER_BACKUP_REFUSED' });
    expect(live.ledger.height(MIXED)).toBe(before);
    await live.client.submit(live.run(['put', 'still', 'here']));
  });
});

describe('rebuilding from blocks alone', () => {
  it('gives the same state; private values are not in blocks, and their absence is named', async () => {
    const blocks = fresh();
    await backupFolder({ folder: place, to: blocks, clock, blocksOnly: true });
    expect(readdirSync(blocks).sort()).toEqual(['manifest.json', `${MIXED}.blocks`]);
    await expect(restoreFolder({ from: blocks, to: fresh() })).rejects.toMatchObject({ code: 'LEDGER_BACKUP_REFUSED' });
    const to = fresh();
    const facts = await rebuildFolder({ from: blocks, to });
    expect(facts).toMatchObject({ findings: [], channels: [{ height: live.ledger.height(MIXED) }] });
    expect(facts.remarks[0]).toMatchObject({ file, place: 'table private, probe own', what: expect.stringMatching(/^\d+ values are not here/) });
    const again = await openMixed(to, keys);
    expect(await again.client.evaluate(again.run(['get', 'counter'], ['get', 'still']))).toEqual(await live.client.evaluate(live.run(['get', 'counter'], ['get', 'still'])));
    await writeMixed(again, 8, { seed: 'rebuilt' });
    await again.ledger.replay(MIXED);
    await again.ledger.close();
  });

  it('repairs a folder whose state is damaged, private values that still fit included', async () => {
    const source = fresh();
    await backupFolder({ folder: place, to: source, clock });
    const content = contentOf(source);
    const database = new DatabaseSync(join(source, file));
    database.exec("UPDATE state SET value = x'00' WHERE key = CAST('counter' AS BLOB); DELETE FROM history; UPDATE transactions SET code = 7");
    database.close();
    expect((await checkFolder({ folder: source })).findings).not.toEqual([]);
    const to = fresh();
    expect(await rebuildFolder({ from: source, to })).toMatchObject({ findings: [], remarks: [] });
    expect(contentOf(to)).toBe(content);
  });

  it('takes blocks that another member handed over for a file that cannot be opened', async () => {
    const source = fresh();
    await backupFolder({ folder: place, to: source, clock, blocksOnly: true });
    writeFileSync(join(source, file), 'not a database '.repeat(1_000));
    expect(await rebuildFolder({ from: source, to: fresh() })).toMatchObject({ findings: [] });
  });

  it('refuses blocks that are not the chain, and a folder without any', async () => {
    const source = fresh();
    await backupFolder({ folder: place, to: source, clock, blocksOnly: true });
    flipBit(source, { name: `${MIXED}.blocks`, bit: 300_001 });
    const to = fresh();
    await expect(rebuildFolder({ from: source, to })).rejects.toMatchObject({ code: expect.stringMatching(/^LEDGER_(CHAIN_BROKEN|BACKUP_DAMAGED)$/) });
    expect(existsSync(to)).toBe(false);
    const empty = fresh();
    mkdirSync(empty);
    await expect(rebuildFolder({ from: empty, to })).rejects.toMatchObject({ code: 'LEDGER_BACKUP_REFUSED' });
    await expect(rebuildFolder({ from: place, to })).rejects.toMatchObject({ code: 'LEDGER_IN_USE' });
  });
});
