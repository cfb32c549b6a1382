/** Processes of a network on this machine: started apart from the command that starts them, found again, stopped without remainder. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import { CodedError } from '#base/errors.ts';
import type { Scheduler } from '#base/ports.ts';

/** One running process as the state file keeps it. */
export interface KeptProcess {
  /** What it is in the network, such as `peer of HO-east`. */
  readonly role: string;
  readonly pid: number;
  /** When it started, in the system's own counting, so that another process with its old number is not taken for it. */
  readonly started: string;
  readonly log: string;
}

export interface Listener {
  readonly role: string;
  readonly port: number;
}

export interface Launch {
  readonly role: string;
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: string;
}

const STOP_POLLS = 100;
const STOP_PAUSE_MS = 100;

/** Throws FABRIC_PORT_TAKEN, which names the port and what wanted it. */
export async function checkPorts(listeners: readonly Listener[]): Promise<void> {
  for (const { role, port } of listeners) {
    const code = await new Promise<string | undefined>((resolve) => {
      const server = createServer();
      server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'an error'));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(undefined)));
    });
    if (code !== undefined) throw new CodedError('FABRIC_PORT_TAKEN', `Port ${port} on 127.0.0.1 is wanted for the ${role} and cannot be had.`, { why: code === 'EADDRINUSE' ? 'Another program listens there.' : `The system answered ${code}.`, next: 'Stop that program, or choose another first port with --port.', port, role });
  }
}

/** Starts a process that outlives this one; its words go to its log. Throws FABRIC_STEP_FAILED when it cannot be started. */
export async function launch({ role, program, args, env, log }: Launch): Promise<KeptProcess> {
  mkdirSync(dirname(log), { recursive: true });
  const out = openSync(log, 'a', 0o600);
  let child: ChildProcess;
  try {
    child = spawn(program, args, { env: env as NodeJS.ProcessEnv, detached: true, stdio: ['ignore', out, out] });
  } finally {
    closeSync(out);
  }
  const failed = await new Promise<Error | undefined>((resolve) => child.once('spawn', () => resolve(undefined)).once('error', resolve));
  if (failed !== undefined || child.pid === undefined) throw new CodedError('FABRIC_STEP_FAILED', `The ${role} could not be started.`, { why: String(failed?.message), next: 'Look at the program and its rights.', role });
  child.unref();
  return { role, pid: child.pid, started: startOf(child.pid) ?? '', log };
}

/** Start time of a process: field 22 of /proc/PID/stat, after the name in parentheses. Undefined: there is none, or only its remains. */
function startOf(pid: number): string | undefined {
  if (!existsSync('/proc/self/stat')) return exists(pid) ? '' : undefined;
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

export function isAlive({ pid, started }: KeptProcess): boolean {
  return startOf(pid) === started;
}

/** Asks all to end, waits ten seconds, then ends what is left. Processes that are not ours any more are left alone. */
export async function stopProcesses(processes: readonly KeptProcess[], scheduler: Scheduler): Promise<number> {
  const running = processes.filter(isAlive);
  for (const { pid } of running) signal(pid, 'SIGTERM');
  for (let poll = 0; poll < STOP_POLLS && running.some(isAlive); poll++) await scheduler.sleep(STOP_PAUSE_MS);
  for (const one of running.filter(isAlive)) signal(one.pid, 'SIGKILL');
  for (let poll = 0; poll < STOP_POLLS && running.some(isAlive); poll++) await scheduler.sleep(STOP_PAUSE_MS);
  return running.length;
}

function signal(pid: number, name: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended by itself between the question and the signal.
  }
}

/** What a log ends with, for an error's reason: the last line that speaks of an error, else the last line. */
export function lastWords(log: string): string {
  if (!existsSync(log)) return '';
  const lines = readFileSync(log, 'utf8').split('\n').map((line) => line.trim()).filter((line) => line !== '');
  return (lines.findLast((line) => /error|panic|fatal/i.test(line)) ?? lines.at(-1) ?? '').slice(0, 300);
}
