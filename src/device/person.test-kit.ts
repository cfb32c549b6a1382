/** Steps that most stories of this room begin with. */
import { instant, type OrgId, type RecordId, type SlotTag } from '#model/ids.ts';
import type { DeviceOptions } from './context.ts';
import { createDevice, type Device } from './device.ts';
import { DAY_MS, INSURER, settled, syncUntil, type Patient, type World } from './network.test-kit.ts';
import type { RequestCard } from './requests.ts';

export interface Person {
  readonly device: Device;
  readonly patient: Patient;
  readonly options: DeviceOptions;
}

/** A person with a device, linked at the hospitals, with all records read and indexed. */
export async function person(world: World, change: (parts: ReturnType<World['parts']>) => Partial<DeviceOptions> = () => ({})): Promise<Person> {
  const patient = await world.patient();
  const parts = world.parts();
  const options = { ...parts, ...change(parts) };
  const device = await createDevice(options);
  await device.enrol({ code: await world.code() });
  await world.scan(device, patient);
  await syncUntil(device, async () => (await device.records()).length === patient.accepted && (await settled(device)()));
  return { device, patient, options };
}

/** Permits the data user, lets it ask, and waits until the request has arrived. */
export async function asked(world: World, device: Device, { duo = INSURER.org, days = 7 }: { readonly duo?: OrgId; readonly days?: number } = {}): Promise<SlotTag> {
  const slot = await permitted(world, device, duo);
  await world.invite(duo, slot, days);
  await syncUntil(device, async () => (await cardOf(device, slot)).state === 'waiting');
  return slot;
}

/** Permits the data user one invitation. */
export async function permitted(world: World, device: Device, duo: OrgId = INSURER.org): Promise<SlotTag> {
  const ref = world.templates.get(duo)?.ref;
  if (ref === undefined) throw new Error('no template');
  const { slots } = await device.permit({ duo, templates: [ref], quota: 1, until: instant(world.clock.now() + 30 * DAY_MS) });
  return slots[0] as SlotTag;
}

export async function cardOf(device: Device, slot: SlotTag): Promise<RequestCard> {
  const card = (await device.requests()).find((one) => one.slot === slot);
  if (card === undefined) throw new Error('no such request');
  return card;
}

/** What the data user holds after receiving: good items with their bytes. */
export async function received(world: World, slot: SlotTag, duo: OrgId = INSURER.org): Promise<readonly { readonly id: RecordId; readonly bytes: Uint8Array }[]> {
  const { items } = await world.stage.dataUser(duo).receive({ params: { slot }, body: {} });
  return Promise.all(
    items.map(async ({ record, good }) => {
      if (!good) throw new Error(`bad item ${record}`);
      const answer = await world.stage.dataUser(duo).read({ params: { slot, record } });
      return { id: record, bytes: new Uint8Array(await answer.arrayBuffer()) };
    }),
  );
}
