/** How long to insist: exponential waits with jitter, counted anew whenever something moved. */
import { isCoded } from '#base/errors.ts';
import type { Random, Scheduler } from '#base/ports.ts';
import { errorRow } from '#model/errors.ts';

export interface RetryOptions {
  /** First wait, in milliseconds; it doubles up to `maxMs`. */
  readonly firstMs?: number;
  readonly maxMs?: number;
  /** Failures in a row without progress before giving up. */
  readonly attempts?: number;
}

export interface Retry {
  /** Tries until it works; gives up after `attempts` failures or at once on a refusal that will not change. Throws the last error. */
  until<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** The same, but failures are counted only while `progress` stands still. */
  whileProgressing<T>(work: () => Promise<T>, progress: () => number, signal?: AbortSignal): Promise<T>;
}

/** An endless trickle is no progress: this many connections for one thing are enough. */
const CONNECTIONS_MAX = 1_000;

export function createRetry({ scheduler, random }: { readonly scheduler: Scheduler; readonly random: Random }, options: RetryOptions = {}): Retry {
  const { firstMs = 50, maxMs = 2_000, attempts = 6 } = options;

  const whileProgressing = async <T>(work: () => Promise<T>, progress: () => number, signal?: AbortSignal): Promise<T> => {
    let failures = 0;
    for (let connection = 1; ; connection++) {
      const before = progress();
      try {
        return await work();
      } catch (error) {
        signal?.throwIfAborted();
        failures = progress() > before ? 0 : failures + 1;
        if (!passing(error) || failures >= attempts || connection >= CONNECTIONS_MAX) throw error;
        const wait = Math.min(maxMs, firstMs * 2 ** Math.max(0, failures - 1));
        await scheduler.sleep(wait / 2 + (wait / 2) * ((random.bytes(1)[0] as number) / 255), signal);
        signal?.throwIfAborted();
      }
    }
  };
  return { whileProgressing, until: (work, signal) => whileProgressing(work, () => 0, signal) };
}

/** May the same request succeed later? An error without a code is the line's; a coded one has that in its row. */
export function passing(error: unknown): boolean {
  // A line that breaks inside a JSON answer looks like a malformed one.
  return !isCoded(error) || error.code === 'ORG_ANSWER_INVALID' || errorRow(error.code).retry;
}
