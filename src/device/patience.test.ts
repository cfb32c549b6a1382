import { describe, expect, it } from 'vitest';
import { CodedError } from '#base/errors.ts';
import type { LedgerClient } from '#ledger/client.ts';
import { createTurns, oneAtATime } from './context.ts';
import { interruptible, patientFetch, patientLedger } from './patience.ts';
import { realScheduler } from './seams.test-kit.ts';

const forever = <T>(): Promise<T> => new Promise<T>(() => undefined);
const request = (): Request => new Request('http://ho-east.local/x');
const silentLedger = { submit: () => forever(), evaluate: () => forever() } as unknown as LedgerClient;
const signer = { mspId: 'UO-people', certificate: '', sign: async (message: Uint8Array) => message };
const call = { channel: 'drc', contract: 'drc', name: 'getSlot', input: {}, signer };

describe('patience', () => {
  it.each([
    ['says nothing', () => forever<Response>()],
    ['begins and then says nothing', async () => new Response(new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array(3)) }))],
  ])('ends with an organisation that %s', async (_, answer) => {
    const fetch = patientFetch({ fetch: answer, scheduler: realScheduler, stallMs: 20 });
    await expect(fetch(request())).rejects.toMatchObject({ code: 'ORG_UNREACHABLE' });
  });

  it('leaves an answer as it is, whatever its pace', async () => {
    const slow = new ReadableStream({
      async start(controller) {
        for (const part of ['a', 'b', 'c']) {
          await realScheduler.sleep(15);
          controller.enqueue(new TextEncoder().encode(part));
        }
        controller.close();
      },
    });
    const answer = await patientFetch({ fetch: async () => new Response(slow, { status: 418, headers: { 'x-kept': 'yes' } }), scheduler: realScheduler, stallMs: 200 })(request());
    expect([answer.status, answer.headers.get('x-kept'), await answer.text()]).toEqual([418, 'yes', 'abc']);
  });

  it('ends with a ledger that says nothing, and does not call a write failed', async () => {
    const ledger = patientLedger({ ledger: silentLedger, scheduler: realScheduler, ms: 20 });
    await expect(ledger.evaluate(call)).rejects.toMatchObject({ code: 'LEDGER_UNREACHABLE' });
    await expect(ledger.submit(call)).rejects.toMatchObject({ code: 'LEDGER_OUTCOME_UNKNOWN' });
  });
});

describe('turns', () => {
  it('are taken one after the other, also after a failure', async () => {
    const turns = createTurns(oneAtATime());
    const seen: string[] = [];
    const act = (name: string, fails = false) => turns.next(async () => {
      seen.push(`${name} begins`);
      await realScheduler.sleep(5);
      seen.push(`${name} ends`);
      if (fails) throw new CodedError('INTERNAL', 'fails');
    });
    await Promise.allSettled([act('one', true), act('two'), act('three')]);
    expect(seen).toEqual(['one begins', 'one ends', 'two begins', 'two ends', 'three begins', 'three ends']);
  });

  it('let an urgent act interrupt background work, and nothing else', async () => {
    const turns = createTurns(oneAtATime());
    const background = turns.background(async (signal) => {
      const calls = interruptible({ fetch: (_: Request) => forever<Response>(), ledger: silentLedger }, signal);
      const first = await calls.fetch(request()).then(() => 'answered', (error: CodedError) => error.code);
      const second = await calls.ledger.submit(call).then(() => 'answered', (error: CodedError) => error.code);
      return [first, second];
    });
    let patientDone = false;
    const patient = turns.next(async () => {
      await realScheduler.sleep(10);
      patientDone = true;
    });
    expect(await turns.urgent(async () => patientDone)).toBe(true);
    expect(await background).toEqual(['SYNC_INTERRUPTED', 'SYNC_INTERRUPTED']);
    await patient;
  });
});
