/** Fabric's Gateway service over the channels of this process: the door where every request is checked before anything runs. */
import { equalBytes, toHex } from '#base/bytes.ts';
import { isCoded } from '#base/errors.ts';
import { validationCode } from '../codes.ts';
import { Envelope, headerType } from '../protos/common.ts';
import {
  CommitStatusRequest, CommitStatusResponse, EndorseRequest, EndorseResponse, EvaluateRequest, EvaluateResponse, SignedCommitStatusRequest, SubmitRequest,
} from '../protos/gateway.ts';
import type { SignedProposal } from '../protos/peer.ts';
import { assembleTransaction, readEnvelope, readProposal, transactionId, type ProposalFacts } from '../transaction.ts';
import { GatewayFault, grpcCode, isGatewayFault, type GatewayTransport, type GrpcCode } from '../transport.ts';
import type { Channel, CommittedTransaction } from './channel.ts';
import { agree, endorse, simulate, type SimulatedResponse } from './endorser.ts';
import { endorsementPlan, type Plan } from './endorsement-plan.ts';
import { deliverBlocks, deliverEvents, deliverFilteredBlocks } from './deliver.ts';
import { authenticate, codedFault, denied, requireChannel, type GatewayParts } from './door.ts';
import { nativeHash } from './hash.ts';
import type { Identity } from './msp.ts';
import { prepare } from './prepared.ts';
import type { Peer } from './peer.ts';
import { askSystemContract } from './system-contract.ts';

/** Fabric's `AbsoluteMaxBytes`. */
const MAX_ENVELOPE = 10 * 1024 * 1024;

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
  const codes: Readonly<Record<string, GrpcCode>> = { LEDGER_MALFORMED: grpcCode.invalidArgument, LEDGER_ACCESS_DENIED: grpcCode.permissionDenied, LEDGER_CONFIG_REFUSED: grpcCode.aborted, LEDGER_DISK_FULL: grpcCode.resourceExhausted, LEDGER_CORRUPT: grpcCode.dataLoss, LEDGER_CLOSED: grpcCode.unavailable };
  return new GatewayFault(codes[error.code] ?? grpcCode.internal, JSON.stringify(error), [], { cause: error });
}

interface Opened {
  readonly channel: Channel;
  readonly proposal: ProposalFacts;
  readonly creator: Identity;
}

async function openProposal(parts: GatewayParts, signed: SignedProposal | undefined): Promise<Opened> {
  if (signed === undefined || signed.proposalBytes.length === 0) throw new GatewayFault(grpcCode.invalidArgument, 'the proposed transaction must contain a signed proposal');
  const proposal = readProposal(signed.proposalBytes);
  const { channelHeader, signatureHeader } = proposal;
  if (channelHeader.type !== headerType.endorserTransaction || channelHeader.epoch !== 0 || proposal.contract === '' || proposal.contract !== proposal.headerContract) throw new GatewayFault(grpcCode.invalidArgument, 'the proposal header is not that of a transaction for the contract it calls');
  const channel = requireChannel(parts, channelHeader.channelId);
  const creator = await authenticate(parts, channel, { creator: signatureHeader.creator, message: signed.proposalBytes, signature: signed.signature, resource: 'peer/Propose' });
  if (transactionId(signatureHeader.nonce, signatureHeader.creator, nativeHash) !== channelHeader.txId) throw new GatewayFault(grpcCode.invalidArgument, 'the transaction id is not the hash of nonce and creator');
  return { channel, proposal, creator };
}

const addressOf = (mspId: string): string => `peer.${mspId.toLowerCase()}:7051`;
const refusalOf = (mspId: string, message: string): { readonly address: string; readonly mspId: string; readonly message: string } => ({ address: addressOf(mspId), mspId, message });
const failed = ({ response }: SimulatedResponse): boolean => response.status < 200 || response.status >= 400;
const contractSentence = ({ response }: SimulatedResponse): string => `chaincode response ${response.status}, ${response.message}`;
/** A peer outside a collection cannot answer what a peer inside it can. */
const tryElsewhere = (response: SimulatedResponse): boolean => failed(response) && response.response.message.includes('private data matching public hash version is not available');

async function simulateOnFirst(parts: GatewayParts, opened: Opened, peers: readonly Peer[]): Promise<{ readonly peer: Peer; readonly response: SimulatedResponse }> {
  let last: { readonly peer: Peer; readonly response: SimulatedResponse } | undefined;
  for (const peer of peers) {
    last = { peer, response: await simulate({ channel: opened.channel, proposal: opened.proposal, mspId: peer.mspId, channelOf: parts.channelOf }) };
    if (!tryElsewhere(last.response)) break;
  }
  if (last === undefined) throw new GatewayFault(grpcCode.failedPrecondition, `no peers available to evaluate chaincode ${opened.proposal.contract} in channel ${opened.channel.name}`);
  return last;
}

/** Peers that may answer, the caller's own organisation first. */
function candidates({ channel, creator }: Opened, wanted: readonly string[]): Peer[] {
  const all = [...channel.peers.values()].filter((peer) => (wanted.length === 0 ? channel.view.peers.includes(peer.mspId) : wanted.includes(peer.mspId)));
  return [...all.filter((peer) => peer.mspId === creator.mspId), ...all.filter((peer) => peer.mspId !== creator.mspId)];
}

async function evaluate(parts: GatewayParts, request: Uint8Array): Promise<Uint8Array> {
  const { proposedTransaction, targetOrganizations } = EvaluateRequest.decode(request);
  const opened = await openProposal(parts, proposedTransaction);
  const known = askSystemContract(opened.channel, opened.proposal);
  if (known !== undefined) return EvaluateResponse.encode({ result: known });
  const { peer, response } = await simulateOnFirst(parts, opened, candidates(opened, targetOrganizations));
  if (failed(response)) throw new GatewayFault(grpcCode.unknown, `evaluate call to endorser returned error: ${contractSentence(response)}`, [refusalOf(peer.mspId, contractSentence(response))]);
  return EvaluateResponse.encode({ result: response.response });
}

async function endorseProposal(parts: GatewayParts, request: Uint8Array): Promise<Uint8Array> {
  const { proposedTransaction, endorsingOrganizations } = EndorseRequest.decode(request);
  const opened = await openProposal(parts, proposedTransaction);
  const { channel, proposal } = opened;
  const { txId } = proposal.channelHeader;
  if (channel.store.head.transaction(txId) !== undefined) throw new GatewayFault(grpcCode.aborted, 'failed to endorse transaction, see attached details for more info', [refusalOf('', `duplicate transaction found [${txId}]. Creator [${toHex(proposal.signatureHeader.creator)}]`)]);
  return channel.traffic.during(() => endorseOpened(parts, opened, endorsingOrganizations));
}

async function endorseOpened(parts: GatewayParts, opened: Opened, endorsingOrganizations: readonly string[]): Promise<Uint8Array> {
  const { channel, proposal } = opened;
  const { txId } = proposal.channelHeader;
  const peers = candidates(opened, endorsingOrganizations);
  const { peer: first, response } = await simulateOnFirst(parts, opened, peers);
  if (failed(response)) throw new GatewayFault(grpcCode.aborted, 'failed to endorse transaction, see attached details for more info', [refusalOf(first.mspId, contractSentence(response))]);
  const plan = endorsementPlan({ channel, contract: proposal.contract, written: response.written, first, peers, fixed: endorsingOrganizations.length > 0 });
  const { payload, endorsements } = await collect(parts, opened, { plan, response });
  channel.memo.remember(txId, { responsePayload: payload, endorsements, privateSet: response.privateSet });
  channel.traffic.expect(txId);
  return EndorseResponse.encode({ preparedTransaction: { payload: assembleTransaction(proposal, payload, endorsements), signature: new Uint8Array(0) } });
}

/** Every further organisation runs the contract itself: that is how a disagreement shows. */
async function collect(parts: GatewayParts, opened: Opened, { plan, response }: { readonly plan: Plan; readonly response: SimulatedResponse }): Promise<{ readonly payload: Uint8Array; readonly endorsements: { endorser: Uint8Array; signature: Uint8Array }[] }> {
  const responses = [response];
  for (const peer of plan.others) {
    const other = await simulate({ channel: opened.channel, proposal: opened.proposal, mspId: peer.mspId, channelOf: parts.channelOf });
    if (failed(other)) throw new GatewayFault(grpcCode.aborted, 'failed to collect enough transaction endorsements, see attached details for more info', [refusalOf(peer.mspId, contractSentence(other))]);
    responses.push(other);
  }
  if (!agree(responses)) {
    const refusals = plan.others.filter((_, index) => !equalBytes(response.payload, (responses[index + 1] as SimulatedResponse).payload)).map((peer) => refusalOf(peer.mspId, 'ProposalResponsePayloads do not match'));
    throw new GatewayFault(grpcCode.aborted, 'failed to collect enough transaction endorsements, see attached details for more info', refusals);
  }
  const endorsements = await Promise.all([plan.first, ...plan.others].map((peer) => endorse(peer, response.payload)));
  return { payload: response.payload, endorsements: endorsements.map(({ endorser, signature }) => ({ endorser, signature })) };
}

async function submit(parts: GatewayParts, request: Uint8Array): Promise<CommittedTransaction> {
  const envelope = SubmitRequest.decode(request).preparedTransaction;
  if (envelope === undefined || envelope.payload.length === 0) throw new GatewayFault(grpcCode.invalidArgument, 'a signed prepared transaction is required');
  const bytes = Envelope.encode(envelope);
  if (bytes.length > MAX_ENVELOPE) throw codedFault(grpcCode.invalidArgument, { code: 'LEDGER_TOO_LARGE', message: 'The transaction is larger than the ledger takes.', details: { bytes: bytes.length, limit: MAX_ENVELOPE, next: 'Send it in parts.' } });
  const { channelHeader, signatureHeader } = readEnvelope(bytes);
  const channel = requireChannel(parts, channelHeader.channelId);
  if (channelHeader.type === headerType.configUpdate) {
    await authenticate(parts, channel, { creator: signatureHeader.creator, message: envelope.payload, signature: envelope.signature, resource: 'orderer/Broadcast' });
    return parts.updateConfig(channel, bytes);
  }
  if (channelHeader.type !== headerType.endorserTransaction) throw new GatewayFault(grpcCode.invalidArgument, 'only endorsed transactions are submitted here');
  const prepared = await channel.traffic.during(() => prepare(bytes, { channel: channel.name, view: channel.view, known: channel.memo }));
  if (prepared.code === validationCode.BAD_CREATOR_SIGNATURE) throw denied(prepared.why);
  const { creator } = prepared;
  if (creator === undefined || parts.clock.now() > creator.certificate.notAfter) throw denied('client identity expired or refused');
  if (!channel.view.allows('orderer/Broadcast', creator)) throw denied(`the policy for [orderer/Broadcast] on channel [${channel.name}] is not satisfied by this role`);
  return channel.submit(prepared);
}

async function commitStatus(parts: GatewayParts, request: Uint8Array, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const signed = SignedCommitStatusRequest.decode(request);
  const { transactionId: txId, channelId, identity } = CommitStatusRequest.decode(signed.request);
  const channel = requireChannel(parts, channelId);
  await authenticate(parts, channel, { creator: identity, message: signed.request, signature: signed.signature, resource: 'gateway/CommitStatus' });
  const place = channel.store.head.transaction(txId) ?? (await waitForTransaction(channel, txId, signal));
  return CommitStatusResponse.encode({ result: place.code, blockNumber: place.block });
}

function waitForTransaction(channel: Channel, txId: string, signal: AbortSignal | undefined): Promise<{ readonly code: number; readonly block: number }> {
  return new Promise((resolve, reject) => {
    const stop = channel.watch(() => {
      if (channel.closed) return finish(() => reject(new GatewayFault(grpcCode.unavailable, 'the ledger is closing')));
      const place = channel.store.head.transaction(txId);
      if (place !== undefined) finish(() => resolve(place));
    });
    const abort = (): void => finish(() => reject(new GatewayFault(grpcCode.cancelled, 'the request was cancelled')));
    const finish = (settle: () => void): void => {
      stop();
      signal?.removeEventListener('abort', abort);
      settle();
    };
    if (signal?.aborted === true) abort();
    else signal?.addEventListener('abort', abort, { once: true });
  });
}

/** The gateway as a transport: the shortest way from a client in this process, and what the gRPC and HTTP servers serve. */
export function createGateway(parts: GatewayParts): GatewayTransport & Required<Pick<GatewayTransport, 'submitAndWait'>> {
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
  };
}

async function* faultingStream(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* stream;
  } catch (error) {
    throw toFault(error);
  }
}

