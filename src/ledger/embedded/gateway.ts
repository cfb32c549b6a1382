/** Fabric's Gateway service over the channels of this process: the door where every request is checked before anything runs. */
import { equalBytes } from '#base/bytes.ts';
import { isCoded } from '#base/errors.ts';
import { CommitStatusResponse, EndorseRequest, EndorseResponse, EvaluateRequest, EvaluateResponse } from '../protos/gateway.ts';
import type { SignedProposal } from '../protos/peer.ts';
import { assembleTransaction, type ProposalFacts } from '../transaction.ts';
import { GatewayFault, grpcCode, isGatewayFault, type GatewayTransport, type GrpcCode } from '../transport.ts';
import { deliverEvents } from './chaincode-events.ts';
import { deliverBlocks, deliverFilteredBlocks, deliverPrivateBlocks } from './deliver.ts';
import { closing, type GatewayParts } from './door.ts';
import { endorsementPlan, type Plan } from './endorsement-plan.ts';
import { agree, endorse, simulate, type SimulatedResponse } from './endorser.ts';
import type { Channel } from './channel.ts';
import { LIFECYCLE } from './lifecycle.ts';
import type { Peer } from './peer.ts';
import { candidates, claimedOrg, isProposalRefusal, openBytes, openProposal, type Opened } from './proposal-door.ts';
import { endorseFault, evaluateFault, refusalOf } from './refusal.ts';
import { commitStatus, submit } from './submission.ts';
import { askSystemContract } from './system-contract.ts';

/** Turns whatever went wrong into a fault; coded errors travel whole in its message. */
async function faulting<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw toFault(error);
  }
}

function toFault(error: unknown): GatewayFault {
  if (isGatewayFault(error)) return error;
  if (!isCoded(error)) return new GatewayFault(grpcCode.internal, 'the ledger failed inside', [], { cause: error });
  const codes: Readonly<Record<string, GrpcCode>> = { LEDGER_MALFORMED: grpcCode.invalidArgument, LEDGER_ACCESS_DENIED: grpcCode.permissionDenied, LEDGER_CONFIG_REFUSED: grpcCode.aborted, LEDGER_DISK_FULL: grpcCode.resourceExhausted, LEDGER_CORRUPT: grpcCode.dataLoss, LEDGER_CHAIN_BROKEN: grpcCode.dataLoss, LEDGER_STORAGE: grpcCode.failedPrecondition, LEDGER_OUTCOME_UNKNOWN: grpcCode.unknown, LEDGER_CLOSED: grpcCode.unavailable };
  return new GatewayFault(codes[error.code] ?? grpcCode.internal, JSON.stringify(error), [], { cause: error });
}

const failed = ({ response }: SimulatedResponse): boolean => response.status < 200 || response.status >= 400;
const contractSentence = ({ response }: SimulatedResponse): string => `chaincode response ${response.status}, ${response.message}`;
/** A peer outside a collection cannot answer what a peer inside it can. */
const tryElsewhere = (response: SimulatedResponse): boolean => failed(response) && response.response.message.includes('private data matching public hash version is not available');

/** System contracts answer everywhere; others where they are defined and their program is attached. */
const runsHere = (channel: Channel, contract: string): boolean => contract === LIFECYCLE || contract === 'cscc' || (channel.definition(contract) !== undefined && channel.contracts.has(contract));

interface Answer {
  readonly peer: Peer;
  readonly response: SimulatedResponse;
}

const simulateOn = async (parts: GatewayParts, opened: Opened, peer: Peer): Promise<Answer> => ({ peer, response: await simulate({ channel: opened.channel, proposal: opened.proposal, mspId: peer.mspId, channelOf: parts.channelOf }) });

async function simulateOnFirst(parts: GatewayParts, opened: Opened, peers: readonly [Peer, ...Peer[]]): Promise<Answer> {
  const [first, ...others] = peers;
  let last = await simulateOn(parts, opened, first);
  for (const peer of others) {
    if (!tryElsewhere(last.response)) break;
    last = await simulateOn(parts, opened, peer);
  }
  return last;
}

/** The caller's organisation, by its own account: its peer is asked first. */
function peersFor(opened: Opened, wanted: readonly string[]): readonly [Peer, ...Peer[]] | undefined {
  const [first, ...others] = candidates(opened.channel, opened.creator.mspId, wanted);
  return first === undefined ? undefined : [first, ...others];
}

async function evaluate(parts: GatewayParts, request: Uint8Array): Promise<Uint8Array> {
  const { proposedTransaction: signed, targetOrganizations } = EvaluateRequest.decode(request);
  const proposal = openBytes(signed, { missing: 'a signed proposal is required', unreadable: evaluateFault.unreadable });
  const { contract, channelHeader: { channelId } } = proposal;
  const channel = parts.channelOf(channelId);
  if (channel === undefined) throw evaluateFault.noChannel(channelId);
  if (channel.closed) throw closing();
  const [any] = runsHere(channel, contract) ? candidates(channel, '', targetOrganizations) : [];
  if (any === undefined) throw evaluateFault.noPeers(contract, channelId);
  return channel.traffic.turnstile.enter(claimedOrg(channel, proposal), () => evaluateOn(parts, { channel, proposal, signed: signed as SignedProposal, wanted: targetOrganizations, any }));
}

interface Evaluating {
  readonly channel: Channel;
  readonly proposal: ProposalFacts;
  readonly signed: SignedProposal;
  readonly wanted: readonly string[];
  readonly any: Peer;
}

async function evaluateOn(parts: GatewayParts, { channel, proposal, signed, wanted, any }: Evaluating): Promise<Uint8Array> {
  const opened = await openProposal(parts, channel, { proposal, signed });
  if (isProposalRefusal(opened)) throw (opened.gone ? evaluateFault.noneLeft : evaluateFault.refused)(refusalOf(any.mspId, opened.refused));
  const known = askSystemContract(opened.channel, opened.proposal);
  if (known !== undefined) return EvaluateResponse.encode({ result: known });
  const { peer, response } = await simulateOnFirst(parts, opened, peersFor(opened, wanted) ?? [any]);
  if (failed(response)) throw evaluateFault.contract(refusalOf(peer.mspId, contractSentence(response)));
  return EvaluateResponse.encode({ result: response.response });
}

async function endorseProposal(parts: GatewayParts, request: Uint8Array): Promise<Uint8Array> {
  const { proposedTransaction: signed, endorsingOrganizations } = EndorseRequest.decode(request);
  const proposal = openBytes(signed, { missing: 'the proposed transaction must contain a signed proposal', unreadable: endorseFault.unreadable });
  const { channel, peers } = endorsersFor(parts, proposal, endorsingOrganizations);
  return channel.traffic.turnstile.enter(claimedOrg(channel, proposal), () => endorseOn(parts, { channel, proposal, signed: signed as SignedProposal, wanted: endorsingOrganizations, any: peers[0], peers }));
}

async function endorseOn(parts: GatewayParts, { channel, proposal, signed, wanted: endorsingOrganizations, peers }: Evaluating & { readonly peers: readonly [Peer, ...Peer[]] }): Promise<Uint8Array> {
  const opened = await openProposal(parts, channel, { proposal, signed });
  if (isProposalRefusal(opened)) {
    const { refused } = opened;
    throw endorsingOrganizations.length > 0 ? endorseFault.further(peers.map((peer) => refusalOf(peer.mspId, refused))) : endorseFault.first([refusalOf(peers[0].mspId, refused)]);
  }
  return channel.traffic.during(() => endorseOpened(parts, opened, endorsingOrganizations));
}

/** Who could endorse, before anybody is asked. */
function endorsersFor(parts: GatewayParts, { contract, channelHeader: { channelId } }: ProposalFacts, wanted: readonly string[]): { readonly channel: Channel; readonly peers: readonly [Peer, ...Peer[]] } {
  const channel = parts.channelOf(channelId);
  if (channel?.closed === true) throw closing();
  const peers = channel === undefined || !runsHere(channel, contract) ? [] : candidates(channel, '', wanted);
  const missing = wanted.filter((org) => !peers.some((peer) => peer.mspId === org));
  if (missing.length > 0) throw endorseFault.noOrgs(missing);
  const [first, ...others] = peers;
  if (channel === undefined || first === undefined) throw endorseFault.noMetadata(contract, channelId);
  return { channel, peers: [first, ...others] };
}

async function endorseOpened(parts: GatewayParts, opened: Opened, endorsingOrganizations: readonly string[]): Promise<Uint8Array> {
  const { channel, proposal } = opened;
  const { txId } = proposal.channelHeader;
  const peers = peersFor(opened, endorsingOrganizations);
  if (peers === undefined) throw endorseFault.noMetadata(proposal.contract, channel.name);
  const fixed = endorsingOrganizations.length > 0;
  const { peer: first, response } = await simulateOnFirst(parts, opened, fixed ? [peers[0]] : peers);
  if (failed(response) && !fixed) throw endorseFault.first([refusalOf(first.mspId, contractSentence(response))]);
  const plan = fixed ? { first, others: peers.slice(1) } : endorsementPlan({ channel, contract: proposal.contract, written: response.written, first, peers });
  const { payload, endorsements } = await collect(parts, opened, { plan, response });
  channel.memo.remember(txId, { responsePayload: payload, endorsements, privateSet: response.privateSet });
  channel.traffic.expect(txId);
  return EndorseResponse.encode({ preparedTransaction: { payload: assembleTransaction(proposal, payload, endorsements), signature: new Uint8Array(0) } });
}

/** Every further organisation runs the contract itself: that is how a disagreement shows. */
async function collect(parts: GatewayParts, opened: Opened, { plan, response }: { readonly plan: Plan; readonly response: SimulatedResponse }): Promise<{ readonly payload: Uint8Array; readonly endorsements: { endorser: Uint8Array; signature: Uint8Array }[] }> {
  const answers: Answer[] = [{ peer: plan.first, response }];
  for (const peer of plan.others) answers.push(await simulateOn(parts, opened, peer));
  const refusals = answers.filter((answer) => failed(answer.response)).map((answer) => refusalOf(answer.peer.mspId, contractSentence(answer.response)));
  if (refusals.length > 0) throw endorseFault.further(refusals);
  if (!agree(answers.map((answer) => answer.response))) {
    throw endorseFault.further(answers.filter((answer) => !equalBytes(response.payload, answer.response.payload)).map(({ peer }) => refusalOf(peer.mspId, 'ProposalResponsePayloads do not match')));
  }
  const endorsements = await Promise.all(answers.map(({ peer }) => endorse(peer, response.payload)));
  return { payload: response.payload, endorsements: endorsements.map(({ endorser, signature }) => ({ endorser, signature })) };
}

type EmbeddedTransport = GatewayTransport & Required<Pick<GatewayTransport, 'submitAndWait' | 'deliverFiltered' | 'deliverPrivate'>>;

/** The gateway as a transport: the shortest way from a client in this process, and what the gRPC and HTTP servers serve. */
export function createGateway(parts: GatewayParts): EmbeddedTransport {
  return {
    evaluate: (request) => faulting(() => evaluate(parts, request)),
    endorse: (request) => faulting(() => endorseProposal(parts, request)),
    submit: (request) => faulting(async () => {
      await submit(parts, request);
      return new Uint8Array(0);
    }),
    submitAndWait: (request) => faulting(async () => {
      const { code, block } = await submit(parts, request);
      return CommitStatusResponse.encode({ result: code, blockNumber: block });
    }),
    commitStatus: (request, signal) => faulting(() => commitStatus(parts, request, signal)),
    chaincodeEvents: (request, signal) => faultingStream(deliverEvents(parts, request, signal)),
    deliver: (request, signal) => faultingStream(deliverBlocks(parts, request, signal)),
    deliverFiltered: (request, signal) => faultingStream(deliverFilteredBlocks(parts, request, signal)),
    deliverPrivate: (request, signal) => faultingStream(deliverPrivateBlocks(parts, request, signal)),
  };
}

async function* faultingStream(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* stream;
  } catch (error) {
    throw toFault(error);
  }
}
