/** One process per folder. The lock is SQLite's on a file of its own, so that the system takes it back when the process dies, however it dies. */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { CodedError } from '#base/errors.ts';

/** Takes the folder; the returned function gives it back. Throws LEDGER_IN_USE, LEDGER_STORAGE. */
export function lockFolder(folder: string): () => void {
  let lock: DatabaseSync | undefined;
  try {
    const held = (lock = new DatabaseSync(join(folder, 'ledger.lock'), { timeout: 0 }));
    held.exec('BEGIN EXCLUSIVE');
    return () => held.close();
  } catch (cause) {
    lock?.close();
    if (!isBusy(cause)) throw new CodedError('LEDGER_STORAGE', 'The lock file of the ledger cannot be used.', { why: 'SQLite cannot read or write it.', next: 'Look at the disk and the rights on the folder.', folder }, { cause });
    throw new CodedError('LEDGER_IN_USE', 'Another process has this ledger open.', { why: 'A ledger folder has one writer.', next: 'Stop the other process, or reach it over gRPC or HTTP.', folder }, { cause });
  }
}

/** SQLITE_BUSY: somebody else has it. Anything else is the disk's fault. */
const isBusy = (error: unknown): boolean => ((error as { readonly errcode?: number }).errcode ?? 0) % 256 === 5;
