/** What the walks through the command line share: commands in this process, commands as processes, a finished demo. */
import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { main } from './main.ts';

export const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
export const VERIFIER = fileURLToPath(new URL('../../verifier/', import.meta.url));

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** One command line in this process. */
export async function healthkeep(argv: readonly string[], env: Readonly<Record<string, string>> = {}, signal: AbortSignal = new AbortController().signal): Promise<Ran> {
  let out = '';
  let err = '';
  const code = await main(argv, { out: (text) => (out += text), err: (text) => (err += text), color: false }, env, signal);
  return { code, out, err };
}

/** The exactly one JSON value on standard output; throws with the whole answer when it is anything else. */
export function valueOf<T>({ code, out, err }: Ran, wanted = 0): T {
  if (code !== wanted) throw new Error(`exit ${code} instead of ${wanted}: ${err}${out}`);
  if (!out.endsWith('\n')) throw new Error(`not a line: ${out}`);
  return JSON.parse(out) as T;
}

/** The error on standard error as `--json` prints it; standard output stays empty. */
export function refusalOf({ code, out, err }: Ran): { readonly exit: number; readonly code: string; readonly out: string } {
  return { exit: code, code: (JSON.parse(err) as { error: { code: string } }).error.code, out };
}

/** A Node program to its end. */
export function runNode(args: readonly string[], input = ''): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? -1, out, err }));
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}

export interface Serving {
  /** What it has said on standard output so far. */
  out(): string;
  err(): string;
  /** Asks it to end and resolves to its exit code. */
  stop(): Promise<number>;
}

const READY_WITHIN_MS = 60_000;

/** A command that stays up, as a process of its own; resolves once its output holds `ready`. */
export function serve(argv: readonly string[], ready: RegExp): Promise<Serving> {
  const child: ChildProcess = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (err += text));
  const ended = new Promise<number>((resolve) => child.once('exit', (code) => resolve(code ?? -1)));
  const serving: Serving = {
    out: () => out,
    err: () => err,
    stop: () => {
      child.kill('SIGTERM');
      return ended;
    },
  };
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${argv.join(' ')} was not ready in time: ${out}${err}`)), READY_WITHIN_MS);
    const look = (): void => {
      if (!ready.test(out)) return;
      clearTimeout(late);
      resolve(serving);
    };
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      out += text;
      look();
    });
    void ended.then((code) => {
      clearTimeout(late);
      reject(new Error(`${argv.join(' ')} ended with ${code}: ${err}`));
    });
  });
}

/** Plays the story with this many people into the folder and gives its summary. */
export async function finishedDemo(folder: string, people: number): Promise<{ readonly people: number; readonly checks: readonly { readonly name: string; readonly held: boolean }[]; readonly settlement: { readonly total: string; readonly lines: number }; readonly blocks: Readonly<Record<string, number>> }> {
  return valueOf(await healthkeep(['demo', '--once', '--json', '--people', String(people), '--folder', folder]));
}

export interface Card {
  readonly slot: string;
  readonly state: string;
  readonly requester: string;
}

/** The people's devices of a demo folder and its network, as options. */
export function deviceAt(folder: string, person: string): readonly string[] {
  return ['--json', '--folder', join(folder, 'people', person)];
}
