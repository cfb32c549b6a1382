/**
 * Brings a planned network up and down. The order, the waits and the second tries were learnt on Fabric 2.5.12 and 3.0.0
 * (docs/fabric.md says which); every command is Fabric's own.
 */
import { CodedError } from '#base/errors.ts';
import type { Scheduler } from '#base/ports.ts';
import { writeNetworkFiles } from './network-files.ts';
import { blockFile, listenersOf, packageFile, type NetworkPlan } from './network-plan.ts';
import { conditionOf, forget, readState, writeState, type NetworkState } from './network-state.ts';
import { NetworkSteps, type StepOptions } from './network-steps.ts';
import { checkPorts, stopProcesses } from './node-processes.ts';
import type { Programs } from './programs.ts';

export interface UpOptions extends StepOptions {
  readonly templates: string;
  /** Names the set-up in the state file. */
  readonly kind: string;
  /** Made when it is needed: it opens keys. */
  readonly plan: () => Promise<NetworkPlan>;
  /** Asked before anything is started. */
  readonly programs: () => Programs;
}

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
  readonly #steps: NetworkSteps;

  constructor(options: UpOptions, parts: { readonly plan: NetworkPlan; readonly programs: Programs }) {
    this.#options = options;
    this.#plan = parts.plan;
    this.#steps = new NetworkSteps(options, { ...parts, processes: [], note: () => this.#note('starting') });
  }

  async fresh(): Promise<void> {
    const { folder, say } = this.#options;
    this.#note('starting');
    writeNetworkFiles(this.#plan, this.#options, this.#options);
    say(`Starting ${this.#plan.ordering.nodes.length} orderers (${this.#plan.consensus}).`);
    await this.#steps.startOrderers();
    for (const { name } of this.#plan.channels) for (const index of this.#plan.ordering.nodes.keys()) await this.#steps.joinOrderer(name, index);
    say('Starting peers and contracts.');
    await this.#steps.startPeers();
    await this.#steps.startContracts();
    for (const channel of this.#plan.channels) for (const mspId of channel.peers) await this.#steps.peer(mspId, ['channel', 'join', '-b', blockFile(folder, channel.name)]);
    for (const { mspId, peer } of this.#plan.organisations) for (const contract of peer?.contractPorts.keys() ?? []) await this.#steps.peer(mspId, ['lifecycle', 'chaincode', 'install', packageFile(folder, contract)]);
    for (const channel of this.#plan.channels) for (const contract of channel.contracts) {
      say(`Defining ${contract.name} on ${channel.name}.`);
      await this.#steps.define(channel, contract, 1);
    }
    this.#note('up');
  }

  async restart(): Promise<void> {
    this.#options.say('Starting orderers, peers and contracts on their old data.');
    this.#note('starting');
    await this.#steps.startOrderers();
    await this.#steps.startPeers();
    await this.#steps.startContracts();
    this.#note('up');
  }

  /** A start that failed leaves no process; after a failed restart the data is still whole. */
  async giveUp(whole: boolean): Promise<void> {
    await stopProcesses(this.#steps.processes, this.#options.scheduler);
    this.#steps.processes.length = 0;
    this.#note(whole ? 'up' : 'failed');
  }

  #note(phase: NetworkState['phase']): void {
    writeState(this.#options.folder, { version: 1, phase, kind: this.#options.kind, processes: this.#steps.processes });
  }
}
