import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tellStory, type Outcome } from './crash.test-kit.ts';
import { openWorld, type World } from './network.test-kit.ts';

let world: World;
let whole: Outcome;
beforeAll(async () => {
  world = await openWorld('crash');
  whole = await tellStory(world);
}, 60_000);
afterAll(async () => {
  await world?.close();
});

describe('a device that stops at any call', () => {
  it('writes, uninterrupted, each thing once', () => {
    expect(whole.states).toEqual(['revoked', 'sent']);
    expect(whole.missing).toBe(1);
    expect(whole.transactions).toEqual({
      'drc openSlot': 2, 'drc respond': 1, 'drc revokeGrant': 1, 'hdc-east linkOwner': 1, 'hdc-east orderErasure': 1, 'hdc-east orderRelease': 1, 'hdc-east recordRelease': 1, 'hdc-east revokeRelease': 1,
      'hdc-west linkOwner': 1, 'hdc-west orderRelease': 1, 'hdc-west recordRelease': 1, 'hdc-west revokeRelease': 1, 'uic putEntry': 2,
    });
  });

  // The calls after which a repetition would do harm; crash.slow.ts takes every call.
  it.each(['POST /v1/doorman/enrolments', 'POST /v1/doorman/certificates', 'submit putEntry', 'submit openSlot', 'submit respond', 'submit orderRelease', 'POST /v1/releases', 'submit revokeGrant', 'submit revokeRelease', 'submit orderErasure', 'POST /v1/erasures'])('ends in the same state when the answer to %s is lost', async (at) => {
    const { calls: _, ...outcome } = await tellStory(world, { at, effect: 'after' });
    const { calls: __, ...expected } = whole;
    expect(outcome).toEqual(expected);
  });

  it.each([0.1, 0.5, 0.9])('ends in the same state when it stops after %f of its calls', async (share) => {
    const { calls: _, ...outcome } = await tellStory(world, { at: Math.max(1, Math.round(whole.calls * share)), effect: 'before' });
    const { calls: __, ...expected } = whole;
    expect(outcome).toEqual(expected);
  });
});
