/** Keys from passphrases: PBKDF2 with HMAC-SHA-256 (RFC 8018), the one password KDF that WebCrypto has in Node and in browsers alike. */
import { concat, utf8, type Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { KeyValueStore, Random } from '#base/ports.ts';
import { openWith, sealWith } from '#crypto/aead.ts';

/** OWASP's figure for PBKDF2-HMAC-SHA-256. */
export const PASSPHRASE_ROUNDS = 600_000;
const SALT_BYTES = 16;
const SALT_ENTRY = 'passphrase-salt';

/** 32 bytes from a passphrase (normalised to NFKC, RFC 8265) and a random salt. */
export async function passphraseKey(passphrase: string, salt: Bytes): Promise<Bytes> {
  const material = await crypto.subtle.importKey('raw', utf8(passphrase.normalize('NFKC')), 'PBKDF2', false, ['deriveBits']);
  return new Uint8Array(await crypto.subtle.deriveBits({ name: 'PBKDF2', hash: 'SHA-256', salt, iterations: PASSPHRASE_ROUNDS }, material, 256));
}

/** The unlock key of a device store from a passphrase; the salt is made once and kept beside the sealed entries. */
export async function passphraseUnlock({ store, random, passphrase }: { readonly store: KeyValueStore; readonly random: Random; readonly passphrase: string }): Promise<Bytes> {
  let salt = await store.get(SALT_ENTRY);
  if (salt === undefined) {
    salt = random.bytes(SALT_BYTES);
    await store.write(new Map([[SALT_ENTRY, salt]]));
  }
  return passphraseKey(passphrase, salt);
}

/** salt ‖ AES-256-GCM under the passphrase's key. */
export async function sealByPassphrase({ passphrase, plaintext, aad, random }: { readonly passphrase: string; readonly plaintext: Bytes; readonly aad: Bytes; readonly random: Random }): Promise<Bytes> {
  const salt = random.bytes(SALT_BYTES);
  return concat(salt, await sealWith(await passphraseKey(passphrase, salt), plaintext, aad, random));
}

/** Throws PASSPHRASE_WRONG (which is also what an altered file looks like). */
export async function openByPassphrase({ passphrase, sealed, aad }: { readonly passphrase: string; readonly sealed: Bytes; readonly aad: Bytes }): Promise<Bytes> {
  try {
    return await openWith(await passphraseKey(passphrase, sealed.slice(0, SALT_BYTES)), sealed.slice(SALT_BYTES), aad);
  } catch (cause) {
    throw new CodedError('PASSPHRASE_WRONG', 'The passphrase does not open this file.', { next: 'Type the passphrase with which it was exported.' }, { cause });
  }
}
