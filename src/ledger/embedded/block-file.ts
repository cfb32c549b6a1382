/** Blocks of one channel in one plain file, each after its length (32 bits, big-endian): what any member may hand to another. */
import { closeSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { CodedError } from '#base/errors.ts';
import type { StateReader } from './state-reader.ts';

export type BlockReader = Pick<StateReader, 'block' | 'height'> & { close(): void };

/** Durable when it returns. */
export function writeBlockFile(path: string, reader: Pick<StateReader, 'block' | 'height'>): void {
  const handle = openSync(path, 'wx', 0o600);
  try {
    const height = reader.height();
    for (let number = 0; number < height; number++) {
      const bytes = reader.block(number) ?? new Uint8Array(0);
      const length = new Uint8Array(4);
      new DataView(length.buffer).setUint32(0, bytes.length);
      writeSync(handle, length);
      for (let at = 0; at < bytes.length; ) at += writeSync(handle, bytes, at);
    }
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** Throws LEDGER_BACKUP_DAMAGED when the lengths do not fit the file. What is in the blocks is for the chain check. */
export function openBlockFile(path: string): BlockReader {
  const handle = openSync(path, 'r');
  const places: { readonly at: number; readonly length: number }[] = [];
  const length = new Uint8Array(4);
  for (let at = 0; readSync(handle, length, 0, 4, at) > 0; ) {
    const place = { at: at + 4, length: new DataView(length.buffer).getUint32(0) };
    places.push(place);
    at = place.at + place.length;
  }
  const block = (number: number): Uint8Array | undefined => {
    const place = places[number];
    if (place === undefined) return undefined;
    const bytes = new Uint8Array(place.length);
    if (readSync(handle, bytes, 0, place.length, place.at) !== place.length) throw new CodedError('LEDGER_BACKUP_DAMAGED', `The file of blocks is damaged: block ${number}.`, { why: 'The file ends inside it.', next: 'Use another copy.', file: path, block: number });
    return bytes;
  };
  return { height: () => places.length, block, close: () => closeSync(handle) };
}
