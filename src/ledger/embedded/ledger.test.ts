import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLog } from '#base/ports.ts';
import { fakeClock, realScheduler, seededRandom } from '#sim/seams.ts';
import { fromUtf8, utf8 } from '#base/bytes.ts';
import { readBlock } from '../block.ts';
import { createTestOrg, type TestOrg } from '../consortium.test-kit.ts';
import { createLedgerClient } from '../gateway-client.ts';
import type { LedgerClient } from '../client.ts';
import type { Chaincode } from '../stub.ts';
import { openEmbeddedLedger, type EmbeddedLedger } from './ledger.ts';

const counter: Chaincode = {
  async Invoke(stub) {
    const { fcn, params } = stub.getFunctionAndParameters();
    if (fcn === 'add') {
      const { by } = JSON.parse(params[0] ?? '{}') as { by: number };
      const next = Number(fromUtf8(await stub.getState('count')) || '0') + by;
      await stub.putState('count', utf8(String(next)));
      stub.setEvent('added', utf8(String(next)));
      return { status: 200, message: '', payload: utf8(String(next)) };
    }
    if (fcn === 'count') return { status: 200, message: '', payload: utf8(fromUtf8(await stub.getState('count')) || '0') };
    return { status: 500, message: JSON.stringify({ code: 'COUNTER_UNKNOWN', message: 'No such transaction.', details: { name: fcn } }), payload: new Uint8Array(0) };
  },
};

describe('the embedded ledger', () => {
  const clock = fakeClock(Date.UTC(2026, 0, 5, 12));
  let org: TestOrg;
  let ledger: EmbeddedLedger;
  let client: LedgerClient;

  beforeAll(async () => {
    org = await createTestOrg('HO-a', clock);
    const orderer = await createTestOrg('ORD-consortium', clock);
    const key = await orderer.issue('orderer', 'orderer');
    ledger = await openEmbeddedLedger({ folder: ':memory:', clock, random: seededRandom('ledger'), scheduler: realScheduler, log: silentLog, orderer: { ...key, rootCertificate: orderer.ca.certificate } });
    await ledger.createChannel({ name: 'hdc-a', orgs: [{ mspId: 'HO-a', rootCertificate: org.ca.certificate }], peers: ['HO-a'], needed: 1 });
    await ledger.attachPeer({ ...org.peer, channels: ['hdc-a'] });
    await ledger.deploy({ channel: 'hdc-a', name: 'counter', chaincode: counter, needed: 1 });
    client = createLedgerClient({ transport: ledger.transport(), clock, random: seededRandom('client'), scheduler: realScheduler });
  });
  afterAll(() => ledger.close());

  const call = (name: string, input: { readonly by?: number } = {}) => ({ channel: 'hdc-a', contract: 'counter', name, input, signer: org.client.signer });

  it('endorses, orders, commits and answers', async () => {
    const committed = await client.submit(call('add', { by: 2 }));
    expect(committed).toMatchObject({ blockNumber: 2, output: 2 });
    expect(await client.evaluate(call('count'))).toBe(2);
  });

  it('lets every one of many competing clients through by retrying', async () => {
    const before = Number(await client.evaluate(call('count')));
    await Promise.all(Array.from({ length: 5 }, () => client.submit(call('add', { by: 1 }))));
    expect(await client.evaluate(call('count'))).toBe(before + 5);
  });

  it("gives the contract's own coded error", async () => {
    await expect(client.submit(call('nothing'))).rejects.toMatchObject({ code: 'COUNTER_UNKNOWN', details: { name: 'nothing' } });
    await expect(client.evaluate(call('nothing'))).rejects.toMatchObject({ code: 'COUNTER_UNKNOWN' });
  });

  it('streams blocks to organisations and events to members', async () => {
    const stop = new AbortController();
    const seen: string[] = [];
    for await (const block of client.blocks({ channel: 'hdc-a', startBlock: 0, signer: org.peer.signer, signal: stop.signal })) {
      seen.push(...readBlock(block.bytes).transactions.map((transaction) => transaction.function));
      if (block.number === 2) stop.abort();
    }
    expect(seen).toEqual(['', 'CommitChaincodeDefinition', 'add']);
    for await (const event of client.events({ channel: 'hdc-a', contract: 'counter', startBlock: 0, signer: org.client.signer })) {
      expect(event).toMatchObject({ blockNumber: 2, name: 'added' });
      expect(fromUtf8(event.payload)).toBe('2');
      break;
    }
  });

  it('gives whole blocks to nobody but peers and operators', async () => {
    const first = client.blocks({ channel: 'hdc-a', startBlock: 0, signer: org.client.signer })[Symbol.asyncIterator]().next();
    await expect(first).rejects.toMatchObject({ code: 'LEDGER_ACCESS_DENIED' });
  });
});
