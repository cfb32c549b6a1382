import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { instant, type Instant, type OrgId } from '../ids.ts';
import { decideTimeFloor, effectiveFloor, later } from './time.ts';

const at = (day: number): Instant => instant(Date.UTC(2026, 0, day));
const claims = (...days: readonly number[]): ReadonlyMap<OrgId, Instant> => new Map(days.map((day, index) => [`DUO-lab${index}` as OrgId, at(day)]));

describe('the time floor', () => {
  it.each([
    ['the first claim', undefined, 5, true],
    ['a later claim', 5, 6, true],
    ['the same claim', 5, 5, false],
    ['an earlier claim', 5, 4, false],
  ])('takes of an organisation %s: %s', (_name, own, claim, allowed) => {
    const verdict = decideTimeFloor({ at: at(claim), ownClaim: own === undefined ? undefined : at(own) });
    expect(verdict).toEqual(allowed ? { allow: true } : { allow: false, because: 'TIME_FLOOR_BACK' });
  });

  it.each([
    ['nobody has claimed', undefined, [], undefined],
    ['one organisation alone is believed', undefined, [3], 3],
    ['of two the earlier counts', undefined, [3, 5], 3],
    ['one that runs ahead moves nothing', undefined, [3, 4, 999], 4],
    ['one that stopped holds nothing back', undefined, [1, 4, 5], 4],
    ['it never moves back', 9, [3, 5], 9],
  ] as const)('%s', (_name, previous, days, expected) => {
    expect(effectiveFloor(previous === undefined ? undefined : at(previous), claims(...days))).toBe(expected === undefined ? undefined : at(expected));
  });

  it('only moves on, whatever is claimed by whom', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 1, max: 4_000 }))), (events) => {
        const known = new Map<OrgId, Instant>();
        let floor: Instant | undefined;
        for (const [org, day] of events) {
          known.set(`DUO-lab${org}` as OrgId, at(day));
          const next = effectiveFloor(floor, known);
          expect(next === undefined || floor === undefined || next >= floor).toBe(true);
          floor = next;
        }
      }),
    );
  });

  it('orders instants as text', () => {
    expect(later(at(1), at(2))).toBe(at(2));
    expect(later(at(2), at(1))).toBe(at(2));
  });
});
