/** The `ContractStub` over a simulation. Semantics and error texts follow Fabric's peer and fabric-shim 2.5. */
import { fromUtf8, utf8 } from '#base/bytes.ts';
import { Block, type Timestamp } from '../protos/common.ts';
import { KVRWSet, TxReadWriteSet, type KVWrite } from '../protos/rwset.ts';
import { readAction, readEnvelope } from '../transaction.ts';
import type { ContractResponse, ContractStub, KeyModification, QueryIterator, QueryPage, StateEntry } from '../stub.ts';
import { compositeKey, compositeRange, openRange, splitComposite } from './composite-key.ts';
import type { CollectionRules } from './lifecycle.ts';
import type { Simulation } from './simulation.ts';

/** What one call of one contract inside a transaction sees. */
export interface CallContext {
  readonly simulation: Simulation;
  readonly namespace: string;
  readonly args: readonly Uint8Array[];
  readonly channel: string;
  readonly txId: string;
  readonly timestamp: Timestamp;
  readonly creator: { readonly mspId: string; readonly idBytes: Uint8Array };
  readonly transient: ReadonlyMap<string, Uint8Array>;
  readonly collections: CollectionRules;
  /** Calls another contract; the engine decides on channel, depth and sharing. */
  readonly invoke: (name: string, args: readonly Uint8Array[], channel: string) => Promise<ContractResponse>;
}

export interface StubAndEvent {
  readonly stub: ContractStub;
  /** The last event set, if any. */
  event(): { readonly name: string; readonly payload: Uint8Array } | undefined;
}

const NOTHING = new Uint8Array(0);

type Both<T> = Promise<QueryIterator<T>> & AsyncIterable<T>;
type BothPages<T> = Promise<QueryPage<T>> & AsyncIterable<T>;

function iterate<T>(next: () => T | undefined): QueryIterator<T> {
  let closed = false;
  const step = async (): Promise<{ value: T; done?: boolean }> => {
    const value = closed ? undefined : next();
    return value === undefined ? { value: undefined as T, done: true } : { value, done: false };
  };
  return {
    next: step,
    close: async () => {
      closed = true;
    },
    [Symbol.asyncIterator]: () => ({ next: step as () => Promise<IteratorResult<T>> }),
  };
}

/** A promise that can also be iterated, as in fabric-shim. `make` runs at once; its exception becomes the rejection. */
function both<T>(make: () => QueryIterator<T>): Both<T> {
  const promise = new Promise<QueryIterator<T>>((resolve) => resolve(make()));
  return Object.assign(promise, {
    async *[Symbol.asyncIterator](): AsyncGenerator<T> {
      yield* await promise;
    },
  });
}

function bothPages<T>(make: () => QueryPage<T>): BothPages<T> {
  const promise = new Promise<QueryPage<T>>((resolve) => resolve(make()));
  return Object.assign(promise, {
    async *[Symbol.asyncIterator](): AsyncGenerator<T> {
      yield* (await promise).iterator;
    },
  });
}

const fromList = <T>(items: readonly T[]): QueryIterator<T> => {
  let at = 0;
  return iterate(() => items[at++]);
};

function checkKey(key: string): string {
  if (typeof key !== 'string' || key === '') throw new Error('key must be a non-empty string');
  if (!key.isWellFormed()) throw new Error('not a valid utf8 string: the key has a lone surrogate');
  return key;
}

const copy = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes);

/** A stub for one call. */
export function createStub(context: CallContext): StubAndEvent {
  let event: { readonly name: string; readonly payload: Uint8Array } | undefined;
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
    ...stateCalls(context),
    ...queryCalls(context),
    ...privateCalls(context),
    setEvent: (name, payload) => {
      if (typeof name !== 'string' || name === '') throw new Error('Event name must be a non-empty string.');
      event = { name, payload: copy(payload) };
    },
    invokeChaincode: (name, args, channel) => context.invoke(name, args.map(utf8), channel),
  };
  return { stub, event: () => event };
}

type StateCalls = Pick<ContractStub, 'getState' | 'putState' | 'deleteState' | 'setStateValidationParameter' | 'getStateValidationParameter' | 'createCompositeKey' | 'splitCompositeKey'>;

function stateCalls({ simulation, namespace }: CallContext): StateCalls {
  return {
    getState: async (key) => copy(simulation.read(namespace, checkKey(key))?.value ?? NOTHING),
    putState: async (key, value) => simulation.write(namespace, checkKey(key), value.length === 0 ? null : copy(value)),
    deleteState: async (key) => simulation.write(namespace, checkKey(key), null),
    setStateValidationParameter: async (key, policy) => simulation.writePolicy(namespace, checkKey(key), copy(policy)),
    getStateValidationParameter: async (key) => copy(simulation.read(namespace, checkKey(key))?.policy ?? NOTHING),
    createCompositeKey: compositeKey,
    splitCompositeKey: splitComposite,
  };
}

type QueryCalls = Pick<ContractStub, 'getStateByRange' | 'getStateByRangeWithPagination' | 'getStateByPartialCompositeKey' | 'getStateByPartialCompositeKeyWithPagination' | 'getHistoryForKey'>;
interface Bounds {
  readonly start: string;
  readonly end: string;
}

function queryCalls({ simulation, namespace }: CallContext): QueryCalls {
  const scan = (bounds: () => Bounds): Both<StateEntry> => both(() => {
    const range = simulation.range(namespace, bounds());
    return iterate(() => {
      const row = range.next();
      return row === undefined ? undefined : { key: row.key, value: copy(row.value) };
    });
  });
  const page = (bounds: () => Bounds, pageSize: number, bookmark: string): BothPages<StateEntry> => bothPages(() => {
    if (!Number.isSafeInteger(pageSize) || pageSize < 1) throw new Error('pageSize must be a positive integer');
    const whole = bounds();
    const rows = simulation.page(namespace, { start: bookmark === '' ? whole.start : bookmark, end: whole.end }, pageSize + 1);
    const shown = rows.slice(0, pageSize);
    return { iterator: fromList(shown.map((row) => ({ key: row.key, value: copy(row.value) }))), metadata: { fetchedRecordsCount: shown.length, bookmark: rows[pageSize]?.key ?? '' } };
  });
  return {
    getStateByRange: (start, end) => scan(() => openRange(start, end)),
    getStateByRangeWithPagination: (start, end, pageSize, bookmark = '') => page(() => openRange(start, end), pageSize, bookmark),
    getStateByPartialCompositeKey: (objectType, attributes) => scan(() => compositeRange(objectType, attributes)),
    getStateByPartialCompositeKeyWithPagination: (objectType, attributes, pageSize, bookmark = '') => page(() => compositeRange(objectType, attributes), pageSize, bookmark),
    getHistoryForKey: (key) => both(() => historyOf(simulation, namespace, checkKey(key))),
  };
}

/** Newest first. The index says where a key was written; the value is in the block. */
function historyOf(simulation: Simulation, namespace: string, key: string): QueryIterator<KeyModification> {
  const places = simulation.history(namespace, key);
  let at = 0;
  return iterate(() => {
    const place = places[at++];
    const bytes = place === undefined ? undefined : simulation.blockBytes(place.block);
    if (place === undefined || bytes === undefined) return undefined;
    const outer = readEnvelope(Block.decode(bytes).data?.data[place.tx] ?? NOTHING);
    const write = writeIn(readAction(outer).action.results, namespace, key);
    const isDelete = write?.isDelete ?? false;
    return { txId: outer.channelHeader.txId, value: copy(isDelete ? NOTHING : (write?.value ?? NOTHING)), isDelete, timestamp: outer.channelHeader.timestamp ?? { seconds: 0, nanos: 0 } };
  });
}

function writeIn(results: Uint8Array, namespace: string, key: string): KVWrite | undefined {
  const set = TxReadWriteSet.decode(results).nsRwset.find((candidate) => candidate.namespace === namespace);
  return set === undefined ? undefined : KVRWSet.decode(set.rwset).writes.find((write) => write.key === key);
}

type PrivateCalls = Pick<ContractStub, 'getPrivateData' | 'getPrivateDataHash' | 'putPrivateData' | 'deletePrivateData' | 'purgePrivateData' | 'getPrivateDataByRange'>;

function privateCalls({ simulation, namespace, collections }: CallContext): PrivateCalls {
  return {
    getPrivateData: async (collection, key) => {
      collections.checkRead(collection);
      return copy(simulation.readPrivate(namespace, collection, checkKey(key)) ?? NOTHING);
    },
    getPrivateDataHash: async (collection, key) => {
      collections.checkKnown(collection);
      return copy(simulation.readHash(namespace, collection, checkKey(key)) ?? NOTHING);
    },
    putPrivateData: async (collection, key, value) => {
      collections.checkWrite(collection);
      if (value.length === 0) throw new Error('value must not be empty');
      simulation.writePrivate(namespace, collection, { key: checkKey(key), value: copy(value) });
    },
    deletePrivateData: async (collection, key) => {
      collections.checkWrite(collection);
      simulation.writePrivate(namespace, collection, { key: checkKey(key), value: null });
    },
    purgePrivateData: async (collection, key) => {
      collections.checkWrite(collection);
      simulation.writePrivate(namespace, collection, { key: checkKey(key), value: null, purge: true });
    },
    getPrivateDataByRange: (collection, start, end) => both(() => {
      collections.checkRead(collection);
      return fromList(simulation.privateRange(namespace, collection, openRange(start, end)).map((row) => ({ key: row.key, value: copy(row.value) })));
    }),
  };
}
