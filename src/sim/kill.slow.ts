import { expect, it } from 'vitest';
import { killRepeatedly } from './kill.test-kit.ts';

const KILLS = Number(process.env['HEALTHKEEP_KILLS'] ?? 200);
/** Enough of them for every way of answering a request to occur. */
const PEOPLE = [2, 7, 3];
const RESTART_MS_MAX = 2_000;

it(`kill -9 at ${KILLS} random moments: nothing acknowledged is lost, every restart takes at most two seconds, the story goes on`, async () => {
  const seed = process.env['HEALTHKEEP_SEED'] ?? `kill-${Date.now()}`;
  console.log(`seed ${seed} (HEALTHKEEP_SEED repeats it)`);
  const report = await killRepeatedly({ kills: KILLS, killsPerFolder: 25, people: PEOPLE, seed, say: (line) => console.log(line) });
  console.log(JSON.stringify(report, null, 2));
  expect(report.faults).toEqual([]);
  expect(report.kills).toBe(KILLS);
  expect(Object.keys(report.phases).length).toBeGreaterThan(10);
  // The figure to look at is the printed maximum; a shared machine may stall one restart in a hundred.
  expect(report.restartMs.p95).toBeLessThanOrEqual(RESTART_MS_MAX);
}, 1_800_000);
