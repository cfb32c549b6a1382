/** The second half of a transaction's way through the gateway: to the orderer, and what became of it. */
import { isCoded } from '#base/errors.ts';
import { validationCode } from '../codes.ts';
import { Envelope, headerType } from '../protos/common.ts';
import { CommitStatusRequest, CommitStatusResponse, SignedCommitStatusRequest, SubmitRequest } from '../protos/gateway.ts';
import { readEnvelope, type EnvelopeFacts } from '../transaction.ts';
import { GatewayFault, grpcCode } from '../transport.ts';
import type { Channel, CommittedTransaction } from './channel.ts';
import { admit, authenticate, closing, isDenial, requireChannel, type GatewayParts } from './door.ts';
import { prepare } from './prepared.ts';
import { evaluateFault, ordererFault, policySentence, type Denial } from './refusal.ts';

/** Fabric's `AbsoluteMaxBytes`. */
const MAX_ENVELOPE = 10 * 1024 * 1024;
/** Fabric's name for the policy that guards the orderer. */
const WRITERS = '/Channel/Writers';

const invalid = (why: string): GatewayFault => new GatewayFault(grpcCode.invalidArgument, why);
const forbidden = (why: string): GatewayFault => ordererFault('FORBIDDEN', `${policySentence(WRITERS, why)}: permission denied`);

function readPrepared(request: Uint8Array): { readonly envelope: Envelope; readonly bytes: Uint8Array; readonly outer: EnvelopeFacts } {
  const envelope = SubmitRequest.decode(request).preparedTransaction;
  if (envelope === undefined) throw invalid('a prepared transaction is required');
  if (envelope.signature.length === 0) throw invalid('prepared transaction must be signed');
  const size = envelope.payload.length + envelope.signature.length;
  if (size > MAX_ENVELOPE) throw ordererFault('BAD_REQUEST', `message payload is ${size} bytes and exceeds maximum allowed ${MAX_ENVELOPE} bytes`);
  const bytes = Envelope.encode(envelope);
  try {
    return { envelope, bytes, outer: readEnvelope(bytes) };
  } catch (error) {
    if (isCoded(error, 'LEDGER_MALFORMED')) throw ordererFault('BAD_REQUEST', `could not determine channel ID: ${error.message}`);
    throw error;
  }
}

function channelOf(parts: GatewayParts, name: string): Channel {
  const channel = parts.channelOf(name);
  if (channel === undefined) throw new GatewayFault(grpcCode.failedPrecondition, evaluateFault.noChannel(name).message);
  if (channel.closed) throw closing();
  return channel;
}

/** Orders a signed transaction (or configuration update) and waits for its block. */
export async function submit(parts: GatewayParts, request: Uint8Array): Promise<CommittedTransaction> {
  const { envelope, bytes, outer } = readPrepared(request);
  const { channelHeader, signatureHeader } = outer;
  const channel = channelOf(parts, channelHeader.channelId);
  if (channelHeader.type === headerType.configUpdate) {
    const answer = await admit(parts, channel, { creator: signatureHeader.creator, message: envelope.payload, signature: envelope.signature, resource: 'orderer/Broadcast' });
    if (isDenial(answer)) throw refusedByOrderer(answer);
    return parts.updateConfig(channel, bytes);
  }
  if (channelHeader.type !== headerType.endorserTransaction) throw ordererFault('BAD_REQUEST', `message of header type ${channelHeader.type} cannot be processed`);
  return channel.traffic.turnstile.pass(() => order(parts, channel, bytes));
}

async function order(parts: GatewayParts, channel: Channel, bytes: Uint8Array): Promise<CommittedTransaction> {
  const prepared = await channel.traffic.during(() => prepare(bytes, { channel: channel.name, view: channel.view, known: channel.memo }));
  if (prepared.code === validationCode.BAD_CREATOR_SIGNATURE) throw forbidden(prepared.why);
  const { creator } = prepared;
  if (creator === undefined) throw forbidden(prepared.why);
  if (parts.clock.now() > creator.certificate.notAfter) throw ordererFault('BAD_REQUEST', 'broadcast client identity expired');
  if (!channel.view.allows('orderer/Broadcast', creator)) throw forbidden('access denied: the role of the certificate is not enough');
  return channel.submit(prepared);
}

const refusedByOrderer = ({ denied, why }: Denial): GatewayFault => (denied === 'expired' ? ordererFault('BAD_REQUEST', 'broadcast client identity expired') : forbidden(why));

/** CommitStatusResponse for a signed question; waits for a transaction that is in no block yet, as long as its client does. */
export async function commitStatus(parts: GatewayParts, request: Uint8Array, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const signed = SignedCommitStatusRequest.decode(request);
  if (signed.request.length === 0) throw invalid('a commit status request is required');
  const { transactionId: txId, channelId, identity } = CommitStatusRequest.decode(signed.request);
  if (identity.length === 0) throw invalid('no identity provided');
  if (channelId === '') throw invalid('no channel ID provided');
  if (txId === '') throw invalid('transaction ID should not be empty');
  const channel = requireChannel(parts, channelId);
  await authenticate(parts, channel, { creator: identity, message: signed.request, signature: signed.signature, resource: 'gateway/CommitStatus' });
  const place = channel.store.head.transaction(txId) ?? (await waitForTransaction(channel, txId, signal));
  return CommitStatusResponse.encode({ result: place.code, blockNumber: place.block });
}

function waitForTransaction(channel: Channel, txId: string, signal: AbortSignal | undefined): Promise<{ readonly code: number; readonly block: number }> {
  // Nothing will be written any more; what the disk holds shows when the ledger runs again.
  const halted = channel.store.halted();
  if (halted !== undefined) return Promise.reject(halted);
  return new Promise((resolve, reject) => {
    const stop = channel.watch(() => {
      if (channel.closed) return finish(() => reject(closing()));
      const stopped = channel.store.halted();
      if (stopped !== undefined) return finish(() => reject(stopped));
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
