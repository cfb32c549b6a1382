/**
 * The archive of a channel that moved on: its blocks as they were, one file per channel. Each block is preceded by its
 * length as 4 bytes. History before a move is proven against this file; the target's first transaction names its end.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { equalBytes, toHex, u32 } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import { dataHash, headerHash } from '../block.ts';
import { Block } from '../protos/common.ts';
import { nativeHash } from './hash.ts';

/** Where a channel's blocks ended. */
export interface ArchiveEnd {
  readonly height: number;
  readonly blockHash: Uint8Array;
}

export const archiveFile = (folder: string, channel: string): string => join(folder, `${channel}.blocks`);

const broken = (channel: string, block: number, why: string): CodedError => new CodedError('ARCHIVE_BROKEN', `Block ${block} of channel ${channel} is not what the chain says.`, { why, next: 'Take the archive of another member, or write it again from the source.', channel, block });

/** Follows a chain block by block. Throws ARCHIVE_BROKEN. */
export function createChainFollower(channel: string): { take(bytes: Uint8Array): void; end(): ArchiveEnd } {
  let height = 0;
  let last: Uint8Array = new Uint8Array(0);
  return {
    take(bytes) {
      const { header, data } = Block.decode(bytes);
      if (header?.number !== height) throw broken(channel, height, 'Its header is missing or has another number.');
      if (!equalBytes(header.previousHash, last)) throw broken(channel, height, 'It does not hang on the block before it.');
      if (!equalBytes(header.dataHash, dataHash(data?.data ?? [], nativeHash))) throw broken(channel, height, 'Its transactions are not those of its header.');
      last = headerHash(header, nativeHash);
      height++;
    },
    end: () => ({ height, blockHash: last }),
  };
}

/** Writes the blocks, checking their chain, and replaces the file whole: an archive is complete or not there. Throws ARCHIVE_BROKEN, OUTPUT_NOT_WRITABLE. */
export async function writeArchive(folder: string, channel: string, blocks: AsyncIterable<Uint8Array>): Promise<ArchiveEnd> {
  const file = archiveFile(folder, channel);
  const follower = createChainFollower(channel);
  const handle = opened(folder, `${file}.new`);
  try {
    for await (const bytes of blocks) {
      follower.take(bytes);
      writeSync(handle, u32(bytes.length));
      writeSync(handle, bytes);
    }
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(`${file}.new`, file);
  return follower.end();
}

function opened(folder: string, file: string): number {
  try {
    mkdirSync(folder, { recursive: true });
    rmSync(file, { force: true });
    return openSync(file, 'w', 0o600);
  } catch (cause) {
    throw new CodedError('OUTPUT_NOT_WRITABLE', 'The archive cannot be written.', { why: `The system answered ${(cause as NodeJS.ErrnoException).code ?? 'an error'}.`, next: 'Choose another place with --archive.' }, { cause });
  }
}

/** The blocks of an archive, in order. Throws ARCHIVE_BROKEN when the file ends inside one, INPUT_UNREADABLE. */
export function* readArchive(folder: string, channel: string): Generator<Uint8Array> {
  const handle = openedForReading(archiveFile(folder, channel));
  try {
    for (let number = 0; ; number++) {
      const head = filled(handle, 4);
      if (head.length === 0) return;
      const bytes = head.length < 4 ? head : filled(handle, new DataView(head.buffer).getUint32(0));
      if (head.length < 4 || bytes.length < new DataView(head.buffer).getUint32(0)) throw broken(channel, number, 'The file ends inside it.');
      yield bytes;
    }
  } finally {
    closeSync(handle);
  }
}

const BLOCK_MAX = 256 * 1024 * 1024;

function filled(handle: number, length: number): Uint8Array<ArrayBuffer> {
  const buffer = new Uint8Array(Math.min(length, BLOCK_MAX));
  let at = 0;
  for (let read = 1; at < buffer.length && read > 0; at += read) read = readSync(handle, buffer, at, buffer.length - at, null);
  return buffer.slice(0, at);
}

function openedForReading(file: string): number {
  try {
    return openSync(file, 'r');
  } catch (cause) {
    throw new CodedError('INPUT_UNREADABLE', 'The archive cannot be read.', { why: `The system answered ${(cause as NodeJS.ErrnoException).code ?? 'an error'}.`, next: 'Name the folder that ledger migrate wrote.' }, { cause });
  }
}

/** Checks an archive from block 0 to its end and that it ends where somebody says. Throws ARCHIVE_BROKEN. */
export function checkArchive(folder: string, channel: string, expected: ArchiveEnd): ArchiveEnd {
  const follower = createChainFollower(channel);
  for (const bytes of readArchive(folder, channel)) follower.take(bytes);
  const end = follower.end();
  if (end.height !== expected.height || !equalBytes(end.blockHash, expected.blockHash)) throw broken(channel, end.height, `The archive ends at height ${end.height} with ${toHex(end.blockHash).slice(0, 16)}, not at ${expected.height} with ${toHex(expected.blockHash).slice(0, 16)}.`);
  return end;
}
