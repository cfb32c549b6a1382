import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CodedError } from '#base/errors.ts';
import type { BlobStore, RecordStore } from '#store/ports.ts';
import type { LedgerClient } from '#ledger/client.ts';
import { bundleOf, HO, openTestNetwork, until, type KeeperOptions, type TestNetwork, type TestPerson } from './hospital.test-kit.ts';

/** Heads, checkpoints and times are other stories; here they would only blur the counting. */
const COUNTED = ['anchorRecords', 'linkOwner'];

/** A process that dies at its n-th step, before or after the step took effect; from then on nothing it does happens. */
function dyingAt(step: number, when: 'before' | 'after'): { readonly parts: Partial<KeeperOptions>; readonly steps: string[] } {
  const steps: string[] = [];
  let dead = false;
  const kill = (): never => {
    dead = true;
    throw new CodedError('INTERNAL', 'killed');
  };
  const watched = <T extends object>(name: string, target: T, writes: readonly string[]): T =>
    new Proxy(target, {
      get(of, property, receiver) {
        const method = Reflect.get(of, property, receiver) as unknown;
        if (typeof method !== 'function' || property === 'close') return method;
        return async (...args: readonly unknown[]) => {
          const call = (): unknown => Reflect.apply(method, of, args);
          const counted = writes.includes(String(property)) && (name !== 'ledger' || COUNTED.includes((args[0] as { name: string }).name));
          if (dead) return kill();
          if (!counted) return call();
          steps.push(`${name}.${String(property)}${name === 'ledger' ? `(${(args[0] as { name: string }).name})` : ''}`);
          const mine = steps.length;
          if (mine === step && when === 'before') kill();
          const result = await call();
          if (mine === step) kill();
          return result;
        };
      },
    });
  return {
    steps,
    parts: {
      ledger: (client: LedgerClient) => ({ ...watched('ledger', { submit: client.submit, evaluate: client.evaluate }, ['submit']), blocks: client.blocks, events: client.events }),
      records: (store: RecordStore) => watched('records', store, ['addDeliveries', 'markAnchored', 'markNoticed', 'putOwner', 'putOwnerKeys']),
      bodies: (store: BlobStore) => watched('bodies', store, ['put']),
    },
  };
}

describe('between store and channel', () => {
  let network: TestNetwork;
  let person: TestPerson;
  let round = 0;
  beforeAll(async () => {
    network = await openTestNetwork({ seed: 'outbox' });
    person = await network.person('owner');
  });
  afterAll(() => network.close());

  /** Ingests and links a new patient; tells whether the two were acknowledged. */
  async function play(patient: string): Promise<{ readonly ingested: boolean; readonly linked: boolean }> {
    const yes = (): boolean => true;
    const no = (): boolean => false;
    const ingested = await network.keeper.hospital.ingest(bundleOf(patient, 3)).then(yes, no);
    const linked = await network.hospitalAs(network.identities.get(HO)!.staff).link({ params: { patient }, body: { link: await person.linkCode() } }).then(yes, no);
    return { ingested, linked };
  }

  const STEPS = ['bodies.put', 'records.addDeliveries', 'ledger.submit(anchorRecords)', 'records.markAnchored', 'records.putOwner', 'ledger.submit(linkOwner)', 'records.putOwner', 'records.putOwnerKeys', 'records.markNoticed'];

  const LINKED = STEPS.indexOf('ledger.submit(linkOwner)') + 1;

  it('takes the steps this test believes it takes', async () => {
    const { parts, steps } = dyingAt(0, 'before');
    await network.restart(parts);
    expect(await play(`patient-${round++}`)).toEqual({ ingested: true, linked: true });
    await until(() => steps.length >= STEPS.length);
    expect(steps).toEqual(STEPS);
  });

  it.each(STEPS.flatMap((name, at) => (['before', 'after'] as const).map((when) => ({ step: at + 1, when, name }))))('everything settles after a kill $when step $step, $name', async ({ step, when }) => {
    const patient = `patient-${round++}`;
    const { parts, steps } = dyingAt(step, when);
    await network.restart(parts);
    const acknowledged = await play(patient);
    await until(() => steps.length >= step);

    const said: string[] = [];
    await network.restart({ ledger: (client) => ({ ...client, submit: (call) => (said.push(call.name), client.submit(call)) }) });
    const { hospital, records } = network.keeper;
    await hospital.settled();
    // What was acknowledged is there; what was not can be sent again and is there once.
    const again = await hospital.ingest(bundleOf(patient, 3));
    expect([again.accepted, again.duplicates]).toEqual(step <= 2 && !(step === 2 && when === 'after') ? [4, 0] : [0, 4]);
    if (acknowledged.ingested) expect(again.accepted).toBe(0);
    await network.hospitalAs(network.identities.get(HO)!.staff).link({ params: { patient }, body: { link: await person.linkCode() } });
    await until(async () => (await records.deliveriesToSeal(1)).length === 0 && (await records.noticesDue(1)).length === 0);
    // The channel is told of an owner once.
    const told = step > LINKED || (step === LINKED && when === 'after');
    expect(said.filter((name) => name === 'linkOwner')).toHaveLength(told ? 0 : 1);
    expect(await records.counts()).toMatchObject({ stored: 0, erased: 0 });
    expect(await hospital.tamperCheck()).toMatchObject({ changed: [], missing: [], extra: [] });
    // Each record stands where the store says: the proof of its anchor is in that block.
    const subject = (await records.subjectsOfOwner(person.pairwiseId)).map(({ id }) => id);
    const newest = (await records.deliveriesOf(subject, { limit: 1_000 })).at(-1)!;
    for (const record of await records.recordsOf(newest.id)) expect(await hospital.proofs.locate(record.id as never)).toEqual(record.anchor);
  });

  it('refuses cleanly when the disk is full, goes on reading, and takes the same bundle later', async () => {
    let full = true;
    await network.restart({
      records: (store) => ({ ...store, addDeliveries: (batch) => (full ? Promise.reject(new CodedError('STORE_FULL', 'The disk is full; nothing was written.')) : store.addDeliveries(batch)) }),
    });
    const { hospital, records } = network.keeper;
    const before = await records.counts();
    const desk = network.hospitalAs(network.identities.get(HO)!.system);
    await expect(desk.ingest({ query: {}, body: bundleOf('full', 3), contentType: 'application/fhir+json' })).rejects.toMatchObject({ code: 'STORE_FULL' });
    expect(await records.counts()).toMatchObject({ anchored: before.anchored, stored: 0 });
    expect((await person.hospital.deliveries({ query: {} })).deliveries.length).toBeGreaterThan(0);
    full = false;
    expect((await hospital.ingest(bundleOf('full', 3))).accepted).toBe(4);
  });

  it('waits for a ledger that is away, and anchors when it is back', async () => {
    let away = true;
    await network.restart({
      ledger: (client) => ({ ...client, submit: (call) => (away && call.name === 'anchorRecords' ? Promise.reject(new CodedError('LEDGER_UNREACHABLE', 'The ledger cannot be reached.')) : client.submit(call)) }),
    });
    const ingesting = network.keeper.hospital.ingest(bundleOf('away', 3));
    await until(async () => (await network.keeper.records.counts()).stored === 4);
    away = false;
    expect((await ingesting).accepted).toBe(4);
    expect((await network.keeper.records.counts()).stored).toBe(0);
  });

  it('tells whoever waits when the ledger stays full, and anchors all the same once there is room', async () => {
    let full = true;
    await network.restart({
      ledger: (client) => ({ ...client, submit: (call) => (full && call.name === 'anchorRecords' ? Promise.reject(new CodedError('LEDGER_DISK_FULL', 'The disk is full.')) : client.submit(call)) }),
    });
    await expect(network.keeper.hospital.ingest(bundleOf('late', 3))).rejects.toMatchObject({ code: 'LEDGER_DISK_FULL' });
    expect((await network.keeper.records.counts()).stored).toBe(4);
    full = false;
    await until(async () => (await network.keeper.records.counts()).stored === 0);
    expect(await network.keeper.hospital.ingest(bundleOf('late', 3))).toMatchObject({ accepted: 0, duplicates: 4 });
    expect(await network.keeper.hospital.tamperCheck()).toMatchObject({ changed: [], missing: [], extra: [] });
  }, 30_000);

  it('asks the channel when nobody knows whether the anchors were written', async () => {
    let unknown = true;
    await network.restart({
      ledger: (client) => ({
        ...client,
        async submit(call) {
          const committed = await client.submit(call);
          if (!unknown || call.name !== 'anchorRecords') return committed;
          unknown = false;
          throw new CodedError('LEDGER_OUTCOME_UNKNOWN', 'The outcome is not known.', { txId: committed.txId });
        },
      }),
    });
    expect((await network.keeper.hospital.ingest(bundleOf('unknown', 3))).accepted).toBe(4);
    expect(await network.keeper.hospital.tamperCheck()).toMatchObject({ changed: [], missing: [], extra: [] });
  });
});
