/** What every `RecordStore` must do. A twin passes this suite or is none. */
import { afterEach, describe, expect, it } from 'vitest';
import { utf8, type Bytes } from '#base/bytes.ts';
import type { RecordStore, StoredDelivery, StoredOwner, StoredRecord } from '../ports.ts';

export interface RecordStoreCase {
  readonly store: RecordStore;
  /** The same store opened again; the first one is not closed. */
  reopen(): RecordStore;
  dispose(): Promise<void>;
}

const bytes = (text: string): Bytes => utf8(text);

export function record(id: string, over: Partial<StoredRecord> = {}): StoredRecord {
  return {
    id, subject: 's1', delivery: 'd1', position: 0, sourceKey: `source-${id}`, contentTag: bytes(`tag-${id}`), wrappedKeys: bytes(`KEYS-${id}`), sealedRow: bytes(`ROW-${id}`),
    commitment: bytes(`COMMITMENT-${id}`), signature: bytes(`SIGNATURE-${id}`), class: 'clinical', cipherBytes: 10, createdAt: 1, ...over,
  };
}

export function delivery(id: string, over: Partial<StoredDelivery> = {}): StoredDelivery {
  return { id, subject: 's1', createdAt: 1, count: 1, signer: 'f', keyForVault: bytes(`vault-${id}`), ...over };
}

const owner: StoredOwner = { pairwiseId: 'p1', key: bytes('key'), hpkePublicKey: bytes('hpke'), mailbox: 'm', org: 'UO-home', linkDigest: bytes('link'), confirmed: false };
const anchor = { txId: 't1', blockNumber: 7 };

export function recordStoreSuite(name: string, open: () => RecordStoreCase): void {
  describe(`${name} as a record store`, () => {
    const cases: RecordStoreCase[] = [];
    const start = (): RecordStoreCase => {
      const one = open();
      cases.push(one);
      return one;
    };
    const add = (store: RecordStore, records: readonly StoredRecord[], deliveries: readonly StoredDelivery[] = [delivery('d1', { count: records.length })], replaces: ReadonlyMap<string, string> = new Map()) =>
      store.addDeliveries({ deliveries, records, replaces });
    afterEach(async () => {
      for (const one of cases.splice(0)) await one.dispose();
    });

    it('gives a patient one subject for good', async () => {
      const { store } = start();
      expect(await store.subjectFor('patient-a', 's1')).toEqual({ id: 's1', patientTag: 'patient-a' });
      expect((await store.subjectFor('patient-a', 's2')).id).toBe('s1');
      expect((await store.subjectFor('patient-b', 's2')).id).toBe('s2');
    });

    it('knows owners, first unconfirmed, then confirmed', async () => {
      const { store } = start();
      await store.subjectFor('patient-a', 's1');
      await store.putOwner('s1', owner);
      expect((await store.unconfirmedSubjects(10)).map(({ id }) => id)).toEqual(['s1']);
      await store.putOwner('s1', { ...owner, confirmed: true });
      expect(await store.unconfirmedSubjects(10)).toEqual([]);
      expect((await store.subjectsOfOwner('p1')).map((subject) => subject.owner?.confirmed)).toEqual([true]);
      expect(await store.subjectsOfOwner('p2')).toEqual([]);
    });

    it('keeps what it acknowledged when opened again without a close', async () => {
      const one = start();
      await add(one.store, [record('a'), record('b', { position: 1 })]);
      await one.store.markAnchored(['a'], anchor);
      const again = one.reopen();
      expect((await again.records(['a', 'b'])).get('a')).toMatchObject({ ...record('a'), state: 'anchored', anchor });
      expect((await again.pending(10)).map(({ id }) => id)).toEqual(['b']);
      expect(await again.counts()).toEqual({ stored: 1, anchored: 1, erased: 0, deliveries: 1, subjects: 0 });
    });

    it('writes a batch whole or not at all', async () => {
      const { store } = start();
      await add(store, [record('a')]);
      await expect(add(store, [record('b'), record('c', { sourceKey: 'source-a' })], [delivery('d2')])).rejects.toMatchObject({ code: 'STORE_CONFLICT' });
      expect(await store.delivery('d2')).toBeUndefined();
      expect((await store.records(['b', 'c'])).size).toBe(0);
    });

    it('lets a new version take the place of the current one, and only of it', async () => {
      const { store } = start();
      await add(store, [record('a', { sourceKey: 'x', address: 'Observation/1' })]);
      await add(store, [record('b', { sourceKey: 'x', address: 'Observation/1', delivery: 'd2' })], [delivery('d2')], new Map([['b', 'a']]));
      expect((await store.current('s1', ['x', 'y'])).get('x')).toEqual({ id: 'b', sourceKey: 'x', contentTag: bytes('tag-b') });
      expect(await store.byAddress(['Observation/1', 'Observation/2'])).toEqual([{ address: 'Observation/1', subject: 's1', id: 'b' }]);
      await expect(add(store, [record('c', { sourceKey: 'x', delivery: 'd3' })], [delivery('d3')], new Map([['c', 'a']]))).rejects.toMatchObject({ code: 'STORE_CONFLICT' });
      expect((await store.current('s2', ['x'])).size).toBe(0);
    });

    it('hands out pending records oldest first, page by page', async () => {
      const { store } = start();
      await add(store, ['z', 'a', 'm', 'b'].map((id, position) => record(id, { position })));
      expect((await store.pending(2)).map(({ id }) => id)).toEqual(['z', 'a']);
      expect((await store.pending(2, 'a')).map(({ id }) => id)).toEqual(['m', 'b']);
      expect(await store.pending(2, 'b')).toEqual([]);
    });

    it('shows a delivery when every record of it is anchored, once however often that is said', async () => {
      const { store } = start();
      await add(store, [record('a'), record('b', { position: 1 })]);
      await store.markAnchored(['a'], anchor);
      await store.markAnchored(['a'], anchor);
      expect(await store.deliveriesOf(['s1'], { limit: 10 })).toEqual([]);
      await store.markAnchored(['b'], anchor);
      expect((await store.deliveriesOf(['s1', 's2'], { limit: 10 })).map(({ id, anchored }) => [id, anchored])).toEqual([['d1', true]]);
      expect((await store.deliveriesOf(['s1'], { limit: 10, after: 'd1' }))).toEqual([]);
      expect((await store.recordsOf('d1')).map(({ id }) => id)).toEqual(['a', 'b']);
    });

    it('notes where anchors stand after a move, of anchored records only', async () => {
      const { store } = start();
      await add(store, [record('a'), record('b', { position: 1 })]);
      await store.markAnchored(['a'], anchor);
      const there = { txId: 't9', blockNumber: 2 };
      expect(await store.moveAnchors(new Map([['a', there], ['b', there], ['unknown', there]]))).toBe(1);
      const held = await store.records(['a', 'b']);
      expect([held.get('a')?.anchor, held.get('b')?.anchor]).toEqual([there, undefined]);
    });

    it('makes a notice due when the delivery is anchored and sealed to its owner', async () => {
      const { store } = start();
      await store.subjectFor('patient-a', 's1');
      await add(store, [record('a')]);
      await store.markAnchored(['a'], anchor);
      expect(await store.noticesDue(10)).toEqual([]);
      await store.putOwner('s1', owner);
      expect(await store.deliveriesToSeal(10)).toEqual([]);
      await store.putOwner('s1', { ...owner, confirmed: true });
      expect((await store.deliveriesToSeal(10)).map(({ id }) => id)).toEqual(['d1']);
      await store.putOwnerKeys(new Map([['d1', bytes('sealed')]]));
      expect(await store.deliveriesToSeal(10)).toEqual([]);
      expect((await store.noticesDue(10)).map(({ id }) => id)).toEqual(['d1']);
      expect(await store.noticesDue(10, 'd1')).toEqual([]);
      await store.markNoticed(['d1']);
      expect(await store.noticesDue(10)).toEqual([]);
    });

    it('seals and tells again when the owner has another key or mailbox, and not when the same owner is confirmed again', async () => {
      const { store } = start();
      await store.subjectFor('patient-a', 's1');
      await store.putOwner('s1', { ...owner, confirmed: true });
      await add(store, [record('a')]);
      await store.markAnchored(['a'], anchor);
      const settle = async (): Promise<void> => {
        await store.putOwnerKeys(new Map([['d1', bytes('sealed')]]));
        await store.markNoticed(['d1']);
      };
      await settle();
      await store.putOwner('s1', { ...owner, confirmed: true });
      expect([await store.deliveriesToSeal(10), await store.noticesDue(10)]).toEqual([[], []]);
      for (const change of [{ hpkePublicKey: bytes('other') }, { mailbox: 'n' }]) {
        await store.putOwner('s1', { ...owner, ...change, confirmed: true });
        expect((await store.deliveriesToSeal(10)).map(({ id }) => id)).toEqual(['d1']);
        await settle();
      }
      await store.putOwner('s1', undefined);
      expect((await store.subject('s1'))?.owner).toBeUndefined();
      expect([await store.deliveriesToSeal(10), await store.unconfirmedSubjects(10), await store.subjectsOfOwner('p1')]).toEqual([[], [], []]);
    });

    it('scans in id order', async () => {
      const { store } = start();
      await add(store, ['b', '_', 'A', '-', 'a'].map((id, position) => record(id, { position })));
      const first = await store.scan({ limit: 3 });
      const rest = await store.scan({ limit: 3, after: first.at(-1)?.id as string });
      expect([...first, ...rest].map(({ id }) => id)).toEqual(['-', 'A', '_', 'a', 'b']);
    });

    it('keeps of a shredded record its id and subject only', async () => {
      const { store } = start();
      await add(store, [record('a', { sourceKey: 'x', address: 'Observation/1' }), record('b', { position: 1 })]);
      await store.markAnchored(['a'], anchor);
      await store.shred(['a', 'unknown']);
      await store.shred(['a']);
      const empty = new Uint8Array(0);
      expect((await store.records(['a'])).get('a')).toMatchObject({ id: 'a', subject: 's1', state: 'erased', sourceKey: '', contentTag: empty, wrappedKeys: empty, sealedRow: empty, commitment: empty, signature: empty });
      expect((await store.current('s1', ['x'])).size).toBe(0);
      expect(await store.byAddress(['Observation/1'])).toEqual([]);
      expect((await store.recordsOf('d1')).map(({ id }) => id)).toEqual(['b']);
      // The source may be received again: as a new record.
      await add(store, [record('c', { sourceKey: 'x', delivery: 'd2' })], [delivery('d2')]);
      expect((await store.current('s1', ['x'])).get('x')?.id).toBe('c');
    });

    it('tells the states of the records it knows', async () => {
      const { store } = start();
      await add(store, ['a', 'b', 'c'].map((id, position) => record(id, { position })));
      await store.markAnchored(['a'], anchor);
      await store.shred(['b']);
      expect(await store.states(['c', 'b', 'a', 'unknown'])).toEqual(new Map([['c', 'stored'], ['b', 'erased'], ['a', 'anchored']]));
    });

    it('counts a record that was shredded before its anchor as settled for its delivery', async () => {
      const { store } = start();
      await add(store, [record('a'), record('b', { position: 1 })]);
      await store.shred(['b']);
      await store.markAnchored(['a', 'b'], anchor);
      expect((await store.delivery('d1'))?.anchored).toBe(true);
    });

    it('appends log lines in sequence and never twice', async () => {
      const { store } = start();
      const line = (sequence: number) => ({ sequence, subject: sequence % 2 === 0 ? 's1' : undefined, line: bytes(`l${sequence}`), digest: bytes('d'), head: bytes(`h${sequence}`) });
      await store.appendLines([line(0), line(1), line(2)]);
      await expect(store.appendLines([line(3), line(2)])).rejects.toThrow();
      expect(await store.lastLine()).toEqual(line(2));
      expect(await store.lines(1, 9)).toEqual([line(1), line(2)]);
    });
  });
}
