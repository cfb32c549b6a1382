/** Members come, change keys and go while others write (promise 25), nobody changes anything alone (15.2), contracts are replaced (15.4). */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isCoded } from '#base/errors.ts';
import { toHex, utf8 } from '#base/bytes.ts';
import { realScheduler, systemClock } from '#sim/seams.ts';
import { readBlock, type BlockFacts } from '../block.ts';
import type { LedgerClient, LedgerSigner } from '../client.ts';
import { openTestNetwork, type TestNetwork } from '../conformance/embedded.test-kit.ts';
import { probe } from '../conformance/probe.ts';
import type { TestIdentity } from '../consortium.test-kit.ts';
import type { Chaincode } from '../stub.ts';
import { createLedgerClient } from '../gateway-client.ts';
import { systemRandom } from '#sim/seams.ts';

const CHANNEL = 'pair';
let network: TestNetwork;
let client: LedgerClient;

beforeEach(async () => {
  network = await openTestNetwork({ clock: systemClock });
  const { ledger, orgs } = network;
  await ledger.addOrganisation({ channel: CHANNEL, mspId: 'OrgC', rootCertificate: orgs.c.ca.certificate, peer: true, signers: [orgs.a.admin.signer, orgs.b.admin.signer] });
  await ledger.attachPeer({ ...orgs.c.peer, channels: [CHANNEL] });
  await ledger.deploy({ channel: CHANNEL, name: 'probe', chaincode: probe, needed: 2 });
  client = createLedgerClient({ transport: ledger.transport(), clock: systemClock, random: systemRandom, scheduler: realScheduler });
});
afterEach(() => network.ledger.close());

const put = (signer: LedgerSigner, key: string, value = 'x') => client.submit({ channel: CHANNEL, contract: 'probe', name: 'run', input: [['put', key, value]], signer });

async function blocks(): Promise<BlockFacts[]> {
  const found: BlockFacts[] = [];
  const stop = new AbortController();
  for await (const block of client.blocks({ channel: CHANNEL, startBlock: 0, signer: network.orgs.a.peer.signer, signal: stop.signal })) {
    found.push(readBlock(block.bytes));
    if (block.number + 1 >= network.ledger.height(CHANNEL)) break;
  }
  stop.abort();
  return found;
}

/** Writers who never rest. A write that was refused before it was acknowledged is tried again, as any client does. */
function writers(signers: Readonly<Record<string, () => LedgerSigner>>) {
  const acknowledged: string[] = [];
  const refused = new Map<string, string[]>();
  let running = true;
  const lanes = Object.entries(signers).map(async ([name, signer]) => {
    for (let at = 0; running; at++) {
      try {
        acknowledged.push((await put(signer(), `${name}-${at}`)).txId);
      } catch (error) {
        refused.set(name, [...(refused.get(name) ?? []), isCoded(error) ? error.code : String(error)]);
        at--;
        if (isCoded(error, 'LEDGER_ACCESS_DENIED')) await realScheduler.sleep(10);
      }
    }
  });
  return {
    acknowledged, refused,
    async stop() {
      running = false;
      await Promise.all(lanes);
    },
  };
}

describe('one administrator', () => {
  it('changes nothing that is not its own, whatever it calls', async () => {
    const { ledger, orgs } = network;
    const { a, b, c } = orgs;
    const stranger = a.ca.certificate;
    const crlOf = await b.ca.issueCrl([{ certificate: b.client.certificate, at: systemClock.now() }], systemClock.now());
    const alone: readonly TestIdentity[] = [a.admin, c.admin];
    const height = ledger.height(CHANNEL);
    for (const { signer } of alone) {
      for (const signers of [[signer], [signer, signer], [signer, a.client.signer, b.client.signer], [signer, b.peer.signer]]) {
        for (const [name, change] of Object.entries({
          add: () => ledger.addOrganisation({ channel: CHANNEL, mspId: 'OrgZ', rootCertificate: stranger, peer: true, signers }),
          remove: () => ledger.removeOrganisation({ channel: CHANNEL, mspId: 'OrgB', signers }),
          leave: () => ledger.removeOrganisation({ channel: CHANNEL, mspId: signer.mspId, signers }),
        })) await expect(change(), `${name} by ${signers.map((one) => one.mspId).join()}`).rejects.toMatchObject({ code: 'LEDGER_CONFIG_REFUSED' });
      }
      await expect(ledger.updateCrl({ channel: CHANNEL, mspId: 'OrgB', crl: crlOf, signer })).rejects.toMatchObject({ code: 'LEDGER_CONFIG_REFUSED' });
    }
    await expect(ledger.removeOrganisation({ channel: CHANNEL, mspId: 'OrgB', signers: [] })).rejects.toMatchObject({ code: 'LEDGER_CONFIG_REFUSED' });
    expect(ledger.height(CHANNEL)).toBe(height);
    await ledger.removeOrganisation({ channel: CHANNEL, mspId: 'OrgB', signers: [a.admin.signer, c.admin.signer] });
    expect(ledger.height(CHANNEL)).toBe(height + 1);
    await ledger.verifyChain(CHANNEL);
  });

  it('cannot take out the last peer of a channel, nor whoever is not there', async () => {
    const { ledger, orgs } = network;
    const height = ledger.height('solo');
    await expect(ledger.removeOrganisation({ channel: 'solo', mspId: 'OrgA', signers: [orgs.a.admin.signer] })).rejects.toMatchObject({ code: 'LEDGER_CONFIG_REFUSED' });
    await ledger.removeOrganisation({ channel: 'solo', mspId: 'OrgZ', signers: [orgs.a.admin.signer] });
    expect(ledger.height('solo')).toBe(height);
  });
});

describe('under load', () => {
  it('an organisation changes its peer\'s and its operator\'s keys: no gap, and the old ones are refused from that block on', async () => {
    const { ledger, orgs: { a, b, c } } = network;
    let operator = b.admin;
    const work = writers({ a: () => a.client.signer, b: () => operator.signer, c: () => c.client.signer });
    await realScheduler.sleep(150);
    const [freshPeer, freshAdmin] = [await b.issue('peer-2', 'peer'), await b.issue('operator-2', 'admin')];
    await ledger.attachPeer({ ...freshPeer, channels: [CHANNEL] });
    const old = operator;
    operator = freshAdmin;
    const before = ledger.height(CHANNEL);
    const at = systemClock.now();
    await ledger.updateCrl({ channel: CHANNEL, mspId: 'OrgB', crl: await b.ca.issueCrl([{ certificate: b.peer.certificate, at }, { certificate: old.certificate, at }], at), signer: freshAdmin.signer });
    const revokedBy = ledger.height(CHANNEL);
    await expect(put(old.signer, 'late')).rejects.toMatchObject({ code: 'LEDGER_ACCESS_DENIED' });
    await realScheduler.sleep(250);
    await work.stop();
    const found = await blocks();
    const valid = new Set(found.flatMap((block) => block.transactions.filter((one) => one.code === 'VALID').map((one) => one.txId)));
    expect(work.acknowledged.filter((txId) => !valid.has(txId))).toEqual([]);
    expect([...work.refused.values()].flat().filter((code) => code !== 'LEDGER_INVALID' && code !== 'LEDGER_ACCESS_DENIED')).toEqual([]);
    const by = (from: number, certificate: string) => found.slice(from).flatMap((block) => block.transactions).filter((one) => one.code === 'VALID' && one.creator.certificate === certificate);
    expect(by(revokedBy, old.certificate)).toEqual([]);
    expect(by(before, freshAdmin.certificate).length).toBeGreaterThan(0);
    expect(found.slice(revokedBy).flatMap((block) => block.transactions).some((one) => one.code === 'VALID' && one.endorsers.includes('OrgB'))).toBe(true);
    await ledger.replay(CHANNEL);
  });

  it('a member goes: nothing of it is valid from that block on, its streams end, and the others do not notice', async () => {
    const { ledger, orgs: { a, b, c } } = network;
    const work = writers({ a: () => a.client.signer, b: () => b.client.signer, c: () => c.client.signer });
    const stream = (async () => {
      for await (const _ of client.blocks({ channel: CHANNEL, startBlock: 0, signer: c.peer.signer })) void _;
    })().then(() => 'ended', (error: unknown) => (isCoded(error) ? error.code : String(error)));
    await realScheduler.sleep(150);
    await ledger.removeOrganisation({ channel: CHANNEL, mspId: 'OrgC', signers: [a.admin.signer, b.admin.signer] });
    await ledger.deploy({ channel: CHANNEL, name: 'probe', chaincode: probe, needed: 2 });
    const acknowledged = work.acknowledged.length;
    await realScheduler.sleep(250);
    await work.stop();
    expect(work.acknowledged.length).toBeGreaterThan(acknowledged);
    await expect(put(c.client.signer, 'late')).rejects.toMatchObject({ code: 'LEDGER_ACCESS_DENIED' });
    await expect(client.evaluate({ channel: CHANNEL, contract: 'probe', name: 'run', input: [['get', 'a-0']], signer: c.client.signer })).rejects.toMatchObject({ code: 'LEDGER_ACCESS_DENIED' });
    expect(await stream).toMatch(/^(ended|LEDGER_(ACCESS_DENIED|STREAM_ENDED))$/);
    const found = await blocks();
    const removal = found.findLast((block) => block.transactions[0]?.type === 'config')?.number as number;
    const after = found.slice(removal + 1).flatMap((block) => block.transactions).filter((one) => one.code === 'VALID');
    expect(after.length).toBeGreaterThan(0);
    expect(after.filter((one) => one.creator.mspId === 'OrgC' || one.endorsers.includes('OrgC'))).toEqual([]);
    const valid = new Set(found.flatMap((block) => block.transactions.filter((one) => one.code === 'VALID').map((one) => one.txId)));
    expect(work.acknowledged.filter((txId) => !valid.has(txId))).toEqual([]);
    expect([...new Set([...(work.refused.get('a') ?? []), ...(work.refused.get('b') ?? [])])].filter((code) => code !== 'LEDGER_INVALID')).toEqual([]);
    await ledger.replay(CHANNEL);
  });
});

describe('a contract that is replaced', () => {
  /** The next version keeps what it is told under other keys. */
  const second: Chaincode = {
    async Invoke(stub) {
      const { params } = stub.getFunctionAndParameters();
      await stub.putState(`second/${params[0]?.length ?? 0}`, utf8('second'));
      return { status: 200, message: '', payload: utf8('[]') };
    },
  };

  it('leaves old blocks giving the same state, without the old program; what was under way is refused', async () => {
    const { ledger, orgs: { a, b } } = network;
    for (const key of ['one', 'two', 'three']) await put(a.client.signer, key);
    const old = await ledger.stateRoot(CHANNEL);
    const facts = await ledger.replay(CHANNEL);
    const racing = Array.from({ length: 12 }, (_, at) => put(b.client.signer, `racing-${at}`).then(() => 'VALID', (error: unknown) => (isCoded(error) ? String(error.details['validationCode'] ?? error.code) : String(error))));
    await ledger.deploy({ channel: CHANNEL, name: 'probe', chaincode: second, needed: 2, version: '2.0' });
    const outcomes = await Promise.all(racing);
    expect(outcomes.every((outcome) => ['VALID', 'EXPIRED_CHAINCODE', 'LEDGER_CONFLICT', 'MVCC_READ_CONFLICT'].includes(outcome)), outcomes.join()).toBe(true);
    await put(a.client.signer, 'four');
    const after = await ledger.replay(CHANNEL);
    expect(after.blocks).toBeGreaterThan(facts.blocks);
    const keys = (await blocks()).slice(0, facts.blocks).flatMap((block) => block.transactions).flatMap((one) => (one.code === 'VALID' ? one.writes : [])).filter((write) => write.namespace === 'probe').map((write) => write.key);
    expect(keys).toEqual(expect.arrayContaining(['one', 'two', 'three']));
    expect(toHex((await ledger.stateRoot(CHANNEL, (key) => !['one', 'two', 'three'].includes(key))).namespaces.find((one) => one.namespace === 'probe')?.root as Uint8Array)).toBe(toHex(old.namespaces.find((one) => one.namespace === 'probe')?.root as Uint8Array));
    // Each old transaction names the version that was in force: judged under the new one it would not hold.
    await expect(put(a.client.signer, 'five')).resolves.toBeDefined();
    expect((await blocks()).at(-1)?.transactions[0]?.writes.map((write) => write.key)).toEqual([expect.stringMatching(/^second\//)]);
  });
});
