import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareBytes, concat, equalBytes, fromBase64url, fromHex, fromUtf8, lengthPrefixed, toBase64url, toHex, u32, u64, utf8 } from './bytes.ts';
import { codeOf } from './code-of.test-kit.ts';

const bytes = fc.uint8Array({ maxLength: 200 });

describe('text forms of bytes', () => {
  it('round trips through base64url, hexadecimal and UTF-8', () => {
    fc.assert(fc.property(bytes, (value) => {
      expect(fromBase64url(toBase64url(value))).toEqual(new Uint8Array(value));
      expect(fromHex(toHex(value))).toEqual(new Uint8Array(value));
    }));
    fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (text) => void expect(fromUtf8(utf8(text))).toBe(text)));
  });

  it('writes the vectors of RFC 4648 section 10 without padding', () => {
    expect(['', 'f', 'fo', 'foo', 'foob', 'fooba', 'foobar'].map((text) => toBase64url(utf8(text)))).toEqual(['', 'Zg', 'Zm8', 'Zm9v', 'Zm9vYg', 'Zm9vYmE', 'Zm9vYmFy']);
    expect(toBase64url(Uint8Array.of(0xfb, 0xff))).toBe('-_8');
  });

  it.each(['Zg==', 'Z', 'Zh', 'Zm9', '+/8', 'Zm 9', 'Zm9v\n', 'é'])('refuses %j, which is not the one base64url form of any bytes', (text) => {
    expect(codeOf(() => fromBase64url(text))).toBe('BYTES_NOT_BASE64URL');
  });

  it.each(['0', 'zz', '0x00', 'abc', ' 00'])('refuses %j as hexadecimal', (text) => {
    expect(codeOf(() => fromHex(text))).toBe('BYTES_NOT_HEX');
  });

  it.each([[[0xff]], [[0xc0, 0x80]], [[0xed, 0xa0, 0x80]], [[0xf4, 0x90, 0x80, 0x80]], [[0xe2, 0x82]]])('refuses %j, which is not UTF-8', (malformed) => {
    expect(codeOf(() => fromUtf8(Uint8Array.from(malformed)))).toBe('BYTES_NOT_UTF8');
  });
});

describe('joining and comparing', () => {
  it('concatenates', () => {
    fc.assert(fc.property(fc.array(bytes, { maxLength: 5 }), (parts) => void expect([...concat(...parts)]).toEqual(parts.flatMap((part) => [...part]))));
  });

  it('gives different bytes for different lists of parts', () => {
    fc.assert(fc.property(fc.array(bytes, { maxLength: 4 }), fc.array(bytes, { maxLength: 4 }), (left, right) => {
      const same = left.length === right.length && left.every((part, at) => equalBytes(part, right[at] as Uint8Array));
      expect(equalBytes(lengthPrefixed(...left), lengthPrefixed(...right))).toBe(same);
    }));
    expect(lengthPrefixed(utf8('ab'), utf8('c'))).not.toEqual(lengthPrefixed(utf8('a'), utf8('bc')));
  });

  it('writes numbers big-endian', () => {
    expect(toHex(u32(0x01020304))).toBe('01020304');
    expect(toHex(u64(2 ** 40 + 1))).toBe('0000010000000001');
    expect(toHex(u64(2n ** 64n - 1n))).toBe('ffffffffffffffff');
  });

  it('compares bytes as unsigned numbers, shorter first', () => {
    const order = [[], [0], [0, 0], [1], [0x7f], [0x80], [0xff], [0xff, 0]].map((list) => Uint8Array.from(list));
    for (const [at, left] of order.entries()) for (const [other, right] of order.entries()) expect(Math.sign(compareBytes(left, right))).toBe(Math.sign(at - other));
  });

  it('finds every single changed bit', () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 1, maxLength: 50 }), fc.nat(), (value, bit) => {
      const changed = value.slice();
      const at = Math.floor(bit / 8) % value.length;
      changed[at] = (changed[at] as number) ^ (1 << bit % 8);
      expect(equalBytes(value, value.slice())).toBe(true);
      expect(equalBytes(value, changed)).toBe(false);
    }));
  });
});
