import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fromBase64url, fromUtf8, toBase64url, utf8 } from '#base/bytes.ts';
import { compositeKey } from '#contracts/keys.ts';
import { parseCheckpoint, signNote, verifyNoteSignature, writeCheckpoint } from '#crypto/checkpoint.ts';
import { sha256 } from '#crypto/digest.ts';
import { encodeLeaf, leafHash, verifyInclusion } from '#crypto/merkle.ts';
import type { LeafProof } from '#api/endpoints.ts';
import { contractClient } from '#contracts/client.ts';
import { instant } from '#model/ids.ts';
import { CON, DRC, UIC } from '#model/orgs.ts';
import { rememberingLog } from '#sim/seams.ts';
import { dataHash, readBlock } from '#ledger/block.ts';
import { Block } from '#ledger/protos/common.ts';
import { openTreeStore } from '#store/tree-store.ts';
import { EAST, INSURER, LAB, PEOPLE, startNetwork, type TestNetwork } from '../network.test-kit.ts';
import { testMemory } from './memory.test-kit.ts';
import { createWitness, type Witness } from './witness.ts';

let network: TestNetwork;
const open: Witness[] = [];
beforeAll(async () => {
  network = await startNetwork();
});
afterAll(async () => {
  await Promise.all(open.map((witness) => witness.close()));
  await network.close();
});

async function witnessOf(org: typeof PEOPLE, channel: typeof CON, store = openTreeStore(':memory:')): Promise<Witness> {
  const witness = createWitness({ ...network.deps(org), heads: testMemory().heads, channel, store });
  open.push(witness);
  await witness.start();
  await witness.caughtUp(network.embedded.height(channel) - 1);
  return witness;
}

/** What a reader of a proof does. */
function checks(proof: LeafProof): boolean {
  const { size, root } = parseCheckpoint(proof.checkpoint);
  const leaf = leafHash(encodeLeaf({ ...proof, value: proof.value === null ? null : fromBase64url(proof.value) }));
  return size === proof.size && verifyInclusion({ leaf, index: proof.leafIndex, size, path: proof.path.map((hash) => fromBase64url(hash)), root });
}

describe('a witness', () => {
  it('proves a state by a path to a checkpoint that its peer signed', async () => {
    const witness = await witnessOf(EAST, CON);
    const proof = await witness.proofOf({ namespace: 'con', key: compositeKey(['member', EAST]) });
    expect(checks(proof)).toBe(true);
    expect(await verifyNoteSignature(proof.checkpoint, { name: EAST, rootCertificate: network.identity(EAST).ca.certificate, at: network.clock.now() })).toBe(true);
    expect(checks({ ...proof, value: proof.value === null ? null : proof.value.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')) })).toBe(false);
    expect(checks({ ...proof, key: proof.key.replace('east', 'west') })).toBe(false);
    await expect(witness.proofOf({ namespace: 'con', key: 'nothing' })).rejects.toMatchObject({ code: 'LEAF_UNKNOWN' });
  });

  it('agrees with every other member, who therefore co-signs', async () => {
    const [east, lab] = [await witnessOf(EAST, CON), await witnessOf(LAB, CON)];
    const note = await lab.cosign(await east.checkpoint());
    for (const org of [EAST, LAB]) expect(await verifyNoteSignature(note, { name: org, rootCertificate: network.identity(org).ca.certificate })).toBe(true);
  });

  it('does not co-sign what it has not seen or what differs', async () => {
    const log = rememberingLog();
    const lab = createWitness({ ...network.deps(LAB, log.log), heads: testMemory().heads, channel: CON, store: openTreeStore(':memory:') });
    open.push(lab);
    await lab.start();
    await lab.caughtUp(network.embedded.height(CON) - 1);
    const own = parseCheckpoint(await lab.checkpoint());
    const peer = network.identity(EAST).peer;
    const note = (change: Partial<typeof own>): Promise<string> => signNote(writeCheckpoint({ ...own, ...change }), { name: EAST, certificate: peer.certificate, sign: (message) => peer.sign(message) });
    await expect(lab.cosign(await note({ height: own.height + 1 }))).rejects.toMatchObject({ code: 'WITNESS_BEHIND' });
    for (const change of [{ root: new Uint8Array(32) }, { size: own.size - 1 }, { blockHash: new Uint8Array(32) }, { origin: 'healthkeep/uic' }]) {
      await expect(lab.cosign(await note(change))).rejects.toMatchObject({ code: 'CHECKPOINT_FORKED' });
    }
    expect(log.lines.filter((line) => line.event === 'witness.forked')).toHaveLength(4);
  });

  it('puts its checkpoint on CON once per size', async () => {
    const witness = await witnessOf(PEOPLE, UIC);
    const system = network.identity(PEOPLE).system;
    await contractClient<'uic'>(network.ledger, { channel: UIC, signer: system }).submit('setTimeFloor', { at: instant(network.clock.now()) });
    await witness.caughtUp(network.embedded.height(UIC) - 1);
    const pinned = await witness.putOnCon();
    expect(pinned?.size).toBe(witness.size());
    expect(await witness.putOnCon()).toBeNull();
    const onCon = await contractClient<'con'>(network.ledger, { channel: CON, signer: system }).evaluate('getCheckpoint', { channel: UIC, org: PEOPLE });
    const present = parseCheckpoint(await witness.checkpoint());
    expect(onCon).toMatchObject({ size: present.size, root: toBase64url(present.root), height: present.height, blockHash: toBase64url(present.blockHash) });
    expect(await verifyNoteSignature(onCon.note, { name: PEOPLE, rootCertificate: network.identity(PEOPLE).ca.certificate })).toBe(true);
    // A witness that starts anew may say the same again.
    expect((await (await witnessOf(PEOPLE, UIC)).putOnCon())?.size).toBe(present.size);
  });

  it('goes on from where it stood after a restart, and shows old sizes too', async () => {
    const store = openTreeStore(':memory:');
    const first = await witnessOf(EAST, CON, store);
    const before = { size: first.size(), checkpoint: await first.checkpoint() };
    await first.close();
    const system = network.identity(EAST).system;
    network.clock.advance(1_000);
    await contractClient<'con'>(network.ledger, { channel: CON, signer: system }).submit('setTimeFloor', { at: instant(network.clock.now()) });
    const second = await witnessOf(EAST, CON, store);
    expect(second.size()).toBeGreaterThan(before.size);
    const old = await second.proofOf({ namespace: 'con', key: compositeKey(['member', EAST]), size: before.size });
    expect(checks({ ...old, checkpoint: before.checkpoint })).toBe(true);
  });

  it('stops at a block that does not hang on the last', async () => {
    const log = rememberingLog();
    const deps = network.deps(EAST, log.log);
    const blocks: Uint8Array[] = [];
    const reading = new AbortController();
    for await (const block of deps.ledger.blocks({ channel: CON, startBlock: 0, signer: deps.identity.peer, signal: reading.signal })) {
      blocks.push(block.bytes);
      if (blocks.length === 3) break;
    }
    reading.abort();
    const [zero, one, two] = blocks as [Uint8Array, Uint8Array, Uint8Array];
    const altered = Uint8Array.from(one);
    altered[altered.findIndex((_, at) => at > 200 && one[at] === utf8('M')[0])] = 0x4e;
    for (const chain of [[zero, two], [zero, altered]]) {
      const false_ = { ...deps.ledger, blocks: async function* () { yield* chain.map((bytes, number) => ({ number, bytes })); } };
      const witness = createWitness({ ...deps, heads: testMemory().heads, ledger: false_, channel: CON, store: openTreeStore(':memory:') });
      await witness.start();
      await expect.poll(() => witness.sound()).toBe(false);
      expect(witness.height()).toBe(1);
      await witness.close();
    }
    expect(log.lines.some((line) => line.level === 'error' && line.fields['code'] === 'BLOCK_CHAIN_BROKEN')).toBe(true);
  });

  it('signs nothing of a chain in which one block was exchanged and everything signed anew', async () => {
    const memory = testMemory();
    const deps = network.deps(EAST, rememberingLog().log);
    const honest = createWitness({ ...deps, heads: memory.heads, channel: CON, store: openTreeStore(':memory:') });
    open.push(honest);
    await honest.start();
    await honest.caughtUp(network.embedded.height(CON) - 1);
    const note = await honest.checkpoint();
    const reading = new AbortController();
    const chain: Uint8Array[] = [];
    for await (const block of deps.ledger.blocks({ channel: CON, startBlock: 0, signer: deps.identity.peer, signal: reading.signal })) {
      chain.push(block.bytes);
      if (chain.length === network.embedded.height(CON)) break;
    }
    reading.abort();
    // The operator has the orderer's key, so only the chain of hashes has to be made whole again.
    let previousHash: Uint8Array | undefined;
    const rewritten = chain.map((bytes, number) => {
      const block = Block.decode(bytes);
      const data = (block.data?.data ?? []).map((envelope) => Uint8Array.from(envelope));
      const last = data[0] as Uint8Array;
      if (number === 1) last[last.length - 1] = (last[last.length - 1] as number) ^ 1;
      const header = { ...(block.header as NonNullable<typeof block.header>), dataHash: dataHash(data, sha256), ...(previousHash === undefined ? {} : { previousHash }) };
      const made = Block.encode({ ...block, header, data: { data } });
      previousHash = readBlock(made).headerHash;
      return made;
    });
    const lying = { ...deps.ledger, blocks: async function* ({ startBlock }: { readonly startBlock: number }) { yield* rewritten.slice(startBlock).map((bytes, at) => ({ number: startBlock + at, bytes })); } };
    const shown = async (heads = memory.heads): Promise<Witness> => {
      const witness = createWitness({ ...deps, ledger: lying, heads, channel: CON, store: openTreeStore(':memory:') });
      open.push(witness);
      await witness.start();
      await witness.caughtUp(chain.length - 1);
      return witness;
    };
    const witness = await shown();
    expect(witness.sound()).toBe(true);
    expect(witness.size()).toBe(honest.size());
    await expect(witness.checkpoint()).rejects.toMatchObject({ code: 'CHECKPOINT_FORKED' });
    await expect(witness.cosign(note)).rejects.toMatchObject({ code: 'CHECKPOINT_FORKED' });
    // Without the memory nothing would tell the two apart: it is what the refusal rests on.
    expect(parseCheckpoint(await (await shown(testMemory().heads)).checkpoint())).toMatchObject({ size: honest.size() });
  });

  it('does not vouch for a ledger whose time members pushed ahead', async () => {
    const witness = await witnessOf(LAB, DRC);
    const claim = async (org: typeof EAST, aheadMs: number): Promise<void> => {
      await contractClient<'drc'>(network.ledger, { channel: DRC, signer: network.identity(org).system }).submit('setTimeFloor', { at: instant(network.clock.now() + aheadMs) });
      await witness.caughtUp(network.embedded.height(DRC) - 1);
    };
    const floor = (): string => JSON.parse(fromUtf8(witness.lastWrite({ namespace: 'drc', key: compositeKey(['time-floor']) })?.value ?? new Uint8Array())).at as string;
    await claim(LAB, 0);
    await claim(INSURER, 1_000);
    const before = floor();
    // One hour ahead by one member: the channel's time does not follow.
    await claim(INSURER, 3_600_000);
    expect(floor()).toBe(before);
    await witness.cosign(await witness.checkpoint());
    // An hour back is no claim at all.
    await expect(claim(LAB, -3_600_000)).rejects.toMatchObject({ code: 'TIME_FLOOR_BACK' });
    // By two together it does, and every honest member refuses to sign that.
    await claim(LAB, 3_600_000);
    expect(floor() > before).toBe(true);
    await expect(witness.cosign(await witness.checkpoint())).rejects.toMatchObject({ code: 'TIME_FLOOR_AHEAD' });
  });

  it('stops at a ledger that was put back and tells another history since', async () => {
    const deps = network.deps(EAST, rememberingLog().log);
    const store = openTreeStore(':memory:');
    const first = await witnessOf(EAST, CON, store);
    const [size, height] = [first.size(), first.height()];
    await first.close();
    const reading = new AbortController();
    const last: Uint8Array[] = [];
    for await (const block of deps.ledger.blocks({ channel: CON, startBlock: height - 1, signer: deps.identity.peer, signal: reading.signal })) {
      last.push(block.bytes);
      break;
    }
    reading.abort();
    const block = Block.decode(last[0] as Uint8Array);
    const other = Block.encode({ ...block, header: { ...(block.header as NonNullable<typeof block.header>), previousHash: new Uint8Array(32) } });
    const putBack = { ...deps.ledger, blocks: async function* ({ startBlock }: { readonly startBlock: number }) { if (startBlock < height) yield { number: height - 1, bytes: other }; } };
    const witness = createWitness({ ...deps, heads: testMemory().heads, ledger: putBack, channel: CON, store });
    await witness.start();
    await expect.poll(() => witness.sound()).toBe(false);
    expect(witness.size()).toBe(size);
    await witness.close();
  });
});
