/**
 * Brings a planned network up and down. The order, the waits and the second tries were learnt on Fabric 2.5.12 and 3.0.0
 * (docs/fabric.md says which); every command is Fabric's own.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { CodedError } from '#base/errors.ts';
import type { Clock, Fetch, Random, Scheduler } from '#base/ports.ts';
import { collectionsFile, writeNetworkFiles } from './network-files.ts';
import { blockFile, builderEnvironment, HOST, listenersOf, orgFolder, ordererFolder, packageFile, packagesOf, peerFolder, policyText, type NetworkPlan, type PlannedChannel, type PlannedContract, type PlannedOrderer, type PlannedOrganisation, type PlannedPeer } from './network-plan.ts';
import { conditionOf, forget, readState, writeState, type NetworkState } from './network-state.ts';
import { checkPorts, isAlive, lastWords, launch, stopProcesses, type KeptProcess, type Launch } from './node-processes.ts';
import type { Programs } from './programs.ts';

export interface ContractLaunch {
  readonly contract: string;
  readonly mspId: string;
  readonly address: string;
  readonly packageId: string;
}

export interface UpOptions {
  readonly folder: string;
  readonly templates: string;
  /** Names the set-up in the state file. */
  readonly kind: string;
  /** Made when it is needed: it opens keys. */
  readonly plan: () => Promise<NetworkPlan>;
  /** Asked before anything is started. */
  readonly programs: () => Programs;
  /** The program that serves a contract. */
  readonly serve: (contract: ContractLaunch) => Pick<Launch, 'program' | 'args' | 'env'>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

const COMMAND_MS_MAX = 60_000;
const TRIES = 30;
const PAUSE_MS = 500;
const HEALTH_POLLS = 120;
const HEALTH_PAUSE_MS = 250;
/** What Fabric says of something that is over soon: no leader yet, a peer that gossip has not found, a block on its way. */
const SOON_OVER = /SERVICE_UNAVAILABLE|no Raft leader|connection refused|context deadline exceeded|not found \(404\)|no peer combination|no endorsement combination|failed to collect|channel .* not found|could not find a leader|Unavailable|timed out/i;
/** What Fabric says when a step was done before. */
const DONE_BEFORE = /already successfully installed|already exists|ledger \[.*\] already exists|cannot join: channel already exists|with unchanged content|new definition must be sequence 2/i;

/** `fresh`: made anew; `restarted`: on its old data; `running`: nothing to do. Throws FABRIC_*; then nothing of it runs. */
export async function networkUp(options: UpOptions): Promise<'fresh' | 'restarted' | 'running'> {
  const { folder, kind } = options;
  const condition = conditionOf(readState(folder), kind);
  if (condition === 'up') return 'running';
  const programs = options.programs();
  const plan = await options.plan();
  await checkPorts(listenersOf(plan));
  const run = new Start(options, { plan, programs });
  try {
    if (condition === 'down') await run.restart();
    else await run.fresh();
  } catch (error) {
    await run.giveUp(condition === 'down');
    if (!options.signal.aborted) throw error;
    throw new CodedError('FABRIC_INTERRUPTED', 'The start of the Fabric network was interrupted.', { why: 'What had been started was stopped again.', next: 'Run healthkeep fabric up once more.' }, { cause: error });
  }
  return condition === 'down' ? 'restarted' : 'fresh';
}

/** Stops what runs; without `keep` the folder goes too. Resolves to how many processes were stopped, undefined when there was no network. */
export async function networkDown({ folder, keep, scheduler }: { readonly folder: string; readonly keep: boolean; readonly scheduler: Scheduler }): Promise<number | undefined> {
  const state = readState(folder);
  if (state === undefined) return undefined;
  const stopped = await stopProcesses(state.processes, scheduler);
  if (keep) writeState(folder, { ...state, processes: [] });
  else forget(folder);
  return stopped;
}

class Start {
  readonly #options: UpOptions;
  readonly #plan: NetworkPlan;
  readonly #programs: Programs;
  readonly #processes: KeptProcess[] = [];

  constructor(options: UpOptions, parts: { readonly plan: NetworkPlan; readonly programs: Programs }) {
    this.#options = options;
    this.#plan = parts.plan;
    this.#programs = parts.programs;
  }

  async fresh(): Promise<void> {
    const { folder, say } = this.#options;
    this.#note('starting');
    writeNetworkFiles(this.#plan, this.#options, this.#options);
    say(`Starting ${this.#plan.ordering.nodes.length} orderers (${this.#plan.consensus}).`);
    await this.#startOrderers();
    for (const { name } of this.#plan.channels) for (const index of this.#plan.ordering.nodes.keys()) await this.#joinOrderer(name, index);
    say('Starting peers and contracts.');
    await this.#startPeers();
    await this.#startContracts();
    for (const channel of this.#plan.channels) for (const mspId of channel.peers) await this.#peer(mspId, ['channel', 'join', '-b', blockFile(folder, channel.name)]);
    for (const { mspId, peer } of this.#plan.organisations) for (const contract of peer?.contractPorts.keys() ?? []) await this.#peer(mspId, ['lifecycle', 'chaincode', 'install', packageFile(folder, contract)]);
    for (const channel of this.#plan.channels) for (const contract of channel.contracts) {
      say(`Defining ${contract.name} on ${channel.name}.`);
      await this.#define(channel, contract);
    }
    this.#note('up');
  }

  async restart(): Promise<void> {
    this.#options.say('Starting orderers, peers and contracts on their old data.');
    this.#note('starting');
    await this.#startOrderers();
    await this.#startPeers();
    await this.#startContracts();
    this.#note('up');
  }

  /** A start that failed leaves no process; after a failed restart the data is still whole. */
  async giveUp(whole: boolean): Promise<void> {
    await stopProcesses(this.#processes, this.#options.scheduler);
    this.#processes.length = 0;
    this.#note(whole ? 'up' : 'failed');
  }

  #note(phase: NetworkState['phase']): void {
    writeState(this.#options.folder, { version: 1, phase, kind: this.#options.kind, processes: this.#processes });
  }

  async #launch(parts: Launch, healthPort: number | undefined): Promise<void> {
    this.#options.signal.throwIfAborted();
    const kept = await launch(parts);
    this.#processes.push(kept);
    // Written down before the next one: a start that is killed leaves nothing that `down` does not know.
    this.#note('starting');
    if (healthPort !== undefined) await this.#healthy(kept, healthPort);
  }

  async #healthy(kept: KeptProcess, port: number): Promise<void> {
    const { fetch, scheduler, signal } = this.#options;
    for (let poll = 0; poll < HEALTH_POLLS && !signal.aborted; poll++) {
      if (!isAlive(kept)) throw new CodedError('FABRIC_PROCESS_ENDED', `The ${kept.role} ended right after its start.`, { why: lastWords(kept.log), next: `Read its log: ${kept.log}.`, role: kept.role });
      const answer = await { fetch }.fetch(new Request(`http://${HOST}:${port}/healthz`)).then((response) => response.ok, () => false);
      if (answer) return;
      await scheduler.sleep(HEALTH_PAUSE_MS, signal);
    }
    throw new CodedError('FABRIC_NOT_READY', `The ${kept.role} does not become ready.`, { why: lastWords(kept.log), next: `Read its log: ${kept.log}.`, role: kept.role });
  }

  async #startOrderers(): Promise<void> {
    for (const [index, { operationsPort }] of this.#plan.ordering.nodes.entries()) {
      const folder = ordererFolder(this.#options.folder, index);
      await this.#launch({ role: `orderer ${index + 1}`, program: this.#programs.orderer, args: [], env: { ...this.#options.env, FABRIC_CFG_PATH: folder, FABRIC_LOGGING_SPEC: 'WARNING' }, log: join(folder, 'log') }, operationsPort);
    }
  }

  async #startPeers(): Promise<void> {
    for (const { mspId, peer } of this.#plan.organisations) {
      if (peer === undefined) continue;
      const folder = peerFolder(this.#options.folder, mspId);
      await this.#launch({ role: `peer of ${mspId}`, program: this.#programs.peer, args: ['node', 'start'], env: { ...this.#options.env, ...builderEnvironment(peer), FABRIC_CFG_PATH: folder, FABRIC_LOGGING_SPEC: 'WARNING' }, log: join(folder, 'log') }, peer.operationsPort);
    }
  }

  async #startContracts(): Promise<void> {
    const packages = packagesOf(this.#plan);
    for (const { mspId, peer } of this.#plan.organisations) {
      for (const [contract, port] of peer?.contractPorts ?? []) {
        const parts = this.#options.serve({ contract, mspId, address: `${HOST}:${port}`, packageId: (packages.get(contract) as { readonly id: string }).id });
        await this.#launch({ ...parts, role: `contract ${contract} of ${mspId}`, log: join(orgFolder(this.#options.folder, mspId), `contract-${contract}.log`) }, undefined);
      }
    }
  }

  async #joinOrderer(channel: string, index: number): Promise<void> {
    const { folder } = this.#options;
    const node = this.#plan.ordering.nodes[index] as PlannedOrderer;
    const tls = join(ordererFolder(folder, index), 'tls');
    await this.#command(this.#programs.osnadmin, {
      args: ['channel', 'join', '--channelID', channel, '--config-block', blockFile(folder, channel), '-o', `${HOST}:${node.adminPort}`, '--ca-file', join(tls, 'ca.crt'), '--client-cert', join(tls, 'server.crt'), '--client-key', join(tls, 'server.key')],
      env: {}, what: `joining orderer ${index + 1} to ${channel}`,
    });
  }

  /** Fabric's command line as an organisation's administrator, at its own peer. It reads core.yaml even for what needs no peer. */
  async #peer(mspId: string, args: readonly string[]): Promise<void> {
    const { peer } = this.#organisation(mspId);
    const node = peerFolder(this.#options.folder, mspId);
    await this.#command(this.#programs.peer, {
      args, what: `${args.slice(0, 3).join(' ')} of ${mspId}`,
      env: { FABRIC_CFG_PATH: node, CORE_PEER_LOCALMSPID: mspId, CORE_PEER_MSPCONFIGPATH: join(orgFolder(this.#options.folder, mspId), 'users', 'admin'), CORE_PEER_ADDRESS: `${HOST}:${peer.port}`, CORE_PEER_TLS_ENABLED: 'true', CORE_PEER_TLS_ROOTCERT_FILE: join(node, 'tls', 'ca.crt') },
    });
  }

  #organisation(mspId: string): PlannedOrganisation & { readonly peer: PlannedPeer } {
    return this.#plan.organisations.find((one) => one.mspId === mspId) as PlannedOrganisation & { readonly peer: PlannedPeer };
  }

  /** Every organisation with a peer approves; the first commits, endorsed by all of them. */
  async #define(channel: PlannedChannel, contract: PlannedContract): Promise<void> {
    const { folder } = this.#options;
    const { id } = packagesOf(this.#plan).get(contract.name) as { readonly id: string };
    const [orderer] = this.#plan.ordering.nodes;
    const common = [
      '-o', `${HOST}:${orderer?.port}`, '--tls', '--cafile', join(ordererFolder(folder, 0), 'tls', 'ca.crt'), '--channelID', channel.name, '--name', contract.name, '--version', contract.version, '--sequence', '1',
      '--signature-policy', policyText(contract.needed, channel.peers), ...(contract.collections.length === 0 ? [] : ['--collections-config', collectionsFile(folder, channel.name, contract.name)]),
    ];
    for (const mspId of channel.peers) await this.#peer(mspId, ['lifecycle', 'chaincode', 'approveformyorg', ...common, '--package-id', id]);
    const endorsers = channel.peers.flatMap((mspId) => ['--peerAddresses', `${HOST}:${this.#organisation(mspId).peer.port}`, '--tlsRootCertFiles', join(peerFolder(folder, mspId), 'tls', 'ca.crt')]);
    await this.#peer(channel.peers[0] as string, ['lifecycle', 'chaincode', 'commit', ...common, ...endorsers]);
  }

  /** Runs a command to its end; what is soon over is tried again. Throws FABRIC_STEP_FAILED. */
  async #command(program: string, { args, env, what }: { readonly args: readonly string[]; readonly env: Readonly<Record<string, string>>; readonly what: string }): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      this.#options.signal.throwIfAborted();
      const done = spawnSync(program, args, { env: { ...this.#options.env, ...env } as NodeJS.ProcessEnv, encoding: 'utf8', timeout: COMMAND_MS_MAX });
      const said = `${done.stdout ?? ''}\n${done.stderr ?? ''}`;
      // osnadmin ends with 0 whatever the orderer answered; the answer's status is in what it prints.
      const refused = /^Status: [45]\d\d/m.test(said);
      if ((done.status === 0 && !refused) || DONE_BEFORE.test(said)) return;
      if (attempt === TRIES || !(SOON_OVER.test(said) || done.error !== undefined)) throw this.#failed(what, { attempt, said, error: done.error });
      await this.#options.scheduler.sleep(PAUSE_MS, this.#options.signal);
    }
  }

  #failed(what: string, { attempt, said, error }: { readonly attempt: number; readonly said: string; readonly error: Error | undefined }): CodedError {
    const dead = this.#processes.find((one) => !isAlive(one));
    const last = said.trim().split('\n').filter((line) => line !== '').at(-1) ?? '';
    if (dead !== undefined) return new CodedError('FABRIC_PROCESS_ENDED', `The ${dead.role} ended while the network was coming up.`, { why: lastWords(dead.log), next: `Read its log: ${dead.log}.`, role: dead.role });
    return new CodedError('FABRIC_STEP_FAILED', `A step of the start failed: ${what}.`, { why: `${error?.message ?? last}`.slice(0, 400), next: `It was tried ${attempt} times. Logs are in ${this.#options.folder}; run healthkeep fabric down, then up again.`, step: what });
  }
}

