/** Damage of every kind, each named by file and place; what carries nothing may change. */
import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seededRandom } from '#sim/seams.ts';
import { checkFolder } from './corruption.ts';
import { bitsOf, countFlips, flipBit, makeFolders, type Flip } from './corruption.test-kit.ts';
import { MIXED, mixedKeys, openMixed, writeMixed } from './mixed-chain.test-kit.ts';
import { openChannelStore } from './channel-store.ts';

const folder = mkdtempSync(join(tmpdir(), 'healthkeep-damage-'));
let closed: string;
let killed: string;
let copies = 0;
beforeAll(async () => {
  ({ closed, killed } = await makeFolders(folder));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const file = `${MIXED}.sqlite`;
function copyOf(place: string): string {
  const copy = join(folder, `copy-${++copies}`);
  cpSync(place, copy, { recursive: true });
  return copy;
}
const rewrite = (place: string, change: (bytes: Buffer) => Uint8Array): void => writeFileSync(place, change(readFileSync(place)));
function sql(place: string, text: string): void {
  const database = new DatabaseSync(join(place, file));
  database.exec(text);
  database.close();
}
const PAGE = 4096;
const swapPages = (bytes: Buffer, a: number, b: number): Buffer => {
  const out = Buffer.from(bytes);
  bytes.copy(out, (a - 1) * PAGE, (b - 1) * PAGE, b * PAGE);
  bytes.copy(out, (b - 1) * PAGE, (a - 1) * PAGE, a * PAGE);
  return out;
};

describe('a whole ledger folder', () => {
  it('has no findings, closed or killed, and is left as it was', async () => {
    const before = readFileSync(join(closed, file));
    for (const place of [closed, killed]) {
      const { findings, remarks, channels } = await checkFolder({ folder: copyOf(place) });
      expect({ findings, remarks }).toEqual({ findings: [], remarks: [] });
      expect(channels).toMatchObject([{ channel: MIXED, format: 2, height: expect.any(Number) }]);
    }
    await checkFolder({ folder: closed });
    expect(readFileSync(join(closed, file)).equals(before)).toBe(true);
  });

  it('can be checked while eight writers write', async () => {
    const place = join(folder, 'live');
    const live = await openMixed(place, await mixedKeys());
    const writing = writeMixed(live, 60);
    const { findings, channels } = await checkFolder({ folder: place, live: true });
    await writing;
    const height = live.ledger.height(MIXED);
    expect(findings).toEqual([]);
    expect(channels[0]?.height).toBeGreaterThan(0);
    expect((await checkFolder({ folder: place, live: true })).channels).toMatchObject([{ height }]);
    await live.ledger.close();
  });
});

type Damage = (place: string) => void;
const text = (part: string): unknown => expect.stringContaining(part);

describe('a damaged ledger folder', () => {
  it.each<readonly [string, () => string, Damage, object]>([
    ['the file is gone', () => closed, (place) => rmSync(join(place, file)), { file, place: 'the file', what: text('gone') }],
    ['the file is empty', () => closed, (place) => truncateSync(join(place, file), 0), { file, place: 'the file' }],
    ['the list of channels is gone', () => closed, (place) => rmSync(join(place, 'channels.txt')), { file: 'channels.txt', place: 'the list' }],
    ['the list names another channel', () => closed, (place) => writeFileSync(join(place, 'channels.txt'), 'nixed\n'), { file: 'nixed.sqlite' }],
    ['the log is gone', () => killed, (place) => rmSync(join(place, `${file}-wal`)), { file: `${file}-wal`, place: 'the file', what: text('gone') }],
    ['the log is that of another moment', () => killed, (place) => rewrite(join(place, `${file}-wal`), (bytes) => Buffer.concat([bytes.subarray(0, 32), bytes.subarray(32 + 24 + PAGE)])), { file: `${file}-wal`, place: 'byte 32' }],
    ['a frame of the log is there twice', () => killed, (place) => rewrite(join(place, `${file}-wal`), (bytes) => Buffer.concat([bytes.subarray(0, 32 + 2 * (24 + PAGE)), bytes.subarray(32 + 24 + PAGE)])), { file: `${file}-wal`, place: `byte ${32 + 2 * (24 + PAGE)}` }],
    ['the log was cut off inside a block', () => killed, (place) => truncateSync(join(place, `${file}-wal`), 32 + 3 * (24 + PAGE)), { file, place: text('of the log') }],
    ['the head is overwritten', () => closed, (place) => rewrite(join(place, file), (bytes) => bytes.fill(0xa5, 0, 100)), { file, place: 'bytes 68 to 71' }],
    ['the file was cut in half', () => closed, (place) => truncateSync(join(place, file), 25 * PAGE), { file }],
    ['two pages were exchanged', () => closed, (place) => rewrite(join(place, file), (bytes) => swapPages(bytes, 20, 30)), { file }],
    ['a page is there twice', () => closed, (place) => rewrite(join(place, file), (bytes) => Buffer.concat([bytes.subarray(0, 20 * PAGE), bytes.subarray(19 * PAGE)])), { file }],
    ['a block is changed', () => closed, (place) => sql(place, 'UPDATE blocks SET bytes = CAST(bytes || x\'00\' AS BLOB) WHERE number = 3'), { file, place: 'block 3' }],
    ['two blocks were exchanged', () => closed, (place) => sql(place, 'UPDATE blocks SET number = -number WHERE number IN (4, 5); UPDATE blocks SET number = 9 + number WHERE number < 0'), { file, place: 'block 4' }],
    ['a block is missing', () => closed, (place) => sql(place, 'DELETE FROM blocks WHERE number = 6'), { file, place: 'block 6' }],
    ['a block and its digest are changed', () => closed, (place) => sql(place, 'UPDATE blocks SET bytes = (SELECT bytes FROM blocks WHERE number = 5), hash = (SELECT hash FROM blocks WHERE number = 5) WHERE number = 7; UPDATE digests SET digest = (SELECT digest FROM digests WHERE block = 5) WHERE block = 7'), { file, place: 'block 7' }],
    ['the first facts are changed', () => closed, (place) => sql(place, "UPDATE facts SET value = CAST('{}' AS BLOB) WHERE name = 'firstConfig'"), { file, place: 'block 0' }],
    ['the commit hash is changed', () => closed, (place) => sql(place, "UPDATE facts SET value = zeroblob(32) WHERE name = 'commitHash'"), { file, place: 'table facts' }],
    ['a state value is changed', () => closed, (place) => sql(place, "UPDATE state SET value = x'00' WHERE namespace = 'probe' AND key = CAST('counter' AS BLOB)"), { file, place: 'table state' }],
    ['a verdict in the index is changed', () => closed, (place) => sql(place, 'UPDATE transactions SET code = 11 WHERE tx_id = (SELECT min(tx_id) FROM transactions)'), { file, place: 'table transactions' }],
    ['history is cut', () => closed, (place) => sql(place, 'DELETE FROM history WHERE block = 4'), { file, place: 'table history' }],
    ['a private value is changed', () => closed, (place) => sql(place, "UPDATE private SET value = x'00' WHERE collection = 'own' AND key_hash = (SELECT min(key_hash) FROM private WHERE collection = 'own')"), { file, place: text('table private, probe own'), what: text('value is not the one') }],
    ['the life of a private value is changed', () => closed, (place) => sql(place, 'UPDATE private SET expires = 1000000'), { file, place: text('table private') }],
    ['a private value is missing', () => closed, (place) => sql(place, "DELETE FROM private WHERE collection = 'own' AND key_hash = (SELECT min(key_hash) FROM private WHERE collection = 'own')"), { file, place: 'table private, probe own', what: text('1 values are not here') }],
    ['an index was dropped', () => closed, (place) => sql(place, 'DROP INDEX private_by_expiry'), { file, place: 'definition of private_by_expiry' }],
    ['the format is one to come', () => closed, (place) => sql(place, 'PRAGMA user_version = 9'), { file, place: 'bytes 60 to 63' }],
  ])('%s: named', async (_name, from, damage, wanted) => {
    const place = copyOf(from());
    damage(place);
    const { findings, remarks } = await checkFolder({ folder: place });
    expect([...findings, ...remarks][0]).toMatchObject(wanted);
    expect(findings.length > 0 || remarks.length === 1).toBe(true);
  });

  it('notices single bits, in the file and in the log', async () => {
    const random = seededRandom('bits');
    const flips = (place: string, name: string, count: number): Flip[] => Array.from({ length: count }, () => ({ name, bit: Buffer.from(random.bytes(6)).readUIntBE(0, 6) % bitsOf(place, name) }));
    const inFile = await countFlips(copyOf(closed), flips(closed, file, 60));
    const inLog = await countFlips(copyOf(killed), flips(killed, `${file}-wal`, 60));
    expect([inFile.missed, inLog.missed, inLog.noticed]).toEqual([[], [], 60]);
    expect(inFile.noticed).toBeGreaterThan(20);
  });
});

describe('a damaged log', () => {
  const open = (place: string): void => openChannelStore({ channel: MIXED, file: join(place, file), durable: true }).close();
  const heightOf = async (place: string): Promise<number> => (await checkFolder({ folder: place })).channels[0]?.height ?? -1;

  it('stops the ledger when acknowledged blocks would be forgotten', () => {
    const place = copyOf(killed);
    flipBit(place, { name: `${file}-wal`, bit: (32 + 24 + 100) * 8 });
    expect(() => open(place)).toThrow(expect.objectContaining({ code: 'LEDGER_CORRUPT', details: expect.objectContaining({ offset: 32, file: text('.sqlite-wal') }) }));
  });

  it('does not stop it when only the last write can be meant, which a power cut may tear', async () => {
    const place = copyOf(killed);
    const height = await heightOf(place);
    flipBit(place, { name: `${file}-wal`, bit: bitsOf(killed, `${file}-wal`) - 800 });
    open(place);
    expect(await heightOf(place)).toBe(height - 1);
  });

  it('is folded into the file when a killed ledger opens again, so that nothing old lies behind what comes', async () => {
    const place = copyOf(killed);
    const height = await heightOf(place);
    const store = openChannelStore({ channel: MIXED, file: join(place, file), durable: true });
    expect(readFileSync(join(place, `${file}-wal`)).length).toBe(0);
    store.close();
    expect(await heightOf(place)).toBe(height);
  });
});
