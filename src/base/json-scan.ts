/**
 * One pass over JSON bytes (RFC 8259) that checks everything a careless reader lets through: grammar, UTF-8 (RFC 3629),
 * depth, number of values, duplicate names and lone surrogates (both forbidden by I-JSON, RFC 7493). It builds no tree;
 * it notes where each object and array ends, so that a later visit can step over what it does not need.
 */
import { duplicateKey, malformed, notUtf8, tooDeep, tooLarge } from './json-errors.ts';
import { digits, ESCAPED, hexDigit, isUtf16, PLAIN, SPACE, utf8Length } from './json-lexis.ts';

export interface JsonLimits {
  /** Bytes of the whole text. */
  readonly bytes: number;
  /** Objects and arrays inside each other. */
  readonly depth: number;
  /** Values of every kind, the root included. */
  readonly values: number;
}

export const JSON_LIMITS: JsonLimits = { bytes: 52_428_800, depth: 64, values: 5_000_000 };

/** Int32 columns per object or array, in order of their start: first byte, byte after the last, row of the next one outside it. */
export const ROW = 3;

export interface JsonScan {
  readonly rows: Int32Array;
  readonly rootStart: number;
  readonly rootEnd: number;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** From this many names on, an object's names are kept in a set instead of compared one by one. */
const MANY_NAMES = 48;

const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Text of a string token including its quotes; the token has been checked before. */
export function decodeString(bytes: Uint8Array, start: number, end: number): string {
  const text = decoder.decode(bytes.subarray(start, end));
  return text.includes('\\') ? (JSON.parse(text) as string) : text.slice(1, -1);
}

/**
 * Checks a whole text. A leading UTF-8 byte order mark is skipped (RFC 8259 section 8.1).
 * Throws JSON_MALFORMED, JSON_TOO_DEEP, JSON_DUPLICATE_KEY, JSON_TOO_LARGE, BYTES_NOT_UTF8.
 */
export function scanJson(bytes: Uint8Array, limits: JsonLimits): JsonScan {
  if (bytes.length > limits.bytes) throw tooLarge('bytes', limits.bytes);
  if (isUtf16(bytes)) throw notUtf8(0);
  return new Scanner(bytes, limits).run();
}

class Scanner {
  readonly #bytes: Uint8Array;
  readonly #limits: JsonLimits;
  #at = 0;
  #values = 0;
  #rows = new Int32Array(ROW * 64);
  #rowCount = 0;
  /** Start, end and hash of the names of every open object, innermost last. */
  #names = new Int32Array(3 * 64);
  #nameCount = 0;

  constructor(bytes: Uint8Array, limits: JsonLimits) {
    this.#bytes = bytes;
    this.#limits = limits;
  }

  run(): JsonScan {
    const bytes = this.#bytes;
    if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) this.#at = 3;
    this.#space();
    if (this.#at === bytes.length) throw malformed(this.#bytes, 'there is no value', this.#at);
    const rootStart = this.#at;
    this.#value(0);
    const rootEnd = this.#at;
    this.#space();
    if (this.#at !== bytes.length) throw malformed(this.#bytes, 'there is more text after the value', this.#at);
    return { rows: this.#rows.slice(0, this.#rowCount * ROW), rootStart, rootEnd };
  }

  #value(depth: number): void {
    if (++this.#values > this.#limits.values) throw tooLarge('values', this.#limits.values);
    const byte = this.#bytes[this.#at];
    switch (byte) {
      case QUOTE:
        this.#string();
        return;
      case 0x7b:
        return this.#container(depth, true);
      case 0x5b:
        return this.#container(depth, false);
      case 0x74:
        return this.#word('true');
      case 0x66:
        return this.#word('false');
      case 0x6e:
        return this.#word('null');
      default:
        return this.#number();
    }
  }

  #container(depth: number, isObject: boolean): void {
    if (depth >= this.#limits.depth) throw tooDeep(this.#at, this.#limits.depth);
    const row = this.#openRow();
    this.#at++;
    this.#space();
    if (this.#bytes[this.#at] === (isObject ? 0x7d : 0x5d)) this.#at++;
    else if (isObject) this.#members(depth + 1);
    else this.#items(depth + 1);
    this.#rows[row * ROW + 1] = this.#at;
    this.#rows[row * ROW + 2] = this.#rowCount;
  }

  #items(depth: number): void {
    const bytes = this.#bytes;
    for (;;) {
      this.#value(depth);
      this.#space();
      const byte = bytes[this.#at++];
      if (byte === 0x5d) return;
      if (byte !== 0x2c) throw malformed(this.#bytes, 'a comma or ] is missing', this.#at - 1);
      this.#space();
    }
  }

  #members(depth: number): void {
    const bytes = this.#bytes;
    const base = this.#nameCount;
    let many: Set<string> | undefined;
    for (;;) {
      if (bytes[this.#at] !== QUOTE) throw malformed(this.#bytes, 'a name in quotes is missing', this.#at);
      const start = this.#at;
      const escapes = this.#string();
      many = this.#name(base, { start, end: this.#at, escapes }, many);
      this.#space();
      if (bytes[this.#at++] !== 0x3a) throw malformed(this.#bytes, 'a colon is missing', this.#at - 1);
      this.#space();
      this.#value(depth);
      this.#space();
      const byte = bytes[this.#at++];
      if (byte === 0x7d) break;
      if (byte !== 0x2c) throw malformed(this.#bytes, 'a comma or } is missing', this.#at - 1);
      this.#space();
    }
    this.#nameCount = base;
  }

  /** Refuses a name that the open object already has; returns the set of names once there are many. */
  #name(base: number, name: { readonly start: number; readonly end: number; readonly escapes: boolean }, many: Set<string> | undefined): Set<string> | undefined {
    const { start, end } = name;
    if (many !== undefined) {
      const text = decodeString(this.#bytes, start, end);
      if (many.has(text)) throw duplicateKey(this.#bytes, start);
      return many.add(text);
    }
    const hash = this.#hash(name);
    const names = this.#names;
    for (let at = base; at < this.#nameCount; at++) {
      if (names[at * 3 + 2] === hash && decodeString(this.#bytes, names[at * 3] as number, names[at * 3 + 1] as number) === decodeString(this.#bytes, start, end)) {
        throw duplicateKey(this.#bytes, start);
      }
    }
    if ((this.#nameCount + 1) * 3 > names.length) this.#names = grown(names);
    this.#names.set([start, end, hash], this.#nameCount++ * 3);
    if (this.#nameCount - base < MANY_NAMES) return undefined;
    const set = new Set<string>();
    for (let at = base; at < this.#nameCount; at++) set.add(decodeString(this.#bytes, this.#names[at * 3] as number, this.#names[at * 3 + 1] as number));
    return set;
  }

  /** FNV-1a over UTF-16 code units or, equal for ASCII, bytes; names with escapes or other letters are decoded first. */
  #hash(name: { readonly start: number; readonly end: number; readonly escapes: boolean }): number {
    const bytes = this.#bytes;
    let hash = 0x811c9dc5;
    if (!name.escapes) {
      let at = name.start + 1;
      for (; at < name.end - 1; at++) {
        const byte = bytes[at] as number;
        if (byte >= 0x80) break;
        hash = Math.imul(hash ^ byte, 0x01000193);
      }
      if (at === name.end - 1) return hash | 0;
      hash = 0x811c9dc5;
    }
    const text = decodeString(bytes, name.start, name.end);
    for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
    return hash | 0;
  }

  /** Reads a string token; true when it holds escapes. */
  #string(): boolean {
    const bytes = this.#bytes;
    let escapes = false;
    let at = this.#at + 1;
    for (;;) {
      while (PLAIN[bytes[at] as number] === 1) at++;
      const byte = bytes[at];
      if (byte === QUOTE) {
        this.#at = at + 1;
        return escapes;
      }
      if (byte === undefined) throw malformed(this.#bytes, 'a string has no end', bytes.length);
      if (byte === BACKSLASH) {
        escapes = true;
        at = this.#escape(at);
      } else if (byte < 0x20) {
        throw malformed(this.#bytes, 'a control character stands in a string', at);
      } else if (byte === 0x7f) {
        at++;
      } else {
        const length = utf8Length(bytes, at);
        if (length === 0) throw notUtf8(at);
        at += length;
      }
    }
  }

  /** Position after the escape at `at`. */
  #escape(at: number): number {
    const letter = this.#bytes[at + 1];
    if (letter !== undefined && ESCAPED.has(letter)) return at + 2;
    if (letter !== 0x75) throw malformed(this.#bytes, 'an unknown escape stands in a string', at);
    const unit = this.#hex4(at + 2);
    if (unit < 0xd800 || unit > 0xdfff) return at + 6;
    const paired = unit < 0xdc00 && this.#bytes[at + 6] === BACKSLASH && this.#bytes[at + 7] === 0x75;
    const low = paired ? this.#hex4(at + 8) : 0;
    if (low < 0xdc00 || low > 0xdfff) throw malformed(this.#bytes, 'a lone surrogate stands in a string', at);
    return at + 12;
  }

  #hex4(at: number): number {
    let value = 0;
    for (let offset = 0; offset < 4; offset++) {
      const digit = hexDigit(this.#bytes[at + offset]);
      if (digit < 0) throw malformed(this.#bytes, 'an escape needs four hexadecimal digits', at);
      value = value * 16 + digit;
    }
    return value;
  }

  #number(): void {
    const bytes = this.#bytes;
    const start = this.#at;
    let at = bytes[start] === 0x2d ? start + 1 : start;
    const whole = digits(bytes, at);
    if (whole === at) throw malformed(this.#bytes, 'a value is missing', start);
    if (bytes[at] === 0x30 && whole > at + 1) throw malformed(this.#bytes, 'a number starts with 0', start);
    at = whole;
    if (bytes[at] === 0x2e) {
      const fraction = digits(bytes, at + 1);
      if (fraction === at + 1) throw malformed(this.#bytes, 'digits are missing after the point', at);
      at = fraction;
    }
    if (bytes[at] === 0x65 || bytes[at] === 0x45) {
      const sign = bytes[at + 1] === 0x2b || bytes[at + 1] === 0x2d ? 1 : 0;
      const exponent = digits(bytes, at + 1 + sign);
      if (exponent === at + 1 + sign) throw malformed(this.#bytes, 'digits are missing in the exponent', at);
      at = exponent;
    }
    this.#at = at;
  }

  #word(word: string): void {
    for (let offset = 1; offset < word.length; offset++) {
      if (this.#bytes[this.#at + offset] !== word.charCodeAt(offset)) throw malformed(this.#bytes, 'a value is missing', this.#at);
    }
    this.#at += word.length;
  }

  #space(): void {
    const bytes = this.#bytes;
    let at = this.#at;
    while (SPACE[bytes[at] as number] === 1) at++;
    this.#at = at;
  }

  #openRow(): number {
    const row = this.#rowCount++;
    if ((row + 1) * ROW > this.#rows.length) this.#rows = grown(this.#rows);
    this.#rows[row * ROW] = this.#at;
    return row;
  }
}

function grown(array: Int32Array): Int32Array<ArrayBuffer> {
  const out = new Int32Array(array.length * 2);
  out.set(array);
  return out;
}
