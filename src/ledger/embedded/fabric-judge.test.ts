/** Every block of every channel is a Fabric block: judged by code that knows only Fabric's protobuf files, and by ours, which must agree. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { common } from '@hyperledger/fabric-protos';
import { systemClock } from '#sim/seams.ts';
import { toHex } from '#base/bytes.ts';
import { channels } from '../conformance/harness.ts';
import { openTestNetwork, type TestNetwork } from '../conformance/embedded.test-kit.ts';
import { createRunner, type Runner } from '../conformance/harness.ts';
import { examineBlock } from './block-report.ts';
import { judgeBlock, type Judgement } from './fabric-judge.test-kit.ts';

let network: TestNetwork;
const blocks = new Map<string, Uint8Array[]>();

async function allBlocks(l: Runner, channel: (typeof channels)[number]): Promise<Uint8Array[]> {
  const stop = new AbortController();
  const { peer } = network.orgs[channel === 'theirs' ? 'b' : 'a'];
  const out: Uint8Array[] = [];
  for await (const { bytes } of l.client.blocks({ channel, startBlock: 0, signer: peer.signer, signal: stop.signal })) {
    out.push(Uint8Array.from(bytes));
    if (out.length === network.ledger.height(channel)) break;
  }
  stop.abort();
  return out;
}

beforeAll(async () => {
  network = await openTestNetwork({ clock: systemClock });
  const l = createRunner(network.harness(network.ledger.transport()));
  await l.submit('a', 'solo', [['put', 'k', 'x'], ['event', 'e', 'payload'], ['get', 'k'], ['range', 'a', 'z']]);
  await Promise.allSettled(Array.from({ length: 6 }, () => l.submit('a', 'solo', [['add', 'count', 1]])));
  await l.submit('a', 'solo', [['delete', 'k']]);
  for (const channel of ['pair', 'either'] as const) {
    await l.submit('a', channel, [['put', 'k', 'x'], ['setPolicy', 'k', ['OrgA']]]);
    await l.submit('a', channel, [['putPrivate', 'both', 'secret', 'word']], { word: 'quiet' });
    await l.submit('a', channel, [['purge', 'both', 'secret']]);
  }
  const revoked = await network.orgs.a.issue('revoked', 'client');
  const crl = await network.orgs.a.ca.issueCrl([{ certificate: revoked.certificate, at: systemClock.now() }], systemClock.now());
  await network.ledger.updateCrl({ channel: 'pair', mspId: 'OrgA', crl, signer: network.orgs.a.admin.signer });
  for (const channel of channels) blocks.set(channel, await allBlocks(l, channel));
});
afterAll(() => network.ledger.close());

function judgeAll(channel: string): Judgement[] {
  let before: Uint8Array | undefined;
  return (blocks.get(channel) ?? []).map((bytes) => {
    const judgement = judgeBlock(bytes, before);
    before = judgement.headerHash;
    return judgement;
  });
}

describe.each(channels.map((channel) => [channel] as const))('blocks of channel %s', (channel) => {
  it('are decoded whole and encoded to the same bytes; hashes and signatures hold', () => {
    const judged = judgeAll(channel);
    expect(judged.flatMap((one) => one.problems.map((problem) => `block ${one.number}: ${problem}`))).toEqual([]);
    expect(judged.map((one) => one.number)).toEqual(judged.map((_, number) => number));
    expect(judged.length).toBeGreaterThan(2);
    expect(Math.min(...judged.map((one) => one.messages))).toBeGreaterThan(15);
  });

  it('read the same in our report', () => {
    let before: Uint8Array | undefined;
    for (const [number, judged] of judgeAll(channel).entries()) {
      const report = examineBlock(blocks.get(channel)?.[number] as Uint8Array, before);
      expect({ number: report.number, headerHash: toHex(report.headerHash), dataHash: toHex(report.dataHash) }).toEqual({ number: judged.number, headerHash: judged.headerHash.toString('hex'), dataHash: judged.dataHash.toString('hex') });
      expect([report.dataHashRight, report.previousHashRight, report.ordererSignatures.map((one) => one.right)]).toEqual([true, number === 0 ? undefined : true, number === 0 ? [] : [true]]);
      expect(report.transactions.map((one) => ({ txId: one.txId, creator: one.creator.mspId, endorsers: one.endorsements.filter((each) => each.right).map((each) => each.mspId) }))).toEqual(judged.transactions.map(({ txId, creator, endorsers }) => ({ txId, creator, endorsers })));
      before = report.headerHash;
    }
  });
});

describe('both judges see', () => {
  const last = (): Uint8Array => (blocks.get('either') as Uint8Array[]).at(-1) as Uint8Array;
  const before = (): Buffer => judgeAll('either').at(-2)?.headerHash as Buffer;
  const changed = (change: (block: common.Block) => void): Uint8Array => {
    const block = common.Block.deserializeBinary(last());
    change(block);
    return block.serializeBinary();
  };
  /** One byte of the last occurrence of a text, changed. */
  const touched = (bytes: Uint8Array, at: number): Uint8Array => Uint8Array.from(bytes, (byte, index) => (index === at ? byte ^ 1 : byte));
  const envelope = (block: common.Block): common.Envelope => common.Envelope.deserializeBinary(block.getData()?.getDataList_asU8()[0] as Uint8Array);

  it.each<readonly [string, () => Uint8Array, readonly string[], (report: ReturnType<typeof examineBlock>) => boolean]>([
    ['another data hash', () => changed((block) => block.getHeader()?.setDataHash(Buffer.alloc(32))), ['data hash', 'signature of the orderer'], (report) => !report.dataHashRight && report.ordererSignatures[0]?.right === false],
    ['another previous hash', () => changed((block) => block.getHeader()?.setPreviousHash(Buffer.alloc(32))), ['previous hash', 'signature of the orderer'], (report) => report.previousHashRight === false],
    ['another number', () => changed((block) => block.getHeader()?.setNumber(99)), ['signature of the orderer'], (report) => report.ordererSignatures[0]?.right === false],
    ['a transaction that its creator did not sign', () => changed((block) => {
      const one = envelope(block);
      one.setSignature(touched(one.getSignature_asU8(), 20));
      block.getData()?.setDataList([one.serializeBinary()]);
    }), ['data hash', 'signature of the creator'], (report) => report.transactions[0]?.creatorSignature?.right === false],
    ['a missing verdict', () => changed((block) => {
      const slots = block.getMetadata()?.getMetadataList_asU8() ?? [];
      block.getMetadata()?.setMetadataList(slots.map((slot, index) => (index === common.BlockMetadataIndex.TRANSACTIONS_FILTER ? new Uint8Array(0) : slot)));
    }), ['one validation code per transaction'], (report) => report.transactions[0]?.code !== 'VALID'],
    ['a field that Fabric does not know', () => Buffer.concat([last(), Buffer.from([0xf8, 0x01, 0x01])]), ['Block encodes to other bytes'], () => true],
  ])('%s', (_name, make, problems, seen) => {
    const bytes = make();
    expect(judgeBlock(bytes, before()).problems).toEqual(problems);
    expect(seen(examineBlock(bytes, before()))).toBe(true);
  });
});
