/**
 * The root secret of a device and what grows from it (docs/protocol.md section 1). The secret is stored wrapped; what
 * unwraps it comes from outside: 32 bytes (from a key file or a passphrase) or, in a browser, a key that cannot be exported.
 */
import { toBase64url, utf8, type Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { KeyValueStore, Random } from '#base/ports.ts';
import { openWith, sealWith } from '#crypto/aead.ts';
import { deriveKey, epochKey, numbered, pseudonym } from '#crypto/derive.ts';
import { deriveHpkeKeyPair, type HpkeKeyPair } from '#crypto/hpke.ts';
import type { IndexTag, OrgId, PairwiseId } from '#model/ids.ts';
import type { VaultKeys } from './vault.ts';

/** Wraps the root secret by a key that need not leave its holder (a non-extractable WebCrypto key, a passkey's PRF). */
export interface KeyWrap {
  wrap(secret: Bytes): Promise<Bytes>;
  /** Throws when the wrapped bytes are not its own. */
  unwrap(wrapped: Bytes): Promise<Bytes>;
}

export interface DeviceKeys {
  readonly root: Bytes;
  readonly vault: VaultKeys;
  pairwiseId(keeper: OrgId): PairwiseId;
  /** HPKE key pair of a label: `link/<keeper>` or `slot/<tag>`. */
  hpke(label: string): Promise<HpkeKeyPair>;
  indexTag(position: IndexPosition): IndexTag;
  indexKey(position: IndexPosition): Bytes;
}

/** The n-th entry of an epoch. */
export interface IndexPosition {
  readonly epoch: number;
  readonly n: number;
}

const ROOT_ENTRY = 'root';
const ROOT_AAD = utf8('healthkeep/v1/root');
const ROOT_BYTES = 32;

/** Opens the root secret of the store, making one in an empty store. Throws DEVICE_LOCKED when the unlock key is another. */
export async function openRoot({ store, unlockKey, random }: { readonly store: KeyValueStore; readonly unlockKey: Bytes | KeyWrap; readonly random: Random }): Promise<Bytes> {
  const wrapped = await store.get(ROOT_ENTRY);
  if (wrapped !== undefined) return unwrapRoot(wrapped, unlockKey);
  const root = random.bytes(ROOT_BYTES);
  await storeRoot({ store, unlockKey, random }, root);
  return root;
}

/** Replaces the store's root secret: for import into a fresh device. */
export async function storeRoot({ store, unlockKey, random }: { readonly store: KeyValueStore; readonly unlockKey: Bytes | KeyWrap; readonly random: Random }, root: Bytes): Promise<void> {
  const wrapped = unlockKey instanceof Uint8Array ? await sealWith(unlockKey, root, ROOT_AAD, random) : await unlockKey.wrap(root);
  await store.write(new Map([[ROOT_ENTRY, wrapped]]));
}

async function unwrapRoot(wrapped: Bytes, unlockKey: Bytes | KeyWrap): Promise<Bytes> {
  try {
    return unlockKey instanceof Uint8Array ? await openWith(unlockKey, wrapped, ROOT_AAD) : await unlockKey.unwrap(wrapped);
  } catch (cause) {
    throw new CodedError('DEVICE_LOCKED', 'The device cannot be unlocked with this key.', { next: 'Use the passphrase or key file with which this device was made.' }, { cause });
  }
}

/** Everything the root secret gives; pure. */
export function deviceKeys(root: Bytes): DeviceKeys {
  const pairwise = deriveKey(root, 'pairwise', 32);
  const index = deriveKey(root, 'index', 32);
  return {
    root,
    vault: { values: deriveKey(root, 'vault', 32), names: deriveKey(root, 'vault/names', 32) },
    pairwiseId: (keeper) => pseudonym(pairwise, 'healthkeep/v1/pairwise', keeper) as PairwiseId,
    hpke: (label) => deriveHpkeKeyPair(deriveKey(root, `hpke/${label}`, 32)),
    indexTag: ({ epoch, n }) => toBase64url(numbered(epochKey(index, epoch), 'healthkeep/v1/uic-tag', n)) as IndexTag,
    indexKey: ({ epoch, n }) => numbered(epochKey(index, epoch), 'healthkeep/v1/uic-key', n),
  };
}

/** Random bytes as the text of an id. */
export function randomId(random: Random, bytes: 16 | 32): string {
  return toBase64url(random.bytes(bytes));
}

/** A whole number in [0, below) without bias worth naming: 48 random bits. */
export function randomBelow(random: Random, below: number): number {
  const bytes = random.bytes(6);
  let value = 0;
  for (const byte of bytes) value = value * 256 + byte;
  return Math.floor((value / 2 ** 48) * below);
}

/** A new array in random order (Fisher and Yates). */
export function shuffled<T>(random: Random, values: readonly T[]): T[] {
  const out = [...values];
  for (let at = out.length - 1; at > 0; at--) {
    const other = randomBelow(random, at + 1);
    [out[at], out[other]] = [out[other] as T, out[at] as T];
  }
  return out;
}

