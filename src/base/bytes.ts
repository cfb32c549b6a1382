/** Bytes and their text forms. All functions are pure; inputs are never changed. */
import { CodedError } from './errors.ts';

export type Bytes = Uint8Array<ArrayBuffer>;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** UTF-8 bytes of a string. */
export function utf8(text: string): Bytes {
  return encoder.encode(text) as Bytes;
}

/** Text of UTF-8 bytes. Throws BYTES_NOT_UTF8 on malformed input. */
export function fromUtf8(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new CodedError('BYTES_NOT_UTF8', 'The bytes are not valid UTF-8 text.', { next: 'Send the text as UTF-8.' }, { cause });
  }
}

/** One array from several. */
export function concat(...parts: readonly Uint8Array[]): Bytes {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Concatenation in which every part is preceded by its length as 4 bytes big-endian, so that no two lists of parts collide. */
export function lengthPrefixed(...parts: readonly Uint8Array[]): Bytes {
  const out: Uint8Array[] = [];
  for (const part of parts) out.push(u32(part.length), part);
  return concat(...out);
}

/** 4 bytes, big-endian. */
export function u32(value: number): Bytes {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, value);
  return out;
}

/** 8 bytes, big-endian. */
export function u64(value: number | bigint): Bytes {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, BigInt(value));
  return out;
}

const BASE64URL = /^[A-Za-z0-9_-]*$/;

/** Unpadded base64url (RFC 4648 section 5). */
export function toBase64url(bytes: Uint8Array): string {
  if (typeof Buffer !== 'undefined') return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64url');
  let text = '';
  for (let at = 0; at < bytes.length; at += 0x8000) text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  return btoa(text).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

/** Bytes of unpadded base64url. Throws BYTES_NOT_BASE64URL on any other character, padding, or non-canonical final bits. */
export function fromBase64url(text: string): Bytes {
  const refuse = (): never => {
    throw new CodedError('BYTES_NOT_BASE64URL', 'The text is not unpadded base64url.', { next: 'Encode the bytes by RFC 4648 section 5 without padding.' });
  };
  if (!BASE64URL.test(text) || text.length % 4 === 1) return refuse();
  let out: Bytes;
  if (typeof Buffer !== 'undefined') {
    out = new Uint8Array(Buffer.from(text, 'base64url'));
  } else {
    const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
    out = new Uint8Array(binary.length);
    for (let at = 0; at < binary.length; at++) out[at] = binary.charCodeAt(at);
  }
  if (toBase64url(out) !== text) return refuse();
  return out;
}

/** Lower-case hexadecimal. */
export function toHex(bytes: Uint8Array): string {
  if (typeof Buffer !== 'undefined') return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
  let text = '';
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0');
  return text;
}

/** Bytes of hexadecimal text. Throws BYTES_NOT_HEX. */
export function fromHex(text: string): Bytes {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) throw new CodedError('BYTES_NOT_HEX', 'The text is not hexadecimal.');
  const out = new Uint8Array(text.length / 2);
  for (let at = 0; at < out.length; at++) out[at] = Number.parseInt(text.slice(at * 2, at * 2 + 2), 16);
  return out;
}

/** Equality in time that depends on the lengths only. */
export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  let difference = 0;
  for (let at = 0; at < left.length; at++) difference |= (left[at] as number) ^ (right[at] as number);
  return difference === 0;
}

/** Order of two byte strings, as Fabric orders keys. */
export function compareBytes(left: Uint8Array, right: Uint8Array): number {
  const shorter = Math.min(left.length, right.length);
  for (let at = 0; at < shorter; at++) {
    const difference = (left[at] as number) - (right[at] as number);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}
