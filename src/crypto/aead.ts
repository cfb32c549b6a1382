/** AES-256-GCM for small things under a key that both ends hold: nonce (12 random bytes) ‖ ciphertext ‖ tag (16). And padding to size classes. */
import { concat, u32, type Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { Random } from '#base/ports.ts';
import { primitives } from './primitives.ts';

/** Bytes that sealing adds. */
export const SEAL_OVERHEAD_BYTES = 28;
const NONCE_BYTES = 12;
/** Bytes that padding needs besides the content: its length. */
export const PAD_OVERHEAD_BYTES = 4;

/** Seals under a 32-byte key; at most 2^32 times per key (SP 800-38D section 8.3). Throws KEY_LENGTH for a key of another length. */
export async function sealWith(key: Uint8Array, plaintext: Uint8Array, aad: Uint8Array, random: Random): Promise<Bytes> {
  if (key.length !== 32) throw new CodedError('KEY_LENGTH', 'A sealing key has 32 bytes.', { length: key.length });
  const nonce = random.bytes(NONCE_BYTES);
  return concat(nonce, await primitives.aesGcm(key).seal(nonce, plaintext, aad));
}

/** Opens what `sealWith` made. Throws SEALED_REFUSED, and says nothing more, when key, aad or any bit differs. */
export async function openWith(key: Uint8Array, sealed: Uint8Array, aad: Uint8Array): Promise<Bytes> {
  const opened = key.length === 32 && sealed.length >= SEAL_OVERHEAD_BYTES ? await primitives.aesGcm(key).open(sealed.subarray(0, NONCE_BYTES), sealed.subarray(NONCE_BYTES), aad) : undefined;
  if (opened === undefined) throw new CodedError('SEALED_REFUSED', 'The sealed bytes could not be opened.');
  return opened;
}

/** Length (4 bytes) ‖ content ‖ zeros, `size` bytes in all. Throws PAD_TOO_SMALL. */
export function padTo(bytes: Uint8Array, size: number): Bytes {
  if (bytes.length + PAD_OVERHEAD_BYTES > size) {
    throw new CodedError('PAD_TOO_SMALL', 'The content does not fit its size class.', { contentBytes: bytes.length, sizeBytes: size });
  }
  const out = new Uint8Array(size);
  out.set(u32(bytes.length));
  out.set(bytes, PAD_OVERHEAD_BYTES);
  return out;
}

/** The content of padded bytes. Throws PAD_INVALID when the length or the zeros are wrong. */
export function unpad(padded: Uint8Array): Bytes {
  const length = padded.length < PAD_OVERHEAD_BYTES ? -1 : new DataView(padded.buffer, padded.byteOffset).getUint32(0);
  const end = PAD_OVERHEAD_BYTES + length;
  if (length < 0 || end > padded.length || padded.subarray(end).some((byte) => byte !== 0)) {
    throw new CodedError('PAD_INVALID', 'The padding is not the one this version writes.');
  }
  return padded.slice(PAD_OVERHEAD_BYTES, end);
}
