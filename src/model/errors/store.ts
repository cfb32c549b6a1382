import type { ErrorRow } from '../errors.ts';

/** Codes of the room `store/`. */
export const storeErrors = {
  STORE_FULL: { status: 507, issue: 'no-store', exit: 1, sentence: 'The disk is full; nothing was written, and reading goes on.', next: 'Free space on the disk of this organisation; then send the same again.', retry: true },
  STORE_CORRUPT: { status: 500, issue: 'exception', exit: 6, sentence: 'A store file is damaged.', next: 'Stop this organisation and restore the named file from a backup.', retry: false },
  STORE_MISSING: { status: 500, issue: 'exception', exit: 6, sentence: 'A store file that was here before is gone or empty.', next: 'Restore the named file from a backup.', retry: false },
  STORE_IO: { status: 500, issue: 'exception', exit: 1, sentence: 'A store file could not be read or written.', next: 'Check the disk and the permissions of the named file, then restart; the store recovers from its log.', retry: true },
  STORE_LOCKED: { status: 503, issue: 'transient', exit: 1, sentence: 'A store file is in use by another process.', next: 'Stop the other process that uses this folder.', retry: true },
  STORE_NEWER: { status: 500, issue: 'not-supported', exit: 3, sentence: 'A store file was written by a later version of healthkeep.', next: 'Start the version that wrote it.', retry: false },
  STORE_CLOSED: { status: 503, issue: 'transient', exit: 1, sentence: 'The store is closed.', next: 'Send the same again when this organisation has started.', retry: true },
  STORE_CONFLICT: { status: 409, issue: 'conflict', exit: 4, sentence: 'Another version of the same resource was stored in between.', next: 'Send the same again.', retry: true },
  BODY_MISSING: { status: 500, issue: 'exception', exit: 6, sentence: 'The body of a record is missing from the store, or shorter than it was.', next: 'Run the tamper check and restore the named record from a backup.', retry: false },
} as const satisfies Record<string, ErrorRow>;
