/**
 * What a channel does when more is asked than it can do: a bounded number of calls is worked on, a bounded number waits,
 * the rest is refused at once with LEDGER_BUSY. Each organisation has a queue of its own and they are served in turn, so
 * that one that floods fills its own queue and nobody else's. Transactions that are endorsed already go past the queues:
 * work was spent on them, and refusing them would waste it; only their number is bounded. A contract that never returns
 * loses its place after half a minute, if others wait for it.
 */
import type { Scheduler } from '#base/ports.ts';
import { GatewayFault, grpcCode } from '../transport.ts';
import { codedFault } from './refusal.ts';

export interface TurnstileLimits {
  /** Calls that are worked on at once, transactions on their way into a block included. */
  readonly places: number;
  /** Calls of one organisation that wait. */
  readonly waitingEach: number;
  /** Endorsed transactions at once, from when they arrive until their block is durable. */
  readonly submitted: number;
}

/**
 * 256 clients of one organisation are served without refusal. Who is accepted waits as long as the places and its
 * organisation's queue take, so longer queues would only mean longer waits: 64 calls at once keep two cores busy.
 * (Fabric's gateway takes 500 of all organisations together, `peer.limits.concurrency.gatewayService`.)
 */
export const LIMITS: TurnstileLimits = { places: 96, waitingEach: 160, submitted: 2_000 };

export interface Turnstile {
  /** Runs a proposal's work when it is its organisation's turn. Faults with RESOURCE_EXHAUSTED when too many wait. */
  enter<T>(mspId: string, work: () => Promise<T>): Promise<T>;
  /** Runs the work of an endorsed transaction. Faults with RESOURCE_EXHAUSTED beyond the bound. */
  pass<T>(work: () => Promise<T>): Promise<T>;
  /** Calls that wait now. */
  waiting(): number;
}

/** Seconds after which a refused caller may try again. */
export const RETRY_AFTER_SECONDS = 1;

const busy = (): GatewayFault => codedFault(grpcCode.resourceExhausted, { code: 'LEDGER_BUSY', message: 'The ledger has more to do than it can take.', details: { why: 'Too many calls wait already.', next: 'Send it again after a moment.', retryAfterSeconds: RETRY_AFTER_SECONDS } });

/** Longest time that a call keeps others waiting: Fabric's `chaincode.executetimeout`, looked at every tick. */
const TICK_MS = 5_000;
const STAY_TICKS = 6;

interface Stay {
  ticks: number;
}

export function createTurnstile(scheduler: Scheduler, { places, waitingEach, submitted }: TurnstileLimits = LIMITS): Turnstile {
  /** In the order in which they have their turn; an organisation without waiting calls is not in it. */
  const queues = new Map<string, ((stay: Stay) => void)[]>();
  const stays = new Set<Stay>();
  let passing = 0;
  let waiting = 0;
  let watch: AbortController | undefined;
  const sit = (): Stay => {
    const stay = { ticks: 0 };
    stays.add(stay);
    return stay;
  };
  const letIn = (): void => {
    while (stays.size + passing < places) {
      const next = queues.entries().next().value;
      if (next === undefined) break;
      const [mspId, queue] = next;
      queues.delete(mspId);
      const start = queue.shift();
      // Behind all others: everybody has had a turn before this one has its next.
      if (queue.length > 0) queues.set(mspId, queue);
      waiting--;
      start?.(sit());
    }
    if (waiting === 0) watch?.abort();
  };
  /** Runs only while somebody waits. */
  const watchStays = async (stop: AbortController): Promise<void> => {
    while (!stop.signal.aborted) {
      await scheduler.sleep(TICK_MS, stop.signal);
      if (stop.signal.aborted) return;
      for (const stay of stays) if (++stay.ticks >= STAY_TICKS) stays.delete(stay);
      letIn();
    }
  };
  const wait = (mspId: string): Promise<Stay> => {
    const queue = queues.get(mspId) ?? [];
    if (queue.length >= waitingEach) throw busy();
    waiting++;
    if (watch === undefined || watch.signal.aborted) void watchStays((watch = new AbortController()));
    return new Promise((resolve) => {
      queue.push(resolve);
      queues.set(mspId, queue);
    });
  };
  return {
    enter: async (mspId, work) => {
      const stay = stays.size + passing < places && waiting === 0 ? sit() : await wait(mspId);
      try {
        return await work();
      } finally {
        stays.delete(stay);
        letIn();
      }
    },
    pass: async (work) => {
      if (passing >= submitted) throw busy();
      passing++;
      try {
        return await work();
      } finally {
        passing--;
        letIn();
      }
    },
    waiting: () => waiting,
  };
}
