import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tellStory, type Outcome } from './crash.test-kit.ts';
import { openWorld, type World } from './network.test-kit.ts';

let world: World;
let whole: Outcome;
beforeAll(async () => {
  world = await openWorld('crash-slow');
  whole = await tellStory(world);
});
afterAll(async () => {
  await world?.close();
});

describe('a device that stops at every call of its story in turn', () => {
  it('ends in the same state, with no duplicate grant, slot or entry', async () => {
    const { calls, ...expected } = whole;
    for (let at = 1; at <= calls; at++) {
      for (const effect of ['before', 'after'] as const) {
        const { calls: _, ...outcome } = await tellStory(world, { at, effect });
        expect(outcome, `stopped ${effect} call ${at} of ${calls}`).toEqual(expected);
      }
    }
  });
});
