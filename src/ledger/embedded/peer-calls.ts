/**
 * What a peer does for a contract while it runs: the requests of Fabric's shim protocol, over a simulation. The stub of a
 * contract in this process and the stream to a contract in another process both end here, so the two cannot differ.
 * Sentences follow Fabric's peer.
 */
import { Block, type Timestamp } from '../protos/common.ts';
import { KVRWSet, TxReadWriteSet, type KVWrite } from '../protos/rwset.ts';
import { readAction, readEnvelope } from '../transaction.ts';
import { checkKey, type Bounds } from '../key-rules.ts';
import type { ContractResponse, StateEntry } from '../stub.ts';
import type { CollectionRules } from './lifecycle.ts';
import { batchesOf, type Batches, type Simulation } from './simulation.ts';

/** What one call of one contract inside a transaction sees. */
export interface CallContext {
  readonly simulation: Simulation;
  readonly namespace: string;
  /** MSP id of the organisation whose peer runs the contract. */
  readonly peer: string;
  readonly args: readonly Uint8Array[];
  readonly channel: string;
  readonly txId: string;
  readonly timestamp: Timestamp;
  readonly creator: { readonly mspId: string; readonly idBytes: Uint8Array };
  readonly transient: ReadonlyMap<string, Uint8Array>;
  /** The caller's proposal as it was signed. */
  readonly proposalBytes: Uint8Array;
  readonly collections: CollectionRules;
  /** Calls another contract; the engine decides on channel, depth and sharing. */
  readonly invoke: (name: string, args: readonly Uint8Array[], channel: string) => Promise<ContractResponse>;
}

/** One write of a key, as its block has it. */
export interface Modification {
  readonly txId: string;
  readonly value: Uint8Array;
  readonly isDelete: boolean;
  readonly timestamp: Timestamp;
}

export interface StatePage {
  readonly items: readonly StateEntry[];
  /** Where the next page begins; empty after the last one. */
  readonly bookmark: string;
}

/** An empty collection is public state. Everything throws with Fabric's sentences. */
export interface PeerCalls {
  getState(collection: string, key: string): Uint8Array;
  putState(collection: string, key: string, value: Uint8Array): void;
  deleteState(collection: string, key: string): void;
  purge(collection: string, key: string): void;
  getHash(collection: string, key: string): Uint8Array;
  getPolicy(collection: string, key: string): Uint8Array;
  putPolicy(collection: string, key: string, policy: Uint8Array): void;
  range(collection: string, bounds: Bounds): Batches<StateEntry>;
  page(bounds: Bounds, page: { readonly size: number; readonly bookmark: string }): StatePage;
  history(key: string): Batches<Modification>;
}

const NOTHING = new Uint8Array(0);
const copy = (bytes: Uint8Array): Uint8Array => new Uint8Array(bytes);
const entry = (row: { readonly key: string; readonly value: Uint8Array }): StateEntry => ({ key: row.key, value: copy(row.value) });

/** The calls of one running contract. */
export function createPeerCalls(context: CallContext): PeerCalls {
  const { simulation, namespace, collections } = context;
  return {
    getState: (collection, key) => {
      if (collection === '') return copy(simulation.read(namespace, checkKey(key))?.value ?? NOTHING);
      collections.checkRead(collection);
      return copy(simulation.readPrivate(namespace, collection, checkKey(key)) ?? NOTHING);
    },
    putState: (collection, key, value) => {
      // Zero bytes delete a public key. A private one must be deleted by name: the port promises it.
      if (collection === '') return simulation.write(namespace, checkKey(key), value.length === 0 ? null : copy(value));
      collections.checkWrite(collection);
      if (value.length === 0) throw new Error('value must not be empty');
      simulation.writePrivate(namespace, collection, { key: checkKey(key), value: copy(value) });
    },
    deleteState: (collection, key) => {
      if (collection === '') return simulation.write(namespace, checkKey(key), null);
      collections.checkWrite(collection);
      simulation.writePrivate(namespace, collection, { key: checkKey(key), value: null });
    },
    purge: (collection, key) => {
      collections.checkWrite(collection);
      simulation.writePrivate(namespace, collection, { key: checkKey(key), value: null, purge: true });
    },
    getHash: (collection, key) => {
      collections.checkKnown(collection);
      return copy(simulation.readHash(namespace, collection, checkKey(key)) ?? NOTHING);
    },
    getPolicy: (collection, key) => {
      refusePrivate(collection);
      return copy(simulation.read(namespace, checkKey(key))?.policy ?? NOTHING);
    },
    putPolicy: (collection, key, policy) => {
      refusePrivate(collection);
      simulation.writePolicy(namespace, checkKey(key), copy(policy));
    },
    range: (collection, bounds) => {
      if (collection === '') return mapped(simulation.range(namespace, bounds), entry);
      collections.checkRead(collection);
      return batchesOf(simulation.privateRange(namespace, collection, bounds).map(entry));
    },
    page: (bounds, { size, bookmark }) => {
      if (!Number.isSafeInteger(size) || size < 1) throw new Error('pageSize must be a positive integer');
      const rows = simulation.page(namespace, { start: bookmark === '' ? bounds.start : bookmark, end: bounds.end }, size + 1);
      return { items: rows.slice(0, size).map(entry), bookmark: rows[size]?.key ?? '' };
    },
    history: (key) => historyOf(context, checkKey(key)),
  };
}

function refusePrivate(collection: string): void {
  if (collection !== '') throw new Error('key-level endorsement policies of private keys are not kept by this ledger; give the collection an endorsement policy');
}

function mapped<T, R>(batches: Batches<T>, map: (item: T) => R): Batches<R> {
  return {
    next: () => {
      const { items, more } = batches.next();
      return { items: items.map(map), more };
    },
  };
}

/** Newest first. The index says where a key was written; the value is in the block, read when it is asked for. */
function historyOf({ simulation, namespace }: CallContext, key: string): Batches<Modification> {
  const places = batchesOf(simulation.history(namespace, key));
  return mapped(places, ({ block, tx }) => {
    const outer = readEnvelope(Block.decode(simulation.blockBytes(block) ?? NOTHING).data?.data[tx] ?? NOTHING);
    const write = writeIn(readAction(outer).action.results, namespace, key);
    const isDelete = write?.isDelete ?? false;
    return { txId: outer.channelHeader.txId, value: copy(isDelete ? NOTHING : (write?.value ?? NOTHING)), isDelete, timestamp: outer.channelHeader.timestamp ?? { seconds: 0, nanos: 0 } };
  });
}

function writeIn(results: Uint8Array, namespace: string, key: string): KVWrite | undefined {
  const set = TxReadWriteSet.decode(results).nsRwset.find((candidate) => candidate.namespace === namespace);
  return set === undefined ? undefined : KVRWSet.decode(set.rwset).writes.find((write) => write.key === key);
}
