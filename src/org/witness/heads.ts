/**
 * The newest checkpoint of each channel that this member has signed, kept durably before the signature leaves: it never
 * signs one that does not grow out of it, whatever a ledger shows it afterwards (https://c2sp.org/tlog-witness).
 */
import { fromUtf8, utf8 } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { KeyValueStore } from '#base/ports.ts';
import { noteSignatures, parseCheckpoint } from '#crypto/checkpoint.ts';
import { compareNotes, relation, type Beginning } from '#crypto/growth.ts';
import { createTurnstile } from '../turnstile.ts';
import type { Forks } from './forks.ts';

export interface Heads {
  /** Every channel's, as this member signed it. */
  all(): Promise<readonly string[]>;
  /** The note as this member signed it; undefined before the first. */
  last(origin: string): Promise<string | undefined>;
  /**
   * Signs a note, once it is sure that it grew out of the last, and remembers it before it leaves. `note` is as it came, with
   * the signatures of others or none. Throws CHECKPOINT_FORKED, CHECKPOINT_UNPROVEN (both notes are kept, never with an own
   * signature on the second), WITNESS_SIZE with the size a path is needed from.
   */
  advance(note: string, by: Advance): Promise<string>;
}

export interface Advance {
  /** How the note's tree began at a smaller size, when anybody said. */
  readonly beginningFrom: (size: number) => Beginning | undefined;
  readonly sign: (note: string) => Promise<string>;
}

const KEY = 'checkpoint/head/';

export function createHeads({ store, forks }: { readonly store: KeyValueStore; readonly forks: Forks }): Heads {
  const known = new Map<string, string>();
  const turns = createTurnstile();
  const last = async (origin: string): Promise<string | undefined> => {
    const bytes = known.has(origin) ? undefined : await store.get(KEY + origin);
    if (bytes !== undefined) known.set(origin, fromUtf8(bytes));
    return known.get(origin);
  };
  const keep = async (origin: string, note: string): Promise<string> => {
    await store.write(new Map([[KEY + origin, utf8(note)]]));
    known.set(origin, note);
    return note;
  };
  return {
    last,
    all: async () => (await store.list(KEY)).map(([, bytes]) => fromUtf8(bytes)),
    advance(note, { beginningFrom, sign }) {
      const next = parseCheckpoint(note);
      return turns.run(next.origin, async () => {
        const before = await last(next.origin);
        if (before === undefined) return keep(next.origin, await sign(note));
        const held = parseCheckpoint(before);
        const wanted = new CodedError('WITNESS_SIZE', 'This member needs the path from the last checkpoint it signed.', { size: held.size });
        if (relation(held, next) === 'shorter') throw wanted;
        const beginning = beginningFrom(held.size);
        const comparison = await compareNotes(before, note, async function* () {
          if (beginning !== undefined) yield beginning;
        });
        if (comparison.verdict === 'same') return sign(note);
        if (comparison.verdict === 'longer') return keep(next.origin, await sign(note));
        if (comparison.verdict !== 'fork' && beginning === undefined) throw wanted;
        // What nobody else signed proves nothing to others.
        if (noteSignatures(note).length > 0) await forks.keep(comparison);
        if (comparison.verdict === 'fork') throw new CodedError('CHECKPOINT_FORKED', 'The checkpoint contradicts one that this member signed.', { size: next.size, height: next.height });
        throw new CodedError('CHECKPOINT_UNPROVEN', 'The path does not lead from the last checkpoint that this member signed.', { size: held.size });
      });
    },
  };
}
