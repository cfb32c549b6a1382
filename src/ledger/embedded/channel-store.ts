/**
 * One channel in one SQLite file. Blocks, transaction index, state, history, hashes and private values change together,
 * in one durable transaction per block (WAL, `synchronous=FULL`): after a crash either all of a block is there or nothing.
 */
import { dirname } from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { utf8 } from '#base/bytes.ts';
import { CodedError, isCoded } from '#base/errors.ts';
import { digestOf } from './block-digest.ts';
import { beginLog, hasRoom, openWriter } from './channel-file.ts';
import { syncFolder, writeAnew } from './folder-sync.ts';
import { noBugs, type PlantedBugs } from './planted.ts';
import { createStateReader, type StateReader } from './state-reader.ts';
import { folderError, storeError, type Where } from './store-error.ts';
import type { UpdateBatch } from './update-batch.ts';

export interface NewBlock {
  readonly number: number;
  readonly hash: Uint8Array;
  readonly bytes: Uint8Array;
  /** One per transaction of the block, in order. */
  readonly transactions: readonly { readonly txId: string; readonly code: number }[];
  readonly commitHash: Uint8Array;
  readonly batch: UpdateBatch;
  /** Blocks a collection's values live, by `namespace\0collection`; absent: for ever. */
  readonly lifetimes: ReadonlyMap<string, number>;
  /** Written with the block, or not at all. */
  readonly facts?: ReadonlyMap<string, Uint8Array>;
}

/** A consistent view of one height, to be released. */
export interface Snapshot {
  readonly reader: StateReader;
  /** Number of blocks it sees. */
  readonly height: number;
  release(): void;
}

interface Generation {
  readonly database: DatabaseSync;
  readonly reader: StateReader;
  height: number;
  users: number;
  stale: boolean;
}

export interface ChannelStore {
  readonly channel: string;
  readonly file: string;
  /** Reads at the head; for the committer, which never awaits between reading and writing. */
  readonly head: StateReader;
  snapshot(): Snapshot;
  /**
   * Durable when it returns. Throws LEDGER_DISK_FULL: then nothing was written and the next block may be tried. Throws
   * LEDGER_CORRUPT or LEDGER_STORAGE: then only opening the file anew tells whether the block is there (all of it, or
   * nothing), and until then every further block is refused.
   */
  append(block: NewBlock): void;
  /** Why blocks are refused until the file is opened anew, once that is so. */
  halted(): CodedError | undefined;
  /** Why the next block would be refused, as far as one can tell without writing it. */
  trouble(): CodedError | undefined;
  fact(name: string): Uint8Array | undefined;
  close(): void;
}

/** SQLite's default page. */
const PAGE_BYTES = 4096;

const insert = {
  block: 'INSERT INTO blocks VALUES (?, ?, ?)',
  digest: 'INSERT INTO digests VALUES (?, ?)',
  transaction: 'INSERT OR IGNORE INTO transactions VALUES (?, ?, ?, ?)',
  state: 'INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?, ?)',
  deleteState: 'DELETE FROM state WHERE namespace = ? AND key = ?',
  history: 'INSERT OR IGNORE INTO history VALUES (?, ?, ?, ?)',
  hash: 'INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?, ?, ?, ?)',
  deleteHash: 'DELETE FROM hashes WHERE namespace = ? AND collection = ? AND key_hash = ?',
  private: 'INSERT OR REPLACE INTO private VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
  deletePrivate: 'DELETE FROM private WHERE namespace = ? AND collection = ? AND key_hash = ?',
  expirePrivate: 'DELETE FROM private WHERE expires IS NOT NULL AND expires < ?',
  expireHashes: 'DELETE FROM hashes WHERE expires IS NOT NULL AND expires < ?',
  fact: 'INSERT OR REPLACE INTO facts VALUES (?, ?)',
} as const;

export interface ChannelStoreOptions {
  readonly channel: string;
  readonly file: string;
  readonly durable: boolean;
  /** Upper bound of the file, for operators who share a disk; beyond it blocks are refused with LEDGER_DISK_FULL. */
  readonly maxBytes?: number;
  /** Pages of the write-ahead log before it is folded into the file. */
  readonly checkpointPages?: number;
  /** For tests only. */
  readonly planted?: PlantedBugs;
}

/** Opens or creates the file. Throws LEDGER_CORRUPT, LEDGER_STORAGE, LEDGER_FILE_VERSION. */
export function openChannelStore({ channel, file, durable, maxBytes, checkpointPages, planted = noBugs }: ChannelStoreOptions): ChannelStore {
  const where = { channel, file };
  const guarded = guardedBy(where);
  // SQLite folds a log into the file on the word of a sync that may not be true for what another process wrote.
  if (durable) guarded(() => writeAnew(`${file}-wal`));
  const writer = guarded(() => openWriter(file, durable));
  if (maxBytes !== undefined) writer.exec(`PRAGMA max_page_count = ${Math.ceil(maxBytes / PAGE_BYTES)}`);
  if (checkpointPages !== undefined) writer.exec(`PRAGMA wal_autocheckpoint = ${checkpointPages}`);
  if (planted.has('no-sync')) writer.exec('PRAGMA synchronous = OFF');
  const prepared = new Map<string, StatementSync>();
  const run = (text: string, ...values: SQLInputValue[]): void => {
    let statement = prepared.get(text);
    if (statement === undefined) prepared.set(text, (statement = writer.prepare(text)));
    statement.run(...values);
  };
  const head = rememberingPolicies(createStateReader(writer, where));
  const generations = createGenerations(where);
  const settle = durable ? createSettling(writer, { where, guarded, planted }) : () => undefined;
  let halted: CodedError | undefined;
  let full: CodedError | undefined;
  const write = (block: NewBlock): void => guarded(() => {
    writer.exec('BEGIN IMMEDIATE');
    try {
      writeChain(run, block);
      if (planted.has('state-apart')) writer.exec('COMMIT; BEGIN IMMEDIATE');
      writeState(run, block);
      if (planted.has('private-apart')) writer.exec('COMMIT; BEGIN IMMEDIATE');
      writePrivate(run, block);
      writer.exec('COMMIT');
    } catch (error) {
      if (writer.isTransaction) writer.exec('ROLLBACK');
      throw error;
    }
  });
  const relieve = (): CodedError | undefined => {
    try {
      guarded(() => beginLog(writer));
      return undefined;
    } catch (error) {
      return isCoded(error) && error.code !== 'LEDGER_DISK_FULL' ? error : undefined;
    }
  };
  const append = (block: NewBlock): void => {
    if (halted !== undefined) throw halted;
    generations.retire();
    settle();
    if (planted.has('lower-height')) forgetFrom(run, block.number);
    else guardNumber(block, { height: head.height(), where });
    try {
      write(block);
    } catch (error) {
      if (planted.has('swallowed-io-error') && isCoded(error, 'LEDGER_STORAGE')) return;
      if (planted.has('sync-retried') && isCoded(error, 'LEDGER_STORAGE')) return write(block);
      if (isCoded(error, 'LEDGER_STORAGE') || isCoded(error, 'LEDGER_CORRUPT')) halted = error;
      if (isCoded(error, 'LEDGER_DISK_FULL')) {
        full = error;
        halted = relieve();
      }
      throw error;
    }
    full = undefined;
    head.forget(block.batch);
  };
  return {
    channel, file, head, append,
    halted: () => halted,
    trouble: () => halted ?? (full !== undefined && !hasRoom(writer, { file, maxBytes }) ? full : undefined),
    snapshot: () => guarded(() => generations.acquire()),
    fact: (name) => guarded(() => (writer.prepare('SELECT value FROM facts WHERE name = ?').get(name) as { value: Uint8Array } | undefined)?.value),
    close: () => {
      generations.close();
      writer.close();
    },
  };
}

type Guarded = <T>(work: () => T) => T;

const guardedBy = (where: Where): Guarded => (work) => {
  try {
    return work();
  } catch (error) {
    throw folderError(storeError(error, where), dirname(where.file));
  }
};

/**
 * Only what is in the file itself counts: a log that an earlier process could not sync reads well from the system's cache
 * and may be on no disk. So it is folded into the file and emptied, and the names beside it are synced, before a block is
 * put on top. Done at once; on a full disk, which can still be read, by the returned function. Throws LEDGER_STORAGE.
 */
function createSettling(writer: DatabaseSync, { where, guarded, planted }: { readonly where: Where; readonly guarded: Guarded; readonly planted: PlantedBugs }): () => void {
  let settled = false;
  const settle = (): void => guarded(() => {
    if (settled) return;
    const { busy } = writer.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get() as { busy: number };
    if (busy !== 0) throw new CodedError('LEDGER_DISK_FULL', `The log of channel ${where.channel} could not be folded into its file when it was opened.`, { why: 'The disk was full, and there are readers now.', next: 'Try again, or start the ledger again.', ...where });
    if (!planted.has('no-folder-sync')) syncFolder(dirname(where.file));
    settled = true;
  });
  try {
    settle();
  } catch (error) {
    if (!isCoded(error, 'LEDGER_DISK_FULL')) {
      writer.close();
      throw error;
    }
  }
  return settle;
}

/** The head's answers about key policies change with blocks only. */
function rememberingPolicies(reader: StateReader): StateReader & { forget(batch: UpdateBatch): void } {
  const known = new Map<string, boolean>();
  return {
    ...reader,
    hasKeyPolicies: (namespace) => {
      let answer = known.get(namespace);
      if (answer === undefined) known.set(namespace, (answer = reader.hasKeyPolicies(namespace)));
      return answer;
    },
    forget: (batch) => {
      for (const [namespace, updates] of batch.state) for (const update of updates.values()) if (update.policy !== null) known.delete(namespace);
    },
  };
}

/** Read connections, one per height in use; a height that nobody reads any more gives its connection back. */
function createGenerations(where: Where): { acquire(): Snapshot; retire(): void; close(): void } {
  const idle: Generation[] = [];
  const open = new Set<Generation>();
  let current: Generation | undefined;
  const begin = (): Generation => {
    let generation = idle.pop();
    if (generation === undefined) {
      const database = new DatabaseSync(where.file, { readOnly: true });
      database.exec('PRAGMA query_only = ON; PRAGMA cache_size = -32768');
      generation = { database, reader: createStateReader(database, where), height: 0, users: 0, stale: false };
      open.add(generation);
    }
    generation.stale = false;
    generation.database.exec('BEGIN');
    generation.height = generation.reader.height();
    return generation;
  };
  const finish = (generation: Generation): void => {
    if (!generation.stale || generation.users > 0 || !open.has(generation)) return;
    generation.database.exec('COMMIT');
    idle.push(generation);
  };
  return {
    acquire: () => {
      const generation = (current ??= begin());
      generation.users++;
      let released = false;
      return {
        reader: generation.reader,
        height: generation.height,
        release: () => {
          if (released) return;
          released = true;
          generation.users--;
          finish(generation);
        },
      };
    },
    retire: () => {
      if (current === undefined) return;
      current.stale = true;
      finish(current);
      current = undefined;
    },
    close: () => {
      current = undefined;
      for (const generation of open) generation.database.close();
      open.clear();
    },
  };
}

type Run = (text: string, ...values: SQLInputValue[]) => void;

/** A block that is not the next one never gets in, whatever asks for it. */
function guardNumber({ number }: NewBlock, { height, where }: { readonly height: number; readonly where: Where }): void {
  if (number !== height) throw new CodedError('LEDGER_CHAIN_BROKEN', `Block ${number} is not the next one of channel ${where.channel}.`, { why: `The file holds ${height} blocks.`, next: 'Start the ledger again; it goes on from what the file holds.', ...where, block: number });
}

/** `lower-height` */
function forgetFrom(run: Run, number: number): void {
  run('DELETE FROM blocks WHERE number >= ?', number);
  run('DELETE FROM digests WHERE block >= ?', number);
}

function writeChain(run: Run, block: NewBlock): void {
  run(insert.block, block.number, block.hash, block.bytes);
  run(insert.digest, block.number, digestOf(block));
  block.transactions.forEach(({ txId, code }, tx) => {
    if (txId !== '') run(insert.transaction, txId, block.number, tx, code);
  });
  run(insert.fact, 'commitHash', block.commitHash);
  for (const [name, value] of block.facts ?? []) run(insert.fact, name, value);
}

function writeState(run: Run, block: NewBlock): void {
  for (const [namespace, updates] of block.batch.state) {
    for (const [key, { value, tx, policy }] of updates) {
      if (value === null) run(insert.deleteState, namespace, utf8(key));
      else run(insert.state, namespace, utf8(key), value, block.number, tx, policy);
    }
  }
  for (const { namespace, key, tx } of block.batch.history) run(insert.history, namespace, utf8(key), block.number, tx);
}

function writePrivate(run: Run, { number, batch, lifetimes }: NewBlock): void {
  const expiry = (namespace: string, collection: string): number | null => {
    const life = lifetimes.get(`${namespace}\0${collection}`);
    return life === undefined ? null : number + life;
  };
  for (const [namespace, collections] of batch.hashes) {
    for (const [collection, updates] of collections) {
      for (const { keyHash, valueHash, tx } of updates.values()) {
        run(insert.deletePrivate, namespace, collection, keyHash);
        if (valueHash === null) run(insert.deleteHash, namespace, collection, keyHash);
        else run(insert.hash, namespace, collection, keyHash, valueHash, number, tx, expiry(namespace, collection));
      }
    }
  }
  for (const row of batch.private) run(insert.private, row.namespace, row.collection, utf8(row.key), row.keyHash, row.value, number, row.tx, expiry(row.namespace, row.collection));
  run(insert.expirePrivate, number);
  run(insert.expireHashes, number);
}
