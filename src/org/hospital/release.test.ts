import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fromBase64url, fromUtf8, toBase64url, utf8 } from '#base/bytes.ts';
import type { Json } from '#base/canonical-json.ts';
import { decryptBody } from '#crypto/cobblestone.ts';
import { openFrom } from '#crypto/hpke.ts';
import { signJson, verifySigned } from '#crypto/signed-json.ts';
import { drcClient } from '#contracts/client.ts';
import { instant, type Digest, type GrantId, type OrgId, type RecordId, type SubjectId } from '#model/ids.ts';
import { ReleaseManifest, type Grant, type Signed } from '#model/messages.ts';
import type { TemplateRef } from '#model/template.ts';
import { bodyContext, releaseBinding } from '#model/bindings.ts';
import type { ReleaseRequest } from './release.ts';
import { answerWith, bundleOf, DUO, HO, openTestNetwork, OTHER_DUO, publishTemplate, slotProof, START, until, type Answered, type AnswerWish, type TestNetwork, type TestPerson } from './hospital.test-kit.ts';

const DAY = 86_400_000;

interface Owned {
  readonly person: TestPerson;
  readonly subject: SubjectId;
  readonly items: readonly RecordId[];
}

async function ownedRecords(network: TestNetwork, name: string, observations = 3): Promise<Owned> {
  const person = await network.person(name);
  const { deliveries } = await network.keeper.hospital.ingest(bundleOf(name.replaceAll(' ', '-'), observations));
  const { subject } = await network.hospitalAs(network.identities.get(HO)!.staff).link({ params: { patient: name.replaceAll(' ', '-') }, body: { link: await person.linkCode() } });
  return { person, subject, items: (await network.keeper.records.recordsOf(deliveries[0]!)).map(({ id }) => id as RecordId) };
}

const requestOf = ({ signed, opening, proof, ticket }: Answered): ReleaseRequest => ({ grant: signed, opening, proof, ticket });
const b32 = (fill: number): Digest => toBase64url(new Uint8Array(32).fill(fill)) as Digest;

describe('a release', () => {
  let network: TestNetwork;
  let template: TemplateRef;
  let owned: Owned;
  let stranger: Owned;
  const asUser = () => network.hospitalAs(network.identities.get(DUO)!.system);
  const item = (answered: Answered, record: RecordId, headers: Readonly<Record<string, string>> = {}) => asUser().item({ params: { grant: answered.grant.id, record }, headers: { 'healthkeep-ticket': answered.ticket, ...headers } });
  const released = async (wish: Partial<AnswerWish> = {}): Promise<Answered> => {
    const answered = await answerWith(network, template, { ...owned, ...wish });
    await (wish.person ?? owned.person).hospital.release({ body: requestOf(answered) });
    return answered;
  };

  beforeAll(async () => {
    network = await openTestNetwork({ seed: 'release' });
    template = await publishTemplate(network);
    owned = await ownedRecords(network, 'owner');
    stranger = await ownedRecords(network, 'stranger', 1);
  });
  afterAll(() => network.close());

  it('hands the recipient exactly the granted records, to its one-time key', async () => {
    const answered = await answerWith(network, template, { ...owned, items: owned.items.slice(1, 3) });
    expect(await owned.person.hospital.release({ body: requestOf(answered) })).toEqual({ grant: answered.grant.id, items: 2 });
    const signed = await asUser().manifest({ params: { grant: answered.grant.id }, headers: { 'healthkeep-ticket': answered.ticket } });
    const manifest = ReleaseManifest.parse((await verifySigned(signed)).value);
    expect(manifest.items.map(({ id }) => id)).toEqual(owned.items.slice(1, 3));
    for (const [at, released] of manifest.items.entries()) {
      const keys = await openFrom({ privateKey: answered.oneTime.privateKey, ...releaseBinding(manifest, released.id), envelope: fromBase64url(released.wrappedKeys) });
      const ciphertext = new Uint8Array(await (await item(answered, released.id)).arrayBuffer());
      const bytes = await decryptBody({ key: keys.subarray(0, 32), context: bodyContext(HO, released.id), ciphertext });
      expect([bytes.length, ciphertext.length]).toEqual([released.plainBytes, released.cipherBytes]);
      expect(fromUtf8(bytes)).toContain(`"id":"owner-o${at}"`);
    }
    const { proofs } = await asUser().releaseProofs({ params: { grant: answered.grant.id }, headers: { 'healthkeep-ticket': answered.ticket } });
    expect(proofs.map(({ key }) => key)).toEqual(manifest.items.map(({ id }) => `\u0000anchor\u0000${id}\u0000`));
    expect(proofs.map(({ block }) => block)).toEqual(manifest.items.map(({ blockNumber }) => blockNumber));
    expect((await owned.person.hdc.evaluate('getOrder', { grant: answered.grant.id })).state).toBe('released');
  });

  it('serves ranges, so that a broken transfer goes on where it stopped', async () => {
    const answered = await released();
    const record = owned.items[0]!;
    const whole = new Uint8Array(await (await item(answered, record)).arrayBuffer());
    const part = await item(answered, record, { range: 'bytes=10-19' });
    expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 10-19/${whole.length}`]);
    expect([...new Uint8Array(await part.arrayBuffer())]).toEqual([...whole.subarray(10, 20)]);
    expect([...new Uint8Array(await (await item(answered, record, { range: 'bytes=20-' })).arrayBuffer())]).toEqual([...whole.subarray(20)]);
    expect([...new Uint8Array(await (await item(answered, record, { range: 'bytes=-5' })).arrayBuffer())]).toEqual([...whole.subarray(-5)]);
    await expect(item(answered, record, { range: `bytes=${whole.length}-` })).rejects.toMatchObject({ code: 'RANGE_NOT_SATISFIABLE' });
  });

  it('answers the identical request again, and no other one for the same grant', async () => {
    const answered = await released();
    const request = requestOf(answered);
    const again = await Promise.all([1, 2, 3].map(() => owned.person.hospital.release({ body: request })));
    expect(again).toEqual(again.map(() => ({ grant: answered.grant.id, items: owned.items.length })));
    const other = (await signJson({ ...answered.grant, recipientPublicKey: toBase64url(new Uint8Array(1_216)) } as Json, owned.person.signer)) as Signed;
    for (const changed of [{ ...request, ticket: b32(7) }, { ...request, opening: { ...request.opening, salt: b32(1) } }, { ...request, grant: other }]) {
      await expect(owned.person.hospital.release({ body: changed })).rejects.toMatchObject({ code: 'GRANT_REPLAYED' });
    }
  });

  interface Refusal {
    readonly name: string;
    readonly code: string;
    readonly wish?: (stranger: Owned) => Partial<AnswerWish>;
    readonly request?: (request: ReleaseRequest, answered: Answered) => ReleaseRequest | Promise<ReleaseRequest>;
    readonly before?: (answered: Answered) => Promise<unknown>;
    readonly by?: (stranger: Owned) => TestPerson | Promise<TestPerson>;
  }
  const changed = (change: Partial<Grant>) => () => ({ grant: (grant: Grant): Grant => ({ ...grant, ...change }) });
  const refusals: readonly Refusal[] = [
    { name: 'a signature that does not fit', code: 'SIGNATURE_INVALID', request: (request) => ({ ...request, grant: { ...request.grant, payload: request.grant.payload.replace('underwriting', 'research') } }) },
    { name: 'something else that was signed', code: 'SIGNATURE_INVALID', request: async (request) => ({ ...request, grant: (await signJson({ kind: 'link' }, owned.person.signer)) as Signed }) },
    { name: 'a caller who is not the owner', code: 'NOT_OWNER', by: (stranger) => stranger.person },
    { name: 'a caller certified under the owner\'s name for another key', code: 'NOT_OWNER', by: () => owned.person.certifiedAnew('other key') },
    { name: 'a grant signed under the owner\'s name by another key', code: 'NOT_OWNER', request: async (request, { grant }) => ({ ...request, grant: (await signJson(grant as Json, (await owned.person.certifiedAnew('other key')).signer)) as Signed }) },
    {
      name: 'both the call and the grant by another key', code: 'NOT_OWNER', by: () => owned.person.certifiedAnew('other key'),
      request: async (request, { grant }) => ({ ...request, grant: (await signJson(grant as Json, (await owned.person.certifiedAnew('other key')).signer)) as Signed }),
    },
    { name: 'another person\'s subject', code: 'NOT_OWNER', wish: (stranger) => ({ grant: (grant) => ({ ...grant, subject: stranger.subject }) }) },
    { name: 'an unknown subject', code: 'NOT_OWNER', wish: changed({ subject: 'AAAAAAAAAAAAAAAAAAAAAA' as SubjectId }) },
    { name: 'a grant for another keeper', code: 'GRANT_NOT_PROVEN', wish: changed({ keeper: 'HO-west' as OrgId }) },
    { name: 'no order on the channel', code: 'GRANT_NOT_PROVEN', wish: () => ({ skipOrder: true }) },
    { name: 'an order with another digest', code: 'GRANT_NOT_PROVEN', wish: changed({ issuedAt: instant(START - 1) }) },
    { name: 'another recipient', code: 'GRANT_NOT_PROVEN', wish: changed({ recipient: OTHER_DUO }) },
    { name: 'another purpose', code: 'GRANT_NOT_PROVEN', wish: changed({ purpose: 'research' }) },
    { name: 'another slot', code: 'GRANT_NOT_PROVEN', wish: changed({ slot: b32(3) as never }) },
    { name: 'another key, with its digest', code: 'GRANT_OTHER_KEY', wish: changed({ recipientKeyDigest: b32(9) }) },
    { name: 'another key under the ordered digest', code: 'GRANT_NOT_PROVEN', wish: () => ({ grant: (grant) => ({ ...grant, recipientPublicKey: toBase64url(new Uint8Array(1_216)) }) }) },
    { name: 'more records than ordered', code: 'GRANT_WIDER', wish: () => ({ orderItems: [owned.items[0]!] }) },
    { name: 'a longer time than ordered', code: 'GRANT_WIDER', wish: changed({ until: instant(START + 50 * DAY) }) },
    { name: 'a later erasure than ordered', code: 'GRANT_WIDER', wish: changed({ eraseAt: instant(START + 50 * DAY) }) },
    { name: 'an opening that does not fit the answer', code: 'GRANT_NOT_PROVEN', request: (request) => ({ ...request, opening: { ...request.opening, salt: b32(1) } }) },
    { name: 'an opening without this grant', code: 'GRANT_NOT_PROVEN', request: (request) => ({ ...request, opening: { ...request.opening, digests: [b32(1)] } }) },
    { name: 'a proof of another slot', code: 'GRANT_NOT_PROVEN', request: async (request) => ({ ...request, proof: { ...request.proof, key: request.proof.key.replace(/(.)\u0000$/, (_, last) => `${last === 'A' ? 'B' : 'A'}\u0000`) } }) },
    { name: 'a proof whose value was altered', code: 'GRANT_NOT_PROVEN', request: (request) => ({ ...request, proof: { ...request.proof, value: toBase64url(utf8(fromUtf8(fromBase64url(request.proof.value!)).replace('"answered"', '"Answered"'))) } }) },
    { name: 'a proof with a shorter path', code: 'GRANT_NOT_PROVEN', request: (request) => ({ ...request, proof: { ...request.proof, path: request.proof.path.slice(1) } }) },
    { name: 'a proof from another channel', code: 'GRANT_NOT_PROVEN', request: (request) => ({ ...request, proof: { ...request.proof, channel: 'uic' } }) },
    { name: 'a checkpoint that too few members signed', code: 'GRANT_NOT_PROVEN', request: (request) => ({ ...request, proof: { ...request.proof, checkpoint: request.proof.checkpoint.split('\n').filter((line) => !line.startsWith(`— ${OTHER_DUO}`)).join('\n') } }) },
    { name: 'a checkpoint with another root', code: 'GRANT_NOT_PROVEN', request: (request) => ({ ...request, proof: { ...request.proof, checkpoint: request.proof.checkpoint.replace(/^([^\n]*\n\d+\n)./, '$1/') } }) },
    {
      name: 'an answer that was revoked on DRC', code: 'GRANT_REVOKED',
      request: async (request, answered) => {
        const { blockNumber } = await drcClient(network.client, answered.slotSigner).submit('revokeGrant', { slot: answered.slot });
        return { ...request, proof: await slotProof(network, answered.slot, blockNumber) };
      },
    },
    { name: 'a refusal as the answer', code: 'GRANT_NOT_PROVEN', wish: () => ({ decision: 'no' }) },
    { name: 'an order revoked on the channel', code: 'GRANT_REVOKED', before: ({ grant }) => owned.person.hdc.submit('revokeRelease', { grant: grant.id }) },
    { name: 'an order revoked at the keeper', code: 'GRANT_REVOKED', before: ({ grant }) => owned.person.hospital.revokeRelease({ params: { grant: grant.id }, body: {} }) },
    { name: 'a grant whose time is over', code: 'GRANT_EXPIRED', wish: () => ({ until: instant(network.clock.now() + 1_000) }), before: async () => network.clock.advance(1_000) },
    { name: 'a record named twice', code: 'GRANT_NOT_PROVEN', wish: () => ({ grant: (grant) => ({ ...grant, items: [grant.items[0]!, grant.items[0]!] }) }) },
  ];

  it.each(refusals)('is refused with $code for $name', async ({ code, wish, request, before, by }) => {
    const answered = await answerWith(network, template, { ...owned, ...wish?.(stranger) });
    await before?.(answered);
    const body = (await request?.(requestOf(answered), answered)) ?? requestOf(answered);
    await expect(((await by?.(stranger)) ?? owned.person).hospital.release({ body })).rejects.toMatchObject({ code });
    // Nothing can be fetched, and the refusal stands in the access log.
    await expect(item(answered, owned.items[0]!)).rejects.toMatchObject({ code: 'GRANT_UNKNOWN' });
    const head = network.keeper.hospital.accessLog.head()!;
    const lines = (await network.keeper.records.lines(Math.max(0, head.to - 4), head.to)).map(({ line }) => JSON.parse(fromUtf8(line)) as { action: string; outcome: string; code?: string });
    expect(lines).toContainEqual(expect.objectContaining({ action: 'release', outcome: 'refused', code }));
  });

  it('goes on when the owner\'s certificate was renewed over the same key', async () => {
    const renewed = await owned.person.certifiedAnew('same key');
    const answered = await answerWith(network, template, { ...owned, person: renewed });
    const signed = (await signJson(answered.grant as Json, owned.person.signer)) as Signed;
    expect(signed.certificate).not.toBe(renewed.signer.certificate);
    expect(await renewed.hospital.release({ body: { ...requestOf(answered), grant: signed } })).toEqual({ grant: answered.grant.id, items: owned.items.length });
  });

  it('is refused when the certificate of its owner was revoked', async () => {
    const { person, subject, items } = await ownedRecords(network, 'lost phone', 1);
    const answered = await answerWith(network, template, { person, subject, items });
    const { ca } = network.identities.get('UO-home' as OrgId)!;
    await network.keeper.hospital.consortium.learnCrl('UO-home' as OrgId, await ca.issueCrl([{ certificate: person.signer.certificate, at: network.clock.now() }], network.clock.now()));
    await expect(person.hospital.release({ body: requestOf(answered) })).rejects.toMatchObject({ code: 'CERTIFICATE_REVOKED' });
    const [last] = (await network.keeper.records.lines(network.keeper.hospital.accessLog.head()!.to, 1_000_000)).map(({ line }) => JSON.parse(fromUtf8(line)) as object);
    expect(last).toMatchObject({ action: 'refuse', outcome: 'refused', code: 'CERTIFICATE_REVOKED' });
  });

  it('looks the same to a recipient without the ticket, to another one, and for an unknown grant', async () => {
    const answered = await released();
    const record = owned.items[0]!;
    const params = { grant: answered.grant.id, record };
    await expect(asUser().item({ params, headers: { 'healthkeep-ticket': b32(5) } })).rejects.toMatchObject({ code: 'GRANT_UNKNOWN' });
    await expect(asUser().item({ params })).rejects.toMatchObject({ code: 'GRANT_UNKNOWN' });
    await expect(network.hospitalAs(network.identities.get(OTHER_DUO)!.system).item({ params, headers: { 'healthkeep-ticket': answered.ticket } })).rejects.toMatchObject({ code: 'GRANT_UNKNOWN' });
    await expect(asUser().item({ params: { ...params, grant: 'AAAAAAAAAAAAAAAAAAAAAA' as GrantId }, headers: { 'healthkeep-ticket': answered.ticket } })).rejects.toMatchObject({ code: 'GRANT_UNKNOWN' });
    await expect(item(answered, stranger.items[0]!)).rejects.toMatchObject({ code: 'GRANT_UNKNOWN' });
  });

  it('goes on after a restart, and stays revoked after one', async () => {
    const [kept, revoked] = [await released(), await released()];
    await owned.person.hospital.revokeRelease({ params: { grant: revoked.grant.id }, body: {} });
    await network.restart();
    expect((await item(kept, owned.items[0]!)).status).toBe(200);
    await expect(item(revoked, owned.items[0]!)).rejects.toMatchObject({ code: 'GRANT_REVOKED' });
    expect(await owned.person.hospital.release({ body: requestOf(kept) })).toEqual({ grant: kept.grant.id, items: owned.items.length });
  });

  it('honours a revocation on the channel that came while the keeper was down', async () => {
    const answered = await released();
    await network.stop();
    await owned.person.hdc.submit('revokeRelease', { grant: answered.grant.id });
    await network.restart();
    await expect(item(answered, owned.items[0]!)).rejects.toMatchObject({ code: 'GRANT_REVOKED' });
  });

  it('is finished by the same request when a crash came after the channel knew and before the keeper did', async () => {
    const answered = await answerWith(network, template, owned);
    let crashed = false;
    await network.restart({
      ledger: (client) => ({
        ...client,
        async submit(call) {
          const committed = await client.submit(call);
          if (call.name === 'recordRelease' && !crashed) {
            crashed = true;
            throw new Error('killed');
          }
          return committed;
        },
      }),
    });
    await expect(owned.person.hospital.release({ body: requestOf(answered) })).rejects.toMatchObject({ code: 'INTERNAL' });
    await network.restart();
    expect(await owned.person.hospital.release({ body: requestOf(answered) })).toEqual({ grant: answered.grant.id, items: owned.items.length });
    expect((await item(answered, owned.items[0]!)).status).toBe(200);
  });

  it('ends for transfers when the time is over, by the keeper\'s own clock', async () => {
    const answered = await released({ until: instant(network.clock.now() + 5_000) });
    expect((await item(answered, owned.items[0]!)).status).toBe(200);
    network.clock.advance(5_000);
    await expect(item(answered, owned.items[0]!)).rejects.toMatchObject({ code: 'GRANT_EXPIRED' });
  });
});

describe('a transfer in flight', () => {
  const LARGE = 3_000_000;
  async function started(seed: string): Promise<{ readonly network: TestNetwork; readonly owned: Owned; readonly answered: Answered; readonly reader: ReadableStreamDefaultReader<Uint8Array>; readonly first: number }> {
    const network = await openTestNetwork({ seed });
    const template = await publishTemplate(network);
    const person = await network.person('owner');
    const bundle = { resourceType: 'Bundle', type: 'collection', entry: [{ resource: { resourceType: 'Patient', id: 'p' } }, { resource: { resourceType: 'DocumentReference', id: 'd', status: 'current', subject: { reference: 'Patient/p' }, content: [{ attachment: { contentType: 'text/plain', data: 'A'.repeat(LARGE) } }] } }] };
    const { deliveries, refused } = await network.keeper.hospital.ingest(utf8(JSON.stringify(bundle)));
    expect(refused).toEqual([]);
    const { subject } = await network.hospitalAs(network.identities.get(HO)!.staff).link({ params: { patient: 'p' }, body: { link: await person.linkCode() } });
    const records = await network.keeper.records.recordsOf(deliveries[0]!);
    const items = records.map(({ id }) => id as RecordId);
    const large = records.find(({ cipherBytes }) => cipherBytes > LARGE)!.id as RecordId;
    const answered = await answerWith(network, template, { person, subject, items });
    await person.hospital.release({ body: requestOf(answered) });
    const response = await network.hospitalAs(network.identities.get(DUO)!.system).item({ params: { grant: answered.grant.id, record: large }, headers: { 'healthkeep-ticket': answered.ticket } });
    const reader = response.body!.getReader();
    const first = (await reader.read()).value!.length;
    return { network, owned: { person, subject, items }, answered, reader, first };
  }
  /** Reads on until the stream ends or breaks. */
  async function rest(reader: ReadableStreamDefaultReader<Uint8Array>, got: number): Promise<{ readonly bytes: number; readonly error: unknown }> {
    let bytes = got;
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return { bytes, error: undefined };
        bytes += value.length;
      }
    } catch (error) {
      return { bytes, error };
    }
  }

  it.each([
    ['the signed request', (owned: Owned, answered: Answered) => owned.person.hospital.revokeRelease({ params: { grant: answered.grant.id }, body: {} })],
    ['the channel alone', (owned: Owned, answered: Answered) => owned.person.hdc.submit('revokeRelease', { grant: answered.grant.id })],
  ])('is cut in the middle within 2 s of a revocation by %s', async (_, revoke) => {
    const { network, owned, answered, reader, first } = await started('cut');
    const began = performance.now();
    await revoke(owned, answered);
    // Nobody reads meanwhile: the cut must not wait for the reader.
    await until(async () => (await network.keeper.records.lines(0, 1_000)).some(({ line }) => fromUtf8(line).includes('"outcome":"cut"')), 2_000);
    expect(performance.now() - began).toBeLessThan(2_000);
    const { bytes, error } = await rest(reader, first);
    expect(error).toBeInstanceOf(Error);
    expect(bytes).toBeLessThan(LARGE);
    await expect(network.hospitalAs(network.identities.get(DUO)!.system).item({ params: { grant: answered.grant.id, record: owned.items[1]! }, headers: { 'healthkeep-ticket': answered.ticket, range: `bytes=${bytes}-` } })).rejects.toMatchObject({ code: 'GRANT_REVOKED' });
    await network.close();
  });

  it('is cut when the grant\'s time is over', async () => {
    const { network, reader, first } = await started('expiry');
    network.clock.advance(30 * DAY);
    const { bytes, error } = await rest(reader, first);
    expect(error).toBeInstanceOf(Error);
    expect(bytes).toBeLessThan(LARGE);
    await network.close();
  });

  it('arrives whole when nobody objects', async () => {
    const { network, reader, first } = await started('whole');
    const { bytes, error } = await rest(reader, first);
    expect(error).toBeUndefined();
    expect(bytes).toBeGreaterThan(LARGE);
    await network.close();
  });
});
