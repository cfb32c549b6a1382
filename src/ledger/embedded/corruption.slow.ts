/** Ten thousand bits turned over, one at a time, in a channel's file and in its log (HEALTHKEEP_FLIPS overrides the number). */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemRandom } from '#sim/seams.ts';
import { bitsOf, countFlips, makeFolders, type Flip } from './corruption.test-kit.ts';
import { MIXED } from './mixed-chain.test-kit.ts';

const FLIPS = Number(process.env['HEALTHKEEP_FLIPS'] ?? 10_000);
const folder = mkdtempSync(join(tmpdir(), 'healthkeep-flips-'));
let places: { readonly closed: string; readonly killed: string };
beforeAll(async () => {
  places = await makeFolders(folder);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Bits across the whole file. */
function spread(place: string, name: string, count: number): Flip[] {
  const bits = bitsOf(place, name);
  return Array.from({ length: count }, () => ({ name, bit: Buffer.from(systemRandom.bytes(6)).readUIntBE(0, 6) % bits }));
}

describe('one bit turned over', () => {
  it.each([
    ['the file of a ledger that was closed', 'closed', `${MIXED}.sqlite`, 0.4],
    ['the file of a ledger that was killed', 'killed', `${MIXED}.sqlite`, 0.2],
    ['the write-ahead log of a ledger that was killed', 'killed', `${MIXED}.sqlite-wal`, 0.4],
  ] as const)('in %s is noticed whenever it changes anything that is stored', async (_where, which, name, share) => {
    const count = await countFlips(places[which], spread(places[which], name, Math.ceil(FLIPS * share)));
    console.log(JSON.stringify({ which, name, ...count }));
    expect(count.missed).toEqual([]);
    expect(count.noticed + count.empty).toBe(count.flips);
    expect(count.noticed).toBeGreaterThan(count.flips * 0.3);
    // Every frame of a log that nobody has begun anew counts.
    if (name.endsWith('-wal')) expect(count.empty).toBe(0);
  });
});
