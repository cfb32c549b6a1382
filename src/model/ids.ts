/**
 * Branded ids. They are born only by parsing; a function that takes two strings is a bug waiting.
 * Random ids are 16 bytes, digests, tags and keys 32 bytes, all as unpadded base64url.
 */
import { z } from 'zod';

const id16 = z.string().regex(/^[A-Za-z0-9_-]{22}$/, 'expected 16 bytes as base64url');
const b32 = z.string().regex(/^[A-Za-z0-9_-]{43}$/, 'expected 32 bytes as base64url');

/** An organisation's id is its Fabric MSP id; the class is its prefix (`UO-`, `HO-`, `DUO-`), enforced when a member is admitted. */
export const OrgId = z.string().regex(/^(UO|HO|DUO)-[a-z][a-z0-9]{1,30}$/, 'expected an MSP id such as HO-east').brand<'OrgId'>();
export type OrgId = z.infer<typeof OrgId>;

/** A Fabric channel name. */
export const ChannelName = z.string().regex(/^[a-z][a-z0-9-]{1,60}$/).brand<'ChannelName'>();
export type ChannelName = z.infer<typeof ChannelName>;

/** One version of one record at its keeper. A new version is a new id that names the one it replaces. */
export const RecordId = id16.brand<'RecordId'>();
export type RecordId = z.infer<typeof RecordId>;

/** A batch of records handed over at once (a visit, a batch of results). */
export const DeliveryId = id16.brand<'DeliveryId'>();
export type DeliveryId = z.infer<typeof DeliveryId>;

/** The random id a keeper gives a patient on its own channel; bound to a pairwise pseudonym by `linkOwner`. */
export const SubjectId = id16.brand<'SubjectId'>();
export type SubjectId = z.infer<typeof SubjectId>;

/** The owner's pseudonym towards one keeper: the common name of the pairwise certificate. */
export const PairwiseId = id16.brand<'PairwiseId'>();
export type PairwiseId = z.infer<typeof PairwiseId>;

export const GrantId = id16.brand<'GrantId'>();
export type GrantId = z.infer<typeof GrantId>;

/** A one-time permission slot on DRC: one slot lets one data user write one invitation. */
export const SlotTag = b32.brand<'SlotTag'>();
export type SlotTag = z.infer<typeof SlotTag>;

/** A one-time tag on UIC. */
export const IndexTag = b32.brand<'IndexTag'>();
export type IndexTag = z.infer<typeof IndexTag>;

/** A mailbox handle: SHA-256 of the key (SubjectPublicKeyInfo) that may empty it. */
export const MailboxHandle = b32.brand<'MailboxHandle'>();
export type MailboxHandle = z.infer<typeof MailboxHandle>;

/** The fingerprint of a caller: SHA-256 of the certificate's DER bytes. */
export const CallerId = b32.brand<'CallerId'>();
export type CallerId = z.infer<typeof CallerId>;

export const TemplateId = z.string().regex(/^[a-z][a-z0-9-]{2,60}$/).brand<'TemplateId'>();
export type TemplateId = z.infer<typeof TemplateId>;

/** SHA-256 or HMAC-SHA-256 output. */
export const Digest = b32.brand<'Digest'>();
export type Digest = z.infer<typeof Digest>;

/** DER ECDSA signature, low-S. */
export const Signature = z.string().regex(/^[A-Za-z0-9_-]{80,110}$/).brand<'Signature'>();
export type Signature = z.infer<typeof Signature>;

/** UTC with milliseconds, as `Date.prototype.toISOString` prints it: such times order as text. */
export const Instant = z.string().regex(/^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$/).brand<'Instant'>();
export type Instant = z.infer<typeof Instant>;

/** Instant of UTC milliseconds. */
export function instant(milliseconds: number): Instant {
  return new Date(milliseconds).toISOString() as Instant;
}

/** UTC milliseconds of an instant. */
export function milliseconds(at: Instant): number {
  return Date.parse(at);
}

/** Sealed bytes of one fixed size class, in bytes before base64url. */
export function sealed(sizeBytes: number) {
  const length = Math.ceil((sizeBytes * 4) / 3);
  return z.string().regex(new RegExp(`^[A-Za-z0-9_-]{${length}}$`), `expected exactly ${sizeBytes} sealed bytes as base64url`);
}
