/** Chaincode events through Fabric's own client: live, replayed, checkpointed, signed offline, and ended. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkpointers, type ChaincodeEvent, type Checkpoint, type Network } from '@hyperledger/fabric-gateway';
import type { TestIdentity } from '../consortium.test-kit.ts';
import { serveTestNetwork, signerOf, steps, take, text, type Served } from './fabric-client.test-kit.ts';

let served: Served;
let a: TestIdentity;
let net: Network;
const folder = mkdtempSync(join(tmpdir(), 'healthkeep-checkpoint-'));

beforeAll(async () => {
  served = await serveTestNetwork();
  a = served.network.orgs.a.client;
  net = served.channel(a);
});
afterAll(async () => {
  await served.close();
  rmSync(folder, { recursive: true, force: true });
});

const emit = (...names: readonly string[]) => Promise.all(names.map((name) => net.getContract('probe').submitTransaction('run', steps(['event', name, `${name}!`]))));
const shown = ({ eventName, payload, chaincodeName }: ChaincodeEvent): string => `${chaincodeName}/${eventName}=${text(payload)}`;

/** Events of which several share a block, and the first block of them. */
async function emitTogether(): Promise<{ readonly start: bigint; readonly ids: readonly string[] }> {
  const start = BigInt(served.network.ledger.height('solo'));
  const ids: string[] = [];
  for (let round = 0; round < 20; round++) {
    const transactions = await Promise.all(Array.from({ length: 12 }, (_, index) => net.getContract('probe').newProposal('run', { arguments: [steps(['event', `together-${round}-${index}`, 'x'])] }).endorse()));
    const commits = await Promise.all(transactions.map((transaction) => transaction.submit()));
    const states = await Promise.all(commits.map((commit) => commit.getStatus()));
    ids.push(...states.map(({ transactionId }) => transactionId));
    if (new Set(states.map(({ blockNumber }) => blockNumber)).size < 11) return { start, ids };
  }
  throw new Error('no transactions ever shared a block');
}

describe('chaincode events', () => {
  it('come live from the next block on', async () => {
    await emit('before');
    const events = await net.getChaincodeEvents('probe');
    const first = take(events, 1);
    // The stream is open when the server has answered something: a second listener with a replay is the proof.
    await emit('live');
    expect((await first).map(shown)).toEqual(['probe/live=live!']);
  });

  it('come again from any block, in order, then live, with block and transaction', async () => {
    const start = BigInt(served.network.ledger.height('solo'));
    for (const name of ['one', 'two']) await emit(name);
    const events = take(await net.getChaincodeEvents('probe', { startBlock: start }), 3);
    await emit('three');
    const list = await events;
    expect(list.map(shown)).toEqual(['probe/one=one!', 'probe/two=two!', 'probe/three=three!']);
    expect(list.map(({ blockNumber }) => blockNumber)).toEqual([start, start + 1n, start + 2n]);
    expect(new Set(list.map(({ transactionId }) => transactionId.length))).toEqual(new Set([64]));
  });

  it('are those of the contract that was asked for, and of valid transactions only', async () => {
    const start = BigInt(served.network.ledger.height('solo'));
    const contract = net.getContract('probe');
    await net.getContract('helper').submitTransaction('run', steps(['event', 'other', 'x']));
    const [winner, loser] = await Promise.all([1, 2].map(() => contract.newProposal('run', { arguments: [steps(['add', 'race', 1], ['event', 'race', 'x'])] }).endorse()));
    expect((await (await winner?.submit())?.getStatus())?.code).toBe(0);
    expect((await (await loser?.submit())?.getStatus())?.code).toBe(11);
    await emit('end');
    expect((await take(await net.getChaincodeEvents('probe', { startBlock: start }), 2)).map(shown)).toEqual(['probe/race=x', 'probe/end=end!']);
    expect((await take(await net.getChaincodeEvents('helper', { startBlock: start }), 1)).map(shown)).toEqual(['helper/other=x']);
  });

  type Keeper = Checkpoint & { checkpointChaincodeEvent(event: ChaincodeEvent): Promise<void> };

  /** After each event the listener dies, in the middle of a block too, and another goes on from the checkpoint. */
  async function listenAndDie(startBlock: bigint, count: number, reopen: () => Promise<Keeper>): Promise<string[]> {
    const heard: string[] = [];
    while (heard.length < count) {
      const checkpoint = await reopen();
      const [event] = await take(await net.getChaincodeEvents('probe', { startBlock, checkpoint }), 1);
      if (event === undefined) break;
      heard.push(event.transactionId);
      await checkpoint.checkpointChaincodeEvent(event);
    }
    return heard;
  }

  it.each<readonly [string, () => () => Promise<Keeper>]>([
    ['in memory', () => { const kept = checkpointers.inMemory(); return () => Promise.resolve(kept); }],
    ['in a file that a new process reads', () => () => checkpointers.file(join(folder, 'checkpoint.json'))],
  ])('go on after a crash in the middle of a block, without loss and without repetition: checkpoint %s', async (_name, keep) => {
    const { start, ids } = await emitTogether();
    const straight = await take(await net.getChaincodeEvents('probe', { startBlock: start }), ids.length);
    expect(new Set(straight.map(({ transactionId }) => transactionId))).toEqual(new Set(ids));
    expect(new Set(straight.map(({ blockNumber }) => blockNumber)).size).toBeLessThan(straight.length);
    expect(await listenAndDie(start, ids.length, keep())).toEqual(straight.map(({ transactionId }) => transactionId));
  });

  it('go on after a block or a transaction that emitted nothing', async () => {
    const contract = net.getContract('probe');
    const quiet = await (await contract.submitAsync('run', { arguments: [steps(['put', 'quiet', 'x'])] })).getStatus();
    await emit('next');
    const memory = checkpointers.inMemory();
    await memory.checkpointTransaction(quiet.blockNumber, quiet.transactionId);
    expect((await take(await net.getChaincodeEvents('probe', { checkpoint: memory }), 1)).map(shown)).toEqual(['probe/next=next!']);
    await memory.checkpointBlock(quiet.blockNumber);
    expect((await take(await net.getChaincodeEvents('probe', { checkpoint: memory }), 1)).map(shown)).toEqual(['probe/next=next!']);
  });

  it('are asked for with a signature made elsewhere, the request rebuilt from its bytes', async () => {
    const gateway = served.enter(a, { signer: undefined as never });
    const startBlock = BigInt(served.network.ledger.height('solo'));
    await emit('offline');
    const unsigned = gateway.getNetwork('solo').newChaincodeEventsRequest('probe', { startBlock });
    const request = gateway.newSignedChaincodeEventsRequest(unsigned.getBytes(), await signerOf(a)(unsigned.getDigest()));
    expect((await take(await request.getEvents(), 1)).map(shown)).toEqual(['probe/offline=offline!']);
    const carried = served.enter(a).newChaincodeEventsRequest(unsigned.getBytes());
    expect((await take(await carried.getEvents(), 1)).map(shown)).toEqual(['probe/offline=offline!']);
    const forged = gateway.newSignedChaincodeEventsRequest(unsigned.getBytes(), await signerOf(served.network.orgs.a.admin)(unsigned.getDigest()));
    await expect(take(await forged.getEvents(), 1)).rejects.toMatchObject({ name: 'GatewayError', code: 7 });
  });

  it.each<readonly [string, () => Promise<Network>, number, string]>([
    ['an outsider', async () => served.channel(served.network.orgs.c.client), 7, 'failed evaluating policy on signed data during check policy [/Channel/Application/EventReaders]'],
    ['an unknown channel', async () => served.channel(a, 'nowhere'), 7, 'Failed to get policy manager for channel [nowhere]'],
    ['a deadline', async () => served.enter(a, { chaincodeEventsOptions: () => ({ deadline: Date.now() + 200 }) }).getNetwork('solo'), 4, 'DEADLINE_EXCEEDED'],
  ])('end for %s', async (_name, open, code, message) => {
    const events = await (await open()).getChaincodeEvents('probe');
    await expect(take(events, 1)).rejects.toMatchObject({ name: 'GatewayError', code, message: expect.stringContaining(message) });
  });

  it('end when the client closes them, and the server forgets them', async () => {
    const events = await net.getChaincodeEvents('probe');
    const waiting = (async () => {
      for await (const event of events) return shown(event);
      return 'ended';
    })();
    events.close();
    await expect(waiting).rejects.toMatchObject({ name: 'GatewayError', code: 1 });
    await emit('unheard');
  });
});
