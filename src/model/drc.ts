/** DRC, the data request channel: templates, one-time slots, sealed invitations and answers, receipts, erasures, statements. */
import { z } from 'zod';
import { CallerId, Digest, Instant, OrgId, SlotTag, TemplateId, sealed } from './ids.ts';
import { ANSWER_BYTES, Decision, INVITATION_BYTES, SLOT_BYTES } from './messages.ts';
import { Amount, RequestTemplate, TemplateRef } from './template.ts';
import { moveInputs } from './move.ts';

export const SealedSlot = sealed(SLOT_BYTES);
export const SealedInvitation = sealed(INVITATION_BYTES);
export const SealedAnswer = sealed(ANSWER_BYTES);

const KeeperShare = z.strictObject({ org: OrgId, items: z.int().min(0) }).readonly();
const slotOnly = z.strictObject({ slot: SlotTag }).readonly();

export const ReportReason = z.enum(['misleading', 'too-many', 'not-mine', 'pressure', 'other']);

export const drcInputs = {
  /** B1. Accepted only when CON has an accepted proposal of kind `template` for this digest. */
  publishTemplate: z.strictObject({ template: RequestTemplate }).readonly(),
  getTemplate: z.strictObject({ id: TemplateId, version: z.int().min(1) }).readonly(),
  listTemplates: z.strictObject({}).readonly(),
  /** B2. One slot lets `duo` write one invitation. A permit of quota q is q slots, each under its own one-time certificate. */
  openSlot: z
    .strictObject({ slot: SlotTag, duo: OrgId, templates: z.array(TemplateRef).min(1).max(10).readonly(), notBefore: Instant, until: Instant, sealed: SealedSlot })
    .readonly(),
  /** B6. By the certificate that opened it. */
  withdrawSlot: slotOnly,
  reportSlot: z.strictObject({ slot: SlotTag, reason: ReportReason }).readonly(),
  /** B3. */
  invite: z.strictObject({ slot: SlotTag, template: TemplateRef, sealed: SealedInvitation, answerBy: Instant }).readonly(),
  /** C3. `recipientKeyDigest` and `grantCommitment` are of zero bytes when the decision is no. */
  respond: z
    .strictObject({ slot: SlotTag, decision: Decision, grantCommitment: Digest, recipientKeyDigest: Digest, until: Instant, eraseAt: Instant, sealed: SealedAnswer })
    .readonly(),
  revokeGrant: slotOnly,
  /** C8. Once per slot, by the data user. */
  putReceipt: z
    .strictObject({ slot: SlotTag, packageDigest: Digest, delivered: z.int().min(0), verified: z.int().min(0), keepers: z.array(KeeperShare).max(100).readonly() })
    .readonly(),
  /** C10. */
  putErasure: z.strictObject({ slot: SlotTag, reason: z.enum(['due', 'revoked', 'early']), receiptDigest: Digest }).readonly(),
  /** By the certificate that opened the slot, or the slot's data user; everybody else gets SLOT_UNKNOWN. */
  getSlot: slotOnly,
  /** The caller's own slots only. */
  listSlots: z.strictObject({ bookmark: z.string().max(400), pageSize: z.int().min(1).max(500) }).readonly(),
  /** C9: settles every unsettled receipt of the caller's organisation; statement numbers count from 1. */
  settle: z.strictObject({ number: z.int().min(1) }).readonly(),
  getStatement: z.strictObject({ number: z.int().min(1) }).readonly(),
  setTimeFloor: z.strictObject({ at: Instant }).readonly(),
  ...moveInputs,
} as const;

export const TemplateState = z.strictObject({ template: RequestTemplate, digest: Digest, publishedAt: Instant }).readonly();
export type TemplateState = z.infer<typeof TemplateState>;

export const SlotPhase = z.enum(['open', 'withdrawn', 'invited', 'answered', 'refused', 'revoked']);
export type SlotPhase = z.infer<typeof SlotPhase>;

/** State under (`slot`, tag); (`duo-slot`, duo, tag) lists a data user's own. */
export const SlotState = z
  .strictObject({
    owner: CallerId,
    duo: OrgId,
    templates: z.array(TemplateRef).readonly(),
    notBefore: Instant,
    until: Instant,
    sealed: SealedSlot,
    phase: SlotPhase,
    invitation: z.strictObject({ template: TemplateRef, sealed: SealedInvitation, answerBy: Instant, at: Instant }).readonly().optional(),
    answer: z
      .strictObject({ decision: Decision, grantCommitment: Digest, recipientKeyDigest: Digest, until: Instant, eraseAt: Instant, sealed: SealedAnswer, at: Instant })
      .readonly()
      .optional(),
    revokedAt: Instant.optional(),
    receipt: z
      .strictObject({ packageDigest: Digest, delivered: z.int(), verified: z.int(), keepers: z.array(KeeperShare).readonly(), at: Instant, statement: z.int().optional() })
      .readonly()
      .optional(),
    erasure: z.strictObject({ reason: z.enum(['due', 'revoked', 'early']), receiptDigest: Digest, at: Instant }).readonly().optional(),
    reports: z.array(ReportReason).readonly(),
  })
  .readonly();
export type SlotState = z.infer<typeof SlotState>;

/** One settled answer. All amounts in minor units; owner + keepers + operator = amount. */
export const StatementLine = z
  .strictObject({ slot: SlotTag, template: TemplateRef, items: z.int(), amount: Amount, owner: Amount, operator: Amount, keepers: z.array(z.strictObject({ org: OrgId, amount: Amount }).readonly()).readonly() })
  .readonly();
export type StatementLine = z.infer<typeof StatementLine>;

export const Statement = z
  .strictObject({ duo: OrgId, number: z.int(), currency: z.string(), lines: z.array(StatementLine).readonly(), total: Amount, at: Instant })
  .readonly();
export type Statement = z.infer<typeof Statement>;
