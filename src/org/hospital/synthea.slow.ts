/** Every bundle of real Synthea output through a hospital and back to its owner, byte for byte (minutes). */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Bytes } from '#base/bytes.ts';
import { equalBytes, fromBase64url, fromUtf8 } from '#base/bytes.ts';
import { decryptBody } from '#crypto/cobblestone.ts';
import { openWith } from '#crypto/aead.ts';
import { openFrom } from '#crypto/hpke.ts';
import { bodyContext, deliveryBinding, rowAad } from '#model/bindings.ts';
import { RecordRow } from '#model/messages.ts';
import { readBundle } from '#records/bundle.ts';
import { HO, openTestNetwork, until } from './hospital.test-kit.ts';

const SYNTHEA = join(process.env['HEALTHKEEP_DATA'] ?? '../shared/data', 'synthea');

describe.skipIf(!existsSync(SYNTHEA))('a hospital fed with Synthea', () => {
  it('loses and alters no resource, and links every reference that lies inside a bundle', { timeout: 1_200_000 }, async () => {
    const network = await openTestNetwork({ seed: 'all of Synthea' });
    const desk = network.hospitalAs(network.identities.get(HO)!.staff);
    let compared = 0;
    for (const name of readdirSync(SYNTHEA).filter((file) => file.endsWith('.json.gz'))) {
      const file = new Uint8Array(readFileSync(join(SYNTHEA, name))) as Bytes;
      const reading = await readBundle(file);
      const report = await network.keeper.hospital.ingest(file, { file: name });
      expect([report.read, report.accepted + report.duplicates]).toEqual([reading.read, reading.entries.length]);
      const person = await network.person(name);
      for (const patient of report.patients) await desk.link({ params: { patient }, body: { link: await person.linkCode() } });
      await until(async () => (await network.keeper.records.deliveriesToSeal(1)).length === 0, 60_000);
      const rows: { readonly row: RecordRow; readonly bytes: Bytes }[] = [];
      for (const delivery of report.deliveries) {
        const list = await person.hospital.deliveryList({ params: { delivery } });
        const key = await openFrom({ privateKey: person.hpke.privateKey, ...deliveryBinding(HO, delivery), envelope: fromBase64url(list.deliveryKey) });
        for (const { id, row: sealed } of list.rows) {
          const row = RecordRow.parse(JSON.parse(fromUtf8(await openWith(key, fromBase64url(sealed), rowAad(id)))));
          const ciphertext = new Uint8Array(await (await person.hospital.record({ params: { record: id } })).arrayBuffer());
          rows.push({ row, bytes: await decryptBody({ key: fromBase64url(row.dataKey), context: bodyContext(HO, id), ciphertext }) });
        }
      }
      expect(rows).toHaveLength(report.accepted);
      // Deliveries keep the order of the bundle.
      reading.entries.forEach((entry, at) => expect(equalBytes(entry.bytes, rows[at]!.bytes), `${name} ${entry.index}`).toBe(true));
      const inside = new Map(reading.entries.map((entry, at) => [entry.index, rows[at]!.row.id]));
      reading.entries.forEach((entry, at) => {
        for (const { text, target } of entry.references) if (text !== undefined && target.kind === 'entry') expect(rows[at]!.row.links?.[text]).toBe(inside.get(target.index));
      });
      compared += rows.length;
    }
    expect(await network.keeper.hospital.tamperCheck()).toEqual({ checked: compared, changed: [], missing: [], extra: [] });
    await network.close();
  });
});
