/** A whole consortium in which this room's own data user takes the insurer's place; it can be stopped, restarted and given a bad network. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Fetch, KeyValueStore } from '#base/ports.ts';
import { createApiClient, type ApiClient } from '#api/client.ts';
import { dataUserEndpoints } from '#api/endpoints.ts';
import { createDevice, type Device } from '#device/device.ts';
import { DAY_MS, INSTITUTE, INSURER, openWorld, settled, syncUntil, type World } from '#device/network.test-kit.ts';
import type { LedgerClient } from '#ledger/client.ts';
import { instant, type OrgId, type SlotTag } from '#model/ids.ts';
import type { TemplateRef } from '#model/template.ts';
import type { KeptOrgIdentity } from '#org/identity.ts';
import { realScheduler, systemRandom } from '#sim/seams.ts';
import type { SyntheticPerson } from '#sim/people.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { openTreeStore, type TreeStore } from '#store/tree-store.ts';
import { signerOf } from '../signing.ts';
import { createDataUser, type DataUser } from './data-user.ts';

export { DAY_MS, INSTITUTE, INSURER };

/** What a data user keeps; it outlives the process. */
export interface Disk {
  readonly folder: string;
  readonly store: KeyValueStore;
  readonly treeStore: TreeStore;
  close(): Promise<void>;
}

export type DataUserClient = ApiClient<typeof dataUserEndpoints>;

export interface Running {
  readonly dataUser: DataUser;
  /** As its staff. */
  readonly api: DataUserClient;
}

export interface Faults {
  readonly fetch?: Fetch;
  readonly ledger?: LedgerClient;
  readonly store?: KeyValueStore;
}

export interface Owner {
  readonly device: Device;
  readonly person: SyntheticPerson;
}

export interface DataUserWorld {
  readonly world: World;
  readonly ref: TemplateRef;
  disk(): Disk;
  /** A process over a disk; its background work runs only when started. It answers at the insurer's address. */
  open(disk: Disk, faults?: Faults): Promise<Running>;
  owner(): Promise<Owner>;
  /** Opens slots of one permit and gives them in the device's order. */
  permit(owner: Owner, quota: number, duo?: OrgId): Promise<readonly SlotTag[]>;
  /** The owner says yes to everything that was asked, or no. */
  answer(owner: Owner, slot: SlotTag, decision?: 'all' | 'no'): Promise<void>;
  close(): Promise<void>;
}

export const order = (world: World, ref: TemplateRef, days = 7) => ({ template: ref, message: 'Please.', answerBy: instant(world.clock.now() + days * DAY_MS) });

export async function openDataUserWorld(seed: string): Promise<DataUserWorld> {
  const world = await openWorld(seed);
  const { network, wire, clock } = world;
  const identity = network.identities.get(INSURER.org) as KeptOrgIdentity;
  const url = network.urls.get(INSURER.org) as string;
  // The one that came with the network goes: two of one organisation would erase and answer side by side.
  await network.dataUsers.get(INSURER.org)?.close();
  const disks: Disk[] = [];
  const { ref } = world.templates.get(INSURER.org) as { ref: TemplateRef };

  return {
    world,
    ref,
    disk() {
      const folder = mkdtempSync(join(tmpdir(), 'healthkeep-duo-'));
      const store = openSqliteKeyValueStore(join(folder, 'state.sqlite'));
      const treeStore = openTreeStore(join(folder, 'tree.sqlite'));
      let closed = false;
      const disk = {
        folder, store, treeStore,
        async close() {
          if (closed) return;
          closed = true;
          treeStore.close();
          await store.close();
        },
      };
      disks.push(disk);
      return disk;
    },
    async open(disk, faults = {}) {
      const deps = { identity, url, ledger: network.client, store: disk.store, clock, random: systemRandom, scheduler: realScheduler, log: () => undefined, fetch: wire.fetch, ...faults, treeStore: disk.treeStore, retry: { firstMs: 1, maxMs: 5 } };
      const dataUser = await createDataUser(deps);
      wire.attach(url, dataUser.fetch);
      const api = createApiClient({ table: dataUserEndpoints, baseUrl: url, fetch: dataUser.fetch, sign: signerOf({ clock, random: systemRandom }, identity.staff) });
      return { dataUser, api };
    },
    async owner() {
      const patient = await world.patient();
      const device = await createDevice(world.parts());
      await device.enrol({ code: await world.code() });
      await world.scan(device, patient);
      await syncUntil(device, async () => (await device.records()).length > 0 && (await settled(device)()));
      return { device, person: patient.person };
    },
    async permit({ device }, quota, duo = INSURER.org) {
      const { ref: template } = world.templates.get(duo) as { ref: TemplateRef };
      const { slots } = await device.permit({ duo, templates: [template], quota, until: instant(clock.now() + 30 * DAY_MS) });
      await syncUntil(device, settled(device));
      return slots;
    },
    async answer({ device }, slot, decision = 'all') {
      const card = async () => (await device.requests()).find((one) => one.slot === slot);
      await syncUntil(device, async () => (await card())?.state === 'waiting');
      if (decision === 'no') await device.answer(slot, { decision } as never);
      else await device.answer(slot, { decision, digest: (await device.preview(slot, { decision })).digest } as never);
      await syncUntil(device, async () => (await settled(device)()) && ['answered', 'refused'].includes((await card())?.state ?? ''));
    },
    async close() {
      for (const disk of disks) await disk.close().then(() => rmSync(disk.folder, { recursive: true, force: true }));
      await world.close().catch(() => undefined);
    },
  };
}
