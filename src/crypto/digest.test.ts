import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '#base/bytes.ts';
import { hkdfExpandSha512, hkdfSha256, hmacSha256, sha256 } from './digest.ts';

describe('HKDF-SHA-256 (RFC 5869 appendix A)', () => {
  it.each([
    ['0b'.repeat(22), '000102030405060708090a0b0c', 'f0f1f2f3f4f5f6f7f8f9', '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865'],
    [
      toHex(Uint8Array.from({ length: 80 }, (_, at) => at)), toHex(Uint8Array.from({ length: 80 }, (_, at) => 0x60 + at)), toHex(Uint8Array.from({ length: 80 }, (_, at) => 0xb0 + at)),
      'b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87',
    ],
    ['0b'.repeat(22), '', '', '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8'],
  ])('case with input %s', (ikm, salt, info, okm) => {
    const derived = hkdfSha256(fromHex(ikm), fromHex(info), okm.length / 2, salt === '' ? undefined : fromHex(salt));
    expect(toHex(derived)).toBe(okm);
  });

  it('gives a shorter output as the beginning of a longer one, and refuses more than 255 blocks', () => {
    const [ikm, info] = [fromHex('00'), fromHex('01')];
    expect(hkdfSha256(ikm, info, 100).slice(0, 33)).toEqual(hkdfSha256(ikm, info, 33));
    expect(hkdfSha256(ikm, info, 8_160)).toHaveLength(8_160);
    expect(() => hkdfSha256(ikm, info, 8_161)).toThrow(expect.objectContaining({ code: 'KEY_LENGTH' }));
  });
});

describe('HKDF-Expand-SHA-512', () => {
  it('is T(1) ‖ T(2) of RFC 5869 section 2.3 with HMAC-SHA-512', () => {
    // Made with Python's cryptography 50 (HKDFExpand, SHA-512) for prk = 00…1f, info = "info", 76 bytes.
    const prk = Uint8Array.from({ length: 32 }, (_, at) => at);
    expect(toHex(hkdfExpandSha512(prk, fromHex('696e666f'), 76))).toBe(EXPANDED);
  });
});

const EXPANDED = 'd40d67a9d7c34ec3c2c3eca41e6f25e08441c93422575b091a5d9f9cb9bd6da3f7145c42fae0a63d0c73fedacaaa63edbdd80d92f11aeaa7d8deac5ccef5e4ae89eaeee743c853e23658c065';

describe('digests', () => {
  it('do not change their input and return new arrays', () => {
    const input = Uint8Array.of(1, 2, 3);
    expect(sha256(input)).toHaveLength(32);
    expect(hmacSha256(input, input)).toHaveLength(32);
    expect(input).toEqual(Uint8Array.of(1, 2, 3));
  });
});
