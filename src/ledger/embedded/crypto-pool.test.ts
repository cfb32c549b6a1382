import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { KEYS_KEPT, signOffThread, verifyOffThread } from './crypto-pool.ts';
import { createTraffic } from './traffic.ts';
import { realScheduler } from '#sim/seams.ts';

describe('signatures off the main thread', () => {
  const pairs = Array.from({ length: 5 }, () => generateKeyPairSync('ec', { namedCurve: 'P-256' }));
  const message = (index: number): Uint8Array => Buffer.from(`message ${index} ${'x'.repeat(index % 50)}`);

  it.each([1, 3, 40, 500])('come back right, and to whom they belong, %d at once', async (count) => {
    const signatures = await Promise.all(Array.from({ length: count }, (_, index) => signOffThread((pairs[index % 5] as (typeof pairs)[0]).privateKey, message(index))));
    signatures.forEach((signature, index) => expect(verify('sha256', message(index), (pairs[index % 5] as (typeof pairs)[0]).publicKey, signature)).toBe(true));
    const verdicts = await Promise.all(signatures.map((signature, index) => verifyOffThread((pairs[(index + (index % 7 === 3 ? 1 : 0)) % 5] as (typeof pairs)[0]).publicKey, message(index), signature)));
    expect(verdicts).toEqual(signatures.map((_, index) => index % 7 !== 3));
  });

  it('are right for more keys than a worker holds, also for one that was pushed out', async () => {
    const strangers = Array.from({ length: KEYS_KEPT + 200 }, (_, index) => {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      return { publicKey, signature: sign('sha256', message(index), privateKey) };
    });
    const check = (index: number): Promise<boolean> => {
      const { publicKey, signature } = strangers[index] as (typeof strangers)[0];
      return verifyOffThread(publicKey, message(index), signature);
    };
    const order = [...strangers.keys(), ...Array.from({ length: 300 }, (_, index) => index)];
    expect((await Promise.all(order.map(check))).every((right) => right)).toBe(true);
  });

  it('that are garbage are wrong, not fatal', async () => {
    const { publicKey } = pairs[0] as (typeof pairs)[0];
    const noise = [new Uint8Array(0), Buffer.from('noise'), new Uint8Array(72).fill(0x30), new Uint8Array(10_000)];
    expect(await Promise.all([...noise, ...noise, ...noise].map((signature) => verifyOffThread(publicKey, message(1), signature)))).toEqual(Array.from({ length: 12 }, () => false));
  });
});

describe('the wait for company', () => {
  it('does not hold a lone transaction', async () => {
    const begun = performance.now();
    await createTraffic(realScheduler).settle(() => 1, realScheduler);
    expect(performance.now() - begun).toBeLessThan(5);
  });

  it('ends when as many have come as are under way', async () => {
    const traffic = createTraffic(realScheduler);
    let queued = 1;
    for (const id of ['a', 'b', 'c']) traffic.expect(id);
    let settled = false;
    const waiting = traffic.settle(() => queued, { sleep: () => new Promise(() => undefined) }).then(() => {
      settled = true;
    });
    await Promise.resolve();
    expect(settled).toBe(false);
    queued++;
    traffic.arrived('a');
    await waiting;
    expect(settled).toBe(true);
  });

  it('ends after the longest wait for those who never come, and does not wait for them again', async () => {
    const traffic = createTraffic(realScheduler);
    for (const id of ['a', 'b', 'c']) traffic.expect(id);
    let slept = 0;
    const scheduler = { sleep: async () => void slept++ };
    await traffic.settle(() => 1, scheduler);
    await traffic.settle(() => 1, scheduler);
    expect(slept).toBe(1);
  });
});
