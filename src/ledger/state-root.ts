/**
 * The state root: one digest of everything that stands under a contract's keys, the same whichever engine holds it.
 * Versions and block numbers are left out, because a state that moved has others. Rows come in key order (UTF-8 bytes):
 * root₀ = SHA-256("healthkeep/v1/state-root"), rootₙ₊₁ = SHA-256(rootₙ ‖ SHA-256(‖key‖ key ‖value‖ value ‖policy‖ policy)),
 * lengths as 4 bytes. A running digest, so that neither side needs to hold the state.
 */
import { concat, lengthPrefixed, utf8, type Bytes } from '#base/bytes.ts';
import { assert } from '#base/errors.ts';
import { compareKeys } from './key-order.ts';
import { sha256 } from './sha256.ts';
import type { Hash } from './transaction.ts';

export interface StateLeaf {
  readonly key: string;
  readonly value: Uint8Array;
  /** The key's own endorsement policy; empty when it has none. */
  readonly policy: Uint8Array;
}

const START = 'healthkeep/v1/state-root';
const CHANNEL = 'healthkeep/v1/channel-root';

/** The root of nothing. */
export const emptyRoot = (): Bytes => sha256(utf8(START));

/** The root after one more row. */
export function nextRoot(root: Uint8Array, { key, value, policy }: StateLeaf, hash: Hash = sha256): Uint8Array {
  return hash(root, hash(lengthPrefixed(utf8(key), value, policy)));
}

export interface StateRoot {
  readonly root: Uint8Array;
  readonly keys: number;
}

/** The root of rows in key order. Broken order is a broken caller. */
export async function stateRootOf(rows: Iterable<StateLeaf> | AsyncIterable<StateLeaf>, hash: Hash = sha256): Promise<StateRoot> {
  let root: Uint8Array = emptyRoot();
  let keys = 0;
  let last = '';
  for await (const row of rows) {
    assert(keys === 0 || compareKeys(last, row.key) < 0, 'rows of a state come in key order');
    root = nextRoot(root, row, hash);
    last = row.key;
    keys++;
  }
  return { root, keys };
}

export interface NamespaceRoot extends StateRoot {
  readonly namespace: string;
  /** Of the hashes of private values: rows of key hash in hexadecimal and value hash, in that order. */
  readonly collections: readonly (StateRoot & { readonly collection: string })[];
}

/** One digest of a whole channel: its namespaces by name, with their roots and those of their private hashes. */
export function channelRootOf(namespaces: readonly NamespaceRoot[], hash: Hash = sha256): Uint8Array {
  const byName = [...namespaces].sort((left, right) => compareKeys(left.namespace, right.namespace));
  const parts = byName.flatMap(({ namespace, root, collections }) => {
    const ordered = [...collections].sort((left, right) => compareKeys(left.collection, right.collection));
    return [{ collection: '', root }, ...ordered].map((one) => lengthPrefixed(utf8(namespace), utf8(one.collection), one.root));
  });
  return hash(concat(utf8(CHANNEL), ...parts));
}
