/**
 * DER (X.690), as much of it as certificates need. Reading is strict: one element has one encoding only, so that no byte
 * of a signed document can change without its reader noticing.
 */
import { compareBytes, concat, toHex, utf8, type Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';

/** A view into the bytes that were read, not a copy. */
export interface Der {
  readonly tag: number;
  readonly content: Bytes;
  /** The whole element with its header. */
  readonly bytes: Bytes;
}

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Tag of a context-specific constructed element, as `[0]` or `[3]`. */
export function contextTag(number: number): number {
  return 0xa0 | number;
}

/** One element. */
export function der(tag: number, ...contents: readonly Uint8Array[]): Bytes {
  let length = 0;
  for (const content of contents) length += content.length;
  const digits: number[] = [];
  if (length < 0x80) digits.push(length);
  else {
    for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest & 0xff);
    digits.unshift(0x80 | digits.length);
  }
  return concat(Uint8Array.of(tag, ...digits), ...contents);
}

export function sequence(...contents: readonly Uint8Array[]): Bytes {
  return der(TAG.sequence, ...contents);
}

/** A non-negative INTEGER of big-endian bytes. */
export function integer(bytes: Uint8Array): Bytes {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const digits = bytes.subarray(start);
  return (digits[0] as number) < 0x80 ? der(TAG.integer, digits) : der(TAG.integer, Uint8Array.of(0), digits);
}

/** A BIT STRING of whole bytes. */
export function bitString(bytes: Uint8Array): Bytes {
  return der(TAG.bitString, Uint8Array.of(0), bytes);
}

/** An OBJECT IDENTIFIER in dotted form. */
export function oid(dotted: string): Bytes {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes: number[] = [first * 40 + second];
  for (const arc of rest) {
    const digits = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) digits.unshift(0x80 | (left & 0x7f));
    bytes.push(...digits);
  }
  return der(TAG.oid, Uint8Array.from(bytes));
}

/** UTCTime until 2049, GeneralizedTime from 2050 (RFC 5280 section 4.1.2.5), whole seconds. */
export function time(utcMilliseconds: number): Bytes {
  const digits = new Date(utcMilliseconds).toISOString().replace(/\.\d+Z$/, 'Z').replace(/[-:T]/g, '');
  return Number(digits.slice(0, 4)) < 2050 ? der(TAG.utcTime, utf8(digits.slice(2))) : der(TAG.generalizedTime, utf8(digits));
}

/** UTC milliseconds of a time element. Throws DER_INVALID. */
export function readTime({ tag, content }: Der): number {
  const text = String.fromCharCode(...content);
  const digits = tag === TAG.utcTime ? (Number(text.slice(0, 2)) < 50 ? '20' : '19') + text : text;
  const [, year, month, day, hour, minute, second] = digits.match(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/) ?? [];
  const at = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  // Writing it again refuses the wrong one of the two forms and days such as February 30.
  if (Number.isNaN(at) || compareBytes(time(at), der(tag, content)) !== 0) throw invalid('a time');
  return at;
}

/** The one element these bytes are. Throws DER_INVALID for any other encoding of it and for bytes after it. */
export function readDer(bytes: Uint8Array): Der {
  const [first, ...more] = readElements(bytes);
  if (first === undefined || more.length > 0) throw invalid('one element');
  return first;
}

/** The elements these bytes are, one after the other. Throws DER_INVALID. */
export function readElements(bytes: Uint8Array): readonly Der[] {
  const found: Der[] = [];
  for (let at = 0; at < bytes.length; ) {
    const element = readElement(bytes, at);
    found.push(element);
    at += element.bytes.length;
  }
  return found;
}

function readElement(bytes: Uint8Array, at: number): Der {
  const tag = bytes[at] as number;
  const first = bytes[at + 1] ?? 0x80;
  if ((tag & 0x1f) === 0x1f || first === 0x80 || first > 0x84) throw invalid('a header');
  let length = first;
  let header = 2;
  if (first > 0x80) {
    header += first & 0x7f;
    length = 0;
    for (let digit = at + 2; digit < at + header; digit++) length = length * 256 + (bytes[digit] ?? 0);
    // DER: the shortest form of a length is the only one.
    if (length < 0x80 || bytes[at + 2] === 0) throw invalid('a length');
  }
  const end = at + header + length;
  if (end > bytes.length) throw invalid('an end');
  return { tag, content: bytes.subarray(at + header, end) as Bytes, bytes: bytes.subarray(at, end) as Bytes };
}

/** The content of an element that must have this tag. Throws DER_INVALID. */
export function contentOf(element: Der | undefined, tag: number): Bytes {
  if (element?.tag !== tag) throw invalid(`tag ${tag}`);
  return element.content;
}

/** The elements inside an element that must have this tag. Throws DER_INVALID. */
export function inside(element: Der | undefined, tag: number = TAG.sequence): readonly Der[] {
  return readElements(contentOf(element, tag));
}

/** Lower-case hexadecimal of a non-negative INTEGER without leading zeros. Throws DER_INVALID. */
export function readInteger(element: Der | undefined): string {
  const content = contentOf(element, TAG.integer);
  if (content.length === 0 || (content[0] as number) >= 0x80 || compareBytes(integer(content), (element as Der).bytes) !== 0) throw invalid('an integer');
  return toHex(content).replace(/^0+(?=.)/, '');
}

/** Bytes of a BIT STRING without unused bits. Throws DER_INVALID. */
export function readBitString(element: Der | undefined): Bytes {
  const content = contentOf(element, TAG.bitString);
  if (content[0] !== 0) throw invalid('a bit string');
  return content.subarray(1) as Bytes;
}

function invalid(what: string): CodedError {
  return new CodedError('DER_INVALID', `The bytes are not DER: ${what} was expected.`);
}
