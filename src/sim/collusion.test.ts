import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hospitalEndpoints } from '#api/endpoints.ts';
import { fromUtf8, utf8 } from '#base/bytes.ts';
import { silentLog, type Fetch } from '#base/ports.ts';
import { instant, type OrgId, type RecordId } from '#model/ids.ts';
import type { TemplateRef } from '#model/template.ts';
import { createCoalition, keeperDump, piecesOf, type KeeperDump, type Piece } from './collusion/knowledge.test-kit.ts';
import { EAST, INSTITUTE, INSURER, KEEPERS, WEST } from './members.ts';
import { openNetwork, type Network } from './network.ts';
import { syntheticPerson, type SyntheticPerson } from './people.ts';
import { realScheduler, systemClock, systemRandom } from './seams.ts';
import { agreeTemplates } from './story/ask.ts';
import { createStage, type Stage } from './story/stage.ts';
import { createWire } from './wire.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';

const DAY_MS = 86_400_000;
const folder = mkdtempSync(join(tmpdir(), 'healthkeep-collusion-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A message as both ends have it. */
interface Message {
  /** Whose interface it went to. */
  readonly host: string;
  readonly pieces: readonly Piece[];
}

interface Played {
  readonly messages: readonly Message[];
  readonly dump: KeeperDump;
  /** What each data user was granted of East Hospital's records. */
  readonly granted: ReadonlyMap<OrgId, readonly RecordId[]>;
  /** Received bytes by record, as their owners' devices hold them. */
  readonly originals: ReadonlyMap<RecordId, string>;
  /** Texts planted in records at East Hospital and in none at West Hospital. */
  readonly canaries: readonly string[];
}

const hostOf = (org: OrgId): string => `${org.toLowerCase()}.local`;

/** The network with everything that is said on it written down, save what East Hospital itself takes in. */
function listeningFetch(fetch: Fetch, messages: Message[]): Fetch {
  return async (request) => {
    const copy = request.clone();
    const response = await fetch(request);
    const { host, pathname } = new URL(request.url);
    if (host === hostOf(EAST.org) && pathname === hospitalEndpoints.ingest.path) return response;
    const bodies = [new Uint8Array(await copy.arrayBuffer()), new Uint8Array(await response.clone().arrayBuffer())];
    const headers = [...request.headers, ...response.headers].map(([name, value]) => `${name}: ${value}`).join('\n');
    messages.push({ host, pieces: [{ bytes: utf8(`${request.url}\n${headers}`) }, ...bodies.map((bytes) => ({ bytes }))] });
    return response;
  };
}

interface Scene {
  readonly network: Network;
  readonly stage: Stage;
  readonly templates: ReadonlyMap<OrgId, { readonly ref: TemplateRef }>;
}

const until = async (what: string, done: () => Promise<boolean>): Promise<void> => {
  for (let round = 0; round < 200; round++) {
    if (await done()) return;
    await realScheduler.sleep(25);
  }
  throw new Error(`waited in vain: ${what}`);
};

async function patient(scene: Scene, who: SyntheticPerson, name: string) {
  const { stage, network } = scene;
  const { device, close } = await network.openDevice(name, { minMs: 0, maxMs: 0 });
  await device.enrol({ code: (await stage.userOrg().inviteCode({ body: {} })).code });
  let accepted = 0;
  for (const bundle of who.bundles) {
    const { org } = KEEPERS[bundle.hospital] as { readonly org: OrgId };
    const report = await stage.hospital(org).ingest({ query: { file: bundle.file }, body: utf8(bundle.text), contentType: 'application/fhir+json' });
    accepted += report.accepted;
    await stage.hospital(org).link({ params: { patient: report.patients[0] as string }, body: { link: await device.linkCode(org) } });
  }
  await until('records', async () => {
    await device.sync();
    return (await device.records()).length === accepted && (await device.pending()).length === 0;
  });
  return { device, close };
}
type Patient = Awaited<ReturnType<typeof patient>>;

/** Permit, invitation, answer with `count` records of East Hospital (none: no), package. */
async function ask({ network, stage, templates }: Scene, { device }: Patient, { duo, count }: { readonly duo: OrgId; readonly count: number }): Promise<readonly RecordId[]> {
  const { ref } = templates.get(duo) as { readonly ref: TemplateRef };
  const now = systemClock.now();
  const { slots } = await device.permit({ duo, templates: [ref], quota: 1, until: instant(now + 30 * DAY_MS) });
  const [slot] = slots as [(typeof slots)[number]];
  await network.dataUsers.get(duo)?.caughtUp((await network.ledger.height('drc')) - 1);
  await stage.dataUser(duo).invite({ params: { slot }, body: { template: ref, message: 'Please.', answerBy: instant(now + 7 * DAY_MS) } });
  await until('the request', async () => {
    await device.sync();
    return (await device.requests()).some((card) => card.slot === slot && card.state === 'waiting');
  });
  if (count === 0) await device.answer(slot, { decision: 'no' });
  const items = count === 0 ? [] : (await device.preview(slot, { decision: 'all' })).items.filter(({ keeper }) => keeper === EAST.org).map(({ id }) => id).slice(0, count);
  if (count > 0) await device.answer(slot, { decision: 'narrower', items });
  await until('the answer', async () => {
    await device.sync();
    return (await device.pending()).length === 0;
  });
  if (count === 0) return [];
  await network.dataUsers.get(duo)?.caughtUp((await network.ledger.height('drc')) - 1);
  const received = await stage.dataUser(duo).receive({ params: { slot }, body: {} });
  expect(received.items.map(({ record, good }) => [record, good]).sort()).toEqual(items.map((id) => [id, true]).sort());
  for (const id of items) await stage.dataUser(duo).read({ params: { slot, record: id } });
  return items;
}

async function play(): Promise<Played> {
  const wire = createWire();
  const messages: Message[] = [];
  const options = {
    folder, clock: systemClock, random: systemRandom, scheduler: realScheduler, log: silentLog, fetch: listeningFetch(wire.fetch, messages),
    host: async (org: OrgId, handler: Fetch) => {
      wire.attach(`http://${hostOf(org)}`, handler);
      return `http://${hostOf(org)}`;
    },
  };
  const network = await openNetwork(options);
  const stage = createStage({ network, networkOptions: options, plan: { groups: [], canaries: [] }, store: openSqliteKeyValueStore(':memory:'), say: () => undefined, indexDelay: { minMs: 0, maxMs: 0 } });
  const scene: Scene = { network, stage, templates: (await agreeTemplates(stage)).byDataUser };
  const people = [0, 4].map((at) => syntheticPerson({ seed: 'collusion', count: 1_000, hospitals: 2, visits: 1 }, at));
  const [owner, other] = [await patient(scene, people[0] as SyntheticPerson, 'owner'), await patient(scene, people[1] as SyntheticPerson, 'other')];
  const granted = new Map([[INSURER.org, await ask(scene, owner, { duo: INSURER.org, count: 3 })], [INSTITUTE.org, await ask(scene, other, { duo: INSTITUTE.org, count: 2 })]]);
  await ask(scene, owner, { duo: INSTITUTE.org, count: 0 });
  const originals = new Map<RecordId, string>();
  for (const { device, close } of [owner, other]) {
    for (const { id, keeper } of await device.records()) if (keeper === EAST.org) originals.set(id, fromUtf8(await device.openRecord(id)));
    await close();
  }
  await network.close();
  const textsOf = (org: OrgId): string => people.flatMap(({ bundles }) => bundles).filter(({ hospital }) => KEEPERS[hospital]?.org === org).map(({ text }) => text).join('\n');
  const [east, west] = [textsOf(EAST.org), textsOf(WEST.org)];
  const canaries = people.flatMap((person) => person.canaries).filter((canary) => east.includes(canary) && !west.includes(canary));
  return { messages, dump: keeperDump(join(folder, `orgs/${EAST.org}`), EAST.org), granted, originals, canaries };
}

describe('when all collude but the owner and the hospital that was granted', () => {
  let played: Played;
  beforeAll(async () => {
    played = await play();
  }, 60_000);

  const stores = (...orgs: readonly string[]): readonly Piece[] => orgs.flatMap((org) => piecesOf(join(folder, 'orgs', org)));
  const heard = (by: (host: string) => boolean): readonly Piece[] => played.messages.filter(({ host }) => by(host)).flatMap(({ pieces }) => pieces);
  const grantedTo = (...orgs: readonly OrgId[]): readonly string[] => orgs.flatMap((org) => played.granted.get(org) ?? []).sort();

  it('they read the granted records, by their recipients\' keys alone, and nothing but ciphertext of all others', async () => {
    const { join: joined } = createCoalition(played.dump);
    const atInsurer = (host: string): boolean => host === hostOf(INSURER.org);
    const without = await joined([...stores('UO-people', WEST.org, INSTITUTE.org, 'ORD-consortium'), ...piecesOf(join(folder, 'ledger')), ...heard((host) => !atInsurer(host))]);
    expect([...without.readable.keys()].sort()).toEqual(grantedTo(INSTITUTE.org));
    const found = await joined([...stores(INSURER.org), ...heard(atInsurer)]);
    console.log(`${found.keys} keys (${found.secrets} of them private) on ${found.ciphertexts} ciphertexts: ${found.opened} opened; ${found.readable.size} of ${played.dump.records.length} records readable`);
    expect([...found.readable.keys()].sort()).toEqual(grantedTo(INSTITUTE.org, INSURER.org));
    for (const [id, bytes] of found.readable) expect(fromUtf8(new Uint8Array(bytes))).toBe(played.originals.get(id as RecordId));
    const released = [...found.readable.keys()].map((id) => played.originals.get(id as RecordId)).join('\n');
    const unreleased = played.canaries.filter((canary) => !released.includes(canary));
    expect(unreleased.length).toBeGreaterThan(3);
    expect(unreleased.filter((canary) => found.saw(canary))).toEqual([]);
  }, 120_000);

  it('and the search finds what can be found: with the hospital\'s keys, every record', async () => {
    const found = await createCoalition(played.dump).join(stores(EAST.org));
    expect(found.readable.size).toBe(played.dump.records.length);
    expect(played.canaries.every((canary) => found.saw(canary))).toBe(true);
  }, 60_000);
});
