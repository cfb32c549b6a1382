/** What a backup holds: one canonical JSON file with the digest of every file, and of itself. */
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { join } from 'node:path';
import { toHex, utf8 } from '#base/bytes.ts';
import { canonicalJson } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import { nativeHash } from './hash.ts';

export const MANIFEST = 'manifest.json';
const MANIFEST_FORMAT = 1;

export interface BackupChannel {
  readonly channel: string;
  /** Name inside the backup. */
  readonly file: string;
  readonly bytes: number;
  /** Hexadecimal SHA-256 of the file. */
  readonly sha256: string;
  /** Number of blocks. */
  readonly height: number;
  /** Hexadecimal hash of the last header. */
  readonly lastHash: string;
  /** Hexadecimal running commit hash: the same on every honest peer at this height. */
  readonly commitHash: string;
}

export interface Manifest {
  /** UTC, ISO 8601. */
  readonly madeAt: string;
  readonly channels: readonly BackupChannel[];
}

/** The manifest's bytes: canonical, with a digest over all the rest, so that no bit of it can change unseen. */
export function manifestText({ madeAt, channels }: Manifest): string {
  const body = { format: MANIFEST_FORMAT, madeAt, channels: channels.map((channel) => ({ ...channel })) };
  return canonicalJson({ ...body, digest: toHex(nativeHash(utf8(canonicalJson(body)))) });
}

export function backupDamaged(file: string, why: string): CodedError {
  return new CodedError('LEDGER_BACKUP_DAMAGED', `The backup is damaged: ${file}.`, { why, next: 'Use another backup, or rebuild from the blocks of another member (healthkeep ledger restore --blocks).', file });
}

/** Throws LEDGER_BACKUP_DAMAGED. */
export function readManifest(folder: string): Manifest {
  let text: string;
  try {
    text = readFileSync(join(folder, MANIFEST), 'utf8');
  } catch (cause) {
    throw new CodedError('LEDGER_BACKUP_DAMAGED', `The backup is damaged: ${MANIFEST}.`, { why: 'It cannot be read; a backup that was not finished has none.', next: 'Name the folder that healthkeep ledger backup wrote.', file: MANIFEST }, { cause });
  }
  const manifest = parse(text);
  // Written anew it must be the same bytes: then its digest covers every one of them.
  if (manifest === undefined || manifestText(manifest) !== text) throw backupDamaged(MANIFEST, 'It is not what was written.');
  return manifest;
}

function parse(text: string): Manifest | undefined {
  try {
    const { madeAt, channels } = JSON.parse(text) as Manifest;
    const named = channels.every(({ channel, file }) => /^[a-z0-9][a-z0-9.-]*$/.test(channel) && (file === `${channel}.sqlite` || file === `${channel}.blocks`));
    return named ? { madeAt, channels } : undefined;
  } catch {
    // Whatever it is, it is not the text that was written.
    return undefined;
  }
}

export async function fileDigest(path: string): Promise<string> {
  const digest = createHash('sha256');
  await pipeline(createReadStream(path), digest);
  return digest.digest('hex');
}

/** Every file of the manifest is there, as long as it was, with the digest it had. Throws LEDGER_BACKUP_DAMAGED. */
export async function checkFiles(folder: string, { channels }: Manifest): Promise<void> {
  for (const { file, bytes, sha256 } of channels) {
    const size = statSync(join(folder, file), { throwIfNoEntry: false })?.size;
    if (size === undefined) throw backupDamaged(file, 'It is gone.');
    if (size !== bytes) throw backupDamaged(file, `It has ${size} bytes and had ${bytes}.`);
    if ((await fileDigest(join(folder, file))) !== sha256) throw backupDamaged(file, 'Its digest is another.');
  }
}
