/** What is kept of a network on this machine between commands: which processes belong to it and how far it came. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CodedError } from '#base/errors.ts';
import { isAlive, type KeptProcess } from './node-processes.ts';

export interface NetworkState {
  readonly version: 1;
  /** `starting` until every contract is committed; `failed` when a start gave up. */
  readonly phase: 'starting' | 'up' | 'failed';
  /** Which network it is; another one cannot be started over it. */
  readonly kind: string;
  readonly processes: readonly KeptProcess[];
}

const fileOf = (folder: string): string => join(folder, 'state.json');

/** Throws FABRIC_STATE when the file is damaged: then nobody knows what still runs. */
export function readState(folder: string): NetworkState | undefined {
  if (!existsSync(fileOf(folder))) return undefined;
  try {
    const state = JSON.parse(readFileSync(fileOf(folder), 'utf8')) as NetworkState;
    const whole = state.version === 1 && ['starting', 'up', 'failed'].includes(state.phase) && Array.isArray(state.processes) && state.processes.every(({ role, pid, started, log }) => Number.isSafeInteger(pid) && pid > 1 && [role, started, log].every((text) => typeof text === 'string'));
    if (whole) return state;
  } catch (cause) {
    throw damaged(folder, cause);
  }
  throw damaged(folder, undefined);
}

function damaged(folder: string, cause: unknown): CodedError {
  return new CodedError('FABRIC_STATE', 'The state of the Fabric network cannot be read.', { why: 'state.json in its folder is not what healthkeep writes.', next: 'Look for peer and orderer processes yourself, end them, and delete the folder.', folder }, { cause });
}

export function writeState(folder: string, state: NetworkState): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(`${fileOf(folder)}.new`, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${fileOf(folder)}.new`, fileOf(folder));
}

/** Removes the folder of a network that runs no more. */
export function forget(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}

/** `none`: never started. `up`: all of it runs. `down`: it was up and nothing of it runs. `broken`: a start that did not end well, nothing runs. Throws FABRIC_HALF_RUNNING otherwise. */
export function conditionOf(state: NetworkState | undefined, kind: string): 'none' | 'up' | 'down' | 'broken' {
  if (state === undefined) return 'none';
  const alive = state.processes.filter(isAlive);
  const dead = state.processes.filter((one) => !isAlive(one));
  if (alive.length === 0) return state.phase === 'up' && state.kind === kind ? 'down' : 'broken';
  if (dead.length === 0 && state.phase === 'up' && state.kind === kind) return 'up';
  const why = state.kind !== kind ? `It was started as ${state.kind}, and ${kind} is wanted.` : dead.length > 0 ? `Of ${state.processes.length} processes ${alive.length} run; missing: ${dead.map(({ role }) => role).slice(0, 4).join(', ')}.` : 'Its start was not finished.';
  throw new CodedError('FABRIC_HALF_RUNNING', 'A Fabric network runs in this folder, but not as it should.', { why, next: 'Run healthkeep fabric down on the folder, then up again.' });
}
