/** One person's whole story, told in steps that can be repeated after a stop at any call. */
import type { SlotTag } from '#model/ids.ts';
import { instant } from '#model/ids.ts';
import { hdcOf, UIC, DRC } from '#model/orgs.ts';
import { EAST } from '#sim/members.ts';
import type { DeviceOptions } from './context.ts';
import { createDevice, type Device } from './device.ts';
import { DAY_MS, faulty, INSURER, settled, syncUntil, type Faults, type Patient, type StopPoint, type World } from './network.test-kit.ts';

/** What the story leaves behind: valid transactions by channel and name, and how the request ends. */
export interface Outcome {
  readonly transactions: Readonly<Record<string, number>>;
  readonly states: readonly string[];
  /** Sealed records on the device, against what the hospitals accepted. */
  readonly missing: number;
  readonly calls: number;
}

const NAMES = ['putEntry', 'openSlot', 'respond', 'revokeGrant', 'orderRelease', 'revokeRelease', 'recordRelease', 'orderErasure', 'linkOwner'];

/** Tells the story; with `stop`, the device stops there, is made again from its store, and goes on. */
export async function tellStory(world: World, stop?: StopPoint): Promise<Outcome> {
  const patient = await world.patient();
  const before = await counts(world, patient);
  const parts = world.parts();
  const faults = faulty(parts);
  faults.failAt(stop);
  const told = new Teller(world, patient, { ...parts, ...faults }, faults);
  await told.tell();
  const after = await counts(world, patient);
  const device = await told.device();
  return {
    transactions: Object.fromEntries([...after].map(([name, count]) => [name, count - (before.get(name) ?? 0)] as const).filter(([, count]) => count > 0).sort(([left], [right]) => (left < right ? -1 : 1))),
    states: (await device.requests()).map(({ state, unfinished }) => `${state}${unfinished ? ' unfinished' : ''}`).sort(),
    missing: patient.accepted - (await device.records()).filter(({ seal }) => seal === 'sealed').length,
    calls: told.calls,
  };
}

async function counts(world: World, patient: Patient): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  for (const channel of [UIC, DRC, ...[...patient.ids.keys()].map(hdcOf)]) {
    for (const [name, count] of await world.transactions(channel)) if (NAMES.includes(name)) found.set(`${channel} ${name}`, count);
  }
  return found;
}

class Teller {
  readonly #world: World;
  readonly #patient: Patient;
  readonly #options: DeviceOptions;
  readonly #faults: Faults;
  #device: Device | undefined;
  /** Calls until the story was through. */
  calls = 0;

  constructor(world: World, patient: Patient, options: DeviceOptions, faults: Faults) {
    this.#world = world;
    this.#patient = patient;
    this.#options = options;
    this.#faults = faults;
  }

  async device(): Promise<Device> {
    return (this.#device ??= await createDevice(this.#options));
  }

  /** Runs a step; a stop makes a new device from the same store, and the step is taken again. */
  async #step(act: (device: Device) => Promise<void>): Promise<void> {
    for (;;) {
      try {
        await act(await this.device());
        if (!this.#stopped()) return;
      } catch (error) {
        if (!this.#stopped()) throw error;
      }
      this.#device = undefined;
      this.calls += this.#faults.calls();
      this.#faults.failAt(undefined);
    }
  }

  #stopped(): boolean {
    return this.#faults.stopped();
  }

  async tell(): Promise<void> {
    const { templates } = this.#world;
    const ref = templates.get(INSURER.org)?.ref;
    if (ref === undefined) throw new Error('no template');
    const code = await this.#world.code();
    await this.#step(async (device) => {
      if (!(await device.enrolled())) await device.enrol({ code });
    });
    await this.#step((device) => this.#world.scan(device, this.#patient));
    await this.#step((device) => syncUntil(device, async () => this.#stopped() || ((await device.records()).length > 0 && (await settled(device)()))));
    await this.#step(async (device) => {
      if ((await device.requests()).length === 0) await device.permit({ duo: INSURER.org, templates: [ref], quota: 2, until: instant(this.#world.clock.now() + 30 * DAY_MS) });
    });
    await this.#step((device) => syncUntil(device, async () => this.#stopped() || (await settled(device)())));
    const slot = ((await (await this.device()).requests())[0] as { slot: SlotTag }).slot;
    await this.#world.invite(INSURER.org, slot);
    const card = async (device: Device) => (await device.requests()).find((one) => one.slot === slot);
    await this.#step((device) => syncUntil(device, async () => this.#stopped() || (await card(device))?.state === 'waiting'));
    await this.#step(async (device) => {
      if ((await card(device))?.state === 'waiting') await device.answer(slot, { decision: 'all' });
    });
    await this.#step((device) => syncUntil(device, async () => this.#stopped() || (await settled(device)())));
    await this.#step(async (device) => {
      if ((await card(device))?.state === 'answered') await device.revoke(slot);
    });
    await this.#step((device) => syncUntil(device, async () => this.#stopped() || (await settled(device)())));
    const erased = (await (await this.device()).records()).find(({ keeper }) => keeper === EAST.org)?.id;
    await this.#step(async (device) => {
      if (erased !== undefined && (await device.records()).some(({ id }) => id === erased) && !(await device.pending()).some(({ kind }) => kind === 'erasure')) await device.erase([erased]);
    });
    await this.#step((device) => syncUntil(device, async () => this.#stopped() || (await settled(device)())));
    this.calls += this.#faults.calls();
  }
}
