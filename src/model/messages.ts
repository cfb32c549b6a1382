/**
 * What travels sealed or signed between a person, keepers and data users. Each is canonical JSON before sealing.
 * Size classes on the ledger: index entry 512 bytes, slot and answer 4,096, invitation 8,192.
 */
import { z } from 'zod';
import { CallerId, DeliveryId, Digest, GrantId, Instant, MailboxHandle, OrgId, PairwiseId, RecordId, SlotTag, SubjectId } from './ids.ts';
import { Purpose, TemplateRef } from './template.ts';

export const INDEX_ENTRY_BYTES = 512;
export const SLOT_BYTES = 4_096;
export const INVITATION_BYTES = 8_192;
export const ANSWER_BYTES = 4_096;
/** Mailbox messages are padded to one of these. */
export const MAILBOX_SIZES = [2_048, 8_192] as const;

const base64url = z.string().regex(/^[A-Za-z0-9_-]*$/);
/** A serialised HPKE public key (X-Wing: 1,216 bytes). */
export const HpkePublicKey = base64url.max(2_200);
/** PEM text. */
export const Certificate = z.string().startsWith('-----BEGIN CERTIFICATE-----').max(4_000);
export const Decision = z.enum(['all', 'narrower', 'no']);
export type Decision = z.infer<typeof Decision>;

/** A2: what the QR code at the desk holds; signed with the pairwise certificate's key. */
export const LinkRequest = z
  .strictObject({
    kind: z.literal('link'),
    keeper: OrgId,
    pairwiseId: PairwiseId,
    certificate: Certificate,
    hpkePublicKey: HpkePublicKey,
    mailbox: MailboxHandle,
    nonce: Digest,
    expiresAt: Instant,
  })
  .readonly();
export type LinkRequest = z.infer<typeof LinkRequest>;

/** What the owner may know of one record without opening it; sealed in the delivery list. */
export const RecordRow = z
  .strictObject({
    id: RecordId,
    resourceType: z.string(),
    /** `system|code`. */
    codes: z.array(z.string()).readonly(),
    /** Effective date, YYYY-MM-DD, when the resource has one. */
    date: z.string().optional(),
    /** The entry's fullUrl and, per reference text in the resource, the record it resolves to. */
    fullUrl: z.string().optional(),
    links: z.record(z.string(), RecordId).optional(),
    replaces: RecordId.optional(),
    /** SHA-256 of the received bytes; `plainBytes` their length; `cipherBytes` the stored length. */
    digest: Digest,
    plainBytes: z.int(),
    cipherBytes: z.int(),
    /** 32-byte data key and 32-byte verification key. */
    dataKey: base64url,
    verificationKey: base64url,
    commitment: Digest,
    /** The keeper's signature over the commitment statement. */
    signature: base64url,
  })
  .readonly();
export type RecordRow = z.infer<typeof RecordRow>;

/** The sealed list of a delivery, as its owner reads it. `listDigest` in notices and index entries is SHA-256 of the sealed list's bytes. */
export const DeliveryList = z
  .strictObject({ kind: z.literal('delivery-list'), keeper: OrgId, delivery: DeliveryId, subject: SubjectId, createdAt: Instant, rows: z.array(RecordRow).readonly() })
  .readonly();
export type DeliveryList = z.infer<typeof DeliveryList>;

/** A6: a notice in the mailbox. */
export const DeliveryNotice = z
  .strictObject({ kind: z.literal('delivery'), keeper: OrgId, delivery: DeliveryId, subject: SubjectId, count: z.int(), createdAt: Instant })
  .readonly();
export type DeliveryNotice = z.infer<typeof DeliveryNotice>;

/** B4: wakes the device; the invitation itself is on DRC. */
export const InvitationNotice = z.strictObject({ kind: z.literal('invitation'), slot: SlotTag }).readonly();
/** C10: the data user says that it erased; the signed receipt is on DRC. */
export const ErasureNotice = z.strictObject({ kind: z.literal('erased'), slot: SlotTag }).readonly();
export const MailboxMessage = z.discriminatedUnion('kind', [DeliveryNotice.unwrap(), InvitationNotice.unwrap(), ErasureNotice.unwrap()]);
export type MailboxMessage = z.infer<typeof MailboxMessage>;

/** A8: the plaintext of one index entry. `dummy` entries hide counts. */
export const IndexEntry = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('delivery'), keeper: OrgId, delivery: DeliveryId, subject: SubjectId, count: z.int() }),
  z.strictObject({ kind: z.literal('dummy') }),
]);
export type IndexEntry = z.infer<typeof IndexEntry>;

/** B2: sealed to the data user inside a slot; tells it how to write one invitation that only the owner can read. */
export const SlotCapability = z
  .strictObject({
    kind: z.literal('slot'),
    /** The same for all slots of one permit: the data user's name for this contact, random. */
    contact: GrantId,
    /** Nth of `quota` slots. */
    ordinal: z.int(),
    quota: z.int(),
    hpkePublicKey: HpkePublicKey,
    mailbox: MailboxHandle,
  })
  .readonly();
export type SlotCapability = z.infer<typeof SlotCapability>;

/** B3: sealed to the owner inside an invitation. */
export const Invitation = z
  .strictObject({
    kind: z.literal('invitation'),
    slot: SlotTag,
    requester: OrgId,
    template: TemplateRef,
    /** The data user's one-time key for this request; private half never leaves it. */
    recipientPublicKey: HpkePublicKey,
    message: z.string().max(500),
    answerBy: Instant,
  })
  .readonly();
export type Invitation = z.infer<typeof Invitation>;

/** C4: one grant per keeper, signed with the owner's pairwise key for that keeper. */
export const Grant = z
  .strictObject({
    kind: z.literal('grant'),
    id: GrantId,
    keeper: OrgId,
    owner: PairwiseId,
    subject: SubjectId,
    slot: SlotTag,
    recipient: OrgId,
    /** SHA-256 of the recipient's one-time HPKE public key. */
    recipientKeyDigest: Digest,
    recipientPublicKey: HpkePublicKey,
    purpose: Purpose,
    template: TemplateRef,
    items: z.array(RecordId).min(1).max(10_000).readonly(),
    issuedAt: Instant,
    /** The keeper may release until then. */
    until: Instant,
    /** The recipient must erase by then. */
    eraseAt: Instant,
    /** Random 32 bytes: blinds the grant's digest. */
    salt: Digest,
  })
  .readonly();
export type Grant = z.infer<typeof Grant>;

/** C3: what the answer on DRC commits to: HMAC(salt, canonical list of the grants' digests in keeper order). */
export const GrantOpening = z.strictObject({ salt: Digest, digests: z.array(Digest).readonly() }).readonly();
export type GrantOpening = z.infer<typeof GrantOpening>;

/** C3: sealed to the data user's one-time key inside the answer. */
export const Answer = z
  .strictObject({
    kind: z.literal('answer'),
    slot: SlotTag,
    decision: Decision,
    /** Where to fetch the parts: the ticket is a random 32-byte bearer secret known to owner, keeper and recipient. */
    parts: z.array(z.strictObject({ keeper: OrgId, grant: GrantId, ticket: Digest, items: z.int() }).readonly()).readonly(),
  })
  .readonly();
export type Answer = z.infer<typeof Answer>;

/** C6: one released record, as the recipient reads it from the keeper's signed manifest. */
export const ReleasedItem = z
  .strictObject({
    id: RecordId,
    resourceType: z.string(),
    cipherBytes: z.int(),
    plainBytes: z.int(),
    /** HPKE envelope (to the one-time key) holding dataKey ‖ verificationKey; info binds grant, recipient, purpose; aad the record id. */
    wrappedKeys: base64url,
    commitment: Digest,
    signature: base64url,
    /** Where the anchor stands: transaction id and block on the keeper's channel. */
    txId: z.string(),
    blockNumber: z.int(),
  })
  .readonly();
export type ReleasedItem = z.infer<typeof ReleasedItem>;

export const ReleaseManifest = z
  .strictObject({
    kind: z.literal('manifest'),
    grant: GrantId,
    slot: SlotTag,
    keeper: OrgId,
    recipient: OrgId,
    recipientKeyDigest: Digest,
    purpose: Purpose,
    subject: SubjectId,
    releasedAt: Instant,
    eraseAt: Instant,
    items: z.array(ReleasedItem).readonly(),
  })
  .readonly();
export type ReleaseManifest = z.infer<typeof ReleaseManifest>;

/** Signed JSON: `payload` is the canonical text that was signed, exactly; `certificate` the signer's. */
export const Signed = z.strictObject({ payload: z.string(), signature: base64url, certificate: Certificate }).readonly();
export type Signed = z.infer<typeof Signed>;

/** The keeper's access log, one line per access; chained by `previous`. */
export const AccessLine = z
  .strictObject({
    sequence: z.int(),
    at: Instant,
    /** Organisation, role and pseudonymous caller. */
    org: OrgId,
    role: z.string(),
    caller: z.union([CallerId, z.string().max(64)]),
    action: z.enum(['ingest', 'list', 'read', 'release', 'transfer', 'refuse', 'revoke', 'erase', 'export', 'check', 'link']),
    subject: SubjectId.optional(),
    records: z.int(),
    purpose: z.string().max(60),
    grant: GrantId.optional(),
    outcome: z.enum(['done', 'refused', 'cut']),
    code: z.string().optional(),
    previous: Digest,
  })
  .readonly();
export type AccessLine = z.infer<typeof AccessLine>;
