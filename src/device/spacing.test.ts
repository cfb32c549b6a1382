import { describe, expect, it } from 'vitest';
import type { Instant } from '#model/ids.ts';
import { fakeClock, seededRandom } from '#sim/seams.ts';
import { earlierEnd, roundedEnd, spaced } from './spacing.ts';

const DAY_MS = 86_400_000;
const NOW = Date.UTC(2026, 5, 1, 10, 15, 20);

describe('the end of a permit', () => {
  it.each([
    ['in a month', '2026-07-01T10:15:20.123Z', '2026-07-01T00:00:00.000Z'],
    ['tomorrow', '2026-06-02T10:15:20.123Z', '2026-06-02T00:00:00.000Z'],
    ['on a whole day', '2026-06-03T00:00:00.000Z', '2026-06-03T00:00:00.000Z'],
    ['later today', '2026-06-01T18:40:00.001Z', '2026-06-01T18:00:00.000Z'],
    ['within the hour', '2026-06-01T10:44:59.999Z', '2026-06-01T10:44:00.000Z'],
    ['within the minute', '2026-06-01T10:15:40.500Z', '2026-06-01T10:15:40.500Z'],
  ])('%s says no more than it must', (_name, until, rounded) => expect(roundedEnd(until as Instant, NOW)).toBe(rounded));
});

describe('the ends of several slots', () => {
  const ends = (days: number): number[] => {
    const seams = { clock: fakeClock(NOW), random: seededRandom('ends') };
    const until = new Date(Math.floor(NOW / DAY_MS) * DAY_MS + days * DAY_MS).toISOString() as Instant;
    return [...new Set(Array.from({ length: 100 }, () => (Date.parse(until) - Date.parse(earlierEnd(seams, until))) / DAY_MS))].sort((a, b) => a - b);
  };
  it.each([
    [31, [0, 1, 2, 3, 4, 5]],
    [9, [0, 1]],
    [1, [0]],
  ])('of a permit of %i days are %o days early', (days, early) => expect(ends(days)).toEqual(early));
});

describe('acts that are overdue', () => {
  const due = Array.from({ length: 50 }, (_, name) => ({ name, dueAt: NOW - 1 }));
  const seams = { clock: fakeClock(NOW), random: seededRandom('spacing') };

  it('are done one at a time, the others at new moments spread over the whole wait', () => {
    const { now, later } = spaced(seams, due, () => 1_000);
    expect([now.length, later.length]).toEqual([1, 49]);
    expect(new Set([...now, ...later].map(({ name }) => name)).size).toBe(50);
    const waits = later.map(({ dueAt }) => dueAt - NOW);
    expect(Math.min(...waits)).toBeGreaterThan(0);
    expect(Math.max(...waits)).toBeLessThanOrEqual(1_000);
    expect(Math.max(...waits) - Math.min(...waits)).toBeGreaterThan(700);
    expect(new Set(Array.from({ length: 20 }, () => spaced(seams, due, () => 1_000).now[0]?.name)).size).toBeGreaterThan(10);
  });

  it('are done together where nothing waits', () => {
    const { now, later } = spaced(seams, due, () => 0);
    expect([now.length, later]).toEqual([50, []]);
    expect(now.map(({ name }) => name)).not.toEqual(due.map(({ name }) => name));
  });
});
