/** The state root of a channel as its tables hold it: what `state-root.ts` says, computed without asking a contract. */
import { toHex } from '#base/bytes.ts';
import { channelRootOf, stateRootOf, type NamespaceRoot, type StateLeaf } from '../state-root.ts';
import type { ChannelStore } from './channel-store.ts';
import { nativeHash } from './hash.ts';
import { LIFECYCLE } from './lifecycle.ts';
import type { StateReader } from './state-reader.ts';

export interface ChannelRoot {
  readonly height: number;
  readonly root: Uint8Array;
  readonly namespaces: readonly NamespaceRoot[];
}

const NOTHING = new Uint8Array(0);
const PAGE = 1_000;

/**
 * Roots of every contract's keys and of its private hashes, at one height. Definitions of contracts are left out: each ledger
 * has its own. `leaveOut` names keys that are about the move itself.
 */
export async function channelRoot(store: ChannelStore, leaveOut: (key: string) => boolean = () => false): Promise<ChannelRoot> {
  const { reader, height, release } = store.snapshot();
  try {
    const namespaces: NamespaceRoot[] = [];
    for (const [namespace, collections] of namespacesOf(reader)) {
      const own = await stateRootOf(rowsOf(reader, namespace, leaveOut), nativeHash);
      const roots = [];
      for (const [collection, rows] of collections) roots.push({ collection, ...(await stateRootOf(rows, nativeHash)) });
      namespaces.push({ namespace, ...own, collections: roots });
    }
    return { height, root: channelRootOf(namespaces, nativeHash), namespaces };
  } finally {
    release();
  }
}

function* rowsOf(reader: StateReader, namespace: string, leaveOut: (key: string) => boolean): Generator<StateLeaf> {
  for (let start = ''; ; ) {
    const page = reader.range(namespace, { start, end: '' }, PAGE);
    for (const { key, value, policy } of page) if (!leaveOut(key)) yield { key, value, policy: policy ?? NOTHING };
    if (page.length < PAGE) return;
    start = `${page.at(-1)?.key}\0`;
  }
}

/** Namespaces in use, with the rows of their collections: both tables come in key order. */
function namespacesOf(reader: StateReader): ReadonlyMap<string, ReadonlyMap<string, readonly StateLeaf[]>> {
  const found = new Map<string, Map<string, StateLeaf[]>>();
  const of = (namespace: string): Map<string, StateLeaf[]> => {
    const known = found.get(namespace) ?? new Map<string, StateLeaf[]>();
    found.set(namespace, known);
    return known;
  };
  for (const row of reader.rows('state')) if (row['namespace'] !== LIFECYCLE) of(String(row['namespace']));
  for (const row of reader.rows('hashes')) {
    const collections = of(String(row['namespace']));
    const rows = collections.get(String(row['collection'])) ?? [];
    collections.set(String(row['collection']), rows);
    rows.push({ key: toHex(row['key_hash'] as Uint8Array), value: row['value_hash'] as Uint8Array, policy: NOTHING });
  }
  return found;
}
