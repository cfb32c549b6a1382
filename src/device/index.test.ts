import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCertificate } from '#crypto/x509.ts';
import { readBlock, type TransactionFacts } from '#ledger/block.ts';
import type { LedgerSigner } from '#ledger/client.ts';
import { UIC, validityMonth } from '#model/orgs.ts';
import { createDevice } from './device.ts';
import { memoryStore } from './memory-store.test-kit.ts';
import { DAY_MS, openWorld, settled, syncUntil, type World } from './network.test-kit.ts';
import { realScheduler } from './seams.test-kit.ts';
import { asked, person } from './person.test-kit.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld('index');
}, 60_000);
afterAll(async () => {
  await world?.close();
});

/** The entries' transactions as the channel's peers have them. */
async function entriesOn({ network }: World) {
  const signer = network.identities.get(network.userOrg.org)?.peer as LedgerSigner;
  const last = (await network.ledger.height(UIC)) - 1;
  const found: TransactionFacts[] = [];
  for await (const block of network.client.blocks({ channel: UIC, startBlock: 0, signer })) {
    found.push(...readBlock(new Uint8Array(block.bytes)).transactions.filter(({ function: name }) => name === 'putEntry'));
    if (block.number >= last) break;
  }
  return found;
}

const written = async (): Promise<number> => (await world.transactions(UIC)).get('putEntry') ?? 0;

describe('the index', () => {
  it('is written after its random wait and not before, dummies among it, and recovered by the root secret alone', async () => {
    const patient = await world.patient();
    const parts = { ...world.parts(), indexDelay: { minMs: 3_600_000, maxMs: 7_200_000 }, dummiesPerEntry: 2 };
    const device = await createDevice(parts);
    await device.enrol({ code: await world.code() });
    await world.scan(device, patient);
    const before = await written();
    await syncUntil(device, async () => (await device.records()).length === patient.accepted && (await device.pending()).every(({ kind }) => kind === 'index-entry'));
    const due = (await device.pending()).map(({ dueAt }) => dueAt - world.clock.now());
    expect(due).toHaveLength(6);
    expect(new Set(due).size).toBeGreaterThan(3);
    expect(Math.min(...due)).toBeGreaterThan(3_500_000);
    expect(Math.max(...due)).toBeLessThanOrEqual(7_200_000);
    expect(await written()).toBe(before);
    // It slept past all six moments: one is written, the others get new moments, so that they do not come in one breath.
    world.clock.advance(3 * 3_600_000);
    expect((await device.sync()).indexed).toBe(1);
    expect((await device.pending()).filter(({ dueAt }) => dueAt <= world.clock.now())).toEqual([]);
    for (let left = 5; left > 0; left = (await device.pending()).length) {
      world.clock.advance(600_000);
      await device.sync();
    }
    expect(await written()).toBe(before + 6);
    expect(await device.reconcile()).toEqual([]);
    // A device with the same root secret and nothing else: what is on UIC is enough to know where the records are.
    const bare = await createDevice({ ...parts, store: await rootOnly(parts.store) });
    await bare.enrol({ code: await world.code() });
    expect(await bare.recoverIndex()).toBe(2);
    expect(await bare.recoverIndex()).toBe(0);
  }, 30_000);

  it('is written under certificates of the month in which it is written', async () => {
    const patient = await world.patient();
    const device = await createDevice({ ...world.parts(), indexDelay: { minMs: 40 * DAY_MS, maxMs: 40 * DAY_MS } });
    await device.enrol({ code: await world.code() });
    await world.scan(device, patient);
    const before = await written();
    await syncUntil(device, async () => (await device.records()).length === patient.accepted && (await device.pending()).every(({ kind }) => kind === 'index-entry'));
    world.clock.advance(40 * DAY_MS);
    await syncUntil(device, settled(device));
    const made = (await entriesOn(world)).slice(before);
    expect(made).toHaveLength(2);
    for (const { creator } of made) expect(readCertificate(creator.certificate).notBefore).toBe(validityMonth(world.clock.now()));
  }, 30_000);

  it('continues on two devices of one person without a tag being used twice', async () => {
    const { device, options } = await person(world, () => ({ indexDelay: { minMs: 0, maxMs: 0 } }));
    const copy = await createDevice({ ...options, store: memoryStore() });
    await copy.importAll(await device.exportAll('pass'), 'pass');
    const again = await world.patient();
    await world.scan(device, again);
    for (const one of [device, copy]) {
      await syncUntil(one, async () => {
        await one.reconcile();
        return (await one.records()).length > 0 && (await settled(one)());
      });
    }
    const readable = await (await createDevice({ ...options, store: memoryStore() }).then(async (third) => (await third.importAll(await copy.exportAll('pass'), 'pass'), third))).reconcile();
    expect(readable.filter(({ kind }) => kind !== 'not-noticed')).toEqual([]);
  }, 30_000);
});

describe('a decision during a synchronisation', () => {
  it('does not wait for organisations that say nothing', async () => {
    let hang = false;
    const { device } = await person(world, ({ fetch }) => ({ fetch: (request) => (hang && request.url.includes('/fetch') ? new Promise<Response>(() => undefined) : fetch(request)) }));
    const slot = await asked(world, device);
    await device.answer(slot, { decision: 'all' });
    await syncUntil(device, settled(device));
    hang = true;
    const sync = device.sync();
    await realScheduler.sleep(300);
    const from = performance.now();
    await device.revoke(slot);
    expect(performance.now() - from).toBeLessThan(2_000);
    expect((await sync).problems).toEqual([{ step: 'mailbox', code: 'SYNC_INTERRUPTED' }]);
    expect((await device.requests()).find((card) => card.slot === slot)).toMatchObject({ state: 'revoked', unfinished: false });
    hang = false;
    await syncUntil(device, settled(device));
  }, 30_000);
});

/** A store that holds the wrapped root secret of another and nothing else. */
async function rootOnly(store: ReturnType<typeof memoryStore>): Promise<ReturnType<typeof memoryStore>> {
  const bare = memoryStore();
  await bare.write(new Map([['root', await store.get('root')]]));
  return bare;
}
