/** Waiting with an end. */
import { CodedError } from '#base/errors.ts';
import type { Scheduler } from '#base/ports.ts';

/** The work's result, or ORG_UNREACHABLE when it takes longer; the work's signal aborts then. */
export async function within<T>(scheduler: Scheduler, milliseconds: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const ended = new AbortController();
  const expired = scheduler.sleep(milliseconds, ended.signal).then((): never => {
    throw new CodedError('ORG_UNREACHABLE', 'The organisation did not answer in time.', { milliseconds });
  });
  try {
    return await Promise.race([work(ended.signal), expired]);
  } finally {
    // Ends the timer, or the work that came too late; whichever lost has nobody listening.
    expired.catch(() => undefined);
    ended.abort();
  }
}
