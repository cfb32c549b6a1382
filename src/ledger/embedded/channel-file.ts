/** A channel's file as such: its mark, its format, its durability. What is in it: channel-store.ts. */
import { closeSync, existsSync, openSync, readSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { CodedError } from '#base/errors.ts';
import { readLog } from './channel-log.ts';
import { APPLICATION_ID, schema, SCHEMA_VERSION } from './schema.ts';
import { upgradeFile, type OnStep } from './upgrade.ts';

const SQLITE_FULL = 13;

/** Does the file call itself a channel of ours? Other programs may keep SQLite files in the same folder. */
export function isChannelFile(file: string): boolean {
  const header = new Uint8Array(100);
  const handle = openSync(file, 'r');
  try {
    readSync(handle, header, 0, header.length, 0);
  } finally {
    closeSync(handle);
  }
  // https://www.sqlite.org/fileformat.html#application_id
  return new DataView(header.buffer).getUint32(68) === APPLICATION_ID;
}

/** Opens or creates a channel's file for its one writer, upgrading an older format. Throws LEDGER_FILE_VERSION, LEDGER_CORRUPT and what SQLite throws. */
export function openWriter(file: string, durable: boolean, onStep?: OnStep): DatabaseSync {
  guardLog(file);
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    const version = formatOf(database, file);
    // The mark goes into the file before the write-ahead log takes over, so that it can be read without opening the database.
    if (version === 0) database.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
    database.exec(`PRAGMA locking_mode = NORMAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = ${durable ? 'FULL' : 'OFF'}; PRAGMA secure_delete = ON; PRAGMA cell_size_check = ON; PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -65536`);
    if (version === 0) database.exec(`BEGIN IMMEDIATE; ${schema} COMMIT`);
    else if (version < SCHEMA_VERSION) upgradeFile(database, version, onStep);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/**
 * Opens a channel's file to look at it. A file that nobody has open and that has no log is taken as it lies, so that
 * looking leaves no files behind; otherwise one consistent height is read beside the writer.
 */
export function openReader(file: string, live: boolean): DatabaseSync {
  const alone = !live && !existsSync(`${file}-wal`);
  const database = new DatabaseSync(alone ? `${pathToFileURL(file).href}?immutable=1` : file, { readOnly: true });
  try {
    database.exec('PRAGMA query_only = ON; PRAGMA cell_size_check = ON; BEGIN');
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** 0: nothing is in it yet. Throws LEDGER_FILE_VERSION. */
function formatOf(database: DatabaseSync, file: string): number {
  const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number };
  const { application_id: application } = database.prepare('PRAGMA application_id').get() as { application_id: number };
  const { tables } = database.prepare('SELECT count(*) AS tables FROM sqlite_schema').get() as { tables: number };
  if (tables > 0 && application !== APPLICATION_ID) throw new CodedError('LEDGER_FILE_VERSION', 'The file is not a channel of this ledger.', { next: 'Give the ledger a folder of its own.', file });
  if (version < 0 || version > SCHEMA_VERSION) {
    throw new CodedError('LEDGER_FILE_VERSION', `The channel file has format ${version}; this program writes ${SCHEMA_VERSION}.`, { why: 'A newer version of healthkeep wrote it, and formats are not written backwards.', next: 'Run that version, or restore a backup that was made before the upgrade.', file });
  }
  return version;
}

/**
 * SQLite takes a damaged log for one that ended earlier, and would go on from there: acknowledged blocks would be forgotten
 * and other blocks take their numbers. Only the last transaction can be torn by a power cut, for every earlier one was
 * synced before it; damage before that stops the ledger. (Whoever opens folds the log into the file first, so that nothing old lies behind what comes.)
 */
function guardLog(file: string): void {
  const log = readLog(file);
  if (log.lost?.synced === true) throw new CodedError('LEDGER_CORRUPT', 'The write-ahead log of a channel is damaged.', { why: `Blocks after byte ${log.lost.offset} of the log were acknowledged and cannot be read.`, next: `Restore the folder from a copy; healthkeep ledger verify names what is damaged.`, file: `${file}-wal`, offset: log.lost.offset });
}

/** What is in the log goes into the file, and the log begins anew: a block that found no room leaves nothing in it, and its room is given back. */
export function beginLog(database: DatabaseSync): void {
  try {
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  } catch (error) {
    // On a full disk the log stays as it is; reading goes on.
    if (((error as { errcode?: number }).errcode ?? 0) % 256 !== SQLITE_FULL) throw error;
  }
}

/** What a block and its log may need. */
const ROOM_BYTES = 256 * 1024;

/** Is there room for a block again, on the disk and under the file's own bound? */
export function hasRoom(database: DatabaseSync, { file, maxBytes }: { readonly file: string; readonly maxBytes: number | undefined }): boolean {
  const { bavail, bsize } = statfsSync(dirname(file));
  if (bavail * bsize < ROOM_BYTES) return false;
  if (maxBytes === undefined) return true;
  const number = (name: string): number => Object.values(database.prepare(`PRAGMA ${name}`).get() as Record<string, number>)[0] ?? 0;
  return (number('page_count') - number('freelist_count')) * number('page_size') + ROOM_BYTES < maxBytes;
}
