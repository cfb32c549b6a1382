/**
 * The newest checkpoint of every channel that a quorum of members signed, as this member passes it on, and what it does
 * with a note from elsewhere: believe only signatures, compare, keep the longer, keep both as evidence when both cannot
 * be true (docs/protocol.md section 7).
 */
import { fromUtf8, utf8 } from '#base/bytes.ts';
import { isCoded } from '#base/errors.ts';
import type { Clock, KeyValueStore } from '#base/ports.ts';
import { keepSignatures, mergeNotes, noteSignatures, noteSigners, parseCheckpoint, type Checkpoint, type NoteSigners } from '#crypto/checkpoint.ts';
import { compareNotes, type Beginning, type Comparison } from '#crypto/growth.ts';
import { ChannelName, type OrgId } from '#model/ids.ts';
import type { Member } from '#model/con.ts';
import { runsPeer, witnessQuorum } from '#model/rules/con.ts';
import { createTurnstile } from '../turnstile.ts';
import type { Forks } from './forks.ts';
import type { Heads } from './heads.ts';
import type { Witness } from './witness.ts';

/** What became of a note. `ignored`: no member that runs the channel signed it. `unproven`: nobody could connect it with what is known. */
export type Taken = 'kept' | 'known' | 'ignored' | 'fork' | 'unproven';

export interface Notes {
  /** The newest note of the channel that a quorum signed. */
  newest(channel: ChannelName): Promise<string | undefined>;
  /** Notes for others: the newest of every channel, what this member signed last where that reaches further, and the newest that several signed. */
  toPass(): Promise<readonly string[]>;
  take(note: string): Promise<Taken>;
}

export interface NotesOptions {
  readonly org: OrgId;
  readonly store: KeyValueStore;
  readonly members: () => readonly Member[];
  readonly witnesses: readonly Witness[];
  readonly heads: Heads;
  readonly forks: Forks;
  readonly clock: Clock;
  /** Asks an organisation that runs a peer on the channel how its tree began. Throws what the call throws. */
  readonly askBeginning: (org: OrgId, question: { readonly channel: ChannelName; readonly from: number; readonly to: number }) => Promise<Beginning>;
}

const KEY = 'checkpoint/note/';
const COMPARED_MAX = 2_000;
const SEEN_MAX = 500;
/** Notes of several signers on the own line, to hold against another history: whoever signed both is convicted. */
const RECENT_MAX = 16;

export function createNotes(options: NotesOptions): Notes {
  const { store, members, heads } = options;
  const turns = createTurnstile();
  /** Texts that were compared and lie on the known line. */
  const compared = new Set<string>();
  /** Whole notes, to the last signature, of which nothing more can be learned. */
  const seen = new Set<string>();
  const recent = new Map<ChannelName, readonly string[]>();
  const newest = async (channel: ChannelName): Promise<string | undefined> => {
    const bytes = await store.get(KEY + channel);
    return bytes === undefined ? undefined : fromUtf8(bytes);
  };
  const keep = (channel: ChannelName, note: string): Promise<void> => store.write(new Map([[KEY + channel, utf8(note)]]));

  const takeGood = async (channel: ChannelName, note: string, signers: NoteSigners): Promise<Taken> => {
    const text = textOf(note);
    const before = await newest(channel);
    const witnessed = signers.trees.length + signers.growth.length >= witnessQuorum(members().length);
    if (!compared.has(text)) {
      const wrong = await contradiction(options, { channel, note, before, recent: recent.get(channel) ?? [] });
      if (wrong === 'unproven') return 'unproven';
      if (wrong !== undefined) {
        await options.forks.keep(wrong);
        return 'fork';
      }
      if (isDecided(options, note, channel)) remember(compared, text, COMPARED_MAX);
    }
    if (signers.trees.length + signers.growth.length > 1 && compared.has(text)) recent.set(channel, [note, ...(recent.get(channel) ?? [])].slice(0, RECENT_MAX));
    if (!witnessed) return 'known';
    const [held, taken] = [before === undefined ? undefined : parseCheckpoint(before), parseCheckpoint(note)];
    if (held === undefined || held.height < taken.height) return keep(channel, note).then(() => 'kept' as const);
    if (held.height > taken.height) return 'known';
    const merged = mergeNotes(before as string, note);
    if (merged !== before) await keep(channel, merged);
    return 'known';
  };

  return {
    newest,
    async toPass() {
      const notes = (await store.list(KEY)).map(([, bytes]) => fromUtf8(bytes));
      const reached = new Map(notes.map((note) => [parseCheckpoint(note).origin, parseCheckpoint(note).height]));
      const further = (await heads.all()).filter((note) => parseCheckpoint(note).height > (reached.get(parseCheckpoint(note).origin) ?? 0));
      const told = new Set(notes.map(textOf));
      const shared = [...recent.values()].flatMap(([latest]) => (latest === undefined || told.has(textOf(latest)) ? [] : [latest]));
      return [...notes, ...further, ...shared];
    },
    async take(note) {
      if (seen.has(note)) return 'known';
      const channel = channelOf(note);
      if (channel === undefined) return 'ignored';
      const list = members();
      const peers = list.map(({ org }) => org).filter((org, _, orgs) => runsPeer(org, channel, orgs));
      const all = await noteSigners(note, list.map(({ org, rootCertificate }) => ({ name: org, rootCertificate })), options.clock.now());
      // Who has no tree of the channel cannot sign as if it had one.
      const signers = { trees: all.trees.filter((org) => peers.includes(org as OrgId)), growth: all.growth };
      if (signers.trees.length === 0) return 'ignored';
      const good = keepSignatures(note, [...signers.trees, ...signers.growth]);
      const taken = await turns.run(channel, () => takeGood(channel, good, signers));
      if (compared.has(textOf(note)) && (taken === 'kept' || taken === 'known')) remember(seen, note, SEEN_MAX);
      return taken;
    },
  };
}

/** What the signatures are over. */
const textOf = (note: string): string => note.slice(0, note.lastIndexOf('\n\n'));
const namesOf = (note: string): ReadonlySet<string> => new Set(noteSignatures(note).map(({ name }) => name));

/** Whoever has the tree has not judged a note before the tree got so far. */
function isDecided({ witnesses }: NotesOptions, note: string, channel: ChannelName): boolean {
  return witnesses.find((witness) => witness.channel === channel)?.agrees(parseCheckpoint(note)) !== 'unknown';
}

function remember(set: Set<string>, text: string, max: number): void {
  if (set.size >= max) set.clear();
  set.add(text);
}

/** The channel that a note speaks of, when there can be such a one. */
export function channelOf(note: string): ChannelName | undefined {
  try {
    const named = /^healthkeep\/(.+)$/.exec(parseCheckpoint(note).origin)?.[1];
    const channel = ChannelName.safeParse(named);
    return channel.success ? channel.data : undefined;
  } catch (error) {
    if (isCoded(error, 'CHECKPOINT_INVALID')) return undefined;
    throw error;
  }
}

/** The proof that a note cannot be true beside what is known; `unproven` when nobody could connect it; undefined when it fits. */
async function contradiction(options: NotesOptions, { channel, note, before, recent }: { readonly channel: ChannelName; readonly note: string; readonly before: string | undefined; readonly recent: readonly string[] }): Promise<Comparison | 'unproven' | undefined> {
  const own = options.witnesses.find((witness) => witness.channel === channel);
  const checkpoint = parseCheckpoint(note);
  const agreed = own?.agrees(checkpoint);
  if (agreed === 'yes' && (before === undefined || own?.agrees(parseCheckpoint(before)) === 'yes')) return undefined;
  const beginnings = (shorter: Checkpoint, longer: Checkpoint): AsyncIterable<Beginning> => beginningsOf(options, { channel, own, shorter, longer });
  const comparison = before === undefined ? undefined : await compareNotes(before, note, beginnings);
  if (comparison?.verdict === 'fork') return comparison;
  // Whoever has the tree also sees a block that was exchanged without a trace in the leaves.
  const mine = agreed === 'no' ? await own?.checkpointAt(checkpoint.height) : undefined;
  const signed = namesOf(note);
  for (const held of recent.filter((one) => mine !== undefined && [...namesOf(one)].some((name) => signed.has(name)))) {
    const convicting = await compareNotes(held, note, beginnings);
    if (convicting.verdict === 'fork') return convicting;
  }
  if (mine !== undefined) return compareNotes(mine, note, beginnings);
  return comparison?.verdict === 'unproven' ? 'unproven' : undefined;
}

/** Who could show how the longer tree began: oneself, then everybody who runs a peer on the channel. */
async function* beginningsOf(options: NotesOptions, { channel, own, shorter, longer }: { readonly channel: ChannelName; readonly own: Witness | undefined; readonly shorter: Checkpoint; readonly longer: Checkpoint }): AsyncIterable<Beginning> {
  if (own?.agrees(longer) === 'yes') yield own.beginning(shorter.size, longer.size);
  const members = options.members().map(({ org }) => org);
  for (const org of members.filter((one) => one !== options.org && runsPeer(one, channel, members))) {
    const shown = await options.askBeginning(org, { channel, from: shorter.size, to: longer.size }).catch(() => undefined);
    if (shown !== undefined) yield shown;
  }
}
