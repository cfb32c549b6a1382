/** Endorsement policies, key-level policies, private data. */
import { expect } from 'vitest';
import { createHash } from 'node:crypto';
import { readBlock } from '../block.ts';
import type { Runner } from './harness.ts';
import type { Case } from './case.ts';

const sha = (text: string): string => createHash('sha256').update(text).digest('hex');

async function endorsersOf(l: Runner, channel: 'pair' | 'either' | 'solo', blockNumber: number, txId: string): Promise<readonly string[]> {
  const stop = new AbortController();
  let endorsers: readonly string[] = [];
  for await (const block of l.client.blocks({ channel: l.channel(channel), startBlock: blockNumber, signer: l.signers.peerA, signal: stop.signal })) {
    endorsers = readBlock(block.bytes).transactions.find((transaction) => transaction.txId === txId)?.endorsers ?? [];
    stop.abort();
  }
  return [...endorsers].sort();
}

export const policyCases: readonly Case[] = [
  {
    rule: 'where both must endorse, both do', fabric: 'observed',
    run: async (l) => {
      const { blockNumber, txId } = await l.submit('a', 'pair', [['put', l.key(), 'x']]);
      expect(await endorsersOf(l, 'pair', blockNumber, txId)).toEqual([l.msp.a, l.msp.b].sort());
    },
  },
  {
    rule: 'where one is enough, the caller\'s own peer is asked', fabric: 'observed',
    run: async (l) => {
      const { blockNumber, txId } = await l.submit('b', 'either', [['put', l.key(), 'x']]);
      expect(await endorsersOf(l, 'either', blockNumber, txId)).toEqual([l.msp.b]);
    },
  },
  { rule: 'endorsers that disagree are found', fabric: 'observed', run: async (l) => expect(l.submit('a', 'pair', [['disagree', l.key()]])).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED', details: { why: expect.stringContaining('ProposalResponsePayloads do not match') } }) },
  {
    rule: 'a key with a policy of its own is written only with that endorsement; the gateway asks for it by itself', fabric: 'observed',
    run: async (l) => {
      const key = l.key('guarded');
      await l.submit('a', 'either', [['put', key, 'first'], ['setPolicy', key, [l.msp.a, l.msp.b]]]);
      const { blockNumber, txId } = await l.submit('a', 'either', [['put', key, 'second']]);
      expect(await endorsersOf(l, 'either', blockNumber, txId)).toEqual([l.msp.a, l.msp.b].sort());
      expect(await l.evaluate('b', 'either', [['get', key], ['hasPolicy', key]])).toEqual(['second', true]);
    },
  },
  {
    rule: 'a key without policy has none, and deleting a key ends its policy', fabric: 'source',
    run: async (l) => {
      const key = l.key('plain');
      await l.submit('a', 'either', [['put', key, 'x']]);
      expect(await l.evaluate('a', 'either', [['hasPolicy', key]])).toEqual([false]);
      await l.submit('a', 'either', [['setPolicy', key, [l.msp.a]]]);
      expect(await l.evaluate('a', 'either', [['hasPolicy', key], ['get', key]])).toEqual([true, 'x']);
      await l.submit('a', 'either', [['delete', key]]);
      await l.submit('a', 'either', [['put', key, 'y']]);
      expect(await l.evaluate('a', 'either', [['hasPolicy', key]])).toEqual([false]);
    },
  },
  {
    rule: 'private values are read by members only; everyone sees the hash', fabric: 'observed',
    run: async (l) => {
      const key = l.key('private');
      await l.submit('a', 'either', [['putPrivate', 'mine', key, 'secret']], { secret: 'known to A' });
      expect(await l.evaluate('a', 'either', [['getPrivate', 'mine', key], ['privateHash', 'mine', key]])).toEqual(['known to A', sha('known to A')]);
      expect(await l.evaluate('b', 'either', [['privateHash', 'mine', key]])).toEqual([sha('known to A')]);
      await expect(l.evaluate('b', 'either', [['getPrivate', 'mine', key]])).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED' });
    },
  },
  { rule: 'a client outside a closed collection may not write into it', fabric: 'observed', run: async (l) => expect(l.submit('b', 'either', [['putPrivate', 'mine', l.key(), 'x']])).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED', details: { why: expect.stringContaining('write access') } }) },
  {
    rule: 'an open collection answers other members of the channel, at a member\'s peer', fabric: 'source',
    run: async (l) => {
      const key = l.key('open');
      await l.submit('b', 'either', [['putPrivate', 'open', key, 'from B']]);
      expect(await l.evaluate('b', 'either', [['getPrivate', 'open', key]])).toEqual(['from B']);
    },
  },
  {
    rule: 'no private value is in a block', fabric: 'documented',
    run: async (l) => {
      const secret = `CANARY-${l.key('private')}`;
      const { blockNumber } = await l.submit('a', 'pair', [['putPrivate', 'both', l.key(), 'secret']], { secret });
      const stop = new AbortController();
      for await (const block of l.client.blocks({ channel: l.channel('pair'), startBlock: blockNumber, signer: l.signers.peerA, signal: stop.signal })) {
        expect(Buffer.from(block.bytes).includes(secret)).toBe(false);
        stop.abort();
      }
    },
  },
  {
    rule: 'a shared collection is read by both members', fabric: 'observed',
    run: async (l) => {
      const key = l.key('shared');
      await l.submit('a', 'pair', [['putPrivate', 'both', key, 'ours']]);
      expect(await l.evaluate('a', 'pair', [['getPrivate', 'both', key]])).toEqual(['ours']);
      expect(await l.evaluate('b', 'pair', [['getPrivate', 'both', key]])).toEqual(['ours']);
    },
  },
  {
    rule: 'deleting ends a private value and its hash', fabric: 'source',
    run: async (l) => {
      const key = l.key('gone');
      await l.submit('a', 'either', [['putPrivate', 'mine', key, 'x']]);
      await l.submit('a', 'either', [['deletePrivate', 'mine', key]]);
      expect(await l.evaluate('a', 'either', [['getPrivate', 'mine', key], ['privateHash', 'mine', key]])).toEqual(['', '']);
    },
  },
  {
    rule: 'purging ends a private value and its hash', fabric: 'observed',
    run: async (l) => {
      const key = l.key('purged');
      await l.submit('a', 'either', [['putPrivate', 'mine', key, 'x']]);
      await l.submit('a', 'either', [['purge', 'mine', key]]);
      expect(await l.evaluate('a', 'either', [['getPrivate', 'mine', key], ['privateHash', 'mine', key]])).toEqual(['', '']);
    },
  },
  {
    rule: 'private keys have ranges, too', fabric: 'source',
    run: async (l) => {
      const p = l.key('pr');
      await l.submit('a', 'either', [['putPrivate', 'mine', `${p}a`, '1'], ['putPrivate', 'mine', `${p}b`, '2'], ['putPrivate', 'mine', `${p}c`, '3']]);
      expect(await l.evaluate('a', 'either', [['privateRange', 'mine', `${p}a`, `${p}c`]])).toEqual([[[`${p}a`, '1'], [`${p}b`, '2']]]);
    },
  },
  { rule: 'private ranges and writes do not mix', fabric: 'observed', run: async (l) => expect(l.submit('a', 'either', [['privateRange', 'mine', 'a', 'b'], ['put', l.key(), 'x']])).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED' }) },
  { rule: 'an unknown collection is refused', fabric: 'observed', run: async (l) => expect(l.submit('a', 'either', [['putPrivate', 'nowhere', l.key(), 'x']])).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED', details: { why: expect.stringContaining('collection') } }) },
  { rule: 'a private value may not be empty', fabric: 'ours', run: async (l) => expect(l.submit('a', 'either', [['putPrivate', 'mine', l.key(), '']])).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED' }) },
  {
    rule: 'conflicting private increments are detected through the hashes', fabric: 'source',
    run: async (l) => {
      const key = l.key('pc');
      await l.submit('a', 'either', [['putPrivate', 'mine', key, '0']]);
      const results = await Promise.allSettled(Array.from({ length: 5 }, (_, index) => l.submit('a', 'either', [['getPrivate', 'mine', key], ['putPrivate', 'mine', key, `n${index}`]])));
      expect(results.every((result) => result.status === 'fulfilled')).toBe(true);
      const seen = results.map((result) => result.status === 'fulfilled' ? (result.value.output as readonly string[])[0] : '');
      expect(new Set(seen).size).toBe(5);
    },
  },
];
