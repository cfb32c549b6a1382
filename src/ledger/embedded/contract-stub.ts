/** The `ContractStub` of a contract in this process, over the peer's calls. Semantics and error texts follow fabric-shim 2.5. */
import { fromUtf8, utf8 } from '#base/bytes.ts';
import { compositeKey, compositeRange, openRange, privateRange, splitComposite, type Bounds } from '../key-rules.ts';
import { pageAnswer, queryAnswer } from '../query-answer.ts';
import type { ContractStub, QueryIterator } from '../stub.ts';
import { createPeerCalls, type CallContext, type PeerCalls } from './peer-calls.ts';
import type { Batches } from './simulation.ts';

export interface StubAndEvent {
  readonly stub: ContractStub;
  /** The last event set, if any. */
  event(): { readonly name: string; readonly payload: Uint8Array } | undefined;
}

/** What a contract in another process is served with, instead of the stub. */
export interface PeerSide {
  readonly context: CallContext;
  readonly calls: PeerCalls;
}

const peerSides = new WeakMap<ContractStub, PeerSide>();

/** The peer's side of a stub made here; undefined for any other. */
export const peerSideOf = (stub: ContractStub): PeerSide | undefined => peerSides.get(stub);

function iterate<T>(batches: Batches<T>): QueryIterator<T> {
  let { items, more } = batches.next();
  let at = 0;
  let closed = false;
  const step = async (): Promise<{ value: T; done?: boolean }> => {
    if (at === items.length && more && !closed) {
      ({ items, more } = batches.next());
      at = 0;
    }
    if (closed || at === items.length) return { value: undefined as T, done: true };
    return { value: items[at++] as T, done: false };
  };
  return {
    next: step,
    close: async () => {
      closed = true;
    },
    [Symbol.asyncIterator]: () => ({ next: step as () => Promise<IteratorResult<T>> }),
  };
}

/** A stub for one call. */
export function createStub(context: CallContext): StubAndEvent {
  let event: { readonly name: string; readonly payload: Uint8Array } | undefined;
  const calls = createPeerCalls(context);
  const stub: ContractStub = {
    getFunctionAndParameters: () => {
      const [fcn = '', ...params] = context.args.map((arg) => fromUtf8(arg));
      return { fcn, params };
    },
    getTxID: () => context.txId,
    getChannelID: () => context.channel,
    getCreator: () => ({ mspid: context.creator.mspId, idBytes: context.creator.idBytes }),
    getTransient: () => new Map(context.transient),
    getTxTimestamp: () => context.timestamp,
    ...stateCalls(calls),
    ...queryCalls(calls),
    ...privateCalls(calls),
    setEvent: (name, payload) => {
      if (typeof name !== 'string' || name === '') throw new Error('Event name must be a non-empty string');
      event = { name, payload: new Uint8Array(payload) };
    },
    invokeChaincode: (name, args, channel) => context.invoke(name, args.map(utf8), channel),
  };
  peerSides.set(stub, { context, calls });
  return { stub, event: () => event };
}

type StateCalls = Pick<ContractStub, 'getState' | 'putState' | 'deleteState' | 'setStateValidationParameter' | 'getStateValidationParameter' | 'createCompositeKey' | 'splitCompositeKey'>;

function stateCalls(calls: PeerCalls): StateCalls {
  return {
    getState: async (key) => calls.getState('', key),
    putState: async (key, value) => calls.putState('', key, value),
    deleteState: async (key) => calls.deleteState('', key),
    setStateValidationParameter: async (key, policy) => calls.putPolicy('', key, policy),
    getStateValidationParameter: async (key) => calls.getPolicy('', key),
    createCompositeKey: compositeKey,
    splitCompositeKey: splitComposite,
  };
}

type QueryCalls = Pick<ContractStub, 'getStateByRange' | 'getStateByRangeWithPagination' | 'getStateByPartialCompositeKey' | 'getStateByPartialCompositeKeyWithPagination' | 'getHistoryForKey'>;

function queryCalls(calls: PeerCalls): QueryCalls {
  const scan = (bounds: () => Bounds) => queryAnswer(() => iterate(calls.range('', bounds())));
  const page = (bounds: () => Bounds, size: number, bookmark: string) => pageAnswer(() => {
    const { items, bookmark: next } = calls.page(bounds(), { size, bookmark });
    return { iterator: iterate({ next: () => ({ items, more: false }) }), metadata: { fetchedRecordsCount: items.length, bookmark: next } };
  });
  return {
    getStateByRange: (start, end) => scan(() => openRange(start, end)),
    getStateByRangeWithPagination: (start, end, pageSize, bookmark = '') => page(() => openRange(start, end), pageSize, bookmark),
    getStateByPartialCompositeKey: (objectType, attributes) => scan(() => compositeRange(objectType, attributes)),
    getStateByPartialCompositeKeyWithPagination: (objectType, attributes, pageSize, bookmark = '') => page(() => compositeRange(objectType, attributes), pageSize, bookmark),
    getHistoryForKey: (key) => queryAnswer(() => iterate(calls.history(key))),
  };
}

type PrivateCalls = Pick<ContractStub, 'getPrivateData' | 'getPrivateDataHash' | 'putPrivateData' | 'deletePrivateData' | 'purgePrivateData' | 'getPrivateDataByRange' | 'getPrivateDataByPartialCompositeKey' | 'setPrivateDataValidationParameter' | 'getPrivateDataValidationParameter'>;

/** An empty collection must not mean public state here, as it does between shim and peer. */
function named(collection: string): string {
  if (typeof collection !== 'string' || collection === '') throw new Error('collection must be a valid string');
  return collection;
}

function privateCalls(calls: PeerCalls): PrivateCalls {
  return {
    getPrivateData: async (collection, key) => calls.getState(named(collection), key),
    getPrivateDataHash: async (collection, key) => calls.getHash(named(collection), key),
    putPrivateData: async (collection, key, value) => calls.putState(named(collection), key, value),
    deletePrivateData: async (collection, key) => calls.deleteState(named(collection), key),
    purgePrivateData: async (collection, key) => calls.purge(named(collection), key),
    setPrivateDataValidationParameter: async (collection, key, policy) => calls.putPolicy(named(collection), key, policy),
    getPrivateDataValidationParameter: async (collection, key) => calls.getPolicy(named(collection), key),
    getPrivateDataByRange: (collection, start, end) => queryAnswer(() => iterate(calls.range(named(collection), privateRange(start, end)))),
    getPrivateDataByPartialCompositeKey: (collection, objectType, attributes) => queryAnswer(() => iterate(calls.range(named(collection), compositeRange(objectType, attributes)))),
  };
}
