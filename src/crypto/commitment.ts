/**
 * Commitments: what may stand on a ledger for everybody to see. Each is an HMAC under a random key that only the
 * parties hold: with the key it proves its content, without it says nothing, and once the key is destroyed it never will.
 * Every part is length-prefixed and the first part names the use, so that no bytes can mean two things.
 */
import { lengthPrefixed, utf8, type Bytes } from '#base/bytes.ts';
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import { hmacSha256 } from './digest.ts';

/** HMAC-SHA-256(verificationKey, lengthPrefixed(domain, contentDigest, canonical(metadata))). */
export function commit(input: { readonly verificationKey: Uint8Array; readonly domain: string; readonly contentDigest: Uint8Array; readonly metadata: Json }): Bytes {
  return hmacSha256(input.verificationKey, lengthPrefixed(utf8(input.domain), input.contentDigest, canonicalBytes(input.metadata)));
}

/** What a signature covers: lengthPrefixed(domain, parts…), text as UTF-8, digests as their raw bytes. */
export function statement(domain: string, ...parts: readonly (string | Uint8Array)[]): Bytes {
  return lengthPrefixed(utf8(domain), ...parts.map((part) => (typeof part === 'string' ? utf8(part) : part)));
}

/** HMAC-SHA-256(salt, bytes): the blinded digest of one signed payload. */
export function saltedDigest(salt: Uint8Array, bytes: Uint8Array): Bytes {
  return hmacSha256(salt, bytes);
}

/** HMAC-SHA-256(salt, canonical list): commits to several blinded digests (base64url text) in their order. */
export function saltedList(salt: Uint8Array, digests: readonly string[]): Bytes {
  return hmacSha256(salt, canonicalBytes(digests));
}
