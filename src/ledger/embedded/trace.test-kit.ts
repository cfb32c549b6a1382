/** Runs the recorded process (`trace-child.test-kit.ts`) under strace. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readTrace, TRACED, type Operation } from './trace-reader.test-kit.ts';
import { writePlan, type TracePlan, type TraceShape } from './trace-child.test-kit.ts';

/** Is strace here, and allowed to trace? Where HEALTHKEEP_REQUIRE_STRACE=1, tests fail without. */
export const straceWorks: boolean = spawnSync('strace', ['-qq', '-e', 'trace=none', 'true'], { stdio: 'ignore' }).status === 0;

if (!straceWorks) process.stderr.write('NOTE: strace is not here or may not trace; power cuts, sync order and disk errors are not tested on this machine.\n');

/** A folder in memory where there is one: thousands of simulated disks are written and thrown away. */
export const fastFolder = (name: string): string => mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), `healthkeep-${name}-`));

const LIFE = '"$0" --disable-warning=ExperimentalWarning "$1" "$2"';

export interface Recording {
  readonly plan: TracePlan;
  /** Where the plan and the ledger's parent are; everything below goes with it. */
  readonly home: string;
  readonly root: string;
  /** What strace wrote. */
  readonly trace: string;
  readonly lines: readonly string[];
  operations(): Operation[];
}

export interface Recorder {
  readonly home: string;
  readonly shape?: TraceShape;
  /** Record the bytes that are written. */
  readonly bytes?: boolean;
  /** More options of strace: faults to inject. */
  readonly options?: readonly string[];
  /** No file may grow beyond this many blocks of 512 bytes: the write that reaches it is cut short, the next one fails. */
  readonly fileBlocks?: number;
}

/** Records one life. The process ends by itself; a code other than 0 is an error, unless faults were asked for. */
export async function record({ home, shape = {}, bytes = true, options = [], fileBlocks }: Recorder): Promise<Recording> {
  const root = join(home, 'root');
  const { file, plan } = await writePlan(join(root, 'ledger'), shape);
  const trace = join(home, 'trace.txt');
  const child = spawn('strace', [
    '-f', '-y', '-xx', '-s', bytes ? '1100000' : '128', '--seccomp-bpf', '-e', 'signal=none', '-e', `trace=${TRACED}`, '-o', trace, ...options,
    'sh', '-c', `${fileBlocks === undefined ? '' : `ulimit -f ${fileBlocks}; `}${plan.life === 'writing' ? LIFE : `${LIFE} && ${LIFE} second`}`, process.execPath, fileURLToPath(new URL('./trace-child.test-kit.ts', import.meta.url)), file,
  ], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NODE_OPTIONS: '' } });
  let out = '';
  let complaint = '';
  child.stdout.on('data', (part: Buffer) => void (out += part.toString()));
  child.stderr.on('data', (part: Buffer) => void (complaint += part.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`the recorded process ended with ${code}: ${complaint.slice(-2_000)}`);
  return { plan, home, root, trace, lines: out.split('\n').filter((line) => line !== ''), operations: () => readTrace(trace, root, bytes) };
}
