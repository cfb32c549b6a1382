/** What every `BlobStore` must do. A twin passes this suite or is none. */
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { Bytes } from '#base/bytes.ts';
import type { BlobStore } from '../ports.ts';

export interface BlobStoreCase {
  readonly store: BlobStore;
  reopen(): BlobStore;
  dispose(): Promise<void>;
}

export function blobStoreSuite(name: string, open: () => BlobStoreCase): void {
  describe(`${name} as a body store`, () => {
    const cases: BlobStoreCase[] = [];
    const start = (): BlobStoreCase => {
      const one = open();
      cases.push(one);
      return one;
    };
    const filled = (size: number, seed: number): Bytes => Uint8Array.from({ length: size }, (_, at) => (at * 31 + seed) & 0xff);
    afterEach(async () => {
      for (const one of cases.splice(0)) await one.dispose();
    });

    it('returns every byte range of what was put, small and large', async () => {
      const { store } = start();
      const id = fc.stringMatching(/^[A-Za-z0-9_-]{22}$/);
      await fc.assert(
        fc.asyncProperty(id, fc.integer({ min: 0, max: 300 }), fc.nat(), fc.nat(), async (body, size, from, length) => {
          const content = filled(size, from);
          await store.put([{ id: body, bytes: content }]);
          const start = from % (size + 1);
          const end = Math.min(size, start + (length % (size + 1)));
          expect(await store.size(body)).toBe(size);
          expect([...(await store.read(body, start, end))]).toEqual([...content.subarray(start, end)]);
        }),
        { numRuns: 60 },
      );
    });

    it('keeps bodies when opened again without a close', async () => {
      const one = start();
      await one.store.put([{ id: 'small', bytes: filled(10, 1) }, { id: 'large', bytes: filled(1_000, 2) }]);
      const again = one.reopen();
      expect([...(await again.read('small', 0, 10))]).toEqual([...filled(10, 1)]);
      expect([...(await again.read('large', 990, 1_000))]).toEqual([...filled(1_000, 2).subarray(990)]);
      expect(await again.list({ limit: 10 })).toEqual(['large', 'small']);
      expect(await again.list({ limit: 10, after: 'large' })).toEqual(['small']);
      expect([...(await again.recent(10))].sort()).toEqual(['large', 'small']);
    });

    it('names a missing body, and a range beyond the end', async () => {
      const { store } = start();
      await store.put([{ id: 'small', bytes: filled(10, 1) }]);
      expect(await store.size('nothing')).toBeUndefined();
      await expect(store.read('nothing', 0, 1)).rejects.toMatchObject({ code: 'BODY_MISSING' });
      await expect(store.read('small', 5, 11)).rejects.toMatchObject({ code: 'BODY_MISSING' });
      await expect(store.read('../../etc/passwd', 0, 1)).rejects.toMatchObject({ code: 'BODY_MISSING' });
    });

    it('forgets what was shredded', async () => {
      const { store } = start();
      await store.put([{ id: 'small', bytes: filled(10, 1) }, { id: 'large', bytes: filled(1_000, 2) }]);
      await store.shred(['small', 'large', 'nothing']);
      expect([await store.size('small'), await store.size('large')]).toEqual([undefined, undefined]);
      expect(await store.list({ limit: 10 })).toEqual([]);
    });
  });
}
