/** Streams: whole blocks (Fabric's Deliver service) and a contract's events, from any height and then live. */
import { CodedError } from '#base/errors.ts';
import { validationCode } from '../codes.ts';
import { Block, headerType, metadataSlot } from '../protos/common.ts';
import { ChaincodeEventsRequest, ChaincodeEventsResponse, DeliverResponse, DeliverResponseBytes, deliverStatus, type FilteredBlock, SeekInfo, SeekPosition, SignedChaincodeEventsRequest } from '../protos/gateway.ts';
import { ChaincodeEventMessage } from '../protos/peer.ts';
import type { Of } from '../wire.ts';
import { readAction, readEnvelope } from '../transaction.ts';
import { GatewayFault, grpcCode, isGatewayFault } from '../transport.ts';
import type { Channel } from './channel.ts';
import type { Resource } from './channel-config.ts';
import { authenticate, requireChannel, type GatewayParts } from './door.ts';
import { isRefusal } from './msp.ts';

/** Fabric's `peer.authentication.timewindow`: a seek request is good for 15 minutes around its own time. */
const TIME_WINDOW = 15 * 60_000;

/** Resolves at the next block, at close or when the signal aborts. */
function nextBlock(channel: Channel, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stop();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const stop = channel.watch(done);
    if (signal?.aborted === true || channel.closed) done();
    else signal?.addEventListener('abort', done, { once: true });
  });
}

interface Range {
  readonly start: number;
  /** Last block, inclusive; Infinity: go on live. */
  readonly stop: number;
  /** Fail instead of waiting for a block that is not there. */
  readonly failIfMissing: boolean;
}

interface Reader {
  readonly creator: Uint8Array;
  readonly resource: Resource;
}

/** Serialised blocks of the range. Membership is asked again whenever the channel's configuration changes. */
async function* blocks(parts: GatewayParts, channel: Channel, { range, reader, signal }: { readonly range: Range; readonly reader: Reader; readonly signal: AbortSignal | undefined }): AsyncGenerator<Uint8Array> {
  let view = channel.view;
  for (let number = range.start; number <= range.stop; number++) {
    while (number >= channel.height) {
      if (range.failIfMissing) throw new GatewayFault(grpcCode.notFound, `block ${number} is not there`);
      await nextBlock(channel, signal);
      if (signal?.aborted === true) return;
      if (channel.closed) throw new GatewayFault(grpcCode.unavailable, 'the ledger is closing');
    }
    if (view !== channel.view) {
      view = channel.view;
      const identity = view.identify(reader.creator);
      if (isRefusal(identity) || !view.allows(reader.resource, identity)) throw new GatewayFault(grpcCode.permissionDenied, 'access denied: the reader is no longer admitted');
    }
    const identity = view.identify(reader.creator);
    if (!isRefusal(identity) && parts.clock.now() > identity.certificate.notAfter) throw new GatewayFault(grpcCode.permissionDenied, 'access denied: client identity expired');
    const bytes = channel.store.head.block(number);
    if (bytes === undefined) throw new CodedError('LEDGER_CORRUPT', `Block ${number} of channel ${channel.name} is missing.`, { channel: channel.name, file: channel.store.file });
    yield bytes;
    if (signal?.aborted === true) return;
    if (channel.closed) throw new GatewayFault(grpcCode.unavailable, 'the ledger is closing');
  }
}

type Position = Of<typeof SeekPosition>;

function startOf(channel: Channel, position: Position | undefined): number {
  if (position?.oldest !== undefined) return 0;
  if (position?.specified !== undefined) return position.specified.number;
  if (position?.newest !== undefined) return Math.max(0, channel.height - 1);
  return channel.height;
}

function stopOf(channel: Channel, position: Position | undefined): number {
  if (position?.specified !== undefined) return position.specified.number;
  if (position?.newest !== undefined) return channel.height - 1;
  if (position?.oldest !== undefined) return 0;
  return Number.POSITIVE_INFINITY;
}

/** peer.DeliverResponse messages for a signed SeekInfo; a refusal is a status message, as in Fabric. */
export function deliverBlocks(parts: GatewayParts, request: Uint8Array, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  return deliver(parts, { request, resource: 'event/Block', wrap: (block) => DeliverResponseBytes.encode({ block }), signal });
}

/** The same with filtered blocks, for every member. */
export function deliverFilteredBlocks(parts: GatewayParts, request: Uint8Array, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  return deliver(parts, { request, resource: 'event/FilteredBlock', wrap: (block, channelId) => DeliverResponse.encode({ filteredBlock: filter(block, channelId) }), signal });
}

function filter(bytes: Uint8Array, channelId: string): Of<typeof FilteredBlock> {
  const { header, data, metadata } = Block.decode(bytes);
  const codes = metadata?.metadata[metadataSlot.transactionsFilter] ?? new Uint8Array(0);
  const filteredTransactions = (data?.data ?? []).map((envelope, index) => {
    const outer = readEnvelope(envelope);
    const common = { txId: outer.channelHeader.txId, type: outer.channelHeader.type, txValidationCode: codes[index] ?? validationCode.NOT_VALIDATED };
    if (outer.channelHeader.type !== headerType.endorserTransaction || common.txValidationCode !== validationCode.VALID) return { ...common, transactionActions: undefined };
    const { action } = readAction(outer);
    const event = action.events.length === 0 ? undefined : ChaincodeEventMessage.decode(action.events);
    // Names only: a filtered block never carries payloads.
    return { ...common, transactionActions: { chaincodeActions: event === undefined ? [] : [{ chaincodeEvent: { ...event, payload: new Uint8Array(0) } }] } };
  });
  return { channelId, number: header?.number ?? 0, filteredTransactions };
}

interface Delivery {
  readonly request: Uint8Array;
  readonly resource: Resource;
  readonly wrap: (block: Uint8Array, channelId: string) => Uint8Array;
  readonly signal: AbortSignal | undefined;
}

async function* deliver(parts: GatewayParts, { request, resource, wrap, signal }: Delivery): AsyncGenerator<Uint8Array> {
  try {
    const { channelHeader, signatureHeader, data, envelope } = readEnvelope(request);
    const seek = SeekInfo.decode(data);
    if (channelHeader.type !== headerType.deliverSeekInfo || seek.start === undefined) {
      yield DeliverResponse.encode({ status: deliverStatus.badRequest });
      return;
    }
    const channel = requireChannel(parts, channelHeader.channelId);
    const { seconds } = channelHeader.timestamp ?? { seconds: 0 };
    if (Math.abs(parts.clock.now() - seconds * 1000) > TIME_WINDOW) throw new GatewayFault(grpcCode.permissionDenied, 'access denied: the timestamp of the request is more than 15 minutes from the time of the ledger');
    const reader: Reader = { creator: signatureHeader.creator, resource };
    await authenticate(parts, channel, { ...reader, message: envelope.payload, signature: envelope.signature });
    const range = { start: startOf(channel, seek.start), stop: stopOf(channel, seek.stop), failIfMissing: seek.behavior === 1 };
    for await (const block of blocks(parts, channel, { range, reader, signal })) yield wrap(block, channel.name);
    if (signal?.aborted !== true) yield DeliverResponse.encode({ status: deliverStatus.success });
  } catch (error) {
    const status = isGatewayFault(error) ? statusOf(error) : undefined;
    if (status === undefined) throw error;
    yield DeliverResponse.encode({ status });
  }
}

function statusOf(fault: GatewayFault): number | undefined {
  if (fault.code === grpcCode.permissionDenied) return deliverStatus.forbidden;
  if (fault.code === grpcCode.failedPrecondition || fault.code === grpcCode.notFound) return deliverStatus.notFound;
  return fault.code === grpcCode.unavailable ? deliverStatus.serviceUnavailable : undefined;
}

/** ChaincodeEventsResponse messages: one per block that holds events of valid transactions of the contract. */
export async function* deliverEvents(parts: GatewayParts, request: Uint8Array, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  const signed = SignedChaincodeEventsRequest.decode(request);
  const { channelId, chaincodeId, identity, startPosition, afterTransactionId } = ChaincodeEventsRequest.decode(signed.request);
  const channel = requireChannel(parts, channelId);
  const reader: Reader = { creator: identity, resource: 'gateway/ChaincodeEvents' };
  await authenticate(parts, channel, { ...reader, message: signed.request, signature: signed.signature });
  const range = { start: startOf(channel, startPosition), stop: Number.POSITIVE_INFINITY, failIfMissing: false };
  let after = afterTransactionId;
  for await (const bytes of blocks(parts, channel, { range, reader, signal })) {
    const block = Block.decode(bytes);
    const events = eventsOf(block, chaincodeId);
    const at = after === '' ? -1 : events.findIndex((event) => event.txId === after);
    if (at >= 0 || (block.header?.number ?? 0) > range.start) after = '';
    const shown = events.slice(at + 1);
    if (shown.length > 0) yield ChaincodeEventsResponse.encode({ events: shown, blockNumber: block.header?.number ?? 0 });
  }
}

function eventsOf(block: Block, contract: string): ChaincodeEventMessage[] {
  const filter = block.metadata?.metadata[metadataSlot.transactionsFilter] ?? new Uint8Array(0);
  const events: ChaincodeEventMessage[] = [];
  (block.data?.data ?? []).forEach((bytes, index) => {
    if (filter[index] !== validationCode.VALID) return;
    const outer = readEnvelope(bytes);
    if (outer.channelHeader.type !== headerType.endorserTransaction) return;
    const { action } = readAction(outer);
    const event = action.events.length === 0 ? undefined : ChaincodeEventMessage.decode(action.events);
    if (event?.chaincodeId === contract) events.push(event);
  });
  return events;
}
