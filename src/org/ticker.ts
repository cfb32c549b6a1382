/** Work that is done again and again in the background of an organisation. */
import type { Log, Scheduler } from '#base/ports.ts';
import { codeOf } from './consortium.ts';

export interface Ticker {
  start(): void;
  /** Ends after the work that is under way. */
  close(): Promise<void>;
}

export interface TickerOptions {
  /** Name in the log. */
  readonly name: string;
  readonly everySeconds: number;
  /** Seconds before the first run; members that start together should not all work at once. */
  readonly delaySeconds?: number;
  readonly scheduler: Scheduler;
  readonly log: Log;
  /** A run that throws is logged and tried again at the next turn. */
  readonly work: () => Promise<void>;
}

export function createTicker({ name, everySeconds, delaySeconds = 0, scheduler, log, work }: TickerOptions): Ticker {
  const stopped = new AbortController();
  let running: Promise<void> = Promise.resolve();
  const run = async (): Promise<void> => {
    await scheduler.sleep(delaySeconds * 1_000, stopped.signal);
    while (!stopped.signal.aborted) {
      await work().catch((error: unknown) => log('warn', 'ticker.failed', { name, code: codeOf(error) }));
      await scheduler.sleep(everySeconds * 1_000, stopped.signal);
    }
  };
  return {
    start() {
      running = run();
    },
    async close() {
      stopped.abort();
      await running;
    },
  };
}
