import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, utf8, type Bytes } from '#base/bytes.ts';
import { isCoded } from '#base/errors.ts';
import { BODY_HEADER_BYTES, CHUNK_BYTES, cipherLength, decryptBody, decryptRange, decryptStream, encryptBody, encryptStream, plainLength } from './cobblestone.ts';

const random = { bytes: (length: number) => crypto.getRandomValues(new Uint8Array(length)) };
const key = random.bytes(32);
const context = utf8('healthkeep/v1/record|HO-east|AAAAAAAAAAAAAAAAAAAAAA');
const SEALED_CHUNK = CHUNK_BYTES + 16;

/** Every byte depends on its place, so that a chunk in the wrong place shows. */
const text = (length: number): Bytes => Uint8Array.from({ length }, (_, at) => (at * 31 + (at >> 8)) & 0xff);
const seal = (length: number, more: { readonly key?: Bytes; readonly context?: Bytes } = {}) => encryptBody({ key, context, plaintext: text(length), random, ...more });
const codeOf = async (work: Promise<unknown>): Promise<string> => work.then(() => 'opened', (error: unknown) => (isCoded(error) ? error.code : 'other'));

async function through(stream: TransformStream<Uint8Array, Bytes>, pieces: readonly Uint8Array[]): Promise<{ readonly bytes: Bytes; readonly code: string }> {
  const received: Uint8Array[] = [];
  const source = new ReadableStream<Uint8Array>({
    start(output) {
      for (const piece of pieces) output.enqueue(piece);
      output.close();
    },
  });
  const code = await codeOf(source.pipeThrough(stream).pipeTo(new WritableStream({ write: (bytes) => void received.push(bytes) })));
  return { bytes: concat(...received), code };
}

const cut = (bytes: Uint8Array, size: number): Uint8Array[] => Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) => bytes.subarray(at * size, (at + 1) * size));

const LENGTHS = [0, 1, 100, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES + 7];

describe('whole bodies', () => {
  it.each(LENGTHS)('%i bytes come back, and lengths are as foretold', async (length) => {
    const ciphertext = await seal(length);
    expect(ciphertext).toHaveLength(cipherLength(length));
    expect(plainLength(ciphertext.length)).toBe(length);
    expect(await decryptBody({ key, context, ciphertext })).toEqual(text(length));
  });

  it('equal bodies give unrelated ciphertexts', async () => {
    const [first, second] = [await seal(64), await seal(64)];
    const same = first.filter((byte, at) => byte === second[at]).length;
    // 136 bytes of chance agree in about half a byte; more than 8 has probability below 1e-7.
    expect(same).toBeLessThanOrEqual(8);
  });

  it('every flipped bit is refused', async () => {
    const ciphertext = await seal(50);
    for (let bit = 0; bit < ciphertext.length * 8; bit++) {
      const changed = ciphertext.slice();
      changed[bit >> 3] = (changed[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(await codeOf(decryptBody({ key, context, ciphertext: changed })), `bit ${bit}`).toBe('BODY_REFUSED');
    }
  });

  it('every cut and every extension is refused', async () => {
    const ciphertext = await seal(CHUNK_BYTES + 40);
    for (let length = 0; length < ciphertext.length; length += length < 200 || length > ciphertext.length - 200 || Math.abs(length - BODY_HEADER_BYTES - SEALED_CHUNK) < 40 ? 1 : 97) {
      expect(await codeOf(decryptBody({ key, context, ciphertext: ciphertext.subarray(0, length) })), `${length} bytes`).toMatch(/^BODY_(REFUSED|TRUNCATED)$/);
    }
    // The end cut off at a chunk boundary is the one a reader of chunks alone would not see.
    expect(await codeOf(decryptBody({ key, context, ciphertext: ciphertext.subarray(0, BODY_HEADER_BYTES + SEALED_CHUNK) }))).toBe('BODY_TRUNCATED');
    expect(await codeOf(decryptBody({ key, context, ciphertext: concat(ciphertext, Uint8Array.of(0)) }))).toBe('BODY_REFUSED');
  });

  it('chunks exchanged, repeated, dropped or taken from another body are refused', async () => {
    const length = 3 * CHUNK_BYTES + 9;
    const [ciphertext, other] = [await seal(length), await seal(length)];
    const parts = (bytes: Bytes) => [bytes.subarray(0, BODY_HEADER_BYTES), ...cut(bytes.subarray(BODY_HEADER_BYTES), SEALED_CHUNK)] as const;
    const [header, first, second, third, last] = parts(ciphertext) as unknown as [Bytes, Bytes, Bytes, Bytes, Bytes];
    const foreign = parts(other);
    for (const forged of [[header, second, first, third, last], [header, first, first, third, last], [header, first, third, last], [header, first, foreign[2] as Bytes, third, last], [foreign[0], first, second, third, last]]) {
      expect(await codeOf(decryptBody({ key, context, ciphertext: concat(...forged) }))).toBe('BODY_REFUSED');
    }
  });

  it('another key or context is refused', async () => {
    const ciphertext = await seal(10);
    expect(await codeOf(decryptBody({ key: random.bytes(32), context, ciphertext }))).toBe('BODY_REFUSED');
    expect(await codeOf(decryptBody({ key, context: concat(context, Uint8Array.of(0)), ciphertext }))).toBe('BODY_REFUSED');
    expect(await codeOf(decryptBody({ key: key.subarray(1), context, ciphertext }))).toBe('KEY_LENGTH');
  });

  it('the commitment in front is checked before any chunk: two readers can never see two contents', async () => {
    const mine = await seal(20);
    const theirs = await seal(20, { key: random.bytes(32) });
    // A ciphertext made to open under both keys would have to carry both commitments; it carries one.
    const spliced = concat(theirs.subarray(0, BODY_HEADER_BYTES), mine.subarray(BODY_HEADER_BYTES));
    expect(await codeOf(decryptBody({ key, context, ciphertext: spliced }))).toBe('BODY_REFUSED');
  });
});

describe('lengths', () => {
  it('each ciphertext length belongs to one plaintext length or to none', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 40 }), (length) => {
        expect(plainLength(cipherLength(length))).toBe(length);
      }),
    );
    const at = BODY_HEADER_BYTES + SEALED_CHUNK;
    for (const length of [0, 55, 56, 71, at, at + 1, at + 15]) expect(() => plainLength(length), `${length}`).toThrow(expect.objectContaining({ code: 'BODY_TRUNCATED' }));
    expect([plainLength(72), plainLength(at + 16)]).toEqual([0, CHUNK_BYTES]);
  });
});

describe('streams', () => {
  it('give the same bytes as whole bodies, whatever the pieces', async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...LENGTHS), fc.integer({ min: 1, max: 40_000 }), async (length, size) => {
        const salt = random.bytes(24);
        const fixed = { bytes: () => salt };
        const streamed = await through(encryptStream({ key, context, random: fixed }), cut(text(length), size));
        expect(streamed.bytes).toEqual(await encryptBody({ key, context, plaintext: text(length), random: fixed }));
        const opened = await through(decryptStream({ key, context }), cut(streamed.bytes, size));
        expect([opened.code, opened.bytes.length]).toEqual(['opened', length]);
        expect(opened.bytes).toEqual(text(length));
      }),
      { numRuns: 40 },
    );
  });

  it('end in an error on every alteration, and what was passed on before is the true beginning', async () => {
    const length = 2 * CHUNK_BYTES + 5;
    const ciphertext = await seal(length);
    for (const at of [0, 30, BODY_HEADER_BYTES, BODY_HEADER_BYTES + SEALED_CHUNK + 3, ciphertext.length - 1]) {
      const changed = ciphertext.slice();
      changed[at] = (changed[at] as number) ^ 1;
      const { bytes, code } = await through(decryptStream({ key, context }), cut(changed, 5_000));
      expect(code, `byte ${at}`).toBe('BODY_REFUSED');
      expect(bytes).toEqual(text(length).subarray(0, bytes.length));
    }
    for (const kept of [0, 10, BODY_HEADER_BYTES, BODY_HEADER_BYTES + 15, BODY_HEADER_BYTES + SEALED_CHUNK, BODY_HEADER_BYTES + 2 * SEALED_CHUNK]) {
      expect((await through(decryptStream({ key, context }), cut(ciphertext.subarray(0, kept), 5_000))).code, `${kept} bytes`).toBe('BODY_TRUNCATED');
    }
  });
});

describe('ranges', () => {
  const length = 3 * CHUNK_BYTES + 100;

  it('give exactly the bytes asked for and read no chunk they do not need', async () => {
    const ciphertext = await seal(length);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: length }), fc.integer({ min: 0, max: length }), async (one, two) => {
        const [start, end] = [Math.min(one, two), Math.max(one, two)];
        let read = 0;
        const range = await decryptRange({
          key, context, cipherBytes: ciphertext.length, start, end,
          read: async (from, to) => {
            read += to - from;
            return ciphertext.subarray(from, to);
          },
        });
        expect(range).toEqual(text(length).subarray(start, end));
        expect(read).toBeLessThanOrEqual(BODY_HEADER_BYTES + (Math.floor((end - start) / CHUNK_BYTES) + 2) * SEALED_CHUNK);
      }),
      { numRuns: 60 },
    );
  });

  it('that reach the end open the last chunk, so that a false length shows', async () => {
    const ciphertext = await seal(length);
    const read = async (from: number, to: number) => ciphertext.subarray(from, to);
    // A keeper that hides the end claims a shorter length: here 50 bytes less, or an empty last chunk.
    const shorter = { key, context, read, cipherBytes: ciphertext.length - 50 };
    expect(await codeOf(decryptRange({ ...shorter, start: 0, end: length - 50 }))).toBe('BODY_REFUSED');
    const exact = BODY_HEADER_BYTES + 3 * SEALED_CHUNK + 16;
    expect(await codeOf(decryptRange({ key, context, read, cipherBytes: exact, start: 3 * CHUNK_BYTES, end: 3 * CHUNK_BYTES }))).toBe('BODY_REFUSED');
  });

  it('outside the body, of a short read, or of altered bytes are refused', async () => {
    const ciphertext = await seal(length);
    const input = { key, context, cipherBytes: ciphertext.length, read: async (from: number, to: number) => ciphertext.subarray(from, to) };
    for (const [start, end] of [[-1, 2], [5, 4], [0, length + 1], [0.5, 1], [Number.NaN, 1]] as const) expect(await codeOf(decryptRange({ ...input, start, end }))).toBe('BODY_RANGE');
    expect(await codeOf(decryptRange({ ...input, start: 0, end: 10, read: async (from, to) => ciphertext.subarray(from, to - 1) }))).toBe('BODY_TRUNCATED');
    const changed = ciphertext.slice();
    changed[BODY_HEADER_BYTES + SEALED_CHUNK] = (changed[BODY_HEADER_BYTES + SEALED_CHUNK] as number) ^ 1;
    const read = async (from: number, to: number) => changed.subarray(from, to);
    expect(await codeOf(decryptRange({ ...input, read, start: CHUNK_BYTES, end: CHUNK_BYTES + 1 }))).toBe('BODY_REFUSED');
    expect(await decryptRange({ ...input, read, start: 0, end: 4 })).toEqual(text(4));
  });
});
