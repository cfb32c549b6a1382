/** The user organisation over its HTTP interface, on a real ledger. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createApiClient } from '#api/client.ts';
import { commonEndpoints, NetworkMap, userOrgEndpoints } from '#api/endpoints.ts';
import { readMap } from '#api/map.ts';
import { toBase64url, type Bytes } from '#base/bytes.ts';
import { contractClient } from '#contracts/client.ts';
import { signMailboxRequest, signRequest } from '#crypto/http-signature.ts';
import { generateSigningKey, signLowS, spki } from '#crypto/keys.ts';
import { signJson, verifySigned } from '#crypto/signed-json.ts';
import { createCsr, readCertificate, verifyChain } from '#crypto/x509.ts';
import type { OrgId } from '#model/ids.ts';
import type { Signed } from '#model/messages.ts';
import { CON } from '#model/orgs.ts';
import { rememberingLog } from '#sim/seams.ts';
import { openTreeStore } from '#store/tree-store.ts';
import { CANARY, fuzzEndpoints } from '../fuzz.test-kit.ts';
import { EAST, PEOPLE, startNetwork, urlOf, WEST, type TestNetwork } from '../network.test-kit.ts';
import { signerOf } from '../signing.ts';
import { createUserOrg, type UserOrg } from './user-org.ts';

const DAY_MS = 86_400_000;
const random = { bytes: (length: number): Bytes => crypto.getRandomValues(new Uint8Array(length)) };
const log = rememberingLog();
let network: TestNetwork;
let org: UserOrg;

beforeAll(async () => {
  network = await startNetwork();
  org = await createUserOrg({ ...network.deps(PEOPLE, log.log), treeStore: openTreeStore(':memory:'), publishCrl: async () => undefined });
  network.wire.attach(urlOf(PEOPLE), org.fetch);
  await org.start();
});
afterAll(async () => {
  await org.close();
  await network.close();
});

const client = () => createApiClient({ table: { ...commonEndpoints, ...userOrgEndpoints }, baseUrl: urlOf(PEOPLE), fetch: network.wire.fetch });
const by = (role: 'system' | 'operator', of: OrgId = PEOPLE) => signerOf(network.deps(of), network.identity(of)[role]);

async function newKey() {
  const keyPair = await generateSigningKey();
  const sign = (message: Uint8Array): Promise<Uint8Array> => signLowS(keyPair.privateKey, message as Bytes);
  return { keyPair, sign, csr: await createCsr({ commonName: toBase64url(random.bytes(16)), keyPair }), publicKey: await spki(keyPair.publicKey) };
}

async function enrolled() {
  const { code } = await client().inviteCode({ body: {}, sign: by('operator') });
  const key = await newKey();
  const { certificate, root } = await client().enrol({ body: { code, csr: key.csr } });
  const sign = (request: Request): Promise<Request> => signRequest(request, { certificate, sign: key.sign, clock: network.clock, random });
  return { certificate, root, sign };
}

describe('the network map', () => {
  const trust = (change: Partial<Parameters<typeof readMap>[1]> = {}) => ({ pinnedRoot: network.identity(PEOPLE).ca.certificate, lastVersion: 0, now: network.clock.now(), crypto: { verifySigned, verifyChain, readCertificate }, ...change });
  const resigned = async (signed: Signed, change: (map: NetworkMap) => unknown, of: OrgId = PEOPLE, role: 'system' | 'staff' = 'system'): Promise<Signed> => (await signJson(change(NetworkMap.parse(JSON.parse(signed.payload))) as never, network.identity(of)[role])) as Signed;

  it('names every member as CON has it', async () => {
    const map = await readMap(await client().map(), trust());
    expect(map.members.map((member) => member.org).sort()).toEqual(network.members.map((member) => member.org).sort());
    expect(map.members.find((member) => member.org === EAST)).toEqual(network.members.find((member) => member.org === EAST));
  });

  it('keeps its version while nothing changes, and grows when a member does', async () => {
    const first = await readMap(await client().map(), trust());
    expect((await readMap(await client().map(), trust())).version).toBe(first.version);
    const east = network.members.find((member) => member.org === EAST);
    await contractClient<'con'>(network.ledger, { channel: CON, signer: network.identity(EAST).system }).submit('updateMember', { name: 'East Hospital, renamed', url: urlOf(EAST), hpkePublicKey: east?.hpkePublicKey ?? '' });
    await org.consortium.refresh();
    const second = await readMap(await client().map(), trust({ lastVersion: first.version }));
    expect(second.version).toBe(first.version + 1);
    expect(second.members.find((member) => member.org === EAST)?.name).toBe('East Hospital, renamed');
  });

  it('is signed anew before it ends', async () => {
    const first = await readMap(await client().map(), trust());
    network.clock.advance(4 * DAY_MS);
    const second = await readMap(await client().map(), trust({ lastVersion: first.version, now: network.clock.now() }));
    expect(second.version).toBe(first.version + 1);
  });

  it('is refused when anything about it does not fit', async () => {
    const signed = await client().map();
    const { version } = await readMap(signed, trust());
    const cases: [string, Promise<Signed> | Signed, Parameters<typeof trust>[0]][] = [
      ['signature', { ...signed, payload: signed.payload.replace('East', 'Fast') }, {}],
      ['signature', { ...signed, payload: `${signed.payload} ` }, {}],
      ['signer', resigned(signed, (map) => map, WEST), {}],
      ['signer', resigned(signed, (map) => map, PEOPLE, 'staff'), {}],
      ['signer', signed, { pinnedRoot: network.identity(WEST).ca.certificate }],
      ['rolled-back', signed, { lastVersion: version + 1 }],
      ['expired', signed, { now: network.clock.now() + 8 * DAY_MS }],
      ['shape', resigned(signed, (map) => ({ ...map, extra: 1 })), {}],
      ['doubled-member', resigned(signed, (map) => ({ ...map, members: [...map.members, map.members[0]] })), {}],
      ['root-changed', resigned(signed, (map) => ({ ...map, members: map.members.filter((member) => member.org !== PEOPLE) })), {}],
      ['root-changed', signed, { knownRoots: new Map([[EAST, network.identity(WEST).ca.certificate]]) }],
    ];
    for (const [because, map, change] of cases) await expect(readMap(await map, trust(change)), because).rejects.toMatchObject({ code: 'MAP_REFUSED', details: { because } });
  });
});

describe('the mailbox over HTTP', () => {
  it('carries a sealed message from a member to whoever holds the key', async () => {
    const person = await enrolled();
    const key = await newKey();
    const { handle } = await client().openMailbox({ body: { publicKey: toBase64url(key.publicKey) }, sign: person.sign });
    const sealed = toBase64url(random.bytes(2_048));
    expect(await client().post({ params: { handle }, body: { id: 'one', sealed }, sign: by('system', EAST) })).toEqual({ done: true });
    const mailboxKey = (request: Request): Promise<Request> => signMailboxRequest(request, { publicKey: key.publicKey, sign: key.sign, clock: network.clock, random });
    const { messages } = await client().fetchMessages({ params: { handle }, body: { after: 0, limit: 10 }, sign: mailboxKey });
    expect(messages.map((message) => message.sealed)).toEqual([sealed]);
    await client().ack({ params: { handle }, body: { upTo: messages[0]?.sequence ?? 0 }, sign: mailboxKey });
    expect((await client().fetchMessages({ params: { handle }, body: { after: 0, limit: 10 }, sign: mailboxKey })).messages).toEqual([]);
    const other = await newKey();
    await expect(
      client().fetchMessages({ params: { handle }, body: { after: 0, limit: 10 }, sign: (request) => signMailboxRequest(request, { publicKey: other.publicKey, sign: other.sign, clock: network.clock, random }) }),
    ).rejects.toMatchObject({ code: 'MAILBOX_UNKNOWN' });
  });
});

describe('what everybody may ask', () => {
  it('tells whether it is alive and ready, and how far its channels are', async () => {
    expect(await client().health()).toEqual({ status: 'ok' });
    for (const witness of org.witnesses) await witness.caughtUp(network.embedded.height(witness.channel) - 1);
    const ready = await client().ready();
    expect(ready.ready).toBe(true);
    expect(ready.channels['con']).toEqual({ ready: true, height: network.embedded.height(CON) });
  });

  it('counts without naming', async () => {
    const text = await client().metrics();
    expect(text).toMatch(/healthkeep_http_requests_total\{endpoint="map",status="200",code=""\} \d+/);
    expect(text).toMatch(/healthkeep_channel_height_blocks\{channel="con"\} \d+/);
    expect(text).toContain('healthkeep_certificates_asked_total{use="enrolment"}');
  });

  it('describes itself', async () => {
    const page = (await client().openapi()) as { readonly openapi: string; readonly paths: Readonly<Record<string, unknown>> };
    expect(page.openapi).toBe('3.1.0');
    for (const endpoint of Object.values({ ...commonEndpoints, ...userOrgEndpoints })) expect(page.paths).toHaveProperty([endpoint.path]);
  });
});

describe('under 2,000 requests nobody should send', () => {
  it('answers each with a code, none with 500, and writes nothing of them down', async () => {
    const person = await enrolled();
    await fuzzEndpoints({ fetch: org.fetch, url: urlOf(PEOPLE), table: { ...commonEndpoints, ...userOrgEndpoints }, signers: [person.sign, by('operator'), by('system', EAST)], runs: 2_000, seed: 11 });
    expect(log.text()).not.toContain(CANARY);
    expect(await client().metrics()).not.toContain(CANARY);
  });
});
