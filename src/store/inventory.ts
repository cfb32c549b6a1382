/**
 * Which store files a folder has, in `inventory.txt` beside them. SQLite takes a file that is gone or empty for a new one; a
 * store that has been here before must be missed instead, or everything it kept would be forgotten without a word.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { CodedError } from '#base/errors.ts';

const NAME = 'inventory.txt';

/** Throws STORE_MISSING when the file was here and is gone or empty. */
export function missIfGone(file: string): void {
  if (sizeOf(file) > 0 || !namesIn(dirname(file)).has(basename(file))) return;
  throw new CodedError('STORE_MISSING', `The store file ${file} is gone or empty.`, { file, why: `${NAME} beside it says that it was here.`, next: `Restore it from a backup. If it is lost for good, take its line out of ${NAME}: then it begins empty.` });
}

/** Notes that the file is here now. Durable when it returns; a file whose note was lost is noted at its next opening. */
export function noteHere(file: string): void {
  const folder = dirname(file);
  const names = namesIn(folder);
  if (names.has(basename(file))) return;
  try {
    replace(join(folder, NAME), [...names, basename(file)].sort().map((name) => `${name}\n`).join(''));
  } catch (cause) {
    const full = (cause as NodeJS.ErrnoException).code === 'ENOSPC';
    throw new CodedError(full ? 'STORE_FULL' : 'STORE_IO', full ? 'The disk is full; the list of store files was not written.' : 'The list of store files could not be written.', { file: join(folder, NAME) }, { cause });
  }
}

function replace(path: string, text: string): void {
  const handle = openSync(`${path}.new`, 'w', 0o600);
  try {
    writeSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(`${path}.new`, path);
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

function namesIn(folder: string): ReadonlySet<string> {
  try {
    return new Set(readFileSync(join(folder, NAME), 'utf8').split('\n').filter((line) => line !== ''));
  } catch {
    // No list yet: the folder is new, or older than such lists.
    return new Set();
  }
}
