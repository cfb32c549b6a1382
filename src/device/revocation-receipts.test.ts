import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LedgerClient } from '#ledger/client.ts';
import { drc } from './channels.ts';
import { openContext } from './device.ts';
import { openWorld, settled, syncUntil, INSURER, type World } from './network.test-kit.ts';
import { slotOf } from './permits.ts';
import { asked, cardOf, person } from './person.test-kit.ts';
import { signerOf } from './signing.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld('receipts');
}, 60_000);
afterAll(async () => {
  await world?.close();
});

const WITHHELD: ReadonlySet<string> = new Set(['revokeRelease', 'revokeGrant']);

describe('a revocation', () => {
  it('that the ledger swallows is honoured by the keepers at once, and missed within a minute', async () => {
    let censored = true;
    const { device, options } = await person(world, ({ ledger }) => ({
      // It says yes and orders nothing.
      ledger: { ...ledger, submit: async (call) => (censored && WITHHELD.has(call.name) ? { txId: '0'.repeat(64), blockNumber: 1, output: { phase: 'revoked' } } : ledger.submit(call)) } satisfies LedgerClient,
    }));
    const slot = await asked(world, device);
    await device.answer(slot, { decision: 'all' });
    await syncUntil(device, settled(device));
    await device.revoke(slot);
    // The data user is turned away although the ledger still calls the grant live.
    await expect(world.stage.dataUser(INSURER.org).receive({ params: { slot }, body: {} })).rejects.toMatchObject({ code: 'GRANT_REVOKED' });
    expect((await device.sync()).problems.map(({ code }) => code)).not.toContain('REVOCATION_WITHHELD');
    world.clock.advance(45_000);
    expect((await device.sync()).problems.map(({ code }) => code)).toContain('REVOCATION_WITHHELD');
    censored = false;
    // Told once more by somebody who orders it, members show it and the alarm ends.
    const context = await openContext(options);
    await drc(context, await signerOf((await slotOf(context, slot)).identity)).submit('revokeGrant', { slot });
    await syncUntil(device, async () => !(await device.sync()).problems.some(({ code }) => code === 'REVOCATION_WITHHELD'));
    expect((await cardOf(device, slot)).state).toBe('revoked');
  }, 60_000);

  it('that was ordered is shown by members of DRC: no alarm ever', async () => {
    const { device } = await person(world);
    const slot = await asked(world, device);
    await device.answer(slot, { decision: 'all' });
    await syncUntil(device, settled(device));
    await device.revoke(slot);
    await device.sync();
    world.clock.advance(90_000);
    expect((await device.sync()).problems.map(({ code }) => code)).not.toContain('REVOCATION_WITHHELD');
  }, 60_000);
});
