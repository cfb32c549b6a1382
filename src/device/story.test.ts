import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readBlock } from '#ledger/block.ts';
import { hdcOf, DRC, UIC } from '#model/orgs.ts';
import type { RecordId } from '#model/ids.ts';
import { readCertificate } from '#crypto/x509.ts';
import { verifyFile } from '../../verifier/verify.ts';
import { createDevice } from './device.ts';
import { INSTITUTE, INSURER, openWorld, settled, syncUntil, type World } from './network.test-kit.ts';
import { asked, cardOf, permitted, person, received, type Person } from './person.test-kit.ts';
import { contentsDigest } from './preview.ts';

let world: World;
let one: Person;
beforeAll(async () => {
  world = await openWorld('story');
  one = await person(world);
}, 60_000);
afterAll(async () => {
  await world?.close();
});

/** The genesis file a reader would have. */
function genesis(): string {
  return JSON.stringify({ kind: 'healthkeep-genesis', version: 1, members: [...world.network.identities].map(([org, { ca }]) => ({ org, rootCertificate: ca.certificate })) });
}

describe('a person\'s device', () => {
  it('holds every accepted record, sealed, with the received bytes', async () => {
    const records = await one.device.records();
    expect(records).toHaveLength(one.patient.accepted);
    expect(new Set(records.map(({ seal }) => seal))).toEqual(new Set(['sealed']));
    const texts = one.patient.person.bundles.map(({ text }) => text);
    for (const { id } of records.slice(0, 5)) {
      const text = new TextDecoder().decode(await one.device.openRecord(id));
      expect(texts.some((bundle) => bundle.includes(text))).toBe(true);
    }
  });

  it('shows a request in the voted template\'s words, the data user\'s own apart', async () => {
    const slot = await asked(world, one.device);
    const template = world.templates.get(INSURER.org)?.template;
    const card = await cardOf(one.device, slot);
    expect(card).toMatchObject({ state: 'waiting', requesterName: INSURER.name, message: 'Please.', asks: { title: template?.title, why: template?.why, ifRefused: template?.ifRefused, retentionDays: template?.retentionDays } });
    expect(JSON.stringify(card.asks)).not.toContain('Please.');
    expect(card.matching?.every(({ items }) => items > 0)).toBe(true);
  });

  it('delivers exactly the bytes of the preview, whatever part is chosen', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.boolean(), { minLength: 24, maxLength: 24 }), async (picks) => {
        const slot = await asked(world, one.device, { duo: INSTITUTE.org });
        const all = await one.device.preview(slot, { decision: 'all' });
        const chosen = all.items.filter((_, at) => picks[at % picks.length]).map(({ id }) => id);
        const items = chosen.length === 0 ? [all.items[0]?.id as RecordId] : chosen;
        const preview = await one.device.preview(slot, { decision: 'narrower', items });
        await one.device.answer(slot, { decision: 'narrower', items, digest: preview.digest });
        await syncUntil(one.device, settled(one.device));
        const arrived = await received(world, slot, INSTITUTE.org);
        expect(arrived.map(({ id }) => id).sort()).toEqual([...items].sort());
        expect(contentsDigest(arrived)).toBe(preview.digest);
        expect(arrived.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBe(preview.totalBytes);
      }),
      { numRuns: 4 },
    );
  }, 60_000);

  it('refuses a choice that is wider than the request, empty, or not what the preview showed', async () => {
    const slot = await asked(world, one.device);
    const { items } = await one.device.preview(slot, { decision: 'all' });
    const other = (await one.device.records()).find(({ id }) => !items.some((item) => item.id === id))?.id as RecordId;
    await expect(one.device.answer(slot, { decision: 'narrower', items: [other] })).rejects.toMatchObject({ code: 'CHOICE_WIDER' });
    await expect(one.device.answer(slot, { decision: 'narrower', items: [] })).rejects.toMatchObject({ code: 'CHOICE_EMPTY' });
    const part = await one.device.preview(slot, { decision: 'narrower', items: [items[0]?.id as RecordId] });
    await expect(one.device.answer(slot, { decision: 'all', digest: part.digest })).rejects.toMatchObject({ code: 'PREVIEW_CHANGED' });
    expect((await cardOf(one.device, slot)).state).toBe('waiting');
  });

  it('lets nothing leave on a no', async () => {
    const slot = await asked(world, one.device);
    const orders = await Promise.all([...one.patient.ids.keys()].map(async (keeper) => (await world.transactions(hdcOf(keeper))).get('orderRelease')));
    expect(await one.device.preview(slot, { decision: 'no' })).toMatchObject({ items: [], totalBytes: 0 });
    await one.device.answer(slot, { decision: 'no' });
    await syncUntil(one.device, settled(one.device));
    expect(await cardOf(one.device, slot)).toMatchObject({ state: 'refused', unfinished: false, parts: [] });
    expect(await Promise.all([...one.patient.ids.keys()].map(async (keeper) => (await world.transactions(hdcOf(keeper))).get('orderRelease')))).toEqual(orders);
    await expect(one.device.answer(slot, { decision: 'all' })).rejects.toMatchObject({ code: 'REQUEST_NOT_WAITING' });
    await expect(one.device.revoke(slot)).rejects.toMatchObject({ code: 'REQUEST_NOT_ANSWERED' });
    const file = await one.device.consentReceipt(slot);
    expect(verifyFile({ file: JSON.stringify(file), genesis: genesis() })).toMatchObject({ good: true });
  });

  it('withdraws permissions and reports requests', async () => {
    const open = await permitted(world, one.device);
    await one.device.withdraw(open);
    expect(await cardOf(one.device, open)).toMatchObject({ state: 'withdrawn', unfinished: false });
    await expect(world.invite(INSURER.org, open)).rejects.toMatchObject({ code: 'SLOT_WITHDRAWN' });
    const slot = await asked(world, one.device);
    await one.device.report(slot, 'pressure');
    await one.device.report(slot, 'pressure');
    expect((await world.transactions(DRC)).get('reportSlot')).toBe(1);
    await one.device.withdraw(slot);
    await expect(one.device.answer(slot, { decision: 'all' })).rejects.toMatchObject({ code: 'REQUEST_NOT_WAITING' });
  });

  it('gives proofs and consent receipts that the stand-alone verifier accepts', async () => {
    const { id } = (await one.device.records())[0] as { id: RecordId };
    const bytes = await one.device.openRecord(id);
    const proof = JSON.stringify(await one.device.proofOf(id));
    expect(verifyFile({ file: proof, genesis: genesis(), record: Buffer.from(bytes) })).toMatchObject({ good: true });
    const changed = bytes.slice();
    changed[0] = (changed[0] as number) ^ 1;
    expect(verifyFile({ file: proof, genesis: genesis(), record: Buffer.from(changed) })).toMatchObject({ good: false });
    const slot = await asked(world, one.device);
    await expect(one.device.consentReceipt(slot)).rejects.toMatchObject({ code: 'REQUEST_NOT_ANSWERED' });
    await one.device.answer(slot, { decision: 'all' });
    await syncUntil(one.device, settled(one.device));
    const receipt = await one.device.consentReceipt(slot);
    expect(verifyFile({ file: JSON.stringify(receipt), genesis: genesis() })).toMatchObject({ good: true });
    expect(verifyFile({ file: JSON.stringify({ ...receipt, grants: receipt.grants.slice(1) }), genesis: genesis() })).toMatchObject({ good: false });
  }, 30_000);

  it('writes index entries that share no writer, no time and no length', async () => {
    const signer = world.network.identities.get(world.network.userOrg.org)?.peer;
    if (signer === undefined) throw new Error('no reader');
    const writers = new Set<string>();
    const tags = new Set<string>();
    const ended = new AbortController();
    const last = (await world.network.ledger.height(UIC)) - 1;
    let entries = 0;
    for await (const block of world.network.client.blocks({ channel: UIC, startBlock: 0, signer, signal: ended.signal })) {
      for (const transaction of readBlock(new Uint8Array(block.bytes)).transactions.filter((one) => one.function === 'putEntry')) {
        entries++;
        writers.add(readCertificate(transaction.creator.certificate).commonName);
        expect(Number(transaction.timestamp) % 3_600_000).toBe(0);
        for (const { key, value } of transaction.writes.filter((write) => write.key.includes('entry'))) {
          tags.add(key);
          expect((JSON.parse(new TextDecoder().decode(value ?? new Uint8Array(0))) as { sealed: string }).sealed).toHaveLength(683);
        }
      }
      if (block.number >= last) break;
    }
    ended.abort();
    expect(entries).toBeGreaterThanOrEqual(2);
    expect(writers.size).toBe(entries);
    expect(tags.size).toBe(entries);
  });

  it('shows the access log, confirmed by the channel', async () => {
    await syncUntil(one.device, async () => (await one.device.accessLog()).every(({ verifiedTo, lines, problem }) => problem === undefined && verifiedTo >= 0 && lines.some(({ action }) => action === 'release')));
    const logs = await one.device.accessLog();
    expect(logs.map(({ keeper }) => keeper).sort()).toEqual([...one.patient.ids.keys()].sort());
    for (const { lines } of logs) expect(new Set(lines.map(({ action }) => action))).toContain('link');
  }, 30_000);

  it('is the same after a restart', async () => {
    const before = [await one.device.requests(), await one.device.records(), await one.device.stateDigest()];
    const again = await createDevice(one.options);
    expect([await again.requests(), await again.records(), await again.stateDigest()]).toEqual(before);
    await expect(createDevice({ ...one.options, unlockKey: new Uint8Array(32) })).rejects.toMatchObject({ code: 'DEVICE_LOCKED' });
  });

  it('erases at the keeper, keeps the signed receipt and forgets the keys', async () => {
    const { id } = (await one.device.records()).at(-1) as { id: RecordId };
    await one.device.erase([id]);
    await syncUntil(one.device, settled(one.device));
    expect((await one.device.records()).some((record) => record.id === id)).toBe(false);
    expect((await one.device.receipts()).find((receipt) => receipt.kind === 'keeper-erasure')).toMatchObject({ items: [id] });
    await expect(one.device.openRecord(id)).rejects.toMatchObject({ code: 'DEVICE_UNKNOWN_ID' });
    expect((await one.device.reconcile()).filter(({ kind }) => kind !== 'not-indexed')).toEqual([]);
  });

});
