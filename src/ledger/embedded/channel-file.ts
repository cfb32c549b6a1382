/** A channel's file as such: its mark, its format, its durability. What is in it: channel-store.ts. */
import { closeSync, openSync, readSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { CodedError } from '#base/errors.ts';
import { APPLICATION_ID, schema, SCHEMA_VERSION } from './schema.ts';

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

/** Opens or creates a channel's file for its one writer. Throws LEDGER_FILE_VERSION and what SQLite throws. */
export function openWriter(file: string, durable: boolean): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number };
    const { application_id: application } = database.prepare('PRAGMA application_id').get() as { application_id: number };
    const { tables } = database.prepare('SELECT count(*) AS tables FROM sqlite_schema').get() as { tables: number };
    if (tables > 0 && application !== APPLICATION_ID) throw new CodedError('LEDGER_FILE_VERSION', 'The file is not a channel of this ledger.', { next: 'Give the ledger a folder of its own.', file });
    if (version !== 0 && version !== SCHEMA_VERSION) {
      throw new CodedError('LEDGER_FILE_VERSION', `The channel file has format ${version}; this program writes ${SCHEMA_VERSION}.`, { next: 'Run the version of healthkeep that wrote it.', file });
    }
    // The mark goes into the file before the write-ahead log takes over, so that it can be read without opening the database.
    if (application !== APPLICATION_ID) database.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
    database.exec(`PRAGMA locking_mode = NORMAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = ${durable ? 'FULL' : 'OFF'}; PRAGMA secure_delete = ON; PRAGMA cell_size_check = ON; PRAGMA wal_autocheckpoint = 4000; PRAGMA cache_size = -65536`);
    if (version === 0) database.exec(`BEGIN IMMEDIATE; ${schema} COMMIT`);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}
