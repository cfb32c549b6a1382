/**
 * The few primitives everything else in this room is made of. Two implementations, one interface, one shared suite:
 * `native.ts` (node:crypto, synchronous, for organisations) and `portable.ts` (WebCrypto and noble, for browsers).
 */
import type { Bytes } from '#base/bytes.ts';
import { native } from './native.ts';
import { portable } from './portable.ts';

export interface Primitives {
  sha256(bytes: Uint8Array): Bytes;
  hmacSha256(key: Uint8Array, bytes: Uint8Array): Bytes;
  hmacSha512(key: Uint8Array, bytes: Uint8Array): Bytes;
  /** AES-256-GCM under one 32-byte key. */
  aesGcm(key: Uint8Array): AesGcm;
  /** Told once of an imported key, so that signing need not ask the platform for what it hides. The bytes are PKCS #8. */
  adoptPrivateKey(privateKey: CryptoKey, pkcs8: Bytes): void;
  /** ECDSA P-256 over SHA-256 of the message, as DER; whether s is low is left to chance (see keys.ts). */
  ecdsaSign(privateKey: CryptoKey, message: Uint8Array): Bytes | Promise<Bytes>;
  /** Of a DER signature whose form was checked, under a P-256 key given as DER SubjectPublicKeyInfo. False for an unreadable key. */
  ecdsaVerify(spki: Bytes, message: Uint8Array, signature: Bytes): boolean | Promise<boolean>;
}

export interface AesGcm {
  /** Ciphertext followed by the 16-byte tag. Nonce 12 bytes. */
  seal(nonce: Uint8Array, plaintext: Uint8Array, aad: Uint8Array): Bytes | Promise<Bytes>;
  /** The plaintext, or undefined when anything does not fit; nothing more is told. */
  open(nonce: Uint8Array, sealed: Uint8Array, aad: Uint8Array): Bytes | undefined | Promise<Bytes | undefined>;
}

export const primitives: Primitives = native ?? portable;
