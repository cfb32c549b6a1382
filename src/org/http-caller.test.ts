/** Every route × every caller, signed with real certificates; then everything that can be wrong with a signature. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Allowed, Endpoint, EndpointTable } from '#api/endpoint.ts';
import { commonEndpoints, dataUserEndpoints, hospitalEndpoints, userOrgEndpoints } from '#api/endpoints.ts';
import type { Handlers } from '#api/handlers.ts';
import { exampleOf, jsonSchemaOf } from '#api/json-schema.ts';
import { toBase64url, type Bytes } from '#base/bytes.ts';
import type { Fetch } from '#base/ports.ts';
import { signMailboxRequest, signRequest } from '#crypto/http-signature.ts';
import { generateSigningKey, signLowS, spki } from '#crypto/keys.ts';
import { createAuthority, createCsr, readCertificate, readCrl } from '#crypto/x509.ts';
import { orgClass } from '#model/orgs.ts';
import type { OrgId } from '#model/ids.ts';
import { openTreeStore } from '#store/tree-store.ts';
import { z } from 'zod';
import { createApiClient } from '#api/client.ts';
import { createConsortium, type Consortium } from './consortium.ts';
import { createHttpInterface } from './http-interface.ts';
import { createExchange, createMemory } from './witness/exchange.ts';
import { createMetrics } from './metrics.ts';
import { EAST, INSURER, LAB, ORGS, PEOPLE, startNetwork, urlOf, WEST, type Holder, type TestNetwork } from './network.test-kit.ts';
import { signerOf } from './signing.ts';
import { createUserOrg, type UserOrg } from './user-org/user-org.ts';

const TABLES: Readonly<Record<'uo' | 'ho' | 'duo', EndpointTable>> = { uo: userOrgEndpoints, ho: hospitalEndpoints, duo: dataUserEndpoints };
let network: TestNetwork;
let userOrg: UserOrg;
const open: Consortium[] = [];

beforeAll(async () => {
  network = await startNetwork();
  userOrg = await createUserOrg({ ...network.deps(PEOPLE), treeStore: openTreeStore(':memory:'), publishCrl: async () => undefined });
  network.wire.attach(urlOf(PEOPLE), userOrg.fetch);
  await userOrg.start();
});
afterAll(async () => {
  await userOrg.close();
  await Promise.all(open.map((one) => one.close()));
  await network.close();
});

/** An organisation's real front door, behind which every handler says 204. */
async function doorOf(org: OrgId): Promise<Fetch> {
  const deps = network.deps(org);
  const table = TABLES[orgClass(org)];
  const consortium = createConsortium({ org, signer: deps.identity.system, ledger: deps.ledger, fetch: deps.fetch, clock: deps.clock, scheduler: deps.scheduler, log: deps.log });
  open.push(consortium);
  await consortium.start();
  const handlers = Object.fromEntries(Object.keys(table).map((name) => [name, () => new Response(null, { status: 204 })])) as unknown as Handlers<EndpointTable>;
  return createHttpInterface({ deps, table, handlers, consortium, witnesses: [], exchange: createExchange({ deps, consortium, witnesses: [], memory: createMemory({ deps, consortium }) }), metrics: createMetrics(), title: 'test' });
}

/** A request that only the caller can make wrong. */
function requestOf(org: OrgId, endpoint: Endpoint): Request {
  const example = (schema: z.ZodType | undefined): Record<string, unknown> => (schema === undefined ? {} : (exampleOf(jsonSchemaOf(schema, 'output')) as Record<string, unknown>));
  const params = example(endpoint.params);
  const url = new URL(urlOf(org) + endpoint.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => String(params[name])));
  for (const [key, value] of Object.entries(example(endpoint.query))) url.searchParams.set(key, String(value));
  const body = endpoint.body === undefined ? null : endpoint.body === 'bytes' ? '{}' : JSON.stringify(exampleOf(jsonSchemaOf(endpoint.body, 'input')));
  return new Request(url, { method: endpoint.method, body, ...(body === null ? {} : { headers: { 'content-type': 'application/json' } }) });
}

const codeOf = async (response: Response): Promise<string> => (response.ok || response.status === 503 ? 'admitted' : ((await response.json()) as { code: string }).code);

async function mailboxSigner(): Promise<(request: Request) => Promise<Request>> {
  const pair = await generateSigningKey();
  const publicKey = await spki(pair.publicKey);
  return (request) => signMailboxRequest(request, { publicKey, sign: (message) => signLowS(pair.privateKey, message as Bytes), clock: network.clock, random: { bytes: (length) => crypto.getRandomValues(new Uint8Array(length)) } });
}

describe('who may call what', () => {
  const rows = ([PEOPLE, EAST, LAB] as const).flatMap((org) => Object.entries({ ...commonEndpoints, ...TABLES[orgClass(org)] } as EndpointTable).map(([name, endpoint]) => ({ route: `${org} ${name}`, org, name, endpoint })));
  const doors = new Map<OrgId, Fetch>();
  /** What each caller is, in the words of the rows. */
  const callers: { readonly name: string; readonly sign: (request: Request) => Promise<Request>; readonly is: (own: OrgId) => readonly Allowed[] }[] = [];

  beforeAll(async () => {
    for (const org of [PEOPLE, EAST, LAB]) doors.set(org, await doorOf(org));
    for (const org of ORGS) {
      for (const role of ['system', 'staff', 'operator', ...(org === PEOPLE ? ['person'] : [])]) {
        const { sign } = await network.holder(network.identity(org).ca, { role });
        callers.push({ name: `${org} ${role}`, sign, is: (own) => [`${orgClass(org)}/${role}`, ...(org === own ? [`own/${role}`] : []), ...(role === 'system' ? ['member/system'] : [])] as Allowed[] });
      }
      const peer = await network.holder(network.identity(org).ca, { unit: 'peer' });
      callers.push({ name: `${org} peer`, sign: peer.sign, is: () => [] });
    }
    callers.push({ name: 'a mailbox key', sign: await mailboxSigner(), is: () => ['mailbox-key'] });
    callers.push({ name: 'nobody', sign: async (request) => request, is: () => [] });
  });

  it.each(rows)('$route', async ({ org, endpoint }) => {
    const door = doors.get(org) as Fetch;
    for (const caller of callers) {
      const code = await codeOf(await door(await caller.sign(requestOf(org, endpoint))));
      const admitted = endpoint.by.includes('public') || caller.is(org).some((is) => endpoint.by.includes(is));
      if (admitted && /cosign|growth/.test(endpoint.path)) expect(['CHECKPOINT_INVALID', 'CHANNEL_UNKNOWN'], caller.name).toContain(code);
      else if (admitted) expect(code, caller.name).toBe('admitted');
      else expect(['CALLER_REFUSED', 'REQUEST_UNSIGNED'], caller.name).toContain(code);
    }
  });

  it('covers every route of the three organisations', () => {
    expect(rows.length).toBe(3 * Object.keys(commonEndpoints).length + [userOrgEndpoints, hospitalEndpoints, dataUserEndpoints].flatMap((table) => Object.keys(table)).length);
    expect(callers.length).toBe(ORGS.length * 4 + 3);
  });
});

describe('a signed request is refused', () => {
  let door: Fetch;
  let staff: Holder;
  const tamper = (org = EAST): Request => requestOf(org, hospitalEndpoints.tamperCheck);
  beforeAll(async () => {
    door = await doorOf(EAST);
    staff = await network.holder(network.identity(EAST).ca, { role: 'operator' });
  });

  it('the second time', async () => {
    const request = await staff.sign(tamper());
    expect(await codeOf(await door(request.clone()))).toBe('admitted');
    expect(await codeOf(await door(request.clone()))).toBe('REQUEST_REPLAYED');
    expect(await codeOf(await door(await staff.sign(tamper())))).toBe('admitted');
  });

  it.each([
    ['an old signature', -301_000, 'REQUEST_STALE'],
    ['a signature from the future', 301_000, 'REQUEST_STALE'],
  ])('with %s', async (_, shift, code) => {
    network.clock.advance(shift);
    const request = await staff.sign(tamper());
    network.clock.advance(-shift);
    expect(await codeOf(await door(request))).toBe(code);
  });

  it('when it was signed before this process started, because its nonces are forgotten', async () => {
    const request = await staff.sign(tamper());
    network.clock.advance(2_000);
    const restarted = await doorOf(EAST);
    expect(await codeOf(await restarted(request.clone()))).toBe('REQUEST_STALE');
    expect(await codeOf(await restarted(await staff.sign(tamper())))).toBe('admitted');
  });

  it.each([
    ['another body', (request: Request) => new Request(request, { body: '{"x":1}' }), 'REQUEST_SIGNATURE_INVALID'],
    ['another address', (request: Request) => new Request(`${request.url}?x=1`, request), 'REQUEST_SIGNATURE_INVALID'],
    ['another digest', (request: Request) => withHeader(request, 'content-digest', 'sha-256=:AAAA:'), 'REQUEST_SIGNATURE_INVALID'],
    ['no digest', (request: Request) => withHeader(request, 'content-digest', null), 'REQUEST_SIGNATURE_INVALID'],
    ['another time', (request: Request) => withHeader(request, 'signature-input', (request.headers.get('signature-input') ?? '').replace(/created=(\d+)/, (_, at: string) => `created=${Number(at) + 1}`)), 'REQUEST_SIGNATURE_INVALID'],
    ['another nonce', (request: Request) => withHeader(request, 'signature-input', (request.headers.get('signature-input') ?? '').replace(/nonce="[^"]+"/, 'nonce="AAAAAAAAAAAAAAAAAAAAAA"')), 'REQUEST_SIGNATURE_INVALID'],
    ['no certificate', (request: Request) => withHeader(request, 'client-cert', null), 'REQUEST_UNSIGNED'],
    ['a certificate that is none', (request: Request) => withHeader(request, 'client-cert', ':AAAA:'), 'REQUEST_UNSIGNED'],
    ['no parameters', (request: Request) => withHeader(request, 'signature-input', null), 'REQUEST_UNSIGNED'],
    ['a signature that is none', (request: Request) => withHeader(request, 'signature', 'healthkeep=:AAAA:'), 'REQUEST_UNSIGNED'],
  ])('with %s', async (_, change, code) => {
    expect(await codeOf(await door(change(await staff.sign(tamper()))))).toBe(code);
  });

  it('when it was made for another organisation and only its host is changed', async () => {
    const system = await network.holder(network.identity(LAB).ca, { role: 'system' });
    const forWest = await system.sign(requestOf(WEST, commonEndpoints.cosign));
    const moved = new Request(forWest.url.replace(urlOf(WEST), urlOf(EAST)), forWest.clone());
    expect(await codeOf(await door(moved.clone()))).toBe('REQUEST_SIGNATURE_INVALID');
    // A proxy that passes the caller's own Host header on changes nothing: the organisation knows its address.
    expect(await codeOf(await door(forWest.clone()))).toBe('REQUEST_SIGNATURE_INVALID');
  });

  it('with a certificate that has expired, is not valid yet, or is none of this consortium', async () => {
    const { ca } = network.identity(EAST);
    const stranger = await createAuthority({ org: 'HO-stranger', commonName: 'root', clock: network.clock });
    const impostor = await createAuthority({ org: EAST, commonName: `${EAST} root`, clock: network.clock });
    const nameless = await createAuthority({ org: 'nobody', commonName: 'root', clock: network.clock });
    const day = 86_400_000;
    const cases: [Holder, string][] = [
      [await network.holder(ca, { role: 'operator', notBefore: network.clock.now() - 40 * day, days: 30 }), 'CERTIFICATE_NOT_VALID'],
      [await network.holder(ca, { role: 'operator', notBefore: network.clock.now() + 2 * day }), 'CERTIFICATE_NOT_VALID'],
      [await network.holder(stranger, { role: 'operator' }), 'CALLER_UNTRUSTED'],
      [await network.holder(impostor, { role: 'operator' }), 'CALLER_UNTRUSTED'],
      [await network.holder(nameless, { role: 'operator' }), 'CALLER_UNTRUSTED'],
      // A member cannot mint roles of another: its certificates carry its own name.
      [await network.holder(network.identity(WEST).ca, { role: 'operator' }), 'CALLER_REFUSED'],
      // A person exists in user organisations only.
      [await network.holder(network.identity(INSURER).ca, { role: 'person' }), 'CALLER_REFUSED'],
      [await network.holder(ca, { role: 'root' }), 'CALLER_REFUSED'],
      [await network.holder(ca, { role: 'operator', unit: 'client' }), 'CALLER_REFUSED'],
    ];
    for (const [holder, code] of cases) expect(await codeOf(await door(await holder.sign(tamper())))).toBe(code);
  });
});

const withHeader = (request: Request, name: string, value: string | null): Request => {
  const headers = new Headers(request.headers);
  if (value === null) headers.delete(name);
  else headers.set(name, value);
  return new Request(request, { headers });
};

describe('revocation', () => {
  const deliveries = (): Request => requestOf(EAST, hospitalEndpoints.deliveries);
  const client = (sign?: Holder['sign']) => createApiClient({ table: userOrgEndpoints, baseUrl: urlOf(PEOPLE), fetch: network.wire.fetch, ...(sign === undefined ? {} : { sign }) });

  async function newPerson(): Promise<{ readonly enrolment: Holder; readonly pairwise: Holder; readonly pems: readonly string[] }> {
    const operator = network.identity(PEOPLE).operator;
    const holderOf = async (issue: (csr: string) => Promise<string>): Promise<Holder> => {
      const keyPair = await generateSigningKey();
      const certificate = await issue(await createCsr({ commonName: toBase64url(crypto.getRandomValues(new Uint8Array(16))), keyPair }));
      const sign = (message: Uint8Array): Promise<Uint8Array> => signLowS(keyPair.privateKey, message as Bytes);
      return { certificate, signer: { mspId: PEOPLE, certificate, sign }, sign: (request) => signRequest(request, { certificate, sign, clock: network.clock, random: { bytes: (length) => crypto.getRandomValues(new Uint8Array(length)) } }) };
    };
    const { code } = await client(signerOf(network.deps(PEOPLE), operator)).inviteCode({ body: {} });
    const enrolment = await holderOf(async (csr) => (await client().enrol({ body: { code, csr } })).certificate);
    const pairwise = await holderOf(async (csr) => (await client(enrolment.sign).certificates({ body: { use: 'pairwise', csrs: [csr] } })).certificates[0] as string);
    return { enrolment, pairwise, pems: [enrolment.certificate, pairwise.certificate] };
  }
  const fingerprint = (pem: string): string => toBase64url(readCertificate(pem).fingerprint);

  it('is seen by a hospital within two seconds', async () => {
    const door = await doorOf(EAST);
    const { enrolment, pairwise } = await newPerson();
    expect(await codeOf(await door(await pairwise.sign(deliveries())))).toBe('admitted');
    expect(await client(enrolment.sign).revoke({ body: { fingerprints: [fingerprint(pairwise.certificate)] } })).toEqual({ revoked: 1 });
    network.clock.advance(1_999);
    expect(await codeOf(await door(await pairwise.sign(deliveries())))).toBe('CERTIFICATE_REVOKED');
  });

  it('is seen by the user organisation itself at once', async () => {
    const { enrolment } = await newPerson();
    await client(enrolment.sign).revoke({ body: { fingerprints: [fingerprint(enrolment.certificate)] } });
    await expect(client(enrolment.sign).certificates({ body: { use: 'one-time', csrs: ['x'] } })).rejects.toMatchObject({ code: 'CERTIFICATE_REVOKED' });
  });

  it('asks for the list once for many callers, and not again within a second', async () => {
    const door = await doorOf(EAST);
    const { pairwise } = await newPerson();
    let asked = 0;
    network.wire.observe((request) => {
      if (request.url.endsWith('/v1/doorman/crl')) asked += 1;
    });
    await Promise.all(Array.from({ length: 10 }, async () => door(await pairwise.sign(deliveries()))));
    await door(await pairwise.sign(deliveries()));
    expect(asked).toBe(1);
    network.clock.advance(1_000);
    await door(await pairwise.sign(deliveries()));
    expect(asked).toBe(2);
  });

  it('rather stops people than believe an old list, when the user organisation is silent for a minute', async () => {
    const door = await doorOf(EAST);
    const { pairwise } = await newPerson();
    expect(await codeOf(await door(await pairwise.sign(deliveries())))).toBe('admitted');
    network.wire.detach(urlOf(PEOPLE));
    network.clock.advance(59_000);
    expect(await codeOf(await door(await pairwise.sign(deliveries())))).toBe('admitted');
    network.clock.advance(1_000);
    const response = await door(await pairwise.sign(deliveries()));
    expect(await response.json()).toMatchObject({ code: 'REVOCATION_UNKNOWN', retry: true });
    network.wire.attach(urlOf(PEOPLE), userOrg.fetch);
    expect(await codeOf(await door(await pairwise.sign(deliveries())))).toBe('admitted');
  });

  it('cannot be undone by an old list, nor by one that another organisation signed', async () => {
    const { pairwise, enrolment } = await newPerson();
    const consortium = open[0] as Consortium;
    const old = await (await userOrg.fetch(requestOf(PEOPLE, userOrgEndpoints.crl))).text();
    network.clock.advance(1_000);
    await client(enrolment.sign).revoke({ body: { fingerprints: [fingerprint(pairwise.certificate)] } });
    const { serialHex } = readCertificate(pairwise.certificate);
    network.clock.advance(1_000);
    expect(await consortium.isRevoked(PEOPLE, serialHex)).toBe(true);
    await expect(consortium.learnCrl(PEOPLE, old)).rejects.toMatchObject({ code: 'CRL_INVALID' });
    const foreign = await network.identity(WEST).ca.issueCrl([], network.clock.now() + 10_000);
    await expect(consortium.learnCrl(PEOPLE, foreign)).rejects.toMatchObject({ code: 'CRL_INVALID' });
    expect(readCrl(old).revoked.has(serialHex)).toBe(false);
    expect(await consortium.isRevoked(PEOPLE, serialHex)).toBe(true);
  });
});
