import { describe, expect, it } from 'vitest';
import { verdictLines, type Verdict } from './linkage/attack.test-kit.ts';
import { DAY_MS, linkage, type Habits } from './linkage/population.test-kit.ts';

const thousand: Habits = { people: 1_000, each: 3, come: 'at once', withinMs: DAY_MS, enrolOverMs: 60 * DAY_MS, awake: 'always' };
const LIMIT = 0.55;
const MINUTES = 60_000;

function told(title: string, verdict: Verdict): Verdict {
  console.log(verdictLines(title, verdict).join('\n'));
  return verdict;
}
const overLimit = ({ features, combined }: Verdict): readonly string[] => Object.entries({ ...features, 'all together': combined }).filter(([, auc]) => auc > LIMIT).map(([feature, auc]) => `${feature} ${auc.toFixed(3)}`);

describe('a thousand people and an attacker with every block', () => {
  it.each<[string, 'index' | 'slots', Partial<Habits>]>([
    ['index entries that came to light in one synchronisation, all people within a day', 'index', {}],
    ['index entries of visits at their own times, over a month', 'index', { come: 'apart', withinMs: 30 * DAY_MS }],
    ['slots of one permit for three invitations, all people within a day', 'slots', {}],
  ])('%s: no better than chance', async (title, kind, change) => {
    expect(overLimit(told(title, await linkage(kind, { ...thousand, ...change })))).toEqual([]);
  }, 20 * MINUTES);
});

/** docs/privacy.md says what time still tells; should one of these fail, something got better and that page is out of date. */
describe('what the wait does not hide', () => {
  const few: Habits = { ...thousand, people: 200 };
  it.each<[string, 'index' | 'slots', Partial<Habits>, string]>([
    ['a device that is awake at one hour of the day only', 'index', { awake: 'daily' }, 'claimed time: hour of day'],
    ['people who are active in different weeks', 'index', { withinMs: 60 * DAY_MS }, 'claimed time: distance'],
  ])('%s', async (title, kind, change, feature) => {
    expect(told(title, await linkage(kind, { ...few, ...change })).features[feature]).toBeGreaterThan(0.8);
  }, 20 * MINUTES);
});
