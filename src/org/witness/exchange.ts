/**
 * Members watching one another: each gathers co-signatures on the checkpoints of the channels it runs, passes the newest of
 * every channel on, and answers whoever asks how a tree began (docs/protocol.md section 7).
 */
import { createApiClient, type ApiClient } from '#api/client.ts';
import { commonEndpoints } from '#api/endpoints.ts';
import type { Handlers } from '#api/handlers.ts';
import { fromBase64url, toBase64url } from '#base/bytes.ts';
import { CodedError, isCoded } from '#base/errors.ts';
import { keepSignatures, mergeNotes, noteSigners, parseCheckpoint, signNote } from '#crypto/checkpoint.ts';
import type { Beginning } from '#crypto/growth.ts';
import type { Member } from '#model/con.ts';
import type { TreeBeginning } from '#model/fork.ts';
import { Digest, type ChannelName, type OrgId } from '#model/ids.ts';
import { runsPeer } from '#model/rules/con.ts';
import { codeOf, type Consortium } from '../consortium.ts';
import { within } from '../patience.ts';
import { signerOf } from '../signing.ts';
import { createTicker, type Ticker } from '../ticker.ts';
import type { OrgDeps } from '../types.ts';
import { createForks, type Forks } from './forks.ts';
import { createHeads, type Heads } from './heads.ts';
import { channelOf, createNotes, type Notes } from './notes.ts';
import type { Witness } from './witness.ts';

const EVERY_SECONDS = 15;
const FIRST_SECONDS = 1;
const ANSWER_MS = 5_000;
/** A block that is about to arrive is worth the wait: members see it at slightly different moments. */
const WAIT_BLOCKS = 2;

export interface Exchange extends Ticker {
  readonly forks: Forks;
  readonly notes: Notes;
  readonly handlers: Pick<Handlers<typeof commonEndpoints>, 'cosign' | 'notes' | 'growth' | 'forks'>;
  /** Gathers co-signatures on the present checkpoints of this member's channels. */
  publish(): Promise<void>;
  /** Exchanges newest notes with a member. */
  meet(member: Member): Promise<void>;
}

/** What members watch each other with; made before the witnesses, because they sign nothing without it. */
export interface Memory {
  readonly forks: Forks;
  readonly heads: Heads;
}

export function createMemory({ deps, consortium }: { readonly deps: Pick<OrgDeps, 'store' | 'log'>; readonly consortium: Pick<Consortium, 'members'> }): Memory {
  const forks = createForks({ store: deps.store, members: () => consortium.members(), log: deps.log });
  return { forks, heads: createHeads({ store: deps.store, forks }) };
}

export interface ExchangeOptions {
  readonly deps: Pick<OrgDeps, 'identity' | 'store' | 'fetch' | 'clock' | 'random' | 'scheduler' | 'log'>;
  readonly consortium: Consortium;
  readonly witnesses: readonly Witness[];
  readonly memory: Memory;
  readonly everySeconds?: number;
}

type Api = ApiClient<typeof commonEndpoints>;

export function createExchange(options: ExchangeOptions): Exchange {
  const { deps, consortium, witnesses, memory } = options;
  const { org, system } = deps.identity;
  const api = (member: Member): Api => createApiClient({ table: commonEndpoints, baseUrl: member.url, fetch: deps.fetch, sign: signerOf(deps, system) });
  const inTime = <T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> => within(deps.scheduler, ANSWER_MS, work);
  const askBeginning = async (of: OrgId, query: { readonly channel: ChannelName; readonly from: number; readonly to: number }): Promise<Beginning> => {
    const member = consortium.member(of);
    if (member === undefined) throw new CodedError('CHANNEL_UNKNOWN', 'No member of that name runs the channel.', { org: of });
    return beginningOf(await inTime((signal) => api(member).growth({ query, signal })));
  };
  const notes = createNotes({ org, store: deps.store, members: () => consortium.members(), witnesses, heads: memory.heads, forks: memory.forks, clock: deps.clock, askBeginning });
  const others = (): readonly Member[] => consortium.members().filter((member) => member.org !== org);

  const meet = async (member: Member): Promise<void> => {
    const answer = await inTime(async (signal) => api(member).notes({ body: { notes: [...(await notes.toPass())] }, signal }));
    for (const note of answer.notes) await notes.take(note);
  };
  const publish = async (): Promise<void> => {
    for (const witness of witnesses) {
      if (!witness.sound() || witness.size() === 0) continue;
      const newest = await notes.newest(witness.channel);
      if (newest !== undefined && parseCheckpoint(newest).size >= witness.size()) continue;
      const note = await witness.checkpoint();
      const answers = await Promise.allSettled(others().map((member) => cosigned({ deps, member, witness, note, call: (body) => inTime((signal) => api(member).cosign({ body, signal })) })));
      for (const [at, answer] of answers.entries()) if (answer.status === 'rejected') deps.log('info', 'checkpoint.not-cosigned', { org: others()[at]?.org, channel: witness.channel, code: codeOf(answer.reason) });
      await notes.take(mergeNotes(note, ...answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []))));
    }
  };
  const work = async (): Promise<void> => {
    await publish();
    const choice = others();
    const member = choice[(deps.random.bytes(1)[0] as number) % Math.max(1, choice.length)];
    if (member !== undefined) await meet(member).catch((error: unknown) => deps.log('info', 'checkpoint.not-met', { org: member.org, code: codeOf(error) }));
  };

  return {
    ...createTicker({ name: 'checkpoint-exchange', everySeconds: options.everySeconds ?? EVERY_SECONDS, delaySeconds: FIRST_SECONDS, scheduler: deps.scheduler, log: deps.log, work }),
    forks: memory.forks,
    notes,
    publish,
    meet,
    handlers: {
      async cosign({ body }) {
        // A note that contradicts what is known is kept as evidence, whatever becomes of the question.
        await notes.take(body.note);
        return { note: await cosign({ ...options, body }) };
      },
      async notes({ body }) {
        for (const note of body.notes) await notes.take(note);
        return { notes: [...(await notes.toPass())] };
      },
      growth: ({ query }) => growth({ witnesses, askBeginning, members: consortium.members(), org }, query),
      forks: async () => ({ forks: [...(await memory.forks.list())] }),
    },
  };
}

type CosignBody = { readonly note: string; readonly from?: number | undefined; readonly beginning?: TreeBeginning | undefined };

/** Signs as one that has the tree, where it has one; else as a witness that it only grew. */
async function cosign({ deps, consortium, witnesses, memory, body }: ExchangeOptions & { readonly body: CosignBody }): Promise<string> {
  const { note, from } = body;
  const channel = channelOf(note);
  if (channel === undefined) throw new CodedError('CHECKPOINT_INVALID', 'The note names no channel.');
  const witness = witnesses.find((one) => one.channel === channel);
  if (witness !== undefined) {
    const { height } = parseCheckpoint(note);
    if (height > witness.height() && height <= witness.height() + WAIT_BLOCKS) await witness.caughtUp(height - 1);
    return witness.cosign(note);
  }
  const members = consortium.members();
  const signers = await noteSigners(note, members.map(({ org, rootCertificate }) => ({ name: org, rootCertificate })), deps.clock.now());
  const trees = signers.trees.filter((org) => runsPeer(org as OrgId, channel, members.map((member) => member.org)));
  if (trees.length === 0) throw new CodedError('CHECKPOINT_INVALID', 'No member that runs the channel signed the note.');
  const beginning = body.beginning === undefined ? undefined : beginningOf(body.beginning);
  const { org, peer } = deps.identity;
  const cosignedAt = Math.floor(deps.clock.now() / 1_000);
  const sign = (text: string): Promise<string> => signNote(text, { name: org, certificate: peer.certificate, sign: (message) => peer.sign(message), cosignedAt });
  return memory.heads.advance(keepSignatures(note, trees), { beginningFrom: (size) => (size === from ? beginning : undefined), sign });
}

interface Asked {
  readonly deps: Pick<OrgDeps, 'clock'>;
  readonly member: Member;
  readonly witness: Witness;
  readonly note: string;
  readonly call: (body: CosignBody) => Promise<{ readonly note: string }>;
}

/** One member's co-signature and nothing else; the path is sent when it says from where. */
async function cosigned({ deps, member, witness, note, call }: Asked): Promise<string> {
  const { size } = parseCheckpoint(note);
  const answer = await call({ note }).catch((error: unknown) => {
    const from = isCoded(error, 'WITNESS_SIZE') ? Number(error.details['size']) : Number.NaN;
    if (!(from >= 1 && from < size)) throw error;
    return call({ note, from, beginning: textOf(witness.beginning(from, size)) });
  });
  const { trees, growth } = await noteSigners(answer.note, [{ name: member.org, rootCertificate: member.rootCertificate }], deps.clock.now());
  if (trees.length + growth.length === 0) throw new CodedError('CHECKPOINT_INVALID', 'The co-signature is not good.', { org: member.org });
  return keepSignatures(answer.note, [member.org]);
}

interface GrowthParts {
  readonly org: OrgId;
  readonly witnesses: readonly Witness[];
  readonly members: readonly Member[];
  readonly askBeginning: (org: OrgId, query: { readonly channel: ChannelName; readonly from: number; readonly to: number }) => Promise<Beginning>;
}

/** From the own tree; else asked of the members that have it, so that whoever asks here need not show up there. */
async function growth({ org, witnesses, members, askBeginning }: GrowthParts, query: { readonly channel: ChannelName; readonly from: number; readonly to: number }): Promise<TreeBeginning> {
  const own = witnesses.find((witness) => witness.channel === query.channel);
  if (own !== undefined) return textOf(own.beginning(query.from, query.to));
  const orgs = members.map((member) => member.org);
  const runners = orgs.filter((one) => one !== org && runsPeer(one, query.channel, orgs));
  for (const runner of runners) {
    const shown = await askBeginning(runner, query).catch(() => undefined);
    if (shown !== undefined) return textOf(shown);
  }
  throw runners.length === 0 ? new CodedError('CHANNEL_UNKNOWN', 'No member runs a peer on that channel.') : new CodedError('WITNESS_BEHIND', 'No member that runs the channel could show that.', { channel: query.channel });
}

function textOf({ root, path }: Beginning): TreeBeginning {
  const digest = (hash: Uint8Array): Digest => Digest.parse(toBase64url(hash));
  return { root: digest(root), path: path.map(digest) };
}

const beginningOf = ({ root, path }: TreeBeginning): Beginning => ({ root: fromBase64url(root), path: path.map((hash) => fromBase64url(hash)) });
