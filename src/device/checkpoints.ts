/**
 * A device keeps the newest checkpoint of every channel that a quorum of members signed, and sees at each contact that the
 * channel grew out of it (docs/protocol.md section 7). It keeps those of all channels, whether it uses them or not, and asks
 * without a signature, so that nobody learns from it where its owner is a patient.
 */
import { createApiClient, type ApiClient } from '#api/client.ts';
import { commonEndpoints } from '#api/endpoints.ts';
import { fromBase64url, toBase64url } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import { keepSignatures, mergeNotes, noteSigners, parseCheckpoint, type Checkpoint } from '#crypto/checkpoint.ts';
import { compareNotes, type Beginning, type Comparison } from '#crypto/growth.ts';
import type { LedgerClient, TransactionCall } from '#ledger/client.ts';
import type { Member } from '#model/con.ts';
import type { ForkEvidence } from '#model/fork.ts';
import { ChannelName, Digest, type OrgId } from '#model/ids.ts';
import { convicted, forkStops, runsPeer, witnessQuorum } from '#model/rules/con.ts';
import type { Context } from './context.ts';
import { knownMembers } from './organisations.ts';
import { codeOf } from './persistence.ts';
import { forks, links, pins, type KeptFork, type Pin } from './state.ts';
import { put, type Vault } from './vault.ts';

/** What an owner is shown of a channel. */
export interface CheckpointView {
  readonly channel: ChannelName;
  readonly leaves: number;
  readonly blocks: number;
  /** As signed. */
  readonly note: string;
  /** Members that have the tree themselves, and those that watched it grow. */
  readonly trees: readonly string[];
  readonly growth: readonly string[];
  /** UTC milliseconds. */
  readonly seenAt: number;
  /** LEDGER_FORKED or LEDGER_ROLLED_BACK: the device leaves the channel alone. */
  readonly problem?: string;
  /** The proof, once two histories were seen; `convicted` signed both. */
  readonly fork?: { readonly convicted: readonly OrgId[]; readonly evidence: ForkEvidence };
}

/** What came of one note. */
export type Compared = 'pinned' | 'fits' | 'ignored' | 'fork' | 'unproven';

type Api = ApiClient<typeof commonEndpoints>;
const apiOf = (context: Context, { url }: Pick<Member, 'url'>): Api => createApiClient({ table: commonEndpoints, baseUrl: url, fetch: context.fetch });

/** Synchronisations follow one another quickly while something is under way; members need not be asked each time. */
const WATCH_EVERY_MS = 10_000;
const watchedAt = new WeakMap<Vault, number>();

/** `exchangeCheckpoints`, unless this process did it a moment ago: then only what is known to be wrong. */
export async function watchCheckpoints(context: Context): Promise<readonly string[]> {
  const [last, now] = [watchedAt.get(context.vault), context.clock.now()];
  if (last !== undefined && now >= last && now - last < WATCH_EVERY_MS) return knownProblems(context.vault);
  return exchangeCheckpoints(context);
}

/** Exchanges checkpoints with the user organisation, the linked keepers and one member by chance. Returns the codes of what is wrong. */
export async function exchangeCheckpoints(context: Context): Promise<readonly string[]> {
  const members = await knownMembers(context);
  const linked = new Set((await context.vault.all(links)).map(([, { keeper }]) => keeper));
  const near = members.filter(({ org, url }) => linked.has(org) || url === context.userOrgUrl);
  const others = members.filter((member) => !near.includes(member));
  const chance = others[(context.random.bytes(1)[0] as number) % Math.max(1, others.length)];
  const codes = new Set<string>();
  watchedAt.set(context.vault, context.clock.now());
  for (const member of chance === undefined ? near : [...near, chance]) {
    // A member that does not answer is no news; the next one is asked.
    for (const code of await meet(context, member).catch((error: unknown) => silence(context, member, error))) codes.add(code);
  }
  return [...codes];
}

function silence(context: Context, { org }: Member, error: unknown): readonly string[] {
  if (codeOf(error) === 'SYNC_INTERRUPTED') throw error;
  context.log('info', 'device.checkpoints-unread', { org, code: codeOf(error) });
  return [];
}

/** One contact: notes are told both ways, and what the member knows is held against what is pinned here. */
export async function meet(context: Context, member: Member): Promise<readonly string[]> {
  const { vault } = context;
  const known = await vault.all(pins);
  const { notes } = await apiOf(context, member).notes({ body: { notes: known.map(([, { note }]) => note) } });
  const codes: string[] = [];
  for (const note of notes) {
    const compared = await compareWith(context, note, member);
    if (compared === 'unproven') codes.push('CHECKPOINT_UNPROVEN');
  }
  for (const [channel, pin] of await vault.all(pins)) if (known.some(([before]) => before === channel)) await noteForgetting(context, { pin, member, notes });
  return [...codes, ...(await knownProblems(vault))];
}

async function knownProblems(vault: Vault): Promise<readonly string[]> {
  const problems = await Promise.all((await vault.all(pins)).map(([, { channel }]) => problemOf(vault, channel)));
  return problems.filter((problem) => problem !== undefined);
}

/** Holds a note from anywhere against the pinned one; `from` is asked first how the longer tree began. */
export async function compareWith(context: Context, note: string, from?: Pick<Member, 'url'>): Promise<Compared> {
  const named = ChannelName.safeParse(/^healthkeep\/(\S+)\n/.exec(note)?.[1]);
  if (named.success && (await context.vault.get(pins, named.data))?.note === note) return 'fits';
  const members = await knownMembers(context);
  const signed = await signersOf(note, members, context.clock.now());
  if (signed === undefined) return 'ignored';
  const { channel, trees, growth } = signed;
  const good = keepSignatures(note, [...trees, ...growth]);
  const pin = await context.vault.get(pins, channel);
  const witnessed = trees.length + growth.length >= witnessQuorum(members.length);
  if (pin === undefined) return witnessed ? keepPin(context, { channel, note: good }) : 'fits';
  const comparison = await compareNotes(pin.note, good, (shorter, longer) => beginnings(context, { channel, shorter, longer, members, from }));
  if (comparison.verdict === 'fork') return keepFork(context, channel, comparison, members);
  if (comparison.verdict === 'unproven') return witnessed ? 'unproven' : 'fits';
  if (!witnessed || comparison.verdict === 'shorter') return 'fits';
  return keepPin(context, { channel, note: comparison.verdict === 'same' ? mergeNotes(pin.note, good) : good });
}

async function keepPin(context: Context, { channel, note }: { readonly channel: ChannelName; readonly note: string }): Promise<Compared> {
  const before = await context.vault.get(pins, channel);
  if (before?.note === note) return 'fits';
  await context.vault.write(put(pins, channel, { ...before, channel, note, seenAt: context.clock.now() }));
  return 'pinned';
}

interface Signed {
  readonly channel: ChannelName;
  readonly trees: readonly OrgId[];
  readonly growth: readonly OrgId[];
}

/** Whose good signatures a note carries; undefined when no member that runs the channel signed it. */
async function signersOf(note: string, members: readonly Member[], at?: number): Promise<Signed | undefined> {
  const orgs = members.map(({ org }) => org);
  const { trees, growth } = await noteSigners(note, members.map(({ org, rootCertificate }) => ({ name: org, rootCertificate })), at);
  const channel = ChannelName.safeParse(trees.length === 0 ? undefined : parseCheckpoint(note).origin.replace(/^healthkeep\//, ''));
  if (!channel.success) return undefined;
  const runners = (trees as OrgId[]).filter((org) => runsPeer(org, channel.data, orgs));
  return runners.length === 0 ? undefined : { channel: channel.data, trees: runners, growth: growth as OrgId[] };
}

interface Question {
  readonly channel: ChannelName;
  readonly shorter: Checkpoint;
  readonly longer: Checkpoint;
  readonly members: readonly Member[];
  readonly from: Pick<Member, 'url'> | undefined;
}

/** Who could show how the longer tree began: whoever told of it, then the user organisation, then all. */
async function* beginnings(context: Context, { channel, shorter, longer, members, from }: Question): AsyncIterable<Beginning> {
  const urls = new Set([...(from === undefined ? [] : [from.url]), context.userOrgUrl, ...members.map(({ url }) => url)]);
  for (const url of urls) {
    try {
      const { root, path } = await apiOf(context, { url }).growth({ query: { channel, from: shorter.size, to: longer.size } });
      yield { root: fromBase64url(root), path: path.map((hash) => fromBase64url(hash)) };
    } catch (error) {
      if (codeOf(error) === 'SYNC_INTERRUPTED') throw error;
    }
  }
}

async function keepFork(context: Context, channel: ChannelName, comparison: Comparison, members: readonly Member[]): Promise<Compared> {
  const known = await context.vault.get(forks, channel);
  const [one, other] = await Promise.all(comparison.notes.map((note) => signersOf(note, members)));
  const all = (signed: Signed | undefined): readonly OrgId[] => [...(signed?.trees ?? []), ...(signed?.growth ?? [])];
  const signers = [all(one), all(other)] as const;
  const orgs = members.map(({ org }) => org);
  const stops = forkStops({ signers, peers: orgs.filter((org) => runsPeer(org, channel, orgs)) });
  // The first proof stays, unless a later one weighs more.
  if (known === undefined || (stops && !known.stops)) {
    const kept: KeptFork = { channel, evidence: evidenceOf(comparison, members), foundAt: context.clock.now(), stops, convicted: [...convicted({ signers })] };
    await context.vault.write(put(forks, channel, kept));
    context.log('error', 'device.fork-found', { channel, stops });
  }
  return 'fork';
}

function evidenceOf({ notes, beginning }: Comparison, members: readonly Member[]): ForkEvidence {
  const digest = (hash: Uint8Array): Digest => Digest.parse(toBase64url(hash));
  return {
    kind: 'healthkeep-fork',
    version: 1,
    notes: [...notes],
    beginning: beginning === undefined ? null : { root: digest(beginning.root), path: beginning.path.map(digest) },
    members: members.map(({ org, rootCertificate }) => ({ org, rootCertificate })),
  };
}

/** Whoever signed the pinned note knew it; a member whose newest one is older was put back, or says so to this device only. */
async function noteForgetting(context: Context, { pin, member, notes }: { readonly pin: Pin; readonly member: Member; readonly notes: readonly string[] }): Promise<void> {
  const { origin, height } = parseCheckpoint(pin.note);
  const knows = notes.some((note) => note.startsWith(`${origin}\n`) && parseCheckpoint(note).height >= height);
  const signed = pin.note.includes(`\n— ${member.org} `);
  if (knows && pin.forgottenBy === member.org) {
    const { forgottenBy: _, ...cleared } = pin;
    await context.vault.write(put(pins, pin.channel, cleared));
  }
  if (knows || !signed || pin.forgottenBy !== undefined) return;
  await context.vault.write(put(pins, pin.channel, { ...pin, forgottenBy: member.org }));
  context.log('error', 'device.rollback-found', { channel: pin.channel, org: member.org });
}

async function problemOf(vault: Vault, channel: ChannelName): Promise<'LEDGER_FORKED' | 'LEDGER_ROLLED_BACK' | undefined> {
  if ((await vault.get(forks, channel))?.stops === true) return 'LEDGER_FORKED';
  return (await vault.get(pins, channel))?.forgottenBy === undefined ? undefined : 'LEDGER_ROLLED_BACK';
}

/** What can only take back may still be said on a channel that is not believed, and what is asked for that. */
const TAKING_BACK: ReadonlySet<string> = new Set(['revokeRelease', 'revokeGrant', 'withdrawSlot', 'getOrder', 'getSlot']);

/** The same ledger, silent on channels of which two histories were seen. Throws LEDGER_FORKED, LEDGER_ROLLED_BACK. */
export function guardedLedger(ledger: LedgerClient, vault: Vault): LedgerClient {
  const check = async ({ channel, name }: TransactionCall): Promise<void> => {
    if (TAKING_BACK.has(name)) return;
    const problem = await problemOf(vault, channel as ChannelName);
    if (problem !== undefined) throw new CodedError(problem, problem === 'LEDGER_FORKED' ? 'Two histories of this channel were shown.' : 'A member knows less of this channel than it signed before.', { channel });
  };
  return {
    ...ledger,
    async submit(call) {
      await check(call);
      return ledger.submit(call);
    },
    async evaluate(call) {
      await check(call);
      return ledger.evaluate(call);
    },
  };
}

/** What is pinned and what was found, by channel. */
export async function checkpointViews(context: Context): Promise<readonly CheckpointView[]> {
  const members = await knownMembers(context);
  const views: CheckpointView[] = [];
  for (const [, { channel, note, seenAt }] of await context.vault.all(pins)) {
    const { size, height } = parseCheckpoint(note);
    const signed = await signersOf(note, members);
    const [problem, fork] = [await problemOf(context.vault, channel), await context.vault.get(forks, channel)];
    views.push({
      channel, leaves: size, blocks: height, note, trees: signed?.trees ?? [], growth: signed?.growth ?? [], seenAt,
      ...(problem === undefined ? {} : { problem }),
      ...(fork === undefined ? {} : { fork: { convicted: fork.convicted, evidence: fork.evidence } }),
    });
  }
  return views.sort((one, other) => (one.channel < other.channel ? -1 : 1));
}
