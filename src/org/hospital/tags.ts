/**
 * Keyed tags: how a keeper recognises a patient, a resource and its content again without keeping them readable. The key
 * comes from the vault's private key, so a copy of the store alone answers no guess (promises.md, attack 19).
 */
import { lengthPrefixed, toBase64url, utf8, type Bytes } from '#base/bytes.ts';
import { hkdfSha256, hmacSha256 } from '#crypto/digest.ts';

export interface Tags {
  /** Of a local patient id. */
  patient(id: string): string;
  /** Of a resource's identity at its source, within a subject. */
  source(subject: string, sourceKey: string): string;
  /** Of the address that relative references use (`Type/id`). */
  address(typeAndId: string): string;
  /** Of received bytes, within a subject: equal content of two people has unequal tags. */
  content(subject: string, bytes: Bytes): Bytes;
}

export function createTags(vaultPrivateKey: Bytes): Tags {
  const key = hkdfSha256(vaultPrivateKey, utf8('healthkeep/v1/keeper-tags'), 32);
  const contentKey = hkdfSha256(vaultPrivateKey, utf8('healthkeep/v1/keeper-content'), 32);
  const text = (...parts: readonly string[]): string => toBase64url(hmacSha256(key, lengthPrefixed(...parts.map(utf8))).subarray(0, 16));
  return {
    patient: (id) => text('patient', id),
    source: (subject, sourceKey) => text('source', subject, sourceKey),
    address: (typeAndId) => text('address', typeAndId),
    content: (subject, bytes) => hmacSha256(contentKey, lengthPrefixed(utf8(subject), bytes)),
  };
}

/** `Type/id` of a source key: of a RESTful URL its last two parts, of a URN nothing. */
export function addressOf(sourceKey: string): string | undefined {
  return /(?:^|\/)([A-Z][A-Za-z]+\/[A-Za-z0-9.-]{1,64})$/.exec(sourceKey)?.[1];
}
