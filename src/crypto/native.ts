/**
 * The primitives on node:crypto, an order of magnitude cheaper per call than WebCrypto for small inputs. The only file
 * of this room that knows Node; reached without an import, so that the same code loads in a browser, where it is undefined.
 */
import type { Bytes } from '#base/bytes.ts';
import { boundedCache } from './cache.ts';
import { portable } from './portable.ts';
import type { Primitives } from './primitives.ts';

/** node:crypto itself, for the other file that needs more of it (x-wing.ts). */
export const nodeCrypto = typeof process === 'object' && typeof process.getBuiltinModule === 'function' ? process.getBuiltinModule('node:crypto') : undefined;

export const native: Primitives | undefined = nodeCrypto === undefined ? undefined : nativePrimitives(nodeCrypto);

const TAG_BYTES = 16;

function nativePrimitives(crypto: NonNullable<typeof nodeCrypto>): Primitives {
  type KeyObject = ReturnType<typeof crypto.createPublicKey>;
  const privateKeys = new WeakMap<CryptoKey, KeyObject>();
  const publicKeys = boundedCache<KeyObject>(4_096);

  const plain = (buffer: Uint8Array): Bytes => new Uint8Array(buffer.buffer as ArrayBuffer, buffer.byteOffset, buffer.length);

  function publicKey(spki: Bytes): KeyObject {
    return publicKeys.of(latin1(spki), () => crypto.createPublicKey({ key: spki as unknown as Buffer, format: 'der', type: 'spki' }));
  }

  return {
    sha256: (bytes) => plain(crypto.hash('sha256', bytes, 'buffer')),
    // A KeyObject spares Node the slow path by which it takes keys given as bytes: 4 µs instead of 12.
    hmacSha256: (key, bytes) => plain(crypto.createHmac('sha256', crypto.createSecretKey(key)).update(bytes).digest()),
    hmacSha512: (key, bytes) => plain(crypto.createHmac('sha512', crypto.createSecretKey(key)).update(bytes).digest()),
    aesGcm(keyBytes) {
      const key = crypto.createSecretKey(keyBytes);
      return {
        seal(nonce, plaintext, aad) {
          const cipher = crypto.createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
          cipher.setAAD(aad);
          const body = cipher.update(plaintext);
          cipher.final();
          const out = new Uint8Array(body.length + TAG_BYTES);
          out.set(body);
          out.set(cipher.getAuthTag(), body.length);
          return out;
        },
        open(nonce, sealed, aad) {
          if (sealed.length < TAG_BYTES) return undefined;
          try {
            const decipher = crypto.createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
            decipher.setAAD(aad);
            decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
            const body = decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES));
            decipher.final();
            return plain(body);
          } catch {
            return undefined;
          }
        },
      };
    },
    adoptPrivateKey(privateKey, pkcs8) {
      privateKeys.set(privateKey, crypto.createPrivateKey({ key: pkcs8 as unknown as Buffer, format: 'der', type: 'pkcs8' }));
    },
    ecdsaSign(privateKey, message) {
      let key = privateKeys.get(privateKey);
      if (key === undefined) {
        // Node will not hand out keys that were made non-extractable; they sign through WebCrypto.
        if (!privateKey.extractable) return portable.ecdsaSign(privateKey, message);
        key = crypto.KeyObject.from(privateKey as Parameters<typeof crypto.KeyObject.from>[0]);
        privateKeys.set(privateKey, key);
      }
      return plain(crypto.sign('sha256', message, key));
    },
    ecdsaVerify(spki, message, signature) {
      try {
        const key = publicKey(spki);
        if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') return false;
        return crypto.verify('sha256', message, key, signature);
      } catch {
        return false;
      }
    },
  };
}

/** A map key of bytes; every byte is one character. */
function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
