/** The endpoint tables of the three kinds of organisation and what they all share. */
import { z } from 'zod';
import { Anchor } from '#model/hdc.ts';
import { Statement } from '#model/drc.ts';
import { Member } from '#model/con.ts';
import { ForkEvidence, Note, TreeBeginning } from '#model/fork.ts';
import { CallerId, ChannelName, DeliveryId, Digest, GrantId, Instant, MailboxHandle, OrgId, RecordId, SlotTag, SubjectId } from '#model/ids.ts';
import { AccessLine, Certificate, DeliveryNotice, GrantOpening, Signed } from '#model/messages.ts';
import { RequestTemplate, TemplateRef } from '#model/template.ts';
import type { EndpointTable } from './endpoint.ts';

const base64url = z.string().regex(/^[A-Za-z0-9_-]*$/);
const done = z.strictObject({ done: z.literal(true) }).readonly();

/** A leaf of a channel tree with its inclusion path (docs/protocol.md section 7). */
export const LeafProof = z
  .strictObject({
    channel: z.string(),
    block: z.int(),
    tx: z.int(),
    namespace: z.string(),
    /** Ledger key (composite keys contain U+0000). */
    key: z.string(),
    /** Value bytes as base64url; null for a delete. */
    value: base64url.nullable(),
    leafIndex: z.int(),
    size: z.int(),
    path: z.array(Digest).readonly(),
    /** C2SP checkpoint note for `size` with its signature lines. */
    checkpoint: z.string(),
  })
  .readonly();
export type LeafProof = z.infer<typeof LeafProof>;

export const RefusedResource = z.strictObject({ file: z.string(), index: z.int(), code: z.string(), reason: z.string() }).readonly();
export type RefusedResource = z.infer<typeof RefusedResource>;

/** Every organisation answers these. */
export const commonEndpoints = {
  health: { method: 'GET', path: '/healthz', summary: 'Is the process alive?', by: ['public'], output: z.strictObject({ status: z.literal('ok') }), idempotent: true, errors: [] },
  ready: { method: 'GET', path: '/readyz', summary: 'Is each channel usable?', by: ['public'], output: z.strictObject({ ready: z.boolean(), channels: z.record(z.string(), z.strictObject({ ready: z.boolean(), height: z.int() })) }), idempotent: true, errors: [] },
  metrics: { method: 'GET', path: '/metrics', summary: 'Prometheus metrics, without health data.', by: ['public'], output: 'text', idempotent: true, errors: [] },
  openapi: { method: 'GET', path: '/openapi.json', summary: 'This interface as OpenAPI 3.1.', by: ['public'], output: z.unknown(), idempotent: true, errors: [] },
  cosign: {
    method: 'POST', path: '/v1/checkpoints/cosign', summary: 'Co-sign a checkpoint: one that agrees with this member\'s own tree, or, where it has none, one that grew out of the last it signed.', by: ['member/system'],
    body: z.strictObject({ note: Note, from: z.int().min(1).optional(), beginning: TreeBeginning.optional() }), output: z.strictObject({ note: Note }), idempotent: true,
    errors: ['CHECKPOINT_FORKED', 'CHECKPOINT_INVALID', 'CHECKPOINT_UNPROVEN', 'WITNESS_SIZE', 'WITNESS_BEHIND'],
  },
  /** Anybody may ask and tell: notes speak for themselves, and an unsigned call tells nobody whose device it was. */
  notes: { method: 'POST', path: '/v1/checkpoints', summary: 'Exchange the newest checkpoints of every channel.', by: ['public'], body: z.strictObject({ notes: z.array(Note).max(200) }), output: z.strictObject({ notes: z.array(Note) }), idempotent: true, errors: [] },
  growth: {
    method: 'GET', path: '/v1/checkpoints/growth', summary: 'The root of a channel tree\'s first leaves and the consistency path from there to a longer tree (RFC 9162).', by: ['public'],
    query: z.strictObject({ channel: ChannelName, from: z.coerce.number().int().min(1), to: z.coerce.number().int().min(1) }), output: TreeBeginning, idempotent: true, errors: ['CHANNEL_UNKNOWN', 'TREE_RANGE', 'WITNESS_BEHIND'],
  },
  forks: { method: 'GET', path: '/v1/checkpoints/forks', summary: 'Proof of every fork that this member has seen: pairs of signed checkpoints that cannot both be true.', by: ['public'], output: z.strictObject({ forks: z.array(ForkEvidence) }), idempotent: true, errors: [] },
} as const satisfies EndpointTable;

export const userOrgEndpoints = {
  map: { method: 'GET', path: '/v1/map', summary: 'The signed network map.', by: ['public'], output: Signed, idempotent: true, errors: [] },
  /** Operator only: makes a one-time enrolment code after vetting. */
  inviteCode: { method: 'POST', path: '/v1/doorman/codes', summary: 'Make a one-time enrolment code.', by: ['own/operator'], body: z.strictObject({}), output: z.strictObject({ code: z.string(), expiresAt: Instant }), idempotent: false, errors: [] },
  enrol: { method: 'POST', path: '/v1/doorman/enrolments', summary: 'Exchange a code and a certificate request for an enrolment certificate.', by: ['public'], body: z.strictObject({ code: z.string().max(64), csr: z.string().max(4_000) }), output: z.strictObject({ certificate: Certificate, root: Certificate }), idempotent: true, errors: ['ENROLMENT_CODE_UNKNOWN', 'CSR_INVALID'] },
  certificates: { method: 'POST', path: '/v1/doorman/certificates', summary: 'Certificates for keys made on the device (pairwise or one-time).', by: ['uo/person'], body: z.strictObject({ use: z.enum(['pairwise', 'one-time']), csrs: z.array(z.string().max(4_000)).min(1).max(100) }), output: z.strictObject({ certificates: z.array(Certificate) }), idempotent: true, errors: ['CSR_INVALID', 'CSR_NAME_TAKEN'] },
  revoke: { method: 'POST', path: '/v1/doorman/revocations', summary: 'Revoke own certificates (a lost device) or, as operator, any.', by: ['uo/person', 'own/operator'], body: z.strictObject({ fingerprints: z.array(CallerId).max(1_000) }), output: z.strictObject({ revoked: z.int() }), idempotent: true, errors: [] },
  crl: { method: 'GET', path: '/v1/doorman/crl', summary: 'The certificate revocation list (PEM).', by: ['public'], output: 'text', idempotent: true, errors: [] },
  openMailbox: { method: 'POST', path: '/v1/mailboxes', summary: 'Open a mailbox for a key.', by: ['uo/person'], body: z.strictObject({ publicKey: base64url }), output: z.strictObject({ handle: MailboxHandle }), idempotent: true, errors: ['MAILBOX_LIMIT'] },
  post: { method: 'POST', path: '/v1/mailboxes/{handle}/messages', summary: 'Put a sealed message.', by: ['member/system'], params: z.strictObject({ handle: MailboxHandle }), body: z.strictObject({ id: z.string().max(64), sealed: base64url }), output: done, idempotent: true, errors: ['MAILBOX_UNKNOWN', 'MAILBOX_FULL', 'MAILBOX_SIZE'] },
  fetchMessages: { method: 'POST', path: '/v1/mailboxes/{handle}/fetch', summary: 'Read messages, oldest first.', by: ['mailbox-key'], params: z.strictObject({ handle: MailboxHandle }), body: z.strictObject({ after: z.int(), limit: z.int().min(1).max(500) }), output: z.strictObject({ messages: z.array(z.strictObject({ sequence: z.int(), sealed: base64url, at: Instant })) }), idempotent: true, errors: ['MAILBOX_UNKNOWN'] },
  ack: { method: 'POST', path: '/v1/mailboxes/{handle}/ack', summary: 'Delete messages up to a sequence number.', by: ['mailbox-key'], params: z.strictObject({ handle: MailboxHandle }), body: z.strictObject({ upTo: z.int() }), output: done, idempotent: true, errors: ['MAILBOX_UNKNOWN'] },
} as const satisfies EndpointTable;

const recordParams = z.strictObject({ record: RecordId });
const grantParams = z.strictObject({ grant: GrantId });

export const hospitalEndpoints = {
  link: { method: 'POST', path: '/v1/patients/{patient}/link', summary: 'The desk scans the person\'s code and links the local patient.', by: ['own/staff', 'own/system'], params: z.strictObject({ patient: z.string().min(1).max(128) }), body: z.strictObject({ link: Signed }), output: z.strictObject({ subject: SubjectId }), idempotent: true, errors: ['LINK_EXPIRED', 'LINK_OTHER_KEEPER', 'LINK_TAKEN', 'SIGNATURE_INVALID'] },
  ingest: { method: 'POST', path: '/v1/bundles', summary: 'Take a FHIR R4 bundle (transaction or collection).', by: ['own/system', 'own/staff'], query: z.strictObject({ file: z.string().max(300).optional() }), body: 'bytes', maxBytes: 52_428_800, output: z.strictObject({ read: z.int(), accepted: z.int(), duplicates: z.int(), refused: z.array(RefusedResource), deliveries: z.array(DeliveryId), patients: z.array(z.string()) }), idempotent: true, errors: ['JSON_MALFORMED', 'JSON_TOO_DEEP', 'JSON_DUPLICATE_KEY', 'JSON_TOO_LARGE', 'FHIR_NOT_A_BUNDLE'] },
  deliveries: { method: 'GET', path: '/v1/deliveries', summary: 'The caller\'s deliveries (by pairwise certificate).', by: ['uo/person'], query: z.strictObject({ after: z.string().max(64).optional() }), output: z.strictObject({ deliveries: z.array(DeliveryNotice) }), idempotent: true, errors: ['NOT_OWNER'] },
  deliveryList: { method: 'GET', path: '/v1/deliveries/{delivery}', summary: 'The sealed list of a delivery: delivery key sealed to the owner, the certificate that signed the commitments, then one sealed row per record.', by: ['uo/person'], params: z.strictObject({ delivery: DeliveryId }), output: z.strictObject({ deliveryKey: base64url, delivery: DeliveryId, subject: SubjectId, createdAt: Instant, certificate: Certificate, rows: z.array(z.strictObject({ id: RecordId, row: base64url, txId: z.string(), blockNumber: z.int() })) }), idempotent: true, errors: ['NOT_OWNER'] },
  record: { method: 'GET', path: '/v1/records/{record}', summary: 'A record\'s ciphertext for its owner.', by: ['uo/person'], params: recordParams, output: 'bytes', idempotent: true, errors: ['NOT_OWNER', 'RECORD_ERASED'] },
  recordProof: { method: 'GET', path: '/v1/records/{record}/proof', summary: 'Inclusion of the record\'s anchor in the channel tree, and of that tree\'s checkpoint (as it stands on CON) in the tree of CON.', by: ['uo/person', 'own/system'], params: recordParams, output: z.strictObject({ anchor: LeafProof, pinned: LeafProof, certificate: Certificate }), idempotent: true, errors: ['NOT_OWNER', 'RECORD_NOT_ANCHORED'] },
  release: { method: 'POST', path: '/v1/releases', summary: 'The owner\'s order to release.', by: ['uo/person'], body: z.strictObject({ grant: Signed, opening: GrantOpening, proof: LeafProof, ticket: Digest }), output: z.strictObject({ grant: GrantId, items: z.int() }), idempotent: true, errors: ['NOT_OWNER', 'GRANT_NOT_PROVEN', 'GRANT_EXPIRED', 'GRANT_REVOKED', 'GRANT_WIDER', 'GRANT_REPLAYED', 'GRANT_OTHER_KEY', 'SIGNATURE_INVALID'] },
  revokeRelease: { method: 'POST', path: '/v1/releases/{grant}/revoke', summary: 'Stop a release at once.', by: ['uo/person'], params: grantParams, body: z.strictObject({}), output: done, idempotent: true, errors: ['NOT_OWNER'] },
  manifest: { method: 'GET', path: '/v1/releases/{grant}/manifest', summary: 'The signed manifest (header healthkeep-ticket).', by: ['duo/system'], params: grantParams, output: Signed, idempotent: true, errors: ['GRANT_UNKNOWN', 'GRANT_REVOKED', 'GRANT_EXPIRED'] },
  releaseProofs: { method: 'GET', path: '/v1/releases/{grant}/proofs', summary: 'Inclusion of every released anchor, against a checkpoint on CON (header healthkeep-ticket).', by: ['duo/system'], params: grantParams, output: z.strictObject({ proofs: z.array(LeafProof) }), idempotent: true, errors: ['GRANT_UNKNOWN', 'GRANT_REVOKED'] },
  item: { method: 'GET', path: '/v1/releases/{grant}/items/{record}', summary: 'A released record\'s ciphertext, Range honoured (header healthkeep-ticket).', by: ['duo/system'], params: z.strictObject({ grant: GrantId, record: RecordId }), output: 'bytes', idempotent: true, errors: ['GRANT_UNKNOWN', 'GRANT_REVOKED', 'GRANT_EXPIRED'] },
  accessLog: { method: 'GET', path: '/v1/access-log', summary: 'Every access to the caller\'s records; `chain` holds the digests of all lines from `from` on (others\' lines as digests only), which lead from `start` to the head on the channel; `proof` is that head\'s place in the channel\'s tree.', by: ['uo/person'], query: z.strictObject({ after: z.coerce.number().int().optional() }), output: z.strictObject({ lines: z.array(AccessLine), chain: z.strictObject({ from: z.int(), start: Digest, digests: z.array(Digest) }), head: z.strictObject({ to: z.int(), head: Digest }).nullable(), proof: LeafProof.optional() }), idempotent: true, errors: ['NOT_OWNER'] },
  erase: { method: 'POST', path: '/v1/erasures', summary: 'Erase records: bodies, keys and salts are destroyed; a signed receipt remains.', by: ['uo/person'], body: z.strictObject({ items: z.array(RecordId).min(1).max(1_000) }), output: z.strictObject({ receipt: Signed }), idempotent: true, errors: ['NOT_OWNER', 'ERASURE_NOT_ORDERED'] },
  tamperCheck: { method: 'POST', path: '/v1/tamper-check', summary: 'Compare every stored record with its anchor.', by: ['own/system', 'own/operator'], body: z.strictObject({}), output: z.strictObject({ checked: z.int(), changed: z.array(RecordId), missing: z.array(RecordId), extra: z.array(RecordId) }), idempotent: true, errors: [] },
  anchors: { method: 'GET', path: '/v1/anchors/{record}', summary: 'The anchor as it stands on the channel, for its owner.', by: ['uo/person'], params: recordParams, output: Anchor, idempotent: true, errors: ['NOT_OWNER'] },
} as const satisfies EndpointTable;

/** One request as the data user's board shows it. Never says who merely read. */
export const BoardRow = z
  .strictObject({
    slot: SlotTag, contact: GrantId, ordinal: z.int(), quota: z.int(), state: z.enum(['permitted', 'sent', 'answered', 'refused', 'silent', 'withdrawn', 'revoked', 'received', 'erased']),
    template: TemplateRef.optional(), until: Instant, eraseAt: Instant.optional(), items: z.int().optional(), verified: z.int().optional(),
  })
  .readonly();
export type BoardRow = z.infer<typeof BoardRow>;
export const ItemVerdict = z.strictObject({ record: RecordId, keeper: OrgId, resourceType: z.string(), good: z.boolean(), code: z.string().optional() }).readonly();
export type ItemVerdict = z.infer<typeof ItemVerdict>;
/** A keeper whose manifest lists fewer items than its owner granted. */
export const ShortPart = z.strictObject({ keeper: OrgId, granted: z.int(), listed: z.int() }).readonly();
export type ShortPart = z.infer<typeof ShortPart>;
const slotParams = z.strictObject({ slot: SlotTag });

export const dataUserEndpoints = {
  proposeTemplate: { method: 'POST', path: '/v1/templates', summary: 'Propose a template to the consortium, and publish it once accepted.', by: ['own/staff', 'own/system'], body: z.strictObject({ template: RequestTemplate }), output: z.strictObject({ ref: TemplateRef, state: z.enum(['proposed', 'published']) }), idempotent: true, errors: ['TEMPLATE_EXISTS', 'TEMPLATE_NOT_OWN', 'TEMPLATE_VERSION_GAP'] },
  board: { method: 'GET', path: '/v1/requests', summary: 'Permits, invitations and answers of this organisation.', by: ['own/staff', 'own/system'], output: z.strictObject({ rows: z.array(BoardRow) }), idempotent: true, errors: [] },
  invite: { method: 'POST', path: '/v1/requests/{slot}/invite', summary: 'Write one invitation into a permitted slot.', by: ['own/staff', 'own/system'], params: slotParams, body: z.strictObject({ template: TemplateRef, message: z.string().max(500), answerBy: Instant }), output: z.strictObject({ slot: SlotTag }), idempotent: true, errors: ['SLOT_UNKNOWN', 'SLOT_SPENT', 'SLOT_EXPIRED', 'SLOT_WITHDRAWN', 'TEMPLATE_NOT_PERMITTED', 'TEMPLATE_APPROVAL_EXPIRED'] },
  receive: { method: 'POST', path: '/v1/requests/{slot}/receive', summary: 'Fetch, open and verify the granted package; write the receipt.', by: ['own/staff', 'own/system'], params: slotParams, body: z.strictObject({}), output: z.strictObject({ items: z.array(ItemVerdict), short: z.array(ShortPart).optional(), packageDigest: Digest }), idempotent: true, errors: ['SLOT_UNANSWERED', 'ANSWER_UNREADABLE', 'PACKAGE_INCOMPLETE', 'GRANT_REVOKED', 'GRANT_EXPIRED', 'ITEM_ERASED'] },
  read: { method: 'GET', path: '/v1/requests/{slot}/items/{record}', summary: 'A received record, until it must be erased.', by: ['own/staff', 'own/system'], params: z.strictObject({ slot: SlotTag, record: RecordId }), output: 'bytes', idempotent: true, errors: ['ITEM_UNKNOWN', 'ITEM_ERASED'] },
  eraseNow: { method: 'POST', path: '/v1/requests/{slot}/erase', summary: 'Destroy a received package before it is due.', by: ['own/staff', 'own/system'], params: slotParams, body: z.strictObject({}), output: done, idempotent: true, errors: ['SLOT_UNANSWERED'] },
  settle: { method: 'POST', path: '/v1/statements', summary: 'Settle every unsettled receipt.', by: ['own/staff', 'own/system'], body: z.strictObject({}), output: Statement, idempotent: false, errors: ['NOTHING_TO_SETTLE'] },
  statement: { method: 'GET', path: '/v1/statements/{number}', summary: 'A statement; CSV when asked by Accept.', by: ['own/staff', 'own/system'], params: z.strictObject({ number: z.coerce.number().int().min(1) }), output: Statement, idempotent: true, errors: ['STATEMENT_UNKNOWN'] },
  /** The light proof of an answer on DRC, for its owner (docs/protocol.md section 4.4). */
  drcProof: { method: 'GET', path: '/v1/proofs/drc', summary: 'Inclusion of a slot\'s answer in the DRC tree, co-signed by DRC members.', by: ['uo/person'], query: z.strictObject({ slot: SlotTag }), output: LeafProof, idempotent: true, errors: ['SLOT_UNKNOWN', 'WITNESS_BEHIND'] },
} as const satisfies EndpointTable;

export const NetworkMap = z.strictObject({ kind: z.literal('map'), version: z.int(), issuedAt: Instant, expiresAt: Instant, members: z.array(Member).readonly() }).readonly();
export type NetworkMap = z.infer<typeof NetworkMap>;
