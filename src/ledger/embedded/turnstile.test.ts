import { describe, expect, it } from 'vitest';
import type { Scheduler } from '#base/ports.ts';
import { isGatewayFault } from '../transport.ts';
import { createTurnstile } from './turnstile.ts';

/** Time does not pass. */
const never: Scheduler = { sleep: () => new Promise(() => undefined) };
const limits = { places: 2, waitingEach: 3, submitted: 4 };

/** Work that ends when it is told to; `started` names what began, in order. */
function stage() {
  const started: string[] = [];
  const ends = new Map<string, () => void>();
  const work = (name: string) => () => new Promise<string>((resolve) => {
    started.push(name);
    ends.set(name, () => resolve(name));
  });
  const end = async (name: string): Promise<void> => {
    ends.get(name)?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { started, work, end };
}

const codeOf = (call: Promise<unknown>): Promise<unknown> => call.then(() => 'done', (error: unknown) => (isGatewayFault(error) ? [error.code, (JSON.parse(error.message) as { code: string }).code] : error));

describe('the turnstile', () => {
  it('works on so many calls at once, and on the next when one ends', async () => {
    const turnstile = createTurnstile(never, limits);
    const { started, work, end } = stage();
    const calls = ['a1', 'a2', 'a3', 'a4'].map((name) => turnstile.enter('A', work(name)));
    expect([started, turnstile.waiting()]).toEqual([['a1', 'a2'], 2]);
    await end('a2');
    expect([started, turnstile.waiting()]).toEqual([['a1', 'a2', 'a3'], 1]);
    for (const name of ['a1', 'a3', 'a4']) await end(name);
    expect(await Promise.all(calls)).toEqual(['a1', 'a2', 'a3', 'a4']);
    expect(turnstile.waiting()).toBe(0);
  });

  it('refuses what would wait beyond the bound, in gRPC and in our code, and takes it when there is room again', async () => {
    const turnstile = createTurnstile(never, limits);
    const { started, work, end } = stage();
    for (const name of ['a1', 'a2', 'a3', 'a4', 'a5']) void turnstile.enter('A', work(name));
    expect(await codeOf(turnstile.enter('A', work('a6')))).toEqual([8, 'LEDGER_BUSY']);
    expect(turnstile.waiting()).toBe(3);
    await end('a1');
    void turnstile.enter('A', work('a7'));
    for (const name of ['a2', 'a3', 'a4', 'a5']) await end(name);
    expect(started).toEqual(['a1', 'a2', 'a3', 'a4', 'a5', 'a7']);
  });

  it('serves organisations in turn, however many calls one of them has waiting', async () => {
    const turnstile = createTurnstile(never, limits);
    const { started, work, end } = stage();
    for (const name of ['a1', 'a2', 'a3', 'a4', 'a5']) void turnstile.enter('A', work(name));
    expect(await codeOf(turnstile.enter('A', work('a6')))).toEqual([8, 'LEDGER_BUSY']);
    for (const name of ['b1', 'b2']) void turnstile.enter('B', work(name));
    void turnstile.enter('C', work('c1'));
    for (const name of ['a1', 'a2', 'a3', 'b1', 'c1', 'a4']) await end(name);
    expect(started).toEqual(['a1', 'a2', 'a3', 'b1', 'c1', 'a4', 'b2', 'a5']);
  });

  it('lets endorsed transactions past those who wait, counts them, and bounds their number', async () => {
    const turnstile = createTurnstile(never, limits);
    const { started, work, end } = stage();
    for (const name of ['a1', 'a2', 'a3']) void turnstile.enter('A', work(name));
    for (const name of ['s1', 's2', 's3', 's4']) void turnstile.pass(work(name));
    expect(await codeOf(turnstile.pass(work('s5')))).toEqual([8, 'LEDGER_BUSY']);
    await end('a1');
    await end('a2');
    expect(started).toEqual(['a1', 'a2', 's1', 's2', 's3', 's4']);
    for (const name of ['s1', 's2', 's3']) await end(name);
    expect(started.at(-1)).toBe('a3');
  });

  it('gives a place back when the work fails', async () => {
    const turnstile = createTurnstile(never, { ...limits, places: 1 });
    const failing = async (): Promise<never> => {
      throw new Error('broken');
    };
    expect(await Promise.allSettled([turnstile.enter('A', failing), turnstile.enter('A', failing), turnstile.pass(failing)])).toMatchObject([{ status: 'rejected' }, { status: 'rejected' }, { status: 'rejected' }]);
    expect(await turnstile.enter('A', async () => 'next')).toBe('next');
  });

  it('takes the place of a call that never ends after half a minute, when others wait, and no earlier', async () => {
    let tick = (): void => undefined;
    let slept = 0;
    const turnstile = createTurnstile({ sleep: (milliseconds) => new Promise((resolve) => {
      slept += milliseconds;
      tick = resolve;
    }) }, limits);
    const { started, work, end } = stage();
    for (const name of ['hung', 'slow', 'a3']) void turnstile.enter('A', work(name));
    for (let passed = 0; passed < 25_000; passed += 5_000) {
      tick();
      await end('nobody');
    }
    expect(started).toEqual(['hung', 'slow']);
    tick();
    await end('nobody');
    expect([started, turnstile.waiting(), slept]).toEqual([['hung', 'slow', 'a3'], 0, 30_000]);
    await end('slow');
    void turnstile.enter('A', work('a4'));
    expect(started.at(-1)).toBe('a4');
  });
});
