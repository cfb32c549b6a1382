/** Transactions: identity, arguments, errors, events, conflicts, calls between contracts, membership. */
import { expect } from 'vitest';
import { fromUtf8 } from '#base/bytes.ts';
import { readBlock, type TransactionFacts } from '../block.ts';
import type { Runner } from './harness.ts';
import type { Case } from './case.ts';

async function transactionsOf(l: Runner, channel: 'solo' | 'either', from: number): Promise<TransactionFacts[]> {
  const stop = new AbortController();
  const { blockNumber: end } = await l.submit('a', channel, [['put', l.key('mark'), 'x']]);
  const found: TransactionFacts[] = [];
  for await (const block of l.client.blocks({ channel: l.channel(channel), startBlock: from, signer: l.signers.peerA, signal: stop.signal })) {
    found.push(...readBlock(block.bytes).transactions);
    if (block.number >= end) stop.abort();
  }
  return found;
}

const named = (l: Runner, name: string, input: number | null = null) => ({ channel: l.channel('solo'), contract: 'probe', name, input, signer: l.signers.a });

export const transactionCases: readonly Case[] = [
  { rule: 'the contract sees who calls', fabric: 'observed', run: async (l) => expect(await l.evaluate('a', 'solo', [['caller']])).toEqual([[l.msp.a, 'system', 'client', 'system', 32]]) },
  { rule: 'two organisations on one channel are told apart', fabric: 'observed', run: async (l) => expect(await l.evaluate('b', 'either', [['caller']])).toEqual([[l.msp.b, 'system', 'client', 'system', 32]]) },
  {
    rule: 'transaction id, channel and time reach the contract', fabric: 'observed',
    run: async (l) => {
      const { txId, output } = await l.submit('a', 'solo', [['txId'], ['channel'], ['time']]);
      const [seen, channel, time] = output as [string, string, number];
      expect([seen, channel]).toEqual([txId, l.channel('solo')]);
      expect(Math.abs(time - l.now())).toBeLessThan(600_000);
    },
  },
  { rule: 'a client may claim a coarser time', fabric: 'ours', run: async (l) => { const hour = Math.floor(l.now() / 3_600_000) * 3_600_000; expect(await l.client.submit({ ...named(l, 'run'), input: [['time']], timestamp: hour })).toMatchObject({ output: [hour] }); } },
  { rule: 'an empty answer is null', fabric: 'ours', run: async (l) => expect(await l.client.submit(named(l, 'empty'))).toMatchObject({ output: null }) },
  { rule: 'an answer that is not JSON is refused by the client', fabric: 'ours', run: async (l) => expect(l.client.evaluate(named(l, 'text'))).rejects.toMatchObject({ code: 'LEDGER_ANSWER_INVALID' }) },
  { rule: 'a response of status 400 or more is a refusal', fabric: 'source', run: async (l) => expect(l.client.submit(named(l, 'status', 404))).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED', details: { why: expect.stringContaining('chaincode response 404') } }) },
  { rule: 'a contract\'s coded error arrives whole on submit', fabric: 'ours', run: async (l) => expect(l.submit('a', 'solo', [['refuse', 'PROBE_SAYS_NO']])).rejects.toMatchObject({ code: 'PROBE_SAYS_NO', message: 'The probe refuses.', details: { step: 1, next: 'Nothing.' } }) },
  { rule: 'and on evaluate', fabric: 'ours', run: async (l) => expect(l.evaluate('a', 'solo', [['refuse', 'PROBE_SAYS_NO']])).rejects.toMatchObject({ code: 'PROBE_SAYS_NO', details: { step: 1 } }) },
  { rule: 'a crash of the contract is an endorsement failure', fabric: 'documented', run: async (l) => expect(l.submit('a', 'solo', [['crash']])).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED', details: { why: expect.stringContaining('the probe broke') } }) },
  {
    rule: 'a refused transaction leaves nothing behind', fabric: 'observed',
    run: async (l) => {
      const key = l.key();
      await l.submit('a', 'solo', [['put', key, 'x'], ['refuse', 'PROBE_SAYS_NO']]).catch(() => undefined);
      expect(await l.evaluate('a', 'solo', [['get', key], ['history', key]])).toEqual(['', []]);
    },
  },
  { rule: 'an unknown contract is refused', fabric: 'observed', run: async (l) => expect(l.client.evaluate({ ...named(l, 'run'), contract: 'nobody' })).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED' }) },
  { rule: 'an unknown channel is refused', fabric: 'observed', run: async (l) => expect(l.client.evaluate({ ...named(l, 'run'), channel: 'nowhere' })).rejects.toMatchObject({ code: expect.stringMatching(/^LEDGER_/) }) },
  { rule: 'an organisation that is on no channel may not evaluate', fabric: 'observed', run: async (l) => expect(l.evaluate('c', 'solo', [['get', 'a']])).rejects.toMatchObject({ code: 'LEDGER_ACCESS_DENIED' }) },
  { rule: 'nor submit', fabric: 'observed', run: async (l) => expect(l.submit('c', 'solo', [['put', 'a', 'x']])).rejects.toMatchObject({ code: 'LEDGER_ACCESS_DENIED' }) },
  { rule: 'membership of one channel opens no other', fabric: 'observed', run: async (l) => expect(l.evaluate('a', 'theirs', [['get', 'a']])).rejects.toMatchObject({ code: 'LEDGER_ACCESS_DENIED' }) },
  {
    rule: 'the transient map reaches the contract and no block', fabric: 'documented',
    run: async (l) => {
      const secret = `CANARY-${l.key('transient')}`;
      const { output, blockNumber } = await l.submit('a', 'solo', [['put', l.key(), 'x']], { secret });
      expect(output).toEqual([null]);
      expect(await l.evaluate('a', 'solo', [['transient', 'secret']], { secret })).toEqual([secret]);
      const stop = new AbortController();
      for await (const block of l.client.blocks({ channel: l.channel('solo'), startBlock: blockNumber, signer: l.signers.peerA, signal: stop.signal })) {
        expect(Buffer.from(block.bytes).includes(secret)).toBe(false);
        stop.abort();
      }
    },
  },
  {
    rule: 'increments that collide are retried until each has counted', fabric: 'ours',
    run: async (l) => {
      const key = l.key('count');
      const { blockNumber } = await l.submit('a', 'solo', [['put', key, '0']]);
      await Promise.all(Array.from({ length: 6 }, () => l.submit('a', 'solo', [['add', key, 1]])));
      expect(await l.evaluate('a', 'solo', [['get', key]])).toEqual(['6']);
      const adds = (await transactionsOf(l, 'solo', blockNumber)).filter((transaction) => transaction.code === 'VALID' && transaction.writes.some((write) => write.key === key));
      expect(adds).toHaveLength(7);
    },
  },
  {
    rule: 'invalid transactions stay in the block, marked', fabric: 'documented',
    run: async (l) => {
      const key = l.key('count');
      const { blockNumber } = await l.submit('a', 'solo', [['put', key, '0']]);
      await Promise.all(Array.from({ length: 8 }, () => l.submit('a', 'solo', [['add', key, 1]])));
      const codes = (await transactionsOf(l, 'solo', blockNumber)).filter((transaction) => transaction.writes.some((write) => write.key === key)).map((transaction) => transaction.code);
      expect(new Set(codes)).toEqual(new Set(['VALID', 'MVCC_READ_CONFLICT']));
    },
  },
  {
    rule: 'blind writes never conflict', fabric: 'observed',
    run: async (l) => {
      const key = l.key('blind');
      const { blockNumber } = await l.submit('a', 'solo', [['put', key, 'start']]);
      await Promise.all(Array.from({ length: 6 }, (_, index) => l.submit('a', 'solo', [['put', key, String(index)]])));
      const codes = (await transactionsOf(l, 'solo', blockNumber)).filter((transaction) => transaction.writes.some((write) => write.key === key)).map((transaction) => transaction.code);
      expect(codes).toEqual(Array.from({ length: 7 }, () => 'VALID'));
    },
  },
  {
    rule: 'a range that changed before commit is a phantom', fabric: 'observed',
    run: async (l) => {
      const p = l.key('phantom');
      const { blockNumber } = await l.submit('a', 'solo', [['put', `${p}.0`, 'x']]);
      await Promise.all(Array.from({ length: 6 }, (_, index) => l.submit('a', 'solo', [['rangeKeys', `${p}.`, `${p}.~`], ['put', `${p}.${index + 1}`, 'x']])));
      const codes = (await transactionsOf(l, 'solo', blockNumber)).filter((transaction) => transaction.writes.some((write) => write.key.startsWith(p))).map((transaction) => transaction.code);
      expect(codes.filter((code) => code === 'VALID')).toHaveLength(7);
      expect(new Set(codes)).toEqual(new Set(['VALID', 'PHANTOM_READ_CONFLICT']));
    },
  },
  {
    rule: 'events of valid transactions come in order, the last of a transaction only', fabric: 'observed',
    run: async (l) => {
      const name = l.key('event');
      const { blockNumber, txId } = await l.submit('a', 'solo', [['event', 'early', 'no'], ['event', name, 'one']]);
      await l.submit('a', 'solo', [['event', name, 'two']]);
      const seen: [string, string][] = [];
      for await (const event of l.client.events({ channel: l.channel('solo'), contract: 'probe', startBlock: blockNumber, signer: l.signers.a })) {
        if (seen.length === 0) expect(event).toMatchObject({ blockNumber, txId });
        seen.push([event.name, fromUtf8(event.payload)]);
        if (seen.length === 2) break;
      }
      expect(seen).toEqual([[name, 'one'], [name, 'two']]);
    },
  },
  {
    rule: 'events and blocks go on live', fabric: 'observed',
    run: async (l) => {
      const name = l.key('live');
      const { blockNumber } = await l.submit('a', 'solo', [['put', l.key(), 'x']]);
      const next = (async () => {
        for await (const event of l.client.events({ channel: l.channel('solo'), contract: 'probe', startBlock: blockNumber + 1, signer: l.signers.a })) return event.name;
        return '';
      })();
      await l.submit('a', 'solo', [['event', name, 'x']]);
      expect(await next).toBe(name);
    },
  },
  { rule: 'an event needs a name', fabric: 'source', run: async (l) => expect(l.submit('a', 'solo', [['event', '', 'x']])).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED' }) },
  { rule: 'whole blocks are not for clients', fabric: 'ours', run: async (l) => expect(l.client.blocks({ channel: l.channel('solo'), startBlock: 0, signer: l.signers.a })[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'LEDGER_ACCESS_DENIED' }) },
  {
    rule: 'administrators and peers get them, from any height, linked', fabric: 'documented',
    run: async (l) => {
      const stop = new AbortController();
      let previous: string | undefined;
      for await (const block of l.client.blocks({ channel: l.channel('solo'), startBlock: 0, signer: l.signers.adminA, signal: stop.signal })) {
        const facts = readBlock(block.bytes);
        if (previous !== undefined) expect(Buffer.from(facts.previousHash).toString('hex')).toBe(previous);
        previous = Buffer.from(facts.headerHash).toString('hex');
        if (block.number === 3) stop.abort();
      }
      expect(previous).toBeDefined();
    },
  },
  { rule: 'an outsider gets no events', fabric: 'observed', run: async (l) => expect(l.client.events({ channel: l.channel('solo'), contract: 'probe', startBlock: 0, signer: l.signers.c })[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'LEDGER_ACCESS_DENIED' }) },
  {
    rule: 'a contract calls another on the same channel within the transaction', fabric: 'source',
    run: async (l) => {
      const key = l.key();
      const { output } = await l.submit('a', 'solo', [['invoke', 'helper', JSON.stringify([['put', key, 'by helper']]), '']]);
      expect(output).toEqual([[200, [null]]]);
      expect(await l.client.evaluate({ ...named(l, 'run'), contract: 'helper', input: [['get', key]] })).toEqual(['by helper']);
      expect(await l.evaluate('a', 'solo', [['get', key]])).toEqual(['']);
    },
  },
  {
    rule: 'across channels a call reads, and what it writes is dropped', fabric: 'observed',
    run: async (l) => {
      const key = l.key();
      await l.submit('a', 'either', [['put', key, 'there']]);
      const steps = JSON.stringify([['get', key], ['put', key, 'changed']]);
      expect((await l.submit('a', 'solo', [['invoke', 'probe', steps, l.channel('either')]])).output).toEqual([[200, ['there', null]]]);
      expect(await l.evaluate('a', 'either', [['get', key]])).toEqual(['there']);
    },
  },
  { rule: 'a call to a channel whose member one is not fails', fabric: 'observed', run: async (l) => expect(l.submit('a', 'solo', [['invoke', 'probe', '[]', l.channel('theirs')]])).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED' }) },
  { rule: 'a contract may not call itself in its own transaction', fabric: 'source', run: async (l) => expect(l.evaluate('a', 'solo', [['invoke', 'probe', '[]', '']])).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED', details: { why: expect.stringMatching(/txid: [0-9a-f]{64}\(.*\) exists/) } }) },
  { rule: 'a called contract\'s refusal comes back as its response', fabric: 'source', run: async (l) => expect((await l.evaluate('a', 'solo', [['invoke', 'helper', JSON.stringify([['refuse', 'HELPER_NO']]), '']]))[0]).toEqual([500, expect.stringContaining('HELPER_NO')]) },
  { rule: 'an abort before the start stops a submission', fabric: 'ours', run: async (l) => expect(l.client.submit({ ...named(l, 'empty'), signal: AbortSignal.abort() })).rejects.toThrow() },
];
