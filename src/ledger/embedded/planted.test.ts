/** Planted bugs, and the checks that turn red: those that need no recording. The others: planted.slow.ts. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { changedBlocksAreFound, clientsClocksGiveNoRank, nothingIsLostBetweenReaders, numbersOnlyRise, oneEffect, replayAgrees, revocationHoldsAtOnce, type Check } from './planted-checks.test-kit.ts';
import { plantedBugs, type PlantedBug } from './planted.ts';

/** Bug → the check that finds it. */
const found: readonly (readonly [PlantedBug, string, Check])[] = [
  ['no-chain-check', 'blocks exchanged by hand', changedBlocksAreFound],
  ['no-duplicate-check', 'a write sent again', oneEffect],
  ['late-revocation', 'a call by somebody just revoked', revocationHoldsAtOnce],
  ['client-time-order', 'clients that back-date', clientsClocksGiveNoRank],
  ['map-order', 'replay', replayAgrees],
  ['lower-height', 'a block with an earlier number', numbersOnlyRise],
  ['no-read-check', 'increments that collide', nothingIsLostBetweenReaders],
];

describe('a bug on purpose', () => {
  it.each(found)('%s is found by %s, which finds nothing without it', async (bug, _name, check) => {
    expect(await check([])).toBeUndefined();
    expect(await check([bug])).toEqual(expect.any(String));
  });

  it('can be planted by tests only', () => {
    const src = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
    const files = (folder: string): string[] => readdirSync(folder).flatMap((name) => (statSync(join(folder, name)).isDirectory() ? files(join(folder, name)) : [join(folder, name)]));
    const users = files(src).filter((file) => /\.tsx?$/.test(file) && /PlantedBug|planted\.ts'|\bplanted: (new Set|\[)/.test(readFileSync(file, 'utf8'))).map((file) => relative(src, file));
    expect(users.filter((file) => !file.startsWith(join('ledger', 'embedded')))).toEqual([]);
    for (const bug of plantedBugs) expect(users.filter((file) => !/\.(test|slow|test-kit)\.ts$/.test(file) && readFileSync(join(src, file), 'utf8').includes(`'${bug}'`)).length, bug).toBeGreaterThan(1);
  });
});
