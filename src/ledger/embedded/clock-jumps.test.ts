/** Clocks that are wrong, jump or go back: order comes from height, expiry from the ledger's clock, and replay needs no clock. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { fakeClock, seededRandom, type SettableClock } from '#sim/seams.ts';
import { openTestNetwork, type TestNetwork } from '../conformance/embedded.test-kit.ts';
import type { Step } from '../conformance/probe.ts';
import type { TestIdentity } from '../consortium.test-kit.ts';
import { createLedgerClient } from '../gateway-client.ts';
import { realScheduler } from '#sim/seams.ts';
import type { Committed, LedgerClient } from '../client.ts';

const DAY = 86_400_000;
const HOUR = 3_600_000;
const begin = Date.UTC(2026, 2, 1, 12);
/** Well inside the life of every certificate. */
const now = begin + 30 * DAY;
const clock: SettableClock = fakeClock(begin);
let network: TestNetwork;
let client: LedgerClient;
let brief: TestIdentity;
const zone = process.env['TZ'];

beforeAll(async () => {
  network = await openTestNetwork({ clock });
  brief = await network.orgs.a.issue('brief', 'client', { days: 31 });
  client = createLedgerClient({ transport: network.ledger.transport(), clock, random: seededRandom('clock'), scheduler: realScheduler });
});
afterEach(() => {
  if (zone === undefined) delete process.env['TZ'];
  else process.env['TZ'] = zone;
});
afterAll(() => network.ledger.close());

const call = (steps: readonly Step[], { who = network.orgs.a.client, timestamp }: { readonly who?: TestIdentity; readonly timestamp?: number } = {}) => ({ channel: 'solo', contract: 'probe', name: 'run', input: steps as never, signer: who.signer, ...(timestamp === undefined ? {} : { timestamp }) });
const put = (key: string, value: string, options = {}): Promise<Committed> => client.submit(call([['put', key, value]], options));

describe('the ledger\'s clock', () => {
  it.each([
    ['three days ahead', 3 * DAY], ['three days back', -3 * DAY], ['an hour back, as when summer time ends', -HOUR], ['an hour ahead', HOUR], ['a second twice, as at a leap second', -1_000], ['a step of a month back', -29 * DAY], ['not at all', 0],
  ])('that jumps %s leaves order to height', async (name, jump) => {
    clock.set(now);
    const before = await put(`order ${name}`, 'before');
    clock.set(now + jump);
    const after = await put(`order ${name}`, 'after');
    clock.set(now);
    expect(after.blockNumber).toBe(before.blockNumber + 1);
    expect(await client.evaluate(call([['get', `order ${name}`], ['history', `order ${name}`], ['historyTimes', `order ${name}`]]))).toEqual(['after', [['after', false, 64], ['before', false, 64]], [now + jump, now].map((time) => Math.floor(time / 1_000))]);
  });

  it('judges expiry, whatever time the client claims', async () => {
    clock.set(now);
    await put('brief', 'inside', { who: brief });
    clock.set(now + 3 * DAY);
    await expect(put('brief', 'late', { who: brief })).rejects.toMatchObject({ code: 'LEDGER_ACCESS_DENIED' });
    await expect(put('brief', 'late', { who: brief, timestamp: now })).rejects.toMatchObject({ code: 'LEDGER_ACCESS_DENIED' });
    // Set right again, the certificate is what it was: nothing was decided for ever.
    clock.set(now);
    await expect(put('brief', 'again', { who: brief })).resolves.toBeDefined();
  });
});

describe('a client\'s clock', () => {
  it.each([['three days ahead', 3 * DAY], ['three days behind', -3 * DAY], ['a month behind', -29 * DAY]])('%s changes neither order nor verdict', async (name, skew) => {
    clock.set(now);
    const first = await put(`skew ${name}`, 'first', { timestamp: now + skew });
    const second = await put(`skew ${name}`, 'second');
    expect(second.blockNumber).toBe(first.blockNumber + 1);
    expect(await client.evaluate(call([['get', `skew ${name}`]]))).toEqual(['second']);
  });

  it('a time outside the certificate\'s life stays in its block, marked', async () => {
    clock.set(now);
    await expect(put('early', 'x', { timestamp: begin - 400 * DAY })).rejects.toMatchObject({ code: 'LEDGER_INVALID', details: { validationCode: 'BAD_CREATOR_SIGNATURE' } });
    expect(await client.evaluate(call([['get', 'early']]))).toEqual(['']);
  });
});

describe('time zones', () => {
  // Summer time begins there on 8 March 2026 at 2:00 local time, and ends on 1 November; Nepal is 5:45 ahead of UTC.
  it.each([
    ['America/St_Johns', Date.UTC(2026, 2, 8, 5, 29, 59)], ['America/St_Johns', Date.UTC(2026, 10, 1, 4, 29, 59)], ['Asia/Kathmandu', Date.UTC(2026, 2, 8, 18, 14, 59)], ['UTC', Date.UTC(2026, 11, 31, 23, 59, 59)],
  ])('%s: blocks on both sides of a change are judged the same', async (place, moment) => {
    process.env['TZ'] = place;
    for (const at of [moment, moment + 2_000, moment - HOUR]) {
      clock.set(at);
      await put(`zone ${place} ${moment}`, String(at));
    }
    expect(await client.evaluate(call([['get', `zone ${place} ${moment}`]]))).toEqual([String(moment - HOUR)]);
  });

  it('and a replay, under any clock, agrees with all of it', async () => {
    const judged = [];
    for (const [place, time] of [['UTC', now], ['America/St_Johns', now + 4_000 * DAY], ['Asia/Kathmandu', 0]] as const) {
      process.env['TZ'] = place;
      clock.set(time);
      judged.push(await network.ledger.replay('solo'));
    }
    expect(new Set(judged.map((facts) => JSON.stringify(facts))).size).toBe(1);
    expect(judged[0]?.blocks).toBe(network.ledger.height('solo'));
  });
});
