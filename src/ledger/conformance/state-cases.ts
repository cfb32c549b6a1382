/** State, ranges, composite keys, pages, history. One row per rule; fabric.md section 4 has the sources. */
import { expect } from 'vitest';
import type { Case } from './case.ts';
import type { Runner } from './harness.ts';
import type { Step } from './probe.ts';

const put = async (ledger: Runner, prefix: string, names: readonly string[]): Promise<void> => {
  await ledger.submit('a', 'solo', names.map((name): Step => ['put', prefix + name, `v-${name}`]));
};

export const stateCases: readonly Case[] = [
  { rule: 'a missing key reads as zero bytes', fabric: 'observed', run: async (l) => expect(await l.evaluate('a', 'solo', [['get', l.key()], ['length', l.key()]])).toEqual(['', 0]) },
  {
    rule: 'a written value is read after commit', fabric: 'observed',
    run: async (l) => {
      const key = l.key();
      await l.submit('a', 'solo', [['put', key, 'Größe ✓']]);
      expect(await l.evaluate('a', 'solo', [['get', key]])).toEqual(['Größe ✓']);
    },
  },
  { rule: 'own writes are not visible in the same transaction', fabric: 'observed', run: async (l) => expect((await l.submit('a', 'solo', [['put', 'own', 'x1'], ['get', 'own-never'], ['put', 'own-never', 'x'], ['get', 'own-never']])).output).toEqual([null, '', null, '']) },
  {
    rule: 'own writes are not visible in ranges either', fabric: 'source',
    run: async (l) => {
      const key = l.key('own');
      expect((await l.submit('a', 'solo', [['put', `${key}.a`, 'x'], ['range', `${key}.`, `${key}.z`]])).output).toEqual([null, []]);
    },
  },
  {
    rule: 'the last write of a key in a transaction wins', fabric: 'observed',
    run: async (l) => {
      const key = l.key();
      await l.submit('a', 'solo', [['put', key, 'first'], ['put', key, 'last']]);
      expect(await l.evaluate('a', 'solo', [['get', key]])).toEqual(['last']);
    },
  },
  {
    rule: 'a deleted key reads as zero bytes', fabric: 'observed',
    run: async (l) => {
      const key = l.key();
      await l.submit('a', 'solo', [['put', key, 'x']]);
      await l.submit('a', 'solo', [['delete', key]]);
      expect(await l.evaluate('a', 'solo', [['get', key]])).toEqual(['']);
    },
  },
  {
    rule: 'writing zero bytes deletes: history says so and ranges leave it out', fabric: 'observed',
    run: async (l) => {
      const key = l.key();
      await l.submit('a', 'solo', [['put', key, 'x']]);
      await l.submit('a', 'solo', [['put', key, '']]);
      expect(await l.evaluate('a', 'solo', [['history', key], ['range', key, `${key}~`]])).toEqual([[['', true, 64], ['x', false, 64]], []]);
    },
  },
  { rule: 'deleting a key that never was is no error', fabric: 'source', run: async (l) => expect((await l.submit('a', 'solo', [['delete', l.key()]])).output).toEqual([null]) },
  { rule: 'an empty key is refused', fabric: 'ours', run: async (l) => expect(l.submit('a', 'solo', [['put', '', 'x']])).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED' }) },
  {
    rule: 'any bytes can be a value', fabric: 'observed',
    run: async (l) => {
      const key = l.key();
      await l.submit('a', 'solo', [['putBytes', key, 'AAH__wCA']]);
      expect(await l.evaluate('a', 'solo', [['getBytes', key]])).toEqual(['AAH__wCA']);
    },
  },
  {
    rule: 'a value of a megabyte goes through', fabric: 'observed',
    run: async (l) => {
      const key = l.key();
      await l.submit('a', 'solo', [['putLong', key, 1 << 20]]);
      expect(await l.evaluate('a', 'solo', [['length', key]])).toEqual([1 << 20]);
    },
  },
  { rule: 'evaluating writes nothing', fabric: 'documented', run: async (l) => { const key = l.key(); await l.evaluate('a', 'solo', [['put', key, 'x']]); expect(await l.evaluate('a', 'solo', [['get', key]])).toEqual(['']); } },
  {
    rule: 'a range is from its start up to, not including, its end', fabric: 'observed',
    run: async (l) => {
      const p = l.key('r');
      await put(l, p, ['a', 'b', 'c', 'd']);
      expect(await l.evaluate('a', 'solo', [['rangeKeys', `${p}b`, `${p}d`]])).toEqual([[`${p}b`, `${p}c`]]);
    },
  },
  {
    rule: 'keys come in the order of their UTF-8 bytes', fabric: 'source',
    run: async (l) => {
      const p = l.key('o');
      // U+FF5E is below U+1F600 in UTF-8, though above its surrogates in UTF-16.
      await put(l, p, ['\u{1f600}', '～', 'z', 'A', 'é']);
      expect(await l.evaluate('a', 'solo', [['rangeKeys', p, `${p}\u{10ffff}`]])).toEqual([['A', 'z', 'é', '～', '\u{1f600}'].map((name) => p + name)]);
    },
  },
  {
    rule: 'a range longer than one fetch comes whole', fabric: 'source',
    run: async (l) => {
      const p = l.key('long');
      const names = Array.from({ length: 250 }, (_, index) => String(index).padStart(3, '0'));
      await put(l, p, names);
      expect(await l.evaluate('a', 'solo', [['rangeKeys', p, `${p}~`]])).toEqual([names.map((name) => p + name)]);
    },
  },
  { rule: 'an empty range gives nothing', fabric: 'source', run: async (l) => expect(await l.evaluate('a', 'solo', [['range', 'none-a', 'none-b'], ['range', 'zz', 'aa']])).toEqual([[], []]) },
  {
    rule: 'a range from the empty key passes composite keys over', fabric: 'source',
    run: async (l) => {
      const type = l.key('type');
      await l.submit('a', 'theirs', [['putComposite', type, ['x'], 'v']]).catch(() => undefined);
      await l.submit('b', 'theirs', [['putComposite', type, ['x'], 'v'], ['put', '\u0001first', 'v']]);
      const [keys] = await l.evaluate('b', 'theirs', [['rangeKeys', '', '\u0002']]) as [string[]];
      expect(keys).toEqual(['\u0001first']);
    },
  },
  { rule: 'a range may not begin with the composite mark', fabric: 'source', run: async (l) => expect(l.evaluate('a', 'solo', [['range', '\u0000a', 'b']])).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED', details: { why: expect.stringContaining('null character') } }) },
  {
    rule: 'an open end goes to the last key', fabric: 'source',
    run: async (l) => {
      const p = `\u{10fffd}${l.key('end')}`;
      await put(l, p, ['x']);
      expect(await l.evaluate('a', 'solo', [['rangeKeys', p, '']])).toEqual([[`${p}x`]]);
    },
  },
  {
    rule: 'composite keys are found by their first parts', fabric: 'observed',
    run: async (l) => {
      const type = l.key('type');
      await l.submit('a', 'solo', [['putComposite', type, ['red', '1'], 'r1'], ['putComposite', type, ['red', '2'], 'r2'], ['putComposite', type, ['redder', '1'], 'x'], ['putComposite', type, ['blue', '1'], 'b1']]);
      expect(await l.evaluate('a', 'solo', [['partial', type, ['red']], ['partial', type, []]])).toEqual([[['red', '1', 'r1'], ['red', '2', 'r2']], [['blue', '1', 'b1'], ['red', '1', 'r1'], ['red', '2', 'r2'], ['redder', '1', 'x']]]);
    },
  },
  { rule: 'a composite key is NUL, type, NUL, and each part with NUL', fabric: 'source', run: async (l) => expect(await l.evaluate('a', 'solo', [['compositeKey', 'type', ['a', 'ü']], ['split', '\u0000type\u0000a\u0000ü\u0000']])).toEqual(['\u0000type\u0000a\u0000ü\u0000', ['type', 'a', 'ü']]) },
  { rule: 'a part of a composite key may not be empty', fabric: 'source', run: async (l) => expect(l.evaluate('a', 'solo', [['compositeKey', 'type', ['a', '']]])).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED', details: { why: expect.stringContaining('not a non-zero length string') } }) },
  { rule: 'a composite key needs a type', fabric: 'source', run: async (l) => expect(l.evaluate('a', 'solo', [['compositeKey', '', ['a']]])).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED' }) },
  { rule: 'a part of a composite key may not hold NUL', fabric: 'source', run: async (l) => expect(l.evaluate('a', 'solo', [['compositeKey', 'type', ['a\u0000b']]])).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED' }) },
  {
    rule: 'pages follow each other by bookmark and end with none', fabric: 'observed',
    run: async (l) => {
      const p = l.key('page');
      await put(l, p, ['1', '2', '3', '4', '5']);
      const [first] = (await l.evaluate('a', 'solo', [['page', p, `${p}~`, 2, '']])) as [[unknown[], number, string]];
      expect(first[1]).toBe(2);
      const [second] = (await l.evaluate('a', 'solo', [['page', p, `${p}~`, 2, first[2]]])) as [[unknown[], number, string]];
      const [third] = (await l.evaluate('a', 'solo', [['page', p, `${p}~`, 2, second[2]]])) as [[unknown[], number, string]];
      expect([first, second, third].flatMap(([rows]) => rows)).toEqual(['1', '2', '3', '4', '5'].map((name) => [p + name, `v-${name}`]));
      expect([third[1], third[2]]).toEqual([1, '']);
    },
  },
  {
    rule: 'pages of composite keys, too', fabric: 'observed',
    run: async (l) => {
      const type = l.key('type');
      await l.submit('a', 'solo', ['1', '2', '3'].map((name): Step => ['putComposite', type, ['x', name], name]));
      const [[rows, count, bookmark]] = (await l.evaluate('a', 'solo', [['partialPage', type, ['x'], 2, '']])) as [[unknown[], number, string]];
      expect([rows, count]).toEqual([['1', '2'], 2]);
      expect(await l.evaluate('a', 'solo', [['partialPage', type, ['x'], 2, bookmark]])).toEqual([[['3'], 1, '']]);
    },
  },
  { rule: 'a transaction that read pages may not write', fabric: 'observed', run: async (l) => expect(l.submit('a', 'solo', [['page', 'a', 'b', 2, ''], ['put', l.key(), 'x']])).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED' }) },
  { rule: 'a transaction that wrote may not read pages', fabric: 'source', run: async (l) => expect(l.submit('a', 'solo', [['put', l.key(), 'x'], ['page', 'a', 'b', 2, '']])).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED' }) },
  {
    rule: 'history is newest first, with deletes', fabric: 'observed',
    run: async (l) => {
      const key = l.key();
      for (const value of ['one', 'two']) await l.submit('a', 'solo', [['put', key, value]]);
      await l.submit('a', 'solo', [['delete', key]]);
      await l.submit('a', 'solo', [['put', key, 'three']]);
      expect(await l.evaluate('a', 'solo', [['history', key]])).toEqual([[['three', false, 64], ['', true, 64], ['two', false, 64], ['one', false, 64]]]);
    },
  },
  {
    rule: 'history carries the client\'s times', fabric: 'source',
    run: async (l) => {
      const key = l.key();
      await l.submit('a', 'solo', [['put', key, 'x']]);
      const [[time]] = (await l.evaluate('a', 'solo', [['historyTimes', key]])) as [[number]];
      expect(Math.abs(time * 1000 - l.now())).toBeLessThan(600_000);
    },
  },
  { rule: 'a key without past has no history', fabric: 'source', run: async (l) => expect(await l.evaluate('a', 'solo', [['history', l.key()]])).toEqual([[]]) },
  {
    rule: 'a key may begin with NUL, and is then found by its name only', fabric: 'observed',
    run: async (l) => {
      const key = `\u0000${l.key('nul')}`;
      await l.submit('a', 'solo', [['put', key, 'x']]);
      expect(await l.evaluate('a', 'solo', [['get', key], ['history', key]])).toEqual(['x', [['x', false, 64]]]);
      const [keys] = (await l.evaluate('a', 'solo', [['rangeKeys', '', '\u0002']])) as [string[]];
      expect(keys).not.toContain(key);
    },
  },
  { rule: 'a key that is no UTF-8 is refused', fabric: 'ours', run: async (l) => { for (const step of [['putLone', 'x'], ['getLone', 'x']] as const) await expect(l.submit('a', 'solo', [step])).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED', details: { why: expect.stringContaining('utf8') } }); } },
  { rule: 'a key of four kilobytes is a key', fabric: 'source', run: async (l) => { const key = l.key('k').padEnd(4096, 'ü'); await l.submit('a', 'solo', [['put', key, 'x']]); expect(await l.evaluate('a', 'solo', [['get', key]])).toEqual(['x']); } },
  {
    rule: 'a key written and deleted in one transaction is not there', fabric: 'source',
    run: async (l) => {
      const [gone, there] = [l.key(), l.key()];
      await l.submit('a', 'solo', [['put', gone, 'x'], ['delete', gone], ['delete', there], ['put', there, 'x']]);
      expect(await l.evaluate('a', 'solo', [['get', gone], ['get', there]])).toEqual(['', 'x']);
    },
  },
  { rule: 'a page may be larger than one fetch', fabric: 'source', run: async (l) => { const p = l.key('big'); await put(l, p, Array.from({ length: 150 }, (_, at) => String(at).padStart(3, '0'))); const [[rows, count, bookmark]] = (await l.evaluate('a', 'solo', [['page', p, `${p}~`, 140, '']])) as [[unknown[], number, string]]; expect([rows.length, count, bookmark]).toEqual([140, 140, `${p}140`]); } },
  { rule: 'a page of no rows, or of fewer, is refused', fabric: 'ours', run: async (l) => { for (const size of [0, -1]) await expect(l.evaluate('a', 'solo', [['page', 'a', 'b', size, '']])).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED', details: { why: expect.stringContaining('pageSize') } }); } },
  { rule: 'pages may not begin with the composite mark', fabric: 'source', run: async (l) => expect(l.evaluate('a', 'solo', [['page', '\u0000a', 'b', 2, '']])).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED' }) },
  {
    rule: 'parts of composite keys order by their UTF-8 bytes, and longer lists of parts come after', fabric: 'source',
    run: async (l) => {
      const type = l.key('type');
      await l.submit('a', 'solo', [['putComposite', type, ['～'], '1'], ['putComposite', type, ['\u{1f600}'], '2'], ['putComposite', type, ['A', 'b'], '3'], ['putComposite', type, ['A'], '4']]);
      expect(await l.evaluate('a', 'solo', [['partial', type, []]])).toEqual([[['A', '4'], ['A', 'b', '3'], ['～', '1'], ['\u{1f600}', '2']]]);
    },
  },
  {
    rule: 'an iterator may be closed early, and others go on', fabric: 'source',
    run: async (l) => {
      const p = l.key('two');
      await put(l, p, ['a', 'b', 'c']);
      expect(await l.evaluate('a', 'solo', [['rangeFirst', p, `${p}~`, 1], ['interleaved', p, `${p}~`]])).toEqual([[[`${p}a`, 'v-a']], [`${p}a`, `${p}a`, `${p}b`, `${p}b`, `${p}c`, `${p}c`]]);
    },
  },
  { rule: 'calls that a contract makes at once are answered each for itself', fabric: 'source', run: async (l) => { const p = l.key('at-once'); await put(l, p, ['1', '2', '3']); expect(await l.evaluate('a', 'solo', [['getMany', [`${p}3`, `${p}1`, `${p}0`, `${p}2`]]])).toEqual([['v-3', 'v-1', '', 'v-2']]); } },
];
