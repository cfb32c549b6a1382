/** HPKE's key derivation and sealing (RFC 9180 section 4) on this room's primitives: synchronous hashes cost a tenth of the library's WebCrypto ones. */
import * as hpke from 'hpke';
import { expand } from './digest.ts';
import { primitives } from './primitives.ts';

/** HKDF-SHA-256, KDF 0x0001. */
export const hkdfSha256Factory: hpke.KDFFactory = () => ({
  id: 0x0001, type: 'KDF', name: 'HKDF-SHA256', Nh: 32, stages: 2,
  Extract: async (salt, ikm) => primitives.hmacSha256(salt.length === 0 ? new Uint8Array(32) : salt, ikm),
  Expand: async (prk, info, length) => expand(primitives.hmacSha256, { prk, info, length }),
  Derive: async () => {
    throw new hpke.NotSupportedError('HKDF derives in two stages');
  },
});

/** AES-256-GCM, AEAD 0x0002. */
export const aes256GcmFactory: hpke.AEADFactory = () => ({
  id: 0x0002, type: 'AEAD', name: 'AES-256-GCM', Nk: 32, Nn: 12, Nt: 16,
  Seal: async (key, nonce, aad, plaintext) => primitives.aesGcm(key).seal(nonce, plaintext, aad),
  async Open(key, nonce, aad, ciphertext) {
    const opened = await primitives.aesGcm(key).open(nonce, ciphertext, aad);
    if (opened === undefined) throw new hpke.OpenError('refused');
    return opened;
  },
});
