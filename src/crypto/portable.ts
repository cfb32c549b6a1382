/** The primitives for every platform: WebCrypto for AES and ECDSA, noble for hashes, because those must answer synchronously. */
import { hmac } from '@noble/hashes/hmac.js';
import { sha256, sha512 } from '@noble/hashes/sha2.js';
import type { Bytes } from '#base/bytes.ts';
import type { Primitives } from './primitives.ts';
import { derOf, rsOf } from './signature.ts';

const ECDSA = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

export const portable: Primitives = {
  sha256: (bytes) => sha256(bytes) as Bytes,
  hmacSha256: (key, bytes) => hmac(sha256, key, bytes) as Bytes,
  hmacSha512: (key, bytes) => hmac(sha512, key, bytes) as Bytes,
  aesGcm(key) {
    // Imported once per key: an import costs as much as sealing a kilobyte.
    let imported: Promise<CryptoKey> | undefined;
    const aes = (): Promise<CryptoKey> => (imported ??= crypto.subtle.importKey('raw', owned(key), 'AES-GCM', false, ['encrypt', 'decrypt']));
    return {
      async seal(nonce, plaintext, aad) {
        return new Uint8Array(await crypto.subtle.encrypt({ name: 'AES-GCM', iv: owned(nonce), additionalData: owned(aad) }, await aes(), owned(plaintext)));
      },
      async open(nonce, sealed, aad) {
        try {
          return new Uint8Array(await crypto.subtle.decrypt({ name: 'AES-GCM', iv: owned(nonce), additionalData: owned(aad) }, await aes(), owned(sealed)));
        } catch {
          return undefined;
        }
      },
    };
  },
  adoptPrivateKey: () => undefined,
  async ecdsaSign(privateKey, message) {
    return derOf(new Uint8Array(await crypto.subtle.sign(ECDSA, privateKey, owned(message))));
  },
  async ecdsaVerify(spki, message, signature) {
    const rs = rsOf(signature);
    if (rs === undefined) return false;
    try {
      const key = await crypto.subtle.importKey('spki', spki, ECDSA, false, ['verify']);
      return await crypto.subtle.verify(ECDSA, key, rs, owned(message));
    } catch {
      return false;
    }
  },
};

/** WebCrypto's types ask for bytes that are not in shared memory; ours never are. */
function owned(bytes: Uint8Array): Bytes {
  return bytes as Bytes;
}
