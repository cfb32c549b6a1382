/** Work that goes on beside requests: woken when there is something to do, tried again after a while when it failed. */
import { isCoded } from '#base/errors.ts';
import type { Log, Scheduler } from '#base/ports.ts';

export interface Loop {
  /** Something changed: run soon. */
  wake(): void;
  start(): void;
  /** Stops after the run in progress. */
  close(): Promise<void>;
}

export interface LoopOptions {
  readonly name: string;
  readonly scheduler: Scheduler;
  readonly log: Log;
  /** Runs at least this often. */
  readonly everyMs: number;
  /** One run; the signal aborts when the loop closes. */
  readonly run: (signal: AbortSignal) => Promise<void>;
}

export function createLoop({ name, scheduler, log, everyMs, run }: LoopOptions): Loop {
  const stopped = new AbortController();
  let bell = new AbortController();
  let going: Promise<void> = Promise.resolve();
  let started = false;

  const loop = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      bell = new AbortController();
      try {
        await run(stopped.signal);
      } catch (error) {
        if (!stopped.signal.aborted) log('warn', `${name}.failed`, { code: codeOf(error) });
      }
      await scheduler.sleep(everyMs, AbortSignal.any([bell.signal, stopped.signal]));
    }
  };
  return {
    wake: () => bell.abort(),
    start() {
      if (started) return;
      started = true;
      going = loop();
    },
    async close() {
      stopped.abort();
      await going;
    },
  };
}

/** The code of a thrown value; its message may say more than a log should hold. */
export function codeOf(error: unknown): string {
  return isCoded(error) ? error.code : error instanceof Error ? error.name : typeof error;
}
