/**
 * The whole check of a ledger's folder, without the ledger: what is listed is there, every file is as SQLite left it, every
 * block is what was written, the chain holds, its transactions judged again give the tables, and every private value is the
 * one its hash names. SQLite has no checksums of its own for pages; what is compared here is every row. Bytes that hold no
 * row (free pages, gaps inside pages) may change unseen: they carry nothing. A backup's digests cover those too (backup.ts).
 */
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { isCoded } from '#base/errors.ts';
import { replaySource } from './chain-check.ts';
import { checkBlocks, checkFacts, checkPrivate, type Note } from './corruption-rows.ts';
import { checkPages, checkSchema } from './corruption-pages.ts';
import { isChannelFile, openReader } from './channel-file.ts';
import { readLog } from './channel-log.ts';
import { channelsIn } from './inventory.ts';
import { SCHEMA_VERSION } from './schema.ts';
import { createStateReader } from './state-reader.ts';
import { storeError } from './store-error.ts';

export interface Finding {
  /** Name of the file inside the folder. */
  readonly file: string;
  /** Where in it: `page 3, bytes 8192 to 12287`, `block 7`, `table state`. */
  readonly place: string;
  readonly what: string;
}

export interface CheckedChannel {
  readonly channel: string;
  readonly format: number;
  /** Number of blocks. */
  readonly height: number;
  readonly transactions: number;
  /** Hexadecimal. */
  readonly lastHash: string;
  readonly commitHash: string;
}

export interface FolderFacts {
  /** Those without findings. */
  readonly channels: readonly CheckedChannel[];
  /** What is damaged or gone. */
  readonly findings: readonly Finding[];
  /** What a person should know and is no damage: private values that are absent, an unfinished write. */
  readonly remarks: readonly Finding[];
}

export interface FolderCheck {
  readonly folder: string;
  /** A process has the folder open: one height of each channel is checked, and not the log that it is writing. */
  readonly live?: boolean;
}

/** Checks everything that a ledger folder holds. Finds, never throws for what is inside the files. */
export async function checkFolder({ folder, live = false }: FolderCheck): Promise<FolderFacts> {
  const findings: Finding[] = [];
  const remarks: Finding[] = [];
  const channels: CheckedChannel[] = [];
  const listed = channelsIn(folder);
  const present = new Set(readdirSync(folder).filter((name) => name.endsWith('.sqlite') && holdsBytes(join(folder, name))).map((name) => name.slice(0, -'.sqlite'.length)));
  for (const channel of [...listed].filter((name) => !present.has(name)).sort()) findings.push({ file: `${channel}.sqlite`, place: 'the file', what: 'It is gone or empty, and channels.txt lists it.' });
  for (const channel of [...present].sort()) {
    const file = join(folder, `${channel}.sqlite`);
    // Other programs may keep SQLite files in the same folder.
    if (!listed.has(channel) && !isChannelFile(file)) continue;
    if (!listed.has(channel)) findings.push({ file: 'channels.txt', place: 'the list', what: `It does not list ${channel}, whose file is there.` });
    const note: Note = { finding: (place, what, name = basename(file)) => findings.push({ file: name, place, what }), remark: (place, what) => remarks.push({ file: basename(file), place, what }) };
    const checked = await checkChannel({ channel, file, live, note });
    if (checked !== undefined) channels.push(checked);
  }
  return { channels, findings, remarks };
}

const holdsBytes = (file: string): boolean => (statSync(file, { throwIfNoEntry: false })?.size ?? 0) > 0;

interface ChannelCheck {
  readonly channel: string;
  readonly file: string;
  readonly live: boolean;
  readonly note: Note;
}

async function checkChannel(check: ChannelCheck): Promise<CheckedChannel | undefined> {
  const { file, live, note } = check;
  let whole = true;
  const stop: Note = { ...note, finding: (...words) => {
    whole = false;
    note.finding(...words);
  } };
  if (!live) checkLog(file, stop);
  if (!isChannelFile(file)) stop.finding('bytes 68 to 71', 'It does not call itself a channel.');
  if (!whole) return undefined;
  try {
    const database = openReader(file, live);
    try {
      const facts = await checkDatabase(database, { ...check, note: stop });
      return whole ? facts : undefined;
    } finally {
      database.close();
    }
  } catch (error) {
    const coded = storeError(error, check);
    if (!isCoded(coded)) throw error;
    stop.finding(placeOf(coded.details), `${coded.message} ${coded.details.why ?? ''}`.trim());
    return undefined;
  }
}

function placeOf(details: Readonly<Record<string, unknown>>): string {
  if (details['block'] !== undefined) return `block ${String(details['block'])}`;
  return details['table'] === undefined ? 'the file' : `table ${String(details['table'])}`;
}

function checkLog(file: string, note: Note): void {
  const log = `${basename(file)}-wal`;
  // SQLite removes the log last: the index of a log without the log means that somebody else took it.
  if (existsSync(`${file}-shm`) && !existsSync(`${file}-wal`)) note.finding('the file', 'The write-ahead log is gone; blocks may have gone with it.', log);
  const { lost, usable } = readLog(file);
  if (lost === undefined) return;
  const what = `${lost.frames} of its frames cannot be used; SQLite would read the first ${usable} only.`;
  if (lost.synced) note.finding(`byte ${lost.offset}`, `${what} Acknowledged blocks are among them.`, log);
  else if (lost.whole) note.finding(`byte ${lost.offset}`, `${what} Power was cut while a block was written that nobody was told of, or the log is damaged.`, log);
  else note.remark(`byte ${lost.offset} of the log`, `${what} A write was not finished when the process died.`);
}

/** In the order of cost; the later checks need what the earlier ones have made sure of. */
async function checkDatabase(database: DatabaseSync, { channel, file, note }: ChannelCheck): Promise<CheckedChannel | undefined> {
  const { user_version: format } = database.prepare('PRAGMA user_version').get() as { user_version: number };
  if (format < 1 || format > SCHEMA_VERSION) return void note.finding('bytes 60 to 63', `It has format ${format}; this program knows 1 to ${SCHEMA_VERSION}.`);
  const reader = createStateReader(database, { channel, file });
  const clean = checkPages(database, note) && checkSchema(database, format, note) && (format < 2 || checkBlocks(database, note)) && checkFacts(reader, database, note) && checkPrivate(database, note);
  if (!clean) return undefined;
  if (format < 2) note.remark('the file', 'Format 1 keeps no digests of blocks: signatures and metadata in them are checked by the chain only.');
  const scratch = mkdtempSync(join(tmpdir(), 'healthkeep-check-'));
  try {
    const facts = await replaySource({ channel, file, reader }, statSync(file).size < SMALL_BYTES ? ':memory:' : join(scratch, `${channel}.sqlite`));
    return { channel, format, height: facts.blocks, transactions: facts.transactions, lastHash: facts.lastHash, commitHash: facts.commitHash };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Up to this size the copy that a replay makes is kept in memory. */
const SMALL_BYTES = 32 * 1024 * 1024;
