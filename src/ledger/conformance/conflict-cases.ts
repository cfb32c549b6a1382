/** What happens between endorsement and commit: MVCC, phantoms, history, policies. Each case holds an endorsed transaction back and decides what comes first. */
import { expect } from 'vitest';
import type { Case } from './case.ts';
import type { Endorsed } from './by-hand.ts';
import type { Runner } from './harness.ts';
import type { Step } from './probe.ts';

const held = (l: Runner, steps: readonly Step[]): Promise<Endorsed> => l.hand.endorse({ who: 'a', channel: 'solo', steps });
const verdict = async (endorsed: Endorsed): Promise<string> => (await endorsed.commit()).code;
const numbered = (prefix: string, count: number): Step[] => Array.from({ length: count }, (_, at): Step => ['put', `${prefix}${String(at).padStart(3, '0')}`, 'x']);

/** Endorse these steps, commit those, then commit the first. */
const between = async (l: Runner, mine: readonly Step[], theirs: readonly Step[]): Promise<string> => {
  const endorsed = await held(l, mine);
  await l.submit('a', 'solo', theirs);
  return verdict(endorsed);
};

export const conflictCases: readonly Case[] = [
  {
    rule: 'a key that was read and then written by another is a conflict', fabric: 'observed',
    run: async (l) => {
      const key = l.key();
      await l.submit('a', 'solo', [['put', key, '0']]);
      expect(await between(l, [['add', key, 1]], [['add', key, 1]])).toBe('MVCC_READ_CONFLICT');
      expect(await l.evaluate('a', 'solo', [['get', key]])).toEqual(['1']);
    },
  },
  {
    rule: 'so is one that was read as absent and then created', fabric: 'source',
    run: async (l) => {
      const key = l.key();
      expect(await between(l, [['get', key], ['put', l.key(), 'x']], [['put', key, 'x']])).toBe('MVCC_READ_CONFLICT');
    },
  },
  {
    rule: 'and one that was read and then deleted', fabric: 'source',
    run: async (l) => {
      const key = l.key();
      await l.submit('a', 'solo', [['put', key, 'x']]);
      expect(await between(l, [['get', key], ['put', l.key(), 'x']], [['delete', key]])).toBe('MVCC_READ_CONFLICT');
    },
  },
  {
    rule: 'writing the same value again is a new version', fabric: 'source',
    run: async (l) => {
      const key = l.key();
      await l.submit('a', 'solo', [['put', key, 'same']]);
      expect(await between(l, [['get', key]], [['put', key, 'same']])).toBe('MVCC_READ_CONFLICT');
    },
  },
  { rule: 'a key that is deleted before it ever was is no conflict for who read it absent', fabric: 'source', run: async (l) => { const key = l.key(); expect(await between(l, [['get', key], ['put', l.key(), 'x']], [['delete', key]])).toBe('VALID'); } },
  {
    rule: 'a write without a read never conflicts, however old its endorsement', fabric: 'observed',
    run: async (l) => {
      const key = l.key();
      const old = await held(l, [['put', key, 'old endorsement']]);
      for (const value of ['1', '2']) await l.submit('a', 'solo', [['put', key, value]]);
      expect(await verdict(old)).toBe('VALID');
      expect(await l.evaluate('a', 'solo', [['get', key]])).toEqual(['old endorsement']);
    },
  },
  { rule: 'a transaction that only reads is judged like any other', fabric: 'source', run: async (l) => { const key = l.key(); expect(await verdict(await held(l, [['get', key]]))).toBe('VALID'); expect(await between(l, [['get', key]], [['put', key, 'x']])).toBe('MVCC_READ_CONFLICT'); } },
  {
    rule: 'a key inserted into a range that was read is a phantom', fabric: 'observed',
    run: async (l) => {
      const p = l.key('in');
      await l.submit('a', 'solo', numbered(p, 3));
      expect(await between(l, [['rangeKeys', p, `${p}~`], ['put', l.key(), 'x']], [['put', `${p}001a`, 'x']])).toBe('PHANTOM_READ_CONFLICT');
    },
  },
  {
    rule: 'so is one deleted from it', fabric: 'source',
    run: async (l) => {
      const p = l.key('out');
      await l.submit('a', 'solo', numbered(p, 3));
      expect(await between(l, [['rangeKeys', p, `${p}~`], ['put', l.key(), 'x']], [['delete', `${p}001`]])).toBe('PHANTOM_READ_CONFLICT');
    },
  },
  {
    rule: 'and one whose value changed', fabric: 'source',
    run: async (l) => {
      const p = l.key('changed');
      await l.submit('a', 'solo', numbered(p, 3));
      expect(await between(l, [['rangeKeys', p, `${p}~`], ['put', l.key(), 'x']], [['put', `${p}001`, 'y']])).toBe('PHANTOM_READ_CONFLICT');
    },
  },
  {
    rule: 'a key beside the range is none', fabric: 'source',
    run: async (l) => {
      const p = l.key('beside');
      await l.submit('a', 'solo', numbered(p, 3));
      expect(await between(l, [['rangeKeys', `${p}000`, `${p}002`], ['put', l.key(), 'x']], [['put', `${p}002`, 'y'], ['put', `${p}003`, 'y']])).toBe('VALID');
    },
  },
  { rule: 'a range that was empty is protected, too', fabric: 'source', run: async (l) => { const p = l.key('empty'); expect(await between(l, [['rangeKeys', p, `${p}~`], ['put', l.key(), 'x']], [['put', `${p}1`, 'x']])).toBe('PHANTOM_READ_CONFLICT'); } },
  {
    rule: 'a range left early is protected as far as the peer had fetched: a hundred rows and one', fabric: 'source',
    run: async (l) => {
      const p = l.key('fetched');
      await l.submit('a', 'solo', numbered(p, 120));
      const read: Step[] = [['rangeFirst', p, `${p}~`, 1], ['put', l.key(), 'x']];
      expect(await between(l, read, [['put', `${p}101`, 'y']])).toBe('VALID');
      expect(await between(l, read, [['put', `${p}100`, 'y']])).toBe('PHANTOM_READ_CONFLICT');
    },
  },
  {
    rule: 'composite keys are protected by the prefix that was read', fabric: 'source',
    run: async (l) => {
      const type = l.key('type');
      await l.submit('a', 'solo', [['putComposite', type, ['red', '1'], 'x']]);
      expect(await between(l, [['partial', type, ['red']], ['put', l.key(), 'x']], [['putComposite', type, ['blue', '1'], 'x']])).toBe('VALID');
      expect(await between(l, [['partial', type, ['red']], ['put', l.key(), 'x']], [['putComposite', type, ['red', '2'], 'x']])).toBe('PHANTOM_READ_CONFLICT');
    },
  },
  { rule: 'history is not protected', fabric: 'documented', run: async (l) => { const key = l.key(); await l.submit('a', 'solo', [['put', key, '1']]); expect(await between(l, [['history', key], ['put', l.key(), 'x']], [['put', key, '2']])).toBe('VALID'); } },
  {
    rule: 'what an invalid transaction wrote is in no state and no history', fabric: 'observed',
    run: async (l) => {
      const [read, written] = [l.key(), l.key()];
      expect(await between(l, [['get', read], ['put', written, 'lost']], [['put', read, 'x']])).toBe('MVCC_READ_CONFLICT');
      expect(await l.evaluate('a', 'solo', [['get', written], ['history', written]])).toEqual(['', []]);
    },
  },
  {
    rule: 'nor is its event told', fabric: 'documented',
    run: async (l) => {
      const [key, lost, told] = [l.key(), l.key('lost'), l.key('told')];
      const endorsed = await held(l, [['get', key], ['event', lost, 'x']]);
      const { blockNumber } = await l.submit('a', 'solo', [['put', key, 'x']]);
      expect(await verdict(endorsed)).toBe('MVCC_READ_CONFLICT');
      await l.submit('a', 'solo', [['event', told, 'x']]);
      for await (const event of l.client.events({ channel: l.channel('solo'), contract: 'probe', startBlock: blockNumber, signer: l.signers.a })) {
        expect(event.name).toBe(told);
        break;
      }
    },
  },
  {
    rule: 'what a called contract read is protected with the rest', fabric: 'source',
    run: async (l) => {
      const key = l.key();
      const endorsed = await held(l, [['invoke', 'helper', JSON.stringify([['get', key]]), ''], ['put', l.key(), 'x']]);
      await l.submit('a', 'solo', [['invoke', 'helper', JSON.stringify([['put', key, 'x']]), '']]);
      expect(await verdict(endorsed)).toBe('MVCC_READ_CONFLICT');
    },
  },
  {
    rule: 'what was read on another channel is not', fabric: 'source',
    run: async (l) => {
      const key = l.key();
      await l.submit('a', 'either', [['put', key, '1']]);
      const endorsed = await held(l, [['invoke', 'probe', JSON.stringify([['get', key]]), l.channel('either')], ['put', l.key(), 'x']]);
      await l.submit('a', 'either', [['put', key, '2']]);
      expect(await verdict(endorsed)).toBe('VALID');
    },
  },
  {
    rule: 'private values conflict through their hashes', fabric: 'source',
    run: async (l) => {
      const key = l.key('private');
      await l.submit('a', 'either', [['putPrivate', 'mine', key, '1']]);
      const endorsed = await l.hand.endorse({ who: 'a', channel: 'either', steps: [['getPrivate', 'mine', key], ['put', l.key(), 'x']] });
      await l.submit('a', 'either', [['putPrivate', 'mine', key, '2']]);
      expect(await verdict(endorsed)).toBe('MVCC_READ_CONFLICT');
    },
  },
  {
    rule: 'an endorsement of fewer than the policy asks is in the block, and counts for nothing', fabric: 'observed',
    run: async (l) => {
      const key = l.key();
      expect(await verdict(await l.hand.endorse({ who: 'a', channel: 'pair', steps: [['put', key, 'x']], at: [l.msp.a] }))).toBe('ENDORSEMENT_POLICY_FAILURE');
      expect(await l.evaluate('a', 'pair', [['get', key]])).toEqual(['']);
    },
  },
  {
    rule: 'a key\'s own policy is asked at commit, whoever endorsed', fabric: 'observed',
    run: async (l) => {
      const key = l.key('guarded');
      await l.submit('a', 'either', [['put', key, 'first'], ['setPolicy', key, [l.msp.a, l.msp.b]]]);
      expect(await verdict(await l.hand.endorse({ who: 'a', channel: 'either', steps: [['put', key, 'alone']], at: [l.msp.a] }))).toBe('ENDORSEMENT_POLICY_FAILURE');
      expect(await verdict(await l.hand.endorse({ who: 'a', channel: 'either', steps: [['delete', key]], at: [l.msp.a] }))).toBe('ENDORSEMENT_POLICY_FAILURE');
      expect(await l.evaluate('a', 'either', [['get', key]])).toEqual(['first']);
    },
  },
  {
    rule: 'a key\'s own policy takes the place of the contract\'s for that key', fabric: 'documented',
    run: async (l) => {
      const key = l.key('loosened');
      await l.submit('a', 'pair', [['put', key, 'both'], ['setPolicy', key, [l.msp.a]]]);
      expect(await verdict(await l.hand.endorse({ who: 'a', channel: 'pair', steps: [['put', key, 'A alone']], at: [l.msp.a] }))).toBe('VALID');
      expect(await verdict(await l.hand.endorse({ who: 'a', channel: 'pair', steps: [['put', key, 'x'], ['put', l.key(), 'x']], at: [l.msp.a] }))).toBe('ENDORSEMENT_POLICY_FAILURE');
      expect(await l.evaluate('a', 'pair', [['get', key]])).toEqual(['A alone']);
    },
  },
  {
    rule: 'changing a key\'s policy takes the policy that it has', fabric: 'documented',
    run: async (l) => {
      const key = l.key('guarded');
      await l.submit('a', 'either', [['put', key, 'x'], ['setPolicy', key, [l.msp.a, l.msp.b]]]);
      expect(await verdict(await l.hand.endorse({ who: 'a', channel: 'either', steps: [['setPolicy', key, [l.msp.a]]], at: [l.msp.a] }))).toBe('ENDORSEMENT_POLICY_FAILURE');
      await l.submit('a', 'either', [['setPolicy', key, [l.msp.a]]]);
      expect(await verdict(await l.hand.endorse({ who: 'a', channel: 'either', steps: [['put', key, 'y']], at: [l.msp.a] }))).toBe('VALID');
    },
  },
  { rule: 'a result that differs at every run commits where one endorsement is enough', fabric: 'observed', run: async (l) => expect(await verdict(await held(l, [['disagree', l.key()]]))).toBe('VALID') },
];
