/**
 * The whole consortium in one process: a ledger, a user organisation, two hospitals, two data users, and people's devices.
 * Built from the public functions of the rooms only; every organisation has its own folder, keys and stores.
 */
import type { Clock, Fetch, KeyValueStore, Log, Random, Scheduler } from '#base/ports.ts';
import { toBase64url } from '#base/bytes.ts';
import { conContract } from '#contracts/con.ts';
import { contractClient } from '#contracts/client.ts';
import { drcContract } from '#contracts/drc.ts';
import { hdcContract } from '#contracts/hdc.ts';
import { uicContract } from '#contracts/uic.ts';
import { createDevice, type Device } from '#device/device.ts';
import type { LedgerAdmin } from '#ledger/admin.ts';
import type { LedgerClient } from '#ledger/client.ts';
import { openEmbeddedLedger, type EmbeddedLedger } from '#ledger/embedded/ledger.ts';
import { continuedClient } from '#ledger/continued-client.ts';
import { createLedgerClient } from '#ledger/gateway-client.ts';
import type { Chaincode } from '#ledger/stub.ts';
import type { GatewayTransport } from '#ledger/transport.ts';
import type { Member } from '#model/con.ts';
import type { OrgId } from '#model/ids.ts';
import { channelKind, channelOrgs, channelsOf, CON, endorsementsNeeded, orgClass, type ChannelKind } from '#model/orgs.ts';
import { openDataUser } from '#org/data-user/open.ts';
import { openHospital } from '#org/hospital/open.ts';
import { openOrdererIdentity, openOrgIdentity, type KeptOrgIdentity } from '#org/identity.ts';
import { beforeOf } from '#org/move/before.ts';
import type { DataUser } from '#org/data-user/data-user.ts';
import type { Hospital } from '#org/hospital/hospital.ts';
import type { Org } from '#org/types.ts';
import { openUserOrg } from '#org/user-org/open.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { DEMO_MEMBERS, ORDERER_MSP, type DemoMember } from './members.ts';
import { openOutsideLedger, type LedgerDoors, type NetworkLedger } from './outside-ledger.ts';

export interface NetworkOptions {
  /** Where all state lives. */
  readonly folder: string;
  /** A ledger that runs elsewhere, with its channels and contracts in place; the embedded one in this process unless given. */
  readonly ledger?: LedgerDoors;
  /** Where the organisations' keys are (`orgs/<id>/keys.sqlite`), if not in `folder`. */
  readonly keys?: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly log: Log;
  /** Outgoing requests of every party. */
  readonly fetch: Fetch;
  /** Puts a handler on the network and tells its base URL; called once per organisation, before it is built. */
  readonly host: (org: OrgId, handler: Fetch) => Promise<string>;
  readonly members?: readonly DemoMember[];
  /** Origins of portals whose pages may call the organisations from a browser. */
  readonly origins?: readonly string[];
  /** Told of everything a party was acknowledged: for crash tests. */
  readonly acknowledged?: (what: Readonly<Record<string, string | number>>) => void;
}

export interface Network {
  readonly ledger: LedgerAdmin;
  /** The way of devices to the ledger: each channel through a peer of an organisation that runs one there. */
  readonly transport: GatewayTransport;
  /** The devices' client. */
  readonly client: LedgerClient;
  /** An organisation's own client, through its own peer. */
  clientOf(org: OrgId): LedgerClient;
  readonly members: readonly DemoMember[];
  readonly identities: ReadonlyMap<OrgId, KeptOrgIdentity>;
  readonly urls: ReadonlyMap<OrgId, string>;
  readonly userOrg: Org;
  readonly hospitals: ReadonlyMap<OrgId, Hospital>;
  readonly dataUsers: ReadonlyMap<OrgId, DataUser>;
  /** Opens (or makes) the device of a person; folders are `people/<name>`. */
  openDevice(name: string, delays: { readonly minMs: number; readonly maxMs: number }): Promise<OpenDevice>;
  close(): Promise<void>;
}

export interface OpenDevice {
  readonly device: Device;
  close(): Promise<void>;
}

/** The program of each kind of channel. */
export const CONTRACTS: Readonly<Record<ChannelKind, Chaincode>> = { uic: uicContract, hdc: hdcContract, drc: drcContract, con: conContract };

/** Brings the network up on a folder, new or old. */
export async function openNetwork(options: NetworkOptions): Promise<Network> {
  const members = options.members ?? DEMO_MEMBERS;
  const stores: KeyValueStore[] = [];
  const identities = await openIdentities(options, members, stores);
  const opened = options.ledger === undefined ? inProcess(options, await openLedger(options, identities, stores)) : openOutsideLedger({ doors: options.ledger, identities, ...seamsOf(options) });
  const ledger = opened.admin;
  const { transport } = opened;
  const client = acknowledgedClient(opened.client, options.acknowledged);
  const clients = new Map(members.map(({ org }) => [org, acknowledgedClient(opened.clientOf(org), options.acknowledged)]));
  const clientOf = (org: OrgId): LedgerClient => clients.get(org) ?? client;
  const handlers = new Map<OrgId, Fetch>();
  const urls = new Map<OrgId, string>();
  for (const { org } of members) urls.set(org, await options.host(org, (request) => answer(handlers, org, request)));
  await found({ clientOf, identities, urls, members });

  // Channels that moved here from another ledger are counted on from where they were there.
  const before = await beforeOf(clientOf, channelsOf(members.map(({ org }) => org)), identities);
  const base = (org: OrgId) => ({ ...options, folder: `${options.folder}/orgs/${org}`, identity: identities.get(org) as KeptOrgIdentity, url: urls.get(org) as string, ledger: continuedClient(clientOf(org), (channel) => before.get(channel)) });
  const config = { ...(options.origins === undefined ? {} : { origins: options.origins }) };
  const of = (wanted: ReturnType<typeof orgClass>): OrgId[] => members.map(({ org }) => org).filter((org) => orgClass(org) === wanted);
  const userOrgId = of('uo')[0] as OrgId;
  const userOrg = await openUserOrg({ ...base(userOrgId), config, publishCrl: (crl: string) => publishCrl(ledger, identities.get(userOrgId) as KeptOrgIdentity, crl) });
  const hospitals = new Map<OrgId, Hospital>();
  for (const org of of('ho')) hospitals.set(org, await openHospital({ ...base(org), config }));
  const dataUsers = new Map<OrgId, DataUser>();
  for (const org of of('duo')) dataUsers.set(org, await openDataUser({ ...base(org), ...config }));
  const orgs: readonly Org[] = [userOrg, ...hospitals.values(), ...dataUsers.values()];
  for (const org of orgs) handlers.set(org.org, org.fetch);
  await Promise.all(orgs.map((org) => org.start()));

  return {
    ledger, transport, client, clientOf, members, identities, urls, userOrg, hospitals, dataUsers,
    openDevice: (name, delays) => openDevice({ ...options, name, delays, client, userOrg: { org: userOrgId, url: urls.get(userOrgId) as string } }),
    async close() {
      await Promise.all(orgs.map((org) => org.close()));
      await opened.close();
      await Promise.all(stores.map((store) => store.close()));
    },
  };
}

const seamsOf = ({ clock, random, scheduler }: Pick<NetworkOptions, 'clock' | 'random' | 'scheduler'>) => ({ clock, random, scheduler });

/** Everybody reaches a ledger of this process by function calls. */
function inProcess(options: NetworkOptions, ledger: EmbeddedLedger): NetworkLedger {
  const transport = ledger.transport();
  const client = createLedgerClient({ transport, ...seamsOf(options) });
  return { transport, client, clientOf: () => client, admin: { channels: () => ledger.channels(), height: async (channel) => ledger.height(channel), verifyChain: (channel) => ledger.verifyChain(channel), updateCrl: (change) => ledger.updateCrl(change), addOrganisation: ({ network: _, ...change }) => ledger.addOrganisation(change) }, close: () => ledger.close() };
}

async function answer(handlers: ReadonlyMap<OrgId, Fetch>, org: OrgId, request: Request): Promise<Response> {
  const handler = handlers.get(org);
  return handler === undefined ? new Response(null, { status: 503, headers: { 'retry-after': '1' } }) : handler(request);
}

interface LedgerSeams extends Pick<NetworkOptions, 'folder' | 'keys' | 'clock' | 'random' | 'scheduler' | 'log'> {
  /** Programs that take the place of ours. */
  readonly contracts?: Readonly<Partial<Record<ChannelKind, Chaincode>>>;
}

/** Only the ledger of a folder, for a process that serves it to others. */
export async function openLedgerOf(options: LedgerSeams, members: readonly DemoMember[]): Promise<{ readonly ledger: EmbeddedLedger; readonly close: () => Promise<void> }> {
  const stores: KeyValueStore[] = [];
  const ledger = await openLedger(options, await openIdentities(options, members, stores), stores);
  return {
    ledger,
    close: async () => {
      await ledger.close();
      await Promise.all(stores.map((store) => store.close()));
    },
  };
}

async function openIdentities(options: LedgerSeams, members: readonly DemoMember[], stores: KeyValueStore[]): Promise<ReadonlyMap<OrgId, KeptOrgIdentity>> {
  const identities = new Map<OrgId, KeptOrgIdentity>();
  for (const { org } of members) {
    const store = openSqliteKeyValueStore(`${options.keys ?? options.folder}/orgs/${org}/keys.sqlite`);
    stores.push(store);
    identities.set(org, await openOrgIdentity({ org, store, clock: options.clock }));
  }
  return identities;
}

/** The ledger with its channels (architecture.md section 1) and a contract on each. */
async function openLedger(options: LedgerSeams, identities: ReadonlyMap<OrgId, KeptOrgIdentity>, stores: KeyValueStore[]): Promise<EmbeddedLedger> {
  const keys = openSqliteKeyValueStore(`${options.folder}/orgs/${ORDERER_MSP}/keys.sqlite`);
  stores.push(keys);
  const orderer = await openOrdererIdentity({ mspId: ORDERER_MSP, store: keys, clock: options.clock });
  const ledger = await openEmbeddedLedger({ folder: `${options.folder}/ledger`, clock: options.clock, random: options.random, scheduler: options.scheduler, log: options.log, orderer });
  const members = [...identities.keys()];
  for (const channel of channelsOf(members)) {
    const { orgs, peers } = channelOrgs(channel, members);
    const needed = endorsementsNeeded(channel, peers);
    // A channel that is there keeps its configuration, and with it whoever joined later.
    if (!ledger.channels().includes(channel)) await ledger.createChannel({ name: channel, orgs: orgs.map((org) => ({ mspId: org, rootCertificate: (identities.get(org) as KeptOrgIdentity).ca.certificate })), peers: [...peers], needed });
    for (const org of peers) {
      const { peerKey } = identities.get(org) as KeptOrgIdentity;
      await ledger.attachPeer({ mspId: org, certificate: peerKey.certificate, privateKeyPkcs8: peerKey.privateKeyPkcs8, channels: [channel] });
    }
    const kind = channelKind(channel);
    await ledger.deploy({ channel, name: kind, chaincode: options.contracts?.[kind] ?? CONTRACTS[kind], needed });
  }
  return ledger;
}

async function publishCrl(ledger: LedgerAdmin, identity: KeptOrgIdentity, crl: string): Promise<void> {
  for (const channel of ledger.channels()) await ledger.updateCrl({ channel, mspId: identity.org, crl, signer: identity.operator });
}

/** The founding members go onto CON once; a changed address is told afterwards. */
async function found(network: { readonly clientOf: (org: OrgId) => LedgerClient; readonly identities: ReadonlyMap<OrgId, KeptOrgIdentity>; readonly urls: ReadonlyMap<OrgId, string>; readonly members: readonly DemoMember[] }): Promise<void> {
  const wanted: Member[] = network.members.map(({ org, name }) => {
    const identity = network.identities.get(org) as KeptOrgIdentity;
    return { org, name, rootCertificate: identity.ca.certificate, url: network.urls.get(org) as string, hpkePublicKey: toBase64url(identity.hpke.publicKey) };
  });
  const con = (org: OrgId) => contractClient(network.clientOf(org), { channel: CON, signer: (network.identities.get(org) as KeptOrgIdentity).system });
  const first = con((network.members[0] as DemoMember).org);
  const known = (await first.evaluate('getMembers', {})).members;
  if (known.length === 0) {
    await first.submit('found', { members: wanted });
    return;
  }
  for (const member of wanted) {
    const kept = known.find(({ org }) => org === member.org);
    if (kept !== undefined && (kept.url !== member.url || kept.hpkePublicKey !== member.hpkePublicKey)) await con(member.org).submit('updateMember', { name: member.name, url: member.url, hpkePublicKey: member.hpkePublicKey });
  }
}

function acknowledgedClient(client: LedgerClient, acknowledged: NetworkOptions['acknowledged']): LedgerClient {
  if (acknowledged === undefined) return client;
  return {
    ...client,
    async submit(call) {
      const committed = await client.submit(call);
      acknowledged({ kind: 'committed', channel: call.channel, txId: committed.txId, blockNumber: committed.blockNumber });
      return committed;
    },
  };
}

async function openDevice(options: NetworkOptions & { readonly name: string; readonly delays: { readonly minMs: number; readonly maxMs: number }; readonly client: LedgerClient; readonly userOrg: { readonly org: OrgId; readonly url: string } }): Promise<OpenDevice> {
  const folder = `${options.folder}/people/${options.name}`;
  const keyring = openSqliteKeyValueStore(`${folder}/keyring.sqlite`);
  const store = openSqliteKeyValueStore(`${folder}/device.sqlite`);
  let unlockKey = await keyring.get('unlock');
  if (unlockKey === undefined) {
    unlockKey = options.random.bytes(32);
    await keyring.write(new Map([['unlock', unlockKey]]));
  }
  const device = await createDevice({ store, unlockKey, fetch: options.fetch, ledger: options.client, clock: options.clock, random: options.random, scheduler: options.scheduler, log: options.log, userOrgUrl: options.userOrg.url, indexDelay: options.delays, slotDelayMaxMs: Math.min(options.delays.maxMs, 2_000) });
  return {
    device,
    async close() {
      await device.close();
      await store.close();
      await keyring.close();
    },
  };
}
