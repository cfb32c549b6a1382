/** SQLite's refusals in our words. Source of the numbers: https://www.sqlite.org/rescode.html */
import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { CodedError, isCoded } from '#base/errors.ts';

const primary = { readOnly: 8, ioError: 10, corrupt: 11, full: 13, cannotOpen: 14, notADatabase: 26 } as const;

/** Extended codes of a sync that failed: of a file, of its folder. What the disk holds is then unknown. */
const syncFailures: ReadonlySet<number> = new Set([1034, 1290]);

/** Which file an error is about. */
export interface Where {
  readonly channel: string;
  readonly file: string;
}

/** What the shared-memory file beside a database takes at least. */
const HELPER_BYTES = 32_768;

/** On a full disk SQLite may fail to make its helper files first, and calls that an input/output error. */
function isFull(file: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(dirname(file));
    return bavail * bsize < HELPER_BYTES;
  } catch {
    return false;
  }
}

/** The coded form of an error out of `node:sqlite`; other errors pass unchanged. */
export function storeError(cause: unknown, where: Where): unknown {
  if (isCoded(cause)) return cause;
  const extended = (cause as { errcode?: unknown } | undefined)?.errcode;
  if (typeof extended !== 'number') return cause;
  const code = extended & 0xff;
  if (syncFailures.has(extended)) {
    return new CodedError('LEDGER_STORAGE', `The file of channel ${where.channel} could not be synced.`, { why: `SQLite reports input/output error ${extended}: what the disk holds is not known.`, next: 'Look at the disk, then start the ledger again: it goes on from what is there.', ...where }, { cause });
  }
  if (code === primary.full || ((code === primary.ioError || code === primary.cannotOpen) && isFull(where.file))) {
    return new CodedError('LEDGER_DISK_FULL', `The disk that holds channel ${where.channel} is full; the block was not written.`, { why: 'SQLite could not extend its file.', next: 'Free space and try again; reading goes on, and nothing acknowledged is lost.', ...where }, { cause });
  }
  if (code === primary.corrupt || code === primary.notADatabase) {
    return new CodedError('LEDGER_CORRUPT', `The state file of channel ${where.channel} is damaged.`, { why: 'SQLite found a page that cannot be right.', next: `Restore ${where.file} from a copy, or replay the channel from its blocks.`, ...where }, { cause });
  }
  // SQLite opens a file read-only when the disk refuses it otherwise.
  if (code === primary.ioError || code === primary.cannotOpen || code === primary.readOnly) {
    return new CodedError('LEDGER_STORAGE', `The file of channel ${where.channel} cannot be read or written.`, { why: `SQLite reports input/output error ${extended}.`, next: 'Look at the disk and the rights on the folder.', ...where }, { cause });
  }
  return cause;
}

/** The coded form of an error of the file system; other errors pass unchanged. */
export function folderError(cause: unknown, folder: string): unknown {
  const { code, syscall } = (cause ?? {}) as NodeJS.ErrnoException;
  if (isCoded(cause) || syscall === undefined) return cause;
  if (code === 'ENOSPC') return new CodedError('LEDGER_DISK_FULL', 'The disk that holds the ledger is full.', { why: `${code} on ${syscall}`, next: 'Free space and try again.', folder }, { cause });
  return new CodedError('LEDGER_STORAGE', 'The folder of the ledger cannot be read or written.', { why: `${code} on ${syscall}`, next: 'Look at the disk and the rights on the folder.', folder }, { cause });
}
