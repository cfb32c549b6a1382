/** More of private data: visibility inside a transaction, ranges, other members' peers, deleting and purging. The first rules are in policy-cases.ts. */
import { expect } from 'vitest';
import type { Case } from './case.ts';
import type { Step } from './probe.ts';

const refused = (why: string) => ({ code: 'LEDGER_ENDORSEMENT_FAILED', details: { why: expect.stringContaining(why) } });

export const privateCases: readonly Case[] = [
  { rule: 'own private writes are not visible in the same transaction, nor are their hashes', fabric: 'source', run: async (l) => { const key = l.key(); expect((await l.submit('a', 'either', [['putPrivate', 'mine', key, 'x'], ['getPrivate', 'mine', key], ['privateHash', 'mine', key]])).output).toEqual([null, '', '']); } },
  { rule: 'a private key that never was reads as zero bytes, and has no hash', fabric: 'observed', run: async (l) => expect(await l.evaluate('a', 'either', [['getPrivate', 'mine', l.key()], ['privateHash', 'mine', l.key()]])).toEqual(['', '']) },
  {
    rule: 'public and private keys of one name are two', fabric: 'source',
    run: async (l) => {
      const key = l.key('twice');
      await l.submit('a', 'either', [['put', key, 'public'], ['putPrivate', 'mine', key, 'private'], ['putPrivate', 'both', key, 'shared']]);
      expect(await l.evaluate('a', 'either', [['get', key], ['getPrivate', 'mine', key], ['getPrivate', 'both', key]])).toEqual(['public', 'private', 'shared']);
    },
  },
  {
    rule: 'a member\'s peer does not read a closed collection to another organisation\'s client', fabric: 'observed',
    run: async (l) => {
      const key = l.key('closed');
      await l.submit('a', 'either', [['putPrivate', 'mine', key, 'x']]);
      await expect(l.hand.evaluate({ who: 'b', channel: 'either', steps: [['getPrivate', 'mine', key]], at: [l.msp.a] })).rejects.toMatchObject(refused('read access'));
    },
  },
  {
    rule: 'a peer outside a collection knows the hash and not the value', fabric: 'observed',
    run: async (l) => {
      const key = l.key('hash');
      await l.submit('a', 'either', [['putPrivate', 'mine', key, 'x']]);
      const [hash] = await l.evaluate('a', 'either', [['privateHash', 'mine', key]]);
      expect(await l.sees('b', 'either', [['privateHash', 'mine', key]], [hash ?? null])).toEqual([hash]);
      await expect(l.hand.evaluate({ who: 'a', channel: 'either', steps: [['getPrivate', 'mine', key]], at: [l.msp.b] })).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED' });
    },
  },
  {
    rule: 'private composite keys are found by their first parts', fabric: 'source',
    run: async (l) => {
      const type = l.key('type');
      await l.submit('a', 'either', [['putPrivateComposite', 'mine', type, ['red', '1'], 'r1'], ['putPrivateComposite', 'mine', type, ['red', '2'], 'r2'], ['putPrivateComposite', 'mine', type, ['blue', '1'], 'b1']]);
      expect(await l.evaluate('a', 'either', [['privatePartial', 'mine', type, ['red']]])).toEqual([[['red', '1', 'r1'], ['red', '2', 'r2']]]);
    },
  },
  {
    rule: 'a private range longer than one fetch comes whole, in the order of its UTF-8 bytes', fabric: 'source',
    run: async (l) => {
      const p = l.key('long');
      const names = Array.from({ length: 130 }, (_, at) => String(at).padStart(3, '0'));
      await l.submit('a', 'either', [...names, '\u{1f600}', '～'].map((name): Step => ['putPrivate', 'mine', p + name, 'x']));
      const [rows] = (await l.evaluate('a', 'either', [['privateRange', 'mine', p, `${p}\u{10ffff}`]])) as unknown as [[string, string][]];
      expect(rows.map(([key]) => key)).toEqual([...names, '～', '\u{1f600}'].map((name) => p + name));
    },
  },
  { rule: 'a transaction that wrote may not read private ranges', fabric: 'observed', run: async (l) => expect(l.submit('a', 'either', [['put', l.key(), 'x'], ['privateRange', 'mine', 'a', 'b']])).rejects.toMatchObject(refused('read-only transaction')) },
  { rule: 'private ranges and private writes do not mix either', fabric: 'source', run: async (l) => expect(l.submit('a', 'either', [['privateRange', 'mine', 'a', 'b'], ['putPrivate', 'mine', l.key(), 'x']])).rejects.toMatchObject(refused('Writes are not allowed')) },
  { rule: 'reading from a collection that is not defined is refused', fabric: 'observed', run: async (l) => expect(l.evaluate('a', 'either', [['getPrivate', 'nowhere', l.key()]])).rejects.toMatchObject(refused('collection')) },
  { rule: 'so is its hash', fabric: 'source', run: async (l) => expect(l.evaluate('a', 'either', [['privateHash', 'nowhere', l.key()]])).rejects.toMatchObject(refused('collection')) },
  { rule: 'a collection needs a name', fabric: 'source', run: async (l) => expect(l.submit('a', 'either', [['putPrivate', '', l.key(), 'x']])).rejects.toMatchObject(refused('collection must be a valid string')) },
  { rule: 'a client outside a closed collection may neither delete in it nor purge', fabric: 'source', run: async (l) => { for (const call of ['deletePrivate', 'purge']) await expect(l.submit('b', 'either', [[call, 'mine', l.key()]])).rejects.toMatchObject(refused('write access')); } },
  {
    rule: 'what was purged may be written anew', fabric: 'documented',
    run: async (l) => {
      const key = l.key('anew');
      await l.submit('a', 'either', [['putPrivate', 'mine', key, 'old']]);
      await l.submit('a', 'either', [['purge', 'mine', key]]);
      await l.submit('a', 'either', [['putPrivate', 'mine', key, 'new']]);
      expect(await l.evaluate('a', 'either', [['getPrivate', 'mine', key]])).toEqual(['new']);
    },
  },
  { rule: 'purging what never was is no error', fabric: 'source', run: async (l) => expect((await l.submit('a', 'either', [['purge', 'mine', l.key()]])).output).toEqual([null]) },
  {
    rule: 'the last private write of a key in a transaction wins, and a purge with it', fabric: 'source',
    run: async (l) => {
      const [kept, gone] = [l.key('kept'), l.key('gone')];
      await l.submit('a', 'either', [['putPrivate', 'mine', kept, 'first'], ['putPrivate', 'mine', kept, 'last'], ['putPrivate', 'mine', gone, 'x'], ['deletePrivate', 'mine', gone]]);
      expect(await l.evaluate('a', 'either', [['getPrivate', 'mine', kept], ['getPrivate', 'mine', gone], ['privateHash', 'mine', gone]])).toEqual(['last', '', '']);
    },
  },
  {
    rule: 'a private key has no policy of its own', fabric: 'documented', differs: 'private-key-policy',
    run: async (l) => expect(l.submit('a', 'either', [['setPrivatePolicy', 'both', l.key(), [l.msp.a, l.msp.b]]])).rejects.toMatchObject(refused('key-level endorsement policies of private keys')),
    onFabric: async (l) => {
      const key = l.key('guarded');
      await l.submit('a', 'either', [['putPrivate', 'both', key, 'x'], ['setPrivatePolicy', 'both', key, [l.msp.a, l.msp.b]]]);
      const alone = await l.hand.endorse({ who: 'a', channel: 'either', steps: [['putPrivate', 'both', key, 'y']], at: [l.msp.a] });
      expect((await alone.commit()).code).toBe('ENDORSEMENT_POLICY_FAILURE');
    },
  },
  {
    rule: 'where both must endorse, both get what is shared with both', fabric: 'observed',
    run: async (l) => {
      const key = l.key('shared');
      await l.submit('a', 'pair', [['putPrivate', 'both', key, 'transient value']], { 'transient value': 'of both' });
      expect(await l.sees('b', 'pair', [['getPrivate', 'both', key]], ['of both'])).toEqual(['of both']);
    },
  },
];
