/**
 * Bodies on disk: those up to 64 KiB in one SQLite file (many small bodies, one sync), larger ones as files of their own,
 * written beside, synced and renamed into place. Bytes are opaque; the sealing of the room above notices changes.
 */
import { closeSync, existsSync, fstatSync, fsyncSync, mkdirSync, openSync, readdirSync, readSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { BlobStore } from './ports.ts';
import { openSqlite, type Sqlite } from './sqlite.ts';

const APPLICATION_ID = 0x686b626f;
const MIGRATIONS = ['CREATE TABLE body (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, bytes BLOB NOT NULL)'];
/** Larger bodies than this are files. */
export const INLINE_BYTES = 65_536;
const ID = /^[A-Za-z0-9_-]{1,64}$/;
const ZEROS = new Uint8Array(65_536);

export interface BlobFolder {
  /** Folder of the bodies; made when it does not exist. */
  readonly folder: string;
  readonly inlineBytes?: number;
}

/** Opens or creates the folder. Throws STORE_CORRUPT, STORE_LOCKED, STORE_NEWER, STORE_IO. */
export function openBlobStore({ folder, inlineBytes = INLINE_BYTES }: BlobFolder): BlobStore {
  onDisk(folder, () => mkdirSync(folder, { recursive: true }));
  const sqlite = openSqlite({ file: join(folder, 'small.sqlite'), applicationId: APPLICATION_ID, migrations: MIGRATIONS });
  const files = openBodyFiles(join(folder, 'large'));
  const small = openSmallBodies(sqlite);
  let closed = false;
  return {
    async put(bodies) {
      bodies.forEach(({ id }) => checkId(id));
      files.put(bodies.filter(({ bytes }) => bytes.length > inlineBytes));
      small.put(bodies.filter(({ bytes }) => bytes.length <= inlineBytes));
    },
    size: async (id) => small.size(checkId(id)) ?? files.size(id),
    read: async (id, start, end) => {
      const bytes = small.read(checkId(id), start, end) ?? files.read(id, start, end);
      if (bytes === undefined) throw new CodedError('BODY_MISSING', 'The body is not in the store.', { record: id });
      if (bytes.length !== end - start) throw new CodedError('BODY_MISSING', 'The stored body is shorter than it was.', { record: id });
      return bytes;
    },
    async list({ after = '', limit }) {
      const found = [...small.list(after, limit), ...files.list().filter((id) => id > after)];
      return found.sort().slice(0, limit);
    },
    recent: async (limit) => [...small.recent(limit), ...files.list()],
    async shred(ids) {
      ids.forEach(checkId);
      files.shred(ids);
      small.shred(ids);
    },
    async close() {
      if (closed) return;
      closed = true;
      sqlite.close();
    },
  };
}

interface Bodies {
  put(bodies: readonly { readonly id: string; readonly bytes: Bytes }[]): void;
  size(id: string): number | undefined;
  read(id: string, start: number, end: number): Bytes | undefined;
  shred(ids: readonly string[]): void;
}

function openSmallBodies(sqlite: Sqlite): Bodies & { list(after: string, limit: number): readonly string[]; recent(limit: number): readonly string[] } {
  const insert = sqlite.db.prepare('INSERT INTO body (id, bytes) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET bytes = excluded.bytes');
  const length = sqlite.db.prepare('SELECT length(bytes) AS n FROM body WHERE id = ?');
  const slice = sqlite.db.prepare('SELECT substr(bytes, ?, ?) AS bytes FROM body WHERE id = ?');
  const remove = sqlite.db.prepare('DELETE FROM body WHERE id = ?');
  const newest = sqlite.db.prepare('SELECT id FROM body ORDER BY number DESC LIMIT ?');
  const page = sqlite.db.prepare('SELECT id FROM body WHERE id > ? ORDER BY id LIMIT ?');
  return {
    put(bodies) {
      if (bodies.length > 0) sqlite.transact(() => bodies.forEach(({ id, bytes }) => insert.run(id, bytes)));
    },
    size: (id) => sqlite.read(() => (length.get(id) as { n: number } | undefined)?.n),
    read(id, start, end) {
      const row = sqlite.read(() => slice.get(start + 1, end - start, id) as { bytes: Bytes | null } | undefined);
      // An empty slice reads as null.
      return row === undefined ? undefined : (row.bytes ?? new Uint8Array(0));
    },
    list: (after, limit) => sqlite.read(() => (page.all(after, limit) as unknown as { id: string }[]).map(({ id }) => id)),
    recent: (limit) => sqlite.read(() => (newest.all(limit) as unknown as { id: string }[]).map(({ id }) => id)),
    shred(ids) {
      // secure_delete overwrites the cells; emptying the write-ahead log removes the copies there.
      if (sqlite.transact(() => ids.reduce((gone, id) => gone + Number(remove.run(id).changes), 0)) > 0) sqlite.scrub();
    },
  };
}

/** Two levels of folders: ids are random, so 64 folders share them evenly. */
function openBodyFiles(folder: string): Bodies & { list(): readonly string[] } {
  const shelf = (id: string): string => join(folder, `s${id.charCodeAt(0).toString(16)}`);
  const path = (id: string): string => join(shelf(id), id);
  return {
    put(bodies) {
      for (const { id, bytes } of bodies) onDisk(path(id), () => writeFile(folder, { shelf: shelf(id), id, bytes }));
    },
    size: (id) => onDisk(path(id), () => (existsSync(path(id)) ? statSync(path(id)).size : undefined)),
    read: (id, start, end) => onDisk(path(id), () => (existsSync(path(id)) ? readSlice(path(id), start, end) : undefined)),
    list: () => onDisk(folder, () => (existsSync(folder) ? readdirSync(folder).flatMap((name) => readdirSync(join(folder, name))).filter((id) => ID.test(id)) : [])),
    shred(ids) {
      for (const id of ids) onDisk(path(id), () => existsSync(path(id)) && overwriteAndRemove(shelf(id), path(id)));
    },
  };
}

function writeFile(folder: string, body: { readonly shelf: string; readonly id: string; readonly bytes: Bytes }): void {
  const newShelf = mkdirSync(body.shelf, { recursive: true }) !== undefined;
  if (newShelf) syncFolder(folder);
  const beside = join(body.shelf, `${body.id}.part`);
  try {
    writeSynced(beside, body.bytes);
    renameSync(beside, join(body.shelf, body.id));
  } catch (error) {
    // What is half written would keep the room that others need.
    rmSync(beside, { force: true });
    throw error;
  }
  // A rename is durable only once its folder is.
  syncFolder(body.shelf);
}

function writeSynced(path: string, bytes: Bytes): void {
  const file = openSync(path, 'w', 0o600);
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function readSlice(path: string, start: number, end: number): Bytes {
  const file = openSync(path, 'r');
  try {
    const out = new Uint8Array(end - start);
    let at = 0;
    while (at < out.length) {
      const got = readSync(file, out, at, out.length - at, start + at);
      if (got === 0) return out.slice(0, at);
      at += got;
    }
    return out;
  } finally {
    closeSync(file);
  }
}

function overwriteAndRemove(shelf: string, path: string): void {
  const file = openSync(path, 'r+');
  try {
    const length = fstatSync(file).size;
    for (let at = 0; at < length; ) at += writeSync(file, ZEROS, 0, Math.min(ZEROS.length, length - at), at);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  rmSync(path);
  syncFolder(shelf);
}

function syncFolder(folder: string): void {
  // Windows cannot open a folder; its file system journals renames.
  if (process.platform === 'win32') return;
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** Ids become file names: nothing but base64url may pass. */
function checkId(id: string): string {
  if (!ID.test(id)) throw new CodedError('BODY_MISSING', 'The body is not in the store.');
  return id;
}

function onDisk<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    if (error instanceof CodedError || typeof code !== 'string') throw error;
    if (code === 'ENOSPC' || code === 'EDQUOT') throw new CodedError('STORE_FULL', 'The disk is full; nothing was written.', { file }, { cause: error });
    throw new CodedError('STORE_IO', `The store file ${file} could not be read or written.`, { file }, { cause: error });
  }
}
