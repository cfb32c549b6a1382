/** P-256 signing keys (FIPS 186-5) as WebCrypto keys; signatures as low-S DER over SHA-256, as Fabric's MSP expects. */
import type { Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import { primitives } from './primitives.ts';
import { isLowS, lowS } from './signature.ts';

const ECDSA = { name: 'ECDSA', namedCurve: 'P-256' } as const;

/** A fresh pair. The private key can be exported unless told otherwise; browsers keep it non-extractable. */
export function generateSigningKey(options: { readonly extractable?: boolean } = {}): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey(ECDSA, options.extractable ?? true, ['sign', 'verify']);
}

/** PKCS #8 (RFC 5958) DER. */
export async function exportPrivateKey(key: CryptoKey): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.exportKey('pkcs8', key));
}

/** From PKCS #8 DER. Throws KEY_INVALID when it is no P-256 private key. */
export async function importPrivateKey(pkcs8: Bytes, options: { readonly extractable?: boolean } = {}): Promise<CryptoKey> {
  try {
    const key = await crypto.subtle.importKey('pkcs8', pkcs8, ECDSA, options.extractable ?? false, ['sign']);
    primitives.adoptPrivateKey(key, pkcs8);
    return key;
  } catch (cause) {
    throw new CodedError('KEY_INVALID', 'The bytes are not a P-256 private key in PKCS #8 form.', {}, { cause });
  }
}

/** From SubjectPublicKeyInfo DER. Throws KEY_INVALID when it is no P-256 public key. */
export async function importPublicKey(spkiBytes: Bytes): Promise<CryptoKey> {
  try {
    return await crypto.subtle.importKey('spki', spkiBytes, ECDSA, true, ['verify']);
  } catch (cause) {
    throw new CodedError('KEY_INVALID', 'The bytes are not a P-256 public key (SubjectPublicKeyInfo).', {}, { cause });
  }
}

const spkiOf = new WeakMap<CryptoKey, Promise<Bytes>>();

/** SubjectPublicKeyInfo (RFC 5480) DER of a public key. */
export function spki(publicKey: CryptoKey): Promise<Bytes> {
  let known = spkiOf.get(publicKey);
  if (known === undefined) {
    known = crypto.subtle.exportKey('spki', publicKey).then((bytes) => new Uint8Array(bytes));
    spkiOf.set(publicKey, known);
  }
  return known;
}

/** Low-S DER signature over SHA-256 of the message. */
export async function signLowS(privateKey: CryptoKey, message: Uint8Array): Promise<Bytes> {
  return lowS(await primitives.ecdsaSign(privateKey, message));
}

/** True when the signature is strict DER, low-S and valid. The key is a public CryptoKey or SubjectPublicKeyInfo bytes. Never throws. */
export async function verifyDer(publicKey: CryptoKey | Uint8Array, message: Uint8Array, derSignature: Uint8Array): Promise<boolean> {
  if (!isLowS(derSignature)) return false;
  const key = publicKey instanceof Uint8Array ? (publicKey as Bytes) : await spki(publicKey);
  return primitives.ecdsaVerify(key, message, derSignature as Bytes);
}
