/** Fifty thousand power cuts (docs/durability.md), on as many threads as the machine has cores. */
import { rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { afterAll, describe, expect, it } from 'vitest';
import { surveyOnThreads } from './power-cut-worker.test-kit.ts';
import { fastFolder, record, straceWorks } from './trace.test-kit.ts';

const STATES = 50_000;
const home = fastFolder('power-cuts');
afterAll(() => rmSync(home, { recursive: true, force: true }));

describe.skipIf(!straceWorks)('an embedded ledger whose power is cut', () => {
  it(`loses nothing acknowledged and keeps no half block in ${STATES} states`, async () => {
    const recording = await record({ home });
    const begun = performance.now();
    const { states, whole, violations } = await surveyOnThreads(recording, { count: STATES, seed: 1, threads: availableParallelism(), wholeEvery: 500 });
    process.stdout.write(`power cuts: ${states} states, ${whole} opened as a whole, ${violations.length} violations, ${Math.round((performance.now() - begun) / 1000)} s\n`);
    expect(violations).toEqual([]);
    expect(states).toBeGreaterThanOrEqual(STATES - 100);
  });
});
