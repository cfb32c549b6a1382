/**
 * A ledger's folder made again from blocks alone: state, history, hashes and index are what the blocks say. Private values are
 * in no block; those of a damaged file that still fit their hashes are taken along, the others are counted.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { equalBytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import { intoNewFolder } from './backup.ts';
import { digestOf, RUNNING_FACT } from './block-digest.ts';
import { openBlockFile, type BlockReader } from './block-file.ts';
import { replayInto } from './chain-check.ts';
import { openReader } from './channel-file.ts';
import { openChannelStore } from './channel-store.ts';
import { checkFolder, type FolderFacts } from './corruption.ts';
import { lockFolder } from './folder-lock.ts';
import { nativeHash } from './hash.ts';
import { noteChannel } from './inventory.ts';
import { createStateReader } from './state-reader.ts';
import { storeError } from './store-error.ts';

interface Blocks extends BlockReader {
  readonly channel: string;
  readonly file: string;
  /** The damaged file, when that is where the blocks are. */
  readonly database?: DatabaseSync;
}

/** From a ledger's folder, a backup or block files into a new folder. Throws LEDGER_CHAIN_BROKEN, LEDGER_CORRUPT, LEDGER_BACKUP_REFUSED, LEDGER_IN_USE. */
export async function rebuildFolder({ from, to }: { readonly from: string; readonly to: string }): Promise<FolderFacts> {
  const release = existsSync(join(from, 'ledger.lock')) ? lockFolder(from) : () => undefined;
  try {
    return await intoNewFolder(to, async (part) => {
      const names = readdirSync(from).filter((name) => /\.(blocks|sqlite)$/.test(name)).sort();
      // Blocks that another member handed over come before those of a file that may be damaged.
      const chosen = names.filter((name) => name.endsWith('.blocks') || !names.includes(name.replace(/sqlite$/, 'blocks')));
      if (chosen.length === 0) throw new CodedError('LEDGER_BACKUP_REFUSED', 'There are no blocks in the folder.', { why: 'It holds neither channel files nor files of blocks.', next: 'Name a ledger\'s folder, a backup, or a folder with CHANNEL.blocks files.', folder: from });
      for (const name of chosen) await rebuildChannel(openBlocks(from, name), part);
      return checkFolder({ folder: part });
    });
  } finally {
    release();
  }
}

function openBlocks(folder: string, name: string): Blocks {
  const file = join(folder, name);
  const channel = name.replace(/\.\w+$/, '');
  if (name.endsWith('.blocks')) {
    const beside = join(folder, `${channel}.sqlite`);
    return { ...openBlockFile(file), channel, file, ...(existsSync(beside) ? attempt(() => ({ database: openReader(beside, false) })) : {}) };
  }
  try {
    const database = openReader(file, false);
    const reader = createStateReader(database, { channel, file });
    return { channel, file, database, height: reader.height, block: reader.block, close: () => undefined };
  } catch (error) {
    throw storeError(error, { channel, file });
  }
}

async function rebuildChannel(blocks: Blocks, part: string): Promise<void> {
  const { channel, database } = blocks;
  const file = join(part, `${channel}.sqlite`);
  try {
    const store = openChannelStore({ channel, file, durable: true });
    try {
      await replayInto(store, { channel, file: blocks.file, reader: blocks });
    } finally {
      store.close();
    }
    if (database !== undefined) takeAlong(database, file);
    noteChannel(part, channel);
  } finally {
    blocks.close();
    database?.close();
  }
}

/** SQLite's ERROR (a table is not there), CORRUPT and NOTADB. */
const DAMAGE: ReadonlySet<number> = new Set([1, 11, 26]);

/** What a damaged file does not give is not taken. */
function attempt<T extends object>(work: () => T): T | Record<string, never> {
  try {
    return work();
  } catch (error) {
    if (DAMAGE.has(((error as { errcode?: number }).errcode ?? 0) & 0xff)) return {};
    throw error;
  }
}

interface PrivateRow {
  readonly namespace: string;
  readonly collection: string;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** The first facts of the channel and the private values that fit. */
function takeAlong(source: DatabaseSync, file: string): void {
  const target = new DatabaseSync(file);
  try {
    target.exec('PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; BEGIN IMMEDIATE');
    attempt(() => takeFacts(source, target));
    const hashOf = target.prepare('SELECT key_hash AS keyHash, value_hash AS valueHash, block, tx, expires FROM hashes WHERE namespace = ? AND collection = ? AND key_hash = ?');
    const insert = target.prepare('INSERT OR REPLACE INTO private VALUES (?, ?, ?, ?, ?, ?, ?, ?)');
    attempt(() => {
      for (const { namespace, collection, key, value } of source.prepare('SELECT namespace, collection, key, value FROM private').iterate() as unknown as Iterable<PrivateRow>) {
        const hash = hashOf.get(namespace, collection, nativeHash(key)) as { keyHash: Uint8Array; valueHash: Uint8Array; block: number; tx: number; expires: number | null } | undefined;
        if (hash !== undefined && equalBytes(hash.valueHash, nativeHash(value))) insert.run(namespace, collection, key, hash.keyHash, value, hash.block, hash.tx, hash.expires);
      }
      return {};
    });
    target.exec('COMMIT');
  } finally {
    target.close();
  }
}

/** Only facts that the source's own digest of block 0 vouches for. */
function takeFacts(source: DatabaseSync, target: DatabaseSync): object {
  const facts = new Map((source.prepare('SELECT name, value FROM facts WHERE name <> ?').all(RUNNING_FACT) as unknown as { name: string; value: Uint8Array }[]).map(({ name, value }) => [name, value]));
  const { bytes } = target.prepare('SELECT bytes FROM blocks WHERE number = 0').get() as { bytes: Uint8Array };
  const digest = digestOf({ bytes, facts });
  const kept = source.prepare('SELECT digest FROM digests WHERE block = 0').get() as { digest: Uint8Array } | undefined;
  if (kept === undefined || !equalBytes(kept.digest, digest)) return {};
  for (const [name, value] of facts) target.prepare('INSERT OR REPLACE INTO facts VALUES (?, ?)').run(name, value);
  target.prepare('UPDATE digests SET digest = ? WHERE block = 0').run(digest);
  return {};
}
