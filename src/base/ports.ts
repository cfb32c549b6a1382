/** The seams: everything below `cli/` reaches time, chance, timers and output only through these. */
import type { Bytes } from './bytes.ts';

/** UTC milliseconds since 1970. */
export interface Clock {
  now(): number;
}

/** Cryptographically strong random bytes (seeded in `sim/` tests only). */
export interface Random {
  bytes(length: number): Bytes;
}

/** Timers. `sleep` resolves early, without error, when the signal aborts. */
export interface Scheduler {
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

/** One structured line. Fields are ids, counts, codes and durations: never health data, keys or names. */
export interface Log {
  (level: LogLevel, event: string, fields?: Readonly<Record<string, string | number | boolean | undefined>>): void;
}

/** The network seam: the standard fetch. Organisations are reached by it, in one process or over sockets. */
export type Fetch = (request: Request) => Promise<Response>;

/**
 * A small durable key-value store with atomic batches. The device, the data user and the user organisation keep
 * their state in one; `store/` has the SQLite twin, `device/store/` the IndexedDB twin. A resolved `write` is durable.
 */
export interface KeyValueStore {
  get(key: string): Promise<Bytes | undefined>;
  /** All or nothing; `undefined` deletes. */
  write(changes: ReadonlyMap<string, Bytes | undefined>): Promise<void>;
  /** Entries whose key starts with the prefix, in key order (UTF-16 code unit order), optionally after a key. */
  list(prefix: string, options?: { readonly after?: string; readonly limit?: number }): Promise<readonly (readonly [string, Bytes])[]>;
  /** After it no file or log of the store holds what was deleted or overwritten. Absent where nothing lingers. */
  scrub?(): Promise<void>;
  close(): Promise<void>;
}

export const silentLog: Log = () => undefined;
