/** The single steps of bringing up a planned network: a node started and waited for, a command of Fabric's given and given again. Page: docs/fabric.md. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { CodedError } from '#base/errors.ts';
import type { Clock, Fetch, Random, Scheduler } from '#base/ports.ts';
import { collectionsFile } from './network-files.ts';
import { blockFile, builderEnvironment, HOST, orgFolder, ordererFolder, packagesOf, peerFolder, policyText, type NetworkPlan, type PlannedChannel, type PlannedContract, type PlannedOrderer, type PlannedOrganisation, type PlannedPeer } from './network-plan.ts';
import { isAlive, lastWords, launch, type KeptProcess, type Launch } from './node-processes.ts';
import type { Programs } from './programs.ts';

export interface ContractLaunch {
  readonly contract: string;
  readonly mspId: string;
  readonly address: string;
  readonly packageId: string;
}

export interface StepOptions {
  readonly folder: string;
  /** The program that serves a contract. */
  readonly serve: (contract: ContractLaunch) => Pick<Launch, 'program' | 'args' | 'env'>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly say: (line: string) => void;
  /** What to do about a step that failed; default: down, then up again. */
  readonly next?: string;
  readonly signal: AbortSignal;
}

const COMMAND_MS_MAX = 60_000;
const TRIES = 30;
const PAUSE_MS = 500;
const HEALTH_POLLS = 120;
const HEALTH_PAUSE_MS = 250;
/** What Fabric says of something that is over soon: no leader yet, a peer that gossip has not found, a block on its way, a peer that has yet to catch up. */
const SOON_OVER = /SERVICE_UNAVAILABLE|no Raft leader|connection refused|context deadline exceeded|not found \(404\)|no peer combination|no endorsement combination|failed to collect|channel .* not found|could not find a leader|Unavailable|timed out|is larger than the next available sequence number/i;
/** What Fabric says when a step was done before. */
const DONE_BEFORE = /already successfully installed|already exists|ledger \[.*\] already exists|cannot join: channel already exists|with unchanged content/i;

export const peerRole = (mspId: string): string => `peer of ${mspId}`;
export const contractRole = (contract: string, mspId: string): string => `contract ${contract} of ${mspId}`;

interface Command {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly what: string;
  /** An answer to this command alone that means it was done before. */
  readonly doneBefore?: RegExp;
}

export interface StepParts {
  readonly plan: NetworkPlan;
  readonly programs: Programs;
  /** What was started; grows with every launch. */
  readonly processes: KeptProcess[];
  /** Called whenever one was added. */
  readonly note: (processes: readonly KeptProcess[]) => void;
}

export class NetworkSteps {
  readonly #options: StepOptions;
  readonly #plan: NetworkPlan;
  readonly #programs: Programs;
  readonly #note: StepParts['note'];
  readonly processes: KeptProcess[];

  constructor(options: StepOptions, parts: StepParts) {
    this.#options = options;
    this.#plan = parts.plan;
    this.#programs = parts.programs;
    this.#note = parts.note;
    this.processes = parts.processes;
  }

  async #launch(parts: Launch, healthPort: number | undefined): Promise<void> {
    this.#options.signal.throwIfAborted();
    const kept = await launch(parts);
    this.processes.push(kept);
    // Written down before the next one: a start that is killed leaves nothing that `down` does not know.
    this.#note(this.processes);
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

  async startOrderers(): Promise<void> {
    for (const [index, { operationsPort }] of this.#plan.ordering.nodes.entries()) {
      const folder = ordererFolder(this.#options.folder, index);
      await this.#launch({ role: `orderer ${index + 1}`, program: this.#programs.orderer, args: [], env: { ...this.#options.env, FABRIC_CFG_PATH: folder, FABRIC_LOGGING_SPEC: 'WARNING' }, log: join(folder, 'log') }, operationsPort);
    }
  }

  async startPeers(): Promise<void> {
    for (const org of this.#plan.organisations) await this.startPeer(org);
  }

  async startPeer({ mspId, peer }: PlannedOrganisation): Promise<void> {
    if (peer === undefined) return;
    const folder = peerFolder(this.#options.folder, mspId);
    await this.#launch({ role: peerRole(mspId), program: this.#programs.peer, args: ['node', 'start'], env: { ...this.#options.env, ...builderEnvironment(peer), FABRIC_CFG_PATH: folder, FABRIC_LOGGING_SPEC: 'WARNING' }, log: join(folder, 'log') }, peer.operationsPort);
  }

  async startContracts(): Promise<void> {
    for (const org of this.#plan.organisations) for (const contract of org.peer?.contractPorts.keys() ?? []) await this.startContract(org, contract);
  }

  async startContract({ mspId, peer }: PlannedOrganisation, contract: string): Promise<void> {
    const { id } = packagesOf(this.#plan).get(contract) as { readonly id: string };
    const parts = this.#options.serve({ contract, mspId, address: `${HOST}:${peer?.contractPorts.get(contract)}`, packageId: id });
    await this.#launch({ ...parts, role: contractRole(contract, mspId), log: join(orgFolder(this.#options.folder, mspId), `contract-${contract}.log`) }, undefined);
  }

  async joinOrderer(channel: string, index: number): Promise<void> {
    const { folder } = this.#options;
    const node = this.#plan.ordering.nodes[index] as PlannedOrderer;
    const tls = join(ordererFolder(folder, index), 'tls');
    await this.#command(this.#programs.osnadmin, {
      args: ['channel', 'join', '--channelID', channel, '--config-block', blockFile(folder, channel), '-o', `${HOST}:${node.adminPort}`, '--ca-file', join(tls, 'ca.crt'), '--client-cert', join(tls, 'server.crt'), '--client-key', join(tls, 'server.key')],
      env: {}, what: `joining orderer ${index + 1} to ${channel}`,
    });
  }

  /** Fabric's command line as an organisation's administrator, at its own peer. It reads core.yaml even for what needs no peer. */
  async peer(mspId: string, args: readonly string[], doneBefore?: RegExp): Promise<string> {
    const { peer } = this.#organisation(mspId);
    const node = peerFolder(this.#options.folder, mspId);
    return this.#command(this.#programs.peer, {
      args, ...(doneBefore === undefined ? {} : { doneBefore }), what: `${args.slice(0, 3).join(' ')} of ${mspId}`,
      env: { FABRIC_CFG_PATH: node, CORE_PEER_LOCALMSPID: mspId, CORE_PEER_MSPCONFIGPATH: join(orgFolder(this.#options.folder, mspId), 'users', 'admin'), CORE_PEER_ADDRESS: `${HOST}:${peer.port}`, CORE_PEER_TLS_ENABLED: 'true', CORE_PEER_TLS_ROOTCERT_FILE: join(node, 'tls', 'ca.crt') },
    });
  }

  #organisation(mspId: string): PlannedOrganisation & { readonly peer: PlannedPeer } {
    return this.#plan.organisations.find((one) => one.mspId === mspId) as PlannedOrganisation & { readonly peer: PlannedPeer };
  }

  /** Every organisation with a peer approves; the first commits, endorsed by all of them. */
  async define(channel: PlannedChannel, contract: PlannedContract, sequence: number): Promise<void> {
    const { folder } = this.#options;
    const { id } = packagesOf(this.#plan).get(contract.name) as { readonly id: string };
    const [orderer] = this.#plan.ordering.nodes;
    const common = [
      '-o', `${HOST}:${orderer?.port}`, '--tls', '--cafile', join(ordererFolder(folder, 0), 'tls', 'ca.crt'), '--channelID', channel.name, '--name', contract.name, '--version', contract.version, '--sequence', String(sequence),
      '--signature-policy', policyText(contract.needed, channel.peers), ...(contract.collections.length === 0 ? [] : ['--collections-config', collectionsFile(folder, channel.name, contract.name)]),
    ];
    for (const mspId of channel.peers) await this.peer(mspId, ['lifecycle', 'chaincode', 'approveformyorg', ...common, '--package-id', id]);
    const endorsers = channel.peers.flatMap((mspId) => ['--peerAddresses', `${HOST}:${this.#organisation(mspId).peer.port}`, '--tlsRootCertFiles', join(peerFolder(folder, mspId), 'tls', 'ca.crt')]);
    await this.peer(channel.peers[0] as string, ['lifecycle', 'chaincode', 'commit', ...common, ...endorsers], new RegExp(`new definition must be sequence ${sequence + 1}`));
  }

  /** Runs a command to its end and gives what it printed; what is soon over is tried again. Throws FABRIC_STEP_FAILED. */
  async #command(program: string, { args, env, what, doneBefore = DONE_BEFORE }: Command): Promise<string> {
    for (let attempt = 1; ; attempt++) {
      this.#options.signal.throwIfAborted();
      const done = spawnSync(program, args, { env: { ...this.#options.env, ...env } as NodeJS.ProcessEnv, encoding: 'utf8', timeout: COMMAND_MS_MAX });
      const said = `${done.stdout ?? ''}\n${done.stderr ?? ''}`;
      // osnadmin ends with 0 whatever the orderer answered; the answer's status is in what it prints.
      const refused = /^Status: [45]\d\d/m.test(said);
      if ((done.status === 0 && !refused) || DONE_BEFORE.test(said) || doneBefore.test(said)) return done.stdout ?? '';
      if (attempt === TRIES || !(SOON_OVER.test(said) || done.error !== undefined)) throw this.#failed(what, { attempt, said, error: done.error });
      await this.#options.scheduler.sleep(PAUSE_MS, this.#options.signal);
    }
  }

  #failed(what: string, { attempt, said, error }: { readonly attempt: number; readonly said: string; readonly error: Error | undefined }): CodedError {
    const dead = this.processes.find((one) => !isAlive(one));
    const last = said.trim().split('\n').filter((line) => line !== '').at(-1) ?? '';
    if (dead !== undefined) return new CodedError('FABRIC_PROCESS_ENDED', `The ${dead.role} ended meanwhile.`, { why: lastWords(dead.log), next: `Read its log: ${dead.log}.`, role: dead.role });
    return new CodedError('FABRIC_STEP_FAILED', `A step of the Fabric network failed: ${what}.`, { why: `${error?.message ?? last}`.slice(0, 400), next: `It was tried ${attempt} times. Logs are in ${this.#options.folder}; ${this.#options.next ?? 'run healthkeep fabric down, then up again'}.`, step: what });
  }
}
