import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, utf8 } from '#base/bytes.ts';
import { PAD_OVERHEAD_BYTES, SEAL_OVERHEAD_BYTES, openWith, padTo, sealWith, unpad } from './aead.ts';

const random = { bytes: (length: number) => crypto.getRandomValues(new Uint8Array(length)) };
const [key, aad, text] = [random.bytes(32), utf8('place'), utf8('what is sealed')];
const refused = expect.objectContaining({ code: 'SEALED_REFUSED' });

describe('sealing', () => {
  it('opens to what was sealed, adds a fixed length, and never gives the same bytes twice', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2_000 }), fc.uint8Array({ maxLength: 40 }), async (plaintext, place) => {
        const [first, second] = await Promise.all([sealWith(key, plaintext, place, random), sealWith(key, plaintext, place, random)]);
        expect(first).toHaveLength(plaintext.length + SEAL_OVERHEAD_BYTES);
        expect(first).not.toEqual(second);
        expect(await openWith(key, first, place)).toEqual(new Uint8Array(plaintext));
      }),
      { numRuns: 50 },
    );
  });

  it('refuses every changed bit, every cut, another key and another place, and says nothing of which it was', async () => {
    const sealed = await sealWith(key, text, aad, random);
    const words = new Set<string>();
    const attempt = async (...args: Parameters<typeof openWith>): Promise<void> => {
      const error: unknown = await openWith(...args).catch((caught: unknown) => caught);
      expect(error).toEqual(refused);
      words.add(JSON.stringify(error));
    };
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const changed = sealed.slice();
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      await attempt(key, changed, aad);
    }
    for (let length = 0; length < sealed.length; length++) await attempt(key, sealed.subarray(0, length), aad);
    await attempt(key, concat(sealed, Uint8Array.of(0)), aad);
    await attempt(random.bytes(32), sealed, aad);
    await attempt(key.subarray(1), sealed, aad);
    await attempt(key, sealed, utf8('place '));
    expect(words.size).toBe(1);
  });

  it('refuses to seal under a key of another length', async () => {
    await expect(sealWith(new Uint8Array(16), text, aad, random)).rejects.toThrow(expect.objectContaining({ code: 'KEY_LENGTH' }));
  });
});

describe('padding', () => {
  it('gives every content of a class the same length and back the same bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 480 }), (content) => {
        const padded = padTo(content, 484);
        expect(padded).toHaveLength(484);
        expect(unpad(padded)).toEqual(new Uint8Array(content));
      }),
    );
  });

  it('refuses what does not fit, to the byte', () => {
    expect(unpad(padTo(new Uint8Array(10), 10 + PAD_OVERHEAD_BYTES))).toHaveLength(10);
    expect(() => padTo(new Uint8Array(11), 10 + PAD_OVERHEAD_BYTES)).toThrow(expect.objectContaining({ code: 'PAD_TOO_SMALL' }));
  });

  it.each([[Uint8Array.of()], [Uint8Array.of(0, 0, 0)], [Uint8Array.of(0, 0, 0, 2, 1)], [Uint8Array.of(255, 255, 255, 255, 1)], [Uint8Array.of(0, 0, 0, 1, 1, 1)]])('refuses %j as padded', (bytes) => {
    expect(() => unpad(bytes)).toThrow(expect.objectContaining({ code: 'PAD_INVALID' }));
  });
});
