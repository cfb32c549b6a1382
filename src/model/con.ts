/** CON, the consortium channel: members, directory, votes, checkpoints. */
import { z } from 'zod';
import { ChannelName, Digest, Instant, OrgId } from './ids.ts';
import { Certificate, HpkePublicKey } from './messages.ts';
import { moveInputs } from './move.ts';

/** What the network map says of a member. */
export const Member = z
  .strictObject({
    org: OrgId,
    name: z.string().min(2).max(80),
    /** The organisation's root certificate; everything it signs chains to it. */
    rootCertificate: Certificate,
    /** Base URL of its HTTP interface. */
    url: z.url(),
    /** Key for messages sealed to the organisation (data users: slots). */
    hpkePublicKey: HpkePublicKey,
  })
  .readonly();
export type Member = z.infer<typeof Member>;

/** `suspension`, `reinstatement` and `removal` are about a member's voice; its entry stays, so that its patients still find their records. */
export const ProposalKind = z.enum(['member', 'template', 'algorithm', 'suspension', 'reinstatement', 'removal']);
export type ProposalKind = z.infer<typeof ProposalKind>;
export const Standing = z.enum(['suspended', 'left']);
export type Standing = z.infer<typeof Standing>;
export const Standings = z.array(z.strictObject({ org: OrgId, standing: Standing }).readonly()).readonly();

export const ProposalId = z.string().regex(/^[a-z][a-z0-9-]{2,80}$/);

export const conInputs = {
  /** Once, on an empty channel: the founding members, who then vote on everything. */
  found: z.strictObject({ members: z.array(Member).min(1).max(100).readonly() }).readonly(),
  getMembers: z.strictObject({}).readonly(),
  /** A member may change its own name, URL and key; never its id or root. */
  updateMember: z.strictObject({ name: z.string().min(2).max(80), url: z.url(), hpkePublicKey: HpkePublicKey }).readonly(),
  /** `digest`: SHA-256 of the canonical JSON of what is voted on; `member` is required for kind member, `org` for those about a member's voice (digest of `{id, kind, org}`). */
  propose: z.strictObject({ id: ProposalId, kind: ProposalKind, digest: Digest, title: z.string().min(3).max(200), member: Member.optional(), org: OrgId.optional(), deadline: Instant }).readonly(),
  vote: z.strictObject({ id: ProposalId, choice: z.enum(['yes', 'no']) }).readonly(),
  getProposal: z.strictObject({ id: ProposalId }).readonly(),
  /** Read across channels by DRC: true only after acceptance. */
  isAccepted: z.strictObject({ kind: ProposalKind, digest: Digest }).readonly(),
  /** A member's signed view of a channel it runs a peer on. Sizes only grow; another root for the same size is refused and kept as evidence by both. */
  putCheckpoint: z.strictObject({ channel: ChannelName, size: z.int().min(1), root: Digest, height: z.int().min(1), blockHash: Digest, note: z.string().max(8_000) }).readonly(),
  getCheckpoint: z.strictObject({ channel: ChannelName, org: OrgId }).readonly(),
  /** The smallest checkpoint of the channel by that member that covers `size`. */
  findCheckpoint: z.strictObject({ channel: ChannelName, org: OrgId, size: z.int().min(1) }).readonly(),
  setTimeFloor: z.strictObject({ at: Instant }).readonly(),
  ...moveInputs,
} as const;

export const ProposalState = z
  .strictObject({
    kind: ProposalKind,
    digest: Digest,
    title: z.string(),
    member: Member.optional(),
    org: OrgId.optional(),
    deadline: Instant,
    by: OrgId,
    /** Members when it was proposed: the electorate. */
    electorate: z.array(OrgId).readonly(),
    votes: z.array(z.strictObject({ org: OrgId, choice: z.enum(['yes', 'no']), at: Instant }).readonly()).readonly(),
    state: z.enum(['open', 'accepted', 'rejected']),
  })
  .readonly();
export type ProposalState = z.infer<typeof ProposalState>;

export const CheckpointState = z
  .strictObject({ channel: ChannelName, org: OrgId, size: z.int(), root: Digest, height: z.int(), blockHash: Digest, note: z.string() })
  .readonly();
export type CheckpointState = z.infer<typeof CheckpointState>;
