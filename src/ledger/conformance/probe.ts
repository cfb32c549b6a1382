/** A contract that does what its input says: one call of the stub per step, answers in a list. It runs on any ledger that speaks the stub port. */
import { fromBase64url, fromUtf8, toBase64url, toHex, utf8 } from '#base/bytes.ts';
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import { CodedError, isCoded } from '#base/errors.ts';
import { callerIdentity } from '../client-identity.ts';
import { peerPolicyBytes } from './policy-bytes.ts';
import type { Chaincode, ContractStub, QueryIterator } from '../stub.ts';

/** One step: the call's name and its arguments, all text. */
export type Step = readonly [call: string, ...args: (string | number | readonly string[])[]];

const text = (bytes: Uint8Array): string => fromUtf8(bytes);

async function drain<T, R>(iterator: QueryIterator<T>, show: (item: T) => R, limit = Number.POSITIVE_INFINITY): Promise<R[]> {
  const out: R[] = [];
  while (out.length < limit) {
    const { value, done } = await iterator.next();
    if (done === true) break;
    out.push(show(value));
  }
  await iterator.close();
  return out;
}

const row = ({ key, value }: { readonly key: string; readonly value: Uint8Array }): Json => [key, text(value)];

type Args = readonly (string | number | readonly string[])[];
type Call = (stub: ContractStub, args: Args) => Promise<Json | void> | Json | void;

const s = (value: Args[number] | undefined): string => String(value ?? '');
const l = (value: Args[number] | undefined): string[] => (Array.isArray(value) ? [...value] : []) as string[];

const seconds = (value: { toNumber(): number } | number): number => (typeof value === 'number' ? value : value.toNumber());

const stateCalls: Readonly<Record<string, Call>> = {
  put: (stub, [key, value]) => stub.putState(s(key), utf8(s(value))),
  putBytes: (stub, [key, base64url]) => stub.putState(s(key), fromBase64url(s(base64url))),
  putLong: (stub, [key, length]) => stub.putState(s(key), new Uint8Array(Number(length)).fill(97)),
  get: async (stub, [key]) => text(await stub.getState(s(key))),
  getBytes: async (stub, [key]) => toBase64url(await stub.getState(s(key))),
  length: async (stub, [key]) => (await stub.getState(s(key))).length,
  delete: (stub, [key]) => stub.deleteState(s(key)),
  add: async (stub, [key, by]) => {
    const next = Number(text(await stub.getState(s(key))) || '0') + Number(by);
    await stub.putState(s(key), utf8(String(next)));
    return next;
  },
  range: async (stub, [start, end]) => drain(await stub.getStateByRange(s(start), s(end)), row),
  rangeKeys: async (stub, [start, end]) => {
    const keys: string[] = [];
    for await (const { key } of stub.getStateByRange(s(start), s(end))) keys.push(key);
    return keys;
  },
  rangeFirst: async (stub, [start, end, limit]) => drain(await stub.getStateByRange(s(start), s(end)), row, Number(limit)),
  /** Two iterators of one range, a step each in turn. */
  interleaved: async (stub, [start, end]) => {
    const iterators = [await stub.getStateByRange(s(start), s(end)), await stub.getStateByRange(s(start), s(end))];
    const keys: string[] = [];
    for (let open = iterators.length; open > 0;) {
      open = 0;
      for (const iterator of iterators) {
        const { value, done } = await iterator.next();
        if (done === true) continue;
        keys.push(value.key);
        open++;
      }
    }
    return keys;
  },
  getMany: async (stub, [keys]) => (await Promise.all(l(keys).map((key) => stub.getState(key)))).map(text),
  // A lone surrogate cannot travel in the input.
  putLone: (stub, [name]) => stub.putState(`${s(name)}\ud800`, utf8('x')),
  getLone: async (stub, [name]) => text(await stub.getState(`${s(name)}\udfff`)),
  page: async (stub, [start, end, size, bookmark]) => {
    const { iterator, metadata } = await stub.getStateByRangeWithPagination(s(start), s(end), Number(size), s(bookmark));
    return [await drain(iterator, row), metadata.fetchedRecordsCount, metadata.bookmark];
  },
  putComposite: (stub, [type, parts, value]) => stub.putState(stub.createCompositeKey(s(type), l(parts)), utf8(s(value))),
  partial: async (stub, [type, parts]) => drain(await stub.getStateByPartialCompositeKey(s(type), l(parts)), ({ key, value }) => [...stub.splitCompositeKey(key).attributes, text(value)]),
  partialPage: async (stub, [type, parts, size, bookmark]) => {
    const { iterator, metadata } = await stub.getStateByPartialCompositeKeyWithPagination(s(type), l(parts), Number(size), s(bookmark));
    return [await drain(iterator, ({ value }) => text(value)), metadata.fetchedRecordsCount, metadata.bookmark];
  },
  compositeKey: (stub, [type, parts]) => stub.createCompositeKey(s(type), l(parts)),
  split: (stub, [key]) => [stub.splitCompositeKey(s(key)).objectType, ...stub.splitCompositeKey(s(key)).attributes],
  history: async (stub, [key]) => drain(await stub.getHistoryForKey(s(key)), (entry) => [text(entry.value), entry.isDelete, entry.txId.length]),
  historyTimes: async (stub, [key]) => drain(await stub.getHistoryForKey(s(key)), (entry) => seconds(entry.timestamp.seconds)),
  setPolicy: (stub, [key, mspIds]) => stub.setStateValidationParameter(s(key), peerPolicyBytes(l(mspIds))),
  hasPolicy: async (stub, [key]) => (await stub.getStateValidationParameter(s(key))).length > 0,
};

const privateCalls: Readonly<Record<string, Call>> = {
  putPrivate: (stub, [collection, key, transient]) => stub.putPrivateData(s(collection), s(key), stub.getTransient().get(s(transient)) ?? utf8(s(transient))),
  getPrivate: async (stub, [collection, key]) => text(await stub.getPrivateData(s(collection), s(key))),
  privateHash: async (stub, [collection, key]) => toHex(await stub.getPrivateDataHash(s(collection), s(key))),
  deletePrivate: (stub, [collection, key]) => stub.deletePrivateData(s(collection), s(key)),
  purge: (stub, [collection, key]) => stub.purgePrivateData(s(collection), s(key)),
  setPrivatePolicy: (stub, [collection, key, mspIds]) => stub.setPrivateDataValidationParameter(s(collection), s(key), peerPolicyBytes(l(mspIds))),
  putPrivateComposite: (stub, [collection, type, parts, value]) => stub.putPrivateData(s(collection), stub.createCompositeKey(s(type), l(parts)), utf8(s(value))),
  privatePartial: async (stub, [collection, type, parts]) => drain(await stub.getPrivateDataByPartialCompositeKey(s(collection), s(type), l(parts)), ({ key, value }) => [...stub.splitCompositeKey(key).attributes, text(value)]),
  privateRange: async (stub, [collection, start, end]) => drain(await stub.getPrivateDataByRange(s(collection), s(start), s(end)), row),
};

let disagreement = 0;

const otherCalls: Readonly<Record<string, Call>> = {
  event: (stub, [name, payload]) => stub.setEvent(s(name), utf8(s(payload))),
  transient: (stub, [name]) => text(stub.getTransient().get(s(name)) ?? new Uint8Array(0)),
  txId: (stub) => stub.getTxID(),
  channel: (stub) => stub.getChannelID(),
  time: (stub) => seconds(stub.getTxTimestamp().seconds) * 1000 + Math.floor(stub.getTxTimestamp().nanos / 1e6),
  caller: (stub) => {
    const { mspId, commonName, organizationalUnit, attributes, fingerprint } = callerIdentity(stub);
    return [mspId, commonName, organizationalUnit, attributes['test.role'] ?? '', fingerprint.length];
  },
  refuse: (_stub, [code]) => {
    throw new CodedError(s(code), 'The probe refuses.', { next: 'Nothing.', step: 1 });
  },
  fail: (_stub, [why]) => {
    throw new Error(s(why));
  },
  echo: (_stub, [said]) => s(said),
  crash: () => {
    throw new Error('the probe broke');
  },
  /** Never answers. */
  hang: () => new Promise<never>(() => undefined),
  /** Leaves a rejection that nobody handles, as a forgotten await does, and never answers. */
  abandon: () => {
    void Promise.reject(new Error('nobody waits for this'));
    return new Promise<never>(() => undefined);
  },
  // Differs at every run: two endorsers never agree.
  disagree: (stub, [key]) => stub.putState(s(key), utf8(String(disagreement++))),
  invoke: async (stub, [name, steps, channel]) => {
    const { status, message, payload } = await stub.invokeChaincode(s(name), ['run', s(steps)], s(channel));
    return [status, status === 200 ? (JSON.parse(text(payload)) as Json) : message];
  },
};

const calls: Readonly<Record<string, Call>> = { ...stateCalls, ...privateCalls, ...otherCalls };

/** The probe. Its one transaction `run` takes a list of steps; a step that throws refuses the whole. */
export const probe: Chaincode = {
  async Invoke(stub) {
    try {
      const { fcn, params } = stub.getFunctionAndParameters();
      if (fcn === 'empty') return { status: 200, message: '', payload: new Uint8Array(0) };
      if (fcn === 'text') return { status: 200, message: '', payload: utf8('no json') };
      if (fcn === 'status') return { status: Number(JSON.parse(params[0] ?? '0')), message: 'as you wish', payload: canonicalBytes(null) };
      if (fcn !== 'run') throw new CodedError('PROBE_UNKNOWN', 'The probe has no such transaction.', { name: fcn });
      const answers: Json[] = [];
      for (const [name, ...args] of JSON.parse(params[0] ?? '[]') as Step[]) {
        const call = Object.hasOwn(calls, name) ? calls[name] : undefined;
        if (call === undefined) throw new CodedError('PROBE_UNKNOWN', 'The probe has no such step.', { name });
        answers.push((await call(stub, args)) ?? null);
      }
      return { status: 200, message: '', payload: canonicalBytes(answers) };
    } catch (error) {
      if (!isCoded(error)) return { status: 500, message: error instanceof Error ? error.message : String(error), payload: new Uint8Array(0) };
      return { status: 500, message: JSON.stringify(error), payload: new Uint8Array(0) };
    }
  },
};
