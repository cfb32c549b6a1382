/** Files a caller names: read and written as a whole, with a coded error that says what the system answered. */
import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';

/** @throws CodedError INPUT_UNREADABLE */
export function readInput(path: string): Bytes {
  try {
    return new Uint8Array(readFileSync(path));
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

export function unreadable(path: string, cause: unknown): CodedError {
  return new CodedError('INPUT_UNREADABLE', `${basename(path)} cannot be read.`, { why: `The system answered ${codeOf(cause)}.`, next: 'Check the name and the permissions.' }, { cause });
}

/**
 * Writes a file for its owner's eyes; `fresh` refuses one that is there already.
 * @throws CodedError OUTPUT_NOT_WRITABLE
 */
export function writeOutput(path: string, content: Bytes | string, { fresh = false }: { readonly fresh?: boolean } = {}): void {
  try {
    writeFileSync(path, content, { mode: 0o600, flag: fresh ? 'wx' : 'w' });
  } catch (cause) {
    const exists = codeOf(cause) === 'EEXIST';
    throw new CodedError('OUTPUT_NOT_WRITABLE', `${basename(path)} cannot be written.`, { why: exists ? 'It is there already and would be lost.' : `The system answered ${codeOf(cause)}.`, next: exists ? 'Name another file.' : 'Check that its folder exists and may be written.' }, { cause });
  }
}

function codeOf(cause: unknown): string {
  return (cause as NodeJS.ErrnoException).code ?? 'an error';
}
