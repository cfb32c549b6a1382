/** Changes of channel configuration: revocation at a height, new members, and who may make them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fakeClock, seededRandom, type SettableClock } from '#sim/seams.ts';
import { readBlock } from '../block.ts';
import { openTestNetwork, type TestNetwork } from '../conformance/embedded.test-kit.ts';
import { createTestOrg, type TestIdentity, type TestOrg } from '../consortium.test-kit.ts';
import { createRunner, type Runner } from '../conformance/harness.ts';
import { probe } from '../conformance/probe.ts';
import { Envelope } from '../protos/common.ts';
import { EndorseRequest, EndorseResponse, SubmitRequest } from '../protos/gateway.ts';
import { canonicalBytes } from '#base/canonical-json.ts';
import { utf8 } from '#base/bytes.ts';
import { newProposal, serialiseIdentity } from '../transaction.ts';
import { viewOf } from './channel-config.ts';
import { memberChange, type ConfigSets, revocationChange } from './config-change.ts';
import { applyUpdate, signUpdate } from './config-update.ts';
import { genesisConfig } from './genesis.ts';
import { noKnownEndorsements, prepare } from './prepared.ts';
import { judgeBlock } from './validator.ts';
import { codeName } from '../codes.ts';
import { peerPolicy } from './policy.ts';
import type { StateReader } from './state-reader.ts';

const clock: SettableClock = fakeClock(Date.UTC(2026, 0, 5, 12));
const random = seededRandom('config');

describe('a revoked certificate', () => {
  let network: TestNetwork;
  let l: Runner;
  let victim: TestIdentity;
  let crl: string;

  beforeAll(async () => {
    network = await openTestNetwork({ clock });
    l = createRunner(network.harness(network.ledger.transport()));
    victim = await network.orgs.a.issue('victim', 'client');
    crl = await network.orgs.a.ca.issueCrl([{ certificate: victim.certificate, at: clock.now() }], clock.now());
  });
  afterAll(() => network.ledger.close());

  const call = (name: string, input: unknown, who: TestIdentity) => ({ channel: 'either', contract: 'probe', name, input: input as never, signer: who.signer });

  it('works until the list is in a block, and not after', async () => {
    const before = await l.client.submit(call('run', [['put', 'revoked', '1']], victim));
    await network.ledger.updateCrl({ channel: 'either', mspId: 'OrgA', crl, signer: network.orgs.a.admin.signer });
    const height = network.ledger.height('either');
    await expect(l.client.submit(call('run', [['put', 'revoked', '2']], victim))).rejects.toMatchObject({ code: 'LEDGER_ACCESS_DENIED', details: { why: expect.stringContaining('revoked') } });
    await expect(l.client.evaluate(call('run', [['get', 'revoked']], victim))).rejects.toMatchObject({ code: 'LEDGER_ACCESS_DENIED' });
    expect(network.ledger.height('either')).toBe(height);
    expect(before.blockNumber).toBeLessThan(height - 1);
    expect(await l.evaluate('a', 'either', [['get', 'revoked']])).toEqual(['1']);
  });

  it('the change is a configuration block that anybody can check', async () => {
    const stop = new AbortController();
    for await (const block of l.client.blocks({ channel: 'either', startBlock: network.ledger.height('either') - 1, signer: l.signers.peerA, signal: stop.signal })) {
      expect(readBlock(block.bytes).transactions).toMatchObject([{ type: 'config', code: 'VALID', creator: { mspId: 'ORD-test' } }]);
      stop.abort();
    }
    await network.ledger.verifyChain('either');
    await network.ledger.replay('either');
  });

  it('the same list again changes nothing', async () => {
    const height = network.ledger.height('either');
    await network.ledger.updateCrl({ channel: 'either', mspId: 'OrgA', crl, signer: network.orgs.a.admin.signer });
    expect(network.ledger.height('either')).toBe(height);
  });

  it('other channels go on until they have it too', async () => {
    await expect(l.client.submit({ ...call('run', [['put', 'still', 'x']], victim), channel: 'solo' })).resolves.toBeDefined();
  });

  it.each<readonly [string, () => TestIdentity, string]>([
    ['a client of the organisation', () => network.orgs.a.client, 'OrgA'],
    ['an administrator of another', () => network.orgs.b.admin, 'OrgA'],
    ['an outsider', () => network.orgs.c.admin, 'OrgA'],
    ['anybody, for an organisation that is no member', () => network.orgs.c.admin, 'OrgC'],
  ])('is not for %s to declare', async (_name, who, mspId) => {
    const other = await network.orgs.a.ca.issueCrl([{ certificate: network.orgs.a.client.certificate, at: clock.now() }], clock.now());
    await expect(network.ledger.updateCrl({ channel: 'either', mspId, crl: other, signer: who().signer })).rejects.toMatchObject({ code: 'LEDGER_CONFIG_REFUSED' });
  });

  it('a list by another authority revokes nobody', async () => {
    const forged = await (await createTestOrg('OrgA', clock)).ca.issueCrl([{ certificate: network.orgs.a.client.certificate, at: clock.now() }], clock.now());
    await network.ledger.updateCrl({ channel: 'pair', mspId: 'OrgA', crl: forged, signer: network.orgs.a.admin.signer }).catch(() => undefined);
    await expect(l.evaluate('a', 'pair', [['get', 'x']])).resolves.toBeDefined();
  });

  it('ends running streams of the revoked', async () => {
    const reader = await network.orgs.b.issue('reader', 'client');
    const stream = l.client.events({ channel: 'either', contract: 'probe', startBlock: network.ledger.height('either'), signer: reader.signer })[Symbol.asyncIterator]();
    const next = stream.next();
    await l.submit('a', 'either', [['event', 'before', 'x']]);
    expect((await next).value).toMatchObject({ name: 'before' });
    const after = stream.next();
    after.catch(() => undefined);
    const list = await network.orgs.b.ca.issueCrl([{ certificate: reader.certificate, at: clock.now() }], clock.now());
    await network.ledger.updateCrl({ channel: 'either', mspId: 'OrgB', crl: list, signer: network.orgs.b.admin.signer });
    await l.submit('a', 'either', [['event', 'after', 'x']]);
    await expect(after).rejects.toMatchObject({ code: 'LEDGER_ACCESS_DENIED' });
  });

  it('many changes at once all happen', async () => {
    const lists = await Promise.all([1, 2, 3].map(async (days) => {
      const one = await network.orgs.b.issue(`one-${days}`, 'client');
      return network.orgs.b.ca.issueCrl([{ certificate: one.certificate, at: clock.now() }], clock.now() + days * 86_400_000);
    }));
    const height = network.ledger.height('theirs');
    await Promise.all(lists.map((list) => network.ledger.updateCrl({ channel: 'theirs', mspId: 'OrgB', crl: list, signer: network.orgs.b.admin.signer })));
    expect(network.ledger.height('theirs')).toBe(height + 3);
    await network.ledger.verifyChain('theirs');
  });
});

describe('revocation judged in the block', () => {
  let orgs: readonly [TestOrg, TestOrg];
  let orderer: TestOrg;
  beforeAll(async () => {
    orgs = [await createTestOrg('OrgA', clock), await createTestOrg('OrgB', clock)];
    orderer = await createTestOrg('ORD-test', clock);
  });

  const nothing: StateReader = {
    get: () => undefined, hasKeyPolicies: () => false, range: () => [], hash: () => undefined, privateValue: () => undefined, privateRange: () => [], privateByHash: () => undefined, history: () => [], transaction: () => undefined, block: () => undefined, height: () => 1, lastHash: () => undefined, rows: () => [],
  };

  it.each<readonly [string, (org: TestOrg) => string, string]>([
    ['of its creator', (org) => org.client.certificate, 'BAD_CREATOR_SIGNATURE'],
    ['of its endorser', (org) => org.peer.certificate, 'ENDORSEMENT_POLICY_FAILURE'],
    ['of somebody else', (org) => org.admin.certificate, 'VALID'],
  ])('%s, after the transaction was checked at the door', async (_name, whose, expected) => {
    const network = await openTestNetwork({ clock });
    const { a } = network.orgs;
    const { bytes: proposalBytes } = newProposal({ channel: 'solo', contract: 'probe', args: [utf8('run'), canonicalBytes([['put', 'k', 'x']])], creator: serialiseIdentity('OrgA', a.client.certificate), nonce: random.bytes(24), timestamp: clock.now() });
    const answer = EndorseResponse.decode(await network.ledger.transport().endorse(EndorseRequest.encode({ proposedTransaction: { proposalBytes, signature: await a.client.signer.sign(proposalBytes) } })));
    const payload = answer.preparedTransaction?.payload ?? new Uint8Array(0);
    const envelope = Envelope.encode({ payload, signature: await a.client.signer.sign(payload) });
    const before = viewOf(genesisConfig({ name: 'solo', orgs: [{ mspId: 'OrgA', rootCertificate: a.ca.certificate }], peers: ['OrgA'], needed: 1 }, { mspId: 'ORD-test', rootCertificate: orderer.ca.certificate }));
    const prepared = await prepare(envelope, { channel: 'solo', view: before, known: noKnownEndorsements });
    const sets = revocationChange(before, 'OrgA', await a.ca.issueCrl([{ certificate: whose(a), at: clock.now() }], clock.now()));
    if (sets === undefined) throw new Error('no change');
    const after = viewOf(applyUpdate(before, await signUpdate({ ...sets, channel: 'solo', signers: [whose(a) === a.admin.certificate ? (await a.issue('second', 'admin')).signer : a.admin.signer], now: clock.now(), random }), 'solo'));
    const definition = { name: 'probe', sequence: 1, version: '1.0', stateVersion: { blockNum: 1, txNum: 0 }, policy: peerPolicy(1, ['OrgA']), collections: new Map() };
    const withRead: StateReader = { ...nothing, get: (_namespace, key) => (key.endsWith('Sequence') ? { value: utf8('x'), block: 1, tx: 0, policy: null } : undefined) };
    const judged = (view: typeof before) => judgeBlock([prepared], { number: 5, view, reader: withRead, definition: () => definition, privateSet: () => undefined }).codes.map(codeName);
    expect(judged(before)).toEqual(['VALID']);
    expect(judged(after)).toEqual([expected]);
    await network.ledger.close();
  });

  it('a member that left or never was cannot be slipped in by an unsigned change', async () => {
    const config = genesisConfig({ name: 'x', orgs: orgs.map((org) => ({ mspId: org.mspId, rootCertificate: org.ca.certificate })), peers: ['OrgA', 'OrgB'], needed: 1 }, { mspId: 'ORD-test', rootCertificate: orderer.ca.certificate });
    const view = viewOf(config);
    const stranger = await createTestOrg('OrgZ', clock);
    const sets = memberChange(view, { mspId: 'OrgZ', rootCertificate: stranger.ca.certificate, peer: false }) as ConfigSets;
    const attempt = async (...signers: readonly TestIdentity[]) => applyUpdate(view, await signUpdate({ ...sets, channel: 'x', signers: signers.map((one) => one.signer), now: clock.now(), random }), 'x');
    const [a, b] = orgs;
    await expect(attempt(a.admin)).rejects.toMatchObject({ code: 'LEDGER_CONFIG_REFUSED' });
    await expect(attempt(a.admin, a.admin)).rejects.toMatchObject({ code: 'LEDGER_CONFIG_REFUSED' });
    await expect(attempt(a.admin, b.client)).rejects.toMatchObject({ code: 'LEDGER_CONFIG_REFUSED' });
    await expect(attempt(stranger.admin, a.admin)).rejects.toMatchObject({ code: 'LEDGER_CONFIG_REFUSED' });
    const changed = await attempt(a.admin, b.admin);
    expect(viewOf(changed).members).toContain('OrgZ');
    const stale = await signUpdate({ ...sets, channel: 'x', signers: [a.admin.signer, b.admin.signer], now: clock.now(), random });
    expect(() => applyUpdate(viewOf(changed), stale, 'x')).toThrow(expect.objectContaining({ code: 'LEDGER_CONFIG_REFUSED' }));
  });
});

describe('a new member', () => {
  it('takes part from its block on, with its peer when contracts are defined anew', async () => {
    const network = await openTestNetwork({ clock });
    const { ledger, orgs } = network;
    const l = createRunner(network.harness(ledger.transport()));
    await expect(l.evaluate('c', 'pair', [['get', 'x']])).rejects.toMatchObject({ code: 'LEDGER_ACCESS_DENIED' });
    await expect(ledger.addOrganisation({ channel: 'pair', mspId: 'OrgC', rootCertificate: orgs.c.ca.certificate, peer: true, signers: [orgs.a.admin.signer] })).rejects.toMatchObject({ code: 'LEDGER_CONFIG_REFUSED' });
    await ledger.addOrganisation({ channel: 'pair', mspId: 'OrgC', rootCertificate: orgs.c.ca.certificate, peer: true, signers: [orgs.a.admin.signer, orgs.b.admin.signer] });
    await l.submit('c', 'pair', [['put', 'from-c', 'x']]);
    await ledger.attachPeer({ ...orgs.c.peer, channels: ['pair'] });
    await ledger.deploy({ channel: 'pair', name: 'probe', chaincode: probe, needed: 3, version: '2.0' });
    const { blockNumber } = await l.submit('c', 'pair', [['put', 'from-c', 'y']]);
    const stop = new AbortController();
    for await (const block of l.client.blocks({ channel: 'pair', startBlock: blockNumber, signer: orgs.c.peer.signer, signal: stop.signal })) {
      expect([...(readBlock(block.bytes).transactions[0]?.endorsers ?? [])].sort()).toEqual(['OrgA', 'OrgB', 'OrgC']);
      stop.abort();
    }
    await ledger.replay('pair');
    const height = ledger.height('pair');
    const again = { channel: 'pair', mspId: 'OrgC', peer: true, signers: [orgs.a.admin.signer, orgs.b.admin.signer] };
    await ledger.addOrganisation({ ...again, rootCertificate: orgs.c.ca.certificate });
    expect(ledger.height('pair')).toBe(height);
    await expect(ledger.addOrganisation({ ...again, rootCertificate: orgs.a.ca.certificate })).rejects.toMatchObject({ code: 'LEDGER_CONFIG_REFUSED' });
    await ledger.close();
  });

  it('a transaction endorsed under the old definition is invalid under the new one', async () => {
    const network = await openTestNetwork({ clock });
    const { ledger, orgs: { a } } = network;
    const { bytes: proposalBytes } = newProposal({ channel: 'solo', contract: 'probe', args: [utf8('run'), canonicalBytes([['put', 'k', 'x']])], creator: serialiseIdentity('OrgA', a.client.certificate), nonce: random.bytes(24), timestamp: clock.now() });
    const answer = EndorseResponse.decode(await ledger.transport().endorse(EndorseRequest.encode({ proposedTransaction: { proposalBytes, signature: await a.client.signer.sign(proposalBytes) } })));
    await ledger.deploy({ channel: 'solo', name: 'probe', chaincode: probe, needed: 1, collections: [{ name: 'new', members: ['OrgA'] }] });
    const payload = answer.preparedTransaction?.payload ?? new Uint8Array(0);
    const height = ledger.height('solo');
    await ledger.transport().submit(SubmitRequest.encode({ preparedTransaction: { payload, signature: await a.client.signer.sign(payload) } }));
    const l = createRunner(network.harness(ledger.transport()));
    const stop = new AbortController();
    for await (const block of l.client.blocks({ channel: 'solo', startBlock: height, signer: a.peer.signer, signal: stop.signal })) {
      expect(readBlock(block.bytes).transactions[0]?.code).toBe('MVCC_READ_CONFLICT');
      stop.abort();
    }
    await ledger.close();
  });

  it('needs peers before contracts can be defined', async () => {
    const network = await openTestNetwork({ clock });
    const { ledger, orgs } = network;
    const channel = 'fresh';
    await ledger.createChannel({ name: channel, orgs: [orgs.a, orgs.b].map((org) => ({ mspId: org.mspId, rootCertificate: org.ca.certificate })), peers: ['OrgA', 'OrgB'], needed: 2 });
    await expect(ledger.deploy({ channel, name: 'probe', chaincode: probe, needed: 2 })).rejects.toMatchObject({ code: 'LEDGER_DEPLOY_REFUSED' });
    await ledger.attachPeer({ ...orgs.a.peer, channels: [channel] });
    await expect(ledger.deploy({ channel, name: 'probe', chaincode: probe, needed: 2 })).rejects.toMatchObject({ code: 'LEDGER_DEPLOY_REFUSED' });
    await expect(ledger.attachPeer({ ...orgs.c.peer, channels: [channel] })).rejects.toMatchObject({ code: 'LEDGER_ACCESS_DENIED' });
    await expect(ledger.attachPeer({ ...orgs.b.client, channels: [channel] })).rejects.toMatchObject({ code: 'LEDGER_ACCESS_DENIED' });
    await ledger.attachPeer({ ...orgs.b.peer, channels: [channel] });
    await ledger.deploy({ channel, name: 'probe', chaincode: probe, needed: 2 });
    await ledger.close();
  });

  it.each([
    ['a name with capitals', { name: 'Bad' }],
    ['an empty name', { name: '' }],
    ['a path for a name', { name: '../etc' }],
    ['more endorsements than peers', { needed: 2 }],
    ['no endorsement at all', { needed: 0 }],
    ['a peer that is no member', { peers: ['OrgZ'] }],
    ['a member twice', { orgs: 2 }],
  ] as const)('a channel with %s is refused', async (_name, change) => {
    const network = await openTestNetwork({ clock });
    const member = { mspId: 'OrgA', rootCertificate: network.orgs.a.ca.certificate };
    const config = { name: 'good', peers: ['OrgA'], needed: 1, ...change, orgs: 'orgs' in change ? [member, member] : [member] };
    await expect(network.ledger.createChannel(config)).rejects.toMatchObject({ code: 'LEDGER_CHANNEL_INVALID' });
    await network.ledger.close();
  });
});
