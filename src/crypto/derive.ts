/** Everything a device must find again comes from one root secret (docs/protocol.md sections 1 and 3). */
import { concat, toBase64url, u32, u64, utf8, type Bytes } from '#base/bytes.ts';
import { hkdfSha256, hmacSha256 } from './digest.ts';

/** HKDF-SHA-256 of the secret with info `healthkeep/v1/<use>`. Different uses give unrelated keys. */
export function deriveKey(secret: Uint8Array, use: string, length: number): Bytes {
  return hkdfSha256(secret, utf8(`healthkeep/v1/${use}`), length);
}

/** K_e = HKDF(key, "epoch" ‖ u32(epoch)), 32 bytes. */
export function epochKey(key: Uint8Array, epoch: number): Bytes {
  return hkdfSha256(key, concat(utf8('epoch'), u32(epoch)), 32);
}

/** HMAC(key, domain ‖ u64(n)), 32 bytes: the nth tag or the nth key of a sequence that looks random to everybody else. */
export function numbered(key: Uint8Array, domain: string, n: number): Bytes {
  return hmacSha256(key, concat(utf8(domain), u64(n)));
}

/** base64url of the first 16 bytes of HMAC(key, domain ‖ party): another name towards every party. */
export function pseudonym(key: Uint8Array, domain: string, party: string): string {
  return toBase64url(hmacSha256(key, concat(utf8(domain), utf8(party))).subarray(0, 16));
}
