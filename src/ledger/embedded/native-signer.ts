/** Signing and verifying with Node's OpenSSL, off the main thread: about 28 µs and 65 µs of another core. */
import { createPrivateKey, createPublicKey, verify, type KeyObject } from 'node:crypto';
import type { LedgerSigner } from '../client.ts';
import { isLowS, withLowS } from '../low-s.ts';
import { signOffThread, verifyOffThread } from './crypto-pool.ts';
import { nativeHash } from './hash.ts';

export interface NativeSignerParts {
  readonly mspId: string;
  /** PEM. */
  readonly certificate: string;
  readonly privateKeyPkcs8: Uint8Array;
}

/** The Node twin of `createSigner`, from a PKCS #8 key. */
export function createNativeSigner({ mspId, certificate, privateKeyPkcs8 }: NativeSignerParts): LedgerSigner {
  const key = createPrivateKey({ key: Buffer.from(privateKeyPkcs8), format: 'der', type: 'pkcs8' });
  return { mspId, certificate, hash: nativeHash, sign: async (message) => withLowS(await signOffThread(key, message)) };
}

/** A public key from SubjectPublicKeyInfo (DER). */
export function publicKeyOf(spki: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
}

/** False for a wrong signature and, as Fabric's MSP does, for a right one with high S. */
export function verifyNative(key: KeyObject, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  return isLowS(signature) ? verifyOffThread(key, message, signature) : Promise.resolve(false);
}

/** The same, at once, for certificates and revocation lists (their signers may use high S). */
export function verifyNativeSync(key: KeyObject, message: Uint8Array, signature: Uint8Array): boolean {
  return verify('sha256', message, key, signature);
}
