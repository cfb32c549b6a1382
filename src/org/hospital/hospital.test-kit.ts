/** A small real network for the hospital's tests: embedded ledger, user organisation, one hospital, one data user's keys, people. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromBase64url, toBase64url, utf8, type Bytes } from '#base/bytes.ts';
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import type { Fetch, KeyValueStore } from '#base/ports.ts';
import { createApiClient, type ApiClient } from '#api/client.ts';
import { hospitalEndpoints, userOrgEndpoints, type LeafProof } from '#api/endpoints.ts';
import { conContract } from '#contracts/con.ts';
import { conClient, drcClient, hdcClient, type ContractClient } from '#contracts/client.ts';
import { drcContract } from '#contracts/drc.ts';
import { hdcContract } from '#contracts/hdc.ts';
import { slotKey } from '#contracts/keys.ts';
import { uicContract } from '#contracts/uic.ts';
import { signNote } from '#crypto/checkpoint.ts';
import { saltedDigest, saltedList } from '#crypto/commitment.ts';
import { sha256 } from '#crypto/digest.ts';
import { generateHpkeKeyPair, type HpkeKeyPair } from '#crypto/hpke.ts';
import { generateSigningKey, spki } from '#crypto/keys.ts';
import { signJson } from '#crypto/signed-json.ts';
import { openEmbeddedLedger, type EmbeddedLedger } from '#ledger/embedded/ledger.ts';
import { createLedgerClient } from '#ledger/gateway-client.ts';
import type { LedgerClient, LedgerSigner } from '#ledger/client.ts';
import { createSigner } from '#ledger/signer.ts';
import { instant, type Digest, type GrantId, type Instant, type MailboxHandle, type OrgId, type PairwiseId, type RecordId, type SlotTag, type SubjectId } from '#model/ids.ts';
import type { Grant, GrantOpening, Signed } from '#model/messages.ts';
import { channelOrgs, CON, contractOf, DRC, endorsementsNeeded, hdcOf, UIC } from '#model/orgs.ts';
import { RequestTemplate, type TemplateRef } from '#model/template.ts';
import { fakeClock, realScheduler, rememberingLog, seededRandom, type SettableClock } from '#sim/seams.ts';
import { openBlobStore } from '#store/blob-store.ts';
import type { BlobStore, RecordStore } from '#store/ports.ts';
import { openSqliteRecordStore } from '#store/record-store.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { openTreeStore, type TreeStore } from '#store/tree-store.ts';
import { openOrdererIdentity, openOrgIdentity, type KeptOrgIdentity } from '../identity.ts';
import { signerOf } from '../signing.ts';
import { createUserOrg } from '../user-org/user-org.ts';
import { testMemory } from '../witness/memory.test-kit.ts';
import { createWitness, type Witness } from '../witness/witness.ts';
import { createHospital, type Hospital, type HospitalConfig } from './hospital.ts';

export const UO = 'UO-home' as OrgId;
export const HO = 'HO-east' as OrgId;
export const DUO = 'DUO-insure' as OrgId;
export const OTHER_DUO = 'DUO-other' as OrgId;
export const START = Date.UTC(2026, 2, 1, 8);
const DAY = 86_400_000;
const CONTRACTS = { con: conContract, drc: drcContract, hdc: hdcContract, uic: uicContract };

export interface TestNetwork {
  readonly folder: string;
  readonly clock: SettableClock;
  readonly random: ReturnType<typeof seededRandom>;
  readonly ledger: EmbeddedLedger;
  readonly client: LedgerClient;
  readonly identities: ReadonlyMap<OrgId, KeptOrgIdentity>;
  readonly fetch: Fetch;
  readonly log: ReturnType<typeof rememberingLog>;
  readonly drcWitness: Witness;
  /** The hospital as it runs now. */
  readonly keeper: { readonly hospital: Hospital; readonly records: RecordStore; readonly bodies: BlobStore; readonly store: KeyValueStore };
  /** Stops the hospital and starts it again on the same folder. */
  restart(options?: Partial<KeeperOptions>): Promise<void>;
  stop(): Promise<void>;
  hospitalAs(signer: LedgerSigner): ApiClient<typeof hospitalEndpoints>;
  person(name: string): Promise<TestPerson>;
  close(): Promise<void>;
}

export interface KeeperOptions {
  readonly config: HospitalConfig;
  /** Wraps what the hospital works with, to break it. */
  readonly ledger: (client: LedgerClient) => LedgerClient;
  readonly records: (store: RecordStore) => RecordStore;
  readonly bodies: (store: BlobStore) => BlobStore;
  readonly fetch: (fetch: Fetch) => Fetch;
}

export interface TestPerson {
  readonly pairwiseId: PairwiseId;
  readonly signer: LedgerSigner;
  readonly hpke: HpkeKeyPair;
  readonly mailbox: MailboxHandle;
  readonly hdc: ContractClient<'hdc'>;
  readonly hospital: ApiClient<typeof hospitalEndpoints>;
  linkCode(over?: Readonly<Record<string, Json>>): Promise<Signed>;
  /** The same person under another certificate of the user organisation for the same name: for the same key, as after a renewal, or for one of its own. */
  certifiedAnew(key: 'same key' | 'other key'): Promise<TestPerson>;
}

const QUIET: HospitalConfig = { sweepSeconds: 0, accessHeadSeconds: 0.1, noticeSeconds: 0.1, checkpointSeconds: 0.1, timeFloorSeconds: 3_600 };

export async function openTestNetwork(options: Partial<KeeperOptions> & { readonly seed?: string } = {}): Promise<TestNetwork> {
  const folder = mkdtempSync(join(tmpdir(), 'healthkeep-hospital-'));
  const clock = fakeClock(START);
  const random = seededRandom(options.seed ?? 'hospital');
  const log = rememberingLog();
  const seams = { clock, random, scheduler: realScheduler, log: log.log };
  const orgs = [UO, HO, DUO, OTHER_DUO];
  const identities = new Map<OrgId, KeptOrgIdentity>();
  for (const org of orgs) {
    identities.set(org, await openOrgIdentity({ org, store: openSqliteKeyValueStore(':memory:'), clock }));
  }
  const ledger = await openTestLedger(folder, identities, seams);
  const client = createLedgerClient({ transport: ledger.transport(), ...seams });
  const handlers = new Map<string, Fetch>();
  const urlOf = (org: OrgId): string => `https://${org.toLowerCase()}.example`;
  const fetch: Fetch = async (request) => (await handlers.get(new URL(request.url).host)?.(request)) ?? new Response(null, { status: 503 });
  const members = orgs.map((org) => {
    const { ca, hpke } = identities.get(org) as KeptOrgIdentity;
    return { org, name: `Member ${org}`, rootCertificate: ca.certificate, url: urlOf(org), hpkePublicKey: toBase64url(hpke.publicKey) };
  });
  const as = (org: OrgId): KeptOrgIdentity => identities.get(org) as KeptOrgIdentity;
  await conClient(client, as(UO).system).submit('found', { members });
  const userOrg = await createUserOrg({ ...seams, identity: as(UO), url: urlOf(UO), ledger: client, store: openSqliteKeyValueStore(':memory:'), treeStore: openTreeStore(':memory:'), fetch, publishCrl: async () => undefined, config: { timeFloorSeconds: 3_600, checkpointSeconds: 3_600 } });
  handlers.set(new URL(urlOf(UO)).host, userOrg.fetch);
  await userOrg.start();
  const drcWitness = createWitness({ ...seams, heads: testMemory().heads, channel: DRC, ledger: client, identity: as(DUO), store: openTreeStore(':memory:') });
  await drcWitness.start();

  const open = async (over: Partial<KeeperOptions>): Promise<TestNetwork['keeper'] & { readonly trees: TreeStore }> => {
    const records = openSqliteRecordStore(join(folder, 'hospital/records.sqlite'));
    const bodies = openBlobStore({ folder: join(folder, 'hospital/bodies') });
    const store = openSqliteKeyValueStore(join(folder, 'hospital/state.sqlite'));
    const trees = openTreeStore(join(folder, 'hospital/tree.sqlite'));
    const hospital = await createHospital({
      ...seams, identity: as(HO), url: urlOf(HO), store, treeStore: trees, config: { ...QUIET, ...over.config },
      ledger: over.ledger?.(client) ?? client, recordStore: over.records?.(records) ?? records, blobStore: over.bodies?.(bodies) ?? bodies, fetch: over.fetch?.(fetch) ?? fetch,
    });
    handlers.set(new URL(urlOf(HO)).host, hospital.fetch);
    await hospital.start();
    return { hospital, records, bodies, store, trees };
  };
  let keeper = await open(options);
  let stopped = false;
  const stop = async (): Promise<void> => {
    if (stopped) return;
    stopped = true;
    await keeper.hospital.close();
    await Promise.all([keeper.records.close(), keeper.bodies.close(), keeper.store.close(), keeper.trees.close()]);
  };
  const hospitalAs = (signer: LedgerSigner) => createApiClient({ table: hospitalEndpoints, baseUrl: urlOf(HO), fetch, sign: signerOf({ clock, random }, signer) });
  return {
    folder, clock, random, ledger, client, identities, fetch, log, drcWitness,
    get keeper() {
      return keeper;
    },
    stop,
    async restart(over = {}) {
      await stop();
      keeper = await open(over);
      stopped = false;
    },
    hospitalAs,
    person: (name) => openPerson({ name, client, clock, random, identity: as(UO), hospitalAs, userOrg: (signer) => createApiClient({ table: userOrgEndpoints, baseUrl: urlOf(UO), fetch, sign: signerOf({ clock, random }, signer) }) }),
    async close() {
      await stop().catch(() => undefined);
      await drcWitness.close();
      await userOrg.close();
      await ledger.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function openTestLedger(folder: string, identities: ReadonlyMap<OrgId, KeptOrgIdentity>, seams: { readonly clock: SettableClock; readonly random: ReturnType<typeof seededRandom>; readonly scheduler: typeof realScheduler; readonly log: ReturnType<typeof rememberingLog>['log'] }): Promise<EmbeddedLedger> {
  const orderer = await openOrdererIdentity({ mspId: 'ORD-consortium', store: openSqliteKeyValueStore(':memory:'), clock: seams.clock });
  const ledger = await openEmbeddedLedger({ ...seams, folder: join(folder, 'ledger'), orderer });
  const orgs = [...identities.keys()];
  for (const channel of [CON, UIC, DRC, hdcOf(HO)]) {
    const { orgs: members, peers } = channelOrgs(channel, orgs);
    const needed = endorsementsNeeded(channel, peers);
    await ledger.createChannel({ name: channel, orgs: members.map((org) => ({ mspId: org, rootCertificate: (identities.get(org) as KeptOrgIdentity).ca.certificate })), peers: [...peers], needed });
    for (const org of peers) {
      const { peerKey } = identities.get(org) as KeptOrgIdentity;
      await ledger.attachPeer({ mspId: org, certificate: peerKey.certificate, privateKeyPkcs8: peerKey.privateKeyPkcs8, channels: [channel] });
    }
    const kind = contractOf(channel);
    await ledger.deploy({ channel, name: kind, chaincode: CONTRACTS[kind], needed });
  }
  return ledger;
}

async function openPerson(parts: {
  readonly name: string; readonly client: LedgerClient; readonly clock: SettableClock; readonly random: ReturnType<typeof seededRandom>; readonly identity: KeptOrgIdentity;
  readonly hospitalAs: (signer: LedgerSigner) => ApiClient<typeof hospitalEndpoints>; readonly userOrg: (signer: LedgerSigner) => ApiClient<typeof userOrgEndpoints>;
}): Promise<TestPerson> {
  const { client, clock, random, identity } = parts;
  const pairwiseId = toBase64url(sha256(utf8(parts.name)).subarray(0, 16)) as PairwiseId;
  const pair = await generateSigningKey();
  const signer = await personSigner(identity, pairwiseId, clock, pair);
  const hpke = await generateHpkeKeyPair();
  const mailboxKey = await generateSigningKey();
  const { handle } = await parts.userOrg(signer).openMailbox({ body: { publicKey: toBase64url(await spki(mailboxKey.publicKey)) } });
  const as = (signer: LedgerSigner): TestPerson => ({
    pairwiseId, signer, hpke, mailbox: handle,
    hdc: hdcClient(client, { keeper: HO, signer }),
    hospital: parts.hospitalAs(signer),
    async linkCode(over = {}) {
      const request = { kind: 'link', keeper: HO, pairwiseId, certificate: signer.certificate, hpkePublicKey: toBase64url(hpke.publicKey), mailbox: handle, nonce: toBase64url(random.bytes(32)), expiresAt: instant(clock.now() + 600_000), ...over };
      return (await signJson(request, signer)) as Signed;
    },
    certifiedAnew: async (key) => as(await personSigner(identity, pairwiseId, clock, key === 'same key' ? pair : undefined)),
  });
  return as(signer);
}

/** A person's certificate from the user organisation's root; one-time ones carry a random name. */
export async function personSigner(identity: KeptOrgIdentity, name: string, clock: SettableClock, keys?: CryptoKeyPair): Promise<LedgerSigner> {
  const pair = keys ?? (await generateSigningKey());
  const certificate = await identity.ca.issue({ commonName: name, organizationalUnit: 'client', attributes: { 'hk.role': 'person' }, publicKey: pair.publicKey, notBefore: clock.now(), days: 60 });
  return createSigner({ mspId: identity.org, certificate, privateKey: pair.privateKey });
}

export interface Answered {
  readonly slot: SlotTag;
  readonly grant: Grant;
  readonly signed: Signed;
  readonly opening: GrantOpening;
  readonly proof: LeafProof;
  readonly ticket: Digest;
  readonly oneTime: HpkeKeyPair;
  readonly slotSigner: LedgerSigner;
}

export interface AnswerWish {
  readonly person: TestPerson;
  readonly subject: SubjectId;
  readonly items: readonly RecordId[];
  /** Changes the grant before it is signed; the order and the answer stay as they are. */
  readonly grant?: (grant: Grant) => Grant;
  readonly until?: Instant;
  readonly skipOrder?: boolean;
  readonly orderItems?: readonly RecordId[];
  readonly decision?: 'all' | 'no';
}

/** A template accepted on CON and published on DRC by the data user. */
export async function publishTemplate(network: TestNetwork): Promise<TemplateRef> {
  const template = RequestTemplate.parse({
    id: 'life-cover', version: 1, requester: DUO, title: 'Life cover', purpose: 'underwriting', why: 'To offer a contract to you.', ifRefused: 'You will be asked to see a doctor.', legalBasis: 'consent',
    approval: { issuer: 'Ethics board', documentDigest: toBase64url(network.random.bytes(32)) as Digest, until: instant(START + 300 * DAY) }, select: [{ resourceType: 'Observation', codes: [] }], retentionDays: 30,
    price: { currency: 'EUR', perItem: '100', perAnswer: '500', split: { owner: 7_000, keepers: 2_000, operator: 1_000 } },
  });
  const digest = toBase64url(sha256(canonicalBytes(template as Json))) as Digest;
  const con = (org: OrgId) => conClient(network.client, (network.identities.get(org) as KeptOrgIdentity).system);
  await con(DUO).submit('propose', { id: 'template-life-cover', kind: 'template', digest, title: 'Life cover', deadline: instant(START + DAY) });
  for (const org of [UO, HO, DUO]) await con(org).submit('vote', { id: 'template-life-cover', choice: 'yes' });
  await drcClient(network.client, (network.identities.get(DUO) as KeptOrgIdentity).system).submit('publishTemplate', { template });
  return { id: template.id, version: 1, digest };
}

/** Everything up to the proof: permit, invitation, answer on DRC, order on HDC. */
export async function answerWith(network: TestNetwork, template: TemplateRef, wish: AnswerWish): Promise<Answered> {
  const { client, clock, random, identities } = network;
  const b32 = (): string => toBase64url(random.bytes(32));
  const sealed = (bytes: number): string => toBase64url(random.bytes(bytes));
  const slot = b32() as SlotTag;
  const slotSigner = await personSigner(identities.get(UO) as KeptOrgIdentity, b32(), clock);
  const [owner, user] = [drcClient(client, slotSigner), drcClient(client, (identities.get(DUO) as KeptOrgIdentity).system)];
  const until = wish.until ?? instant(clock.now() + 10 * DAY);
  await owner.submit('openSlot', { slot, duo: DUO, templates: [template], notBefore: instant(clock.now() - 1_000), until: instant(clock.now() + 20 * DAY), sealed: sealed(4_096) });
  await user.submit('invite', { slot, template, sealed: sealed(8_192), answerBy: instant(clock.now() + 15 * DAY) });
  const oneTime = await generateHpkeKeyPair();
  const recipientKeyDigest = toBase64url(sha256(oneTime.publicKey)) as Digest;
  const honest: Grant = {
    kind: 'grant', id: toBase64url(random.bytes(16)) as GrantId, keeper: HO, owner: wish.person.pairwiseId, subject: wish.subject, slot, recipient: DUO, recipientKeyDigest, recipientPublicKey: toBase64url(oneTime.publicKey),
    purpose: 'underwriting', template, items: [...wish.items], issuedAt: instant(clock.now()), until, eraseAt: instant(clock.now() + 20 * DAY), salt: b32() as Digest,
  };
  const honestSigned = (await signJson(honest as Json, wish.person.signer)) as Signed;
  const digest = (grant: Grant, payload: string): Digest => toBase64url(saltedDigest(fromBase64url(grant.salt), utf8(payload))) as Digest;
  const opening: GrantOpening = { salt: b32() as Digest, digests: [digest(honest, honestSigned.payload)] };
  const no = wish.decision === 'no';
  const zero = toBase64url(new Uint8Array(32)) as Digest;
  const answered = await owner.submit('respond', {
    slot, decision: wish.decision ?? 'all', grantCommitment: no ? zero : (toBase64url(saltedList(fromBase64url(opening.salt), opening.digests)) as Digest),
    recipientKeyDigest: no ? zero : recipientKeyDigest, until, eraseAt: honest.eraseAt, sealed: sealed(4_096),
  });
  if (wish.skipOrder !== true) {
    const { id, subject, recipient, purpose, eraseAt } = honest;
    await wish.person.hdc.submit('orderRelease', { grant: id, grantDigest: digest(honest, honestSigned.payload), subject, items: [...(wish.orderItems ?? wish.items)], recipient, recipientKeyDigest, purpose, until, eraseAt, slot });
  }
  const grant = wish.grant?.(honest) ?? honest;
  const signed = grant === honest ? honestSigned : ((await signJson(grant as Json, wish.person.signer)) as Signed);
  return { slot, grant, signed, opening, proof: await slotProof(network, slot, answered.blockNumber), ticket: b32() as Digest, oneTime, slotSigner };
}

/** The light proof that a member of DRC gives; co-signed by both data users. */
export async function slotProof(network: TestNetwork, slot: SlotTag, block: number): Promise<LeafProof> {
  await network.drcWitness.caughtUp(block);
  const proof = await network.drcWitness.proofOf({ namespace: 'drc', key: slotKey(slot) });
  const other = network.identities.get(OTHER_DUO) as KeptOrgIdentity;
  return { ...proof, checkpoint: await signNote(proof.checkpoint, { name: OTHER_DUO, certificate: other.peer.certificate, sign: (message) => other.peer.sign(message) }) };
}

/** A FHIR bundle of one patient with so many observations, all different. */
export function bundleOf(patient: string, observations: number, options: { readonly tag?: string; readonly from?: number; readonly canary?: string } = {}): Bytes {
  const { tag = '', from = 0, canary = '' } = options;
  const entry = [
    { fullUrl: `urn:uuid:${uuid(patient)}`, resource: { resourceType: 'Patient', id: patient, name: [{ family: `Family${canary}`, given: ['Given'] }] } },
    ...Array.from({ length: observations }, (_, at) => ({
      fullUrl: `urn:uuid:${uuid(`${patient}/${from + at}`)}`,
      resource: {
        resourceType: 'Observation', id: `${patient}-o${from + at}`, status: 'final', code: { coding: [{ system: 'http://loinc.org', code: '4548-4' }], text: `HbA1c ${canary}` },
        subject: { reference: `urn:uuid:${uuid(patient)}` }, effectiveDateTime: '2024-05-01T08:00:00Z', valueQuantity: { value: 5 + at / 10, unit: `% ${tag}`, system: 'http://unitsofmeasure.org', code: '%' },
      },
    })),
  ];
  return utf8(JSON.stringify({ resourceType: 'Bundle', type: 'collection', entry }));
}

/** A UUID made from a name. */
function uuid(name: string): string {
  const hex = Buffer.from(sha256(utf8(name))).toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

export const until = async (condition: () => Promise<boolean> | boolean, milliseconds = 5_000): Promise<void> => {
  const started = performance.now();
  while (!(await condition())) {
    if (performance.now() - started > milliseconds) throw new Error('the condition did not come true in time');
    await realScheduler.sleep(10);
  }
};

