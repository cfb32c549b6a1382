/**
 * `kill -9` on the real process. A demo runs as a child on a folder; it is killed at chosen moments of its story, started
 * again on the same folder, and in the end everything it ever acknowledged must be there.
 */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { readBlock } from '#ledger/block.ts';
import { createChance, type Chance } from './chance.ts';
import { seededRandom } from './seams.ts';
import type { Summary } from './story.ts';

const here = dirname(fileURLToPath(import.meta.url));
const MAIN = join(dirname(here), 'cli', 'main.ts');
/** Loaded into a child, it makes every SQLite file acknowledge before it commits. */
export const LYING_STORES = join(here, 'lying-stores.test-kit.ts');
/** A run that takes longer hangs. */
const RUN_MS_MAX = 120_000;

/** What a run said it had kept. */
export type Acknowledgement =
  | { readonly kind: 'committed'; readonly channel: string; readonly txId: string; readonly blockNumber: number }
  | { readonly kind: 'ingested'; readonly file: string; readonly keeper: string; readonly accepted: number };

export interface Mark {
  /** The sentence the story says when it begins the act; `start` before the network is ready. */
  readonly phase: string;
  /** Milliseconds since the process was spawned. */
  readonly atMs: number;
}

export interface Run {
  readonly acknowledged: readonly Acknowledgement[];
  readonly marks: readonly Mark[];
  /** Milliseconds from spawn to the line that says ready; undefined when it was killed before. */
  readonly readyMs: number | undefined;
  readonly totalMs: number;
  /** Undefined when it was killed. */
  readonly exit: number | undefined;
  readonly summary: Summary | undefined;
  /** What it said that is neither an acknowledgement nor an act: errors. */
  readonly talk: readonly string[];
}

export interface Moment {
  readonly phase: string;
  /** Milliseconds after the phase began. */
  readonly afterMs: number;
}

const ACTS = 'start';

/** One run on a folder, to its end or to the moment it is killed. */
export function run(options: { readonly folder: string; readonly people: number; readonly killAt?: Moment; readonly preload?: string }): Promise<Run> {
  const args = [...(options.preload === undefined ? [] : ['--import', options.preload]), '--disable-warning=ExperimentalWarning', MAIN, 'demo', '--once', '--json', '--acknowledged', '--folder', options.folder, '--people', String(options.people)];
  const from = performance.now();
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const acknowledged: Acknowledgement[] = [];
  const marks: Mark[] = [{ phase: ACTS, atMs: 0 }];
  const talk: string[] = [];
  let readyMs: number | undefined;
  let out = '';
  let rest = '';
  const killWhen = (phase: string): void => {
    if (options.killAt?.phase === phase) setTimeout(() => child.kill('SIGKILL'), options.killAt.afterMs);
  };
  const hear = (line: string): void => {
    const atMs = performance.now() - from;
    if (line.startsWith('{')) {
      const told = JSON.parse(line) as Acknowledgement | { readonly kind: 'ready' } | { readonly kind?: undefined };
      if (told.kind === 'ready') readyMs = atMs;
      else if (told.kind === undefined) talk.push(line);
      else acknowledged.push(told);
    } else if (readyMs === undefined || !line.endsWith('.') || line.startsWith(' ')) {
      talk.push(line);
    } else {
      marks.push({ phase: line, atMs });
      killWhen(line);
    }
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() as string;
    lines.forEach(hear);
  });
  killWhen(ACTS);
  const hung = setTimeout(() => child.kill('SIGKILL'), RUN_MS_MAX);
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(hung);
      const totalMs = performance.now() - from;
      if (totalMs >= RUN_MS_MAX) return reject(new Error(`the run hangs after "${marks.at(-1)?.phase}"\n${talk.join('\n')}`));
      const killed = signal === 'SIGKILL';
      resolve({ acknowledged, marks, readyMs, totalMs, exit: killed ? undefined : (code ?? 1), summary: killed || out.trim() === '' ? undefined : (JSON.parse(out) as Summary), talk });
    });
  });
}

/** What of the acknowledged is not in the folder. The files are read from a copy, so that the next start finds what the kill left. */
export function lostFrom(folder: string, acknowledged: readonly Acknowledgement[]): string[] {
  const copy = mkdtempSync(join(tmpdir(), 'healthkeep-left-'));
  try {
    return [...lostTransactions(folder, copy, acknowledged), ...lostDeliveries(folder, copy, acknowledged)];
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function openCopy(folder: string, copy: string, file: string): DatabaseSync | undefined {
  const at = join(folder, dirname(file));
  const name = file.split('/').at(-1) as string;
  const files = existing(at).filter((one) => one === name || one.startsWith(`${name}-`));
  if (!files.includes(name)) return undefined;
  mkdirSync(join(copy, dirname(file)), { recursive: true });
  // The shared-memory index belongs to the dead process; recovery makes it anew from the log.
  for (const one of files) if (!one.endsWith('-shm')) cpSync(join(at, one), join(copy, dirname(file), one));
  return new DatabaseSync(join(copy, file));
}

function existing(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function lostTransactions(folder: string, copy: string, acknowledged: readonly Acknowledgement[]): string[] {
  const lost: string[] = [];
  const committed = acknowledged.filter((one) => one.kind === 'committed');
  for (const channel of new Set(committed.map((one) => one.channel))) {
    const database = openCopy(folder, copy, `ledger/${channel}.sqlite`);
    const kept = new Map<string, number>();
    for (const row of database?.prepare('SELECT bytes FROM blocks ORDER BY number').iterate() ?? []) {
      const block = readBlock((row as { bytes: Uint8Array }).bytes);
      for (const { txId, code } of block.transactions) if (code === 'VALID') kept.set(txId, block.number);
    }
    database?.close();
    for (const one of committed) if (one.channel === channel && kept.get(one.txId) !== one.blockNumber) lost.push(`${channel} ${one.txId} of block ${one.blockNumber}`);
  }
  return lost;
}

/** Every file that was acknowledged is one delivery of at least so many stored records. */
function lostDeliveries(folder: string, copy: string, acknowledged: readonly Acknowledgement[]): string[] {
  const lost: string[] = [];
  const ingested = acknowledged.filter((one) => one.kind === 'ingested');
  for (const keeper of new Set(ingested.map((one) => one.keeper))) {
    const database = openCopy(folder, copy, `orgs/${keeper}/records.sqlite`);
    const rows = (database?.prepare('SELECT (SELECT count(*) FROM record r WHERE r.delivery = d.id) AS held FROM delivery d').all() ?? []) as { held: number }[];
    database?.close();
    const held = rows.map((row) => row.held);
    for (const one of ingested.filter((file) => file.keeper === keeper)) {
      const at = held.indexOf(one.accepted);
      if (at < 0) lost.push(`${keeper} ${one.file} of ${one.accepted} records`);
      else held.splice(at, 1);
    }
  }
  return lost;
}

/** The figures that no kill may change: what happened exactly once, however often it was begun. */
export function figures(summary: Summary): unknown {
  const { people, resources, anchored, indexed, indexEntries, permits, invitations, answers, releases, items, revocations, erasures, settlement, transactions } = summary;
  const once = ['putEntry', 'openSlot', 'invite', 'respond', 'orderRelease', 'recordRelease', 'revokeRelease', 'revokeGrant', 'withdrawSlot', 'putReceipt', 'putErasure', 'settle', 'linkOwner', 'found', 'propose', 'publishTemplate'];
  const counted = Object.fromEntries(Object.entries(transactions).map(([channel, names]) => [channel, Object.fromEntries(once.flatMap((name) => (names[name] === undefined ? [] : [[name, names[name]]])))]));
  return { people, resources, anchored, indexed, indexEntries, permits, sent: invitations.sent, answers, releases, items, revocations, erasures, settlement, counted };
}

export interface Undisturbed {
  readonly summary: Summary;
  /** Phase → how long it takes, milliseconds. */
  readonly durations: ReadonlyMap<string, number>;
}

/** The same people with nobody disturbing them: what the figures must be, and how long each act takes. */
export async function undisturbed(people: number, folder: string): Promise<Undisturbed> {
  const { summary, marks, totalMs, talk } = await run({ folder, people });
  if (summary === undefined || summary.checks.some((one) => !one.held)) throw new Error(`the undisturbed run does not hold: ${JSON.stringify(summary?.checks.filter((one) => !one.held))} ${talk.join(' ')}`);
  return { summary, durations: new Map(marks.map(({ phase, atMs }, at) => [phase, (marks[at + 1]?.atMs ?? totalMs) - atMs])) };
}

/** Moments for one folder: in the order of the story, so that it moves on between kills; starts are killed in between. */
export function momentsOf(durations: ReadonlyMap<string, number>, count: number, chance: Chance): Moment[] {
  const phases = [...durations.keys()];
  const ordinals = Array.from({ length: count }, (_, at) => (at < phases.length ? at : chance.below(phases.length)));
  for (let at = ordinals.length - 1; at > 0; at--) {
    const other = chance.below(at + 1);
    [ordinals[at], ordinals[other]] = [ordinals[other] as number, ordinals[at] as number];
  }
  const later = ordinals.filter((ordinal) => ordinal > 0).sort((left, right) => left - right);
  const starts = ordinals.filter((ordinal) => ordinal === 0);
  for (const start of starts) later.splice(chance.below(later.length + 1), 0, start);
  return later.map((ordinal) => {
    const phase = phases[ordinal] as string;
    return { phase, afterMs: chance.below(Math.max(40, Math.ceil(durations.get(phase) as number)) * 1_000) / 1_000 };
  });
}

export interface KillReport {
  readonly seed: string;
  readonly kills: number;
  readonly completions: number;
  /** Phase → kills that fell into it. */
  readonly phases: Readonly<Record<string, number>>;
  readonly restartMs: { readonly p50: number; readonly p95: number; readonly max: number; readonly count: number };
  readonly acknowledged: number;
  /** Everything that must not be: lost acknowledgements, checks that do not hold, figures that differ, ends with an error. */
  readonly faults: readonly string[];
}

/** Kills until the number is reached, on one folder after the other; each folder's story is played to its end. */
export async function killRepeatedly(options: { readonly kills: number; readonly killsPerFolder: number; readonly people: readonly number[]; readonly seed: string; readonly say?: (line: string) => void }): Promise<KillReport> {
  const chance = createChance(seededRandom(options.seed));
  const root = mkdtempSync(join(tmpdir(), 'healthkeep-kill-'));
  const faults: string[] = [];
  const phases: Record<string, number> = {};
  const restarts: number[] = [];
  const known = new Map<number, Undisturbed>();
  let kills = 0;
  let completions = 0;
  let acknowledged = 0;
  try {
    for (let round = 0; kills < options.kills; round++) {
      const people = options.people[round % options.people.length] as number;
      const wanted = known.get(people) ?? (await undisturbed(people, join(root, `undisturbed-${people}`)));
      known.set(people, wanted);
      const story = createStory({ folder: join(root, String(round)), people, wanted });
      for (const moment of momentsOf(wanted.durations, Math.min(options.killsPerFolder, options.kills - kills), chance)) {
        const { killedIn, found } = await story.next(moment);
        faults.push(...found);
        if (killedIn === undefined) break;
        kills++;
        phases[killedIn] = (phases[killedIn] ?? 0) + 1;
      }
      faults.push(...(await story.finish()));
      restarts.push(...story.restarts());
      acknowledged += story.acknowledged();
      completions++;
      options.say?.(`folder ${round}: ${people} people, ${kills} kills so far, ${faults.length} faults`);
      rmSync(join(root, String(round)), { recursive: true, force: true });
    }
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
  restarts.sort((left, right) => left - right);
  const at = (share: number): number => Math.round(restarts[Math.min(restarts.length - 1, Math.floor(restarts.length * share))] ?? 0);
  return { seed: options.seed, kills, completions, phases, restartMs: { p50: at(0.5), p95: at(0.95), max: at(1), count: restarts.length }, acknowledged, faults };
}

interface KilledStory {
  /** Runs until the moment; `killedIn` is undefined when the story ended before. */
  next(moment: Moment): Promise<{ readonly killedIn: string | undefined; readonly found: readonly string[] }>;
  finish(): Promise<readonly string[]>;
  restarts(): readonly number[];
  acknowledged(): number;
}

function createStory(options: { readonly folder: string; readonly people: number; readonly wanted: Undisturbed }): KilledStory {
  const { folder, people, wanted } = options;
  const told: Acknowledgement[] = [];
  const restarts: number[] = [];
  let runs = 0;
  let ended: Run | undefined;
  const take = (one: Run): void => {
    if (runs++ > 0 && one.readyMs !== undefined) restarts.push(one.readyMs);
    told.push(...one.acknowledged);
    if (one.exit !== undefined) ended = one;
  };
  return {
    async next(moment) {
      const one = await run({ folder, people, killAt: moment });
      take(one);
      const where = `${one.marks.at(-1)?.phase} +${Math.round(one.totalMs - (one.marks.at(-1)?.atMs ?? 0))} ms, run ${runs}`;
      return { killedIn: one.exit === undefined ? (one.marks.at(-1) as Mark).phase : undefined, found: lostFrom(folder, told).map((what) => `lost after a kill in "${where}": ${what}`) };
    },
    async finish() {
      if (ended === undefined) take(await run({ folder, people }));
      const { exit, summary, talk } = ended as unknown as Run;
      if (summary === undefined) return [`the story of ${people} people ended with ${exit} after ${runs} runs: ${talk.slice(-4).join(' | ')}`];
      const broken = summary.checks.filter((one) => !one.held).map((one) => `not held after ${runs} runs: ${one.name} (${one.detail ?? ''})`);
      const [is, should] = [JSON.stringify(figures(summary)), JSON.stringify(figures(wanted.summary))];
      return [...broken, ...(is === should ? [] : [`other figures after ${runs} runs:\n  ${is}\n  ${should}`]), ...lostFrom(folder, told).map((what) => `lost at the end: ${what}`)];
    },
    restarts: () => restarts,
    acknowledged: () => told.length,
  };
}
