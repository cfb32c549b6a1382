import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fetch } from '#base/ports.ts';
import { fromBase64url, toBase64url } from '#base/bytes.ts';
import { readCertificate } from '#crypto/x509.ts';
import type { LedgerClient } from '#ledger/client.ts';
import { instant, type OrgId } from '#model/ids.ts';
import { DRC, hdcOf } from '#model/orgs.ts';
import { EAST, WEST } from '#sim/members.ts';
import { createDevice } from './device.ts';
import { DAY_MS, INSURER, openWorld, settled, syncUntil, type World } from './network.test-kit.ts';
import { asked, cardOf, permitted, person, received } from './person.test-kit.ts';
import { memoryStore } from './memory-store.test-kit.ts';

let world: World;
beforeAll(async () => {
  world = await openWorld('adversity');
}, 60_000);
afterAll(async () => {
  await world?.close();
});

const path = (request: Request): string => new URL(request.url).pathname;
const origin = (org: OrgId): string => `http://${org.toLowerCase()}.local`;

/** The network of one device, with organisations that can be made to fall silent and answers that can be changed. */
function bendable(fetch: Fetch) {
  const down = new Set<OrgId>();
  let bend: ((request: Request, response: Response) => Promise<Response>) | undefined;
  return {
    down,
    bend: (next: typeof bend) => void (bend = next),
    fetch: (async (request) => {
      for (const org of down) if (request.url.startsWith(origin(org))) throw new TypeError('network down');
      const response = await fetch(request);
      return bend === undefined ? response : bend(request, response);
    }) satisfies Fetch,
  };
}

async function jsonOf(response: Response, change: (body: never) => unknown): Promise<Response> {
  return Response.json(change((await response.json()) as never), { status: response.status });
}

async function bent() {
  let network!: ReturnType<typeof bendable>;
  const made = await person(world, ({ fetch }) => {
    network = bendable(fetch);
    return { fetch: network.fetch };
  });
  return { ...made, network };
}

describe('an organisation that does not answer', () => {
  it('holds up its own part only, and gets it later', async () => {
    const { device, network } = await bent();
    const slot = await asked(world, device);
    const preview = await device.preview(slot, { decision: 'all' });
    network.down.add(WEST.org);
    await device.answer(slot, { decision: 'all' });
    await device.sync();
    const states = (await cardOf(device, slot)).parts?.map(({ keeper, state }) => `${keeper} ${state}`);
    expect(states).toEqual([`${EAST.org} released`, `${WEST.org} ordered`]);
    expect((await device.pending()).map(({ kind }) => kind)).toEqual(['answer']);
    network.down.clear();
    await syncUntil(device, settled(device));
    expect(await received(world, slot)).toHaveLength(preview.items.length);
  }, 30_000);

  it('learns of a revocation when it is back; the others at once', async () => {
    const { device, network } = await bent();
    const slot = await asked(world, device);
    await device.answer(slot, { decision: 'all' });
    await syncUntil(device, settled(device));
    network.down.add(WEST.org);
    await device.revoke(slot);
    await device.revoke(slot);
    expect(await cardOf(device, slot)).toMatchObject({ state: 'revoked', unfinished: true });
    await expect(world.stage.dataUser(INSURER.org).receive({ params: { slot }, body: {} })).rejects.toMatchObject({ code: 'GRANT_REVOKED' });
    network.down.clear();
    await syncUntil(device, settled(device));
    expect(await cardOf(device, slot)).toMatchObject({ state: 'revoked', unfinished: false, parts: [{ state: 'revoked' }, { state: 'revoked' }] });
  }, 30_000);

  it('cannot make a decision that was taken back go through after all', async () => {
    const { device, network, options } = await bent();
    const slot = await asked(world, device);
    const before = (await world.transactions(DRC)).get('respond') ?? 0;
    const ledgerDown = { value: true };
    const ledger: LedgerClient = { ...options.ledger, submit: (call) => (ledgerDown.value ? Promise.reject(new TypeError('down')) : options.ledger.submit(call)) };
    const offline = await createDevice({ ...options, ledger });
    await offline.answer(slot, { decision: 'all' });
    expect(await cardOf(offline, slot)).toMatchObject({ state: 'answered', unfinished: true });
    await offline.revoke(slot);
    ledgerDown.value = false;
    network.down.clear();
    await syncUntil(offline, settled(offline));
    expect((await cardOf(offline, slot)).state).toBe('revoked');
    expect((await world.transactions(DRC)).get('respond') ?? 0).toBe(before);
    await device.close();
  }, 30_000);
});

describe('a device that sleeps for 30 days', () => {
  it('shows what passed as passed and carries out no stale decision', async () => {
    const { device, options } = await bent();
    const [silent, decided, unasked, running] = [await asked(world, device), await asked(world, device), await permitted(world, device), await asked(world, device)];
    await device.answer(running, { decision: 'all', until: instant(world.clock.now() + 60 * DAY_MS) });
    await syncUntil(device, settled(device));
    const down: LedgerClient = { ...options.ledger, submit: () => Promise.reject(new TypeError('down')) };
    const offline = await createDevice({ ...options, ledger: down });
    await offline.answer(decided, { decision: 'all' });
    const before = await counts();
    world.clock.advance(31 * DAY_MS);
    const awake = await createDevice(options);
    await syncUntil(awake, settled(awake));
    expect(await Promise.all([silent, decided, unasked, running].map(async (slot) => (await cardOf(awake, slot)).state))).toEqual(['silent', 'silent', 'expired', 'answered']);
    expect(await counts()).toEqual(before);
    await expect(awake.answer(silent, { decision: 'all' })).rejects.toMatchObject({ code: 'REQUEST_NOT_WAITING' });
  }, 30_000);

  it('does not order a release whose time passed while a keeper was away', async () => {
    const { device, network } = await bent();
    const slot = await asked(world, device);
    network.down.add(WEST.org);
    await device.answer(slot, { decision: 'all', until: instant(world.clock.now() + DAY_MS) });
    await device.sync();
    world.clock.advance(2 * DAY_MS);
    network.down.clear();
    await syncUntil(device, settled(device));
    expect((await cardOf(device, slot)).parts).toEqual([expect.objectContaining({ keeper: EAST.org, state: 'released' }), expect.objectContaining({ keeper: WEST.org, state: 'lapsed' })]);
  }, 30_000);

  async function counts(): Promise<unknown> {
    const drc = await world.transactions(DRC);
    const orders = await Promise.all([EAST, WEST].map(async ({ org }) => (await world.transactions(hdcOf(org))).get('orderRelease')));
    return [drc.get('respond'), drc.get('openSlot'), orders];
  }
});

describe('a device that is used for years', () => {
  it('renews its pairwise certificates for the same keys', async () => {
    const { device, options } = await bent();
    const from = world.clock.now();
    const before = readCertificate((await device.linkCode(EAST.org)).certificate);
    // 20 days before the end: the enrolment certificate still holds, pairwise ones are in the days of their renewal.
    world.clock.set(before.notAfter - 20 * DAY_MS);
    try {
      const after = readCertificate((await (await createDevice(options)).linkCode(EAST.org)).certificate);
      expect(after.notAfter).toBeGreaterThan(before.notAfter + 365 * DAY_MS);
      expect([after.commonName, after.spki]).toEqual([before.commonName, before.spki]);
    } finally {
      world.clock.set(from);
    }
  }, 30_000);
});

describe('a keeper that lies', () => {
  it('is named when a body, a list, an anchor or a map was changed', async () => {
    const { device, network, options } = await bent();
    const [record] = await device.records();
    if (record === undefined) throw new Error('no record');
    network.bend(async (request, response) => (path(request).startsWith('/v1/records/') ? new Response(new Uint8Array(await response.arrayBuffer()).map((byte, at) => (at === 80 ? byte ^ 1 : byte))) : response));
    await expect(device.openRecord(record.id)).rejects.toMatchObject({ code: expect.stringMatching(/BODY_REFUSED|RECORD_ALTERED/) });
    network.bend(async (request, response) => (path(request) === '/v1/map' ? jsonOf(response, (map: { payload: string }) => ({ ...map, payload: map.payload.replace('East', 'Evil') })) : response));
    expect((await device.sync()).problems).toContainEqual({ step: 'map', code: 'MAP_REFUSED' });
    network.bend(undefined);
    const lying: LedgerClient = {
      ...options.ledger,
      evaluate: async (call) => {
        const answer = await options.ledger.evaluate(call);
        if (call.name !== 'getAnchors') return answer;
        const { anchors } = answer as unknown as { anchors: { id: string; state: { commitment: string } }[] };
        return { anchors: anchors.filter((_, at) => at !== 1).map((anchor, at) => (at === 0 ? { ...anchor, state: { ...anchor.state, commitment: toBase64url(fromBase64url(anchor.state.commitment).map((byte) => byte ^ 1)) } } : anchor)) } as never;
      },
    };
    const findings = await (await createDevice({ ...options, ledger: lying })).reconcile();
    expect(findings.map(({ kind, code }) => `${kind} ${code}`).sort()).toEqual(['mismatch ANCHOR_OTHER_COMMITMENT', 'mismatch ANCHOR_OTHER_COMMITMENT', 'vanished-record ANCHOR_MISSING', 'vanished-record ANCHOR_MISSING']);
    expect((await device.records()).filter(({ seal }) => seal !== 'sealed')).toHaveLength(4);
    expect(await device.reconcile()).toEqual([]);
    expect((await device.records()).filter(({ seal }) => seal !== 'sealed')).toHaveLength(0);
  }, 30_000);

  it('is found out when lines are cut from the access log or a release is left out', async () => {
    const { device, network, options } = await bent();
    await syncUntil(device, async () => (await device.accessLog()).every(({ verifiedTo }) => verifiedTo >= 1));
    const forgetful = await createDevice({ ...options, store: memoryStore() });
    await forgetful.importAll(await device.exportAll('pass'), 'pass');
    network.bend(async (request, response) => (path(request) === '/v1/access-log' ? jsonOf(response, (log: { chain: { digests: string[] } }) => ({ ...log, lines: [], chain: { ...log.chain, digests: log.chain.digests.map((digest) => digest.replace(/^./, (first) => (first === 'A' ? 'B' : 'A'))) } })) : response));
    const slot = await asked(world, device);
    await device.answer(slot, { decision: 'all' });
    await syncUntil(device, settled(device));
    await syncUntil(device, async () => (await device.accessLog()).every(({ problem }) => problem === 'ACCESS_LOG_ALTERED'));
    network.bend(async (request, response) => (path(request) === '/v1/access-log' ? jsonOf(response, (log: { lines: unknown[] }) => ({ ...log, lines: [] })) : response));
    await syncUntil(device, async () => (await device.accessLog()).every(({ problem }) => problem === 'ACCESS_LOG_OMITS'));
  }, 30_000);
});

describe('what got lost on the way', () => {
  it('is found again by reconciling, in both directions', async () => {
    let hideMail = true;
    const network = { value: undefined as ReturnType<typeof bendable> | undefined };
    const patient = await world.patient();
    const parts = world.parts();
    network.value = bendable(parts.fetch);
    network.value.bend(async (request, response) => (hideMail && path(request).endsWith('/fetch') ? Response.json({ messages: [] }) : response));
    const device = await createDevice({ ...parts, fetch: network.value.fetch });
    await device.enrol({ code: await world.code() });
    await world.scan(device, patient);
    await syncUntil(device, async () => (await device.reconcile()).some(({ kind }) => kind === 'not-noticed') || (await device.records()).length > 0);
    await syncUntil(device, async () => (await device.records()).length === patient.accepted && (await settled(device)()));
    hideMail = false;
    await device.sync();
    expect(await device.reconcile()).toEqual([]);
    network.value.bend(async (request, response) => (path(request) === '/v1/deliveries' ? Response.json({ deliveries: [] }) : response));
    expect((await device.reconcile()).map(({ kind }) => kind)).toEqual(['vanished-delivery', 'vanished-delivery']);
  }, 30_000);

  it('is in the export: a fresh device continues with equal state, and alone recovers its index', async () => {
    const { device, options } = await bent();
    const slot = await asked(world, device);
    await device.answer(slot, { decision: 'all' });
    await syncUntil(device, settled(device));
    await device.accessLog();
    const file = await device.exportAll('a long passphrase');
    expect(new TextDecoder().decode(await device.exportAll())).not.toContain('"state"');
    const fresh = { ...options, store: memoryStore(), unlockKey: options.random.bytes(32) };
    const restored = await createDevice(fresh);
    await expect(restored.importAll(file, 'another')).rejects.toMatchObject({ code: 'PASSPHRASE_WRONG' });
    await expect(restored.importAll(await device.exportAll(), 'x')).rejects.toMatchObject({ code: 'EXPORT_WITHOUT_KEYS' });
    await restored.importAll(file, 'a long passphrase');
    expect(await restored.stateDigest()).toBe(await device.stateDigest());
    await expect(restored.importAll(file, 'a long passphrase')).rejects.toMatchObject({ code: 'DEVICE_ENROLLED' });
    const reopened = await createDevice(fresh);
    expect(await reopened.requests()).toEqual(await device.requests());
    await reopened.revoke(slot);
    expect((await cardOf(reopened, slot)).state).toBe('revoked');
    expect(await reopened.recoverIndex()).toBe(0);
    const exported = JSON.parse(new TextDecoder().decode(file)) as { records: { body: string; digest: string }[]; grants: unknown[] };
    expect(exported.records).toHaveLength((await device.records()).length);
    expect(exported.grants).toHaveLength(2);
  }, 30_000);
});
