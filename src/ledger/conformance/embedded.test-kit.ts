/** The embedded ledger with the suite's organisations and channels. */
import { silentLog, type Clock } from '#base/ports.ts';
import { fakeClock, realScheduler, seededRandom } from '#sim/seams.ts';
import { createTestOrg, type TestOrg } from '../consortium.test-kit.ts';
import { createLedgerClient } from '../gateway-client.ts';
import { openEmbeddedLedger, type EmbeddedLedger } from '../embedded/ledger.ts';
import type { Chaincode } from '../stub.ts';
import type { GatewayTransport } from '../transport.ts';
import { channels, type Harness } from './harness.ts';
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
  return {
    ledger, orgs: { a, b, c }, clock,
    harness: (transport) => ({
      client: createLedgerClient({ transport, clock, random: seededRandom(`client ${++clients}`), scheduler: realScheduler }), msp: { a: a.mspId, b: b.mspId, c: c.mspId },
      signers: { a: a.client.signer, b: b.client.signer, c: c.client.signer, adminA: a.admin.signer, peerA: a.peer.signer }, channel: (name) => name, now: () => clock.now(),
    }),
  };
}
