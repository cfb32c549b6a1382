/** SHA-256 (FIPS 180-4), HMAC (RFC 2104) and HKDF (RFC 5869). Synchronous on every platform. */
import { concat, type Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import { primitives } from './primitives.ts';

/** SHA-256: 32 bytes. */
export function sha256(bytes: Uint8Array): Bytes {
  return primitives.sha256(bytes);
}

/** HMAC-SHA-256: 32 bytes. */
export function hmacSha256(key: Uint8Array, bytes: Uint8Array): Bytes {
  return primitives.hmacSha256(key, bytes);
}

/** HKDF-SHA-256, extract and expand (RFC 5869 section 2). Throws KEY_LENGTH for more than 8,160 bytes. */
export function hkdfSha256(ikm: Uint8Array, info: Uint8Array, length: number, salt: Uint8Array = new Uint8Array(32)): Bytes {
  return expand(primitives.hmacSha256, { prk: primitives.hmacSha256(salt, ikm), info, length });
}

/** HKDF-Expand-SHA-512 alone (RFC 5869 section 2.3), for input keys that are already uniformly random. Throws KEY_LENGTH for more than 16,320 bytes. */
export function hkdfExpandSha512(prk: Uint8Array, info: Uint8Array, length: number): Bytes {
  return expand(primitives.hmacSha512, { prk, info, length });
}

/** HKDF-Expand (RFC 5869 section 2.3) over any HMAC. Throws KEY_LENGTH for more than 255 blocks. */
export function expand(mac: (key: Uint8Array, bytes: Uint8Array) => Bytes, { prk, info, length }: { prk: Uint8Array; info: Uint8Array; length: number }): Bytes {
  const out = new Uint8Array(length);
  let block: Bytes = new Uint8Array(0);
  for (let at = 0, counter = 1; at < length; at += block.length, counter++) {
    // RFC 5869 section 2.3: L <= 255 * HashLen
    if (counter > 255) throw new CodedError('KEY_LENGTH', 'HKDF cannot make so many bytes from one key.', { length });
    block = mac(prk, concat(block, info, Uint8Array.of(counter)));
    out.set(block.subarray(0, Math.min(block.length, length - at)), at);
  }
  return out;
}
