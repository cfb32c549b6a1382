/**
 * The other end of `crypto-pool.ts`: signs and verifies whole batches in one go. A message is one buffer of data and a
 * table of places in it, so that nothing is cloned piece by piece.
 */
import { sign, verify, type KeyObject } from 'node:crypto';
import { parentPort } from 'node:worker_threads';

/** Row of the table: kind, place of the key, start and length of the message, start and length of the signature. */
export const ROW = 6;
export const kinds = { sign: 0, verify: 1 } as const;

export interface Batch {
  readonly id: number;
  readonly table: Int32Array;
  readonly data: Uint8Array;
  /** Keys to be put into their places first; what was there before is dropped. */
  readonly keys: readonly (readonly [number, KeyObject])[];
}

/** Bytes kept for one signature: DER of two 33-byte integers is 72 at most. */
export const SLOT = 72;

/** For each row a verdict; for a signature 0 or its length, and the signature in the row's slot. */
export interface BatchResult {
  readonly id: number;
  readonly verdicts: Uint8Array;
  readonly signatures: Uint8Array;
}

const known: KeyObject[] = [];

function work({ id, table, data, keys }: Batch): BatchResult {
  for (const [place, key] of keys) known[place] = key;
  const count = table.length / ROW;
  const verdicts = new Uint8Array(count);
  const signatures = new Uint8Array(count * SLOT);
  for (let row = 0; row < count; row++) {
    const at = row * ROW;
    const [kind = 0, place = 0, start = 0, length = 0, signatureStart = 0, signatureLength = 0] = [table[at], table[at + 1], table[at + 2], table[at + 3], table[at + 4], table[at + 5]];
    const key = known[place];
    const message = data.subarray(start, start + length);
    if (key === undefined) continue;
    try {
      if (kind === kinds.sign) {
        const signature = sign('sha256', message, key);
        signatures.set(signature, row * SLOT);
        verdicts[row] = signature.length;
      } else verdicts[row] = verify('sha256', message, key, data.subarray(signatureStart, signatureStart + signatureLength)) ? 1 : 0;
    } catch {
      verdicts[row] = 0;
    }
  }
  return { id, verdicts, signatures };
}

parentPort?.on('message', (batch: Batch) => {
  const result = work(batch);
  parentPort?.postMessage(result, [result.verdicts.buffer, result.signatures.buffer] as ArrayBuffer[]);
});
