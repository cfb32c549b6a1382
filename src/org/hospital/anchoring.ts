/**
 * The outbox between the record store and the channel. A record is stored first, under an id made before anything is
 * sent; then its anchor is submitted in batches, a few in flight, and the store learns where it stands. After a crash
 * between any two steps the stored records are looked up on the channel: those that stand there are noted, the others sent.
 */
import { toBase64url } from '#base/bytes.ts';
import { CodedError, isCoded } from '#base/errors.ts';
import type { Log, Scheduler } from '#base/ports.ts';
import { errorRow } from '#model/errors.ts';
import { ANCHORS_MAX, type Anchor } from '#model/hdc.ts';
import type { Digest, RecordId, Signature, SubjectId } from '#model/ids.ts';
import type { AnchorRef, RecordStore, StoredRecord } from '#store/ports.ts';
import { codeOf } from './background.ts';
import type { HdcChannel } from './channel.ts';

const IN_FLIGHT = 2;
/** `room` waits while more than this are queued. */
const QUEUE_MAX = 8 * ANCHORS_MAX;
const RETRY_FIRST_MS = 100;
const RETRY_MAX_MS = 10_000;
/** Whoever waits for anchors is told after this long that they are late; they are tried all the same. */
const LATE_MS = 5_000;

type Anchorable = Pick<StoredRecord, 'id' | 'subject' | 'commitment' | 'signature' | 'class'>;

export interface AnchoringDeps {
  readonly records: Pick<RecordStore, 'pending' | 'markAnchored'>;
  readonly hdc: HdcChannel;
  /** Where an anchor that already stands on the channel was written. */
  readonly locate: (record: RecordId) => Promise<AnchorRef>;
  readonly scheduler: Scheduler;
  readonly log: Log;
  /** Called after anchors were noted in the store. */
  readonly onAnchored: (count: number) => void;
}

export interface Anchoring {
  /** Resolves when every record's anchor is committed and noted; rejects when the channel refuses one, is out of order for long (then they are anchored later), or on close. */
  anchor(records: readonly Anchorable[]): Promise<void>;
  /** Resolves when the queue has room: memory stays bounded when the ledger is slower than ingestion. */
  room(): Promise<void>;
  /** Anchors what a crash left behind. */
  resume(): Promise<void>;
  close(): Promise<void>;
}

interface Queued {
  readonly record: Anchorable;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export function createAnchoring(deps: AnchoringDeps): Anchoring {
  const stopped = new AbortController();
  const queue: Queued[] = [];
  const room: (() => void)[] = [];
  const flights = new Set<Promise<void>>();

  const launch = (): void => {
    while (!stopped.signal.aborted && flights.size < IN_FLIGHT && queue.length > 0) {
      // A second, smaller batch is not sent beside a running one: what arrives meanwhile travels together.
      if (flights.size > 0 && queue.length < ANCHORS_MAX / 2) return;
      const batch = queue.splice(0, ANCHORS_MAX);
      while (room.length > 0 && queue.length < QUEUE_MAX) room.shift()?.();
      const flight = settle(deps, batch, stopped.signal).finally(() => {
        flights.delete(flight);
        launch();
      });
      flights.add(flight);
    }
  };

  const anchor = async (records: readonly Anchorable[]): Promise<void> => {
    if (stopped.signal.aborted) throw closing();
    const settled = records.map((record) => new Promise<void>((resolve, reject) => queue.push({ record, resolve, reject })));
    launch();
    await allOf(settled);
  };

  return {
    anchor,
    async room() {
      while (queue.length >= QUEUE_MAX && !stopped.signal.aborted) await new Promise<void>((resolve) => room.push(resolve));
    },
    async resume() {
      let after: string | undefined;
      for (;;) {
        const left = await deps.records.pending(ANCHORS_MAX, after);
        if (left.length === 0) return;
        after = left.at(-1)?.id;
        deps.log('info', 'anchoring.resumed', { records: left.length });
        const rest = await noteStanding(deps, left);
        // A record that the channel refuses must not keep the others, or the whole organisation, from starting.
        await anchor(rest).catch((error: unknown) => deps.log('error', 'anchoring.refused', { code: codeOf(error) }));
      }
    },
    async close() {
      stopped.abort();
      for (const { reject } of queue.splice(0)) reject(closing());
      for (const go of room.splice(0)) go();
      await Promise.all(flights);
    },
  };
}

/** Waits for all, then throws the first failure: nobody is left without a listener. */
async function allOf(promises: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(promises)).find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

/** Submits one batch until the channel has it or refuses it. */
async function settle(deps: AnchoringDeps, batch: readonly Queued[], signal: AbortSignal): Promise<void> {
  let rest = batch;
  let waited = 0;
  for (let wait = RETRY_FIRST_MS; rest.length > 0; wait = Math.min(RETRY_MAX_MS, wait * 2)) {
    if (signal.aborted) return rest.forEach(({ reject }) => reject(closing()));
    try {
      await submitBatch(deps, rest.map(({ record }) => record));
      return rest.forEach(({ resolve }) => resolve());
    } catch (error) {
      if (isCoded(error) && !errorRow(error.code).retry && error.code !== 'LEDGER_OUTCOME_UNKNOWN') return refuseOrSplit(deps, rest, { error, signal });
      deps.log('warn', 'anchoring.delayed', { code: codeOf(error), records: rest.length, waitMs: wait });
      await deps.scheduler.sleep(wait, signal);
      waited += wait;
      if (waited >= LATE_MS) rest.forEach(({ reject }) => reject(error));
      rest = await withoutStanding(deps, rest);
    }
  }
}

/** One bad record must not hold up its batch: halves are tried alone. */
async function refuseOrSplit(deps: AnchoringDeps, batch: readonly Queued[], { error, signal }: { readonly error: unknown; readonly signal: AbortSignal }): Promise<void> {
  if (batch.length === 1) {
    deps.log('error', 'anchoring.refused', { code: codeOf(error), record: batch[0]?.record.id });
    return batch[0]?.reject(error);
  }
  const middle = Math.ceil(batch.length / 2);
  await settle(deps, batch.slice(0, middle), signal);
  await settle(deps, batch.slice(middle), signal);
}

async function submitBatch(deps: AnchoringDeps, records: readonly Anchorable[]): Promise<void> {
  const { output, txId, blockNumber } = await deps.hdc.submit('anchorRecords', { anchors: records.map(anchorOf) });
  if (output.known === 0) {
    await deps.records.markAnchored(records.map(({ id }) => id), { txId, blockNumber });
    deps.onAnchored(records.length);
  } else {
    // An earlier attempt had reached the channel after all: each anchor is noted where it really stands.
    await noteStanding(deps, records);
  }
}

/** Notes those that stand on the channel with the same commitment; returns the others. Throws ANCHOR_EXISTS for another commitment under the id. */
async function noteStanding<R extends Anchorable>(deps: AnchoringDeps, records: readonly R[]): Promise<readonly R[]> {
  const { anchors } = await deps.hdc.evaluate('getAnchors', { ids: records.map(({ id }) => id as RecordId) });
  const standing = new Map(anchors.map(({ id, state }) => [id as string, state]));
  const rest: R[] = [];
  const byPlace = new Map<string, { readonly ref: AnchorRef; readonly ids: string[] }>();
  for (const record of records) {
    const state = standing.get(record.id);
    if (state === undefined) rest.push(record);
    else if (state.commitment !== toBase64url(record.commitment)) throw new CodedError('ANCHOR_EXISTS', 'Another commitment stands under this record\'s id.', { id: record.id });
    else {
      const ref = await deps.locate(record.id as RecordId);
      const place = byPlace.get(ref.txId) ?? { ref, ids: [] };
      byPlace.set(ref.txId, place);
      place.ids.push(record.id);
    }
  }
  for (const { ref, ids } of byPlace.values()) {
    await deps.records.markAnchored(ids, ref);
    deps.onAnchored(ids.length);
  }
  return rest;
}

async function withoutStanding(deps: AnchoringDeps, batch: readonly Queued[]): Promise<readonly Queued[]> {
  try {
    const rest = new Set((await noteStanding(deps, batch.map(({ record }) => record))).map(({ id }) => id));
    batch.filter(({ record }) => !rest.has(record.id)).forEach(({ resolve }) => resolve());
    return batch.filter(({ record }) => rest.has(record.id));
  } catch (error) {
    deps.log('warn', 'anchoring.unsettled', { code: codeOf(error) });
    return batch;
  }
}

function anchorOf({ id, subject, commitment, signature, class: recordClass }: Anchorable): Anchor {
  return { id: id as RecordId, subject: subject as SubjectId, commitment: toBase64url(commitment) as Digest, signature: toBase64url(signature) as Signature, class: recordClass as Anchor['class'] };
}

function closing(): CodedError {
  return new CodedError('STORE_CLOSED', 'The organisation is stopping; what was stored is anchored at its next start.');
}
