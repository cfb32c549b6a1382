/** What every SQLite store here shares: durable opening, one error vocabulary, one transaction at a time. */
import { mkdirSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { CodedError } from '#base/errors.ts';
import { missIfGone, noteHere } from './inventory.ts';

export interface SqliteOptions {
  /** Path of the file, or `:memory:`. */
  readonly file: string;
  /** Marks whose file this is (SQLite's application_id), so that a wrong file is refused by name. */
  readonly applicationId: number;
  /** Statement lists; entry n brings a file from version n to n + 1 (SQLite's user_version). */
  readonly migrations: readonly string[];
  /** Everything in it can be had again from elsewhere: a file that is gone is begun anew, a damaged one may be deleted. */
  readonly derived?: boolean;
  /** Let readers of large bodies bypass SQLite's page cache. */
  readonly pageCacheKib?: number;
}

export interface Sqlite {
  readonly db: DatabaseSync;
  /** Runs a read; SQLite's errors become STORE_* codes. */
  read<T>(work: () => T): T;
  /** Runs in one transaction that is on disk (WAL, synchronous=FULL) when it returns. Throws STORE_FULL, STORE_CORRUPT, STORE_IO. */
  transact<T>(work: () => T): T;
  /** Moves the write-ahead log into the file and empties it, so that overwritten pages do not live on in the log. */
  scrub(): void;
  close(): void;
}

const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;
const SQLITE_IOERR = 10;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_NOTADB = 26;
/** What the shared-memory file beside a database takes at least. */
const HELPER_BYTES = 32_768;

/**
 * Opens (or creates) a file: WAL, synchronous=FULL, secure_delete (deleted content is overwritten with zeros).
 * Throws STORE_CORRUPT naming the file, STORE_MISSING when it was here before and is gone, STORE_NEWER for a file of a
 * later version, STORE_LOCKED, STORE_IO.
 */
export function openSqlite(options: SqliteOptions): Sqlite {
  const { file } = options;
  const listed = file !== ':memory:' && options.derived !== true;
  if (listed) missIfGone(file);
  const db = coded(file, () => openFile(file));
  try {
    coded(file, () => prepareFile(db, options));
    if (listed) noteHere(file);
  } catch (error) {
    db.close();
    throw options.derived === true && error instanceof CodedError && error.code === 'STORE_CORRUPT' ? new CodedError('STORE_CORRUPT', error.message, { ...error.details, next: 'Delete this file; it is made again from the ledger.' }, { cause: error }) : error;
  }
  let failed = false;
  return {
    db,
    read: (work) => coded(file, work),
    transact(work) {
      // After a failed sync nobody knows what is on disk (fsyncgate): only reopening, which recovers from the log, tells.
      if (failed) throw new CodedError('STORE_IO', 'The store stopped writing after an I/O error.', { file, next: 'Restart the process; it recovers from its log.' });
      try {
        return coded(file, () => inTransaction(db, work));
      } catch (error) {
        if (error instanceof CodedError && isInputOutput(error)) failed = true;
        throw error;
      }
    },
    scrub: () => coded(file, () => void db.prepare('PRAGMA wal_checkpoint(TRUNCATE)').all()),
    close: () => db.close(),
  };
}

function openFile(file: string): DatabaseSync {
  try {
    if (file !== ':memory:') mkdirSync(dirname(file), { recursive: true });
  } catch (cause) {
    throw new CodedError('STORE_IO', `The folder of ${file} could not be made.`, { file }, { cause });
  }
  return new DatabaseSync(file);
}

function prepareFile(db: DatabaseSync, options: SqliteOptions): void {
  const { file, applicationId, migrations } = options;
  db.exec('PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA foreign_keys = ON;');
  db.exec(`PRAGMA cache_size = -${options.pageCacheKib ?? 8_192}; PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864; PRAGMA trusted_schema = OFF;`);
  const owner = pragmaNumber(db, 'application_id');
  const version = pragmaNumber(db, 'user_version');
  if (owner === 0 && version === 0) db.exec(`PRAGMA application_id = ${applicationId}`);
  else if (owner !== applicationId) throw new CodedError('STORE_CORRUPT', `The file ${file} is not the store it should be.`, { file, next: 'Check the folder given; restore the file from a backup if it was replaced.' });
  if (version > migrations.length) throw new CodedError('STORE_NEWER', `The file ${file} was written by a later version of healthkeep.`, { file, next: 'Start the version that wrote it.' });
  for (let at = version; at < migrations.length; at++) inTransaction(db, () => db.exec(`${migrations[at] as string}; PRAGMA user_version = ${at + 1}`));
}

function pragmaNumber(db: DatabaseSync, name: string): number {
  const row = db.prepare(`PRAGMA ${name}`).get() as Record<string, number>;
  return row[name] ?? 0;
}

function inTransaction<T>(db: DatabaseSync, work: () => T): T {
  db.exec('BEGIN IMMEDIATE');
  try {
    const result = work();
    db.exec('COMMIT');
    return result;
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK');
    throw error;
  }
}

function coded<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw codedSqlite(file, error);
  }
}

function isInputOutput(error: CodedError): boolean {
  return error.code === 'STORE_IO' || (Number(error.details['sqlite']) & 0xff) === SQLITE_IOERR;
}

/** On a full disk SQLite may fail to make its helper files first, and calls that an input/output error. */
function isFull(file: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(dirname(file));
    return bavail * bsize < HELPER_BYTES;
  } catch {
    return false;
  }
}

/** The STORE_* error of a SQLite error; anything else passes unchanged. */
export function codedSqlite(file: string, error: unknown): unknown {
  if (!(error instanceof Error) || (error as { code?: string }).code !== 'ERR_SQLITE_ERROR') return error;
  const errcode = (error as { errcode?: number }).errcode ?? 0;
  const details = { file, sqlite: errcode };
  switch (errcode & 0xff) {
    case SQLITE_FULL:
      return new CodedError('STORE_FULL', 'The disk is full; nothing was written.', details, { cause: error });
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return new CodedError('STORE_CORRUPT', `The store file ${file} is damaged.`, details, { cause: error });
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return new CodedError('STORE_LOCKED', `The store file ${file} is in use by another process.`, details, { cause: error });
    case SQLITE_IOERR:
    default:
      if (isFull(file)) return new CodedError('STORE_FULL', 'The disk is full; nothing was written.', details, { cause: error });
      return new CodedError('STORE_IO', `The store file ${file} could not be read or written.`, details, { cause: error });
  }
}
