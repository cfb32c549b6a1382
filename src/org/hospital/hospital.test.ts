import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fromBase64url, fromUtf8, toBase64url, utf8, type Bytes } from '#base/bytes.ts';
import { decryptBody } from '#crypto/cobblestone.ts';
import { commit } from '#crypto/commitment.ts';
import { sha256 } from '#crypto/digest.ts';
import { openFrom } from '#crypto/hpke.ts';
import { verifyDer } from '#crypto/keys.ts';
import { openWith } from '#crypto/aead.ts';
import { readCertificate } from '#crypto/x509.ts';
import type { DeliveryId, GrantId, RecordId } from '#model/ids.ts';
import { RecordRow } from '#model/messages.ts';
import { readBundle } from '#records/bundle.ts';
import { canariesOf, syntheticPeople } from '#sim/people.ts';
import { lineDigest, nextHead } from './access-log.ts';
import { anchorStatement, bodyContext, COMMITMENT_DOMAIN, deliveryBinding, rowAad } from '#model/bindings.ts';
import { bundleOf, HO, openTestNetwork, until, type TestNetwork, type TestPerson } from './hospital.test-kit.ts';

const SYNTHEA = join(process.env['HEALTHKEEP_DATA'] ?? '../shared/data', 'synthea');

/** Everything an owner can get of one delivery, opened and checked as a device does. */
async function openDelivery(person: TestPerson, delivery: DeliveryId): Promise<readonly { readonly row: RecordRow; readonly bytes: Bytes }[]> {
  const list = await person.hospital.deliveryList({ params: { delivery } });
  const key = await openFrom({ privateKey: person.hpke.privateKey, ...deliveryBinding(HO, delivery), envelope: fromBase64url(list.deliveryKey) });
  return Promise.all(
    list.rows.map(async ({ id, row: sealed }) => {
      const row = RecordRow.parse(JSON.parse(fromUtf8(await openWith(key, fromBase64url(sealed), rowAad(id)))));
      const ciphertext = new Uint8Array(await (await person.hospital.record({ params: { record: id } })).arrayBuffer());
      const bytes = await decryptBody({ key: fromBase64url(row.dataKey), context: bodyContext(HO, id), ciphertext });
      const anchor = await person.hospital.anchors({ params: { record: id } });
      const metadata = { keeper: HO, record: id, subject: list.subject, resourceType: row.resourceType, class: anchor.class };
      const commitment = commit({ verificationKey: fromBase64url(row.verificationKey), domain: COMMITMENT_DOMAIN, contentDigest: sha256(bytes), metadata });
      expect([toBase64url(commitment), anchor.commitment]).toEqual([row.commitment, row.commitment]);
      expect(await verifyDer(readCertificate(list.certificate).spki, anchorStatement({ keeper: HO, record: id, subject: list.subject, commitment }), fromBase64url(row.signature))).toBe(true);
      return { row, bytes };
    }),
  );
}

describe('a hospital', () => {
  let network: TestNetwork;
  beforeAll(async () => {
    network = await openTestNetwork();
  });
  afterAll(() => network.close());

  it('takes a bundle, anchors every record and says so only then', async () => {
    const { hospital, records } = network.keeper;
    const report = await hospital.ingest(bundleOf('p1', 9), { file: 'p1.json' });
    expect(report).toMatchObject({ read: 10, accepted: 10, duplicates: 0, refused: [], patients: ['p1'] });
    expect(await records.counts()).toEqual({ stored: 0, anchored: 10, erased: 0, deliveries: 1, subjects: 1 });
    expect(await hospital.tamperCheck()).toEqual({ checked: 10, changed: [], missing: [], extra: [] });
  });

  it('recognises the same resources again, whatever else the bundle holds', async () => {
    const { hospital } = network.keeper;
    expect(await hospital.ingest(bundleOf('p1', 9))).toMatchObject({ read: 10, accepted: 0, duplicates: 10, deliveries: [] });
    expect(await hospital.ingest(bundleOf('p1', 12))).toMatchObject({ read: 13, accepted: 3, duplicates: 10 });
  });

  it('takes the same bundle sent four times at once as one', async () => {
    const { hospital } = network.keeper;
    const reports = await Promise.all([1, 2, 3, 4].map(() => hospital.ingest(bundleOf('p-parallel', 5))));
    expect(reports.map(({ accepted }) => accepted).sort()).toEqual([0, 0, 0, 6]);
  });

  it('makes several deliveries of a very large bundle, whole and linked across them', async () => {
    const { hospital, records } = network.keeper;
    const report = await hospital.ingest(bundleOf('p-large', 4_500));
    expect(report).toMatchObject({ accepted: 4_501, duplicates: 0 });
    expect(await Promise.all(report.deliveries.map(async (id) => (await records.delivery(id))?.count))).toEqual([2_000, 2_000, 501]);
    expect(await hospital.ingest(bundleOf('p-large', 4_500))).toMatchObject({ accepted: 0, duplicates: 4_501 });
  });

  it('lets a changed resource replace the last version and links both', async () => {
    const { hospital } = network.keeper;
    const person = await network.person('versions');
    await hospital.ingest(bundleOf('p2', 2));
    const second = await hospital.ingest(bundleOf('p2', 2, { tag: 'changed' }));
    expect(second).toMatchObject({ accepted: 2, duplicates: 1 });
    await network.hospitalAs(network.identities.get(HO)!.staff).link({ params: { patient: 'p2' }, body: { link: await person.linkCode() } });
    await until(async () => (await network.keeper.records.deliveriesToSeal(1)).length === 0);
    const { deliveries } = await person.hospital.deliveries({ query: {} });
    const [old, fresh] = await Promise.all(deliveries.map(({ delivery }) => openDelivery(person, delivery)));
    const oldIds = old!.map(({ row }) => row.id);
    expect(fresh!.map(({ row }) => row.replaces)).toEqual([oldIds[1], oldIds[2]]);
    // The patient resource did not change: the new version still points to it.
    expect(Object.values(fresh![0]!.row.links ?? {})).toEqual([oldIds[0]]);
  });

  it('resolves references with what it already keeps, and refuses dangling ones by name', async () => {
    const { hospital } = network.keeper;
    await hospital.ingest(bundleOf('p3', 1));
    const observation = (subject: string) => utf8(JSON.stringify({ resourceType: 'Bundle', type: 'collection', entry: [{ resource: { resourceType: 'Observation', id: `late-${subject}`, status: 'final', code: { text: 'late' }, subject: { reference: `Patient/${subject}` } } }] }));
    expect(await hospital.ingest(observation('p3'))).toMatchObject({ accepted: 1, patients: ['p3'] });
    const refused = await hospital.ingest(observation('nobody'), { file: 'late.json' });
    expect(refused).toMatchObject({ read: 1, accepted: 0, refused: [{ file: 'late.json', index: 0, code: 'REFERENCE_UNRESOLVED' }] });
  });

  it('links an owner after the records came: keys are sealed to it, notices sent, lists open', async () => {
    const person = await network.person('late owner');
    const desk = network.hospitalAs(network.identities.get(HO)!.staff);
    const { deliveries } = await network.keeper.hospital.ingest(bundleOf('p4', 3));
    await expect(person.hospital.deliveries({ query: {} })).rejects.toMatchObject({ code: 'NOT_OWNER' });
    const link = await person.linkCode();
    const { subject } = await desk.link({ params: { patient: 'p4' }, body: { link } });
    expect(await desk.link({ params: { patient: 'p4' }, body: { link } })).toEqual({ subject });
    await until(async () => (await network.keeper.records.delivery(deliveries[0]!))?.noticed === true);
    expect((await person.hospital.deliveries({ query: {} })).deliveries).toMatchObject([{ kind: 'delivery', keeper: HO, delivery: deliveries[0], subject, count: 4 }]);
    const reading = await readBundle(bundleOf('p4', 3));
    const opened = await openDelivery(person, deliveries[0]!);
    expect(opened.map(({ bytes }) => fromUtf8(bytes))).toEqual(reading.entries.map(({ bytes }) => fromUtf8(bytes)));
    expect(await person.hdc.evaluate('getOwner', { subject })).toMatchObject({ owner: person.pairwiseId });
  });

  it.each([
    ['LINK_EXPIRED', { expiresAt: '2026-03-01T07:59:59.999Z' }],
    ['LINK_OTHER_KEEPER', { keeper: 'HO-west' }],
    ['SIGNATURE_INVALID', { pairwiseId: 'AAAAAAAAAAAAAAAAAAAAAA' }],
    ['SIGNATURE_INVALID', { kind: 'grant' }],
  ])('refuses a link code with %s for %o', async (code, over) => {
    const person = await network.person('links');
    const desk = network.hospitalAs(network.identities.get(HO)!.staff);
    await expect(desk.link({ params: { patient: 'p5' }, body: { link: await person.linkCode(over) } })).rejects.toMatchObject({ code });
  });

  it('refuses a second owner for a patient, and a code that was altered', async () => {
    const desk = network.hospitalAs(network.identities.get(HO)!.staff);
    const [first, second] = [await network.person('first'), await network.person('second')];
    await desk.link({ params: { patient: 'p6' }, body: { link: await first.linkCode() } });
    await expect(desk.link({ params: { patient: 'p6' }, body: { link: await second.linkCode() } })).rejects.toMatchObject({ code: 'LINK_TAKEN' });
    const link = await second.linkCode();
    await expect(desk.link({ params: { patient: 'p7' }, body: { link: { ...link, payload: link.payload.replace('"link"', '"Link"') } } })).rejects.toMatchObject({ code: 'SIGNATURE_INVALID' });
  });

  it('believes the channel when it knows another owner than the store, and stays able to link that one', async () => {
    const desk = network.hospitalAs(network.identities.get(HO)!.staff);
    const [owner, other] = [await network.person('of the channel'), await network.person('of the desk')];
    const { subject } = await desk.link({ params: { patient: 'p-restored' }, body: { link: await owner.linkCode() } });
    // As after a restore of an older store.
    await network.keeper.records.putOwner(subject, undefined);
    await expect(desk.link({ params: { patient: 'p-restored' }, body: { link: await other.linkCode() } })).rejects.toMatchObject({ code: 'SUBJECT_LINKED' });
    expect(await desk.link({ params: { patient: 'p-restored' }, body: { link: await owner.linkCode() } })).toEqual({ subject });
  });

  it('shows nobody what is not theirs', async () => {
    const desk = network.hospitalAs(network.identities.get(HO)!.staff);
    const [owner, stranger] = [await network.person('owner-8'), await network.person('stranger-9')];
    const { deliveries } = await network.keeper.hospital.ingest(bundleOf('p8', 1));
    await network.keeper.hospital.ingest(bundleOf('p9', 1));
    await desk.link({ params: { patient: 'p8' }, body: { link: await owner.linkCode() } });
    await desk.link({ params: { patient: 'p9' }, body: { link: await stranger.linkCode() } });
    await until(async () => (await network.keeper.records.deliveriesToSeal(1)).length === 0);
    const record = (await network.keeper.records.recordsOf(deliveries[0]!))[0]!.id as RecordId;
    const calls = (person: TestPerson, of: { delivery: DeliveryId; record: RecordId }) => [
      () => person.hospital.deliveryList({ params: { delivery: of.delivery } }), () => person.hospital.record({ params: { record: of.record } }), () => person.hospital.recordProof({ params: { record: of.record } }),
      () => person.hospital.anchors({ params: { record: of.record } }), () => person.hospital.erase({ body: { items: [of.record] } }),
    ];
    const unknown = { delivery: toBase64url(new Uint8Array(16)) as DeliveryId, record: toBase64url(new Uint8Array(16)) as RecordId };
    for (const call of [...calls(stranger, { delivery: deliveries[0]!, record }), ...calls(stranger, unknown)]) await expect(call()).rejects.toMatchObject({ code: 'NOT_OWNER' });
  });

  /** Every endpoint of an owner. */
  const owners: readonly { readonly name: string; readonly call: (person: TestPerson, of: { readonly delivery: DeliveryId; readonly record: RecordId }) => Promise<unknown> }[] = [
    { name: 'deliveries', call: (person) => person.hospital.deliveries({ query: {} }) },
    { name: 'deliveryList', call: (person, { delivery }) => person.hospital.deliveryList({ params: { delivery } }) },
    { name: 'record', call: (person, { record }) => person.hospital.record({ params: { record } }) },
    { name: 'recordProof', call: (person, { record }) => person.hospital.recordProof({ params: { record } }) },
    { name: 'anchors', call: (person, { record }) => person.hospital.anchors({ params: { record } }) },
    { name: 'accessLog', call: (person) => person.hospital.accessLog({ query: {} }) },
    { name: 'erase', call: (person, { record }) => person.hospital.erase({ body: { items: [record] } }) },
    { name: 'revokeRelease', call: (person) => person.hospital.revokeRelease({ params: { grant: toBase64url(new Uint8Array(16)) as GrantId }, body: {} }) },
  ];

  it.each(owners)('answers $name to the key of the desk only, whatever name another key was certified under', async ({ name, call }) => {
    const person = await network.person(`keyed ${name}`);
    const { deliveries } = await network.keeper.hospital.ingest(bundleOf(`keyed-${name}`, 1));
    await network.hospitalAs(network.identities.get(HO)!.staff).link({ params: { patient: `keyed-${name}` }, body: { link: await person.linkCode() } });
    await until(async () => (await network.keeper.records.deliveriesToSeal(1)).length === 0);
    const of = { delivery: deliveries[0]!, record: (await network.keeper.records.recordsOf(deliveries[0]!))[0]!.id as RecordId };
    await expect(call(await person.certifiedAnew('other key'), of)).rejects.toMatchObject({ code: 'NOT_OWNER' });
    // A renewed certificate is the owner: refused, if at all, for what it asked and not for who it is.
    const told = await call(await person.certifiedAnew('same key'), of).then(() => 'done', (error: { readonly code: string }) => error.code);
    expect(told).toBe(({ erase: 'ERASURE_NOT_ORDERED', revokeRelease: 'NOT_OWNER' } as Readonly<Record<string, string>>)[name] ?? 'done');
  });

  it('takes a new key of the same owner at the desk, and then no longer the old one', async () => {
    const person = await network.person('new phone');
    const moved = await person.certifiedAnew('other key');
    const desk = network.hospitalAs(network.identities.get(HO)!.staff);
    await network.keeper.hospital.ingest(bundleOf('new-phone', 1));
    const { subject } = await desk.link({ params: { patient: 'new-phone' }, body: { link: await person.linkCode() } });
    expect(await desk.link({ params: { patient: 'new-phone' }, body: { link: await moved.linkCode() } })).toEqual({ subject });
    expect((await moved.hospital.deliveries({ query: {} })).deliveries).toHaveLength(1);
    await expect(person.hospital.deliveries({ query: {} })).rejects.toMatchObject({ code: 'NOT_OWNER' });
    expect((await moved.hdc.evaluate('getOwner', { subject })).owner).toBe(person.pairwiseId);
    await expect(person.hdc.evaluate('getOwner', { subject })).rejects.toMatchObject({ code: 'NOT_OWNER' });
  });

  it('proves an anchor to its owner against a checkpoint that stands on CON', async () => {
    const person = await network.person('prover');
    const { deliveries } = await network.keeper.hospital.ingest(bundleOf('p10', 1));
    await network.hospitalAs(network.identities.get(HO)!.staff).link({ params: { patient: 'p10' }, body: { link: await person.linkCode() } });
    const record = (await network.keeper.records.recordsOf(deliveries[0]!))[0]!.id as RecordId;
    // Members other than the keeper run no web server in this network, so only the anchor's half is asked for here.
    const [anchor] = await network.keeper.hospital.proofs.anchors([{ id: record, blockNumber: (await network.keeper.records.records([record])).get(record)!.anchor!.blockNumber }]);
    expect(anchor).toMatchObject({ channel: 'hdc-east', namespace: 'hdc', key: `\u0000anchor\u0000${record}\u0000` });
    expect(anchor!.checkpoint.split('\n')[1]).toBe(String(anchor!.size));
  });

  it('keeps a chained access log whose head stands on the channel, and shows an owner exactly its own lines', async () => {
    const person = await network.person('reader');
    const { deliveries } = await network.keeper.hospital.ingest(bundleOf('p11', 2));
    const { subject } = await network.hospitalAs(network.identities.get(HO)!.staff).link({ params: { patient: 'p11' }, body: { link: await person.linkCode() } });
    await until(async () => (await network.keeper.records.deliveriesToSeal(1)).length === 0);
    await openDelivery(person, deliveries[0]!);
    await until(async () => (await person.hdc.evaluate('getAccessHead', {}))?.to === network.keeper.hospital.accessLog.head()?.to);
    const { lines, chain, head } = await person.hospital.accessLog({ query: {} });
    expect(lines.map(({ action, records }) => [action, records])).toEqual([['ingest', 3], ['link', 0], ['list', 3], ['read', 1], ['read', 1], ['read', 1]]);
    expect(new Set(lines.map((line) => line.subject))).toEqual(new Set([subject]));
    let recomputed = fromBase64url(chain.start);
    const heads = chain.digests.map((digest) => (recomputed = nextHead(recomputed, fromBase64url(digest))));
    expect(toBase64url(heads[head!.to - chain.from]!)).toBe(head!.head);
    for (const line of lines) {
      expect(toBase64url(lineDigest(line))).toBe(chain.digests[line.sequence - chain.from]);
      expect(line.previous).toBe(line.sequence === chain.from ? chain.start : toBase64url(heads[line.sequence - chain.from - 1]!));
    }
    const later = await person.hospital.accessLog({ query: { after: lines[2]!.sequence } });
    expect(later.lines.map(({ sequence }) => sequence)).toEqual(lines.slice(3).map(({ sequence }) => sequence));
    expect(await network.keeper.hospital.accessLog.verify()).toBeGreaterThan(5);
  });

  it('names what is wrong with a file, and takes nothing of it', async () => {
    const desk = network.hospitalAs(network.identities.get(HO)!.system);
    const send = (text: string) => desk.ingest({ query: {}, body: utf8(text), contentType: 'application/fhir+json' });
    const before = await network.keeper.records.counts();
    await expect(send('not json')).rejects.toMatchObject({ code: 'JSON_MALFORMED' });
    await expect(send(`${'['.repeat(200_000)}`)).rejects.toMatchObject({ code: 'JSON_TOO_DEEP' });
    await expect(send('{"resourceType":"Bundle","resourceType":"Bundle"}')).rejects.toMatchObject({ code: 'JSON_DUPLICATE_KEY' });
    await expect(send('{"resourceType":"Patient"}')).rejects.toMatchObject({ code: 'FHIR_NOT_A_BUNDLE' });
    await expect(send('<Bundle xmlns="http://hl7.org/fhir"/>')).rejects.toMatchObject({ code: 'FHIR_XML_UNSUPPORTED' });
    await expect(send('')).rejects.toMatchObject({ code: 'FILE_EMPTY' });
    expect(await network.keeper.records.counts()).toEqual(before);
  });
});

/** Every byte of every file below a folder. */
function allBytes(folder: string): Buffer {
  return Buffer.concat(readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => readFileSync(join(entry.parentPath, entry.name))));
}

describe('what a hospital stores', () => {
  async function roundTrip(network: TestNetwork, files: readonly { readonly name: string; readonly patient: string; readonly bytes: Bytes }[]): Promise<number> {
    let compared = 0;
    for (const { name, patient, bytes } of files) {
      const report = await network.keeper.hospital.ingest(bytes, { file: name });
      const person = await network.person(patient);
      for (const local of report.patients) await network.hospitalAs(network.identities.get(HO)!.staff).link({ params: { patient: local }, body: { link: await person.linkCode() } });
      await until(async () => (await network.keeper.records.deliveriesToSeal(1)).length === 0);
      const opened = (await Promise.all(report.deliveries.map((delivery) => openDelivery(person, delivery)))).flat();
      const reading = await readBundle(bytes);
      expect(report.read).toBe(reading.read);
      expect(opened.map(({ bytes: got }) => fromUtf8(got)).sort()).toEqual(reading.entries.map((entry) => fromUtf8(entry.bytes)).sort());
      // Every reference that lies inside the bundle is a link to a record the owner has.
      const ids = new Set(opened.map(({ row }) => row.id));
      for (const { row } of opened) for (const link of Object.values(row.links ?? {})) expect(ids.has(link)).toBe(true);
      compared += opened.length;
    }
    return compared;
  }

  it('is exactly what it received, for every resource of synthetic people, and holds no plaintext of them', async () => {
    const network = await openTestNetwork({ seed: 'round trip' });
    const people = syntheticPeople({ seed: 'hospital', count: 2, hospitals: 1 });
    const files = people.flatMap((person, at) => person.bundles.map((bundle) => ({ name: bundle.file, patient: `person-${at}`, bytes: utf8(bundle.text) })));
    expect(await roundTrip(network, files)).toBeGreaterThan(50);
    const canaries = people.flatMap((person) => canariesOf(person));
    expect(canaries.length).toBeGreaterThan(10);
    const stored = allBytes(network.folder);
    const spoken = network.log.text();
    const { metrics } = await import('#api/endpoints.ts').then(({ commonEndpoints }) => commonEndpoints);
    const shown = await (await network.keeper.hospital.fetch(new Request(`https://ho-east.example${metrics.path}`))).text();
    for (const canary of canaries) {
      expect(stored.includes(canary), 'a canary stands in a store or block').toBe(false);
      expect(spoken.includes(canary), 'a canary stands in the log').toBe(false);
      expect(shown.includes(canary), 'a canary stands in the metrics').toBe(false);
    }
    await network.close();
  });

  it.skipIf(!existsSync(SYNTHEA))('is exactly what it received, for real Synthea bundles', { timeout: 120_000 }, async () => {
    const network = await openTestNetwork({ seed: 'synthea' });
    // The smallest; all of them are in the slow test.
    const files = readdirSync(SYNTHEA).filter((name) => name.endsWith('.json.gz')).map((name) => ({ name, patient: name, bytes: new Uint8Array(readFileSync(join(SYNTHEA, name))) as Bytes })).sort((a, b) => a.bytes.length - b.bytes.length);
    expect(await roundTrip(network, files.slice(0, 1))).toBeGreaterThan(50);
    await network.close();
  });
});

