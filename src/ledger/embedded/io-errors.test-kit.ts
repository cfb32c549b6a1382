/**
 * The disk fails at one call of a whole life: strace makes the n-th call of a kind fail on the ledger's files, in the
 * process itself, as the kernel would. Afterwards, on a disk that works, the ledger must be sound and must hold what was
 * acknowledged; and after a failed sync the process must not have gone on.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isCoded } from '#base/errors.ts';
import { joinChannel, openPlan, type TraceShape } from './trace-child.test-kit.ts';
import { fastFolder, record, type Recorder } from './trace.test-kit.ts';
import { DatabaseSync } from 'node:sqlite';

export interface Fault {
  readonly call: 'openat' | 'pwrite64' | 'write' | 'fsync' | 'ftruncate' | 'rename' | 'unlink' | 'mkdir';
  readonly error: 'EIO' | 'ENOSPC';
  /** Which call of that kind fails, from 1. */
  readonly when: number;
}

/** A life short enough to be lived a thousand times. */
const SHAPE: TraceShape = { turns: 1, checkpointPages: 40 };
const CHANNELS = ['one', 'two', 'three'];

/** Every file of the ledger by its name; strace takes no folders. The memory-mapped index is not part of what must last. */
function pathsOf(root: string): string[] {
  const ledger = join(root, 'ledger');
  const files = [...CHANNELS.flatMap((name) => ['', '-wal', '-journal'].map((end) => `${name}.sqlite${end}`)), 'channels.txt', 'channels.txt.new', 'ledger.lock', 'ledger.lock-journal'];
  return [root, ledger, ...files.map((file) => join(ledger, file))];
}

const watching = (home: string): string[] => pathsOf(join(home, 'root')).flatMap((path) => ['-P', path]);

/** How many calls of each kind an undisturbed life makes. */
export async function countCalls(): Promise<ReadonlyMap<string, number>> {
  const home = fastFolder('calls');
  try {
    const { trace } = await record({ home, bytes: false, shape: SHAPE, options: watching(home) });
    const counts = new Map<string, number>();
    for (const line of readFileSync(trace, 'latin1').split('\n')) {
      const call = /^\d+ +(\w+)\(/.exec(line)?.[1];
      if (call !== undefined) counts.set(call, (counts.get(call) ?? 0) + 1);
    }
    return counts;
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** What was wrong, or undefined; `ended` is how the process took it. */
export interface FaultOutcome {
  readonly ended: string;
  readonly wrong: string | undefined;
}

export function liveWithFault(fault: Fault, shape: TraceShape = {}): Promise<FaultOutcome> {
  return judgeLife((home) => ({ home, bytes: false, shape: { ...SHAPE, ...shape }, options: [...watching(home), '-e', `inject=${fault.call}:error=${fault.error}:when=${fault.when}`] }));
}

/** Writes are cut short where a file reaches the limit, and fail beyond. */
export function liveWithLimit(fileBlocks: number): Promise<FaultOutcome> {
  return judgeLife((home) => ({ home, bytes: false, shape: SHAPE, fileBlocks }));
}

async function judgeLife(recorder: (home: string) => Recorder): Promise<FaultOutcome> {
  const home = fastFolder('fault');
  try {
    const recording = await record(recorder(home));
    const { lines, plan } = recording;
    const ended = lines.find((line) => line.startsWith('stopped ')) ?? lines.find((line) => line.startsWith('refused '))?.split(' ').slice(0, 3).join(' ') ?? lines.at(-1) ?? 'nothing';
    if (!lines.some((line) => line === 'done' || line.startsWith('stopped '))) return { ended, wrong: 'the process did not end as it should' };
    const early = wentOn(lines);
    if (early !== undefined) return { ended, wrong: early };
    const ledger = await openPlan(plan);
    try {
      const wrong = missing(lines, plan.folder);
      if (wrong !== undefined) return { ended, wrong };
      for (const channel of ledger.channels()) {
        await ledger.verifyChain(channel);
        await ledger.replay(channel);
      }
      await joinChannel(plan, ledger, 'one', () => undefined);
      return { ended, wrong: undefined };
    } finally {
      await ledger.close();
    }
  } catch (error) {
    return { ended: 'badly', wrong: isCoded(error) ? `${error.code}: ${error.message} ${String(error.details.why ?? '')}` : String(error) };
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** From the first block whose fate is unknown a channel writes nothing more, until the ledger is opened anew. */
function wentOn(lines: readonly string[]): string | undefined {
  const halted = new Set<string>();
  for (const line of lines) {
    const [word, channel = '', code = ''] = line.split(' ');
    if (word === 'closed' || word === 'opened') halted.clear();
    else if (word === 'refused' && code === 'LEDGER_OUTCOME_UNKNOWN') halted.add(channel);
    else if (word === 'committed' && halted.has(channel)) return `${channel} went on after its disk had failed: ${line}`;
  }
  return undefined;
}

/** Acknowledged and not in its block; or refused for good and there all the same. */
function missing(lines: readonly string[], folder: string): string | undefined {
  const databases = new Map<string, DatabaseSync>();
  try {
    for (const line of lines) {
      const [word, channel = '', what = '', txId = '', key = ''] = line.split(' ');
      if (word !== 'committed' && word !== 'refused') continue;
      let database = databases.get(channel);
      if (database === undefined) databases.set(channel, (database = new DatabaseSync(join(folder, `${channel}.sqlite`), { readOnly: true })));
      if (word === 'committed') {
        const row = database.prepare('SELECT block, code FROM transactions WHERE tx_id = ?').get(txId) as { block: number; code: number } | undefined;
        if (row?.block !== Number(what) || row.code !== 0) return `lost: ${line}`;
      } else if (what === 'LEDGER_STORAGE' || what === 'LEDGER_DISK_FULL') {
        const { found } = database.prepare('SELECT count(*) AS found FROM history WHERE key = ?').get(Buffer.from(key)) as { found: number };
        if (found > 0) return `refused for good, and there: ${line}`;
      }
    }
    return undefined;
  } finally {
    for (const database of databases.values()) database.close();
  }
}
