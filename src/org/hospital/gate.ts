/** Bounded concurrency: a few at work, some waiting, the rest refused, so that overload costs waiting and not memory. */
import { CodedError } from '#base/errors.ts';

export interface Gate {
  /** Runs the work when a place is free. Throws HOSPITAL_BUSY when too many wait already. */
  pass<T>(work: () => Promise<T>): Promise<T>;
}

export function createGate({ atOnce, waitingMax }: { readonly atOnce: number; readonly waitingMax: number }): Gate {
  let busy = 0;
  const waiting: (() => void)[] = [];
  return {
    async pass(work) {
      if (busy >= atOnce) {
        if (waiting.length >= waitingMax) throw new CodedError('HOSPITAL_BUSY', 'The keeper has more to do than it can hold.');
        await new Promise<void>((resolve) => waiting.push(resolve));
      } else busy += 1;
      try {
        return await work();
      } finally {
        // The place goes to the longest waiting; only when nobody waits does it become free.
        const next = waiting.shift();
        if (next === undefined) busy -= 1;
        else next();
      }
    },
  };
}
