/** Puts a derived store's files away under another name: what they were derived from is no longer what is followed. */
import { existsSync, renameSync } from 'node:fs';
import { CodedError } from '#base/errors.ts';

/** SQLite's companions of a database file. */
const PARTS = ['', '-wal', '-shm'];

/** `tree.sqlite` becomes `tree.sqlite.<mark>`. Nothing happens where it is put away already. Throws STORE_IO. */
export function setAside(file: string, mark: string): void {
  if (!existsSync(file) || existsSync(`${file}.${mark}`)) return;
  try {
    // The companions first: without the database file nobody reads them, and a second run finds what is left.
    for (const part of [...PARTS].reverse()) if (existsSync(`${file}${part}`)) renameSync(`${file}${part}`, `${file}.${mark}${part}`);
  } catch (cause) {
    throw new CodedError('STORE_IO', 'A store could not be put away.', { why: `The system answered ${(cause as NodeJS.ErrnoException).code ?? 'an error'}.`, file }, { cause });
  }
}
