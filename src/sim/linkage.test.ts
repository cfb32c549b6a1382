import { describe, expect, it } from 'vitest';
import { areaUnderCurve, verdictLines } from './linkage/attack.test-kit.ts';
import { DAY_MS, linkage, type Habits, type Plant } from './linkage/population.test-kit.ts';

/** Few people, so chance alone reaches 0.6; the thousand of linkage.slow.ts are held to 0.55. */
const people: Habits = { people: 30, each: 3, come: 'at once', withinMs: DAY_MS, enrolOverMs: 45 * DAY_MS, awake: 'always' };
const SMALL_LIMIT = 0.65;

describe('the area under the curve', () => {
  it.each([
    ['all of the same above', [3, 4], [1, 2], 1],
    ['all below', [1, 2], [3, 4], 0],
    ['all equal', [1, 1], [1, 1, 1], 0.5],
    ['one of four pairs the wrong way', [2, 4], [1, 3], 0.75],
    ['a tie counts half', [2], [2, 1], 0.75],
  ])('%s', (_name, same, different, area) => expect(areaUnderCurve(same, different)).toBe(area));
});

describe('whoever has every block', () => {
  it('links neither index entries of one person', async () => {
    const verdict = await linkage('index', people);
    expect(verdict.worst.auc, verdictLines('index entries', verdict).slice(0, 6).join('\n')).toBeLessThan(SMALL_LIMIT);
  }, 60_000);

  it('nor slots of one permit', async () => {
    const verdict = await linkage('slots', people);
    expect(verdict.worst.auc, verdictLines('slots', verdict).slice(0, 6).join('\n')).toBeLessThan(SMALL_LIMIT);
  }, 60_000);

  it.each<[Plant, string]>([
    ['one name', 'common name: equal'],
    ['own validity day', 'valid to: equal'],
    ['no wait', 'order: distance'],
  ])('would find %s', async (plant, feature) => {
    const verdict = await linkage('index', { ...people, people: 16, plant });
    expect(verdict.features[feature]).toBeGreaterThan(0.8);
    // Eight people to learn from are few for forty features; the one that matters still shows.
    expect(verdict.combined).toBeGreaterThan(0.7);
  }, 60_000);
});
