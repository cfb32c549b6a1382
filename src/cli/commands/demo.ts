/** `healthkeep demo` and `npm start`: the network on loopback, the whole story, then addresses and what to try next. */
import { rmSync, existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CodedError } from '#base/errors.ts';
import type { Json } from '#base/canonical-json.ts';
import type { Fetch } from '#base/ports.ts';
import { createHttpRelay } from '#ledger/http-relay.ts';
import type { OrgId } from '#model/ids.ts';
import { openNetwork, type Network, type NetworkOptions } from '#sim/network.ts';
import { filePlan, syntheticPlan, type StoryPlan } from '#sim/plan.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import { playStory, type Summary } from '#sim/story.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { bundleFiles } from '../bundles.ts';
import type { Command, CommandContext, CommandResult } from '../command.ts';
import { holdFolder, readNetworkFileIfAny, writeNetworkFile, type NetworkFile } from '../folder.ts';
import { chooseLedger, type ChosenLedger } from '../ledger-choice.ts';
import { fileLog } from '../log.ts';
import { membersOf } from '../members.ts';
import { networkFetch } from '../network-fetch.ts';
import { recompute } from '../recompute.ts';
import { listen, type Listening } from '../serve.ts';

const DEFAULT_FOLDER = '.healthkeep';
const DEFAULT_PORT = 8_700;
const PEOPLE = 20;
/** 128 + SIGINT, as shells say it. */
const INTERRUPTED = 130;
const SEED = 'healthkeep-demo';

export const demo: Command = {
  name: ['demo'],
  summary: 'Brings up two hospitals, an insurer, a research institute, a user organisation and people on this machine, and plays the whole story.',
  arguments: [{ name: 'reset', summary: 'delete the folder and everything in it', optional: true }],
  options: {
    folder: { type: 'string', value: 'DIR', summary: `where the state lives (default ${DEFAULT_FOLDER}); a restart continues from it` },
    data: { type: 'string', value: 'FOLDER', summary: 'FHIR R4 bundles (.json, .json.gz) instead of our synthetic people' },
    people: { type: 'string', value: 'N', summary: `how many synthetic people (default ${PEOPLE})` },
    ledger: { type: 'string', value: 'KIND', summary: 'embedded (default); grpc: the same in a process of its own, reached over gRPC with TLS; fabric: a running Fabric network' },
    network: { type: 'string', value: 'FILE', summary: 'with --ledger fabric: the description of the network (default .healthkeep-fabric/network.json)' },
    port: { type: 'string', value: 'N', summary: `first of six ports (default ${DEFAULT_PORT}; with --once free ones)` },
    once: { type: 'boolean', summary: 'end after the story; exit 0 only if every check held' },
    'no-story': { type: 'boolean', summary: 'only bring the network of an existing folder up' },
    acknowledged: { type: 'boolean', summary: 'write every acknowledgement to standard error as JSON lines' },
  },
  examples: ['healthkeep demo', 'healthkeep demo --once --json --folder /tmp/demo', 'healthkeep demo --data bundles/ --folder /tmp/demo', 'healthkeep demo --ledger grpc --once --folder /tmp/demo', 'healthkeep demo reset'],
  run: runDemo,
};

interface Running {
  readonly network: Network;
  readonly networkOptions: NetworkOptions;
  readonly servers: readonly Listening[];
  readonly file: NetworkFile;
  readonly ledger: ChosenLedger;
}

async function runDemo(context: CommandContext): Promise<CommandResult | undefined> {
  const { options, words, signal, json } = context;
  const path = resolve(context.env['INIT_CWD'] ?? '.', String(options['folder'] ?? DEFAULT_FOLDER));
  if (words[0] === 'reset') return reset(path);
  if (words[0] !== undefined) throw new CodedError('USAGE_ARGUMENT', `healthkeep demo does not know the word "${words[0]}".`, { why: 'Only reset may follow.', next: 'Run healthkeep demo --help.' });
  const plan = planOf(context);
  const say = (line: string): void => context.streams.err(`${line}\n`);
  const from = systemClock.now();
  const running = await bringUp(context, path);
  say(`Network ready after ${((systemClock.now() - from) / 1_000).toFixed(1)} s in ${path}`);
  if (options['acknowledged'] === true) context.streams.err(`${JSON.stringify({ kind: 'ready' })}\n`);
  try {
    let failed: readonly CodedError[] = [];
    let summary: Summary | undefined;
    if (options['no-story'] !== true) {
      summary = await orEnd(play(running, plan, say), signal);
      if (summary === undefined) {
        say('Ended before the story was over. A start on the same folder goes on from here.');
        return { json: { interrupted: true }, text: [], exit: INTERRUPTED };
      }
      failed = failedChecks(summary);
    }
    if (options['once'] === true) return { json: (summary ?? {}) as unknown as Json, text: summary === undefined ? [] : summaryLines(summary), errors: failed };
    if (json && summary !== undefined) context.streams.out(`${JSON.stringify(summary)}\n`);
    context.streams[json ? 'err' : 'out'](`${[...(summary === undefined ? [] : summaryLines(summary)), ...addressLines(running)].join('\n')}\n`);
    await ended(signal);
    return undefined;
  } finally {
    await takeDown(running);
  }
}

/** The result, or undefined as soon as the caller wants to end; what then still fails has nobody to tell. */
async function orEnd<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  work.catch(() => undefined);
  return Promise.race([work, ended(signal)]);
}

function ended(signal: AbortSignal): Promise<undefined> {
  return new Promise((done) => (signal.aborted ? done(undefined) : signal.addEventListener('abort', () => done(undefined), { once: true })));
}

function failedChecks({ checks }: Summary): CodedError[] {
  const broken = checks.filter((one) => !one.held);
  if (broken.length === 0) return [];
  return [new CodedError('CHECK_FAILED', `${broken.length} of ${checks.length} checks did not hold.`, { why: `The first: ${broken[0]?.name}.`, next: 'Run healthkeep doctor and healthkeep tamper-check on the folder.' })];
}

function reset(path: string): CommandResult {
  if (existsSync(path) && !existsSync(join(path, 'hold.sqlite'))) throw new CodedError('FOLDER_NOT_A_NETWORK', 'The folder is not one of healthkeep.', { why: 'It has no hold.sqlite.', next: 'Delete it yourself if you mean it.' });
  const existed = existsSync(path);
  if (existed) {
    const hold = holdFolder(path);
    if (!hold.held) throw new CodedError('FOLDER_IN_USE', 'Another process works in this folder.', { why: 'A demo runs on it.', next: 'Stop it first.' });
    hold.release();
    rmSync(path, { recursive: true, force: true });
  }
  return { json: { deleted: existed }, text: [existed ? `Deleted ${path}.` : 'There was nothing to delete.'] };
}

function planOf({ options, env }: CommandContext): StoryPlan {
  if (options['data'] !== undefined) return filePlan(bundleFiles([resolve(env['INIT_CWD'] ?? '.', String(options['data']))]));
  const count = options['people'] === undefined ? PEOPLE : Number(options['people']);
  if (!Number.isInteger(count) || count < 1 || count > 100_000) throw new CodedError('USAGE_OPTION', '--people needs a whole number from 1 to 100,000.', { why: `"${String(options['people'])}" is not one.`, next: 'Run healthkeep demo --people 20.' });
  return syntheticPlan({ seed: SEED, count });
}

async function bringUp(context: CommandContext, path: string): Promise<Running> {
  const old = readNetworkFileIfAny(path);
  const ledger = await chooseLedger(context, path);
  const servers: Listening[] = [];
  try {
    const portOf = portsOf(context, old);
    const members: Record<string, string> = {};
    const networkOptions: NetworkOptions = {
      folder: path, ...(old === undefined ? {} : { members: membersOf(old) }), ...(ledger.doors === undefined ? {} : { ledger: ledger.doors }), ...(ledger.keys === undefined ? {} : { keys: ledger.keys }), clock: systemClock, random: systemRandom, scheduler: realScheduler, log: fileLog(path), fetch: networkFetch,
      host: async (org, handler) => {
        const server = await open(handler, portOf(org));
        servers.push(server);
        members[org] = server.url;
        return server.url;
      },
      ...(context.options['acknowledged'] === true ? { acknowledged: (what) => context.streams.err(`${JSON.stringify(what)}\n`) } : {}),
    };
    const network = await openNetwork(networkOptions);
    const url = ledger.url ?? (await relay(network, portOf('ledger'), servers));
    const file: NetworkFile = { version: 1, ledger: url, members: members as Record<OrgId, string>, people: old?.people ?? 0 };
    writeNetworkFile(path, file);
    return { network, networkOptions, servers, file, ledger };
  } catch (error) {
    await Promise.all(servers.map((server) => server.close()));
    await ledger.close();
    ledger.folder.release();
    throw error;
  }
}

/** The ledger over HTTP, for browsers and other commands. */
async function relay(network: Network, wish: PortWish, servers: Listening[]): Promise<string> {
  const server = await open(createHttpRelay({ transport: network.transport }), wish);
  servers.push(server);
  return server.url;
}

interface PortWish {
  readonly port: number;
  /** Take any free port when the wished one is taken. */
  readonly flexible: boolean;
}

/** Ports asked for by --port are exact; else those of the last run, and with --once free ones. */
function portsOf({ options }: CommandContext, old: NetworkFile | undefined): (who: OrgId | 'ledger') => PortWish {
  if (options['port'] !== undefined) {
    const first = Number(options['port']);
    if (!Number.isInteger(first) || first < 0 || first > 65_529) throw new CodedError('USAGE_OPTION', '--port needs a whole number from 0 to 65,529.', { why: `"${String(options['port'])}" is not one.`, next: 'Run healthkeep demo --port 8700.' });
    let next = first;
    return () => ({ port: first === 0 ? 0 : next++, flexible: first === 0 });
  }
  let next = DEFAULT_PORT;
  return (who) => {
    const last = who === 'ledger' ? old?.ledger : old?.members[who];
    if (last !== undefined) return { port: Number(new URL(last).port), flexible: true };
    return options['once'] === true ? { port: 0, flexible: true } : { port: next++, flexible: false };
  };
}

async function open(fetch: Fetch, wish: PortWish): Promise<Listening> {
  try {
    return await listen({ fetch, port: wish.port });
  } catch (error) {
    if (wish.flexible && error instanceof CodedError && error.code === 'PORT_IN_USE') return listen({ fetch, port: 0 });
    throw error;
  }
}

async function play(running: Running, plan: StoryPlan, say: (line: string) => void): Promise<Summary> {
  const memory = openSqliteKeyValueStore(join(running.ledger.folder.path, 'story.sqlite'));
  try {
    const { summary, people } = await playStory({ network: running.network, networkOptions: running.networkOptions, plan, memory, say, recompute });
    for (const person of people) await person.open.close();
    writeNetworkFile(running.ledger.folder.path, { ...running.file, people: people.length });
    return summary;
  } finally {
    await memory.close();
  }
}

async function takeDown(running: Running): Promise<void> {
  await Promise.all(running.servers.map((server) => server.close()));
  await running.network.close();
  await running.ledger.close();
  running.ledger.folder.release();
}

function summaryLines(summary: Summary): string[] {
  const { resources, invitations, items, settlement } = summary;
  return [
    '',
    `${summary.people} people, ${resources.accepted} records kept (${resources.refused.length} refused), ${summary.anchored} anchored, ${summary.indexed} indexed`,
    `${summary.permits} permissions to ask, ${invitations.sent} invitations (${invitations.refused} attempts refused), ${summary.releases} releases, ${items.verified} of ${items.delivered} items verified`,
    `${summary.revocations} grants revoked, ${summary.erasures} packages erased, ${settlement.lines} lines settled: ${settlement.total} cents ${settlement.currency}, recomputed ${settlement.recomputedTotal}`,
    '',
    ...summary.checks.map((one) => `${one.held ? 'held ' : 'FAILED'}  ${one.name}${one.detail === undefined ? '' : ` (${one.detail})`}`),
  ];
}

function addressLines({ file, ledger: { folder } }: Running): string[] {
  const at = `--folder ${folder.path}`;
  return [
    '',
    'Addresses',
    `  ledger       ${file.ledger}`,
    ...Object.entries(file.members).map(([org, url]) => `  ${org.padEnd(12)} ${url}   (${url}/openapi.json)`),
    '',
    'Try next',
    `  npm run -s healthkeep -- device records --folder ${folder.path}/people/1`,
    `  npm run -s healthkeep -- request permits ${at} --org DUO-sunrise`,
    `  npm run -s healthkeep -- tamper-check ${at} --org HO-east`,
    `  npm run -s healthkeep -- ledger inspect ${at}`,
    `  npm run -s healthkeep -- doctor ${at}`,
    '',
    'Ctrl-C ends it; the folder keeps everything. npm start -- reset deletes it.',
  ];
}
