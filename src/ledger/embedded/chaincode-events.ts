/** A contract's events, from any height or after any transaction, and then live. */
import { validationCode } from '../codes.ts';
import { Block, headerType, metadataSlot } from '../protos/common.ts';
import { ChaincodeEventsRequest, ChaincodeEventsResponse, SignedChaincodeEventsRequest } from '../protos/gateway.ts';
import { ChaincodeEventMessage } from '../protos/peer.ts';
import { readAction, readEnvelope } from '../transaction.ts';
import { GatewayFault, grpcCode } from '../transport.ts';
import { blocks, startOf, type Position, type Reader } from './block-stream.ts';
import type { Channel } from './channel.ts';
import { authenticate, requireChannel, type GatewayParts } from './door.ts';

/** ChaincodeEventsResponse messages: one per block that holds events of valid transactions of the contract. */
export async function* deliverEvents(parts: GatewayParts, request: Uint8Array, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  const signed = SignedChaincodeEventsRequest.decode(request);
  if (signed.request.length === 0) throw new GatewayFault(grpcCode.invalidArgument, 'a chaincode events request is required');
  const { channelId, chaincodeId, identity, startPosition, afterTransactionId } = ChaincodeEventsRequest.decode(signed.request);
  const channel = requireChannel(parts, channelId);
  const reader: Reader = { creator: identity, resource: 'gateway/ChaincodeEvents' };
  await authenticate(parts, channel, { ...reader, message: signed.request, signature: signed.signature });
  const { start, after } = beginning(channel, startPosition, afterTransactionId);
  for await (const bytes of blocks(parts, channel, { range: { start, stop: Number.POSITIVE_INFINITY, failIfMissing: false }, reader, signal })) {
    const block = Block.decode(bytes);
    const number = block.header?.number ?? 0;
    const events = eventsOf(block, chaincodeId, after?.block === number ? after.tx + 1 : 0);
    if (events.length > 0) yield ChaincodeEventsResponse.encode({ events, blockNumber: number });
  }
}

interface Beginning {
  readonly start: number;
  /** The last transaction that the client has dealt with. */
  readonly after?: { readonly block: number; readonly tx: number };
}

/** A transaction that is on this ledger says more than a block number; one that is not says nothing. */
function beginning(channel: Channel, position: Position | undefined, afterTransactionId: string): Beginning {
  const after = afterTransactionId === '' ? undefined : channel.store.head.transaction(afterTransactionId);
  if (after !== undefined) return { start: after.block, after };
  const unknown = position?.newest !== undefined ? 'SeekPosition_Newest' : position?.oldest !== undefined ? 'SeekPosition_Oldest' : undefined;
  if (unknown !== undefined) throw new GatewayFault(grpcCode.invalidArgument, `invalid start position type: *orderer.${unknown}`);
  return { start: startOf(channel, position) };
}

function eventsOf(block: Block, contract: string, from: number): ChaincodeEventMessage[] {
  const filter = block.metadata?.metadata[metadataSlot.transactionsFilter] ?? new Uint8Array(0);
  const events: ChaincodeEventMessage[] = [];
  (block.data?.data ?? []).forEach((bytes, index) => {
    if (index < from || filter[index] !== validationCode.VALID) return;
    const outer = readEnvelope(bytes);
    if (outer.channelHeader.type !== headerType.endorserTransaction) return;
    const { action } = readAction(outer);
    const event = action.events.length === 0 ? undefined : ChaincodeEventMessage.decode(action.events);
    if (event?.chaincodeId === contract) events.push(event);
  });
  return events;
}
