/** Bodies on a disk that is really full (a small tmpfs): refused whole, nothing half written, the others readable, and on it goes. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { systemRandom } from '#sim/seams.ts';
import { openBlobStore } from './blob-store.ts';

const FILLS = 100;
const place = mkdtempSync(join(tmpdir(), 'healthkeep-blobs-'));
const disk = join(place, 'disk');
mkdirSync(disk);
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${8 * 1024 * 1024}`, 'tmpfs', disk]).status === 0;
if (!mounted) console.warn('NO RIGHT TO MOUNT: bodies on a full disk are not tested in this run.');
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
const walk = (folder: string): string[] => readdirSync(folder, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? walk(join(folder, entry.name)) : [entry.name]));

describe.skipIf(!mounted)('bodies on a full disk', () => {
  it(`are refused whole ${FILLS} times; what was kept stays readable, and the same body goes in when there is room`, async () => {
    const folder = join(disk, 'bodies');
    const store = openBlobStore({ folder });
    let refused = 0;
    for (let round = 1; round <= FILLS; round++) {
      const kept = { id: `kept-${round}`, bytes: new Uint8Array(1 + dice(200_000)).fill(round % 251) };
      await store.put([kept]);
      writeFileSync(filler, new Uint8Array(Math.max(0, free() - dice(300_000))));
      // Large ones are files of their own, small ones rows.
      const bytes = new Uint8Array(round % 2 === 0 ? 66_000 + dice(400_000) : 1 + dice(60_000)).fill(7);
      const late = { id: `late-${round}`, bytes };
      const outcome = await store.put([late]).then(() => 'kept', (error: unknown) => (error as { code: string }).code);
      expect(['kept', 'STORE_FULL']).toContain(outcome);
      if (outcome !== 'kept') {
        refused++;
        expect(await store.size(late.id)).toBeUndefined();
        expect(walk(folder).filter((name) => name.includes(late.id))).toEqual([]);
      }
      expect(await store.read(kept.id, 0, kept.bytes.length)).toEqual(kept.bytes);
      rmSync(filler);
      if (outcome !== 'kept') await store.put([late]);
      expect(await store.read(late.id, 0, bytes.length)).toEqual(bytes);
      await store.shred([kept.id, late.id]);
    }
    await store.close();
    expect(existsSync(filler)).toBe(false);
    console.log(JSON.stringify({ fills: FILLS, refused }));
    expect(refused).toBeGreaterThan(FILLS / 4);
  });
});
