/** Fabric's Deliver service: whole blocks, filtered ones, and blocks with the private data that their reader may see. */
import { isCoded } from '#base/errors.ts';
import { validationCode } from '../codes.ts';
import { Block, headerType, metadataSlot } from '../protos/common.ts';
import { DeliverResponse, DeliverResponseBytes, deliverStatus, type FilteredBlock, PrivateDeliverResponse, SeekInfo } from '../protos/gateway.ts';
import { ChaincodeEventMessage } from '../protos/peer.ts';
import { KVRWSet, type TxPvtReadWriteSet } from '../protos/rwset.ts';
import type { Of } from '../wire.ts';
import { readAction, readEnvelope, type EnvelopeFacts } from '../transaction.ts';
import { grpcCode, isGatewayFault, type GatewayFault } from '../transport.ts';
import { blocks, startOf, stopOf, type Reader } from './block-stream.ts';
import type { Channel } from './channel.ts';
import type { Resource } from './channel-config.ts';
import { authenticate, closing, type GatewayParts } from './door.ts';
import { organisationsOf } from './policy.ts';
import { readSets } from './prepared.ts';

/** Fabric's `peer.authentication.timewindow`: a seek request is good for 15 minutes around its own time. */
const TIME_WINDOW = 15 * 60_000;
const NOTHING = new Uint8Array(0);

interface Delivery {
  readonly request: Uint8Array;
  readonly resource: Resource;
  readonly wrap: (block: Uint8Array, channel: Channel, mspId: string) => Uint8Array;
  readonly signal: AbortSignal | undefined;
}

/** peer.DeliverResponse messages for a signed SeekInfo; a refusal is a status message, as in Fabric. */
export function deliverBlocks(parts: GatewayParts, request: Uint8Array, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  return deliver(parts, { request, resource: 'event/Block', wrap: (block) => DeliverResponseBytes.encode({ block }), signal });
}

/** The same with filtered blocks, for every member. */
export function deliverFilteredBlocks(parts: GatewayParts, request: Uint8Array, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  return deliver(parts, { request, resource: 'event/FilteredBlock', wrap: (block, channel) => DeliverResponse.encode({ filteredBlock: filter(block, channel.name) }), signal });
}

/** The same with whole blocks and, by transaction, the private values of the collections that the reader's organisation is a member of. */
export function deliverPrivateBlocks(parts: GatewayParts, request: Uint8Array, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  return deliver(parts, { request, resource: 'event/Block', wrap: (block, channel, mspId) => PrivateDeliverResponse.encode({ blockAndPrivateData: { block, privateDataMap: privateData(block, channel, mspId) } }), signal });
}

interface Filed {
  readonly outer: EnvelopeFacts;
  readonly code: number;
}

function filed(bytes: Uint8Array): { readonly number: number; readonly transactions: readonly Filed[] } {
  const { header, data, metadata } = Block.decode(bytes);
  const codes = metadata?.metadata[metadataSlot.transactionsFilter] ?? NOTHING;
  return { number: header?.number ?? 0, transactions: (data?.data ?? []).map((envelope, index) => ({ outer: readEnvelope(envelope), code: codes[index] ?? validationCode.NOT_VALIDATED })) };
}

function filter(bytes: Uint8Array, channelId: string): Of<typeof FilteredBlock> {
  const { number, transactions } = filed(bytes);
  const filteredTransactions = transactions.map(({ outer, code }) => {
    const common = { txId: outer.channelHeader.txId, type: outer.channelHeader.type, txValidationCode: code };
    if (outer.channelHeader.type !== headerType.endorserTransaction) return { ...common, transactionActions: undefined };
    const event = eventOf(outer);
    // Names only: a filtered block never carries payloads.
    return { ...common, transactionActions: { chaincodeActions: event === undefined ? [] : [{ chaincodeEvent: { ...event, payload: NOTHING } }] } };
  });
  return { channelId, number, filteredTransactions };
}

/** Of a transaction that is marked malformed there may be nothing to read. */
function eventOf(outer: EnvelopeFacts): ChaincodeEventMessage | undefined {
  try {
    const { events } = readAction(outer).action;
    return events.length === 0 ? undefined : ChaincodeEventMessage.decode(events);
  } catch (error) {
    if (isCoded(error, 'LEDGER_MALFORMED')) return undefined;
    throw error;
  }
}

/** Values that are still kept under the hashes that the block wrote: what was overwritten, deleted, purged or has expired is not there. */
function privateData(bytes: Uint8Array, channel: Channel, mspId: string): { readonly key: number; readonly value: TxPvtReadWriteSet }[] {
  const { number, transactions } = filed(bytes);
  return transactions.flatMap(({ outer, code }, tx) => {
    if (code !== validationCode.VALID || outer.channelHeader.type !== headerType.endorserTransaction) return [];
    const nsPvtRwset = readSets(readAction(outer).action.results)
      .map(({ namespace, collections }) => ({
        namespace,
        collectionPvtRwset: collections.filter(({ name }) => mayRead(channel, { namespace, collection: name, mspId })).flatMap(({ name, hashed }) => {
          const kept = hashed.hashedWrites.map(({ keyHash }) => channel.store.head.privateByHash(namespace, name, keyHash)).filter((row) => row?.block === number && row.tx === tx);
          return kept.length === 0 ? [] : [{ collectionName: name, rwset: KVRWSet.encode({ writes: kept.map((row) => ({ key: row?.key ?? '', isDelete: false, value: row?.value ?? NOTHING })) }) }];
        }),
      }))
      .filter(({ collectionPvtRwset }) => collectionPvtRwset.length > 0);
    return nsPvtRwset.length === 0 ? [] : [{ key: tx, value: { dataModel: 0, nsPvtRwset } }];
  });
}

function mayRead(channel: Channel, { namespace, collection, mspId }: { readonly namespace: string; readonly collection: string; readonly mspId: string }): boolean {
  const policy = channel.definition(namespace)?.collections.get(collection)?.memberOrgsPolicy?.signaturePolicy;
  return policy !== undefined && organisationsOf(policy).includes(mspId);
}

async function* deliver(parts: GatewayParts, { request, resource, wrap, signal }: Delivery): AsyncGenerator<Uint8Array> {
  try {
    const asked = readSeek(parts, request);
    if (typeof asked === 'number') {
      yield DeliverResponse.encode({ status: asked });
      return;
    }
    const { channel, outer, seek } = asked;
    const reader: Reader = { creator: outer.signatureHeader.creator, resource };
    const { mspId } = await authenticate(parts, channel, { ...reader, message: outer.envelope.payload, signature: outer.envelope.signature });
    const start = startOf(channel, seek.start);
    const range = { start, stop: stopOf(channel, seek.stop, start), failIfMissing: seek.behavior === 1 };
    if (range.stop < start) {
      yield DeliverResponse.encode({ status: deliverStatus.badRequest });
      return;
    }
    for await (const block of blocks(parts, channel, { range, reader, signal })) yield wrap(block, channel, mspId);
    if (signal?.aborted !== true) yield DeliverResponse.encode({ status: deliverStatus.success });
  } catch (error) {
    const status = isGatewayFault(error) ? statusOf(error) : undefined;
    if (status === undefined) throw error;
    yield DeliverResponse.encode({ status });
  }
}

interface Asked {
  readonly channel: Channel;
  readonly outer: EnvelopeFacts;
  readonly seek: Of<typeof SeekInfo>;
}

/** The parts of a request, or the status that refuses it. */
function readSeek(parts: GatewayParts, request: Uint8Array): Asked | number {
  try {
    const outer = readEnvelope(request);
    const { channelHeader } = outer;
    if (channelHeader.timestamp === undefined || Math.abs(parts.clock.now() - channelHeader.timestamp.seconds * 1000) > TIME_WINDOW) return deliverStatus.badRequest;
    const channel = parts.channelOf(channelHeader.channelId);
    if (channel === undefined) return deliverStatus.notFound;
    if (channel.closed) throw closing();
    const seek = SeekInfo.decode(outer.data);
    return channelHeader.type !== headerType.deliverSeekInfo || seek.start === undefined || seek.stop === undefined ? deliverStatus.badRequest : { channel, outer, seek };
  } catch (error) {
    if (isCoded(error, 'LEDGER_MALFORMED')) return deliverStatus.badRequest;
    throw error;
  }
}

function statusOf(fault: GatewayFault): number | undefined {
  if (fault.code === grpcCode.permissionDenied) return deliverStatus.forbidden;
  if (fault.code === grpcCode.notFound) return deliverStatus.notFound;
  return fault.code === grpcCode.unavailable ? deliverStatus.serviceUnavailable : undefined;
}
