/** Rules of the consortium channel: founding, votes, admission, checkpoints. */
import type { CheckpointState, Member, ProposalKind, ProposalState, Standing } from '../con.ts';
import type { ChannelName, Digest, Instant, OrgId } from '../ids.ts';
import { ChannelKind, channelOrgs } from '../orgs.ts';
import { decideDistinct } from './hdc.ts';
import { ALLOW, refuse, type Verdict } from './verdict.ts';

export type Choice = 'yes' | 'no';

/** Once, on an empty channel, by one of the founders. */
export function decideFound({ members, caller, founded }: { readonly members: readonly Member[]; readonly caller: OrgId; readonly founded: boolean }): Verdict {
  if (founded) return refuse('ALREADY_FOUNDED');
  if (!members.some((member) => member.org === caller)) return refuse('NOT_MEMBER');
  return decideDistinct(members.map((member) => member.org), 'members');
}

/** Only members act on CON. */
export function decideMember(caller: OrgId, members: readonly OrgId[]): Verdict {
  return members.includes(caller) ? ALLOW : refuse('NOT_MEMBER');
}

/** Members that are suspended or have left keep their entry, not their voice. */
export function decideStanding(standing: Standing | undefined): Verdict {
  return standing === undefined ? ALLOW : refuse('MEMBER_SILENT', { standing });
}

/** What a vote about a member's voice presupposes: suspended from present, reinstated from suspended, removed from either. */
const STANDING_BEFORE: Readonly<Record<string, readonly (Standing | undefined)[]>> = { suspension: [undefined], reinstatement: ['suspended'], removal: [undefined, 'suspended'] };

/** The standing after an accepted vote; undefined is a member with a voice. */
export function standingAfter(kind: ProposalKind): Standing | undefined {
  return kind === 'suspension' ? 'suspended' : kind === 'removal' ? 'left' : undefined;
}

export const isAboutVoice = (kind: ProposalKind): boolean => Object.hasOwn(STANDING_BEFORE, kind);

export interface VoiceQuestion {
  readonly kind: ProposalKind;
  readonly org: OrgId | undefined;
  readonly digest: Digest;
  /** SHA-256 of the canonical JSON of `{id, kind, org}`: the same is voted on anew under another id. */
  readonly expected: Digest | undefined;
  readonly members: readonly OrgId[];
  readonly standing: Standing | undefined;
}

/** The part of a proposal that is about a member's voice; ALLOW for all other kinds. */
export function decideVoiceProposal({ kind, org, digest, expected, members, standing }: VoiceQuestion): Verdict {
  if (isAboutVoice(kind) !== (org !== undefined)) return refuse('INPUT_INVALID', { path: 'org', problem: org === undefined ? 'missing' : 'unexpected' });
  if (org === undefined) return ALLOW;
  if (digest !== expected) return refuse('INPUT_INVALID', { path: 'digest', problem: 'not that of id, kind and organisation' });
  if (!members.includes(org)) return refuse('NOT_MEMBER');
  return mayFollow(kind, standing) ? ALLOW : refuse('PROPOSAL_DECIDED');
}

/** Asked again when a vote is accepted: another may have been accepted meanwhile, and whoever left is not brought back by an old one. */
export function mayFollow(kind: ProposalKind, standing: Standing | undefined): boolean {
  return STANDING_BEFORE[kind]?.includes(standing) === true;
}

export interface ProposeQuestion {
  readonly caller: OrgId;
  readonly kind: ProposalKind;
  readonly member: Member | undefined;
  /** SHA-256 of the member's canonical JSON, when there is one. */
  readonly memberDigest: Digest | undefined;
  readonly digest: Digest;
  readonly deadline: Instant;
  readonly members: readonly OrgId[];
  readonly idTaken: boolean;
  readonly accepted: boolean;
  readonly now: Instant;
}

/** Votes are about exact bytes: for a new member the digest of its directory entry. */
export function decidePropose(question: ProposeQuestion): Verdict {
  const { caller, kind, member, memberDigest, digest, deadline, members, idTaken, accepted, now } = question;
  if (!members.includes(caller)) return refuse('NOT_MEMBER');
  if (idTaken) return refuse('PROPOSAL_EXISTS');
  if (deadline <= now) return refuse('PROPOSAL_EXPIRED');
  if ((kind === 'member') !== (member !== undefined)) return refuse('INPUT_INVALID', { path: 'member', problem: kind === 'member' ? 'missing' : 'unexpected' });
  if (member !== undefined && memberDigest !== digest) return refuse('INPUT_INVALID', { path: 'digest', problem: 'not the member\'s digest' });
  if (member !== undefined && members.includes(member.org)) return refuse('MEMBER_EXISTS');
  return accepted ? refuse('PROPOSAL_DECIDED') : ALLOW;
}

/** One organisation, one vote, while the proposal is open, by an organisation that was a member when it was made. */
export function decideVote({ caller, proposal, now }: { readonly caller: OrgId; readonly proposal: ProposalState | undefined; readonly now: Instant }): Verdict {
  if (proposal === undefined) return refuse('PROPOSAL_UNKNOWN');
  if (!proposal.electorate.includes(caller)) return refuse('NOT_ELECTOR');
  if (proposal.votes.some((vote) => vote.org === caller)) return refuse('VOTE_EXISTS');
  if (proposal.state !== 'open') return refuse('PROPOSAL_DECIDED');
  return proposal.deadline > now ? ALLOW : refuse('PROPOSAL_EXPIRED');
}

/** Accepted by more than half of the electorate (not of the votes); rejected as soon as that cannot be reached. */
export function outcomeOf(proposal: Pick<ProposalState, 'electorate' | 'votes'>): ProposalState['state'] {
  const needed = Math.floor(proposal.electorate.length / 2) + 1;
  const count = (choice: Choice): number => proposal.votes.filter((vote) => vote.choice === choice).length;
  if (count('yes') >= needed) return 'accepted';
  return proposal.electorate.length - count('no') < needed ? 'rejected' : 'open';
}

/** How a proposal reads at a time: one still open after its deadline is rejected. */
export function proposalAt(proposal: ProposalState, floor: Instant | undefined): ProposalState {
  return proposal.state === 'open' && floor !== undefined && proposal.deadline <= floor ? { ...proposal, state: 'rejected' } : proposal;
}

/** Does the organisation run a peer on the channel? Unknown kinds of channel have none. */
export function runsPeer(org: OrgId, channel: ChannelName, members: readonly OrgId[]): boolean {
  if (!ChannelKind.safeParse(channel.split('-')[0]).success) return false;
  return channelOrgs(channel, members).peers.includes(org);
}

export interface CheckpointQuestion {
  readonly caller: OrgId;
  readonly checkpoint: CheckpointState;
  readonly members: readonly OrgId[];
  /** The member's newest checkpoint of the channel. */
  readonly latest: Pick<CheckpointState, 'size' | 'height'> | undefined;
  /** The first root that any member put for this size. */
  readonly knownRoot: Digest | undefined;
}

/** The note's text says what the fields say; its signatures are for readers, who hold the certificates. */
export function noteHead(checkpoint: Pick<CheckpointState, 'channel' | 'size' | 'root' | 'height' | 'blockHash'>): string {
  const base64 = (digest: Digest): string => `${digest.replaceAll('-', '+').replaceAll('_', '/')}=`;
  return `healthkeep/${checkpoint.channel}\n${checkpoint.size}\n${base64(checkpoint.root)}\nheight ${checkpoint.height}\nblock ${base64(checkpoint.blockHash)}\n\n`;
}

/** Sizes and heights only grow; another root for a size is a fork. The same checkpoint again changes nothing. */
export function decideCheckpoint({ caller, checkpoint, members, latest, knownRoot }: CheckpointQuestion): Verdict {
  if (!members.includes(caller)) return refuse('NOT_MEMBER');
  if (!runsPeer(caller, checkpoint.channel, members)) return refuse('CHECKPOINT_NOT_PEER');
  if (!checkpoint.note.startsWith(noteHead(checkpoint))) return refuse('CHECKPOINT_NOTE');
  if (knownRoot !== undefined && knownRoot !== checkpoint.root) return refuse('CHECKPOINT_FORKED', { channel: checkpoint.channel, size: checkpoint.size });
  if (latest === undefined) return ALLOW;
  if (checkpoint.size < latest.size || checkpoint.height < latest.height) return refuse('CHECKPOINT_BEHIND', { size: latest.size });
  return ALLOW;
}

/**
 * How many members must have signed a checkpoint before a device pins it: more than half even after one that lies is taken
 * away, so that two quorums always share an honest member (all of them, where there are too few for that).
 */
export function witnessQuorum(members: number): number {
  return Math.min(members, Math.floor((members + 1) / 2) + 1);
}

export interface ForkSides {
  /** Whose signatures stand on the one note and on the other. */
  readonly signers: readonly [readonly OrgId[], readonly OrgId[]];
  /** Organisations that run a peer on the channel. */
  readonly peers: readonly OrgId[];
}

/** Members whose own signatures contradict each other. */
export function convicted({ signers: [one, other] }: Pick<ForkSides, 'signers'>): readonly OrgId[] {
  return one.filter((org) => other.includes(org));
}

/**
 * Must a channel be left alone after a proven fork? Yes, when honest-looking members stand on both sides (the ledger was
 * shown in two versions) or when nobody who runs it is left unconvicted. Otherwise a member lied and the ledger goes on.
 */
export function forkStops(sides: ForkSides): boolean {
  const liars = convicted(sides);
  const honest = (signers: readonly OrgId[]): boolean => signers.some((org) => !liars.includes(org));
  return (honest(sides.signers[0]) && honest(sides.signers[1])) || sides.peers.every((org) => liars.includes(org));
}
