/**
 * Folders, durably. A file's sync makes its bytes durable; its name, and the folder's own, are only when the folder that
 * holds them is synced (fsync(2): "Calling fsync() does not necessarily ensure that the entry in the directory containing
 * the file has also reached disk").
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { folderError } from './store-error.ts';

/** Makes the names in a folder durable. Throws what the system says. */
export function syncFolder(folder: string): void {
  // Windows opens no folders, and keeps names in a journal of its own.
  if (process.platform === 'win32') return;
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** Makes a folder and what leads to it; their names are durable when it returns. Throws LEDGER_STORAGE, LEDGER_DISK_FULL. */
export function makeFolder(folder: string, sync = syncFolder): void {
  try {
    make(folder, sync);
  } catch (cause) {
    throw folderError(cause, folder);
  }
}

function make(folder: string, sync: typeof syncFolder): void {
  const first = mkdirSync(folder, { recursive: true });
  if (first === undefined) return;
  for (let made = resolve(folder); ; made = dirname(made)) {
    sync(dirname(made));
    if (made === resolve(first)) return;
  }
}

/**
 * Makes what processes read of a file what the disk holds: writes every byte anew where it is, and syncs. A sync alone
 * would not do after one that failed: the system counts the pages that it could not write as written.
 */
export function writeAnew(path: string): void {
  if (!existsSync(path)) return;
  const handle = openSync(path, 'r+');
  try {
    const part = new Uint8Array(1 << 20);
    for (let at = 0, length = 0; (length = readSync(handle, part, 0, part.length, at)) > 0; at += length) {
      for (let done = 0; done < length; ) done += writeSync(handle, part, done, length - done, at + done);
    }
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
