/**
 * A channel's write-ahead log as SQLite will read it after a crash, and what it would silently leave out.
 * Format: https://www.sqlite.org/fileformat2.html#the_write_ahead_log
 */
import { closeSync, openSync, readSync, statSync } from 'node:fs';

export interface LostFrames {
  /** Byte of the log where the first frame begins that cannot be used. */
  readonly offset: number;
  readonly frames: number;
  /** A whole transaction is among them. Without one they are what a process left that died while it wrote. */
  readonly whole: boolean;
  /** A whole transaction is among them and another came after it: it had been synced, so this is damage and no power cut. */
  readonly synced: boolean;
}

export interface LogFacts {
  /** Frames in the file, of whatever age. */
  readonly frames: number;
  /** Those that SQLite uses: up to the last whole transaction before anything that is wrong. */
  readonly usable: number;
  readonly lost?: LostFrames;
}

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const MAGIC = 0x377f0682;

interface Sum {
  readonly a: number;
  readonly b: number;
}

/** SQLite's running checksum over an even count of 32-bit words. */
function sumOf(bytes: Uint8Array, { start, littleEndian }: { readonly start: Sum; readonly littleEndian: boolean }): Sum {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let { a, b } = start;
  for (let at = 0; at < bytes.length; at += 8) {
    a = (a + view.getUint32(at, littleEndian) + b) >>> 0;
    b = (b + view.getUint32(at + 4, littleEndian) + a) >>> 0;
  }
  return { a, b };
}

interface Frame {
  readonly valid: boolean;
  /** It belongs to the log as it is now, by its salts, or continues its checksums. */
  readonly current: boolean;
  readonly commits: boolean;
  readonly sum: Sum;
}

interface Log {
  readonly handle: number;
  readonly pageBytes: number;
  readonly littleEndian: boolean;
  readonly salts: readonly [number, number];
  readonly frames: number;
}

function readFrame(log: Log, index: number, before: Sum): Frame {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + log.pageBytes);
  readSync(log.handle, bytes, 0, bytes.length, offsetOf(log, index));
  const view = new DataView(bytes.buffer);
  const { littleEndian } = log;
  const sum = sumOf(bytes.subarray(FRAME_HEADER_BYTES), { start: sumOf(bytes.subarray(0, 8), { start: before, littleEndian }), littleEndian });
  const salted = view.getUint32(8) === log.salts[0] && view.getUint32(12) === log.salts[1];
  const summed = view.getUint32(16) === sum.a && view.getUint32(20) === sum.b;
  return { valid: salted && summed && view.getUint32(0) !== 0, current: salted || summed, commits: view.getUint32(4) !== 0, sum };
}

const offsetOf = ({ pageBytes }: Pick<Log, 'pageBytes'>, index: number): number => HEADER_BYTES + index * (FRAME_HEADER_BYTES + pageBytes);

/** Reads the log beside a channel's file; a file without one has no frames. */
export function readLog(file: string): LogFacts {
  const size = statSync(`${file}-wal`, { throwIfNoEntry: false })?.size ?? 0;
  if (size < HEADER_BYTES) return { frames: 0, usable: 0 };
  const handle = openSync(`${file}-wal`, 'r');
  try {
    return readFrames(handle, size);
  } finally {
    closeSync(handle);
  }
}

function readFrames(handle: number, size: number): LogFacts {
  const header = new Uint8Array(HEADER_BYTES);
  readSync(handle, header, 0, HEADER_BYTES, 0);
  const view = new DataView(header.buffer);
  const littleEndian = (view.getUint32(0) & 1) === 0;
  const sum = sumOf(header.subarray(0, 24), { start: { a: 0, b: 0 }, littleEndian });
  const right = (view.getUint32(0) | 1) === (MAGIC | 1) && view.getUint32(24) === sum.a && view.getUint32(28) === sum.b;
  // The header is synced before the first frame is written: frames behind a wrong header are damage.
  if (!right) return size > HEADER_BYTES + FRAME_HEADER_BYTES ? { frames: 1, usable: 0, lost: { offset: 0, frames: 1, whole: true, synced: true } } : { frames: 0, usable: 0 };
  const pageBytes = view.getUint32(8);
  const frames = Math.floor((size - HEADER_BYTES) / (FRAME_HEADER_BYTES + pageBytes));
  return readCurrent({ handle, pageBytes, littleEndian, salts: [view.getUint32(16), view.getUint32(20)], frames }, sum);
}

function readCurrent(log: Log, start: Sum): LogFacts {
  let usable = 0;
  let sum = start;
  for (let index = 0; index < log.frames; index++) {
    const frame = readFrame(log, index, sum);
    if (!frame.valid) return { frames: log.frames, usable, ...lostFrom(log, index, sum) };
    sum = frame.sum;
    if (frame.commits) usable = index + 1;
  }
  return { frames: log.frames, usable, ...(usable === log.frames ? {} : { lost: { offset: offsetOf(log, usable), frames: log.frames - usable, whole: false, synced: false } }) };
}

/** A power cut tears a frame's header where a sector ends: the salts may be new and the commit mark that of an older round. */
const isWhole = (offset: number): boolean => Math.floor(offset / 512) === Math.floor((offset + 15) / 512);

/** Frames of an older round of the log behind the present ones are no loss. */
function lostFrom(log: Log, first: number, sum: Sum): { readonly lost?: LostFrames } {
  let frames = 0;
  let whole = false;
  let synced = false;
  for (let index = first; index < log.frames; index++) {
    const { current, commits } = readFrame(log, index, sum);
    if (!current) continue;
    frames++;
    if (whole) synced = true;
    if (commits && isWhole(offsetOf(log, index))) whole = true;
  }
  return frames === 0 ? {} : { lost: { offset: offsetOf(log, first), frames, whole, synced } };
}
