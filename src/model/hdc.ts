/** HDC, one health data channel per keeper: anchors, owners, orders, releases, access log digests, erasures. */
import { z } from 'zod';
import { Digest, GrantId, Instant, OrgId, PairwiseId, RecordId, Signature, SlotTag, SubjectId } from './ids.ts';
import { Purpose } from './template.ts';
import { moveInputs } from './move.ts';

/** Off- and on-ledger policy per kind of data (features 3.5) is keyed by this. */
export const RecordClass = z.enum(['clinical', 'imaging', 'genomic', 'device', 'self-reported']);
export type RecordClass = z.infer<typeof RecordClass>;

export const ANCHORS_MAX = 500;

/** One anchored record. The commitment is salted by the verification key, so it says nothing once that is destroyed. */
export const Anchor = z.strictObject({ id: RecordId, subject: SubjectId, commitment: Digest, signature: Signature, class: RecordClass }).readonly();
export type Anchor = z.infer<typeof Anchor>;

/** The owner's order, as far as the keeper's channel must know it; the keeper also holds the signed grant. */
export const ReleaseOrder = z
  .strictObject({
    grant: GrantId,
    /** HMAC-SHA-256(grant.salt, grant payload). */
    grantDigest: Digest,
    subject: SubjectId,
    items: z.array(RecordId).min(1).max(10_000).readonly(),
    recipient: OrgId,
    recipientKeyDigest: Digest,
    purpose: Purpose,
    until: Instant,
    eraseAt: Instant,
    slot: SlotTag,
  })
  .readonly();
export type ReleaseOrder = z.infer<typeof ReleaseOrder>;

export const hdcInputs = {
  /**
   * Binds the keeper's subject to the owner's pairwise pseudonym and to the key shown at the desk: `key` is SHA-256 of the
   * certificate's SubjectPublicKeyInfo, so that another certificate with the same name is nobody. `linkDigest` is SHA-256
   * of the signed link request.
   */
  linkOwner: z.strictObject({ subject: SubjectId, owner: PairwiseId, key: Digest, linkDigest: Digest }).readonly(),
  anchorRecords: z.strictObject({ anchors: z.array(Anchor).min(1).max(ANCHORS_MAX).readonly() }).readonly(),
  getAnchors: z.strictObject({ ids: z.array(RecordId).min(1).max(1_000).readonly() }).readonly(),
  /** All anchors page by page, for the keeper's own tamper check. */
  listAnchors: z.strictObject({ bookmark: z.string().max(400), pageSize: z.int().min(1).max(1_000) }).readonly(),
  getOwner: z.strictObject({ subject: SubjectId }).readonly(),
  orderRelease: ReleaseOrder,
  revokeRelease: z.strictObject({ grant: GrantId }).readonly(),
  recordRelease: z
    .strictObject({
      grant: GrantId,
      manifestDigest: Digest,
      items: z.array(RecordId).min(1).max(10_000).readonly(),
      recipientKeyDigest: Digest,
    })
    .readonly(),
  getOrder: z.strictObject({ grant: GrantId }).readonly(),
  /** Commits the access log: lines `from`..`to` end in the chained digest `head`. */
  logAccess: z.strictObject({ from: z.int().min(0), to: z.int().min(0), head: Digest }).readonly(),
  getAccessHead: z.strictObject({}).readonly(),
  orderErasure: z.strictObject({ subject: SubjectId, items: z.array(RecordId).min(1).max(1_000).readonly() }).readonly(),
  recordErasure: z.strictObject({ items: z.array(RecordId).min(1).max(1_000).readonly(), receiptDigest: Digest }).readonly(),
  setTimeFloor: z.strictObject({ at: Instant }).readonly(),
  ...moveInputs,
} as const;

/** State under (`anchor`, id); `erased` once its owner had it erased. */
export const AnchorState = z
  .strictObject({ subject: SubjectId, commitment: Digest, signature: Signature, class: RecordClass, erased: z.enum(['no', 'ordered', 'done']), receiptDigest: Digest.optional() })
  .readonly();
export type AnchorState = z.infer<typeof AnchorState>;
/** State under (`subject`, id). */
export const SubjectState = z.strictObject({ owner: PairwiseId, key: Digest, linkDigest: Digest }).readonly();
export type SubjectState = z.infer<typeof SubjectState>;
/** State under (`order`, grant). A grant is released once; `released` blocks every replay. */
export const OrderState = z
  .strictObject({
    order: ReleaseOrder,
    owner: PairwiseId,
    state: z.enum(['ordered', 'released', 'revoked']),
    release: z.strictObject({ manifestDigest: Digest, items: z.array(RecordId).readonly(), at: Instant }).readonly().optional(),
  })
  .readonly();
export type OrderState = z.infer<typeof OrderState>;
/** State under (`access-head`). */
export const AccessHeadState = z.strictObject({ to: z.int(), head: Digest }).readonly();
export type AccessHeadState = z.infer<typeof AccessHeadState>;
/** State under (`time-floor`) on every channel. */
export const TimeFloorState = z.strictObject({ at: Instant }).readonly();
export type TimeFloorState = z.infer<typeof TimeFloorState>;

export const AnchorsPage = z
  .strictObject({ anchors: z.array(z.strictObject({ id: RecordId, state: AnchorState }).readonly()).readonly(), bookmark: z.string() })
  .readonly();
