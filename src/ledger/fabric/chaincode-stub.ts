/**
 * fabric-shim's stub as our port. Most calls are its own (`chaincode-stub.test.ts` has the proof by type); this file has
 * what differs in fabric-shim 2.5.8 from what the port promises, so that a contract finds the same on every engine:
 * iterators are no async iterables, private ranges resolve to an object around the iterator, a key without policy gives
 * undefined, an empty key or an empty private value passes, writes resolve to an empty buffer, a range that is refused at once cannot be iterated.
 */
import type { ChaincodeStub } from 'fabric-shim';
import { checkKey, compositeKey, openRange, privateRange, splitComposite } from '../key-rules.ts';
import { pageAnswer, queryAnswer } from '../query-answer.ts';
import type { ContractStub, QueryIterator } from '../stub.ts';

interface ShimIterator<T> {
  next(): Promise<{ readonly value: T; readonly done?: boolean }>;
  close(): Promise<void>;
}

function iteratorOf<T>(answer: ShimIterator<T> | { readonly iterator: ShimIterator<T> }): QueryIterator<T> {
  const inner = 'iterator' in answer ? answer.iterator : answer;
  const next = async (): Promise<{ value: T; done?: boolean }> => {
    const { value, done } = await inner.next();
    return { value, done: done === true };
  };
  const close = async (): Promise<void> => void (await inner.close());
  return {
    next,
    close,
    [Symbol.asyncIterator]: () => ({
      next: next as () => Promise<IteratorResult<T>>,
      return: async () => {
        await close();
        return { value: undefined, done: true };
      },
    }),
  };
}

/** The port over a stub of fabric-shim. */
export function portOf(shim: ChaincodeStub): ContractStub {
  return {
    getFunctionAndParameters: () => shim.getFunctionAndParameters(),
    getTxID: () => shim.getTxID(),
    getChannelID: () => shim.getChannelID(),
    getCreator: () => shim.getCreator(),
    getTransient: () => shim.getTransient(),
    getTxTimestamp: () => shim.getTxTimestamp(),
    getState: async (key) => shim.getState(checkKey(key)),
    putState: async (key, value) => void (await shim.putState(checkKey(key), value)),
    deleteState: async (key) => void (await shim.deleteState(checkKey(key))),
    setStateValidationParameter: async (key, policy) => void (await shim.setStateValidationParameter(checkKey(key), policy)),
    getStateValidationParameter: async (key) => ((await shim.getStateValidationParameter(checkKey(key))) as Uint8Array | undefined) ?? new Uint8Array(0),
    createCompositeKey: compositeKey,
    splitCompositeKey: splitComposite,
    ...queriesOf(shim),
    ...privateOf(shim),
    setEvent: (name, payload) => shim.setEvent(name, payload),
    invokeChaincode: async (name, args, channel) => {
      const { status, message = '', payload = new Uint8Array(0) } = await shim.invokeChaincode(name, args, channel);
      return { status, message, payload };
    },
  };
}

type Queries = Pick<ContractStub, 'getStateByRange' | 'getStateByRangeWithPagination' | 'getStateByPartialCompositeKey' | 'getStateByPartialCompositeKeyWithPagination' | 'getHistoryForKey'>;

function queriesOf(shim: ChaincodeStub): Queries {
  const size = (pageSize: number): number => {
    if (!Number.isSafeInteger(pageSize) || pageSize < 1) throw new Error('pageSize must be a positive integer');
    return pageSize;
  };
  return {
    getStateByRange: (from, to) => queryAnswer(async () => {
      const { start, end } = openRange(from, to);
      return iteratorOf(await shim.getStateByRange(start, end));
    }),
    getStateByRangeWithPagination: (from, to, pageSize, bookmark = '') => pageAnswer(async () => {
      const { start, end } = openRange(from, to);
      const { iterator, metadata } = await shim.getStateByRangeWithPagination(start, end, size(pageSize), bookmark);
      return { iterator: iteratorOf(iterator), metadata };
    }),
    getStateByPartialCompositeKey: (objectType, attributes) => queryAnswer(async () => {
      compositeKey(objectType, attributes);
      return iteratorOf(await shim.getStateByPartialCompositeKey(objectType, attributes));
    }),
    getStateByPartialCompositeKeyWithPagination: (objectType, attributes, pageSize, bookmark = '') => pageAnswer(async () => {
      compositeKey(objectType, attributes);
      const { iterator, metadata } = await shim.getStateByPartialCompositeKeyWithPagination(objectType, attributes, size(pageSize), bookmark);
      return { iterator: iteratorOf(iterator), metadata };
    }),
    getHistoryForKey: (key) => queryAnswer(async () => iteratorOf(await shim.getHistoryForKey(checkKey(key)))),
  };
}

type Private = Pick<ContractStub, 'getPrivateData' | 'getPrivateDataHash' | 'putPrivateData' | 'deletePrivateData' | 'purgePrivateData' | 'getPrivateDataByRange' | 'getPrivateDataByPartialCompositeKey' | 'setPrivateDataValidationParameter' | 'getPrivateDataValidationParameter'>;

function privateOf(shim: ChaincodeStub): Private {
  return {
    getPrivateData: async (collection, key) => shim.getPrivateData(collection, checkKey(key)),
    getPrivateDataHash: async (collection, key) => shim.getPrivateDataHash(collection, checkKey(key)),
    putPrivateData: async (collection, key, value) => {
      if (value.length === 0) throw new Error('value must not be empty');
      await shim.putPrivateData(collection, checkKey(key), value);
    },
    deletePrivateData: async (collection, key) => void (await shim.deletePrivateData(collection, checkKey(key))),
    purgePrivateData: async (collection, key) => void (await shim.purgePrivateData(collection, checkKey(key))),
    setPrivateDataValidationParameter: async (collection, key, policy) => void (await shim.setPrivateDataValidationParameter(collection, checkKey(key), policy)),
    getPrivateDataValidationParameter: async (collection, key) => ((await shim.getPrivateDataValidationParameter(collection, checkKey(key))) as Uint8Array | undefined) ?? new Uint8Array(0),
    getPrivateDataByRange: (collection, from, to) => queryAnswer(async () => {
      const { start, end } = privateRange(from, to);
      return iteratorOf(await shim.getPrivateDataByRange(collection, start, end));
    }),
    getPrivateDataByPartialCompositeKey: (collection, objectType, attributes) => queryAnswer(async () => {
      compositeKey(objectType, attributes);
      return iteratorOf(await shim.getPrivateDataByPartialCompositeKey(collection, objectType, attributes));
    }),
  };
}
