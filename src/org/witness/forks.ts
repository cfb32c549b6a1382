/** What a member keeps of a fork that it saw: both signed notes, for good, and one line in the log for whoever must act. */
import { fromUtf8, toBase64url, utf8 } from '#base/bytes.ts';
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import type { KeyValueStore, Log } from '#base/ports.ts';
import { noteSignatures, parseCheckpoint } from '#crypto/checkpoint.ts';
import { sha256 } from '#crypto/digest.ts';
import type { Comparison } from '#crypto/growth.ts';
import { ForkEvidence } from '#model/fork.ts';
import { Digest, type OrgId } from '#model/ids.ts';

const PROVEN = 'checkpoint/fork/';
/** Pairs that nobody could connect: a reason to ask, not a proof. */
const UNPROVEN = 'checkpoint/unproven/';
/** More pairs of one channel say nothing new, and whoever makes them must not fill the disk. */
const KEPT_MAX = 16;

export interface Forks {
  /** Keeps the pair, once. */
  keep(comparison: Comparison): Promise<void>;
  list(): Promise<readonly ForkEvidence[]>;
}

export interface ForksOptions {
  readonly store: KeyValueStore;
  readonly members: () => readonly { readonly org: OrgId; readonly rootCertificate: string }[];
  readonly log: Log;
}

export function createForks({ store, members, log }: ForksOptions): Forks {
  return {
    async keep(comparison) {
      const { origin, size, height } = parseCheckpoint(comparison.notes[0]);
      const proven = comparison.verdict === 'fork';
      const bytes = canonicalBytes(forkEvidence(comparison, members()) as unknown as Json);
      const [one, other] = comparison.notes.map((note) => noteSignatures(note).map(({ name }) => name)) as [string[], string[]];
      // Pairs that convict somebody are never crowded out by those that do not.
      const folder = `${proven ? PROVEN : UNPROVEN}${origin}/${one.some((name) => other.includes(name)) ? 'signed-both' : 'apart'}/`;
      const key = folder + toBase64url(sha256(utf8(comparison.notes.join(''))));
      if ((await store.get(key)) !== undefined || (await store.list(folder, { limit: KEPT_MAX })).length === KEPT_MAX) return;
      await store.write(new Map([[key, bytes]]));
      log('error', proven ? 'ledger.forked' : 'ledger.growth-unproven', { origin, size, height });
    },
    async list() {
      return (await store.list(PROVEN)).map(([, bytes]) => ForkEvidence.parse(JSON.parse(fromUtf8(bytes))));
    },
  };
}

/** The pair as a file that outsiders check. */
export function forkEvidence({ notes, beginning }: Comparison, members: readonly { readonly org: OrgId; readonly rootCertificate: string }[]): ForkEvidence {
  const digest = (hash: Uint8Array): Digest => Digest.parse(toBase64url(hash));
  return {
    kind: 'healthkeep-fork',
    version: 1,
    notes: [notes[0], notes[1]],
    beginning: beginning === undefined ? null : { root: digest(beginning.root), path: beginning.path.map(digest) },
    members: members.map(({ org, rootCertificate }) => ({ org, rootCertificate })),
  };
}
