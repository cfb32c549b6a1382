/** The embedded ledger with the suite's organisations and channels. */
import { silentLog, type Clock } from '#base/ports.ts';
import { exportPrivateKey, generateSigningKey } from '#crypto/keys.ts';
import { fakeClock, realScheduler, seededRandom } from '#sim/seams.ts';
import { createTestOrg, type TestOrg } from '../consortium.test-kit.ts';
import { createLedgerClient } from '../gateway-client.ts';
import { createNativeSigner } from '../embedded/native-signer.ts';
import { openEmbeddedLedger, type EmbeddedLedger } from '../embedded/ledger.ts';
import type { Chaincode } from '../stub.ts';
import type { GatewayTransport } from '../transport.ts';
import { channels, type Abilities, type Harness } from './harness.ts';
import { probe } from './probe.ts';

export interface TestNetwork {
  readonly ledger: EmbeddedLedger;
  readonly orgs: { readonly a: TestOrg; readonly b: TestOrg; readonly c: TestOrg };
  readonly clock: Clock;
  harness(transport: GatewayTransport): Harness;
}

export interface TestNetworkOptions {
  readonly folder?: string;
  readonly clock?: Clock;
  /** What runs as `probe` and as `helper`; the probe in this process unless said otherwise. */
  readonly chaincode?: (name: 'probe' | 'helper') => Chaincode;
}

const DAY_MS = 86_400_000;
let clients = 0;

/** Three organisations, four channels, the probe and its helper on each. */
export async function openTestNetwork({ folder = ':memory:', clock = fakeClock(Date.UTC(2026, 0, 5, 12, 34, 56)), chaincode = () => probe }: TestNetworkOptions = {}): Promise<TestNetwork> {
  const [a, b, c, orderer] = await Promise.all(['OrgA', 'OrgB', 'OrgC', 'ORD-test'].map((name) => createTestOrg(name, clock))) as [TestOrg, TestOrg, TestOrg, TestOrg];
  const ordererKey = await orderer.issue('orderer', 'orderer');
  const ledger = await openEmbeddedLedger({ folder, clock, random: seededRandom('network'), scheduler: realScheduler, log: silentLog, orderer: { ...ordererKey, rootCertificate: orderer.ca.certificate } });
  const members = { solo: [a], pair: [a, b], either: [a, b], theirs: [b] } as const;
  const needed = { solo: 1, pair: 2, either: 1, theirs: 1 } as const;
  for (const name of channels) {
    const orgs = members[name];
    await ledger.createChannel({ name, orgs: orgs.map((org) => ({ mspId: org.mspId, rootCertificate: org.ca.certificate })), peers: orgs.map((org) => org.mspId), needed: needed[name] });
    for (const org of orgs) await ledger.attachPeer({ ...org.peer, channels: [name] });
    const mine = { name: 'mine', members: [a.mspId] };
    const both = { name: 'both', members: [a.mspId, b.mspId] };
    const open = { name: 'open', members: [a.mspId], memberOnlyRead: false, memberOnlyWrite: false };
    await ledger.deploy({ channel: name, name: 'probe', chaincode: chaincode('probe'), needed: needed[name], collections: name === 'pair' || name === 'either' ? [mine, both, open] : [] });
    await ledger.deploy({ channel: name, name: 'helper', chaincode: chaincode('helper'), needed: needed[name] });
  }
  const abilities = await abilitiesOf(ledger, a, clock);
  return {
    ledger, orgs: { a, b, c }, clock,
    harness: (transport) => ({
      ...abilities,
      client: createLedgerClient({ transport, clock, random: seededRandom(`client ${++clients}`), scheduler: realScheduler }), transport: () => transport, msp: { a: a.mspId, b: b.mspId, c: c.mspId },
      signers: { a: a.client.signer, b: b.client.signer, c: c.client.signer, adminA: a.admin.signer, peerA: a.peer.signer }, channel: (name) => name, now: () => clock.now(), patience: 0,
    }),
  };
}

/** Here we are every organisation's authority. */
async function abilitiesOf(ledger: EmbeddedLedger, org: TestOrg, clock: Clock): Promise<Abilities> {
  const leaver = await org.issue('leaver', 'client');
  const pair = await generateSigningKey();
  const certificate = await org.ca.issue({ commonName: 'late', organizationalUnit: 'client', attributes: {}, publicKey: pair.publicKey, notBefore: clock.now() - 10 * DAY_MS, days: 9 });
  const late = createNativeSigner({ mspId: org.mspId, certificate, privateKeyPkcs8: await exportPrivateKey(pair.privateKey) });
  const revoke = async (): Promise<void> => {
    const crl = await org.ca.issueCrl([{ certificate: leaver.certificate, at: clock.now() }], clock.now());
    await ledger.updateCrl({ channel: 'either', mspId: org.mspId, crl, signer: org.admin.signer });
  };
  return { revocation: { signer: leaver.signer, revoke }, expiry: { signer: late } };
}
