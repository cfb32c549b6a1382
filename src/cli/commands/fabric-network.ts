/** `healthkeep fabric up` and `down`: a Hyperledger Fabric network on this machine, without containers. Page: docs/fabric.md. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { CodedError } from '#base/errors.ts';
import { networkDown, networkUp } from '#ledger/fabric/network-up.ts';
import type { NetworkPlan } from '#ledger/fabric/network-plan.ts';
import { findPrograms, RELEASES } from '#ledger/fabric/programs.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import type { Command, CommandContext, CommandResult, Option } from '../command.ts';
import { pathOf } from '../context.ts';
import { FIRST_PORT, planNetwork, PORTS } from '../fabric-plan.ts';
import { fabricMembers, takeKeys } from '../fabric-members.ts';
import { makeFolder, readNetworkFile, readNetworkFileIfAny } from '../folder.ts';
import { cacheOf, serveContract, TEMPLATES } from '../fabric-programs.ts';
import { FABRIC_FOLDER } from '../ledger-choice.ts';
import { networkFetch } from '../network-fetch.ts';

const FOLDER: Option = { type: 'string', value: 'DIR', summary: `where the network lives (default ${FABRIC_FOLDER})` };

export const fabricUp: Command = {
  name: ['fabric', 'up'],
  summary: 'Starts a Hyperledger Fabric network on this machine, with our organisations, channels and contracts.',
  options: {
    folder: FOLDER,
    version: { type: 'string', value: 'N', summary: '2 (default) or 3, the major version of Fabric' },
    bft: { type: 'boolean', summary: 'with --version 3: four orderers that agree by SmartBFT instead of three by Raft' },
    conformance: { type: 'boolean', summary: 'also the organisations and channels of the conformance suite' },
    'keys-from': { type: 'string', value: 'DIR', summary: 'members and keys of this demo or pilot folder, which is only read; then healthkeep ledger migrate can move its state here' },
    port: { type: 'string', value: 'N', summary: `first of ${PORTS} ports (default ${FIRST_PORT})` },
  },
  examples: ['healthkeep fabric up', 'healthkeep demo --ledger fabric --once', 'healthkeep fabric up --keys-from demo', 'healthkeep fabric up --version 3 --bft', 'FABRIC_BIN=/opt/fabric/bin healthkeep fabric up'],
  run: up,
};

export const fabricDown: Command = {
  name: ['fabric', 'down'],
  summary: 'Stops the Fabric network of a folder and deletes it.',
  options: { folder: FOLDER, keep: { type: 'boolean', summary: 'keep the data; the next up goes on from it' } },
  examples: ['healthkeep fabric down', 'healthkeep fabric down --keep'],
  async run(context) {
    const folder = folderOf(context);
    // A folder of somebody else's is never deleted: only what has our state file is known here.
    const stopped = await networkDown({ folder, keep: context.options['keep'] === true, scheduler: realScheduler });
    if (stopped === undefined) return { json: { stopped: 0, network: false }, text: ['There was no Fabric network to stop.'] };
    return { json: { stopped, network: true }, text: [`Stopped ${stopped} processes${context.options['keep'] === true ? '' : ` and deleted ${folder}`}.`] };
  },
};

const folderOf = (context: CommandContext): string => pathOf(context, context.options['folder'] ?? FABRIC_FOLDER);

async function up(context: CommandContext): Promise<CommandResult> {
  const { options } = context;
  const major = majorOf(context);
  const consensus = options['bft'] === true ? 'bft' : 'raft';
  if (consensus === 'bft' && major === '2') throw new CodedError('USAGE_OPTION', '--bft needs --version 3.', { why: 'Fabric 2.5 orders by Raft only.', next: 'Run healthkeep fabric up --version 3 --bft.' });
  const firstPort = firstPortOf(options['port']);
  const folder = ownFolder(folderOf(context));
  const conformance = options['conformance'] === true;
  const keysFrom = options['keys-from'] === undefined ? undefined : pathOf(context, options['keys-from']);
  // Asked before programs are looked for, which may take minutes.
  if (keysFrom !== undefined) readNetworkFile(keysFrom);
  const plan = async (): Promise<NetworkPlan> => {
    makeFolder(folder);
    if (keysFrom !== undefined) await takeKeys({ from: keysFrom, folder });
    return planNetwork({ folder, firstPort, consensus, conformance, members: fabricMembers(folder) });
  };
  const say = (line: string): void => context.streams.err(`${line}\n`);
  const from = systemClock.now();
  const how = await networkUp({
    folder, templates: TEMPLATES, kind: `version ${major}, ${consensus}, first port ${firstPort}${conformance ? ', conformance' : ''}`,
    plan,
    programs: () => findPrograms({ major, env: context.env, cache: cacheOf(context), say }),
    serve: serveContract(context.env), env: context.env, fetch: networkFetch, clock: systemClock, random: systemRandom, scheduler: realScheduler, say, signal: context.signal,
  });
  const file = join(folder, 'network.json');
  const seconds = ((systemClock.now() - from) / 1_000).toFixed(1);
  const told = { fresh: `The Fabric network is up after ${seconds} s.`, restarted: `The Fabric network is up again on its old data after ${seconds} s.`, running: 'The Fabric network runs already.' }[how];
  return { json: { how, network: file }, text: [told, `Its description: ${file}`, `Next: healthkeep demo --ledger fabric --once${options['folder'] === undefined ? '' : ` --network ${file}`}`] };
}

/** Refuses a folder with things of somebody else's in it, because `down` deletes the folder. */
function ownFolder(path: string): string {
  const strange = existsSync(path) && readdirSync(path).length > 0 && !existsSync(join(path, 'state.json')) && !existsSync(join(path, 'orgs'));
  // A demo's folder has organisations too.
  if (strange || readNetworkFileIfAny(path) !== undefined) throw new CodedError('FOLDER_NOT_A_NETWORK', 'The folder is there and holds no Fabric network of healthkeep.', { why: 'What is in it is no such network\'s, and would be deleted by fabric down.', next: 'Name a folder that does not exist yet.' });
  return path;
}

function majorOf({ options }: CommandContext): '2' | '3' {
  const wanted = String(options['version'] ?? '2');
  if (wanted === '2' || wanted === '3') return wanted;
  throw new CodedError('USAGE_OPTION', '--version needs 2 or 3.', { why: `"${wanted}" is neither; they mean Fabric ${RELEASES[2].name} and ${RELEASES[3].name}.`, next: 'Run healthkeep fabric up --help.' });
}

function firstPortOf(value: string | boolean | undefined): number {
  const port = value === undefined ? FIRST_PORT : Number(value);
  if (Number.isInteger(port) && port >= 1_024 && port + PORTS <= 65_536) return port;
  throw new CodedError('USAGE_OPTION', `--port needs a whole number from 1,024 to ${65_536 - PORTS}.`, { why: `"${String(value)}" is not one.`, next: `Run healthkeep fabric up --port ${FIRST_PORT}.` });
}
