/**
 * Encryption of record bodies of any size: C2SP chunked-encryption (https://c2sp.org/chunked-encryption) in its named form
 * Cobblestone-256: HKDF-Expand-SHA-512 and AES-256-GCM. Chunks of 16 KiB, the last one always shorter, so every cut shows;
 * any chunk can be opened alone; a commitment in front makes one ciphertext open under one key and context only.
 *
 * Ciphertext = salt (24) ‖ commitment (32) ‖ chunks, each with its 16-byte tag.
 */
import { concat, equalBytes, utf8, type Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { Random } from '#base/ports.ts';
import { hkdfExpandSha512 } from './digest.ts';
import { primitives, type AesGcm } from './primitives.ts';

const SALT_BYTES = 24;
const COMMITMENT_BYTES = 32;
export const BODY_HEADER_BYTES = SALT_BYTES + COMMITMENT_BYTES;
export const CHUNK_BYTES = 16_384;
const TAG_BYTES = 16;
const SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES;
const CHUNKS_MAX = 2 ** 38;
const LABEL = utf8('c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0');
const NO_AAD = new Uint8Array(0);

export interface BodyKey {
  /** 32 uniformly random bytes. */
  readonly key: Uint8Array;
  /** What the body belongs to; a body opens under the same context only. */
  readonly context: Uint8Array;
}

/** Bytes of the ciphertext of so many plaintext bytes. */
export function cipherLength(plainBytes: number): number {
  return BODY_HEADER_BYTES + plainBytes + TAG_BYTES * (Math.floor(plainBytes / CHUNK_BYTES) + 1);
}

/** Bytes of the plaintext inside so many ciphertext bytes. Throws BODY_TRUNCATED for lengths no ciphertext has. */
export function plainLength(cipherBytes: number): number {
  const sealed = cipherBytes - BODY_HEADER_BYTES;
  const last = sealed % SEALED_CHUNK_BYTES;
  if (sealed < TAG_BYTES || last < TAG_BYTES) throw truncated();
  return Math.floor(sealed / SEALED_CHUNK_BYTES) * CHUNK_BYTES + last - TAG_BYTES;
}

/** Encrypts a whole body. The salt is fresh, so equal bodies give unrelated ciphertexts. Throws KEY_LENGTH. */
export async function encryptBody({ key, context, plaintext, random }: BodyKey & { readonly plaintext: Uint8Array; readonly random: Random }): Promise<Bytes> {
  const salt = random.bytes(SALT_BYTES);
  const keys = bodyKeys({ key, context }, salt);
  const out = new Uint8Array(cipherLength(plaintext.length));
  out.set(salt);
  out.set(keys.commitment, SALT_BYTES);
  const chunks = Math.floor(plaintext.length / CHUNK_BYTES) + 1;
  for (let chunk = 0, at = BODY_HEADER_BYTES; chunk < chunks; chunk++, at += SEALED_CHUNK_BYTES) {
    out.set(await keys.aead.seal(keys.nonce(chunk), plaintext.subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES), NO_AAD), at);
  }
  return out;
}

/** Opens a whole body; nothing is returned before every chunk was found authentic. Throws BODY_REFUSED, BODY_TRUNCATED. */
export async function decryptBody({ key, context, ciphertext }: BodyKey & { readonly ciphertext: Uint8Array }): Promise<Bytes> {
  const out = new Uint8Array(plainLength(ciphertext.length));
  const keys = openHeader({ key, context }, ciphertext.subarray(0, BODY_HEADER_BYTES));
  for (let chunk = 0, at = BODY_HEADER_BYTES; at < ciphertext.length; chunk++, at += SEALED_CHUNK_BYTES) {
    out.set(await openChunk(keys, chunk, ciphertext.subarray(at, at + SEALED_CHUNK_BYTES)), chunk * CHUNK_BYTES);
  }
  return out;
}

/**
 * Opens the plaintext bytes `start` to `end` (exclusive) and reads no more chunks than those need. `read` returns
 * ciphertext bytes from start to end (exclusive) of `cipherBytes`. Throws BODY_REFUSED, BODY_TRUNCATED, BODY_RANGE.
 */
export async function decryptRange(
  input: BodyKey & { readonly read: (start: number, end: number) => Promise<Uint8Array>; readonly cipherBytes: number; readonly start: number; readonly end: number },
): Promise<Bytes> {
  const { read, cipherBytes, start, end } = input;
  const plainBytes = plainLength(cipherBytes);
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end < start || end > plainBytes) {
    throw new CodedError('BODY_RANGE', 'The range lies outside the record.', { start, end, plainBytes });
  }
  const keys = openHeader(input, await readExactly(read, 0, BODY_HEADER_BYTES));
  const out = new Uint8Array(end - start);
  // The end of the body is claimed by its length alone until the last chunk is opened.
  const lastChunk = end === plainBytes ? Math.floor(plainBytes / CHUNK_BYTES) : Math.floor(Math.max(start, end - 1) / CHUNK_BYTES);
  for (let chunk = Math.floor(start / CHUNK_BYTES); chunk <= lastChunk; chunk++) {
    const at = BODY_HEADER_BYTES + chunk * SEALED_CHUNK_BYTES;
    const plain = await openChunk(keys, chunk, await readExactly(read, at, Math.min(at + SEALED_CHUNK_BYTES, cipherBytes)));
    const first = chunk * CHUNK_BYTES;
    const slice = plain.subarray(Math.max(0, start - first), Math.max(0, end - first));
    out.set(slice, Math.max(first, start) - start);
  }
  return out;
}

/** Encrypts what flows through, chunk by chunk, in constant memory. Throws KEY_LENGTH. */
export function encryptStream({ key, context, random }: BodyKey & { readonly random: Random }): TransformStream<Uint8Array, Bytes> {
  const salt = random.bytes(SALT_BYTES);
  const keys = bodyKeys({ key, context }, salt);
  const regroup = regrouping(CHUNK_BYTES);
  let chunk = 0;
  return new TransformStream({
    start: (output) => output.enqueue(concat(salt, keys.commitment)),
    async transform(bytes, output) {
      for (const full of regroup.push(bytes)) output.enqueue((await keys.aead.seal(keys.nonce(chunk++), full, NO_AAD)) as Bytes);
    },
    async flush(output) {
      output.enqueue((await keys.aead.seal(keys.nonce(chunk), regroup.rest(), NO_AAD)) as Bytes);
    },
  });
}

/** Opens what flows through; each chunk is passed on only after it was found authentic. Errors the stream with BODY_REFUSED or BODY_TRUNCATED. */
export function decryptStream({ key, context }: BodyKey): TransformStream<Uint8Array, Bytes> {
  const header = regrouping(BODY_HEADER_BYTES);
  const chunks = regrouping(SEALED_CHUNK_BYTES);
  let keys: BodyKeys | undefined;
  let chunk = 0;
  return new TransformStream({
    async transform(bytes, output) {
      let body = bytes;
      if (keys === undefined) {
        const [first, ...more] = header.push(bytes);
        if (first === undefined) return;
        keys = openHeader({ key, context }, first);
        body = concat(...more, header.rest());
      }
      for (const full of chunks.push(body)) output.enqueue(await openChunk(keys, chunk++, full));
    },
    async flush(output) {
      const last = chunks.rest();
      // A full final chunk means that the end was cut off at a chunk boundary.
      if (keys === undefined || last.length < TAG_BYTES) throw truncated();
      output.enqueue(await openChunk(keys, chunk, last));
    },
  });
}

interface BodyKeys {
  readonly aead: AesGcm;
  readonly commitment: Bytes;
  /** The nonce of a chunk: base nonce XOR the chunk's number as a big-endian integer. */
  nonce(chunk: number): Bytes;
}

/** key ‖ base nonce ‖ commitment = HKDF-Expand(input key, label ‖ salt ‖ context). */
function bodyKeys({ key, context }: BodyKey, salt: Uint8Array): BodyKeys {
  if (key.length !== 32) throw new CodedError('KEY_LENGTH', 'A body key has 32 bytes.', { length: key.length });
  const derived = hkdfExpandSha512(key, concat(LABEL, salt, context), 32 + 12 + COMMITMENT_BYTES);
  const baseNonce = derived.subarray(32, 44);
  const low = new DataView(derived.buffer, derived.byteOffset + 40).getUint32(0);
  const high = new DataView(derived.buffer, derived.byteOffset + 36).getUint32(0);
  return {
    aead: primitives.aesGcm(derived.subarray(0, 32)),
    commitment: derived.subarray(44) as Bytes,
    nonce(chunk) {
      if (chunk >= CHUNKS_MAX) throw new CodedError('BODY_RANGE', 'A body has at most 2^38 chunks.', { chunk });
      const nonce = baseNonce.slice();
      const view = new DataView(nonce.buffer);
      view.setUint32(8, (low ^ (chunk % 2 ** 32)) >>> 0);
      view.setUint32(4, (high ^ Math.floor(chunk / 2 ** 32)) >>> 0);
      return nonce;
    },
  };
}

/** Checks the commitment before any chunk is opened, as the specification demands. */
function openHeader(bodyKey: BodyKey, header: Uint8Array): BodyKeys {
  const keys = bodyKeys(bodyKey, header.subarray(0, SALT_BYTES));
  if (!equalBytes(keys.commitment, header.subarray(SALT_BYTES))) throw refused();
  return keys;
}

async function openChunk(keys: BodyKeys, chunk: number, sealed: Uint8Array): Promise<Bytes> {
  const opened = await keys.aead.open(keys.nonce(chunk), sealed, NO_AAD);
  if (opened === undefined) throw refused();
  return opened;
}

async function readExactly(read: (start: number, end: number) => Promise<Uint8Array>, start: number, end: number): Promise<Uint8Array> {
  const bytes = await read(start, end);
  if (bytes.length !== end - start) throw truncated();
  return bytes;
}

/** Cuts a flow of any pieces into pieces of one size. */
function regrouping(size: number): { push(bytes: Uint8Array): Bytes[]; rest(): Bytes } {
  const buffer = new Uint8Array(size);
  let filled = 0;
  return {
    push(bytes) {
      const full: Bytes[] = [];
      for (let at = 0; at < bytes.length; ) {
        const take = Math.min(size - filled, bytes.length - at);
        buffer.set(bytes.subarray(at, at + take), filled);
        filled += take;
        at += take;
        if (filled === size) {
          full.push(buffer.slice());
          filled = 0;
        }
      }
      return full;
    },
    rest: () => buffer.slice(0, filled),
  };
}

function refused(): CodedError {
  return new CodedError('BODY_REFUSED', 'The encrypted record could not be opened.');
}

function truncated(): CodedError {
  return new CodedError('BODY_TRUNCATED', 'The encrypted record is cut short.');
}
