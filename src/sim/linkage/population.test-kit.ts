/** Many people on a real network under a virtual clock, for the linkage attack: the device room's own code writes their index entries and opens their slots. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLog, type Fetch, type Scheduler } from '#base/ports.ts';
import { toBase64url } from '#base/bytes.ts';
import type { Context } from '#device/context.ts';
import { openContext } from '#device/device.ts';
import { enrol } from '#device/enrolment.ts';
import { pendingEntries, queueEntries, writeEntries } from '#device/index.ts';
import { memoryStore } from '#device/memory-store.test-kit.ts';
import { openSlots, permit } from '#device/permits.ts';
import { deliveries, indexWrites, type Identity } from '#device/state.ts';
import { pendingActs } from '#device/sync.ts';
import { put } from '#device/vault.ts';
import { exportPrivateKey, generateSigningKey } from '#crypto/keys.ts';
import { createCsr } from '#crypto/x509.ts';
import { DeliveryId, instant, SubjectId, type ChannelName, type OrgId } from '#model/ids.ts';
import { DRC, UIC } from '#model/orgs.ts';
import type { TemplateRef } from '#model/template.ts';
import { EAST, INSURER, WEST } from '../members.ts';
import { openNetwork, type Network } from '../network.ts';
import { fakeClock, realScheduler, systemRandom, type SettableClock } from '../seams.ts';
import { agreeTemplates } from '../story/ask.ts';
import { createStage, type Stage } from '../story/stage.ts';
import { createWire } from '../wire.ts';
import { actsIn, attack, type Act, type Verdict } from './attack.test-kit.ts';

const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
const START_MS = Date.UTC(2026, 3, 7, 9, 12, 44);

export interface LinkageWorld {
  readonly network: Network;
  readonly stage: Stage;
  readonly clock: SettableClock;
  /** A fresh device's context, not yet enrolled, with the product's own defaults. */
  person(change?: Partial<Pick<Context, 'indexDelay' | 'slotDelayMaxMs' | 'dummiesPerEntry'>>): Promise<Context>;
  code(): Promise<string>;
  /** Every block of a channel, as its peers have them. */
  dump(channel: ChannelName): Promise<readonly Uint8Array[]>;
  close(): Promise<void>;
}

export async function openLinkageWorld(): Promise<LinkageWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'healthkeep-linkage-'));
  const wire = createWire();
  const clock = fakeClock(START_MS);
  const options = {
    folder, clock, random: systemRandom, scheduler: realScheduler, log: silentLog, fetch: wire.fetch,
    host: async (org: OrgId, handler: Fetch) => {
      wire.attach(`http://${org.toLowerCase()}.local`, handler);
      return `http://${org.toLowerCase()}.local`;
    },
  };
  const network = await openNetwork(options);
  const stage = createStage({ network, networkOptions: options, plan: { groups: [], canaries: [] }, store: memoryStore(), say: () => undefined, indexDelay: { minMs: 0, maxMs: 0 } });
  return {
    network, stage, clock,
    async person(change = {}) {
      const context = await openContext({
        store: memoryStore(), unlockKey: systemRandom.bytes(32), fetch: wire.fetch, ledger: network.client, clock, random: systemRandom, scheduler: shortSleeps(clock), log: silentLog,
        userOrgUrl: network.urls.get(network.userOrg.org) as string, ...change,
      });
      return context;
    },
    code: async () => (await stage.userOrg().inviteCode({ body: {} })).code,
    dump: (channel) => dump(network, channel),
    async close() {
      await network.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Pauses of a person's device pass in virtual time; the long ones are timeouts, which never come. */
function shortSleeps(clock: SettableClock): Scheduler {
  return { sleep: async (ms, signal) => (ms < 20_000 ? clock.advance(ms) : realScheduler.sleep(ms, signal)) };
}

async function dump(network: Network, channel: ChannelName): Promise<readonly Uint8Array[]> {
  const reader = channel === DRC ? INSURER.org : network.userOrg.org;
  const signer = network.identities.get(reader)?.peer;
  if (signer === undefined) throw new Error(`${reader} has no peer`);
  const blocks: Uint8Array[] = [];
  const ended = new AbortController();
  const last = (await network.ledger.height(channel)) - 1;
  for await (const block of network.client.blocks({ channel, startBlock: 0, signer, signal: ended.signal })) {
    blocks.push(new Uint8Array(block.bytes));
    if (block.number >= last) break;
  }
  ended.abort();
  return blocks;
}

/** Acts in the order of their moments; an act may add others. */
export function createTimeline(clock: SettableClock): { at(moment: number, act: () => Promise<void>): void; run(): Promise<void> } {
  const waiting: { readonly moment: number; readonly act: () => Promise<void> }[] = [];
  return {
    at(moment, act) {
      let [low, high] = [0, waiting.length];
      while (low < high) {
        const middle = (low + high) >> 1;
        if ((waiting[middle] as { moment: number }).moment > moment) low = middle + 1;
        else high = middle;
      }
      waiting.splice(low, 0, { moment, act });
    },
    async run() {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
        clock.set(Math.max(clock.now(), next.moment));
        await next.act();
      }
    },
  };
}

/** A weakness put in on purpose, to see that the attack finds it. */
export type Plant = 'one name' | 'own validity day' | 'no wait';

export interface Habits {
  readonly people: number;
  /** Acts of each person that must not be linked. */
  readonly each: number;
  /** `at once`: all of a person's come to light in one moment, as at the first synchronisation. `apart`: at moments of their own. */
  readonly come: 'at once' | 'apart';
  /** The moments lie within so much time. */
  readonly withinMs: number;
  /** Before it, people enrol over so much time. */
  readonly enrolOverMs: number;
  /** `always`: the device acts when the time has come. `daily`: it is awake for a moment once a day, at its person's hour. */
  readonly awake: 'always' | 'daily';
  readonly plant?: Plant;
}

const below = (span: number): number => Math.floor(Math.random() * span);

/** Plays people whose deliveries are indexed; gives who wrote what. */
export async function playIndex(world: LinkageWorld, habits: Habits): Promise<(act: Act) => number> {
  const owners = new Map<string, number>();
  const timeline = createTimeline(world.clock);
  const from = world.clock.now();
  const begin = from + habits.enrolOverMs;
  for (let owner = 0; owner < habits.people; owner++) {
    const context = await world.person(habits.plant === 'no wait' ? { indexDelay: { minMs: 0, maxMs: 0 } } : {});
    const commonName = toBase64url(systemRandom.bytes(16));
    const delivered = async (count: number): Promise<void> => {
      await context.vault.write(...Array.from({ length: count }, () => newDelivery(context)));
      await queueEntries(context);
      if (habits.plant === 'one name' || habits.plant === 'own validity day') await plantCertificates(world, context, { plant: habits.plant, commonName, owner });
      for (const { tag } of await pendingEntries(context)) owners.set(tag, owner);
      await wake(() => writeEntries(context), async () => (await pendingEntries(context)).map(({ dueAt }) => dueAt));
    };
    const hour = below(DAY_MS);
    const wake = waking({ world, timeline, habits, hour });
    timeline.at(from + below(habits.enrolOverMs), async () => enrol(context, await world.code()));
    if (habits.come === 'at once') timeline.at(begin + below(habits.withinMs), () => delivered(habits.each));
    else for (let n = 0; n < habits.each; n++) timeline.at(begin + below(habits.withinMs), () => delivered(1));
  }
  await timeline.run();
  return (act) => owners.get(String(act.input['tag'])) as number;
}

/** Plays people who each permit one data user to ask several times; gives whose slot is whose. */
export async function playSlots(world: LinkageWorld, habits: Habits): Promise<(act: Act) => number> {
  const owners = new Map<string, number>();
  const { ref } = (await agreeTemplates(world.stage)).byDataUser.get(INSURER.org) as { readonly ref: TemplateRef };
  const timeline = createTimeline(world.clock);
  const from = world.clock.now();
  const begin = from + habits.enrolOverMs;
  for (let owner = 0; owner < habits.people; owner++) {
    const context = await world.person(habits.plant === 'no wait' ? { slotDelayMaxMs: 0 } : {});
    const wake = waking({ world, timeline, habits, hour: below(DAY_MS) });
    timeline.at(from + below(habits.enrolOverMs), async () => enrol(context, await world.code()));
    timeline.at(begin + below(habits.withinMs), async () => {
      const { slots: opened } = await permit(context, { duo: INSURER.org, templates: [ref], quota: habits.each, until: instant(world.clock.now() + 30 * DAY_MS) });
      for (const slot of opened) owners.set(slot, owner);
      await wake(() => openSlots(context), async () => (await pendingActs(context)).filter(({ kind }) => kind === 'slot').map(({ dueAt }) => dueAt));
    });
  }
  await timeline.run();
  return (act) => owners.get(String(act.input['slot'])) as number;
}

/** Plays a population, takes the whole dump of its channel, and attacks it. */
export async function linkage(kind: 'index' | 'slots', habits: Habits): Promise<Verdict> {
  const world = await openLinkageWorld();
  try {
    const [play, channel, name] = kind === 'index' ? ([playIndex, UIC, 'putEntry'] as const) : ([playSlots, DRC, 'openSlot'] as const);
    const ownerOf = await play(world, habits);
    const acts = actsIn(await world.dump(channel), name);
    if (acts.length !== habits.people * habits.each) throw new Error(`${acts.length} acts on ${channel}`);
    return attack(acts, ownerOf, Math.random);
  } finally {
    await world.close();
  }
}

interface Waking {
  readonly world: LinkageWorld;
  readonly timeline: ReturnType<typeof createTimeline>;
  readonly habits: Habits;
  /** The person's moment of the day. */
  readonly hour: number;
}

/** Runs the act at the moments that are due and when the device is awake, until nothing is left. */
function waking({ world, timeline, habits, hour }: Waking): (act: () => Promise<unknown>, due: () => Promise<readonly number[]>) => Promise<void> {
  const next = async (act: () => Promise<unknown>, due: () => Promise<readonly number[]>): Promise<void> => {
    const left = await due();
    if (left.length === 0) return;
    const now = world.clock.now();
    const soonest = Math.max(now, Math.min(...left));
    const moment = habits.awake === 'always' ? soonest : now - (now % DAY_MS) + hour + (now % DAY_MS >= hour ? DAY_MS : 0);
    timeline.at(moment, async () => {
      await act();
      await next(act, due);
    });
  };
  return next;
}

function newDelivery({ random }: Context): ReturnType<typeof put> {
  const delivery = DeliveryId.parse(toBase64url(random.bytes(16)));
  const keeper = (below(2) === 0 ? EAST : WEST).org;
  const list = { certificate: 'none', records: [], erased: [] };
  return put(deliveries, `${keeper}/${delivery}`, { keeper, delivery, subject: SubjectId.parse(toBase64url(random.bytes(16))), count: 1 + below(300), createdAt: instant(START_MS), indexed: false, list });
}

/** Replaces the certificates of queued entries by ones that betray their owner. */
async function plantCertificates({ network, clock }: LinkageWorld, context: Context, { plant, commonName, owner }: { readonly plant: Plant; readonly commonName: string; readonly owner: number }): Promise<void> {
  const { ca } = network.identities.get(network.userOrg.org) as { readonly ca: { issue: (wish: never) => Promise<string> } };
  const day = clock.now() - (owner % 3) * DAY_MS;
  for (const write of await pendingEntries(context)) {
    const pair = await generateSigningKey();
    const name = plant === 'one name' ? commonName : toBase64url(systemRandom.bytes(16));
    const wish = { commonName: name, organizationalUnit: 'client', attributes: { 'hk.role': 'person' }, publicKey: pair.publicKey, notBefore: plant === 'own validity day' ? day : clock.now(), days: plant === 'own validity day' ? 700 + (owner % 30) : 700 };
    const identity: Identity = { privateKey: toBase64url(await exportPrivateKey(pair.privateKey)), csr: await createCsr({ commonName: name, keyPair: pair }), certificate: await ca.issue(wish as never) };
    await context.vault.write(put(indexWrites, write.tag, { ...write, identity }));
  }
}

