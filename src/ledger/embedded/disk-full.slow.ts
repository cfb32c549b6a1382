/**
 * A disk that is really full: an 8 MiB tmpfs, filled up to a random offset a hundred times while transactions come. Needs the
 * right to mount; where there is none it is left out, the output says so, and only the file's own bound is tried
 * (failure.test.ts, health.test.ts).
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { CodedError, isCoded } from '#base/errors.ts';
import { systemRandom } from '#sim/seams.ts';
import { checkFolder } from './corruption.ts';
import { withHealth } from './health.ts';
import { MIXED, mixedKeys, openMixed, type MixedLedger } from './mixed-chain.test-kit.ts';

const FILLS = Number(process.env['HEALTHKEEP_FILLS'] ?? 100);
const SIZE = 8 * 1024 * 1024;
const place = mkdtempSync(join(tmpdir(), 'healthkeep-full-'));
const disk = join(place, 'disk');
mkdirSync(disk);
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'tmpfs', disk]).status === 0;
if (!mounted) console.warn('NO RIGHT TO MOUNT: a ledger on a full disk is not tested in this run.');
afterAll(() => {
  if (mounted) spawnSync('umount', ['-l', disk]);
  rmSync(place, { recursive: true, force: true });
});

const dice = (sides: number): number => Buffer.from(systemRandom.bytes(4)).readUInt32BE() % sides;
const filler = join(disk, 'filler');
const free = (): number => {
  const { bavail, bsize } = statfsSync(disk);
  return bavail * bsize;
};
/** Leaves so many bytes. */
const fill = (left: number): void => writeFileSync(filler, new Uint8Array(Math.max(0, free() - left)));

async function readyOf({ ledger }: MixedLedger): Promise<{ readonly status: number; readonly body: unknown }> {
  const response = await withHealth(ledger.health, async () => new Response(null, { status: 404 }))(new Request('http://127.0.0.1/readyz'));
  return { status: response.status, body: await response.json() };
}

/** Writes until the disk is full; tells what was acknowledged. */
async function writeUntilFull(mixed: MixedLedger, round: number): Promise<string[]> {
  const kept: string[] = [];
  for (let turn = 0; turn < 400; turn++) {
    const key = `${round}.${turn}`;
    try {
      await mixed.client.submit(mixed.run(['put', key, key], ['putPrivate', 'own', key, key], ['putLong', `long ${turn % 4}`, 1_000 + dice(60_000)]));
      kept.push(key);
    } catch (error) {
      if (!isCoded(error, 'LEDGER_DISK_FULL')) throw error;
      return kept;
    }
  }
  throw new CodedError('TEST', 'The disk never filled.');
}

async function allThere(mixed: MixedLedger, keys: readonly string[]): Promise<void> {
  const asked = keys.slice(-20);
  expect(await mixed.client.evaluate(mixed.run(...asked.flatMap((key) => [['get', key], ['getPrivate', 'own', key]] as const)))).toEqual(asked.flatMap((key) => [key, key]));
}

describe.skipIf(!mounted)('a ledger on a full disk', () => {
  it(`refuses cleanly, goes on reading, says so and resumes, ${FILLS} times, and nothing is damaged`, async () => {
    const folder = join(disk, 'ledger');
    const keys = await mixedKeys();
    let mixed = await openMixed(folder, keys);
    let [acknowledged, reopened, begun, mostLog] = [0, 0, 0, 0];
    for (let round = 1; round <= FILLS; round++) {
      fill(dice(700_000));
      const kept = await writeUntilFull(mixed, round);
      acknowledged += kept.length;
      mostLog = Math.max(mostLog, statSync(join(folder, `${MIXED}.sqlite-wal`)).size);
      const height = mixed.ledger.height(MIXED);
      await expect(mixed.client.submit(mixed.run(['putLong', 'never', 700_000]))).rejects.toMatchObject({ code: 'LEDGER_DISK_FULL', details: { channel: MIXED } });
      expect(mixed.ledger.height(MIXED)).toBe(height);
      writeFileSync(filler, new Uint8Array(free()), { flag: 'a' });
      expect(await readyOf(mixed)).toMatchObject({ status: 503, body: { status: 'not ready', channels: [{ channel: MIXED, ready: false, code: 'LEDGER_DISK_FULL' }] } });
      await allThere(mixed, kept);
      // Sometimes the process is started anew while the disk is still full.
      if (round % 10 === 0) {
        await mixed.ledger.close();
        const early = await openMixed(folder, keys).catch((error: unknown) => {
          // Not even the index of the log finds room: then it says so.
          expect(isCoded(error, 'LEDGER_DISK_FULL')).toBe(true);
        });
        if (early !== undefined) {
          await allThere(early, kept);
          await early.ledger.close();
        }
        rmSync(filler);
        mixed = await openMixed(folder, keys);
        reopened++;
      } else rmSync(filler);
      // The chain itself only grows; the next ledger begins on an empty disk.
      if (free() < SIZE / 3) {
        await mixed.ledger.close();
        expect((await checkFolder({ folder })).findings).toEqual([]);
        rmSync(folder, { recursive: true });
        mixed = await openMixed(folder, keys);
        begun++;
      }
      await mixed.client.submit(mixed.run(['put', `again ${round}`, 'x']));
      expect(await readyOf(mixed)).toMatchObject({ status: 200 });
      if (round % 25 === 0) {
        await mixed.ledger.verifyChain(MIXED);
        expect(await mixed.ledger.replay(MIXED)).toMatchObject({ blocks: mixed.ledger.height(MIXED) });
      }
    }
    await mixed.ledger.close();
    expect((await checkFolder({ folder })).findings).toEqual([]);
    console.log(JSON.stringify({ fills: FILLS, acknowledged, reopened, begunAnew: begun, mostLogBytes: mostLog, findings: 0 }));
    expect(acknowledged).toBeGreaterThan(FILLS / 4);
  });
});
