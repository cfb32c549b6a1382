/** Blocks through Fabric's own client: whole, filtered, and with the private data that the reader's organisation may see. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { common, ledger, orderer, peer } from '@hyperledger/fabric-protos';
import { checkpointers, type Gateway, type Network } from '@hyperledger/fabric-gateway';
import type { TestIdentity } from '../consortium.test-kit.ts';
import { deliverStatus } from '../protos/gateway.ts';
import { serveTestNetwork, signerOf, steps, take, type Served } from './fabric-client.test-kit.ts';

let served: Served;
let reader: TestIdentity;
let net: Network;

beforeAll(async () => {
  served = await serveTestNetwork();
  reader = served.network.orgs.a.peer;
  net = served.channel(reader);
});
afterAll(() => served.close());

const height = (channel = 'solo'): bigint => BigInt(served.network.ledger.height(channel));
const put = (key: string, channel = 'solo') => served.probe(served.network.orgs.a.client, channel).submitTransaction('run', steps(['put', key, 'x']));
const numbers = (blocks: readonly common.Block[]): number[] => blocks.map((block) => block.getHeader()?.getNumber() ?? -1);

describe('whole blocks', () => {
  it('come from block 0 on, then live', async () => {
    const stand = Number(height());
    const blocks = take(await net.getBlockEvents({ startBlock: 0n }), stand + 1);
    await put('live');
    expect(numbers(await blocks)).toEqual(Array.from({ length: stand + 1 }, (_, number) => number));
  });

  it('come live without a start, and from a checkpoint', async () => {
    const events = await net.getBlockEvents();
    let first = -1;
    const next = take(events, 1).then((blocks) => (first = numbers(blocks)[0] ?? -1));
    // When the stream is open nobody tells the client: blocks are made until one arrives.
    while (first < 0) await put('tick');
    await next;
    const checkpoint = checkpointers.inMemory();
    await checkpoint.checkpointBlock(BigInt(first));
    await put('after');
    expect(numbers(await take(await net.getBlockEvents({ checkpoint }), 1))).toEqual([first + 1]);
  });

  it('filtered blocks carry ids, verdicts and event names, and no payload', async () => {
    const start = height();
    await served.probe(served.network.orgs.a.client).submitTransaction('run', steps(['event', 'shown', 'payload-canary-9d']));
    const contract = served.probe(served.network.orgs.a.client);
    const [winner, loser] = await Promise.all([1, 2].map(() => contract.newProposal('run', { arguments: [steps(['add', 'race', 1], ['event', 'race', 'x'])] }).endorse()));
    await (await winner?.submit())?.getStatus();
    await (await loser?.submit())?.getStatus();
    const blocks = await take(await served.channel(served.network.orgs.a.client).getFilteredBlockEvents({ startBlock: start }), 3);
    expect(blocks.map((block) => [block.getChannelId(), BigInt(block.getNumber()) - start, ...block.getFilteredTransactionsList().map((one) => [one.getTxid().length, one.getType(), one.getTxValidationCode(), ...(one.getTransactionActions()?.getChaincodeActionsList() ?? []).map((action) => action.getChaincodeEvent()?.getEventName())])])).toEqual([
      ['solo', 0n, [64, common.HeaderType.ENDORSER_TRANSACTION, peer.TxValidationCode.VALID, 'shown']],
      ['solo', 1n, [64, common.HeaderType.ENDORSER_TRANSACTION, peer.TxValidationCode.VALID, 'race']],
      ['solo', 2n, [64, common.HeaderType.ENDORSER_TRANSACTION, peer.TxValidationCode.MVCC_READ_CONFLICT, 'race']],
    ]);
    expect(Buffer.concat(blocks.map((block) => Buffer.from(block.serializeBinary()))).includes('payload-canary-9d')).toBe(false);
  });
});

describe('blocks with private data', () => {
  const secret = (collection: string, key: string, value: string) => served.probe(served.network.orgs.a.client, 'either').submit('run', { arguments: [steps(['putPrivate', collection, key, 'word'])], transientData: { word: value }, endorsingOrganizations: ['OrgA'] });
  const readable = async (identity: TestIdentity, startBlock: bigint, count: number): Promise<string[]> => {
    const blocks = await take(await served.channel(identity, 'either').getBlockAndPrivateDataEvents({ startBlock }), count);
    return blocks.flatMap((block) => [...block.getPrivateDataMapMap().entries()].flatMap(([tx, sets]: [number, ledger.rwset.TxPvtReadWriteSet]) => sets.getNsPvtRwsetList().flatMap((set) => set.getCollectionPvtRwsetList().flatMap((collection) => ledger.rwset.kvrwset.KVRWSet.deserializeBinary(collection.getRwset_asU8()).getWritesList().map((write) => `${block.getBlock()?.getHeader()?.getNumber()}.${tx} ${set.getNamespace()}/${collection.getCollectionName()}/${write.getKey()}=${Buffer.from(write.getValue_asU8()).toString()}`)))));
  };

  it('show each organisation the collections it is a member of', async () => {
    const start = height('either');
    await secret('mine', 'k', 'for A alone');
    await secret('both', 'k', 'for A and B');
    await put('public', 'either');
    expect(await readable(served.network.orgs.a.peer, start, 3)).toEqual([`${start}.0 probe/mine/k=for A alone`, `${start + 1n}.0 probe/both/k=for A and B`]);
    expect(await readable(served.network.orgs.b.peer, start, 3)).toEqual([`${start + 1n}.0 probe/both/k=for A and B`]);
    expect(await readable(served.network.orgs.b.admin, start, 3)).toEqual([`${start + 1n}.0 probe/both/k=for A and B`]);
  });

  it('no longer show what was overwritten, deleted or purged', async () => {
    const start = height('either');
    await secret('both', 'old', '1');
    await secret('both', 'old', '2');
    await secret('both', 'gone', '3');
    await served.probe(served.network.orgs.a.client, 'either').submit('run', { arguments: [steps(['purge', 'both', 'gone'])], endorsingOrganizations: ['OrgA'] });
    expect(await readable(served.network.orgs.b.peer, start, 4)).toEqual([`${start + 1n}.0 probe/both/old=2`]);
  });

  it('come live', async () => {
    const live = readable(served.network.orgs.a.peer, height('either'), 1);
    await secret('mine', 'now', 'live');
    expect(await live).toEqual([expect.stringContaining('probe/mine/now=live')]);
  });
});

type Open = (network: Network) => Promise<AsyncIterable<unknown> & { close(): void }>;
const kinds: readonly (readonly [string, Open])[] = [
  ['whole', (network) => network.getBlockEvents({ startBlock: 0n })],
  ['filtered', (network) => network.getFilteredBlockEvents({ startBlock: 0n })],
  ['with private data', (network) => network.getBlockAndPrivateDataEvents({ startBlock: 0n })],
];

describe.each(kinds)('a stream of blocks, %s,', (name, open) => {
  it('is opened with a signature made elsewhere, the request rebuilt from its bytes', async () => {
    const gateway = served.enter(reader, { signer: undefined as never });
    const build = (from: Gateway) => ({
      whole: () => ({ unsigned: () => from.getNetwork('solo').newBlockEventsRequest({ startBlock: 0n }), signed: from.newSignedBlockEventsRequest.bind(from), carried: from.newBlockEventsRequest.bind(from) }),
      filtered: () => ({ unsigned: () => from.getNetwork('solo').newFilteredBlockEventsRequest({ startBlock: 0n }), signed: from.newSignedFilteredBlockEventsRequest.bind(from), carried: from.newFilteredBlockEventsRequest.bind(from) }),
      'with private data': () => ({ unsigned: () => from.getNetwork('solo').newBlockAndPrivateDataEventsRequest({ startBlock: 0n }), signed: from.newSignedBlockAndPrivateDataEventsRequest.bind(from), carried: from.newBlockAndPrivateDataEventsRequest.bind(from) }),
    })[name as 'whole']();
    const { unsigned, signed } = build(gateway);
    const request = unsigned();
    expect(await take<unknown>(await signed(request.getBytes(), await signerOf(reader)(request.getDigest())).getEvents(), 2)).toHaveLength(2);
    expect(await take<unknown>(await build(served.enter(reader)).carried(unsigned().getBytes()).getEvents(), 2)).toHaveLength(2);
    const other = unsigned();
    await expect(take<unknown>(await signed(other.getBytes(), await signerOf(served.network.orgs.a.admin)(other.getDigest())).getEvents(), 1)).rejects.toThrow(`Unexpected status response: ${deliverStatus.forbidden}`);
  });

  it.each<readonly [string, () => Promise<Network> | Network, number]>([
    ['an outsider', () => served.channel(served.network.orgs.c.peer), deliverStatus.forbidden],
    ['an unknown channel', () => served.channel(reader, 'nowhere'), deliverStatus.notFound],
    ['a certificate that is no peer\'s of this channel', () => served.channel(served.network.orgs.b.peer), deliverStatus.forbidden],
  ])('answers %s with a status', async (_name, network, status) => {
    await expect(take(await open(await network()), 1)).rejects.toThrow(`Unexpected status response: ${status}`);
  });

  it('is not for a request made at another time', async () => {
    served.clock.stepMs = 20 * 60_000;
    await expect(take(await open(net), 1)).rejects.toThrow(`Unexpected status response: ${deliverStatus.badRequest}`).finally(() => (served.clock.stepMs = 0));
  });

  it('ends when the client closes it, and at its deadline', async () => {
    const stream = await open(net);
    const all = (async () => {
      for await (const block of stream) void block;
    })();
    setTimeout(() => stream.close(), 50);
    await expect(all).rejects.toMatchObject({ name: 'GatewayError', code: 1 });
    const options = () => ({ deadline: Date.now() + 200 });
    const hurried = await open(served.enter(reader, { blockEventsOptions: options, filteredBlockEventsOptions: options, blockAndPrivateDataEventsOptions: options }).getNetwork('solo'));
    await expect(take(hurried, 1000)).rejects.toMatchObject({ name: 'GatewayError', code: 4 });
  });
});

it('whole blocks are not for clients', async () => {
  await expect(take(await served.channel(served.network.orgs.a.client).getBlockEvents({ startBlock: 0n }), 1)).rejects.toThrow(`Unexpected status response: ${deliverStatus.forbidden}`);
});

describe('the Deliver service itself', () => {
  const seek = async (build: (info: orderer.SeekInfo) => void): Promise<common.Envelope> => {
    const envelope = common.Envelope.deserializeBinary(net.newBlockEventsRequest({ startBlock: 0n }).getBytes());
    const payload = common.Payload.deserializeBinary(envelope.getPayload_asU8());
    const info = orderer.SeekInfo.deserializeBinary(payload.getData_asU8());
    build(info);
    payload.setData(info.serializeBinary());
    envelope.setPayload(payload.serializeBinary());
    envelope.setSignature(await signerOf(reader)(new Uint8Array(await crypto.subtle.digest('SHA-256', envelope.getPayload_asU8() as Uint8Array<ArrayBuffer>))));
    return envelope;
  };
  const at = (number: number): orderer.SeekPosition => {
    const position = new orderer.SeekPosition();
    const specified = new orderer.SeekSpecified();
    specified.setNumber(number);
    position.setSpecified(specified);
    return position;
  };
  const newest = (): orderer.SeekPosition => {
    const position = new orderer.SeekPosition();
    position.setNewest(new orderer.SeekNewest());
    return position;
  };
  const oldest = (): orderer.SeekPosition => {
    const position = new orderer.SeekPosition();
    position.setOldest(new orderer.SeekOldest());
    return position;
  };
  /** Sends envelopes one after the other on one stream and reads until it ends. */
  const ask = (...envelopes: readonly common.Envelope[]): Promise<(number | string)[]> => new Promise((resolve, reject) => {
    const call = served.client.makeBidiStreamRequest('/protos.Deliver/Deliver', (one: common.Envelope) => Buffer.from(one.serializeBinary()), (bytes: Buffer) => peer.DeliverResponse.deserializeBinary(bytes));
    const heard: (number | string)[] = [];
    call.on('data', (response: peer.DeliverResponse) => heard.push(response.hasBlock() ? (response.getBlock()?.getHeader()?.getNumber() ?? -1) : `status ${response.getStatus()}`));
    call.on('end', () => resolve(heard));
    call.on('error', reject);
    for (const envelope of envelopes) call.write(envelope);
    call.end();
  });

  it.each<readonly [string, (info: orderer.SeekInfo) => void, readonly (number | string)[]]>([
    ['a range', (info) => { info.setStart(at(1)); info.setStop(at(2)); }, [1, 2, 'status 200']],
    ['one block', (info) => { info.setStart(at(1)); info.setStop(at(1)); }, [1, 'status 200']],
    ['the oldest', (info) => { info.setStart(oldest()); info.setStop(oldest()); }, [0, 'status 200']],
    ['from the newest to the newest', (info) => { info.setStart(newest()); info.setStop(newest()); }, ['newest', 'status 200']],
    ['a block that is not there, without waiting', (info) => { info.setStart(at(1_000_000)); info.setStop(at(1_000_000)); info.setBehavior(orderer.SeekInfo.SeekBehavior.FAIL_IF_NOT_READY); }, ['status 404']],
    ['a range that ends before it begins', (info) => { info.setStart(at(2)); info.setStop(at(1)); }, ['status 400']],
    ['no end', (info) => { info.setStart(at(1)); info.clearStop(); }, ['status 400']],
    ['no start', (info) => { info.clearStart(); }, ['status 400']],
  ])('answers a seek for %s', async (_name, build, expected) => {
    expect(await ask(await seek(build))).toEqual(expected.map((one) => (one === 'newest' ? Number(height()) - 1 : one)));
  });

  it('takes one seek after the other on a stream, until one goes wrong', async () => {
    const one = await seek((info) => { info.setStart(at(1)); info.setStop(at(1)); });
    const wrong = await seek((info) => { info.clearStop(); });
    expect(await ask(one, one, wrong, one)).toEqual([1, 'status 200', 1, 'status 200', 'status 400']);
  });
});
