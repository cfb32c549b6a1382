/** A whole consortium for the tests of this room, and people with devices whose calls can be counted and stopped. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { utf8 } from '#base/bytes.ts';
import type { Fetch, KeyValueStore } from '#base/ports.ts';
import { readBlock } from '#ledger/block.ts';
import type { LedgerClient } from '#ledger/client.ts';
import { instant, type ChannelName, type OrgId, type SlotTag } from '#model/ids.ts';
import { hdcOf } from '#model/orgs.ts';
import type { RequestTemplate, TemplateRef } from '#model/template.ts';
import { EAST, INSTITUTE, INSURER, KEEPERS } from '#sim/members.ts';
import { openNetwork, type Network, type NetworkOptions } from '#sim/network.ts';
import { syntheticPerson, type SyntheticPerson } from '#sim/people.ts';
import { realScheduler, seededRandom, shiftedClock, silentOr, systemClock, systemRandom, type SettableClock } from './seams.test-kit.ts';
import { agreeTemplates } from '#sim/story/ask.ts';
import { createStage, type Stage } from '#sim/story/stage.ts';
import { createWire, type Wire } from '#sim/wire.ts';
import { createDevice, type Device } from './device.ts';
import type { DeviceOptions } from './context.ts';
import { memoryStore } from './memory-store.test-kit.ts';

export interface World {
  readonly network: Network;
  readonly stage: Stage;
  readonly wire: Wire;
  readonly clock: SettableClock;
  /** The template of each data user, voted and published. */
  readonly templates: ReadonlyMap<OrgId, { readonly template: RequestTemplate; readonly ref: TemplateRef }>;
  /** Ingests the bundles of the next synthetic person and gives patient ids by keeper. */
  patient(): Promise<Patient>;
  /** What a device of a new person is made from; its store is its own. */
  parts(): DeviceOptions & { readonly store: KeyValueStore };
  code(): Promise<string>;
  /** Scans a link code at the desk. */
  scan(device: Pick<Device, 'linkCode'>, patient: Patient): Promise<void>;
  invite(duo: OrgId, slot: SlotTag, days?: number): Promise<void>;
  /** Valid transactions on a channel so far, by name. */
  transactions(channel: ChannelName): Promise<ReadonlyMap<string, number>>;
  close(): Promise<void>;
}

export interface Patient {
  readonly person: SyntheticPerson;
  readonly ids: ReadonlyMap<OrgId, string>;
  /** Resources that the hospitals accepted. */
  readonly accepted: number;
}

export const DAY_MS = 86_400_000;

/** Organisations are reached in this process, unless told how else. */
export async function openWorld(seed: string, reach: Partial<Pick<NetworkOptions, 'fetch' | 'host' | 'origins'>> = {}): Promise<World> {
  const folder = mkdtempSync(join(tmpdir(), 'healthkeep-device-'));
  const wire = createWire();
  const clock = shiftedClock(systemClock);
  const options = {
    folder, clock, random: systemRandom, scheduler: realScheduler, log: silentOr(process.env['HEALTHKEEP_LOG'] === '1'), fetch: wire.fetch,
    host: async (org: OrgId, handler: Fetch) => {
      const origin = `http://${org.toLowerCase()}.local`;
      wire.attach(origin, handler);
      return origin;
    },
    ...reach,
  };
  const network = await openNetwork(options);
  const stage = createStage({ network, networkOptions: options, plan: { groups: [] } as never, store: memoryStore(), say: () => undefined, indexDelay: { minMs: 0, maxMs: 0 } });
  const { byDataUser: templates } = await agreeTemplates(stage);
  let next = 0;
  return {
    network, stage, wire, clock, templates,
    async patient() {
      const person = syntheticPerson({ seed, count: 1_000, hospitals: 2, visits: 1 }, 4 * next++);
      const ids = new Map<OrgId, string>();
      let accepted = 0;
      for (const bundle of person.bundles) {
        const keeper = (KEEPERS[bundle.hospital] as { org: OrgId }).org;
        const report = await stage.hospital(keeper).ingest({ query: { file: bundle.file }, body: utf8(bundle.text), contentType: 'application/fhir+json' });
        ids.set(keeper, report.patients[0] as string);
        accepted += report.accepted;
      }
      return { person, ids, accepted };
    },
    parts: () => ({
      store: memoryStore(), unlockKey: systemRandom.bytes(32), fetch: options.fetch, ledger: network.client, clock, random: seededRandom(`${seed}/${next}/${clock.now()}`), scheduler: realScheduler, log: options.log,
      userOrgUrl: network.urls.get(network.userOrg.org) as string, indexDelay: { minMs: 0, maxMs: 0 }, slotDelayMaxMs: 0,
    }),
    code: async () => (await stage.userOrg().inviteCode({ body: {} })).code,
    async scan(device, patient) {
      for (const [keeper, id] of patient.ids) await stage.hospital(keeper).link({ params: { patient: id }, body: { link: await device.linkCode(keeper) } });
    },
    async invite(duo, slot, days = 7) {
      await network.dataUsers.get(duo)?.caughtUp((await network.ledger.height('drc')) - 1);
      const { ref } = templates.get(duo) as { ref: TemplateRef };
      await stage.dataUser(duo).invite({ params: { slot }, body: { template: ref, message: 'Please.', answerBy: instant(clock.now() + days * DAY_MS) } });
    },
    transactions: (channel) => transactionsOf(network, channel),
    async close() {
      await network.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function transactionsOf(network: Network, channel: ChannelName): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  const reader = channel === 'uic' ? network.userOrg.org : channel.startsWith('hdc-') ? (KEEPERS.find(({ org }) => hdcOf(org) === channel)?.org ?? EAST.org) : INSURER.org;
  const signer = network.identities.get(reader)?.peer;
  if (signer === undefined) throw new Error(`nobody reads ${channel}`);
  const ended = new AbortController();
  const last = (await network.ledger.height(channel)) - 1;
  for await (const block of network.client.blocks({ channel, startBlock: 0, signer, signal: ended.signal })) {
    for (const transaction of readBlock(new Uint8Array(block.bytes)).transactions) {
      if (transaction.code === 'VALID' && transaction.function !== undefined) counts.set(transaction.function, (counts.get(transaction.function) ?? 0) + 1);
    }
    if (block.number >= last) break;
  }
  ended.abort();
  return counts;
}

/** Synchronises until nothing is left, waiting for organisations' background work. */
export async function syncUntil(device: Device, done: () => Promise<boolean>, rounds = 600): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    await device.sync();
    if (await done()) return;
    await realScheduler.sleep(25);
  }
  throw new Error(`not done: ${JSON.stringify([await device.pending(), (await device.sync()).problems])}`);
}

export const settled = (device: Device) => async (): Promise<boolean> => (await device.pending()).length === 0;

/** Where a device stops: at its n-th call, or at the first call of a name (`submit respond`, `POST /v1/releases`). */
export interface StopPoint {
  readonly at: number | string;
  /** Before the call has its effect, or after, so that the answer is lost. */
  readonly effect: 'before' | 'after';
}

/** A device's world in which one call fails, and every call after it. */
export interface Faults {
  readonly fetch: Fetch;
  readonly ledger: LedgerClient;
  readonly store: KeyValueStore;
  /** Calls that may change something, so far. */
  calls(): number;
  failAt(stop: StopPoint | undefined): void;
  /** Has it stopped? */
  stopped(): boolean;
}

export class Stopped extends Error {}

export function faulty(parts: Pick<DeviceOptions, 'fetch' | 'ledger' | 'store'>): Faults {
  let calls = 0;
  let stop: StopPoint | undefined;
  let stopped = false;
  const alive = async <T>(act: () => Promise<T>): Promise<T> => {
    if (stopped) throw new Stopped('the device stopped');
    return act();
  };
  const counted = <T>(name: string, act: () => Promise<T>): Promise<T> =>
    alive(async () => {
      const here = ++calls === stop?.at || name === stop?.at;
      if (here && stop?.effect === 'before') stopped = true;
      const result = await alive(act);
      if (here) stopped = true;
      return alive(async () => result);
    });
  const { fetch, ledger, store } = parts;
  return {
    fetch: (request) => counted(`${request.method} ${new URL(request.url).pathname}`, () => fetch(request)),
    ledger: { ...ledger, submit: (call) => counted(`submit ${call.name}`, () => ledger.submit(call)), evaluate: (call) => counted(`evaluate ${call.name}`, () => ledger.evaluate(call)) },
    store: { get: (key) => alive(() => store.get(key)), list: (prefix, options) => alive(() => store.list(prefix, options)), write: (changes) => counted('write', () => store.write(changes)), close: async () => undefined },
    calls: () => calls,
    stopped: () => stopped,
    failAt(next) {
      calls = 0;
      stop = next;
      stopped = false;
    },
  };
}

export { INSTITUTE, INSURER, createDevice };
