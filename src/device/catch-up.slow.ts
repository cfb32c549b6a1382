import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { utf8 } from '#base/bytes.ts';
import { EAST } from '#sim/members.ts';
import { openWorld, settled, syncUntil, type World } from './network.test-kit.ts';
import { realScheduler } from './seams.test-kit.ts';
import { person } from './person.test-kit.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld('catch-up');
}, 60_000);
afterAll(async () => {
  await world?.close();
});

const EVENTS = 500;

describe('a device that was away while much happened', () => {
  it('catches up with 500 deliveries', async () => {
    const { device, patient } = await person(world);
    const bundle = JSON.parse(patient.person.bundles[0]?.text ?? '') as { type: string; entry: { fullUrl: string; resource: { resourceType: string; id: string }; request?: unknown }[] };
    const kept = bundle.entry.filter(({ resource }) => ['Patient', 'Organization', 'Practitioner'].includes(resource.resourceType));
    const subject = kept.find(({ resource }) => resource.resourceType === 'Patient')?.fullUrl;
    for (let nth = 0; nth < EVENTS; nth++) {
      const observation = { resourceType: 'Observation', id: `event-${nth}`, status: 'final', code: { text: `event ${nth}` }, subject: { reference: subject?.startsWith('urn:') === true ? subject : `Patient/${patient.ids.get(EAST.org)}` } };
      const entry = [...kept, { fullUrl: `urn:uuid:00000000-0000-4000-8000-${String(nth).padStart(12, '0')}`, resource: observation, ...(bundle.type === 'transaction' ? { request: { method: 'POST', url: 'Observation' } } : {}) }];
      const report = await world.stage.hospital(EAST.org).ingest({ query: { file: `event-${nth}.json` }, body: utf8(JSON.stringify({ resourceType: 'Bundle', type: bundle.type, entry })), contentType: 'application/fhir+json' });
      expect(report.refused).toEqual([]);
    }
    const before = (await device.records()).length;
    // Until the hospital's notices are out, the mailbox fills; the device reads them when all are there.
    await realScheduler.sleep(20_000);
    const from = performance.now();
    await device.sync();
    const seconds = (performance.now() - from) / 1_000;
    await syncUntil(device, async () => (await device.records()).length >= before + EVENTS && (await settled(device)()));
    // 3.5 s on an idle machine with 2 cores.
    expect(seconds).toBeLessThan(20);
  });
});
