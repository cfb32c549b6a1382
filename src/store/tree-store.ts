/**
 * Where a witness keeps the trees of the channels it follows: leaves with their place on the ledger, inner nodes of the
 * Merkle tree, and per block the size of the tree after it. A block is applied whole or not at all. Everything here can
 * be had again from the ledger, so a commit does not wait for the disk; after a power cut the witness follows again
 * from the last block that survived.
 */
import type { Bytes } from '#base/bytes.ts';
import { assert } from '#base/errors.ts';
import { openSqlite, type Sqlite } from './sqlite.ts';

/** A channel's tree as it stands after a block. */
export interface TreeHead {
  readonly block: number;
  /** Hash of the block's header. */
  readonly blockHash: Bytes;
  /** Leaves up to and including the block. */
  readonly size: number;
}

/** One public write, in the order of the ledger. */
export interface TreeLeaf {
  readonly block: number;
  readonly tx: number;
  readonly namespace: string;
  readonly key: string;
  /** Null for a delete. */
  readonly value: Bytes | null;
  readonly hash: Bytes;
}

export interface TreeNode {
  readonly level: number;
  readonly index: number;
  readonly hash: Bytes;
}

/** What one block adds: leaves follow the present ones; nodes are those above the leaves (level 1 and up). */
export interface TreeGrowth {
  readonly head: TreeHead;
  readonly leaves: readonly TreeLeaf[];
  readonly nodes: readonly TreeNode[];
}

export interface TreeStore {
  head(channel: string): TreeHead | undefined;
  /** The head as it stood after an earlier block. */
  headAt(channel: string, block: number): TreeHead | undefined;
  /** Level 0 is the leaves' hashes. */
  node(channel: string, level: number, index: number): Bytes | undefined;
  leaf(channel: string, index: number): TreeLeaf | undefined;
  /** Index of the last write of a key among the first `size` leaves. */
  lastWrite(channel: string, where: { readonly namespace: string; readonly key: string; readonly size: number }): number | undefined;
  /** Every key under a prefix that was ever written, in byte order: few keys written often, not many. */
  keysUnder(channel: string, where: { readonly namespace: string; readonly prefix: string }): readonly string[];
  /** Atomic. The block must be the next one. */
  append(channel: string, growth: TreeGrowth): void;
  close(): void;
}

const APPLICATION_ID = 0x686b7472;
/** Names and keys are blobs: ledger keys contain U+0000, which ends a text for some readers of SQLite files. */
const MIGRATIONS = [
  `CREATE TABLE channel (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
   CREATE TABLE block (channel INTEGER, number INTEGER, hash BLOB NOT NULL, size INTEGER NOT NULL, PRIMARY KEY (channel, number)) WITHOUT ROWID;
   CREATE TABLE leaf (channel INTEGER, position INTEGER, block INTEGER NOT NULL, tx INTEGER NOT NULL, namespace BLOB NOT NULL, key BLOB NOT NULL, value BLOB, hash BLOB NOT NULL, PRIMARY KEY (channel, position)) WITHOUT ROWID;
   CREATE TABLE written (channel INTEGER, namespace BLOB, key BLOB, position INTEGER, PRIMARY KEY (channel, namespace, key, position)) WITHOUT ROWID;
   CREATE TABLE node (channel INTEGER, level INTEGER, position INTEGER, hash BLOB NOT NULL, PRIMARY KEY (channel, level, position)) WITHOUT ROWID`,
];

interface LeafRow {
  readonly block: number;
  readonly tx: number;
  readonly namespace: Uint8Array;
  readonly key: Uint8Array;
  readonly value: Bytes | null;
  readonly hash: Bytes;
}

/** Opens or creates the file (`:memory:` for tests). Throws STORE_CORRUPT, STORE_LOCKED, STORE_NEWER. */
export function openTreeStore(file: string): TreeStore {
  const sqlite = openSqlite({ file, applicationId: APPLICATION_ID, migrations: MIGRATIONS, derived: true });
  sqlite.db.exec('PRAGMA synchronous = NORMAL');
  const { channelOf, makeChannel } = channelNumbers(sqlite);
  const { db } = sqlite;
  const headNow = db.prepare('SELECT number AS block, hash AS blockHash, size FROM block WHERE channel = ? ORDER BY number DESC LIMIT 1');
  const headThen = db.prepare('SELECT number AS block, hash AS blockHash, size FROM block WHERE channel = ? AND number = ?');
  const leafHash = db.prepare('SELECT hash FROM leaf WHERE channel = ? AND position = ?');
  const nodeHash = db.prepare('SELECT hash FROM node WHERE channel = ? AND level = ? AND position = ?');
  const oneLeaf = db.prepare('SELECT block, tx, namespace, key, value, hash FROM leaf WHERE channel = ? AND position = ?');
  const last = db.prepare('SELECT position FROM written WHERE channel = ? AND namespace = ? AND key = ? AND position < ? ORDER BY position DESC LIMIT 1');
  const nextKey = db.prepare('SELECT key FROM written WHERE channel = ? AND namespace = ? AND key > ? ORDER BY key LIMIT 1');
  const apply = appender(sqlite);

  return {
    head: (channel) => sqlite.read(() => plain<TreeHead>(headNow.get(channelOf(channel)))),
    headAt: (channel, block) => sqlite.read(() => plain<TreeHead>(headThen.get(channelOf(channel), block))),
    node(channel, level, index) {
      const row = sqlite.read(() => (level === 0 ? leafHash.get(channelOf(channel), index) : nodeHash.get(channelOf(channel), level, index)));
      return (row as { readonly hash: Bytes } | undefined)?.hash;
    },
    leaf(channel, index) {
      const row = sqlite.read(() => oneLeaf.get(channelOf(channel), index)) as LeafRow | undefined;
      return row === undefined ? undefined : { ...row, namespace: text(row.namespace), key: text(row.key) };
    },
    lastWrite(channel, { namespace, key, size }) {
      const row = sqlite.read(() => last.get(channelOf(channel), blob(namespace), blob(key), size));
      return (row as { readonly position: number } | undefined)?.position;
    },
    keysUnder(channel, { namespace, prefix }) {
      const found: string[] = [];
      // From key to key: a range would walk over every write of each.
      for (let last = prefix; ; ) {
        const row = sqlite.read(() => nextKey.get(channelOf(channel), blob(namespace), blob(last))) as { readonly key: Uint8Array } | undefined;
        if (row === undefined || !text(row.key).startsWith(prefix)) return found;
        last = text(row.key);
        found.push(last);
      }
    },
    append(channel, growth) {
      const id = channelOf(channel) || sqlite.transact(() => makeChannel(channel));
      const head = sqlite.read(() => plain<TreeHead>(headNow.get(id)));
      assert(growth.head.block === (head?.block ?? -1) + 1, 'a tree grows block by block');
      assert(growth.head.size === (head?.size ?? 0) + growth.leaves.length, 'a tree grows by its leaves');
      sqlite.transact(() => apply(id, head?.size ?? 0, growth));
    },
    close: () => sqlite.close(),
  };
}

function appender(sqlite: Sqlite): (channel: number, from: number, growth: TreeGrowth) => void {
  const putBlock = sqlite.db.prepare('INSERT INTO block (channel, number, hash, size) VALUES (?, ?, ?, ?)');
  const putLeaf = sqlite.db.prepare('INSERT INTO leaf (channel, position, block, tx, namespace, key, value, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
  const putWritten = sqlite.db.prepare('INSERT INTO written (channel, namespace, key, position) VALUES (?, ?, ?, ?)');
  const putNode = sqlite.db.prepare('INSERT INTO node (channel, level, position, hash) VALUES (?, ?, ?, ?)');
  return (channel, from, { head, leaves, nodes }) => {
    leaves.forEach((leaf, at) => {
      const [namespace, key] = [blob(leaf.namespace), blob(leaf.key)];
      putLeaf.run(channel, from + at, leaf.block, leaf.tx, namespace, key, leaf.value, leaf.hash);
      putWritten.run(channel, namespace, key, from + at);
    });
    for (const node of nodes) putNode.run(channel, node.level, node.index, node.hash);
    putBlock.run(channel, head.block, head.blockHash, head.size);
  };
}

/** Channel names as small numbers, so that no row repeats the name. 0: not here yet; reading makes none, so that it goes on when the disk is full. */
function channelNumbers(sqlite: Sqlite): { readonly channelOf: (name: string) => number; readonly makeChannel: (name: string) => number } {
  const known = new Map<string, number>();
  const find = sqlite.db.prepare('SELECT id FROM channel WHERE name = ?');
  const make = sqlite.db.prepare('INSERT INTO channel (name) VALUES (?) RETURNING id');
  return {
    channelOf: (name) => {
      const id = known.get(name) ?? (sqlite.read(() => find.get(name)) as { readonly id: number } | undefined)?.id ?? 0;
      if (id > 0) known.set(name, id);
      return id;
    },
    makeChannel: (name) => (make.get(name) as { readonly id: number }).id,
  };
}

/** SQLite rows have no prototype; the copy compares and prints like any other object. */
function plain<T extends object>(row: unknown): T | undefined {
  return row === undefined ? undefined : { ...(row as T) };
}

const blob = (value: string): Uint8Array => Buffer.from(value, 'utf8');
const text = (value: Uint8Array): string => Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('utf8');
