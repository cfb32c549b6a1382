/** Power cuts, simulated from recorded system calls. How, and why that is faithful: docs/durability.md. More of them: power-cut.slow.ts. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
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
