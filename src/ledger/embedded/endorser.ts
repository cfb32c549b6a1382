/** Runs contracts for peers: simulation, response, signature. Sentences follow Fabric's, because clients know them. */
import { concat, equalBytes } from '#base/bytes.ts';
import { isCoded } from '#base/errors.ts';
import { SerializedIdentity } from '../protos/common.ts';
import { ChaincodeAction, ChaincodeEventMessage, ProposalResponsePayload, type Endorsement, type Response } from '../protos/peer.ts';
import type { TxPvtReadWriteSet } from '../protos/rwset.ts';
import { proposalHash, type ProposalFacts } from '../transaction.ts';
import type { Chaincode, ContractResponse } from '../stub.ts';
import type { Channel } from './channel.ts';
import { createStub } from './contract-stub.ts';
import { nativeHash } from './hash.ts';
import { collectionRules, fieldKey, LIFECYCLE, lifecycleContract, readDefinition, type Definition } from './lifecycle.ts';
import type { CallContext } from './peer-calls.ts';
import type { Peer } from './peer.ts';
import { Simulation } from './simulation.ts';
import type { Snapshot } from './channel-store.ts';

export interface SimulatedResponse {
  readonly response: Response;
  /** Serialised ProposalResponsePayload; empty when the contract refused. */
  readonly payload: Uint8Array;
  readonly privateSet: TxPvtReadWriteSet | undefined;
  /** Public keys to be written, by namespace. */
  readonly written: ReadonlyMap<string, readonly string[]>;
}

export interface EndorsingParts {
  readonly channel: Channel;
  readonly proposal: ProposalFacts;
  /** The organisation whose peer runs the contract. */
  readonly mspId: string;
  /** Other channels on this ledger, for read-only calls across. */
  readonly channelOf: (name: string) => Channel | undefined;
}

const NOTHING = new Uint8Array(0);
const MAX_DEPTH = 16;
const refusal = (message: string): ContractResponse => ({ status: 500, message, payload: NOTHING });

interface Run {
  readonly parts: EndorsingParts;
  readonly channel: Channel;
  readonly snapshot: Snapshot;
  readonly simulation: Simulation;
  /** Contracts that are at work in this transaction, with their channels, from the first called on. */
  readonly stack: readonly string[];
}

/** Runs the proposal's contract on one peer's committed state. Contract exceptions become a response of status 500. */
export async function simulate(parts: EndorsingParts): Promise<SimulatedResponse> {
  const { channel, proposal } = parts;
  const snapshot = channel.store.snapshot();
  try {
    const run: Run = { parts, channel, snapshot, simulation: new Simulation(snapshot.reader, nativeHash), stack: [] };
    const called = await call(run, proposal.contract, proposal.args);
    const response = { status: called.response.status, message: called.response.message, payload: called.response.payload };
    if (response.status < 200 || response.status >= 400) return { response, payload: NOTHING, privateSet: undefined, written: new Map() };
    const { publicSet, privateSet } = run.simulation.result();
    const events = called.event === undefined ? NOTHING : ChaincodeEventMessage.encode({ chaincodeId: proposal.contract, txId: proposal.channelHeader.txId, eventName: called.event.name, payload: called.event.payload });
    const extension = ChaincodeAction.encode({ results: publicSet, events, response, chaincodeId: { name: proposal.contract, version: called.version } });
    return { response, payload: ProposalResponsePayload.encode({ proposalHash: proposalHash(proposal.header, proposal.input, nativeHash), extension }), privateSet, written: run.simulation.written() };
  } finally {
    snapshot.release();
  }
}

interface Called {
  readonly response: ContractResponse;
  readonly version: string;
  readonly event: { readonly name: string; readonly payload: Uint8Array } | undefined;
}

async function call(run: Run, name: string, args: readonly Uint8Array[]): Promise<Called> {
  const found = findContract(run, name, args);
  if ('message' in found) {
    // To a calling contract this is an error, not an answer.
    if (run.stack.length > 0) throw new Error(found.message);
    return { response: found, version: '', event: undefined };
  }
  const inside = { ...run, stack: [...run.stack, placeOf(run.channel, name)] };
  const { stub, event } = createStub(contextOf(inside, { name, args, definition: found.definition }));
  try {
    return { response: await found.contract.Invoke(stub), version: found.definition?.version ?? '', event: event() };
  } catch (error) {
    // A coded error keeps its code across Fabric, which carries only a message.
    return { response: refusal(isCoded(error) ? JSON.stringify(error) : String(error)), version: '', event: undefined };
  }
}

type Found = { readonly contract: Chaincode; readonly definition: Definition | undefined };

function findContract({ channel, snapshot, simulation }: Run, name: string, args: readonly Uint8Array[]): Found | ContractResponse {
  if (name === LIFECYCLE) return { contract: lifecycleContract(args), definition: undefined };
  const definition = definitionAt(channel, snapshot, name);
  if (definition === undefined) return refusal(`make sure the chaincode ${name} has been successfully defined on channel ${channel.name} and try again: chaincode ${name} not found`);
  const contract = channel.contracts.get(name);
  if (contract === undefined) return refusal(`could not launch chaincode ${name}: the program is not attached to this ledger`);
  simulation.noteRead(LIFECYCLE, fieldKey(name, 'Sequence'), definition.stateVersion);
  return { contract, definition };
}

/** The head's definition is remembered; a snapshot of an older height reads its own. */
function definitionAt(channel: Channel, { reader, height }: Snapshot, name: string): Definition | undefined {
  return height === channel.height ? channel.definition(name) : readDefinition(reader, name);
}

function contextOf(run: Run, { name, args, definition }: { readonly name: string; readonly args: readonly Uint8Array[]; readonly definition: Definition | undefined }): CallContext {
  const { parts: { proposal, mspId }, channel, simulation } = run;
  const creator = SerializedIdentity.decode(proposal.signatureHeader.creator);
  const none = { name, sequence: 0, version: '', stateVersion: { blockNum: 0, txNum: 0 }, policy: { version: 0, rule: undefined, identities: [] }, collections: new Map() };
  return {
    simulation, namespace: name, peer: mspId, args, channel: channel.name, txId: proposal.channelHeader.txId, timestamp: proposal.channelHeader.timestamp ?? { seconds: 0, nanos: 0 }, creator,
    transient: proposal.transient, proposalBytes: proposal.bytes, collections: collectionRules(definition ?? none, mspId, creator.mspId), invoke: (target, targetArgs, targetChannel) => invokeOther(run, { name: target, args: targetArgs, channel: targetChannel }),
  };
}

const placeOf = (channel: Channel, name: string): string => `${channel.name}/${name}`;

/** The same channel shares the transaction; another is read only, and what it writes is dropped. */
async function invokeOther(run: Run, target: { readonly name: string; readonly args: readonly Uint8Array[]; readonly channel: string }): Promise<ContractResponse> {
  if (run.stack.length >= MAX_DEPTH) return refusal(`contracts call each other more than ${MAX_DEPTH} deep`);
  if (target.channel === '' || target.channel === run.channel.name) {
    refuseTwice(run, run.channel, target.name);
    return (await call(run, target.name, target.args)).response;
  }
  const channel = run.parts.channelOf(target.channel);
  if (channel === undefined || !channel.peers.has(run.parts.mspId)) throw new Error(`failed to get a ledger for channel ${target.channel}: the peer of ${run.parts.mspId} has not joined it`);
  refuseTwice(run, channel, target.name);
  const caller = channel.view.identify(run.parts.proposal.signatureHeader.creator);
  if ('refused' in caller || !channel.view.allows('peer/Propose', caller)) throw new Error(`access denied for [${target.name}] on channel [${target.channel}]`);
  const snapshot = channel.store.snapshot();
  try {
    return (await call({ parts: run.parts, channel, snapshot, simulation: new Simulation(snapshot.reader, nativeHash), stack: run.stack }, target.name, target.args)).response;
  } finally {
    snapshot.release();
  }
}

/** A peer knows a running contract by channel and transaction: it cannot run it once more inside itself. */
function refuseTwice({ stack, parts }: Run, channel: Channel, name: string): void {
  if (stack.includes(placeOf(channel, name))) throw new Error(`txid: ${parts.proposal.channelHeader.txId}(${channel.name}) exists`);
}

/** The peer's signature over payload ‖ endorser. */
export async function endorse(peer: Peer, payload: Uint8Array): Promise<Endorsement> {
  return { endorser: peer.serialised, signature: await peer.sign(concat(payload, peer.serialised)) };
}

/** Do all peers say the same, byte for byte? */
export function agree(responses: readonly SimulatedResponse[]): boolean {
  const [first, ...rest] = responses;
  return first !== undefined && rest.every((other) => equalBytes(first.payload, other.payload));
}
