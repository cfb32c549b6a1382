/** The demo's or a pilot's consortium as a Fabric network on loopback: organisations and channels of ARCHITECTURE.md, keys from our own certificate authorities. */
import type { Bytes } from '#base/bytes.ts';
import type { KeyValueStore } from '#base/ports.ts';
import { toPem } from '#crypto/pem.ts';
import { contractsOf, type KeyPair, type NetworkPlan, type PlannedChannel, type PlannedOrderer, type PlannedOrganisation } from '#ledger/fabric/network-plan.ts';
import type { OrgId } from '#model/ids.ts';
import { channelKind, channelOrgs, channelsOf, endorsementsNeeded } from '#model/orgs.ts';
import { openMemberIdentity, openOrgIdentity, openTlsIdentity } from '#org/identity.ts';
import { DEMO_MEMBERS, ORDERER_MSP } from '#sim/members.ts';
import { systemClock } from '#sim/seams.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';

export const FIRST_PORT = 17_050;
/** Ports from the first one on that a network may use. */
export const PORTS = 200;
const PORTS_PER_NODE = 10;
const PEERS_FROM = 60;
const SUITE_MEMBERS = 3;
/** As many organisations of ours as there are ports for, beside those of the conformance suite. */
export const MEMBERS_MAX = (PORTS - PEERS_FROM) / PORTS_PER_NODE - SUITE_MEMBERS;
const CONTRACT_VERSION = '1.0';
const HOSTS = ['localhost', '127.0.0.1'] as const;
const clock = systemClock;

export interface FabricChoice {
  readonly folder: string;
  readonly firstPort: number;
  readonly consensus: 'raft' | 'bft';
  /** Adds the organisations and channels of the conformance suite. */
  readonly conformance: boolean;
  /** The demo's unless given. Their order gives them their ports. */
  readonly members?: readonly OrgId[];
}

/** What an organisation is asked for, and what it brings. */
interface Wish {
  readonly mspId: string;
  readonly keys: (store: KeyValueStore) => Promise<{ readonly rootCertificate: string; readonly users: Readonly<Record<string, KeyPair>> }>;
}

/** Opens (or makes) every key and plans the whole. Raft has three orderers, BFT four: one of four may fail. */
export async function planNetwork(choice: FabricChoice): Promise<NetworkPlan> {
  const members = choice.members ?? DEMO_MEMBERS.map(({ org }) => org);
  const channels = [...ourChannels(members), ...(choice.conformance ? SUITE_CHANNELS : [])];
  const wishes: Wish[] = [...members.map(memberWish), ...(choice.conformance ? SUITE_ORGS.map(suiteWish) : [])];
  const organisations: PlannedOrganisation[] = [];
  for (const [index, wish] of wishes.entries()) organisations.push(await plannedOrganisation(choice, { wish, channels, firstPort: choice.firstPort + PEERS_FROM + index * PORTS_PER_NODE }));
  return { consensus: choice.consensus, ordering: await ordering(choice, choice.consensus === 'raft' ? 3 : 4), organisations, channels };
}

/** One contract per channel, with the policies of the embedded ledger. */
function ourChannels(members: readonly OrgId[]): PlannedChannel[] {
  return channelsOf(members).map((name) => {
    const { orgs, peers } = channelOrgs(name, members);
    const needed = endorsementsNeeded(name, peers);
    return { name, members: orgs, peers, needed, contracts: [{ name: channelKind(name), version: CONTRACT_VERSION, needed, collections: [] }] };
  });
}

async function withStore<T>({ folder }: FabricChoice, mspId: string, work: (store: KeyValueStore) => Promise<T>): Promise<T> {
  const store = openSqliteKeyValueStore(`${folder}/orgs/${mspId}/keys.sqlite`);
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

const pair = ({ certificate, privateKeyPkcs8 }: { readonly certificate: string; readonly privateKeyPkcs8: Bytes }): KeyPair => ({ certificate, privateKey: toPem('PRIVATE KEY', privateKeyPkcs8) });

/** The users are the organisation's own keys, so that the story runs with them. */
function memberWish(org: OrgId): Wish {
  const user = async (store: KeyValueStore, name: string, unit: 'client' | 'peer' | 'admin'): Promise<KeyPair> => pair(await openMemberIdentity({ org, name, unit, store, clock }));
  return {
    mspId: org,
    keys: async (store) => {
      const { ca } = await openOrgIdentity({ org, store, clock });
      return { rootCertificate: ca.certificate, users: { admin: await user(store, 'operator', 'admin'), peer: await user(store, 'peer', 'peer'), system: await user(store, 'system', 'client') } };
    },
  };
}

async function plannedOrganisation(choice: FabricChoice, { wish, channels, firstPort }: { readonly wish: Wish; readonly channels: readonly PlannedChannel[]; readonly firstPort: number }): Promise<PlannedOrganisation> {
  const { mspId } = wish;
  return withStore(choice, mspId, async (store) => {
    const { rootCertificate, users } = await wish.keys(store);
    const tls = await openTlsIdentity({ org: mspId, name: 'tls-peer', hosts: HOSTS, store, clock });
    const contracts = contractsOf(channels, mspId);
    const base = { mspId, rootCertificate, tlsRootCertificate: tls.rootCertificate, users };
    if (!channels.some(({ peers }) => peers.includes(mspId))) return base;
    return { ...base, peer: { tls: pair(tls), port: firstPort, chaincodePort: firstPort + 1, operationsPort: firstPort + 2, contractPorts: new Map(contracts.map((name, index) => [name, firstPort + 3 + index])) } };
  });
}

async function ordering(choice: FabricChoice, count: number): Promise<NetworkPlan['ordering']> {
  return withStore(choice, ORDERER_MSP, async (store) => {
    const nodes: PlannedOrderer[] = [];
    let roots = { rootCertificate: '', tlsRootCertificate: '' };
    for (let index = 0; index < count; index++) {
      const identity = await openMemberIdentity({ org: ORDERER_MSP, name: `orderer-${index + 1}`, unit: 'orderer', store, clock });
      const tls = await openTlsIdentity({ org: ORDERER_MSP, name: `tls-orderer-${index + 1}`, hosts: HOSTS, store, clock });
      const port = choice.firstPort + index * PORTS_PER_NODE;
      nodes.push({ identity: pair(identity), tls: pair(tls), port, adminPort: port + 1, operationsPort: port + 2 });
      roots = { rootCertificate: identity.rootCertificate, tlsRootCertificate: tls.rootCertificate };
    }
    return { mspId: ORDERER_MSP, ...roots, nodes };
  });
}

// What the conformance suite needs of a network (docs/chaincode.md).

const SUITE_ORGS = ['OrgA', 'OrgB', 'OrgC'] as const;

function suiteWish(org: (typeof SUITE_ORGS)[number]): Wish {
  const user = (store: KeyValueStore, name: string, parts: { readonly unit: 'client' | 'peer' | 'admin'; readonly attributes?: Readonly<Record<string, string>> }) => openMemberIdentity({ org, name, commonName: name, ...parts, store, clock });
  return {
    mspId: org,
    keys: async (store) => {
      const system = await user(store, 'system', { unit: 'client', attributes: { 'test.role': 'system' } });
      return { rootCertificate: system.rootCertificate, users: { system: pair(system), admin: pair(await user(store, 'admin', { unit: 'admin' })), peer: pair(await user(store, 'peer', { unit: 'peer' })) } };
    },
  };
}

function suiteChannel(name: string, peers: readonly string[], needed: number): PlannedChannel {
  const collections = peers.length < 2 ? [] : [{ name: 'mine', members: ['OrgA'] }, { name: 'both', members: ['OrgA', 'OrgB'] }, { name: 'open', members: ['OrgA'], memberOnlyRead: false, memberOnlyWrite: false }];
  return { name, members: peers, peers, needed, contracts: [{ name: 'probe', version: CONTRACT_VERSION, needed, collections }, { name: 'helper', version: CONTRACT_VERSION, needed, collections: [] }] };
}

const SUITE_CHANNELS: readonly PlannedChannel[] = [suiteChannel('solo', ['OrgA'], 1), suiteChannel('pair', ['OrgA', 'OrgB'], 2), suiteChannel('either', ['OrgA', 'OrgB'], 1), suiteChannel('theirs', ['OrgB'], 1)];
