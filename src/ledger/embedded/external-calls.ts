/** Answers what a contract in another process asks of its peer while it runs: one request of Fabric's shim protocol, one response. */
import { utf8 } from '#base/bytes.ts';
import { isCoded } from '#base/errors.ts';
import { ChaincodeSpec, Response } from '../protos/peer.ts';
import {
  ChaincodeMessage, chaincodeMessageType as type, GetHistoryForKey, GetStateByRange, PutState, PutStateMetadata, QueriedModification, QueriedRow, QueryMetadata, QueryResponse, QueryResponseMetadata, QueryStateId, StateKey, StateMetadataResult,
} from '../protos/chaincode.ts';
import { VALIDATION_PARAMETER } from '../protos/rwset.ts';
import type { PeerSide } from './contract-stub.ts';
import type { Batches } from './simulation.ts';

/** A transaction that a program is working on. */
export interface RunningCall {
  readonly side: PeerSide;
  /** Queries that have more to give, by id; each gives encoded results. */
  readonly queries: Map<string, Batches<Uint8Array>>;
  /** How many queries were opened: ids are never used twice, because a program may close an old one late. */
  opened: number;
}

type Answer = (running: RunningCall, payload: Uint8Array) => Uint8Array | Promise<Uint8Array>;

const NOTHING = new Uint8Array(0);

const answers = new Map<number, Answer>([
  [type.getState, ({ side }, payload) => {
    const { key, collection } = StateKey.decode(payload);
    return side.calls.getState(collection, key);
  }],
  [type.putState, ({ side }, payload) => {
    const { key, value, collection } = PutState.decode(payload);
    side.calls.putState(collection, key, value);
    return NOTHING;
  }],
  [type.delState, ({ side }, payload) => {
    const { key, collection } = StateKey.decode(payload);
    side.calls.deleteState(collection, key);
    return NOTHING;
  }],
  [type.purgePrivateData, ({ side }, payload) => {
    const { key, collection } = StateKey.decode(payload);
    side.calls.purge(collection, key);
    return NOTHING;
  }],
  [type.getPrivateDataHash, ({ side }, payload) => {
    const { key, collection } = StateKey.decode(payload);
    return side.calls.getHash(collection, key);
  }],
  [type.getStateMetadata, ({ side }, payload) => {
    const { key, collection } = StateKey.decode(payload);
    const value = side.calls.getPolicy(collection, key);
    return StateMetadataResult.encode({ entries: value.length === 0 ? [] : [{ metakey: VALIDATION_PARAMETER, value }] });
  }],
  [type.putStateMetadata, ({ side }, payload) => {
    const { key, collection, metadata } = PutStateMetadata.decode(payload);
    if (metadata?.metakey !== VALIDATION_PARAMETER) throw new Error(`metadata ${metadata?.metakey ?? ''} is not kept: only ${VALIDATION_PARAMETER} is`);
    side.calls.putPolicy(collection, key, metadata.value);
    return NOTHING;
  }],
  [type.getStateByRange, (running, payload) => rangeOf(running, payload)],
  [type.getHistoryForKey, (running, payload) => {
    const batches = running.side.calls.history(GetHistoryForKey.decode(payload).key);
    return openQuery(running, encoded(batches, (item) => QueriedModification.encode(item)));
  }],
  [type.getQueryResult, () => {
    throw new Error('ExecuteQuery not supported for leveldb');
  }],
  [type.queryStateNext, (running, payload) => nextOf(running, QueryStateId.decode(payload).id)],
  [type.queryStateClose, ({ queries }, payload) => {
    const { id } = QueryStateId.decode(payload);
    queries.delete(id);
    return QueryResponse.encode({ id });
  }],
  [type.invokeChaincode, invokeOf],
]);

const names = new Map<number, string>(Object.entries(type).map(([name, number]) => [number, name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()]));

/** True for what a running contract may ask. */
export const isRequest = (message: ChaincodeMessage): boolean => answers.has(message.type);

/** The peer's answer; every refusal is an ERROR message with Fabric's sentence. */
export async function answerRequest(running: RunningCall | undefined, { type: asked, payload, txid, channelId }: ChaincodeMessage): Promise<Uint8Array> {
  const failed = (text: string): Uint8Array => ChaincodeMessage.encode({ type: type.error, payload: utf8(`${names.get(asked) ?? asked} failed: transaction ID: ${txid}: ${text}`), txid, channelId });
  const answer = answers.get(asked);
  if (running === undefined || answer === undefined) return failed('no ledger context');
  try {
    return ChaincodeMessage.encode({ type: type.response, payload: await answer(running, payload), txid, channelId });
  } catch (error) {
    return failed(isCoded(error) ? JSON.stringify(error) : error instanceof Error ? error.message : String(error));
  }
}

function encoded<T>(batches: Batches<T>, encode: (item: T) => Uint8Array): Batches<Uint8Array> {
  return {
    next: () => {
      const { items, more } = batches.next();
      return { items: items.map(encode), more };
    },
  };
}

function rangeOf(running: RunningCall, payload: Uint8Array): Uint8Array {
  const { startKey: start, endKey: end, collection, metadata } = GetStateByRange.decode(payload);
  const { calls, context } = running.side;
  const encode = ({ key, value }: { readonly key: string; readonly value: Uint8Array }): Uint8Array => QueriedRow.encode({ namespace: context.namespace, key, value });
  if (metadata.length === 0) return openQuery(running, encoded(calls.range(collection, { start, end }), encode));
  const { pageSize: size, bookmark } = QueryMetadata.decode(metadata);
  const page = calls.page({ start, end }, { size, bookmark });
  const results = page.items.map((item) => ({ resultBytes: encode(item) }));
  return QueryResponse.encode({ results, id: queryId(running), metadata: QueryResponseMetadata.encode({ fetchedRecordsCount: results.length, bookmark: page.bookmark }) });
}

/** Unique within a transaction, which is as far as an id reaches. */
const queryId = (running: RunningCall): string => String(++running.opened);

function openQuery(running: RunningCall, batches: Batches<Uint8Array>): Uint8Array {
  const id = queryId(running);
  running.queries.set(id, batches);
  return nextOf(running, id);
}

function nextOf({ queries }: RunningCall, id: string): Uint8Array {
  const batches = queries.get(id);
  if (batches === undefined) throw new Error('query iterator not found');
  const { items, more } = batches.next();
  if (!more) queries.delete(id);
  return QueryResponse.encode({ results: items.map((resultBytes) => ({ resultBytes })), hasMore: more, id });
}

/** The called contract's response travels as the message that its own program would have sent. */
async function invokeOf({ side: { context } }: RunningCall, payload: Uint8Array): Promise<Uint8Array> {
  const { chaincodeId, input } = ChaincodeSpec.decode(payload);
  const [name = '', channel = ''] = (chaincodeId?.name ?? '').split('/');
  const { status, message, payload: output } = await context.invoke(name, input?.args ?? [], channel);
  return ChaincodeMessage.encode({ type: type.completed, payload: Response.encode({ status, message, payload: output }), txid: context.txId, channelId: context.channel });
}
