/** A network's folder: who holds it, and the addresses of what runs in it. */
import { mkdirSync, readFileSync, renameSync, writeFileSync, accessSync, constants, existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { CodedError } from '#base/errors.ts';
import { OrgId } from '#model/ids.ts';

/** `network.json`: what other processes need to find this network. No keys. */
export const NetworkFile = z
  .strictObject({ version: z.literal(1), ledger: z.url(), members: z.record(OrgId, z.url()), people: z.int() })
  .readonly();
export type NetworkFile = z.infer<typeof NetworkFile>;

export interface Folder {
  readonly path: string;
  /** True when no other process works in it; the hold lasts until `release` or the end of the process. */
  readonly held: boolean;
  release(): void;
}

/** Makes the folder where needed. @throws CodedError FOLDER_NOT_WRITABLE */
export function makeFolder(path: string): string {
  const folder = resolve(path);
  try {
    makeMissing(folder);
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new CodedError('FOLDER_NOT_WRITABLE', 'The folder for the state cannot be written.', { why: `The system answered ${(cause as NodeJS.ErrnoException).code ?? 'an error'}.`, next: 'Choose another place with --folder.' }, { cause });
  }
  return folder;
}

/** One folder after the other: where the system lets nobody make any (/proc), Node's own recursion never ends. */
function makeMissing(folder: string): void {
  if (existsSync(folder)) return;
  if (dirname(folder) !== folder) makeMissing(dirname(folder));
  mkdirSync(folder, { mode: 0o700 });
}

/**
 * Takes the folder for this process. The hold is a lock of the operating system on `hold.sqlite`, so that a killed
 * process leaves none behind.
 */
export function holdFolder(path: string): Folder {
  const database = new DatabaseSync(join(path, 'hold.sqlite'));
  try {
    database.exec('PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;');
  } catch (cause) {
    database.close();
    if (/lock|busy/i.test(String((cause as Error).message))) return { path, held: false, release: () => undefined };
    throw new CodedError('FOLDER_NOT_WRITABLE', 'The folder for the state cannot be taken.', { why: 'Its hold file cannot be opened.', next: 'Delete hold.sqlite in it if no healthkeep process runs, or choose another folder.' }, { cause });
  }
  return { path, held: true, release: () => database.close() };
}

/** @throws CodedError FOLDER_NOT_A_NETWORK, CONFIG_INVALID */
export function readNetworkFile(path: string): NetworkFile {
  const file = join(path, 'network.json');
  if (!existsSync(file)) throw new CodedError('FOLDER_NOT_A_NETWORK', 'The folder holds no healthkeep network.', { why: 'It has no network.json.', next: 'Run healthkeep demo --folder DIR first.' });
  try {
    return NetworkFile.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch (cause) {
    throw new CodedError('CONFIG_INVALID', 'network.json in the folder is damaged.', { why: 'It is not the JSON that healthkeep writes.', next: 'Delete it and start the demo on this folder again; it is written anew.' }, { cause });
  }
}

export function readNetworkFileIfAny(path: string): NetworkFile | undefined {
  try {
    return readNetworkFile(path);
  } catch {
    return undefined;
  }
}

/** Replaced as a whole, so that a reader never sees half of it. @throws CodedError FOLDER_NOT_WRITABLE */
export function writeNetworkFile(path: string, network: NetworkFile): void {
  const temporary = join(path, 'network.json.new');
  try {
    writeFileSync(temporary, `${JSON.stringify(network, null, 2)}\n`, { mode: 0o600 });
    renameSync(temporary, join(path, 'network.json'));
  } catch (cause) {
    throw new CodedError('FOLDER_NOT_WRITABLE', 'network.json cannot be written into the folder.', { why: `The system answered ${(cause as NodeJS.ErrnoException).code ?? 'an error'}.`, next: 'Make room or rights in the folder, then start again.' }, { cause });
  }
}
