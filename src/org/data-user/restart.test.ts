import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Fetch, KeyValueStore } from '#base/ports.ts';
import { drcClient } from '#contracts/client.ts';
import type { SlotState } from '#model/drc.ts';
import type { SlotTag } from '#model/ids.ts';
import type { KeptOrgIdentity } from '#org/identity.ts';
import { INSURER, openDataUserWorld, order, type DataUserWorld, type Disk, type Faults, type Owner, type Running } from './world.test-kit.ts';

let kit: DataUserWorld;
let disk: Disk;
let owner: Owner;
let slots: SlotTag[];

beforeAll(async () => {
  kit = await openDataUserWorld('restart');
  disk = kit.disk();
  owner = await kit.owner();
  slots = [...(await kit.permit(owner, 90))];
}, 60_000);

afterAll(() => kit?.close());

/** A process that stops for good at its N-th step towards the outside, before or after the step took effect. */
function dying(at: number, effect: 'before' | 'after'): Faults & { readonly reached: () => boolean } {
  let steps = 0;
  const step = async <T>(act: () => Promise<T>): Promise<T> => {
    const mine = ++steps;
    if (mine > at || (mine === at && effect === 'before')) throw new Error('the process stopped');
    const result = await act();
    if (steps >= at) throw new Error('the process stopped');
    return result;
  };
  const { client } = kit.world.network;
  const fetch: Fetch = (request) => step(() => kit.world.wire.fetch(request));
  const ledger = { ...client, submit: ((call) => step(() => client.submit(call))) as typeof client.submit, evaluate: ((call) => step(() => client.evaluate(call))) as typeof client.evaluate };
  const store: KeyValueStore = { ...disk.store, write: (changes) => step(() => disk.store.write(changes)) };
  return { fetch, ledger, store, reached: () => steps >= at };
}

const stateOf = (slot: SlotTag): Promise<SlotState> => drcClient(kit.world.network.client, (kit.world.network.identities.get(INSURER.org) as KeptOrgIdentity).system).evaluate('getSlot', { slot });

/** Does the act with processes that die at step 1, 2, 3 …, each followed by a healthy one that finishes; ends when a process lives through it. */
async function throughEveryStop(every: number, story: { readonly prepare: () => Promise<SlotTag>; readonly act: (running: Running, slot: SlotTag) => Promise<unknown>; readonly check: (slot: SlotTag, running: Running) => Promise<void> }): Promise<number> {
  for (let at = 1; ; at += every) {
    let reached = false;
    for (const effect of ['before', 'after'] as const) {
      const slot = await story.prepare();
      const faults = dying(at, effect);
      const first = await kit.open(disk, faults);
      await story.act(first, slot).catch(() => undefined);
      reached ||= faults.reached();
      await first.dataUser.close();
      const second = await kit.open(disk);
      await second.dataUser.tick();
      await story.act(second, slot);
      await story.check(slot, second);
      await second.dataUser.close();
    }
    if (!reached) return at;
  }
}

/** A process that runs as it should, with its background work. */
async function healthy(work: (running: Running) => Promise<void>): Promise<void> {
  const running = await kit.open(disk);
  await running.dataUser.start();
  try {
    await work(running);
  } finally {
    await running.dataUser.close();
  }
}

const next = (): SlotTag => {
  const slot = slots.pop();
  if (slot === undefined) throw new Error('more slots are needed');
  return slot;
};

describe('a data user that stops between any two steps', () => {
  it('writes one invitation, whose answer it can open', async () => {
    const orders = new Map<SlotTag, ReturnType<typeof order>>();
    const stops = await throughEveryStop(1, {
      prepare: async () => {
        const slot = next();
        orders.set(slot, order(kit.world, kit.ref));
        return slot;
      },
      act: ({ api }, slot) => api.invite({ params: { slot }, body: orders.get(slot) as never }),
      check: async (slot) => expect((await stateOf(slot)).phase).toBe('invited'),
    });
    expect(stops).toBeGreaterThan(6);
    // The last of them is answered and received: the key that was made before the stop opens what was sealed to it.
    const slot = [...orders.keys()].at(-1) as SlotTag;
    await healthy(async ({ api }) => {
      await kit.answer(owner, slot);
      expect((await api.receive({ params: { slot }, body: {} })).items.every((item) => item.good)).toBe(true);
    });
  }, 120_000);

  it('receives every item once and puts one receipt', async () => {
    const stops = await throughEveryStop(7, {
      prepare: async () => {
        const slot = next();
        await healthy(async ({ api }) => {
          await api.invite({ params: { slot }, body: order(kit.world, kit.ref) });
          await kit.answer(owner, slot);
        });
        return slot;
      },
      act: ({ api }, slot) => api.receive({ params: { slot }, body: {} }),
      check: async (slot, { api }) => {
        const { items } = await api.receive({ params: { slot }, body: {} });
        expect(items.every((item) => item.good)).toBe(true);
        expect(new Set(items.map((item) => item.record)).size).toBe(items.length);
        expect((await stateOf(slot)).receipt).toMatchObject({ delivered: items.length, verified: items.length });
      },
    });
    expect(stops).toBeGreaterThan(14);
  }, 120_000);

  it('erases for good and says so once', async () => {
    const stops = await throughEveryStop(2, {
      prepare: async () => {
        const slot = next();
        await healthy(async ({ api }) => {
          await api.invite({ params: { slot }, body: order(kit.world, kit.ref) });
          await kit.answer(owner, slot);
          await api.receive({ params: { slot }, body: {} });
        });
        return slot;
      },
      act: ({ api }, slot) => api.eraseNow({ params: { slot }, body: {} }),
      check: async (slot) => {
        expect((await stateOf(slot)).erasure?.reason).toBe('early');
        expect((await stateOf(slot)).receipt).toBeDefined();
        expect(await disk.store.list(`body/${slot}`)).toEqual([]);
        expect(await disk.store.get(`package/${slot}`)).toBeUndefined();
        expect(await disk.store.get(`invitation/${slot}`)).toBeUndefined();
      },
    });
    expect(stops).toBeGreaterThan(5);
  }, 120_000);
});
