/** A small consortium on a real embedded ledger, with real certificates and a network in memory, for tests of this room. */
import type { SignRequest } from '#api/client.ts';
import { toBase64url } from '#base/bytes.ts';
import type { Log } from '#base/ports.ts';
import { silentLog } from '#base/ports.ts';
import { conContract } from '#contracts/con.ts';
import { drcContract } from '#contracts/drc.ts';
import { hdcContract } from '#contracts/hdc.ts';
import { uicContract } from '#contracts/uic.ts';
import { signRequest } from '#crypto/http-signature.ts';
import { generateSigningKey } from '#crypto/keys.ts';
import type { CertificateAuthority } from '#crypto/x509.ts';
import type { LedgerClient, LedgerSigner } from '#ledger/client.ts';
import { openEmbeddedLedger, type EmbeddedLedger } from '#ledger/embedded/ledger.ts';
import { createLedgerClient } from '#ledger/gateway-client.ts';
import { createSigner } from '#ledger/signer.ts';
import type { Member } from '#model/con.ts';
import { OrgId, type ChannelName } from '#model/ids.ts';
import { channelKind, channelOrgs, CON, contractOf, DRC, endorsementsNeeded, hdcOf, orgClass, UIC } from '#model/orgs.ts';
import { fakeClock, realScheduler, seededRandom, type SettableClock } from '#sim/seams.ts';
import { createWire, type Wire } from '#sim/wire.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { openOrdererIdentity, openOrgIdentity, type KeptOrgIdentity } from './identity.ts';
import type { OrgDeps } from './types.ts';

export const PEOPLE = OrgId.parse('UO-people');
export const EAST = OrgId.parse('HO-east');
export const WEST = OrgId.parse('HO-west');
export const LAB = OrgId.parse('DUO-lab');
export const INSURER = OrgId.parse('DUO-insurer');
export const ORGS: readonly OrgId[] = [PEOPLE, EAST, WEST, LAB, INSURER];
export const START_MS = Date.UTC(2026, 10, 20, 12);
const CONTRACTS = { uic: uicContract, hdc: hdcContract, drc: drcContract, con: conContract };

export interface CertificateWish {
  readonly role?: string;
  readonly unit?: string;
  readonly name?: string;
  readonly notBefore?: number;
  readonly days?: number;
}

/** A certificate with its key, able to sign requests and transactions. */
export interface Holder {
  readonly certificate: string;
  readonly signer: LedgerSigner;
  readonly sign: SignRequest;
}

export interface TestNetwork {
  readonly clock: SettableClock;
  readonly embedded: EmbeddedLedger;
  readonly ledger: LedgerClient;
  readonly wire: Wire;
  readonly members: readonly Member[];
  identity(org: OrgId): KeptOrgIdentity;
  url(org: OrgId): string;
  deps(org: OrgId, log?: Log): OrgDeps;
  holder(ca: CertificateAuthority, wish?: CertificateWish): Promise<Holder>;
  close(): Promise<void>;
}

export const urlOf = (org: OrgId): string => `https://${org.toLowerCase()}.example`;

/** Starts the ledger and founds the consortium; organisations are built by the test. */
export async function startNetwork(orgs: readonly OrgId[] = ORGS): Promise<TestNetwork> {
  const clock = fakeClock(START_MS);
  const random = seededRandom('org tests');
  const identities = new Map<OrgId, KeptOrgIdentity>();
  for (const org of orgs) identities.set(org, await openOrgIdentity({ org, store: openSqliteKeyValueStore(':memory:'), clock }));
  const identity = (org: OrgId): KeptOrgIdentity => identities.get(org) as KeptOrgIdentity;
  const orderer = await openOrdererIdentity({ mspId: 'ORD-consortium', store: openSqliteKeyValueStore(':memory:'), clock });
  const embedded = await openEmbeddedLedger({ folder: ':memory:', orderer, clock, random, scheduler: realScheduler, log: silentLog });
  const channels: ChannelName[] = [CON, UIC, DRC, ...orgs.filter((org) => orgClass(org) === 'ho').map(hdcOf)];
  for (const channel of channels) await openChannel(embedded, channel, { orgs, identity });
  const ledger = createLedgerClient({ transport: embedded.transport(), clock, random, scheduler: realScheduler });
  const members: Member[] = orgs.map((org) => ({ org, name: `Member ${org}`, rootCertificate: identity(org).ca.certificate, url: urlOf(org), hpkePublicKey: toBase64url(identity(org).hpke.publicKey) }));
  await ledger.submit({ channel: CON, contract: contractOf(CON), name: 'found', input: { members }, signer: identity(orgs[0] as OrgId).system });
  const wire = createWire();
  return {
    clock,
    embedded,
    ledger,
    wire,
    members,
    identity,
    url: urlOf,
    deps: (org, log = silentLog) => ({ identity: identity(org), url: urlOf(org), ledger, store: openSqliteKeyValueStore(':memory:'), clock, random, scheduler: realScheduler, log, fetch: wire.fetch }),
    holder: (ca, wish = {}) => holder(ca, { clock, random }, wish),
    close: () => embedded.close(),
  };
}

async function openChannel(embedded: EmbeddedLedger, channel: ChannelName, network: { readonly orgs: readonly OrgId[]; identity(org: OrgId): KeptOrgIdentity }): Promise<void> {
  const { orgs, peers } = channelOrgs(channel, network.orgs);
  const needed = endorsementsNeeded(channel, peers);
  await embedded.createChannel({ name: channel, orgs: orgs.map((org) => ({ mspId: org, rootCertificate: network.identity(org).ca.certificate })), peers: [...peers], needed });
  for (const org of peers) {
    const { certificate, privateKeyPkcs8 } = network.identity(org).peerKey;
    await embedded.attachPeer({ mspId: org, certificate, privateKeyPkcs8, channels: [channel] });
  }
  await embedded.deploy({ channel, name: contractOf(channel), chaincode: CONTRACTS[channelKind(channel)], needed });
}

async function holder(ca: CertificateAuthority, seams: Pick<OrgDeps, 'clock' | 'random'>, wish: CertificateWish): Promise<Holder> {
  const pair = await generateSigningKey();
  const certificate = await ca.issue({
    commonName: wish.name ?? toBase64url(seams.random.bytes(16)),
    organizationalUnit: wish.unit ?? (wish.role === 'operator' ? 'admin' : 'client'),
    attributes: wish.role === undefined ? {} : { 'hk.role': wish.role },
    publicKey: pair.publicKey,
    notBefore: wish.notBefore ?? seams.clock.now(),
    days: wish.days ?? 30,
  });
  const signer = createSigner({ mspId: ca.org, certificate, privateKey: pair.privateKey });
  return { certificate, signer, sign: (request) => signRequest(request, { certificate, sign: (message) => signer.sign(message), ...seams }) };
}
