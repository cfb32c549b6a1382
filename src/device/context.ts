/** What every part of a device is given. */
import type { Bytes } from '#base/bytes.ts';
import type { Clock, Fetch, KeyValueStore, Log, Random, Scheduler } from '#base/ports.ts';
import { CodedError } from '#base/errors.ts';
import type { LedgerClient } from '#ledger/client.ts';
import type { DeviceKeys, KeyWrap } from './keys.ts';
import type { Vault } from './vault.ts';

export interface DeviceOptions {
  readonly store: KeyValueStore;
  readonly fetch: Fetch;
  readonly ledger: LedgerClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly log: Log;
  /** Base URL of the person's user organisation. */
  readonly userOrgUrl: string;
  /** Unwraps the root secret: 32 bytes from a key file or passphrase, or a key that cannot be exported. */
  readonly unlockKey: Bytes | KeyWrap;
  /** Index entries wait so long, at random, before they are written, so that time links nothing. Default: 1 minute to 3 days. */
  readonly indexDelay?: { readonly minMs: number; readonly maxMs: number };
  /** Empty index entries written per real one, to hide counts. Default 0. */
  readonly dummiesPerEntry?: number;
  /** The slots of a permit for several invitations are opened at random moments within so much. Default: 3 days. */
  readonly slotDelayMaxMs?: number;
  /** Runs one act at a time. Default: within this object. Browsers with several tabs give Web Locks. */
  readonly exclusive?: Exclusive;
}

export type Exclusive = <T>(act: () => Promise<T>) => Promise<T>;

export interface Context extends Omit<DeviceOptions, 'unlockKey' | 'exclusive'> {
  readonly indexDelay: { readonly minMs: number; readonly maxMs: number };
  readonly dummiesPerEntry: number;
  readonly slotDelayMaxMs: number;
  readonly vault: Vault;
  readonly keys: DeviceKeys;
}

/** One act after the other, whatever their outcome. */
export function oneAtATime(): Exclusive {
  let last: Promise<unknown> = Promise.resolve();
  return (act) => {
    const next = last.then(act, act);
    last = next.catch(() => undefined);
    return next;
  };
}

/** Acts in turn; background work makes way for an urgent act. */
export interface Turns {
  next: Exclusive;
  /** Ends the background work under way and takes the next turn. */
  urgent: Exclusive;
  background<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T>;
}

export function createTurns(exclusive: Exclusive): Turns {
  const running = new Set<AbortController>();
  return {
    next: exclusive,
    urgent(act) {
      for (const work of running) work.abort();
      return exclusive(act);
    },
    async background(work) {
      // Known from the moment it is asked for: an urgent act that comes before it begins must not wait for it either.
      const ended = new AbortController();
      running.add(ended);
      try {
        return await exclusive(() => work(ended.signal));
      } finally {
        running.delete(ended);
      }
    },
  };
}

/** For states that only a caller's mistake can reach. */
export function notKnown(what: string, id: string): CodedError {
  return new CodedError('DEVICE_UNKNOWN_ID', `This device knows no such ${what}.`, { next: 'Synchronise, then list what there is.', id });
}
