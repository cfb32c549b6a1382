/**
 * Signatures and verifications off the main thread. Few at a time go to Node's own thread pool; under load they go to a
 * worker in batches, because handing over single operations would cost the main thread almost as much as doing them.
 */
import { sign, verify, type KeyObject } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { kinds, ROW, SLOT, type Batch, type BatchResult } from './crypto-worker.ts';

interface Operation {
  readonly kind: number;
  readonly key: KeyObject;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
  readonly settle: (verdict: boolean, signature: Uint8Array | undefined) => void;
}

/** From this many unfinished operations on, batches pay. */
const BUSY = 6;
/** Batches a worker may have at once: enough to work on while the main thread writes a block. */
const OUTSTANDING = 8;
const LARGEST_BATCH = 32;
/** Keys that a worker holds at once. More than a batch has, so that no key of a batch pushes out another of it. */
export const KEYS_KEPT = 4_096;
const NONE = new Uint8Array(0);

interface Line {
  readonly worker: Worker;
  readonly batches: Map<number, readonly Operation[]>;
  /** Where the worker keeps each key; the least recently used comes first and gives way when all places are taken. */
  readonly places: Map<KeyObject, number>;
}

const queue: Operation[] = [];
const lines: Line[] = [];
let unfinished = 0;
let lastBatch = 0;
let scheduled = false;

/** The worker's place for a key, and whether it has to be sent there first. */
function placeOf({ places }: Line, key: KeyObject): { readonly place: number; readonly fresh: boolean } {
  const known = places.get(key);
  if (known !== undefined) {
    places.delete(key);
    places.set(key, known);
    return { place: known, fresh: false };
  }
  let place = places.size;
  if (place === KEYS_KEPT) {
    const [oldest, freed] = places.entries().next().value as [KeyObject, number];
    places.delete(oldest);
    place = freed;
  }
  places.set(key, place);
  return { place, fresh: true };
}

function openLine(): Line {
  const worker = new Worker(new URL('./crypto-worker.ts', import.meta.url), { name: 'ledger-crypto' });
  const line: Line = { worker, batches: new Map(), places: new Map() };
  worker.on('message', (result: BatchResult) => finish(line, result));
  worker.on('error', () => abandon(line));
  worker.on('exit', () => abandon(line));
  // An idle worker does not keep the process alive; one with work does (see `flush`).
  worker.unref();
  return line;
}

/** A worker that died gives its operations back to the thread pool. */
function abandon(line: Line): void {
  const at = lines.indexOf(line);
  if (at >= 0) lines.splice(at, 1);
  for (const operations of line.batches.values()) for (const operation of operations) runAlone(operation);
  line.batches.clear();
}

function finish(line: Line, { id, verdicts, signatures }: BatchResult): void {
  const operations = line.batches.get(id) ?? [];
  line.batches.delete(id);
  if (line.batches.size === 0) line.worker.unref();
  operations.forEach((operation, index) => {
    unfinished--;
    const verdict = verdicts[index] ?? 0;
    // A copy, so that a signature that somebody keeps does not keep the whole batch.
    operation.settle(verdict > 0, operation.kind === kinds.sign ? signatures.slice(index * SLOT, index * SLOT + verdict) : undefined);
  });
  schedule();
}

function pack(line: Line, operations: readonly Operation[]): Batch {
  let size = 0;
  for (const { message, signature } of operations) size += message.length + signature.length;
  const data = new Uint8Array(size);
  const table = new Int32Array(operations.length * ROW);
  const keys: (readonly [number, KeyObject])[] = [];
  let at = 0;
  operations.forEach(({ kind, key, message, signature }, index) => {
    const { place, fresh } = placeOf(line, key);
    if (fresh) keys.push([place, key]);
    data.set(message, at);
    data.set(signature, at + message.length);
    table.set([kind, place, at, message.length, at + message.length, signature.length], index * ROW);
    at += message.length + signature.length;
  });
  return { id: ++lastBatch, table, data, keys };
}

function flush(): void {
  scheduled = false;
  while (queue.length > 0) {
    const free = lines.find((line) => line.batches.size < OUTSTANDING);
    if (free === undefined) return;
    const operations = queue.splice(0, LARGEST_BATCH);
    const batch = pack(free, operations);
    free.batches.set(batch.id, operations);
    free.worker.ref();
    free.worker.postMessage(batch, [batch.data.buffer, batch.table.buffer] as ArrayBuffer[]);
  }
}

/** At the end of this turn of the event loop, when everything that can be asked now has been asked. */
function schedule(): void {
  if (scheduled || queue.length === 0) return;
  scheduled = true;
  setImmediate(flush);
}

function runAlone({ kind, key, message, signature, settle }: Operation): void {
  const done = (verdict: boolean, made: Uint8Array | undefined): void => {
    unfinished--;
    settle(verdict, made);
  };
  if (kind === kinds.sign) sign('sha256', message, key, (error, made) => done(error === null, made));
  else verify('sha256', message, key, signature, (error, right) => done(error === null && right, undefined));
}

function submit(operation: Operation): void {
  unfinished++;
  if (unfinished < BUSY) return runAlone(operation);
  if (lines.length === 0) for (let count = Math.max(1, availableParallelism() - 1); count > 0; count--) lines.push(openLine());
  queue.push(operation);
  schedule();
}

/** DER signature over SHA-256 of the message; S may be high. */
export function signOffThread(key: KeyObject, message: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    submit({ kind: kinds.sign, key, message, signature: NONE, settle: (right, made) => (right && made !== undefined ? resolve(made) : reject(new Error('the key cannot sign'))) });
  });
}

export function verifyOffThread(key: KeyObject, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  return new Promise((resolve) => submit({ kind: kinds.verify, key, message, signature, settle: (right) => resolve(right) }));
}
