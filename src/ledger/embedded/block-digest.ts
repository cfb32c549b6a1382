/**
 * SHA-256 over everything that is kept with a block and is in no other hash: its bytes, metadata and signatures included,
 * and the facts that came with it. A header's hashes cover the transactions only.
 */
import { utf8 } from '#base/bytes.ts';
import { nativeHash } from './hash.ts';

/** A fact that is replaced with every block; the block's own bytes hold it. */
export const RUNNING_FACT = 'commitHash';

export interface KeptBlock {
  readonly bytes: Uint8Array;
  readonly facts?: ReadonlyMap<string, Uint8Array>;
}

/** The digest that is written beside a block. */
export function digestOf({ bytes, facts = new Map() }: KeptBlock): Uint8Array {
  const parts = [...facts].filter(([name]) => name !== RUNNING_FACT).sort(([left], [right]) => (left < right ? -1 : 1));
  return nativeHash(bytes, ...parts.flatMap(([name, value]) => [utf8(name), value]));
}
