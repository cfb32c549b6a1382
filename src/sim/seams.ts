/** The five seams for tests, simulation and demo: a clock one can set, seeded chance, timers, a log that remembers. */
import type { Bytes } from '#base/bytes.ts';
import { toHex, u32, utf8, concat } from '#base/bytes.ts';
import type { Clock, Log, LogLevel, Random, Scheduler } from '#base/ports.ts';
import { sha256 } from '#crypto/digest.ts';

export interface SettableClock extends Clock {
  advance(milliseconds: number): void;
  set(milliseconds: number): void;
}

/** A clock that stands still until told otherwise. */
export function fakeClock(startMs: number): SettableClock {
  let now = startMs;
  return {
    now: () => now,
    advance: (milliseconds) => {
      now += milliseconds;
    },
    set: (milliseconds) => {
      now = milliseconds;
    },
  };
}

/** The process's clock. */
export const systemClock: Clock = { now: () => Date.now() };

/** A clock that runs on from a chosen moment at the process's speed: for stories that jump ahead in time. */
export function shiftedClock(base: Clock): SettableClock {
  let shift = 0;
  return {
    now: () => base.now() + shift,
    advance: (milliseconds) => {
      shift += milliseconds;
    },
    set: (milliseconds) => {
      shift = milliseconds - base.now();
    },
  };
}

/** Strong randomness of the platform. */
export const systemRandom: Random = { bytes: (length) => crypto.getRandomValues(new Uint8Array(length)) };

/** Reproducible bytes: SHA-256 in counter mode over the seed. For tests and synthetic people only. */
export function seededRandom(seed: string | number): Random {
  const key = sha256(utf8(`healthkeep/v1/sim/${seed}`));
  let counter = 0;
  let rest: Bytes = new Uint8Array(0);
  return {
    bytes(length) {
      while (rest.length < length) rest = concat(rest, sha256(concat(key, u32(counter++))));
      const out = rest.slice(0, length);
      rest = rest.slice(length);
      return out;
    },
  };
}

/** Real timers. */
export const realScheduler: Scheduler = {
  sleep: (milliseconds, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const timer = setTimeout(done, milliseconds);
      function done(): void {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      }
      signal?.addEventListener('abort', done, { once: true });
    }),
};

export interface RememberedLine {
  readonly level: LogLevel;
  readonly event: string;
  readonly fields: Readonly<Record<string, string | number | boolean | undefined>>;
}

/** A log that keeps its lines for the test to look at. */
export function rememberingLog(): { readonly log: Log; readonly lines: RememberedLine[]; text(): string } {
  const lines: RememberedLine[] = [];
  return {
    lines,
    log: (level, event, fields = {}) => {
      lines.push({ level, event, fields });
    },
    text: () => lines.map((line) => JSON.stringify(line)).join('\n'),
  };
}

/** Random id text for temporary folders and traces. */
export function randomName(random: Random): string {
  return toHex(random.bytes(8));
}
