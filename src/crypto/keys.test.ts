import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, fromHex, toHex, utf8 } from '#base/bytes.ts';
import { exportPrivateKey, generateSigningKey, importPrivateKey, importPublicKey, signLowS, spki, verifyDer } from './keys.ts';
import { derOf, isLowS, lowS, rsOf } from './signature.ts';

const message = utf8('what is signed');
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const HALF = 0x7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8n;
const hex32 = (value: bigint): string => value.toString(16).padStart(64, '0');
const signatureOf = (r: bigint, s: bigint) => derOf(fromHex(hex32(r) + hex32(s)));

describe('signing', () => {
  it('gives low-S DER every time, and it verifies under the key and its SubjectPublicKeyInfo', async () => {
    const keys = await generateSigningKey();
    for (let turn = 0; turn < 64; turn++) {
      const signature = await signLowS(keys.privateKey, concat(message, Uint8Array.of(turn)));
      expect(isLowS(signature)).toBe(true);
      expect(await verifyDer(keys.publicKey, concat(message, Uint8Array.of(turn)), signature)).toBe(true);
    }
    expect(await verifyDer(await spki(keys.publicKey), message, await signLowS(keys.privateKey, message))).toBe(true);
  });

  it('works with saved keys, exportable or not, and without a word on the terminal', async () => {
    const keys = await generateSigningKey();
    const saved = await exportPrivateKey(keys.privateKey);
    const warnings: unknown[] = [];
    const listen = (warning: unknown): void => void warnings.push(warning);
    process.on('warning', listen);
    for (const extractable of [true, false]) {
      const opened = await importPrivateKey(saved, { extractable });
      expect(opened.extractable).toBe(extractable);
      expect(await verifyDer(keys.publicKey, message, await signLowS(opened, message))).toBe(true);
    }
    const hidden = await generateSigningKey({ extractable: false });
    expect(await verifyDer(hidden.publicKey, message, await signLowS(hidden.privateKey, message))).toBe(true);
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', listen);
    expect(warnings).toEqual([]);
  });

  it('refuses to import what is no P-256 key', async () => {
    const coded = expect.objectContaining({ code: 'KEY_INVALID' });
    const other = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-384' }, true, ['sign', 'verify']);
    await expect(importPrivateKey(Uint8Array.of(1, 2, 3))).rejects.toThrow(coded);
    await expect(importPrivateKey(new Uint8Array(await crypto.subtle.exportKey('pkcs8', other.privateKey)))).rejects.toThrow(coded);
    await expect(importPublicKey(new Uint8Array(await crypto.subtle.exportKey('spki', other.publicKey)))).rejects.toThrow(coded);
  });
});

describe('verifying', () => {
  it('refuses the other signature that fits (r, n − s)', async () => {
    const keys = await generateSigningKey();
    const signature = await signLowS(keys.privateKey, message);
    const rs = toHex(rsOf(signature) as Uint8Array);
    const high = signatureOf(BigInt(`0x${rs.slice(0, 64)}`), ORDER - BigInt(`0x${rs.slice(64)}`));
    expect(await verifyDer(keys.publicKey, message, high)).toBe(false);
    expect(await verifyDer(keys.publicKey, message, lowS(high))).toBe(true);
  });

  it('refuses every changed bit, every cut and every extension', async () => {
    const keys = await generateSigningKey();
    const signature = await signLowS(keys.privateKey, message);
    for (let bit = 0; bit < signature.length * 8; bit++) {
      const changed = signature.slice();
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(await verifyDer(keys.publicKey, message, changed), `bit ${bit}`).toBe(false);
    }
    for (let length = 0; length < signature.length; length++) expect(await verifyDer(keys.publicKey, message, signature.subarray(0, length))).toBe(false);
    expect(await verifyDer(keys.publicKey, message, concat(signature, Uint8Array.of(0)))).toBe(false);
  });

  // What forgers send, as in Project Wycheproof's ecdsa_secp256r1_sha256 sets: zero, n, n + 1 and all ones for r and s.
  it.each([0n, 1n, ORDER - 1n, ORDER, ORDER + 1n, 2n ** 256n - 1n].flatMap((r) => [0n, 1n, HALF, HALF + 1n, ORDER - 1n, ORDER, 2n ** 256n - 1n].map((s) => [r, s])))('refuses r = %i, s = %i', async (r, s) => {
    const keys = await generateSigningKey();
    expect(await verifyDer(keys.publicKey, message, signatureOf(r as bigint, s as bigint))).toBe(false);
  });

  it('refuses an unreadable key instead of throwing', async () => {
    const keys = await generateSigningKey();
    const signature = await signLowS(keys.privateKey, message);
    for (const key of [new Uint8Array(0), new Uint8Array(91), (await spki(keys.publicKey)).slice(0, -1)]) expect(await verifyDer(key, message, signature)).toBe(false);
  });
});

describe('forms of a signature', () => {
  const number = fc.bigInt({ min: 0n, max: 2n ** 256n - 1n });

  it('r ‖ s and DER say the same, and only one DER says it', () => {
    fc.assert(
      fc.property(number, number, (r, s) => {
        const rs = fromHex(hex32(r) + hex32(s));
        expect(rsOf(derOf(rs))).toEqual(rs);
      }),
    );
    // A length in two bytes, a leading zero too many, one too few, a negative number, bytes after the end.
    for (const text of ['308106020101020101', '30070202000102010100', '3006028101010201', '3006020180020101', '300602010102010100', '3006020101020101ff']) expect(rsOf(fromHex(text)), text).toBeUndefined();
    expect(rsOf(fromHex('3006020101020101'))).toEqual(fromHex(hex32(1n) + hex32(1n)));
  });

  it('low-S changes s to the smaller of s and n − s and leaves r alone', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: ORDER - 1n }), fc.bigInt({ min: 1n, max: ORDER - 1n }), (r, s) => {
        expect(lowS(signatureOf(r, s))).toEqual(signatureOf(r, s <= HALF ? s : ORDER - s));
      }),
    );
  });
});
