import { beforeAll, describe, expect, it } from 'vitest';
import { concat, type Bytes } from '#base/bytes.ts';
import type { Fetch } from '#base/ports.ts';
import { generateHpkeKeyPair } from '#crypto/hpke.ts';
import type { Digest, GrantId, Instant, OrgId, RecordId, SlotTag, SubjectId } from '#model/ids.ts';
import { fakeClock, realScheduler, seededRandom } from '#sim/seams.ts';
import { createKeeperCalls, type KeeperCalls } from './keeper-calls.ts';
import { flaky, id16, id32, makeKeeper, problem, serve, type Served } from './keeper.test-kit.ts';
import { collectPackage, type PackageFrame, type PackagePart } from './package.ts';
import { createRetry } from './retry.ts';

const clock = fakeClock(Date.UTC(2027, 2, 1));
const random = seededRandom('package');
const EAST = 'HO-east' as OrgId;
const WEST = 'HO-west' as OrgId;
const hosts: Readonly<Record<string, string>> = { [EAST]: 'http://east.test', [WEST]: 'http://west.test' };

/** Waits cost nothing here: the tests are about order and bytes, not about time. */
const retry = createRetry({ scheduler: { sleep: async () => undefined }, random }, { attempts: 8 });

const callsTo = (fetch: Fetch, stallMs = 5_000): KeeperCalls =>
  createKeeperCalls({ fetch, sign: async (request) => request, scheduler: realScheduler, urlOf: async (keeper) => hosts[keeper] as string, stallMs });

async function makePart(org: OrgId, contents: readonly string[]): Promise<Served> {
  const keeper = await makeKeeper(org, { clock, random });
  const subject = id16(random) as SubjectId;
  const { publicKey } = await generateHpkeKeyPair();
  const release = { grant: id16(random) as GrantId, slot: id32(random) as SlotTag, recipient: 'DUO-insurer' as OrgId, recipientPublicKey: publicKey, purpose: 'research' as const, eraseAt: '2027-06-01T00:00:00.000Z' as Instant };
  const records = await Promise.all(contents.map((content) => keeper.record('Observation', content, subject)));
  const items = await Promise.all(records.map((record) => keeper.item(record, release)));
  const { proofs } = await keeper.prove(records);
  return { grant: release.grant, ticket: id32(random) as Digest, manifest: await keeper.manifest(release, subject, items), proofs, bodies: new Map(records.map((record) => [record.id, record.ciphertext])) };
}

const partOf = (keeper: OrgId, { grant, ticket }: Served): PackagePart => ({ keeper, grant, ticket });
const byHost = (east: Fetch, west: Fetch): Fetch => (request) => (request.url.startsWith('http://east.test') ? east(request) : west(request));

async function frames(parts: readonly PackagePart[], keepers: KeeperCalls, wanted = (_: PackagePart, __: RecordId): boolean => true): Promise<readonly PackageFrame[]> {
  const found: PackageFrame[] = [];
  for await (const frame of collectPackage({ parts, wanted }, { keepers, retry })) found.push(frame);
  return found;
}

const bodiesOf = (found: readonly PackageFrame[]): Map<string, Bytes> => new Map(found.flatMap((frame) => (frame.kind === 'item' ? [[frame.record, frame.ciphertext]] : [])));

let east: Served;
let west: Served;

beforeAll(async () => {
  east = await makePart(EAST, ['a'.repeat(10), 'b'.repeat(40_000), 'c'.repeat(200_000), ...Array.from({ length: 20 }, (_, at) => `small ${at}`)]);
  west = await makePart(WEST, ['d'.repeat(70_000), 'e']);
});

describe('the package gateway', () => {
  it('hands on the parts of two keepers as one package, each manifest before its items', async () => {
    const found = await frames([partOf(EAST, east), partOf(WEST, west)], callsTo(byHost(serve([east]), serve([west]))));
    expect(found.map((frame) => frame.kind).filter((kind) => kind !== 'item')).toEqual(['manifest', 'manifest']);
    expect(found[0]?.kind).toBe('manifest');
    expect(bodiesOf(found)).toEqual(new Map([...east.bodies, ...west.bodies]));
  });

  it.each([1, 2, 3, 4, 5])('delivers every byte exactly once over a line that breaks three times in ten (seed %i)', async (seed) => {
    const asked: { path: string; range: string | null }[] = [];
    const fetch = flaky(serve([east], asked), 0.3, seededRandom(seed));
    const found = await frames([partOf(EAST, east)], callsTo(fetch));
    expect(found.filter((frame) => frame.kind === 'item')).toHaveLength(east.bodies.size);
    expect(bodiesOf(found)).toEqual(new Map(east.bodies));
    // It went on where it stopped instead of beginning again.
    expect(asked.some(({ range }) => range !== null)).toBe(true);
  });

  it('passes over what it has when a keeper does not honour Range', async () => {
    const whole: Fetch = (request) => serve([east])(new Request(request.url, { headers: { 'healthkeep-ticket': east.ticket } }));
    const found = await frames([partOf(EAST, east)], callsTo(flaky(whole, 0.4, seededRandom('no range'))));
    expect(bodiesOf(found)).toEqual(new Map(east.bodies));
  });

  it('names a keeper that cannot be reached and delivers the rest', async () => {
    const found = await frames([partOf(EAST, east), partOf(WEST, west)], callsTo(byHost(async () => Promise.reject(new TypeError('refused')), serve([west]))));
    expect(found[0]).toMatchObject({ kind: 'part-missing', part: { keeper: EAST }, code: 'ORG_UNREACHABLE', retry: true });
    expect(bodiesOf(found)).toEqual(new Map(west.bodies));
  });

  it('does not insist with a keeper that refuses', async () => {
    let calls = 0;
    const found = await frames([partOf(EAST, east)], callsTo(async () => (calls++, problem(403, 'GRANT_REVOKED'))));
    expect(found).toMatchObject([{ kind: 'part-missing', code: 'GRANT_REVOKED', retry: false }]);
    expect(calls).toBe(1);
  });

  it('names an item that the keeper lists and does not have', async () => {
    const [lost, ...rest] = [...east.bodies.keys()] as [RecordId, ...RecordId[]];
    const bodies = new Map(rest.map((record) => [record, east.bodies.get(record) as Bytes]));
    const found = await frames([partOf(EAST, east)], callsTo(serve([{ ...east, bodies }])));
    expect(found.filter((frame) => frame.kind === 'item-missing')).toMatchObject([{ record: lost, code: 'RECORD_ERASED', retry: false }]);
    expect(bodiesOf(found)).toEqual(bodies);
  });

  it('names an item of which more comes than the manifest lists', async () => {
    const [longer] = [...east.bodies.keys()] as [RecordId];
    const bodies = new Map([...east.bodies].map(([record, body]) => [record, record === longer ? concat(body, new Uint8Array(1)) : body]));
    const found = await frames([partOf(EAST, east)], callsTo(serve([{ ...east, bodies }])));
    expect(found.filter((frame) => frame.kind === 'item-missing')).toMatchObject([{ record: longer, code: 'ITEM_LENGTH', retry: false }]);
  });

  it('fetches only what is still wanted', async () => {
    const asked: { path: string; range: string | null }[] = [];
    const [wanted] = [...east.bodies.keys()] as [RecordId];
    const found = await frames([partOf(EAST, east)], callsTo(serve([east], asked)), (_, record) => record === wanted);
    expect([...bodiesOf(found).keys()]).toEqual([wanted]);
    expect(asked.filter(({ path }) => path.includes('/items/'))).toHaveLength(1);
  });

  it('asks for an item that a manifest lists twice only once', async () => {
    const manifest = JSON.parse(east.manifest.payload) as { items: unknown[] };
    const payload = JSON.stringify({ ...manifest, items: [...manifest.items, manifest.items[0]] });
    const found = await frames([partOf(EAST, east)], callsTo(serve([{ ...east, manifest: { ...east.manifest, payload } }])));
    expect(found.filter((frame) => frame.kind === 'item')).toHaveLength(east.bodies.size);
  });

  it.each([['no JSON', 'x'], ['no manifest', '{}'], ['nested too deep', '['.repeat(200_000)]])('refuses a manifest that is %s', async (_, payload) => {
    const found = await frames([partOf(EAST, east)], callsTo(serve([{ ...east, manifest: { ...east.manifest, payload } }])));
    expect(found).toMatchObject([{ kind: 'part-missing', code: 'MANIFEST_MALFORMED', retry: false }]);
  });

  it('gives up on a line that says nothing', async () => {
    const silent: Fetch = async () => new Response(new ReadableStream({ pull: () => new Promise(() => undefined) }));
    const found = await frames([partOf(EAST, east)], callsTo(silent, 5));
    expect(found).toMatchObject([{ kind: 'part-missing', code: 'ORG_UNREACHABLE' }]);
  });

  it('stops at once when it is told to', async () => {
    const control = new AbortController();
    const stop = async (): Promise<void> => {
      for await (const frame of collectPackage({ parts: [partOf(EAST, east)], wanted: () => true, signal: control.signal }, { keepers: callsTo(serve([east])), retry })) {
        if (frame.kind === 'item') control.abort();
      }
    };
    await expect(stop()).rejects.toThrow();
  });
});
