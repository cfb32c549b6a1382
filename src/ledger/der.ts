/**
 * Distinguished Encoding Rules (X.690) as far as certificates, revocation lists, block headers and ECDSA signatures
 * need them. Portable and synchronous.
 */
import { concat, type Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';

/** One element: its tag, its content and itself whole (header included), as views. */
export interface DerElement {
  readonly tag: number;
  readonly content: Uint8Array;
  readonly whole: Uint8Array;
}

export const derTag = { integer: 0x02, bitString: 0x03, octetString: 0x04, oid: 0x06, utcTime: 0x17, generalizedTime: 0x18, sequence: 0x30, set: 0x31 } as const;

const malformed = (why: string): CodedError => new CodedError('LEDGER_MALFORMED', 'The bytes are not the DER structure they should be.', { why });

/** The elements that fill `bytes`. Throws LEDGER_MALFORMED. */
export function derElements(bytes: Uint8Array): DerElement[] {
  const out: DerElement[] = [];
  let at = 0;
  while (at < bytes.length) {
    const start = at;
    const tag = bytes[at++] as number;
    let length = bytes[at++];
    if (length === undefined) throw malformed('An element is cut off.');
    if (length > 0x80) {
      const octets = length - 0x80;
      if (octets > 4 || at + octets > bytes.length) throw malformed('A length is too long.');
      length = 0;
      for (let count = 0; count < octets; count++) length = length * 256 + (bytes[at++] as number);
    } else if (length === 0x80) throw malformed('Indefinite lengths are not DER.');
    if (at + length > bytes.length) throw malformed('An element is longer than its parent.');
    out.push({ tag, content: bytes.subarray(at, at + length), whole: bytes.subarray(start, at + length) });
    at += length;
  }
  return out;
}

/** The single element that fills `bytes`, with the tag expected. */
export function derOne(bytes: Uint8Array, tag: number): DerElement {
  const [element, ...rest] = derElements(bytes);
  if (element === undefined || rest.length > 0 || element.tag !== tag) throw malformed('Another element was expected.');
  return element;
}

/** Dotted form of an object identifier's content. */
export function oidText(content: Uint8Array): string {
  const parts: number[] = [];
  let value = 0;
  for (const byte of content) {
    value = value * 128 + (byte & 0x7f);
    if (byte >= 0x80) continue;
    if (parts.length === 0) parts.push(Math.min(2, Math.floor(value / 40)), value - 40 * Math.min(2, Math.floor(value / 40)));
    else parts.push(value);
    value = 0;
  }
  return parts.join('.');
}

/** UTC milliseconds of a UTCTime or GeneralizedTime (RFC 5280 section 4.1.2.5: always with seconds and `Z`). */
export function derTime(element: DerElement): number {
  const text = String.fromCharCode(...element.content);
  const match = element.tag === derTag.utcTime ? /^(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/.exec(text) : /^(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/.exec(text);
  if (match === null) throw malformed('A time is not in the form of RFC 5280.');
  const [year = 0, month = 0, ...rest] = match.slice(1).map(Number);
  const century = element.tag === derTag.utcTime ? (year >= 50 ? 1900 : 2000) : 0;
  const [day = 0, hour = 0, minute = 0, second = 0] = rest;
  return Date.UTC(century + year, month - 1, day, hour, minute, second);
}

function header(tag: number, length: number): number[] {
  if (length < 0x80) return [tag, length];
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return [tag, 0x80 + octets.length, ...octets];
}

/** An element from its tag and content. */
export function derWrite(tag: number, ...content: readonly Uint8Array[]): Bytes {
  const length = content.reduce((sum, part) => sum + part.length, 0);
  return concat(new Uint8Array(header(tag, length)), ...content);
}

/** INTEGER from unsigned big-endian bytes: no leading zeros except the one that keeps it positive. */
export function derUnsigned(value: Uint8Array): Bytes {
  let start = 0;
  while (start < value.length - 1 && value[start] === 0) start++;
  const digits = value.subarray(start);
  const positive = (digits[0] ?? 0) >= 0x80 || digits.length === 0 ? [new Uint8Array(1), digits] : [digits];
  return derWrite(derTag.integer, ...positive);
}

/** Bytes of the first PEM block with the label. Throws LEDGER_MALFORMED. */
export function pemToDer(pem: string, label: string): Bytes {
  const match = new RegExp(`-----BEGIN ${label}-----([A-Za-z0-9+/=\\s]*)-----END ${label}-----`).exec(pem);
  if (match === null) throw malformed(`There is no PEM block ${label}.`);
  const binary = atob((match[1] as string).replace(/\s+/g, ''));
  const out = new Uint8Array(binary.length);
  for (let at = 0; at < binary.length; at++) out[at] = binary.charCodeAt(at);
  return out;
}
