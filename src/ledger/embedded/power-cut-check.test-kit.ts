/**
 * Looks at what a power cut left, through the engine's own eyes: every channel is opened as a restart opens it, and must
 * be, table by table, what it was at one height of the undisturbed run, at a height no lower than acknowledged.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fromBase64url } from '#base/bytes.ts';
import { isCoded } from '#base/errors.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import { createLedgerClient } from '../gateway-client.ts';
import { isChannelFile } from './channel-file.ts';
import { openChannelStore } from './channel-store.ts';
import { missChannels } from './inventory.ts';
import { createNativeSigner } from './native-signer.ts';
import { createDisk, type Disk } from './power-cut-disk.test-kit.ts';
import { countSystematic, statesOf, wreckOf, type State, type Wreck } from './power-cut-states.test-kit.ts';
import { joinChannel, openPlan, type TracePlan } from './trace-child.test-kit.ts';
import type { Operation } from './trace-reader.test-kit.ts';

const TABLES = ['blocks', 'transactions', 'state', 'history', 'hashes', 'private', 'facts'] as const;

/** Channel → height → digests of all tables. One each; after a sync that failed, the block in question may be there or another in its place. */
export type Reference = ReadonlyMap<string, ReadonlyMap<number, readonly string[]>>;

export interface Violation {
  readonly cut: number;
  readonly shape: string;
  readonly why: string;
}

export interface Survey {
  readonly states: number;
  readonly violations: readonly Violation[];
  /** States in which the ledger was opened as a whole, checked and written to. */
  readonly whole: number;
}

/** What was acknowledged up to a cut: channel → number of blocks. */
type Acknowledged = Map<string, number>;

/** `committed <channel> <block> …`, `height <channel> <blocks>`, `channel <channel>`. */
function acknowledge(acknowledged: Acknowledged, line: string): void {
  const [word, channel = '', number = ''] = line.split(' ');
  const height = word === 'channel' ? 1 : word === 'committed' ? Number(number) + 1 : word === 'height' ? Number(number) : 0;
  if (height > (acknowledged.get(channel) ?? 0)) acknowledged.set(channel, height);
}

function digestOf(file: string, integrity: boolean): string {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    const hash = createHash('sha256');
    for (const table of TABLES) {
      const statement = database.prepare(`SELECT * FROM ${table}`);
      statement.setReturnArrays(true);
      let text = '';
      for (const row of statement.iterate() as Iterable<unknown> as Iterable<readonly unknown[]>) {
        for (const value of row) text += value instanceof Uint8Array ? `${value.length}:${Buffer.from(value.buffer, value.byteOffset, value.length).toString('latin1')}` : `${String(value)},`;
      }
      hash.update(`${table}\n`).update(text, 'latin1');
    }
    if (integrity) {
      const answer = database.prepare('PRAGMA integrity_check').get() as { integrity_check: string };
      if (answer.integrity_check !== 'ok') return `integrity_check says: ${answer.integrity_check}`;
    }
    return hash.digest('hex');
  } finally {
    database.close();
  }
}

/** Height and digest of a channel's file after recovery; undefined when there is none. */
function openChannel(file: string, channel: string, integrity: boolean): { readonly height: number; readonly digest: string } | undefined {
  try {
    if (!isChannelFile(file)) return undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const store = openChannelStore({ channel, file, durable: true });
  try {
    const height = store.head.height();
    return { height, digest: height === 0 ? '' : digestOf(file, integrity) };
  } finally {
    store.close();
  }
}

const channelOf = (path: string): string | undefined => /\/([^/]+)\.sqlite(?:-wal|-journal)?$/.exec(path)?.[1];

function putFiles(to: string, root: string, files: ReadonlyMap<string, Uint8Array>): void {
  for (const [path, bytes] of files) {
    const place = join(to, path.slice(root.length));
    mkdirSync(dirname(place), { recursive: true });
    writeFileSync(place, bytes);
  }
}

interface Looking {
  readonly plan: TracePlan;
  readonly root: string;
  /** Where states are written; emptied each time. */
  readonly scratch: string;
  readonly reference: Reference;
}

const ledgerIn = ({ scratch }: Looking): string => join(scratch, 'ledger');
const channelsNoted = (files: ReadonlyMap<string, Uint8Array>): ReadonlySet<string> => new Set([...files].filter(([path]) => path.endsWith('/channels.txt')).flatMap(([, bytes]) => Buffer.from(bytes).toString().split('\n')).filter((line) => line !== ''));

/** Why a state must not be, or undefined. Looks at the channels in `suspects` only. */
function judge(looking: Looking, { files }: Wreck, { acknowledged, suspects, integrity, garbage }: { readonly acknowledged: Acknowledged; readonly suspects: ReadonlySet<string>; readonly integrity: boolean; readonly garbage: boolean }): string | undefined {
  const { scratch, root, reference } = looking;
  const noted = channelsNoted(files);
  for (const channel of acknowledged.keys()) if (!noted.has(channel)) return `the list of channels lacks ${channel}`;
  try {
    putFiles(scratch, root, files);
    missChannels(ledgerIn(looking));
    for (const channel of suspects) {
      const file = join(ledgerIn(looking), `${channel}.sqlite`);
      // What a memory-mapped index may have left on the disk must not matter.
      if (garbage && files.has(join(root, 'ledger', `${channel}.sqlite`))) writeFileSync(`${file}-shm`, new Uint8Array(32_768).fill(0xa5));
      const found = openChannel(file, channel, integrity);
      const height = found?.height ?? 0;
      const least = acknowledged.get(channel) ?? 0;
      if (height < least) return `${channel} has ${height} blocks, ${least} were acknowledged`;
      if (found === undefined || height === 0) continue;
      const expected = reference.get(channel)?.get(height);
      if (expected === undefined) return `${channel} has ${height} blocks, which it never had`;
      if (!expected.includes(found.digest)) return `${channel} at height ${height} is not what it was at that height: ${found.digest}`;
    }
    return undefined;
  } catch (error) {
    return isCoded(error) ? `${error.code}: ${error.message} ${String(error.details.why ?? '')}` : String(error);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** The ledger as a whole: opens, its chains hold, and it goes on. */
async function judgeWhole(looking: Looking, files: ReadonlyMap<string, Uint8Array>, acknowledged: Acknowledged): Promise<string | undefined> {
  const { scratch, root, plan } = looking;
  try {
    putFiles(scratch, root, files);
    mkdirSync(ledgerIn(looking), { recursive: true });
    const ledger = await openPlan(plan, ledgerIn(looking));
    try {
      for (const [channel, blocks] of acknowledged) if (ledger.height(channel) < blocks) return `${channel} is lower than acknowledged`;
      for (const channel of ledger.channels()) await ledger.verifyChain(channel);
      await joinChannel(plan, ledger, 'one', () => undefined);
      const client = createLedgerClient({ transport: ledger.transport(), clock: systemClock, random: systemRandom, scheduler: realScheduler });
      const signer = createNativeSigner({ ...plan.client, privateKeyPkcs8: fromBase64url(plan.client.privateKeyPkcs8) });
      await client.submit({ channel: 'one', contract: 'probe', name: 'run', input: [['put', 'after', 'after'], ['putPrivate', 'own', 'after', 'after']], signer });
      await ledger.replay('one');
      return undefined;
    } finally {
      await ledger.close();
    }
  } catch (error) {
    return isCoded(error) ? `${error.code}: ${error.message} ${String(error.details.why ?? '')}` : String(error);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/**
 * What every channel holds at every height of the undisturbed run, and proof that it is right: at each height the engine
 * replays the blocks and compares. Violations say where the run itself was wrong: two contents at one height, a replay
 * that differs, an acknowledged transaction that is not in its block.
 */
export async function referenceOf(operations: readonly Operation[], { plan, root, scratch }: Omit<Looking, 'reference'>): Promise<{ readonly reference: Reference; readonly violations: Violation[] }> {
  const reference = new Map<string, Map<number, readonly string[]>>();
  const disturbed = operations.some((operation) => operation.kind === 'sync-failed');
  const violations: Violation[] = [];
  const looking: Looking = { plan, root, scratch, reference };
  const disk = createDisk();
  const acknowledged: Acknowledged = new Map();
  for (const [at, operation] of operations.entries()) {
    disk.apply(operation, at);
    if (operation.kind === 'say') acknowledge(acknowledged, operation.line);
    if (operation.kind !== 'write' && operation.kind !== 'sync' && operation.kind !== 'sync-failed') continue;
    const next = operations[at + 1];
    if (operation.kind === 'write' && next?.kind === 'write' && next.path === operation.path) continue;
    const channel = channelOf(operation.path);
    if (channel === undefined) continue;
    const why = await learn(looking, { files: filesInCache(disk), channel, known: reference, disturbed });
    if (why !== undefined) violations.push({ cut: at, shape: 'the run itself', why });
  }
  violations.push(...(await checkAcknowledged(looking, operations, filesInCache(disk))));
  return { reference, violations };
}

/** What a process that starts now would read, the power having been on all the time. */
const filesInCache = (disk: Disk): ReadonlyMap<string, Uint8Array> => new Map([...disk.names].filter(([, inode]) => !inode.folder).map(([path, inode]) => [path, inode.cache]));

async function learn(looking: Looking, { files, channel, known, disturbed }: { readonly files: ReadonlyMap<string, Uint8Array>; readonly channel: string; readonly known: Map<string, Map<number, readonly string[]>>; readonly disturbed: boolean }): Promise<string | undefined> {
  const { scratch, root, plan } = looking;
  try {
    putFiles(scratch, root, files);
    const found = openChannel(join(ledgerIn(looking), `${channel}.sqlite`), channel, false);
    if (found === undefined || found.height === 0) return undefined;
    const heights = known.get(channel) ?? new Map<number, readonly string[]>();
    known.set(channel, heights);
    const before = heights.get(found.height) ?? [];
    if (before.includes(found.digest)) return undefined;
    if (before.length > 0 && !disturbed) return `${channel} had two contents at height ${found.height}`;
    heights.set(found.height, [...before, found.digest]);
    const ledger = await openPlan(plan, ledgerIn(looking));
    try {
      await ledger.replay(channel);
    } finally {
      await ledger.close();
    }
    return undefined;
  } catch (error) {
    return isCoded(error) ? `${error.code}: ${error.message} ${String(error.details.why ?? '')}` : String(error);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function checkAcknowledged(looking: Looking, operations: readonly Operation[], files: ReadonlyMap<string, Uint8Array>): Promise<Violation[]> {
  const violations: Violation[] = [];
  putFiles(looking.scratch, looking.root, files);
  const databases = new Map<string, DatabaseSync>();
  for (const operation of operations) {
    if (operation.kind !== 'say' || !operation.line.startsWith('committed ')) continue;
    const [, channel = '', block = '', txId = ''] = operation.line.split(' ');
    let database = databases.get(channel);
    if (database === undefined) databases.set(channel, (database = new DatabaseSync(join(ledgerIn(looking), `${channel}.sqlite`))));
    const row = database.prepare('SELECT block, code FROM transactions WHERE tx_id = ?').get(txId) as { block: number; code: number } | undefined;
    if (row?.block !== Number(block) || row.code !== 0) violations.push({ cut: operations.length, shape: 'the run itself', why: `${txId} was acknowledged in block ${block} of ${channel} and is not there` });
  }
  for (const database of databases.values()) database.close();
  rmSync(looking.scratch, { recursive: true, force: true });
  return violations;
}

export interface SurveyOptions extends Omit<Looking, 'scratch'> {
  readonly scratch: string;
  readonly count: number;
  readonly seed: number;
  /** This part of how many: parts share the states evenly. */
  readonly part: number;
  readonly parts: number;
  /** Of how many states one is opened as a whole. */
  readonly wholeEvery: number;
  /** Gives up after this many violations. */
  readonly enough?: number;
}

/** Goes through the states of a recording and judges each. */
export async function survey(operations: readonly Operation[], { count, seed, part, parts, wholeEvery, enough = 20, ...looking }: SurveyOptions): Promise<Survey> {
  const systematic = countSystematic(operations, createDisk());
  const disk = createDisk();
  const acknowledged: Acknowledged = new Map();
  const violations: Violation[] = [];
  const looked = new Map<string, Uint8Array>();
  let [index, states, whole, told] = [0, 0, 0, 0];
  for (const state of statesOf(operations, disk, { count, seed, systematic })) {
    if (index++ % parts !== part) continue;
    for (; told < state.cut; told++) {
      const operation = operations[told] as Operation;
      if (operation.kind === 'say') acknowledge(acknowledged, operation.line);
    }
    const wreck = wreckOf(disk, state.shape);
    const suspects = suspectsOf(wreck, looked, acknowledged);
    let why = judge({ ...looking, scratch: looking.scratch }, wreck, { acknowledged, suspects, integrity: states % 20 === 0, garbage: states % 3 === 0 });
    if (why === undefined && states % wholeEvery === wholeEvery - 1) {
      whole++;
      why = await judgeWhole(looking, wreck.files, acknowledged);
    }
    states++;
    if (why !== undefined) violations.push({ cut: state.cut, shape: shapeText(state), why });
    if (violations.length >= enough) break;
  }
  return { states, violations, whole };
}

const shapeText = ({ shape }: State): string => JSON.stringify(shape);

/** Channels that differ from when they were last looked at: those with anything pending, and those with newer bytes. */
function suspectsOf({ files, touched }: Wreck, looked: Map<string, Uint8Array>, acknowledged: Acknowledged): Set<string> {
  const suspects = new Set<string>();
  for (const path of touched) suspects.add(channelOf(path) ?? '');
  for (const [path, bytes] of files) {
    const channel = channelOf(path);
    if (channel === undefined || touched.has(path)) continue;
    if (looked.get(path) !== bytes) suspects.add(channel);
    looked.set(path, bytes);
  }
  for (const channel of acknowledged.keys()) if (![...files.keys()].some((path) => channelOf(path) === channel)) suspects.add(channel);
  suspects.delete('');
  suspects.delete('channels');
  return suspects;
}
