import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { EndpointTable } from '#api/endpoint.ts';
import type { Handlers } from '#api/handlers.ts';
import { createApiClient } from '#api/client.ts';
import { commonEndpoints } from '#api/endpoints.ts';
import { toBase64url } from '#base/bytes.ts';
import type { KeyValueStore } from '#base/ports.ts';
import { contractClient } from '#contracts/client.ts';
import { noteSigners, noteSignatures, parseCheckpoint, signNote, writeCheckpoint, type Checkpoint } from '#crypto/checkpoint.ts';
import { instant, type ChannelName, type OrgId } from '#model/ids.ts';
import { CON, DRC, hdcOf, UIC } from '#model/orgs.ts';
import { rememberingLog } from '#sim/seams.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { openTreeStore } from '#store/tree-store.ts';
import { createConsortium } from '../consortium.ts';
import { createHttpInterface } from '../http-interface.ts';
import { createMetrics } from '../metrics.ts';
import { EAST, INSURER, LAB, ORGS, PEOPLE, startNetwork, urlOf, WEST, type TestNetwork } from '../network.test-kit.ts';
import { createExchange, createMemory, type Exchange } from './exchange.ts';
import { createWitness, type Witness } from './witness.ts';

let network: TestNetwork;
beforeAll(async () => {
  network = await startNetwork();
});
afterAll(() => network.close());
const closing: { close(): Promise<void> }[] = [];
afterEach(async () => {
  await Promise.all(closing.splice(0).map((one) => one.close()));
  for (const org of ORGS) network.wire.detach(urlOf(org));
});

interface TestMember {
  readonly org: OrgId;
  readonly exchange: Exchange;
  readonly witnesses: ReadonlyMap<ChannelName, Witness>;
  readonly store: KeyValueStore;
  readonly events: () => readonly string[];
}

async function member(org: OrgId, channels: readonly ChannelName[], store = openSqliteKeyValueStore(':memory:')): Promise<TestMember> {
  const { log, lines } = rememberingLog();
  const deps = { ...network.deps(org, log), store };
  const consortium = createConsortium({ org, signer: deps.identity.system, ledger: deps.ledger, fetch: deps.fetch, clock: deps.clock, scheduler: deps.scheduler, log });
  const memory = createMemory({ deps, consortium });
  const witnesses = channels.map((channel) => createWitness({ ...deps, heads: memory.heads, channel, store: openTreeStore(':memory:') }));
  closing.push(consortium, ...witnesses);
  await consortium.start();
  await consortium.learnCrl(PEOPLE, await network.identity(PEOPLE).ca.issueCrl([], network.clock.now()));
  for (const witness of witnesses) {
    await witness.start();
    await witness.caughtUp(network.embedded.height(witness.channel) - 1);
  }
  const exchange = createExchange({ deps, consortium, witnesses, memory });
  network.wire.attach(urlOf(org), createHttpInterface({ deps, table: {} as EndpointTable, handlers: {} as Handlers<EndpointTable>, consortium, witnesses, exchange, metrics: createMetrics(), title: 'test' }));
  return { org, exchange, witnesses: new Map(witnesses.map((witness) => [witness.channel, witness])), store, events: () => lines.map(({ event }) => event) };
}

const everybody = (): Promise<readonly TestMember[]> => Promise.all([member(PEOPLE, [UIC, CON]), member(EAST, [hdcOf(EAST), CON]), member(WEST, [hdcOf(WEST), CON]), member(LAB, [DRC, CON]), member(INSURER, [DRC, CON])]);
const memberOf = (org: OrgId) => network.members.find((one) => one.org === org) as (typeof network.members)[number];
const signersOf = (note: string) => noteSigners(note, network.members.map(({ org, rootCertificate }) => ({ name: org, rootCertificate })), network.clock.now());
const newestOf = async ({ exchange }: TestMember, channel: ChannelName): Promise<string> => (await exchange.notes.newest(channel)) as string;

/** One more write on a channel, by whoever may. */
async function grow(channel: ChannelName, org: OrgId, ...members: readonly TestMember[]): Promise<void> {
  network.clock.advance(1_000);
  const system = network.identity(org).system;
  await contractClient<'con'>(network.ledger, { channel: channel as typeof CON, signer: system }).submit('setTimeFloor', { at: instant(network.clock.now()) });
  for (const { witnesses } of members) await witnesses.get(channel)?.caughtUp(network.embedded.height(channel) - 1);
}

/** Another history of the channel, signed by these peers. */
async function falseNote(note: string, change: Partial<Checkpoint>, orgs: readonly OrgId[]): Promise<string> {
  let signed = writeCheckpoint({ ...parseCheckpoint(note), ...change });
  for (const org of orgs) signed = await signNote(signed, { name: org, certificate: network.identity(org).peer.certificate, sign: (message) => network.identity(org).peer.sign(message) });
  return signed;
}

describe('members', () => {
  it('sign each other\'s checkpoints: those who have the tree as such, the others as witnesses of its growth', async () => {
    const members = await everybody();
    for (const channel of [UIC, DRC, hdcOf(EAST), hdcOf(WEST)] as ChannelName[]) await grow(channel, channel === UIC ? PEOPLE : channel === DRC ? LAB : channel === hdcOf(EAST) ? EAST : WEST, ...members);
    for (const { exchange } of members) await exchange.publish();
    const people = members[0] as TestMember;
    const expected: readonly (readonly [ChannelName, TestMember, readonly OrgId[]])[] = [[UIC, people, [PEOPLE]], [hdcOf(EAST), members[1] as TestMember, [EAST]], [DRC, members[4] as TestMember, [LAB, INSURER]], [CON, people, ORGS]];
    for (const [channel, publisher, trees] of expected) {
      const signed = await signersOf(await newestOf(publisher, channel));
      expect([...signed.trees].sort(), channel).toEqual([...trees].sort());
      expect([...signed.growth].sort(), channel).toEqual(ORGS.filter((org) => !trees.includes(org)).sort());
    }
    // Once met, everybody passes on what everybody signed.
    for (const other of members) if (other.org !== PEOPLE) await people.exchange.meet(memberOf(other.org));
    expect((await people.exchange.notes.toPass()).map((note) => parseCheckpoint(note).origin).sort()).toEqual(['healthkeep/con', 'healthkeep/drc', 'healthkeep/hdc-east', 'healthkeep/hdc-west', 'healthkeep/uic']);
  });

  it('follow growth by paths, and remember over a restart what they signed', async () => {
    const [people, east] = [await member(PEOPLE, [UIC, CON]), await member(EAST, [hdcOf(EAST), CON])];
    const hdc = hdcOf(EAST);
    await grow(hdc, EAST, east);
    await east.exchange.publish();
    for (let turn = 0; turn < 3; turn++) {
      await grow(hdc, EAST, east);
      await east.exchange.publish();
    }
    // Five members want four signatures; two answered: nothing is passed on, but the witness followed.
    expect(await east.exchange.notes.newest(hdc)).toBeUndefined();
    const witness = east.witnesses.get(hdc) as Witness;
    const client = createApiClient({ table: commonEndpoints, baseUrl: urlOf(PEOPLE), fetch: network.wire.fetch, sign: (await network.holder(network.identity(EAST).ca, { role: 'system' })).sign });
    const restarted = await member(PEOPLE, [UIC, CON], people.store);
    const before = witness.size();
    await grow(hdc, EAST, east);
    const note = await witness.checkpoint();
    const { size } = parseCheckpoint(note);
    await expect(client.cosign({ body: { note } })).rejects.toMatchObject({ code: 'WITNESS_SIZE', details: { size: before } });
    const shown = witness.beginning(before, size);
    const beginning = { root: toBase64url(shown.root), path: shown.path.map((hash) => toBase64url(hash)) } as never;
    const { note: signed } = await client.cosign({ body: { note, from: before, beginning } });
    expect(await signersOf(signed)).toEqual({ trees: [EAST], growth: [PEOPLE] });
    expect(noteSignatures(signed).find(({ name }) => name === PEOPLE)?.cosignedAt).toBe(network.clock.now() / 1_000);
    // Back: never again, with or without a path.
    const old = (await witness.checkpointAt(parseCheckpoint(note).height - 1)) as string;
    await expect(client.cosign({ body: { note: old } })).rejects.toMatchObject({ code: 'WITNESS_SIZE' });
    // A tree that did not grow out of it, with a path of the own tree or one made up.
    const other = await falseNote(note, { size: size + 1, height: parseCheckpoint(note).height + 1, root: new Uint8Array(32).fill(9) }, [EAST]);
    await expect(client.cosign({ body: { note: other, from: size, beginning } })).rejects.toMatchObject({ code: 'CHECKPOINT_UNPROVEN' });
    expect(restarted.events()).toContain('ledger.growth-unproven');
    const rewritten = await falseNote(note, { root: new Uint8Array(32).fill(8) }, [EAST]);
    await expect(client.cosign({ body: { note: rewritten } })).rejects.toMatchObject({ code: 'CHECKPOINT_FORKED' });
    const [evidence] = (await client.forks()).forks;
    expect(evidence?.notes.map((one) => parseCheckpoint(one).size)).toEqual([size, size]);
    // The witness signed the first only: it is not convicted by what it was shown.
    expect(await Promise.all((evidence?.notes ?? []).map(signersOf))).toEqual(expect.arrayContaining([{ trees: [EAST], growth: [PEOPLE] }, { trees: [EAST], growth: [] }]));
    expect(evidence?.members.map(({ org }) => org).sort()).toEqual([...ORGS].sort());
  });

  it('do not sign for whoever has no tree of the channel, or at all', async () => {
    const [people, lab] = [await member(PEOPLE, [UIC, CON]), await member(LAB, [DRC, CON])];
    await grow(DRC, LAB, lab);
    const note = await (lab.witnesses.get(DRC) as Witness).checkpoint();
    const client = createApiClient({ table: commonEndpoints, baseUrl: urlOf(PEOPLE), fetch: network.wire.fetch, sign: (await network.holder(network.identity(EAST).ca, { role: 'system' })).sign });
    for (const wrong of [await falseNote(note, {}, [EAST]), await falseNote(note, {}, []), note.replace('healthkeep/drc', 'elsewhere/drc'), await falseNote(note, { origin: 'healthkeep/hdc-nobody' }, [LAB])]) {
      await expect(client.cosign({ body: { note: wrong } })).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' });
      expect(await people.exchange.notes.take(wrong)).toBe('ignored');
    }
    expect((await signersOf((await client.cosign({ body: { note } })).note)).growth).toEqual([PEOPLE]);
  });

  it('show how a tree began, their own or a channel\'s they cannot read', async () => {
    const [people, lab] = [await member(PEOPLE, [UIC, CON]), await member(LAB, [DRC, CON])];
    await grow(DRC, LAB, people, lab);
    await grow(DRC, LAB, people, lab);
    const size = (lab.witnesses.get(DRC) as Witness).size();
    const client = createApiClient({ table: commonEndpoints, baseUrl: urlOf(PEOPLE), fetch: network.wire.fetch });
    const shown = (lab.witnesses.get(DRC) as Witness).beginning(size - 1, size);
    expect(await client.growth({ query: { channel: DRC, from: size - 1, to: size } })).toEqual({ root: toBase64url(shown.root), path: shown.path.map((hash) => toBase64url(hash)) });
    await expect(client.growth({ query: { channel: DRC, from: size, to: size + 99 } })).rejects.toMatchObject({ code: 'WITNESS_BEHIND' });
    await expect(client.growth({ query: { channel: 'drx' as ChannelName, from: 1, to: 2 } })).rejects.toMatchObject({ code: 'CHANNEL_UNKNOWN' });
  });

  it('keep both notes when they meet another history, and it convicts who signed both', async () => {
    const members = await everybody();
    const [people, , , lab, insurer] = members as [TestMember, TestMember, TestMember, TestMember, TestMember];
    await grow(DRC, LAB, ...members);
    await lab.exchange.publish();
    const first = await newestOf(lab, DRC);
    await people.exchange.meet(memberOf(LAB));
    await grow(DRC, LAB, ...members);
    await insurer.exchange.publish();
    // The lab tells a tale of the same size as its first note, and one that is longer than everything.
    const same = await falseNote(first, { root: new Uint8Array(32).fill(7) }, [LAB]);
    expect(await people.exchange.notes.take(same)).toBe('fork');
    const longer = await falseNote(first, { size: 999, height: 999, root: new Uint8Array(32).fill(6) }, [LAB]);
    expect(await people.exchange.notes.take(longer)).toBe('unproven');
    // A block exchanged without a trace in the leaves: whoever has the tree sees it.
    expect(await insurer.exchange.notes.take(await falseNote(first, { blockHash: new Uint8Array(32).fill(5) }, [LAB]))).toBe('fork');
    const forks = await people.exchange.forks.list();
    expect(forks).toHaveLength(1);
    for (const note of forks[0]?.notes ?? []) expect((await signersOf(note)).trees).toContain(LAB);
    expect(await people.exchange.notes.newest(DRC)).toBe(first);
    expect(people.events()).toContain('ledger.forked');
  });
});
