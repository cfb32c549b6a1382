/**
 * The channels of a folder, one a line in `channels.txt`. SQLite takes a file that is gone or empty for a new one; a
 * channel that has been here must be missed instead of being begun again from block 0.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { CodedError } from '#base/errors.ts';
import { syncFolder } from './folder-sync.ts';

const NAME = 'channels.txt';

/** Throws LEDGER_MISSING naming the first channel whose file is gone or empty. */
export function missChannels(folder: string): void {
  for (const channel of channelsIn(folder)) {
    const file = join(folder, `${channel}.sqlite`);
    if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > 0) continue;
    throw new CodedError('LEDGER_MISSING', `The state file of channel ${channel} is gone or empty.`, { why: `${NAME} beside it says that it was here.`, next: `Restore ${file} from a copy. If the channel is lost for good, take its line out of ${NAME}: then it begins at block 0.`, channel, file });
  }
}

/** Notes a channel that has its first block. Durable when it returns. */
export function noteChannel(folder: string, channel: string, sync = syncFolder): void {
  const channels = channelsIn(folder);
  if (channels.has(channel)) return;
  try {
    replace(join(folder, NAME), [...channels, channel].sort().map((name) => `${name}\n`).join(''));
    sync(folder);
  } catch (cause) {
    const full = (cause as NodeJS.ErrnoException).code === 'ENOSPC';
    throw new CodedError(full ? 'LEDGER_DISK_FULL' : 'LEDGER_STORAGE', full ? 'The disk of the ledger is full; the list of channels was not written.' : 'The list of channels could not be written.', { channel, file: join(folder, NAME) }, { cause });
  }
}

function replace(path: string, text: string): void {
  const handle = openSync(`${path}.new`, 'w', 0o600);
  try {
    writeSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(`${path}.new`, path);
}

/** Names in the list; none when there is no list. */
export function channelsIn(folder: string): ReadonlySet<string> {
  try {
    return new Set(readFileSync(join(folder, NAME), 'utf8').split('\n').filter((line) => line !== ''));
  } catch (cause) {
    // No list yet: the folder is new, or older than such lists. A list that cannot be read is none that may be replaced.
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return new Set();
    throw new CodedError('LEDGER_STORAGE', 'The list of channels cannot be read.', { why: String((cause as NodeJS.ErrnoException).code), next: 'Look at the disk and the rights on the folder.', file: join(folder, NAME) }, { cause });
  }
}
