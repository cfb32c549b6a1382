/**
 * Group commit: how long a block waits for company. As long as more transactions are on their way (being endorsed, being
 * signed by their clients, being checked) than have arrived, but never longer than a few milliseconds; a lone client does
 * not wait. Cutting at half keeps two cohorts of clients in turn: one is being committed while the other is being signed.
 */
import type { Scheduler } from '#base/ports.ts';
import { createTurnstile, type Turnstile } from './turnstile.ts';

/** Upper bound of the wait, in milliseconds. Clients that endorse and never submit cost the others this much at most. */
const LONGEST_WAIT = 8;
/** Endorsements without submission must not fill the memory. */
const MOST_EXPECTED = 2_000;

export interface Traffic {
  /** What bounds the calls of a channel. */
  readonly turnstile: Turnstile;
  /** Counts a call as on its way until it is settled. */
  during<T>(work: () => Promise<T>): Promise<T>;
  /** An endorsed transaction is expected back, signed. */
  expect(txId: string): void;
  /** It came. */
  arrived(txId: string): void;
  /** Resolves when enough has arrived (`queued` tells how many), or after the longest wait. */
  settle(queued: () => number, scheduler: Scheduler): Promise<void>;
}

export function createTraffic(scheduler: Scheduler): Traffic {
  const turnstile = createTurnstile(scheduler);
  const expected = new Set<string>();
  let active = 0;
  let wake: (() => void) | undefined;
  let waiting = (): number => 0;
  const enough = (): boolean => waiting() >= active + expected.size;
  const check = (): void => {
    if (enough()) wake?.();
  };
  return {
    turnstile,
    during: async (work) => {
      active++;
      try {
        return await work();
      } finally {
        active--;
        check();
      }
    },
    expect: (txId) => {
      if (expected.size >= MOST_EXPECTED) expected.clear();
      expected.add(txId);
    },
    arrived: (txId) => {
      expected.delete(txId);
      check();
    },
    settle: async (queued, scheduler) => {
      waiting = queued;
      if (enough()) return;
      const stop = new AbortController();
      await Promise.race([
        new Promise<void>((resolve) => {
          wake = resolve;
        }),
        scheduler.sleep(LONGEST_WAIT, stop.signal),
      ]);
      wake = undefined;
      stop.abort();
      // After the longest wait, who did not come is not waited for again.
      if (!enough()) expected.clear();
    },
  };
}
