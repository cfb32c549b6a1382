/** The ledger client: builds and signs proposals where the key is, speaks Fabric's Gateway protocol through a transport. Runs in browsers and in Node. */
import { fromUtf8, utf8 } from '#base/bytes.ts';
import { canonicalJson, type Json } from '#base/canonical-json.ts';
import { CodedError, isCoded } from '#base/errors.ts';
import type { Clock, Random, Scheduler } from '#base/ports.ts';
import type { BlockEvent, ChaincodeEvent, Committed, LedgerClient, LedgerSigner, TransactionCall } from './client.ts';
import { codeName, validationCode } from './codes.ts';
import { errorOfFault, isConflict, outcomeUnknown, refusedByBlock } from './fault-error.ts';
import { BlockHeader, ChannelHeader, Envelope, Header, headerType, Payload, SignatureHeader } from './protos/common.ts';
import {
  ChaincodeEventsRequest, ChaincodeEventsResponse, CommitStatusRequest, CommitStatusResponse, DeliverResponseBytes, deliverStatus, EndorseRequest, EndorseResponse, EvaluateRequest, EvaluateResponse, SeekInfo,
  SignedChaincodeEventsRequest, SignedCommitStatusRequest, SubmitRequest,
} from './protos/gateway.ts';
import { newProposal, readAction, serialiseIdentity, timestampOf, transactionId } from './transaction.ts';
import { grpcCode, isGatewayFault, type GatewayTransport } from './transport.ts';
import { message, sub } from './wire.ts';

export interface LedgerClientParts {
  readonly transport: GatewayTransport;
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
  /** How long a call that the ledger had no room for is sent again, milliseconds; default 30 s, 0: it throws LEDGER_BUSY at once. */
  readonly busyWait?: number;
}

const ATTEMPTS = 11;
/** Milliseconds. */
const BUSY_WAIT = 30_000;
const BUSY_PAUSE_MAX = 1_000;
const STATUS_ATTEMPTS = 5;
/** Milliseconds. */
const STATUS_WAIT = 15_000;
const identities = new WeakMap<LedgerSigner, Uint8Array>();

function creatorOf(signer: LedgerSigner): Uint8Array {
  let creator = identities.get(signer);
  if (creator === undefined) identities.set(signer, (creator = serialiseIdentity(signer.mspId, signer.certificate)));
  return creator;
}

/** See `LedgerClient` for what each method promises. */
export function createLedgerClient(parts: LedgerClientParts): LedgerClient {
  return {
    submit: (call) => whileBusy(parts, call, () => submitWithRetry(parts, call)),
    evaluate: (call) => whileBusy(parts, call, () => evaluate(parts, call)),
    blocks: (options) => blocks(parts, options),
    events: (options) => events(parts, options),
  };
}

function propose({ clock, random }: LedgerClientParts, call: TransactionCall): { readonly txId: string; readonly bytes: Uint8Array } {
  return newProposal({
    channel: call.channel, contract: call.contract, args: [utf8(call.name), utf8(canonicalJson(call.input))], creator: creatorOf(call.signer), nonce: random.bytes(24), timestamp: call.timestamp ?? clock.now(),
    ...(call.transient === undefined ? {} : { transient: call.transient }),
  }, call.signer.hash);
}

/** The contract's answer. Throws LEDGER_ANSWER_INVALID when it is not JSON. */
function readOutput(payload: Uint8Array): Json {
  if (payload.length === 0) return null;
  try {
    return JSON.parse(fromUtf8(payload)) as Json;
  } catch (cause) {
    throw new CodedError('LEDGER_ANSWER_INVALID', 'The contract answered with something that is not JSON.', { next: 'Read the contract through its own client.' }, { cause });
  }
}

async function translating<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw isGatewayFault(error) ? errorOfFault(error) : error;
  }
}

async function evaluate(parts: LedgerClientParts, call: TransactionCall): Promise<Json> {
  const { txId, bytes: proposalBytes } = propose(parts, call);
  const signature = await call.signer.sign(proposalBytes);
  const answer = await translating(() => parts.transport.evaluate(EvaluateRequest.encode({ transactionId: txId, channelId: call.channel, proposedTransaction: { proposalBytes, signature } }), call.signal));
  return readOutput(EvaluateResponse.decode(answer).result?.payload ?? new Uint8Array(0));
}

/** A call that was refused for want of room has done nothing, and comes again after a pause that grows. */
async function whileBusy<T>({ random, scheduler, busyWait = BUSY_WAIT }: LedgerClientParts, { signal }: TransactionCall, work: () => Promise<T>): Promise<T> {
  let waited = 0;
  for (let pause = 50; ; pause = Math.min(BUSY_PAUSE_MAX, pause * 2)) {
    try {
      return await work();
    } catch (error) {
      if (!isCoded(error, 'LEDGER_BUSY') || waited >= busyWait || signal?.aborted === true) throw error;
      const [roll = 0] = random.bytes(1);
      const wait = Math.ceil(pause * (0.5 + roll / 255));
      waited += wait;
      await scheduler.sleep(wait, signal);
    }
  }
}

/** MVCC and phantom conflicts mean that somebody else was faster: the contract runs again on what is there now. */
async function submitWithRetry(parts: LedgerClientParts, call: TransactionCall): Promise<Committed> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await submitOnce(parts, call);
    } catch (error) {
      if (!isConflict(error) || attempt === ATTEMPTS || call.signal?.aborted === true) throw error;
      const [roll = 0] = parts.random.bytes(1);
      await parts.scheduler.sleep(Math.ceil((roll / 255) * Math.min(200, 2 ** attempt * 2)), call.signal);
    }
  }
}

async function submitOnce(parts: LedgerClientParts, call: TransactionCall): Promise<Committed> {
  call.signal?.throwIfAborted();
  const { txId, bytes: proposalBytes } = propose(parts, call);
  const signature = await call.signer.sign(proposalBytes);
  const endorsed = await translating(() => parts.transport.endorse(EndorseRequest.encode({ transactionId: txId, channelId: call.channel, proposedTransaction: { proposalBytes, signature } }), call.signal));
  const payload = EndorseResponse.decode(endorsed).preparedTransaction?.payload ?? new Uint8Array(0);
  const output = readOutput(checkedAnswer({ txId, payload }));
  const request = SubmitRequest.encode({ transactionId: txId, channelId: call.channel, preparedTransaction: { payload, signature: await call.signer.sign(payload) } });
  // From here on the transaction may commit whatever the caller does; before, an abort costs nothing.
  call.signal?.throwIfAborted();
  const status = await settle(parts, { call, txId, request });
  if (status.result !== validationCode.VALID) throw refusedByBlock({ txId, code: codeName(status.result), blockNumber: status.blockNumber });
  return { txId, blockNumber: status.blockNumber, output };
}

/** The client signs only the transaction it proposed. Returns the contract's payload. */
function checkedAnswer({ txId, payload }: { readonly txId: string; readonly payload: Uint8Array }): Uint8Array {
  const { header, data } = Payload.decode(payload);
  const channelHeader = ChannelHeader.decode(header?.channelHeader ?? new Uint8Array(0));
  if (channelHeader.txId !== txId) throw new CodedError('LEDGER_ENDORSEMENT_FAILED', 'The gateway returned another transaction than the one proposed.', { next: 'Do not trust this gateway; use another.', txId });
  return readAction({ data, channelHeader }).action.response?.payload ?? new Uint8Array(0);
}

interface Submission {
  readonly call: TransactionCall;
  readonly txId: string;
  readonly request: Uint8Array;
}

interface Status {
  readonly result: number;
  readonly blockNumber: number;
}

/** Sends and learns the outcome. After sending, silence means "unknown", never "failed". */
async function settle(parts: LedgerClientParts, submission: Submission): Promise<Status> {
  const { transport } = parts;
  const { call, request } = submission;
  try {
    if (transport.submitAndWait !== undefined) return CommitStatusResponse.decode(await transport.submitAndWait(request, call.signal));
    await transport.submit(request, call.signal);
  } catch (error) {
    if (!isGatewayFault(error)) throw error;
    if (!outcomeUnknown(error)) throw errorOfFault(error);
  }
  return askStatus(parts, submission);
}

async function askStatus({ transport, scheduler }: LedgerClientParts, { call, txId }: Submission): Promise<Status> {
  const request = CommitStatusRequest.encode({ transactionId: txId, channelId: call.channel, identity: creatorOf(call.signer) });
  const signed = SignedCommitStatusRequest.encode({ request, signature: await call.signer.sign(request) });
  let last: unknown;
  for (let attempt = 1; attempt <= STATUS_ATTEMPTS && call.signal?.aborted !== true; attempt++) {
    try {
      return CommitStatusResponse.decode(await within(STATUS_WAIT, { scheduler, signal: call.signal }, (signal) => transport.commitStatus(signed, signal)));
    } catch (error) {
      if (!isGatewayFault(error)) throw error;
      last = error;
      if (attempt < STATUS_ATTEMPTS) await scheduler.sleep(50 * 2 ** attempt, call.signal);
    }
  }
  throw new CodedError('LEDGER_OUTCOME_UNKNOWN', 'The transaction was sent, but its outcome could not be learnt.', { why: 'The ledger did not answer in time.', next: 'Ask for its status later, by its id, before sending it again.', txId }, { cause: last });
}

/** Aborts the work after a while: a gateway waits for a transaction as long as its client does. */
async function within<T>(milliseconds: number, { scheduler, signal }: { readonly scheduler: Scheduler; readonly signal: AbortSignal | undefined }, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  const abort = (): void => stop.abort();
  signal?.addEventListener('abort', abort, { once: true });
  void scheduler.sleep(milliseconds, stop.signal).then(abort);
  try {
    return await work(stop.signal);
  } finally {
    signal?.removeEventListener('abort', abort);
    abort();
  }
}

interface StreamOptions {
  readonly channel: string;
  readonly startBlock: number;
  readonly signer: LedgerSigner;
  readonly signal?: AbortSignal;
}

/** Only the header of a block, the rest left alone. */
const BlockNumber = message({ header: sub(1, BlockHeader) });

async function* blocks({ transport, clock, random }: LedgerClientParts, options: StreamOptions): AsyncGenerator<BlockEvent> {
  const creator = creatorOf(options.signer);
  const nonce = random.bytes(24);
  const channelHeader = ChannelHeader.encode({ type: headerType.deliverSeekInfo, timestamp: timestampOf(clock.now()), channelId: options.channel, txId: transactionId(nonce, creator) });
  const header = Header.decode(Header.encode({ channelHeader, signatureHeader: SignatureHeader.encode({ creator, nonce }) }));
  const seek = SeekInfo.encode({ start: { specified: { number: options.startBlock } }, stop: { specified: { number: Number.MAX_SAFE_INTEGER } } });
  const payload = Payload.encode({ header, data: seek });
  const request = Envelope.encode({ payload, signature: await options.signer.sign(payload) });
  try {
    for await (const answer of transport.deliver(request, options.signal)) {
      const { status, block } = DeliverResponseBytes.decode(answer);
      if (status !== undefined) return endOfStream(status, options.channel);
      yield { number: BlockNumber.decode(block).header?.number ?? 0, bytes: block };
    }
  } catch (error) {
    if (isGatewayFault(error) && error.code === grpcCode.cancelled && options.signal?.aborted === true) return;
    throw isGatewayFault(error) ? errorOfFault(error) : error;
  }
}

function endOfStream(status: number, channel: string): void {
  if (status === deliverStatus.success) return;
  if (status === deliverStatus.forbidden) throw new CodedError('LEDGER_ACCESS_DENIED', 'The ledger does not give whole blocks to this certificate.', { why: 'Blocks are for organisations: certificates with the unit peer or admin.', next: "Use the organisation's peer or operator certificate.", channel });
  if (status === deliverStatus.serviceUnavailable) throw new CodedError('LEDGER_UNREACHABLE', 'The ledger is closing.', { next: 'Try again shortly.', channel });
  throw new CodedError('LEDGER_STREAM_ENDED', `The ledger ended the stream of blocks with status ${status}.`, { next: 'Check channel and start block.', channel, status });
}

async function* events({ transport }: LedgerClientParts, options: StreamOptions & { readonly contract: string }): AsyncGenerator<ChaincodeEvent> {
  const request = ChaincodeEventsRequest.encode({ channelId: options.channel, chaincodeId: options.contract, identity: creatorOf(options.signer), startPosition: { specified: { number: options.startBlock } } });
  const signed = SignedChaincodeEventsRequest.encode({ request, signature: await options.signer.sign(request) });
  try {
    for await (const answer of transport.chaincodeEvents(signed, options.signal)) {
      const { events: found, blockNumber } = ChaincodeEventsResponse.decode(answer);
      for (const event of found) yield { blockNumber, txId: event.txId, name: event.eventName, payload: event.payload };
    }
  } catch (error) {
    if (isGatewayFault(error) && error.code === grpcCode.cancelled && options.signal?.aborted === true) return;
    throw isGatewayFault(error) ? errorOfFault(error) : error;
  }
}
