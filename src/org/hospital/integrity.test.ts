import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fromBase64url, fromUtf8, toBase64url } from '#base/bytes.ts';
import { commit } from '#crypto/commitment.ts';
import { sha256 } from '#crypto/digest.ts';
import { verifySigned } from '#crypto/signed-json.ts';
import type { RecordId, SubjectId } from '#model/ids.ts';
import { createDeliveryKeys } from './delivery-keys.ts';
import { COMMITMENT_DOMAIN } from '#model/bindings.ts';
import { openRow } from './sealing.ts';
import { bundleOf, HO, openTestNetwork, until, type TestNetwork, type TestPerson } from './hospital.test-kit.ts';

/** Changes a stopped hospital's file behind its back. */
function behind(network: TestNetwork, file: string, change: (db: DatabaseSync) => void): void {
  const db = new DatabaseSync(join(network.folder, 'hospital', file));
  change(db);
  db.close();
}

const flip = (column: string, table: string) => (db: DatabaseSync, id: string): void => {
  const bytes = (db.prepare(`SELECT ${column} AS bytes FROM ${table} WHERE id = ?`).get(id) as { bytes: Uint8Array }).bytes.slice();
  const at = bytes.length >> 1;
  bytes[at] = (bytes[at] as number) ^ 1;
  db.prepare(`UPDATE ${table} SET ${column} = ? WHERE id = ?`).run(bytes, id);
};

function allBytes(folder: string): Buffer {
  return Buffer.concat(readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => readFileSync(join(entry.parentPath, entry.name))));
}

describe('the tamper check', () => {
  let network: TestNetwork;
  let ids: readonly RecordId[];
  beforeEach(async () => {
    network = await openTestNetwork({ seed: 'tamper' });
    const { deliveries } = await network.keeper.hospital.ingest(bundleOf('p', 39));
    ids = (await network.keeper.records.recordsOf(deliveries[0]!)).map(({ id }) => id as RecordId);
  });
  afterEach(() => network.close());
  const sorted = (some: readonly RecordId[]): readonly RecordId[] => [...some].sort();

  it('names exactly the three of forty whose bodies have one bit changed', async () => {
    const changed = [ids[3]!, ids[17]!, ids[39]!];
    await network.stop();
    behind(network, 'bodies/small.sqlite', (db) => changed.forEach((id) => flip('bytes', 'body')(db, id)));
    await network.restart();
    expect(await network.keeper.hospital.tamperCheck()).toEqual({ checked: 40, changed: sorted(changed), missing: [], extra: [] });
    const answer = await network.hospitalAs(network.identities.get(HO)!.system).tamperCheck({ body: {} });
    expect(answer.changed).toEqual(sorted(changed));
  });

  it.each(['keys', 'row', 'commitment', 'signature'])('names a record whose %s were changed', async (column) => {
    await network.stop();
    behind(network, 'records.sqlite', (db) => flip(column, 'record')(db, ids[5]!));
    await network.restart();
    expect(await network.keeper.hospital.tamperCheck()).toEqual({ checked: 40, changed: [ids[5]], missing: [], extra: [] });
  });

  it('names two records whose bodies were exchanged', async () => {
    await network.stop();
    behind(network, 'bodies/small.sqlite', (db) => {
      db.prepare('UPDATE body SET id = ? WHERE id = ?').run('x', ids[1]!);
      db.prepare('UPDATE body SET id = ? WHERE id = ?').run(ids[1]!, ids[2]!);
      db.prepare('UPDATE body SET id = ? WHERE id = ?').run(ids[2]!, 'x');
    });
    await network.restart();
    expect((await network.keeper.hospital.tamperCheck()).changed).toEqual(sorted([ids[1]!, ids[2]!]));
  });

  it('names missing rows, missing bodies, and rows that were never anchored', async () => {
    await network.stop();
    behind(network, 'records.sqlite', (db) => {
      db.prepare('DELETE FROM record WHERE id = ?').run(ids[7]!);
      db.prepare("INSERT INTO record SELECT NULL, 'AAAAAAAAAAAAAAAAAAAAAA', subject, delivery, 99, 'forged', tag, keys, row, commitment, signature, class, size, created, 1, tx, block FROM record WHERE id = ?").run(ids[8]!);
    });
    behind(network, 'bodies/small.sqlite', (db) => db.prepare('DELETE FROM body WHERE id = ?').run(ids[9]!));
    await network.restart();
    const report = await network.keeper.hospital.tamperCheck();
    expect(report).toMatchObject({ changed: [], missing: sorted([ids[7]!, ids[9]!]), extra: ['AAAAAAAAAAAAAAAAAAAAAA'] });
  });

  it('finds the same by itself, page by page, and says how far it came', async () => {
    await network.stop();
    behind(network, 'bodies/small.sqlite', (db) => flip('bytes', 'body')(db, ids[3]!));
    await network.restart();
    await network.keeper.hospital.sweep.step();
    expect(network.keeper.hospital.sweep.coverage()).toBe(1);
    expect(network.log.lines).toContainEqual(expect.objectContaining({ level: 'error', event: 'sweep.found', fields: { record: ids[3], finding: 'changed' } }));
    const metrics = await (await network.keeper.hospital.fetch(new Request('https://ho-east.example/metrics'))).text();
    expect(metrics).toContain('healthkeep_sweep_coverage_ratio 1');
    expect(metrics).toContain('healthkeep_tampered_records_total{finding="changed"} 1');
  });

  it('notices a line of the access log that was changed or cut off', async () => {
    const { hospital } = network.keeper;
    await hospital.ingest(bundleOf('q', 1));
    await until(async () => (await network.keeper.hospital.accessLog.head())?.to === 1);
    await network.stop();
    behind(network, 'records.sqlite', (db) => db.prepare("UPDATE line SET line = replace(CAST(line AS TEXT), '\"records\":2', '\"records\":1') WHERE sequence = 1").run());
    await network.restart();
    await expect(network.keeper.hospital.accessLog.verify()).rejects.toMatchObject({ code: 'ACCESS_LOG_DAMAGED', details: { line: 1 } });
  });

  it('refuses to go on with a log shorter than the one whose head stands on the channel', async () => {
    await until(() => network.keeper.hospital.accessLog.head() !== undefined);
    const person = await network.person('any');
    await until(async () => (await person.hdc.evaluate('getAccessHead', {}))?.to === 0);
    await network.stop();
    behind(network, 'records.sqlite', (db) => db.prepare('DELETE FROM line').run());
    await network.restart();
    await until(() => network.log.lines.some(({ event, fields }) => event === 'access-heads.failed' && fields['code'] === 'ACCESS_LOG_FORKED'));
  });
});

describe('an erasure', () => {
  let network: TestNetwork;
  let person: TestPerson;
  let subject: SubjectId;
  let ids: readonly RecordId[];
  beforeEach(async () => {
    network = await openTestNetwork({ seed: 'erasure' });
    person = await network.person('owner');
    const { deliveries } = await network.keeper.hospital.ingest(bundleOf('p', 5));
    ({ subject } = await network.hospitalAs(network.identities.get(HO)!.staff).link({ params: { patient: 'p' }, body: { link: await person.linkCode() } }));
    ids = (await network.keeper.records.recordsOf(deliveries[0]!)).map(({ id }) => id as RecordId);
  });
  afterEach(() => network.close());
  const order = (items: readonly RecordId[]) => person.hdc.submit('orderErasure', { subject, items: [...items] });
  const erase = (items: readonly RecordId[]) => person.hospital.erase({ body: { items: [...items] } });

  it('needs the owner\'s order on the channel first', async () => {
    await expect(erase([ids[0]!])).rejects.toMatchObject({ code: 'ERASURE_NOT_ORDERED' });
    await order([ids[0]!]);
    await expect(erase([ids[0]!, ids[1]!])).rejects.toMatchObject({ code: 'ERASURE_NOT_ORDERED' });
    expect((await network.keeper.records.counts()).erased).toBe(0);
  });

  it('destroys what could open or recognise the record, everywhere; the anchor stays and matches nothing', async () => {
    const { records, bodies } = network.keeper;
    const [gone, kept] = [ids[2]!, ids[3]!];
    const before = (await records.records([gone])).get(gone)!;
    const body = await bodies.read(gone, 0, before.cipherBytes);
    const { hpke } = network.identities.get(HO)!;
    const key = await createDeliveryKeys({ keeper: HO, vault: hpke, random: network.random }).open((await records.delivery(before.delivery))!);
    const row = await openRow(before, key);
    await order([gone]);
    const { receipt } = await erase([gone]);
    expect(await verifySigned(receipt)).toMatchObject({ value: { kind: 'erasure-receipt', keeper: HO, subject, items: [gone] } });
    expect(await erase([gone])).toEqual({ receipt });

    await network.stop();
    const left = allBytes(join(network.folder, 'hospital'));
    for (const [name, bytes] of Object.entries({ body: body.subarray(60), wrappedKeys: before.wrappedKeys, sealedRow: before.sealedRow, contentTag: before.contentTag, dataKey: fromBase64url(row.dataKey), verificationKey: fromBase64url(row.verificationKey) } satisfies Record<string, Uint8Array>)) {
      expect(left.includes(Buffer.from(bytes)), name).toBe(false);
    }
    await network.restart();
    await expect(person.hospital.record({ params: { record: gone } })).rejects.toMatchObject({ code: 'RECORD_ERASED' });
    const { anchors } = await person.hdc.evaluate('getAnchors', { ids: [gone] });
    expect(anchors[0]?.state).toMatchObject({ erased: 'done', receiptDigest: toBase64url(sha256(new TextEncoder().encode(receipt.payload))) });
    // With the whole record at hand but without its verification key, no 32 bytes left in any file fit the anchor.
    const metadata = { keeper: HO, record: gone, subject, resourceType: row.resourceType, class: before.class };
    const fits = (verificationKey: Uint8Array): boolean => toBase64url(commit({ verificationKey, domain: COMMITMENT_DOMAIN, contentDigest: fromBase64url(row.digest), metadata })) === anchors[0]?.state.commitment;
    expect(fits(fromBase64url(row.verificationKey))).toBe(true);
    expect(fits(key)).toBe(false);
    expect((await person.hospital.record({ params: { record: kept } })).status).toBe(200);
    expect(await network.keeper.hospital.tamperCheck()).toEqual({ checked: 5, changed: [], missing: [], extra: [] });
  });

  it('cannot be undone by putting the old row and body back', async () => {
    const gone = ids[1]!;
    const { records, bodies } = network.keeper;
    const before = (await records.records([gone])).get(gone)!;
    const body = await bodies.read(gone, 0, before.cipherBytes);
    await order([gone]);
    await erase([gone]);
    await network.stop();
    behind(network, 'records.sqlite', (db) =>
      db.prepare('UPDATE record SET state = 1, tag = ?, keys = ?, row = ?, commitment = ?, signature = ?, size = ? WHERE id = ?').run(before.contentTag, before.wrappedKeys, before.sealedRow, before.commitment, before.signature, before.cipherBytes, gone),
    );
    behind(network, 'bodies/small.sqlite', (db) => db.prepare('INSERT INTO body (id, bytes) VALUES (?, ?)').run(gone, body));
    await network.restart();
    expect((await network.keeper.hospital.tamperCheck()).extra).toEqual([gone]);
    // The channel does not let it go anywhere.
    await expect(person.hdc.submit('orderErasure', { subject, items: [gone] })).rejects.toMatchObject({ code: 'RECORD_ERASED' });
  });

  it.each(['before the channel knew', 'after the channel knew'])('is finished at the next start when a crash came %s', async (when) => {
    const gone = ids[4]!;
    await order([gone]);
    await network.restart({
      ledger: (client) => ({
        ...client,
        async submit(call) {
          if (call.name !== 'recordErasure') return client.submit(call);
          if (when.startsWith('after')) await client.submit(call);
          throw new Error('killed');
        },
      }),
    });
    await expect(erase([gone])).rejects.toMatchObject({ code: 'INTERNAL' });
    await network.restart();
    await network.keeper.hospital.settled();
    const { anchors } = await person.hdc.evaluate('getAnchors', { ids: [gone] });
    expect(anchors[0]?.state.erased).toBe('done');
    const { receipt } = await erase([gone]);
    expect(toBase64url(sha256(new TextEncoder().encode(receipt.payload)))).toBe(anchors[0]?.state.receiptDigest);
    expect(fromUtf8((await network.keeper.records.lines(0, 100)).at(-1)!.line)).toContain('"action":"erase"');
  });
});
