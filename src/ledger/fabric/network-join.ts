/**
 * An organisation comes into a network that runs on this machine: its channel, its peer, its contracts, by Fabric's own
 * commands. Each step may be done again, because the whole may be killed anywhere and run once more (docs/moving.md).
 */
import { CodedError, isCoded } from '#base/errors.ts';
import { writeDescription, writeFirstBlock, writeOrganisation, writePackages } from './network-files.ts';
import { blockFile, packageFile, type NetworkPlan, type PlannedChannel, type PlannedContract, type PlannedOrganisation } from './network-plan.ts';
import { readState, writeState, type NetworkState } from './network-state.ts';
import { contractRole, NetworkSteps, peerRole, type StepOptions } from './network-steps.ts';
import { checkPorts, isAlive, stopProcesses, type KeptProcess } from './node-processes.ts';
import type { Programs } from './programs.ts';

export interface JoinOptions extends StepOptions {
  readonly templates: string;
  /** The network as it will be, the newcomer in it. */
  readonly plan: NetworkPlan;
  readonly newcomer: string;
  readonly programs: Programs;
  /** Called when the newcomer's files are there and nothing else has happened: whoever keeps the list of members writes it now. */
  readonly announce: () => void;
}

/** The steps that an organisation's coming needs of the network. All throw FABRIC_STEP_FAILED, FABRIC_PROCESS_ENDED, FABRIC_NOT_READY. */
export interface NetworkJoin {
  /** Its first block at every orderer. */
  createChannel(channel: string): Promise<void>;
  /** Starts the newcomer's peer and contracts if they do not run, lets the peer join, and installs the channel's contracts on it. */
  joinPeer(channel: string): Promise<void>;
  /** The contract's definition for those who run a peer now: the next sequence, unless the newcomer is in the one that is committed. */
  deploy(channel: string, needed: number): Promise<void>;
  /** Tells clients. */
  finish(): void;
  /** Ends what this join started; what was there before runs on. */
  giveUp(): Promise<void>;
}

const NOT_DEFINED = /namespace \S+ is not defined/;

/** The state of a network all of which runs, but for the newcomer. Throws FABRIC_HALF_RUNNING. */
export function runningState(folder: string, newcomer: string): NetworkState {
  const state = readState(folder);
  const dead = (state?.processes ?? []).filter((one) => !isAlive(one) && !one.role.endsWith(` of ${newcomer}`));
  if (state?.phase === 'up' && state.processes.length > 0 && dead.length === 0) return state;
  const why = dead.length === 0 ? 'It is not up.' : `Of ${state?.processes.length} processes some are missing: ${dead.map(({ role }) => role).slice(0, 4).join(', ')}.`;
  throw new CodedError('FABRIC_HALF_RUNNING', 'The Fabric network does not run as it should.', { why, next: 'Run healthkeep fabric down --keep on the folder, then up again.' });
}

/** Writes what the newcomer's peer needs. Throws FABRIC_HALF_RUNNING, FABRIC_TEMPLATE, FABRIC_PORT_TAKEN. */
export async function openNetworkJoin(options: JoinOptions): Promise<NetworkJoin> {
  const { folder, plan, newcomer, programs, scheduler } = options;
  const org = plan.organisations.find(({ mspId }) => mspId === newcomer) as PlannedOrganisation;
  const state = runningState(folder, newcomer);
  const before = state.processes.filter(isAlive);
  await checkPorts(freeListeners(org, before));
  writeOrganisation(org, options);
  writePackages(plan, folder);
  options.announce();
  const note = (processes: readonly KeptProcess[]): void => writeState(folder, { ...state, processes });
  const steps = new NetworkSteps(options, { plan, programs, processes: [...before], note });
  const channelOf = (name: string): PlannedChannel => plan.channels.find((one) => one.name === name) as PlannedChannel;
  return {
    async createChannel(name) {
      writeFirstBlock(plan, { folder, channel: channelOf(name) }, options);
      for (const index of plan.ordering.nodes.keys()) await steps.joinOrderer(name, index);
    },
    async joinPeer(name) {
      await runNodes(steps, org);
      await steps.peer(newcomer, ['channel', 'join', '-b', blockFile(folder, name)]);
      for (const { name: contract } of channelOf(name).contracts) await steps.peer(newcomer, ['lifecycle', 'chaincode', 'install', packageFile(folder, contract)]);
    },
    async deploy(name, needed) {
      const channel = channelOf(name);
      for (const contract of channel.contracts) await define(steps, { channel, contract: { ...contract, needed }, newcomer });
    },
    finish: () => writeDescription(plan, folder),
    async giveUp() {
      await stopProcesses(steps.processes.filter((one) => !before.includes(one)), scheduler);
      note(before);
    },
  };
}

const runs = (processes: readonly KeptProcess[], role: string): boolean => processes.some((one) => one.role === role && isAlive(one));

/** Where the newcomer will listen and does not yet. */
function freeListeners({ mspId, peer }: PlannedOrganisation, processes: readonly KeptProcess[]): { readonly role: string; readonly port: number }[] {
  if (peer === undefined) return [];
  const node = runs(processes, peerRole(mspId)) ? [] : [peer.port, peer.chaincodePort, peer.operationsPort].map((port) => ({ role: peerRole(mspId), port }));
  return [...node, ...[...peer.contractPorts].map(([contract, port]) => ({ role: contractRole(contract, mspId), port })).filter(({ role }) => !runs(processes, role))];
}

async function runNodes(steps: NetworkSteps, org: PlannedOrganisation): Promise<void> {
  if (!runs(steps.processes, peerRole(org.mspId))) await steps.startPeer(org);
  for (const contract of org.peer?.contractPorts.keys() ?? []) if (!runs(steps.processes, contractRole(contract, org.mspId))) await steps.startContract(org, contract);
}

async function define(steps: NetworkSteps, { channel, contract, newcomer }: { readonly channel: PlannedChannel; readonly contract: PlannedContract; readonly newcomer: string }): Promise<void> {
  const committed = await committedOf(steps, channel, contract.name);
  // The newcomer approves nothing but the definition that counts it in.
  if (committed?.approvals[newcomer] === true) return;
  await steps.define(channel, contract, (committed?.sequence ?? 0) + 1);
}

interface Committed {
  readonly sequence: number;
  readonly approvals: Readonly<Record<string, boolean>>;
}

/** What is committed on the channel, from the peer that has been there longest; undefined when nothing is. */
async function committedOf(steps: NetworkSteps, { name, peers }: PlannedChannel, contract: string): Promise<Committed | undefined> {
  let told: string;
  try {
    told = await steps.peer(peers[0] as string, ['lifecycle', 'chaincode', 'querycommitted', '--channelID', name, '--name', contract, '--output', 'json']);
  } catch (error) {
    if (isCoded(error, 'FABRIC_STEP_FAILED') && NOT_DEFINED.test(String(error.details['why']))) return undefined;
    throw error;
  }
  const { sequence, approvals } = readJson(told);
  if (!Number.isSafeInteger(Number(sequence)) || Number(sequence) < 1 || typeof approvals !== 'object' || approvals === null) throw unreadable(name, contract);
  return { sequence: Number(sequence), approvals: approvals as Committed['approvals'] };

  function readJson(text: string): { readonly sequence?: unknown; readonly approvals?: unknown } {
    try {
      return JSON.parse(text) as { readonly sequence?: unknown; readonly approvals?: unknown };
    } catch {
      throw unreadable(name, contract);
    }
  }
}

const unreadable = (channel: string, contract: string): CodedError => new CodedError('FABRIC_STEP_FAILED', `The definition of ${contract} on ${channel} cannot be read.`, { why: 'peer lifecycle chaincode querycommitted printed no JSON with a sequence and approvals.', next: 'Run the command yourself and look.' });
