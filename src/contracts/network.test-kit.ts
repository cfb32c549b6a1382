/** The five channels on a real embedded ledger with real certificates, for the contracts' tests. */
import type { Clock } from '#base/ports.ts';
import { silentLog } from '#base/ports.ts';
import { toBase64url, utf8, type Bytes } from '#base/bytes.ts';
import { exportPrivateKey, generateSigningKey } from '#crypto/keys.ts';
import { sha256 } from '#crypto/digest.ts';
import { createAuthority, type CertificateAuthority } from '#crypto/x509.ts';
import type { LedgerClient, LedgerSigner } from '#ledger/client.ts';
import { openEmbeddedLedger, type EmbeddedLedger } from '#ledger/embedded/ledger.ts';
import { createNativeSigner } from '#ledger/embedded/native-signer.ts';
import { createLedgerClient } from '#ledger/gateway-client.ts';
import { parseCertificate } from '#ledger/certificate.ts';
import { identityOf } from '#ledger/client-identity.ts';
import { instant, type CallerId, type ChannelName, type Digest, type Instant, type OrgId, type SlotTag } from '#model/ids.ts';
import { channelOrgs, contractOf, endorsementsNeeded, Role, type ChannelKind } from '#model/orgs.ts';
import { fakeClock, realScheduler, seededRandom, type SettableClock } from '#sim/seams.ts';
import { conContract } from './con.ts';
import { drcContract } from './drc.ts';
import { hdcContract } from './hdc.ts';
import type { Contract } from './table.ts';
import { uicContract } from './uic.ts';

export const PEOPLE = 'UO-people' as OrgId;
export const EAST = 'HO-east' as OrgId;
export const WEST = 'HO-west' as OrgId;
export const LAB = 'DUO-lab' as OrgId;
export const INSURER = 'DUO-insurer' as OrgId;
export const ORGS: readonly OrgId[] = [PEOPLE, EAST, WEST, LAB, INSURER];
export const CHANNELS = ['uic', 'hdc-east', 'hdc-west', 'drc', 'con'] as ChannelName[];
export const contracts: Record<ChannelKind, Contract> = { uic: uicContract, hdc: hdcContract, drc: drcContract, con: conContract };

/** Where the tests' clock starts, and the days counted from there. */
export const START_MS = Date.UTC(2026, 5, 1);
const DAY_MS = 86_400_000;
export const day = (number: number): Instant => instant(START_MS + number * DAY_MS);

/** Reproducible ids: `digestOf('a')` is 32 bytes, `idOf('a')` 16. */
export const digestOf = (name: string): Digest => toBase64url(sha256(utf8(name))) as Digest;
export const idOf = <T extends string>(name: string): T => toBase64url(sha256(utf8(name)).slice(0, 16)) as T;
export const slotOf = (name: string): SlotTag => digestOf(`slot ${name}`) as unknown as SlotTag;
export const sealedOf = (bytes: number): string => toBase64url(new Uint8Array(bytes).fill(7));

export interface Network {
  readonly clock: SettableClock;
  readonly ledger: LedgerClient;
  readonly embedded: EmbeddedLedger;
  /** A client whose claimed times come from another clock. */
  clientAt(clock: Clock): LedgerClient;
  /** A fresh certificate of the organisation; `name` is its common name. */
  signer(org: OrgId, role: Role, name?: string): Promise<LedgerSigner>;
  /** Another certificate of a person for the same name and key, as after a renewal. */
  renewed(signer: LedgerSigner): Promise<LedgerSigner>;
  rootOf(org: OrgId): string;
  /** The peer's own identity, which reads whole blocks. */
  peerOf(org: OrgId): LedgerSigner;
  close(): Promise<void>;
}

/** The fingerprint by which contracts know a signer. */
export function callerIdOf(signer: LedgerSigner): CallerId {
  return toBase64url(identityOf(signer.mspId, signer.certificate).fingerprint) as CallerId;
}

/** The digest of its key, by which a keeper's channel knows an owner. */
export function keyOf(signer: LedgerSigner): Digest {
  return toBase64url(identityOf(signer.mspId, signer.certificate).keyDigest) as Digest;
}

interface Certified {
  readonly certificate: string;
  readonly privateKeyPkcs8: Bytes;
}

interface Subject {
  readonly commonName: string;
  readonly organizationalUnit: string;
  readonly attributes: Record<string, string>;
}

async function certify(ca: CertificateAuthority, subject: Subject): Promise<Certified> {
  const keys = await generateSigningKey();
  const certificate = await ca.issue({ ...subject, publicKey: keys.publicKey, notBefore: START_MS, days: 400 });
  return { certificate, privateKeyPkcs8: await exportPrivateKey(keys.privateKey) };
}

/** Starts the whole network in a folder (or in memory). */
export async function startNetwork(folder = ':memory:'): Promise<Network> {
  const clock = fakeClock(START_MS);
  const random = seededRandom('contracts');
  const authority = (org: string) => createAuthority({ org, commonName: `${org} root`, clock, random });
  const authorities = new Map<string, CertificateAuthority>();
  for (const org of ORGS) authorities.set(org, await authority(org));
  const ca = (org: string): CertificateAuthority => authorities.get(org) as CertificateAuthority;
  const ordererCa = await authority('ORD-consortium');
  const orderer = await certify(ordererCa, { commonName: 'orderer', organizationalUnit: 'orderer', attributes: {} });

  const embedded = await openEmbeddedLedger({ folder, clock, random, scheduler: realScheduler, log: silentLog, orderer: { mspId: 'ORD-consortium', ...orderer, rootCertificate: ordererCa.certificate } });
  for (const name of CHANNELS) {
    const { orgs, peers } = channelOrgs(name, ORGS);
    const needed = endorsementsNeeded(name, peers);
    await embedded.createChannel({ name, orgs: orgs.map((mspId) => ({ mspId, rootCertificate: ca(mspId).certificate })), peers, needed });
  }
  const peers = new Map<OrgId, LedgerSigner>();
  for (const mspId of ORGS) {
    const peer = await certify(ca(mspId), { commonName: `peer.${mspId}`, organizationalUnit: 'peer', attributes: { 'hk.role': 'peer' } });
    peers.set(mspId, createNativeSigner({ mspId, ...peer }));
    await embedded.attachPeer({ mspId, ...peer, channels: CHANNELS.filter((channel) => channelOrgs(channel, ORGS).peers.includes(mspId)) });
  }
  for (const channel of CHANNELS) {
    const { peers } = channelOrgs(channel, ORGS);
    await embedded.deploy({ channel, name: contractOf(channel), chaincode: contracts[contractOf(channel)], needed: endorsementsNeeded(channel, peers) });
  }

  const transport = embedded.transport();
  // Each client has its own chance: two with the same nonces would make the same transaction ids.
  let clients = 0;
  const clientAt = (at: Clock): LedgerClient => createLedgerClient({ transport, clock: at, random: seededRandom(`client ${clients++}`), scheduler: realScheduler });
  let names = 0;
  return {
    clock,
    embedded,
    ledger: clientAt(clock),
    clientAt,
    async signer(org, role, name = idOf(`name ${names++}`)) {
      const organizationalUnit = role === 'operator' ? 'admin' : 'client';
      return createNativeSigner({ mspId: org, ...(await certify(ca(org), { commonName: name, organizationalUnit, attributes: { 'hk.role': role } })) });
    },
    async renewed(signer) {
      const { commonName, spki } = parseCertificate(signer.certificate);
      const certificate = await ca(signer.mspId).issue({ commonName, organizationalUnit: 'client', attributes: { 'hk.role': 'person' }, publicKey: new Uint8Array(spki), notBefore: START_MS, days: 800 });
      return { ...signer, certificate };
    },
    peerOf: (org) => peers.get(org) as LedgerSigner,
    rootOf: (org) => ca(org).certificate,
    close: () => embedded.close(),
  };
}

/** A certificate of the organisation in every role. */
export const everyRole = (network: Network, org: OrgId): Promise<readonly LedgerSigner[]> => Promise.all(Role.options.map((role) => network.signer(org, role)));

/** The code that a call was refused with; `allowed` when it was not. */
export async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'allowed';
  } catch (error) {
    return (error as { readonly code?: string }).code ?? String(error);
  }
}
