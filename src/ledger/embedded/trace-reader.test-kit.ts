/**
 * Reads what strace recorded (`strace -f -y -xx`) into one list of operations on the files below a folder, in the order
 * in which the kernel got them, with what the process said on standard output in between.
 */
import { readFileSync } from 'node:fs';
import { fromUtf8 } from '#base/bytes.ts';

export type Operation =
  | { readonly kind: 'write'; readonly path: string; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: 'truncate'; readonly path: string; readonly size: number }
  /** A new name, of an empty file or a folder. */
  | { readonly kind: 'create'; readonly path: string; readonly folder: boolean }
  | { readonly kind: 'rename'; readonly path: string; readonly to: string }
  | { readonly kind: 'unlink'; readonly path: string }
  /** Of a file or a folder; makes durable what came before operation `begun`, for writes during a sync may miss it. */
  | { readonly kind: 'sync'; readonly path: string; readonly begun: number }
  /** One that failed: nobody knows what reached the disk, and the cache will not try again what was pending. */
  | { readonly kind: 'sync-failed'; readonly path: string; readonly begun: number }
  /** A line on standard output. */
  | { readonly kind: 'say'; readonly line: string };

/** The calls that change files, names or what others can see. Of the calls that Node and SQLite make, no other does. */
export const TRACED = 'openat,open,creat,write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,sync_file_range,ftruncate,truncate,fallocate,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,copy_file_range,sendfile';

const CALL = /^(\d+) +(\w+)\((.*)$/;
const RESUMED = /^(\d+) +<\.\.\. \w+ resumed>(.*)$/;
const UNFINISHED = / <unfinished \.\.\.>$/;
const DESCRIPTOR = /^(\d+)<([^>]*)>/;

/** `\x2f\x74` → `/t`; a string that strace cut off is refused. */
function unescaped(text: string): Uint8Array {
  if (text.endsWith('...')) throw new Error('strace cut a string off: record with a larger -s');
  const out = new Uint8Array(text.length / 4);
  for (let index = 0; index < out.length; index++) out[index] = Number.parseInt(text.slice(index * 4 + 2, index * 4 + 4), 16);
  return out;
}

const textOf = (escaped: string): string => fromUtf8(unescaped(escaped));
/** What stands between the first pair of double quotes, with strace's dots when it was cut. */
const QUOTED = /"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?/g;
const strings = (args: string): string[] => [...args.matchAll(QUOTED)].map((match) => `${match[1] as string}${match[2] ?? ''}`);

interface Call {
  readonly name: string;
  readonly args: string;
  readonly result: number;
  /** Index of the next operation when the call began. */
  readonly begun: number;
}

interface Reading {
  readonly root: string;
  /** Refuse a recording that lacks bytes that were written. */
  readonly bytes: boolean;
  readonly operations: Operation[];
  readonly known: Set<string>;
  /** Descriptor → where plain writes go on. */
  readonly positions: Map<number, number>;
}

/** The shared-memory index is made anew from the log after a crash, and never synced (https://www.sqlite.org/wal.html#the_wal_index_or_shm). */
const isOurs = ({ root }: Reading, path: string): boolean => path.startsWith(`${root}/`) && !path.endsWith('-shm');

/** Operations below `root`, which itself is there from the beginning. Without `bytes`, writes that strace cut off carry zeros. */
export function readTrace(file: string, root: string, bytes = true): Operation[] {
  const reading: Reading = { root, bytes, operations: [], known: new Set(), positions: new Map() };
  const waiting = new Map<string, { readonly name: string; readonly args: string; readonly begun: number; readonly at: number }>();
  for (const line of readFileSync(file, 'latin1').split('\n')) {
    const resumed = RESUMED.exec(line);
    if (resumed !== null) {
      const call = waiting.get(resumed[1] as string);
      waiting.delete(resumed[1] as string);
      if (call !== undefined) take(reading, { ...call, args: call.args + (resumed[2] as string), result: resultOf(line) });
      continue;
    }
    const call = CALL.exec(line);
    if (call === null) continue;
    const begun = reading.operations.length;
    if (UNFINISHED.test(line)) waiting.set(call[1] as string, { name: call[2] as string, args: (call[3] as string).replace(UNFINISHED, ''), begun, at: begun });
    else take(reading, { name: call[2] as string, args: call[3] as string, result: resultOf(line), begun });
  }
  return reading.operations;
}

/** What stands after the last equals sign; arguments in hexadecimal have none. `?` of a process that died is a failure. */
function resultOf(line: string): number {
  const result = Number.parseInt(line.slice(line.lastIndexOf('= ') + 2), 10);
  return Number.isNaN(result) ? -1 : result;
}

function take(reading: Reading, call: Call): void {
  const isSync = call.name === 'fsync' || call.name === 'fdatasync';
  if (call.result < 0 && !isSync) return;
  if (call.name === 'openat' || call.name === 'open' || call.name === 'creat') return takeOpen(reading, call);
  const descriptor = DESCRIPTOR.exec(call.args);
  if (descriptor === null) return takeName(reading, call);
  const number = Number(descriptor[1]);
  if (call.name === 'write' && number === 1) return takeLine(reading, call);
  const path = textOf((descriptor[2] as string).replace(/[^\\x0-9a-f].*$/, ''));
  if (!isOurs(reading, path) && path !== reading.root) return;
  if (isSync) reading.operations.push({ kind: call.result < 0 ? 'sync-failed' : 'sync', path, begun: call.begun });
  else if (call.name === 'ftruncate') reading.operations.push({ kind: 'truncate', path, size: Number(/, (\d+)\)/.exec(call.args)?.[1]) });
  else if (call.name === 'pwrite64') takeWrite(reading, call, { path, offset: Number(/, (\d+)\)/.exec(call.args)?.[1]) });
  else if (call.name === 'write') {
    const offset = reading.positions.get(number) ?? 0;
    takeWrite(reading, call, { path, offset });
    reading.positions.set(number, offset + call.result);
  } else throw new Error(`the trace has a ${call.name} on ${path}, which nobody here understands`);
}

function takeOpen(reading: Reading, { args, result }: Call): void {
  const path = textOf(strings(args)[0] ?? '');
  if (!isOurs(reading, path)) return;
  reading.positions.set(result, 0);
  if (args.includes('O_APPEND')) throw new Error(`${path} is opened for appending, which nobody here understands`);
  if (args.includes('O_CREAT') && !reading.known.has(path)) {
    reading.known.add(path);
    reading.operations.push({ kind: 'create', path, folder: false });
  }
  if (args.includes('O_TRUNC')) reading.operations.push({ kind: 'truncate', path, size: 0 });
}

function takeName(reading: Reading, { name, args }: Call): void {
  const [path = '', to = ''] = strings(args).map(textOf);
  if (!isOurs(reading, path)) return;
  if (name === 'mkdir') reading.operations.push({ kind: 'create', path, folder: true });
  else if (name === 'unlink') reading.operations.push({ kind: 'unlink', path });
  else if (name === 'rename') reading.operations.push({ kind: 'rename', path, to });
  else throw new Error(`the trace has a ${name} of ${path}, which nobody here understands`);
  if (name !== 'mkdir') reading.known.delete(path);
  if (name === 'rename') reading.known.add(to);
}

function takeWrite({ operations, bytes }: Reading, { args, result }: Call, { path, offset }: { readonly path: string; readonly offset: number }): void {
  const [text = ''] = strings(args);
  const written = bytes || !text.endsWith('...') ? unescaped(text) : new Uint8Array(result);
  operations.push({ kind: 'write', path, offset, bytes: written.subarray(0, result) });
}

function takeLine({ operations }: Reading, { args, result }: Call): void {
  for (const line of fromUtf8(unescaped(strings(args)[0] ?? '').subarray(0, result)).split('\n')) if (line !== '') operations.push({ kind: 'say', line });
}
