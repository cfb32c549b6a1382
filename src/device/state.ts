/** Everything a device keeps, one schema per collection of its vault. Private keys are PKCS #8 as base64url; the vault seals them. */
import { z } from 'zod';
import { LeafProof } from '#api/endpoints.ts';
import { drcInputs, SlotPhase } from '#model/drc.ts';
import { RecordClass, ReleaseOrder } from '#model/hdc.ts';
import { ChannelName, DeliveryId, Digest, GrantId, IndexTag, Instant, MailboxHandle, OrgId, PairwiseId, RecordId, SlotTag, SubjectId } from '#model/ids.ts';
import { ForkEvidence, Note } from '#model/fork.ts';
import { AccessLine, Certificate, Decision, GrantOpening, Invitation, RecordRow, Signed } from '#model/messages.ts';
import { RequestTemplate, TemplateRef } from '#model/template.ts';
import { SealedIndexEntry } from '#model/uic.ts';
import { collection } from './vault.ts';

const base64url = z.string().regex(/^[A-Za-z0-9_-]*$/);

/** A key with its certificate, once the doorman has answered. */
export const Identity = z.strictObject({ privateKey: base64url, csr: z.string(), certificate: Certificate.optional() }).readonly();
export type Identity = z.infer<typeof Identity>;

export const Mailbox = z.strictObject({ privateKey: base64url, publicKey: base64url, handle: MailboxHandle, opened: z.boolean(), readUpTo: z.int() }).readonly();
export type Mailbox = z.infer<typeof Mailbox>;

/** The person's enrolment; `code` is kept until the doorman has answered, so that the same exchange can be repeated. */
export const Enrolment = z.strictObject({ identity: Identity, code: z.string().optional(), root: Certificate.optional() }).readonly();
export type Enrolment = z.infer<typeof Enrolment>;

/** The last network map, as signed, and the root certificate first seen for each member: a root never changes. */
export const KeptMap = z.strictObject({ signed: Signed, version: z.int(), roots: z.record(z.string(), Certificate) }).readonly();
export type KeptMap = z.infer<typeof KeptMap>;

/** `mailboxIdentity` opens the mailbox and is then dropped. */
export const Link = z.strictObject({ keeper: OrgId, pairwiseId: PairwiseId, identity: Identity, mailbox: Mailbox, mailboxIdentity: Identity.optional() }).readonly();
export type Link = z.infer<typeof Link>;

/** One-time certificates in stock; `batch` groups what was asked for together, so that the same request can be repeated. */
export const Spare = z.strictObject({ batch: z.string(), commonName: z.string(), identity: Identity }).readonly();
export type Spare = z.infer<typeof Spare>;

export const Seal = z.enum(['sealed', 'waiting', 'mismatch']);
export type Seal = z.infer<typeof Seal>;

/** One record as its owner holds it. `code` says why it is not sealed. */
export const HeldRecord = z
  .strictObject({ row: RecordRow, txId: z.string(), blockNumber: z.int(), class: RecordClass.optional(), seal: Seal, code: z.string().optional() })
  .readonly();
export type HeldRecord = z.infer<typeof HeldRecord>;

/** What remains of a record that its owner had erased: no key, no digest. */
export const ErasedRecord = z.strictObject({ id: RecordId, resourceType: z.string(), erasedAt: Instant }).readonly();

export const Delivery = z
  .strictObject({
    keeper: OrgId,
    delivery: DeliveryId,
    subject: SubjectId,
    count: z.int(),
    createdAt: Instant,
    /** Has an index entry been queued for it? */
    indexed: z.boolean(),
    /** Absent until the sealed list was read. */
    list: z.strictObject({ certificate: Certificate, records: z.array(HeldRecord).readonly(), erased: z.array(ErasedRecord).readonly() }).readonly().optional(),
    /** Why the list could not be read, when it could not. */
    problem: z.string().optional(),
  })
  .readonly();
export type Delivery = z.infer<typeof Delivery>;

/** The next free number of the index epoch. */
export const IndexCounter = z.strictObject({ epoch: z.int(), next: z.int() }).readonly();
export type IndexCounter = z.infer<typeof IndexCounter>;

/** An index entry on its way or written. */
export const IndexWrite = z
  .strictObject({
    epoch: z.int(), n: z.int(), tag: IndexTag, sealed: SealedIndexEntry, dueAt: z.int(), identity: Identity.optional(), written: z.boolean(),
    /** `keeper/delivery`, or nothing for a dummy. */
    of: z.string().optional(),
  })
  .readonly();
export type IndexWrite = z.infer<typeof IndexWrite>;

export const Permit = z
  .strictObject({ contact: GrantId, duo: OrgId, templates: z.array(TemplateRef).readonly(), quota: z.int(), until: Instant, createdAt: Instant, slots: z.array(SlotTag).readonly() })
  .readonly();
export type Permit = z.infer<typeof Permit>;

/** `waiting`: not yet ordered. `ordered`: on the keeper's channel. `released`: the keeper has it. `lapsed`: its time passed first. */
export const PartState = z.enum(['waiting', 'ordered', 'released', 'failed', 'lapsed', 'revoked']);
export type PartState = z.infer<typeof PartState>;

export const Part = z
  .strictObject({
    keeper: OrgId, grant: Signed, order: ReleaseOrder, ticket: Digest, state: PartState,
    /** Why it failed, or why the last try did. */
    code: z.string().optional(),
    /** What is done of a revocation. */
    revokedOnChannel: z.boolean(), revokedAtKeeper: z.boolean(),
  })
  .readonly();
export type Part = z.infer<typeof Part>;

/** `deciding`: stored, not on DRC yet. `responded`: on DRC. `lapsed`: the time to answer passed before it got there. */
export const AnswerPlan = z
  .strictObject({
    decision: Decision, decidedAt: Instant, stage: z.enum(['deciding', 'responded', 'lapsed', 'failed']), code: z.string().optional(),
    response: drcInputs.respond, opening: GrantOpening, proof: LeafProof.optional(), parts: z.array(Part).readonly(),
    /** SHA-256 of the card's words as shown, and of the bytes that leave. */
    shownDigest: Digest, previewDigest: Digest,
  })
  .readonly();
export type AnswerPlan = z.infer<typeof AnswerPlan>;

/** What the invitation asks, opened and checked; `problem` is the code of what is wrong with it. */
export const Request = z
  .strictObject({ template: RequestTemplate, ref: TemplateRef, answerBy: Instant, invitedAt: Instant, invitation: Invitation.optional(), problem: z.string().optional() })
  .readonly();
export type Request = z.infer<typeof Request>;

export const SlotWish = z.enum(['none', 'wanted', 'done']);

export const Slot = z
  .strictObject({
    slot: SlotTag, contact: GrantId, ordinal: z.int(), quota: z.int(), duo: OrgId, identity: Identity, mailbox: Mailbox, opening: drcInputs.openSlot,
    /** `opening`: not on DRC yet; `failed`: refused there (`code`); else the phase on DRC when last looked at. */
    phase: z.enum(['opening', 'failed', ...SlotPhase.options]), code: z.string().optional(),
    /** When it is to be opened, UTC milliseconds. */
    dueAt: z.int(),
    /** A notice said that something is there. */
    noticed: z.boolean(), lookedAt: z.int(),
    request: Request.optional(), answer: AnswerPlan.optional(),
    revocation: SlotWish, withdrawal: SlotWish,
    /** When it was wished, UTC milliseconds, and where members of DRC showed it. */
    revokedAt: z.int().optional(), revocationProof: LeafProof.optional(),
    reports: z.array(z.strictObject({ reason: z.string(), done: z.boolean() }).readonly()).readonly(),
    receipt: z.strictObject({ packageDigest: Digest, delivered: z.int(), verified: z.int(), at: Instant }).readonly().optional(),
    erasure: z.strictObject({ reason: z.string(), receiptDigest: Digest, at: Instant }).readonly().optional(),
  })
  .readonly();
export type Slot = z.infer<typeof Slot>;

export const Erasure = z
  .strictObject({ keeper: OrgId, subject: SubjectId, items: z.array(RecordId).readonly(), wantedAt: Instant, ordered: z.boolean(), receipt: Signed.optional(), code: z.string().optional() })
  .readonly();
export type Erasure = z.infer<typeof Erasure>;

/** The access log of one keeper up to the last head that the channel confirmed, and the checkpoint that the head was shown in. */
export const KeptLog = z.strictObject({ keeper: OrgId, lines: z.array(AccessLine).readonly(), verifiedTo: z.int(), head: Digest, checkpoint: Note.optional() }).readonly();
export type KeptLog = z.infer<typeof KeptLog>;

/** The newest checkpoint of a channel that a quorum of members signed. */
export const Pin = z
  .strictObject({
    channel: ChannelName, note: Note, seenAt: z.int(),
    /** A member that signed it and now knows less. */
    forgottenBy: OrgId.optional(),
  })
  .readonly();
export type Pin = z.infer<typeof Pin>;

/** Two histories of a channel, and whether it is left alone for that. */
export const KeptFork = z.strictObject({ channel: ChannelName, evidence: ForkEvidence, foundAt: z.int(), stops: z.boolean(), convicted: z.array(OrgId).readonly() }).readonly();
export type KeptFork = z.infer<typeof KeptFork>;

export const enrolments = collection('enrolment', Enrolment);
export const maps = collection('map', KeptMap);
export const links = collection('link', Link);
export const spares = collection('spare', Spare);
export const deliveries = collection('delivery', Delivery);
export const indexCounters = collection('index-counter', IndexCounter);
export const indexWrites = collection('index-write', IndexWrite);
export const permits = collection('permit', Permit);
export const slots = collection('slot', Slot);
export const erasures = collection('erasure', Erasure);
export const logs = collection('access-log', KeptLog);
export const pins = collection('checkpoint', Pin);
export const forks = collection('fork', KeptFork);
/** Bodies as received: own copies of records. */
export const COPIES = 'copy';

/** What an export carries and the state digest covers. Not the stock of one-time certificates: two devices with one stock would use one twice. */
export const kept: readonly string[] = [...[enrolments, maps, links, deliveries, indexCounters, indexWrites, permits, slots, erasures, logs, pins, forks].map(({ name }) => name), COPIES];

/** Singletons have this id. */
export const ONLY = 'only';
