/**
 * A network and a ledger that do not wait for ever: who says nothing for too long counts as unreachable, so that others
 * are still told. And one that can be interrupted: whatever a stop may interrupt, a more urgent act may as well.
 */
import { concat } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { Fetch, Scheduler } from '#base/ports.ts';
import type { LedgerClient } from '#ledger/client.ts';

const STALL_MS = 30_000;
/** Endorsement, ordering and commit, with retries of conflicts. */
const LEDGER_MS = 60_000;

/** The same network; each answer is read whole, and a silence of `stallMs` before or within it throws ORG_UNREACHABLE. */
export function patientFetch({ fetch, scheduler, stallMs = STALL_MS }: { readonly fetch: Fetch; readonly scheduler: Scheduler; readonly stallMs?: number }): Fetch {
  return async (request) => {
    const ended = new AbortController();
    const silent = () => new CodedError('ORG_UNREACHABLE', 'The organisation does not answer.', { next: 'It is tried again with the next synchronisation.', host: new URL(request.url).host });
    const inTime = <T>(work: Promise<T>): Promise<T> => within({ work, scheduler, ms: stallMs, error: silent });
    try {
      const response = await inTime({ fetch }.fetch(new Request(request, { signal: AbortSignal.any([request.signal, ended.signal]) })));
      if (response.body === null) return response;
      const chunks: Uint8Array[] = [];
      const reader = response.body.getReader();
      for (let step = await inTime(reader.read()); !step.done; step = await inTime(reader.read())) chunks.push(step.value);
      return new Response(concat(...chunks), { status: response.status, headers: response.headers });
    } catch (error) {
      ended.abort();
      throw error;
    }
  };
}

/** The same ledger; a silence of a minute throws LEDGER_UNREACHABLE when reading, LEDGER_OUTCOME_UNKNOWN when writing. */
export function patientLedger({ ledger, scheduler, ms = LEDGER_MS }: { readonly ledger: LedgerClient; readonly scheduler: Scheduler; readonly ms?: number }): LedgerClient {
  const unread = () => new CodedError('LEDGER_UNREACHABLE', 'The ledger does not answer.', { next: 'It is tried again with the next synchronisation.' });
  const unknown = () => new CodedError('LEDGER_OUTCOME_UNKNOWN', 'The ledger did not say whether the transaction was committed.', { next: 'It is looked up with the next synchronisation.' });
  return {
    ...ledger,
    submit: (call) => within({ work: ledger.submit(call), scheduler, ms, error: unknown }),
    evaluate: (call) => within({ work: ledger.evaluate(call), scheduler, ms, error: unread }),
  };
}

/** Calls that fail with SYNC_INTERRUPTED once the signal aborts, those under way included. */
export function interruptible<T extends { readonly fetch: Fetch; readonly ledger: LedgerClient }>(calls: T, signal: AbortSignal): T {
  const { fetch, ledger } = calls;
  const unless = <R>(act: () => Promise<R>): Promise<R> => (signal.aborted ? Promise.reject(interrupted()) : unlessAborted(act(), signal));
  return {
    ...calls,
    fetch: (request: Request) => unless(() => ({ fetch }).fetch(new Request(request, { signal: AbortSignal.any([request.signal, signal]) }))),
    ledger: { ...ledger, submit: (call: Parameters<LedgerClient['submit']>[0]) => unless(() => ledger.submit(call)), evaluate: (call: Parameters<LedgerClient['evaluate']>[0]) => unless(() => ledger.evaluate(call)) },
  };
}

function interrupted(): CodedError {
  return new CodedError('SYNC_INTERRUPTED', 'Something more urgent came first.', { next: 'It is done with the next synchronisation.' });
}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(interrupted());
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    if (stop !== undefined) signal.removeEventListener('abort', stop);
  }
}

async function within<T>({ work, scheduler, ms, error }: { readonly work: Promise<T>; readonly scheduler: Scheduler; readonly ms: number; readonly error: () => CodedError }): Promise<T> {
  const over = new AbortController();
  const stalled = scheduler.sleep(ms, over.signal).then((): T => {
    throw error();
  });
  // Only the race may see this; when the work wins, nobody does.
  stalled.catch(() => undefined);
  try {
    return await Promise.race([work, stalled]);
  } finally {
    over.abort();
  }
}
