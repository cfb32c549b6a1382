import { describe, expect, it } from 'vitest';
import type { HttpCaller } from '#api/caller.ts';
import type { Call } from '#api/handlers.ts';
import type { Endpoint } from '#api/endpoint.ts';
import { toBase64url } from '#base/bytes.ts';
import type { KeyValueStore } from '#base/ports.ts';
import { sha256 } from '#crypto/digest.ts';
import { generateSigningKey } from '#crypto/keys.ts';
import { createAuthority, createCsr, readCertificate, readCrl, verifyChain, verifyCrl } from '#crypto/x509.ts';
import { CallerId, Digest, OrgId } from '#model/ids.ts';
import { fakeClock, rememberingLog, seededRandom } from '#sim/seams.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { createMetrics } from '../metrics.ts';
import { openCertificates } from './certificates.ts';
import { createDoorman } from './doorman.ts';
import { openRevocations } from './revocations.ts';

const org = OrgId.parse('UO-people');
const START = Date.UTC(2026, 10, 20, 13, 14, 15);
const DAY_MS = 86_400_000;
const operator: HttpCaller = { org, class: 'uo', role: 'operator', name: 'operator', id: CallerId.parse('O'.repeat(43)), key: Digest.parse('K'.repeat(43)), certificate: '' };

async function setUp(options: { readonly store?: KeyValueStore; readonly ca?: Awaited<ReturnType<typeof createAuthority>>; readonly publishCrl?: (pem: string) => Promise<void> } = {}) {
  const clock = fakeClock(START);
  const random = seededRandom('doorman');
  const log = rememberingLog();
  const store = options.store ?? openSqliteKeyValueStore(':memory:');
  const ca = options.ca ?? (await createAuthority({ org, commonName: 'root', clock: fakeClock(START - 90 * DAY_MS) }));
  const certificates = openCertificates({ store, ca, clock, days: 730 });
  const published: string[] = [];
  const revocations = openRevocations({ store, ca, clock, log: log.log, publishCrl: options.publishCrl ?? (async (pem) => void published.push(pem)) });
  await revocations.start();
  const doorman = createDoorman({ store, ca, certificates, revocations, clock, random, metrics: createMetrics() });
  const call = <T>(body: T, caller?: HttpCaller, headers: Record<string, string> = {}) => ({ params: {}, query: {}, body, caller, headers: new Headers(headers), traceId: '', signal: new AbortController().signal }) as unknown as Call<Endpoint>;
  const asJson = async <T>(answer: T | Response | Promise<T | Response>): Promise<T> => (await answer) as T;
  const code = async (): Promise<string> => (await asJson(doorman.inviteCode(call({}, operator) as never))).code;
  const enrol = (given: string, csr: string) => asJson(doorman.enrol(call({ code: given, csr }) as never));
  const enrolled = async (): Promise<HttpCaller> => callerOf((await enrol(await code(), (await newCsr()).csr)).certificate);
  const ask = async (caller: HttpCaller, use: 'pairwise' | 'one-time', ...csrs: string[]) => (await asJson(doorman.certificates(call({ use, csrs }, caller) as never))).certificates;
  const revoke = async (caller: HttpCaller, ...pems: string[]) => (await asJson(doorman.revoke(call({ fingerprints: pems.map((pem) => callerOf(pem).id) }, caller) as never))).revoked;
  return { clock, store, ca, log, published, revocations, doorman, call, code, enrol, enrolled, ask, revoke, random };
}

let serial = 0;
async function newCsr(commonName = toBase64url(seededRandom(`csr${serial++}`).bytes(16)), keyPair?: CryptoKeyPair) {
  const pair = keyPair ?? (await generateSigningKey());
  return { commonName, keyPair: pair, csr: await createCsr({ commonName, keyPair: pair }) };
}

function callerOf(pem: string): HttpCaller {
  const facts = readCertificate(pem);
  return { org, class: 'uo', role: 'person', name: facts.commonName, id: CallerId.parse(toBase64url(facts.fingerprint)), key: Digest.parse(toBase64url(sha256(facts.spki))), certificate: pem };
}

describe('enrolment', () => {
  it('gives a certificate for the key and name of the request, from the first of the month', async () => {
    const { ca, code, enrol, clock } = await setUp();
    const { csr, commonName } = await newCsr();
    const { certificate, root } = await enrol(await code(), csr);
    const facts = readCertificate(certificate);
    expect(root).toBe(ca.certificate);
    expect(facts).toMatchObject({ commonName, org, organizationalUnit: 'client', attributes: { 'hk.role': 'person' } });
    expect([facts.notBefore, facts.notAfter % DAY_MS]).toEqual([Date.UTC(2026, 10, 1), 0]);
    expect(await verifyChain(certificate, root, clock.now())).toBe(true);
    expect(certificate).not.toContain('Jane');
  });

  it('gives the same certificate when the answer was lost, and nothing to another key', async () => {
    const { code, enrol, clock } = await setUp();
    const given = await code();
    const { csr, commonName, keyPair } = await newCsr();
    const first = await enrol(given, csr);
    expect(await enrol(given, csr)).toEqual(first);
    // A request made anew for the same key differs in its signature only.
    expect(await enrol(given, (await newCsr(commonName, keyPair)).csr)).toEqual(first);
    clock.advance(30 * DAY_MS);
    expect(await enrol(given, csr)).toEqual(first);
    await expect(enrol(given, (await newCsr()).csr)).rejects.toMatchObject({ code: 'ENROLMENT_CODE_UNKNOWN' });
  });

  it('takes a code once even when two devices use it at the same moment', async () => {
    const { code, enrol } = await setUp();
    const given = await code();
    const answers = await Promise.allSettled([enrol(given, (await newCsr()).csr), enrol(given, (await newCsr()).csr)]);
    expect(answers.map((answer) => answer.status).sort()).toEqual(['fulfilled', 'rejected']);
  });

  it('reads codes as people type them', async () => {
    const { code, enrol } = await setUp();
    const given = await code();
    expect(given).toMatch(/^([0-9A-Z]{5}-){5}[0-9A-Z]$/);
    await expect(enrol(` ${given.toLowerCase().replaceAll('-', ' ').replaceAll('0', 'o').replaceAll('1', 'l')}`, (await newCsr()).csr)).resolves.toBeDefined();
  });

  it.each([
    ['an unknown code', async () => ({ given: 'AAAAA', csr: (await newCsr()).csr }), 'ENROLMENT_CODE_UNKNOWN'],
    ['a name that is not random', async (code: string) => ({ given: code, csr: (await newCsr('Jane Doe')).csr }), 'CSR_INVALID'],
    ['text that is no request', async (code: string) => ({ given: code, csr: 'x' }), 'CSR_INVALID'],
    ['a request whose signature is not its key\'s', async (code: string) => ({ given: code, csr: (await newCsr()).csr.replace(/.{6}(?=[A-Za-z0-9+/=\s]*-----END)/, 'AAAAAA') }), 'CSR_INVALID'],
  ])('refuses %s', async (_, make, refusal) => {
    const { code, enrol } = await setUp();
    const { given, csr } = await make(await code());
    await expect(enrol(given, csr)).rejects.toMatchObject({ code: refusal });
  });

  it('refuses a code after a week', async () => {
    const { code, enrol, clock } = await setUp();
    const given = await code();
    clock.advance(7 * DAY_MS + 1);
    await expect(enrol(given, (await newCsr()).csr)).rejects.toMatchObject({ code: 'ENROLMENT_CODE_UNKNOWN' });
  });

  it('keeps no code, only its digest', async () => {
    const { code, store } = await setUp();
    const given = await code();
    const kept = (await store.list('')).map(([key, bytes]) => key + Buffer.from(bytes).toString()).join('');
    expect(kept).not.toContain(given);
    expect(kept).not.toContain(given.replaceAll('-', ''));
  });
});

describe('later certificates', () => {
  it('come in the order asked, with random serials, and the same when asked again', async () => {
    const { enrolled, ask } = await setUp();
    const person = await enrolled();
    const wishes = await Promise.all(Array.from({ length: 5 }, () => newCsr()));
    const given = await ask(person, 'one-time', ...wishes.map((wish) => wish.csr));
    expect(given.map((pem) => readCertificate(pem).commonName)).toEqual(wishes.map((wish) => wish.commonName));
    expect(new Set(given.map((pem) => readCertificate(pem).serialHex)).size).toBe(5);
    expect(await ask(person, 'one-time', ...wishes.map((wish) => wish.csr))).toEqual(given);
  });

  it('look the same whatever they are for', async () => {
    const { enrolled, ask } = await setUp();
    const person = await enrolled();
    const [pairwise] = await ask(person, 'pairwise', (await newCsr()).csr);
    const [once] = await ask(person, 'one-time', (await newCsr()).csr);
    const shape = (pem: string | undefined) => {
      const { org: of, organizationalUnit, attributes, notBefore, notAfter, issuerName, commonName, serialHex } = readCertificate(pem as string);
      return { of, organizationalUnit, attributes, notBefore, notAfter, issuerName, name: commonName.length, serial: serialHex.length };
    };
    expect(shape(once)).toEqual(shape(pairwise));
  });

  it('look the same for everybody who asks in one month', async () => {
    const { clock, enrolled, ask } = await setUp();
    const validity = async () => {
      const [pem] = await ask(await enrolled(), 'one-time', (await newCsr()).csr);
      const { notBefore, notAfter } = readCertificate(pem as string);
      return [notBefore, notAfter];
    };
    const early = await validity();
    clock.set(Date.UTC(2026, 10, 30, 23, 59, 59));
    expect(await validity()).toEqual(early);
    clock.advance(1_000);
    expect(await validity()).not.toEqual(early);
  });

  it('are given to enrolment certificates only, so that no pairwise name ties itself to others', async () => {
    const { enrolled, ask } = await setUp();
    const person = await enrolled();
    const [pairwise] = await ask(person, 'pairwise', (await newCsr()).csr);
    await expect(ask(callerOf(pairwise as string), 'one-time', (await newCsr()).csr)).rejects.toMatchObject({ code: 'CALLER_REFUSED' });
  });

  it('refuse a name of somebody else, a one-time name for another key, and one key under two names', async () => {
    const { enrolled, ask } = await setUp();
    const [jane, john] = [await enrolled(), await enrolled()];
    const pairwise = await newCsr();
    const once = await newCsr();
    await ask(jane, 'pairwise', pairwise.csr);
    await ask(jane, 'one-time', once.csr);
    await expect(ask(john, 'pairwise', (await newCsr(pairwise.commonName)).csr)).rejects.toMatchObject({ code: 'CSR_NAME_TAKEN' });
    await expect(ask(jane, 'one-time', (await newCsr(once.commonName)).csr)).rejects.toMatchObject({ code: 'CSR_NAME_TAKEN' });
    await expect(ask(john, 'pairwise', pairwise.csr)).rejects.toMatchObject({ code: 'CSR_INVALID' });
    await expect(ask(jane, 'one-time', (await newCsr(undefined, pairwise.keyPair)).csr)).rejects.toMatchObject({ code: 'CSR_INVALID' });
    // The same pairwise name for a new key of the same person: a new device, to be linked again at the keeper's desk.
    await expect(ask(jane, 'pairwise', (await newCsr(pairwise.commonName)).csr)).resolves.toHaveLength(1);
  });
});

describe('renewal', () => {
  it('of a pairwise certificate is for the same key, in its last 30 days and after its end', async () => {
    const { clock, enrolled, ask } = await setUp();
    const jane = await enrolled();
    const wish = await newCsr();
    const [first] = await ask(jane, 'pairwise', wish.csr);
    clock.advance(675 * DAY_MS);
    expect(await ask(jane, 'pairwise', wish.csr)).toEqual([first]);
    clock.advance(10 * DAY_MS);
    const [second] = await ask(jane, 'pairwise', wish.csr);
    const [old, renewed] = [readCertificate(first as string), readCertificate(second as string)];
    expect(toBase64url(renewed.spki)).toBe(toBase64url(old.spki));
    expect([renewed.commonName, renewed.serialHex === old.serialHex, renewed.notAfter > clock.now() + 700 * DAY_MS]).toEqual([old.commonName, false, true]);
    expect(await ask(jane, 'pairwise', wish.csr)).toEqual([second]);
  });

  it('is refused to a key that was revoked, also when the list has forgotten its certificate', async () => {
    const { clock, enrolled, ask, revoke, revocations } = await setUp();
    const jane = await enrolled();
    const wish = await newCsr();
    const [pem] = await ask(jane, 'pairwise', wish.csr);
    await revoke(jane, pem as string);
    for (const days of [0, 705, 60]) {
      clock.advance(days * DAY_MS);
      await revocations.refresh();
      await expect(ask(jane, 'pairwise', wish.csr), String(days)).rejects.toMatchObject({ code: 'CERTIFICATE_REVOKED' });
    }
    expect(readCrl(revocations.current().pem).revoked.size).toBe(0);
  });
});

describe('revocation', () => {
  it('puts own certificates on the list and passes others over', async () => {
    const { enrolled, ask, revoke, revocations, published, ca } = await setUp();
    const [jane, john] = [await enrolled(), await enrolled()];
    const [pem] = await ask(jane, 'pairwise', (await newCsr()).csr);
    expect(await revoke(john, pem as string)).toBe(0);
    expect(revocations.isRevoked(readCertificate(pem as string).serialHex)).toBe(false);
    expect(await revoke(jane, pem as string)).toBe(1);
    expect(await revoke(jane, pem as string)).toBe(1);
    const list = revocations.current().pem;
    expect([...readCrl(list).revoked.keys()]).toEqual([readCertificate(pem as string).serialHex]);
    expect(await verifyCrl(list, ca.certificate)).toBe(true);
    expect(published).toEqual([list]);
  });

  it('of an enrolment takes all of its certificates along, and they are not given again', async () => {
    const { enrolled, ask, revoke, revocations } = await setUp();
    const jane = await enrolled();
    const wish = await newCsr();
    const pems = [...(await ask(jane, 'pairwise', wish.csr)), ...(await ask(jane, 'one-time', (await newCsr()).csr))];
    expect(await revoke(operator, jane.certificate)).toBe(3);
    for (const pem of [jane.certificate, ...pems]) expect(revocations.isRevoked(readCertificate(pem).serialHex)).toBe(true);
    await expect(ask(jane, 'pairwise', wish.csr)).rejects.toMatchObject({ code: 'CERTIFICATE_REVOKED' });
  });

  it('names the day only', async () => {
    const { enrolled, revoke, revocations } = await setUp();
    await revoke(operator, (await enrolled()).certificate);
    expect([...readCrl(revocations.current().pem).revoked.values()].map((at) => at % DAY_MS)).toEqual([0]);
  });

  it('is served at once and published later when the channels cannot be reached', async () => {
    let broken = true;
    const seen: string[] = [];
    const { enrolled, revoke, revocations, doorman, call, log } = await setUp({
      publishCrl: async (pem) => {
        if (broken) throw new Error('ledger down');
        seen.push(pem);
      },
    });
    const jane = await enrolled();
    expect(await revoke(operator, jane.certificate)).toBe(1);
    const served = (await doorman.crl(call(undefined) as never)) as Response;
    expect(readCrl(await served.text()).revoked.has(readCertificate(jane.certificate).serialHex)).toBe(true);
    expect(log.text()).toContain('doorman.crl-unpublished');
    broken = false;
    await revocations.refresh();
    expect(seen).toEqual([revocations.current().pem]);
  });

  it('survives a restart, and the list is signed anew every day without what has expired', async () => {
    const first = await setUp();
    const jane = await first.enrolled();
    await first.revoke(operator, jane.certificate);
    const again = await setUp({ store: first.store, ca: first.ca });
    expect(again.revocations.isRevoked(readCertificate(jane.certificate).serialHex)).toBe(true);
    expect(again.revocations.current()).toEqual(first.revocations.current());
    again.clock.advance(DAY_MS + 1);
    await again.revocations.refresh();
    expect(readCrl(again.revocations.current().pem).thisUpdate).toBeGreaterThan(START);
    expect(readCrl(again.revocations.current().pem).revoked.size).toBe(1);
    again.clock.advance(732 * DAY_MS);
    await again.revocations.refresh();
    expect(readCrl(again.revocations.current().pem).revoked.size).toBe(0);
  });

  it('says when the list has not changed', async () => {
    const { doorman, call } = await setUp();
    const first = (await doorman.crl(call(undefined) as never)) as Response;
    const etag = first.headers.get('etag') as string;
    const second = (await doorman.crl(call(undefined, undefined, { 'if-none-match': etag }) as never)) as Response;
    expect([second.status, await second.text()]).toEqual([304, '']);
  });
});
