/**
 * Copies of a ledger's folder. Each channel is copied at one height (`VACUUM INTO` reads one snapshot, beside a writer too);
 * the heights of different channels are those of different moments. Restoring checks everything before the folder gets its
 * name: file digests, every row, the chain, and the state judged again from block 0.
 */
import { closeSync, copyFileSync, fsyncSync, mkdirSync, mkdtempSync, openSync, readdirSync, renameSync, rmdirSync, rmSync, statSync, existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { toHex } from '#base/bytes.ts';
import { CodedError, isCoded } from '#base/errors.ts';
import type { Clock } from '#base/ports.ts';
import { backupDamaged, checkFiles, fileDigest, MANIFEST, manifestText, readManifest, type BackupChannel, type Manifest } from './backup-manifest.ts';
import { RUNNING_FACT } from './block-digest.ts';
import { writeBlockFile } from './block-file.ts';
import { openReader } from './channel-file.ts';
import { checkFolder, type FolderFacts } from './corruption.ts';
import { lockFolder } from './folder-lock.ts';
import { syncFolder } from './folder-sync.ts';
import { channelsIn, missChannels, noteChannel } from './inventory.ts';
import { createStateReader } from './state-reader.ts';
import { storeError } from './store-error.ts';

export interface BackupRequest {
  /** The ledger's folder. */
  readonly folder: string;
  /** A folder that is empty or not there. */
  readonly to: string;
  readonly clock: Clock;
  /** Blocks only: no private values, to be handed to others. */
  readonly blocksOnly?: boolean;
}

/** Makes a backup; a ledger that runs on the folder goes on. Throws LEDGER_BACKUP_REFUSED, LEDGER_MISSING, LEDGER_CORRUPT, LEDGER_DISK_FULL. */
export async function backupFolder({ folder, to, clock, blocksOnly = false }: BackupRequest): Promise<Manifest> {
  missChannels(folder);
  const { live, release } = holdLedger(folder);
  try {
    return await intoNewFolder(to, async (part) => {
      const channels: BackupChannel[] = [];
      for (const channel of [...channelsIn(folder)].sort()) channels.push(await copyChannel({ channel, file: join(folder, `${channel}.sqlite`), live, blocksOnly }, part));
      const manifest = { madeAt: new Date(clock.now()).toISOString(), channels };
      writeFileSync(join(part, MANIFEST), manifestText(manifest), { mode: 0o600, flush: true });
      return manifest;
    });
  } finally {
    release();
  }
}

/** Keeps a ledger from starting until it is released, or learns that one runs. */
export function holdLedger(folder: string): { readonly live: boolean; readonly release: () => void } {
  try {
    return { live: false, release: lockFolder(folder) };
  } catch (error) {
    if (isCoded(error, 'LEDGER_IN_USE')) return { live: true, release: () => undefined };
    throw error;
  }
}

interface CopyOf {
  readonly channel: string;
  readonly file: string;
  readonly live: boolean;
  readonly blocksOnly: boolean;
}

async function copyChannel({ channel, file, live, blocksOnly }: CopyOf, part: string): Promise<BackupChannel> {
  const name = `${channel}.${blocksOnly ? 'blocks' : 'sqlite'}`;
  const copy = join(part, name);
  try {
    const database = openReader(file, live);
    try {
      if (blocksOnly) {
        const reader = createStateReader(database, { channel, file });
        writeBlockFile(copy, reader);
        return { ...headOf(database, reader), channel, file: name, bytes: statSync(copy).size, sha256: await fileDigest(copy) };
      }
      // VACUUM takes its own snapshot, and no transaction may be open.
      database.exec('COMMIT; PRAGMA query_only = OFF');
      database.prepare('VACUUM INTO ?').run(copy);
    } finally {
      database.close();
    }
    syncFile(copy);
    const copied = openReader(copy, false);
    try {
      return { ...headOf(copied, createStateReader(copied, { channel, file: copy })), channel, file: name, bytes: statSync(copy).size, sha256: await fileDigest(copy) };
    } finally {
      copied.close();
    }
  } catch (error) {
    throw storeError(error, { channel, file });
  }
}

function headOf(database: ReturnType<typeof openReader>, reader: ReturnType<typeof createStateReader>): Pick<BackupChannel, 'height' | 'lastHash' | 'commitHash'> {
  const { value } = database.prepare('SELECT value FROM facts WHERE name = ?').get(RUNNING_FACT) as { value: Uint8Array };
  return { height: reader.height(), lastHash: toHex(reader.lastHash() ?? new Uint8Array(0)), commitHash: toHex(value) };
}

function syncFile(path: string): void {
  const handle = openSync(path, 'r+');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** Throws LEDGER_BACKUP_REFUSED unless the folder is new or empty. */
function refuseFilled(to: string): void {
  if (!existsSync(to) || (statSync(to).isDirectory() && readdirSync(to).length === 0)) return;
  throw new CodedError('LEDGER_BACKUP_REFUSED', 'The folder to write into is not empty.', { why: 'What is in it would be mixed with what comes, or be in use.', next: 'Name a new folder; move the old one away first.', folder: to });
}

/** The folder gets its name when all of it is on the disk; whatever goes wrong before leaves nothing behind. */
export async function intoNewFolder<T>(to: string, fill: (part: string) => Promise<T>): Promise<T> {
  refuseFilled(to);
  mkdirSync(dirname(to), { recursive: true, mode: 0o700 });
  const part = mkdtempSync(`${to}.part-`);
  try {
    const result = await fill(part);
    syncFolder(part);
    refuseFilled(to);
    if (existsSync(to)) rmdirSync(to);
    renameSync(part, to);
    syncFolder(dirname(to));
    return result;
  } catch (error) {
    rmSync(part, { recursive: true, force: true });
    throw error;
  }
}

/** Restores a backup into a new folder, after checking all of it. Throws LEDGER_BACKUP_DAMAGED naming the file, LEDGER_BACKUP_REFUSED. */
export async function restoreFolder({ from, to }: { readonly from: string; readonly to: string }): Promise<FolderFacts> {
  refuseFilled(to);
  const manifest = readManifest(from);
  await checkFiles(from, manifest);
  const bare = manifest.channels.find(({ file }) => file.endsWith('.blocks'));
  if (bare !== undefined) throw new CodedError('LEDGER_BACKUP_REFUSED', 'The backup holds blocks only.', { why: 'State has to be rebuilt from them.', next: 'Run healthkeep ledger restore with --blocks.', file: bare.file });
  return intoNewFolder(to, async (part) => {
    for (const { channel, file } of manifest.channels) {
      copyFileSync(join(from, file), join(part, file));
      syncFile(join(part, file));
      noteChannel(part, channel);
    }
    const facts = await checkFolder({ folder: part });
    const [first] = facts.findings;
    if (first !== undefined) throw backupDamaged(first.file, `${first.place}: ${first.what}`);
    for (const { channel, file, height, lastHash, commitHash } of manifest.channels) {
      const found = facts.channels.find((one) => one.channel === channel);
      if (found?.height !== height || found.lastHash !== lastHash || found.commitHash !== commitHash) throw backupDamaged(file, 'It holds another height or chain than the manifest says.');
    }
    return facts;
  });
}
