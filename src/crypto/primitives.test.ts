/** The native and the portable primitives are the same functions: published vectors on both, and each against the other. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex, utf8, type Bytes } from '#base/bytes.ts';
import { generateSigningKey, spki } from './keys.ts';
import { native } from './native.ts';
import { portable } from './portable.ts';
import type { Primitives } from './primitives.ts';
import { derOf } from './signature.ts';

const twins: readonly (readonly [string, Primitives])[] = [['portable', portable], ...(native === undefined ? [] : [['native', native] as const])];

describe.each(twins)('%s primitives', (_name, primitives) => {
  it.each([
    ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
    ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
    ['abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq', '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1'],
  ])('SHA-256 of %j is the one of FIPS 180-4', (message, digest) => {
    expect(toHex(primitives.sha256(utf8(message)))).toBe(digest);
  });

  it.each([
    // RFC 4231 sections 4.2, 4.3 and 4.7 (a key longer than a block).
    ['0b'.repeat(20), toHex(utf8('Hi There')), 'b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7', '87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854'],
    [toHex(utf8('Jefe')), toHex(utf8('what do ya want for nothing?')), '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843', '164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737'],
    ['aa'.repeat(131), toHex(utf8('Test Using Larger Than Block-Size Key - Hash Key First')), '60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54', '80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f3526b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598'],
  ])('HMAC under %s is the one of RFC 4231', (key, message, sha256, sha512) => {
    expect(toHex(primitives.hmacSha256(fromHex(key), fromHex(message)))).toBe(sha256);
    expect(toHex(primitives.hmacSha512(fromHex(key), fromHex(message)))).toBe(sha512);
  });

  it('HMAC takes an empty key', () => {
    expect(toHex(primitives.hmacSha256(new Uint8Array(0), new Uint8Array(0)))).toBe('b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad');
  });

  // McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 13 to 16.
  const GCM_KEY = 'feffe9928665731c6d6a8f9467308308'.repeat(2);
  const GCM_TEXT = 'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255';
  const GCM_CIPHER = '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad';
  it.each([
    ['00'.repeat(32), '00'.repeat(12), '', '', '530f8afbc74536b9a963b4f1c4cb738b'],
    ['00'.repeat(32), '00'.repeat(12), '00'.repeat(16), '', 'cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919'],
    [GCM_KEY, 'cafebabefacedbaddecaf888', GCM_TEXT, '', `${GCM_CIPHER}b094dac5d93471bdec1a502270e3cc6c`],
    [GCM_KEY, 'cafebabefacedbaddecaf888', GCM_TEXT.slice(0, -8), 'feedfacedeadbeeffeedfacedeadbeefabaddad2', `${GCM_CIPHER.slice(0, -8)}76fc6ece0f4e1768cddf8853bb2d551b`],
  ])('AES-256-GCM under %s is the one of its authors', async (key, nonce, text, aad, sealed) => {
    const aes = primitives.aesGcm(fromHex(key));
    expect(toHex(await aes.seal(fromHex(nonce), fromHex(text), fromHex(aad)))).toBe(sealed);
    expect(toHex((await aes.open(fromHex(nonce), fromHex(sealed), fromHex(aad))) as Bytes)).toBe(text);
    expect(await aes.open(fromHex(nonce), fromHex(sealed), utf8('other'))).toBeUndefined();
    expect(await aes.open(fromHex(nonce), fromHex(sealed).subarray(1), fromHex(aad))).toBeUndefined();
    expect(await aes.open(fromHex(nonce), new Uint8Array(15), fromHex(aad))).toBeUndefined();
  });

  // RFC 6979 appendix A.2.5, P-256 with SHA-256.
  const PUBLIC = fromHex('3059301306072a8648ce3d020106082a8648ce3d0301070342000460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299');
  it.each([
    ['sample', 'efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8'],
    ['test', 'f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083'],
  ])('ECDSA accepts the signature of RFC 6979 over %j and no other', async (message, rs) => {
    expect(await primitives.ecdsaVerify(PUBLIC, utf8(message), derOf(fromHex(rs)))).toBe(true);
    expect(await primitives.ecdsaVerify(PUBLIC, utf8(`${message}.`), derOf(fromHex(rs)))).toBe(false);
    expect(await primitives.ecdsaVerify(PUBLIC, utf8(message), derOf(fromHex(`01${rs.slice(2)}`)))).toBe(false);
    expect(await primitives.ecdsaVerify(PUBLIC.slice(0, 60), utf8(message), derOf(fromHex(rs)))).toBe(false);
    expect(await primitives.ecdsaVerify(PUBLIC, utf8(message), fromHex('3000'))).toBe(false);
  });
});

describe.skipIf(native === undefined)('the twins', () => {
  const other = native as Primitives;
  const bytes = fc.uint8Array({ maxLength: 300 });

  it('hash alike', () => {
    fc.assert(
      fc.property(bytes, bytes, (key, message) => {
        expect(other.sha256(message)).toEqual(portable.sha256(message));
        expect(other.hmacSha256(key, message)).toEqual(portable.hmacSha256(key, message));
        expect(other.hmacSha512(key, message)).toEqual(portable.hmacSha512(key, message));
      }),
    );
  });

  it('seal alike and open what the other sealed', async () => {
    const exactly = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
    await fc.assert(
      fc.asyncProperty(exactly(32), exactly(12), bytes, bytes, async (key, nonce, text, aad) => {
        const sealed = await other.aesGcm(key).seal(nonce, text, aad);
        expect(sealed).toEqual(await portable.aesGcm(key).seal(nonce, text, aad));
        expect(await other.aesGcm(key).open(nonce, sealed, aad)).toEqual(new Uint8Array(text));
        expect(await portable.aesGcm(key).open(nonce, sealed, aad)).toEqual(new Uint8Array(text));
      }),
      { numRuns: 50 },
    );
  });

  it('verify what the other signed, also with keys that cannot be exported', async () => {
    for (const extractable of [true, false]) {
      const keys = await generateSigningKey({ extractable });
      const publicKey = await spki(keys.publicKey);
      for (const signer of [other, portable]) {
        for (const verifier of [other, portable]) {
          const signature = await signer.ecdsaSign(keys.privateKey, utf8('message'));
          expect(await verifier.ecdsaVerify(publicKey, utf8('message'), signature)).toBe(true);
          expect(await verifier.ecdsaVerify(publicKey, utf8('messagE'), signature)).toBe(false);
        }
      }
    }
  });

  it('returns arrays of its own: changing one changes nothing else', () => {
    const [first, second] = [other.sha256(utf8('a')), other.sha256(utf8('a'))];
    first.fill(0);
    expect(second).toEqual(portable.sha256(utf8('a')));
  });
});
