/**
 * The device in a real browser: bundled, loaded by a headless Chromium, against organisations and a ledger relay on
 * loopback ports. Needs Chromium (CHROMIUM names it, else it is looked for on the path); without one nothing here runs,
 * which is a failure where HEALTHKEEP_REQUIRE_BROWSER=1.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toBase64url, utf8 } from '#base/bytes.ts';
import { ownVectors } from '#crypto/own-vectors.test-kit.ts';
import { createHttpRelay } from '#ledger/http-relay.ts';
import { readBundle } from '#records/bundle.ts';
import { allowOrigins } from '#sim/allow-origins.ts';
import { networkFetch } from '../cli/network-fetch.ts';
import { listen, type Listening } from '../cli/serve.ts';
import { inward, type PageAnswer, type PageCase } from './browser-page.test-kit.ts';
import { findChromium, openChromium, type Chromium, type Tab } from './chromium.test-kit.ts';
import type { Device } from './device.ts';
import { contentsDigest } from './preview.ts';
import { INSTITUTE, openWorld, settled, syncUntil, type Patient, type World } from './network.test-kit.ts';
import { asked, cardOf, permitted, received } from './person.test-kit.ts';
import { storeConformance } from './store/conformance.test-kit.ts';

const executable = findChromium(process.env);
if (executable === undefined) console.error('\n!!! THE BROWSER TESTS DID NOT RUN: no chromium, chromium-browser or google-chrome on the path, none named by CHROMIUM !!!\n');

const VECTORS = join(import.meta.dirname, '../../vectors');
const servers: Listening[] = [];
let folder: string;
let chromium: Chromium;
let world: World;
let site: Listening;
let ledger: Listening;
let tab: Tab;
let device: Device;
let patient: Patient;

async function serve(fetch: (request: Request) => Promise<Response>): Promise<Listening> {
  const server = await listen({ fetch, port: 0 });
  servers.push(server);
  return server;
}

/** Origins that the page may talk to: its own, the organisations', the relay's. */
const own = (): ReadonlySet<string> => new Set(servers.map(({ url }) => url));
const foreign = (urls: readonly string[]): readonly string[] => urls.filter((url) => !own().has(new URL(url).origin));

/** The page under a policy that allows neither evaluated code nor strange addresses; `/plain` has none. */
async function openSite(): Promise<Listening> {
  const { outputFiles } = await build({ entryPoints: [join(import.meta.dirname, 'browser-page.test-kit.ts')], bundle: true, platform: 'browser', format: 'esm', target: 'es2024', write: false, logLevel: 'silent', minify: true });
  const script = (outputFiles[0] as { readonly text: string }).text;
  const policy = (): string => `default-src 'none'; script-src 'self'; connect-src ${[...own()].join(' ')}`;
  const vectors = new Set(readdirSync(VECTORS));
  return serve(async ({ url }) => {
    const { pathname } = new URL(url);
    const html = (head: string): string => `<!doctype html><meta charset="utf-8"><title>healthkeep</title>${head}`;
    if (pathname === '/') return new Response(html('<script type="module" src="/device.js"></script>'), { headers: { 'content-type': 'text/html', 'content-security-policy': policy() } });
    if (pathname === '/plain') return new Response(html(''), { headers: { 'content-type': 'text/html' } });
    if (pathname === '/device.js') return new Response(script, { headers: { 'content-type': 'text/javascript' } });
    const name = pathname.replace('/vectors/', '');
    return vectors.has(name) ? new Response(readFileSync(join(VECTORS, name)), { headers: { 'content-type': 'application/json' } }) : new Response(null, { status: 404 });
  });
}

/** The device that lives in a page, as if it were here. */
function deviceIn(page: Tab): Device {
  const call = async (name: string, input: readonly unknown[]): Promise<unknown> => {
    const answer = await page.evaluate<PageAnswer>(`page.call(${JSON.stringify(name)}, ${JSON.stringify(input)})`);
    if ('code' in answer) throw Object.assign(new Error(`${answer.code} in the page: ${answer.message}`), { code: answer.code });
    return inward(answer.value);
  };
  return new Proxy({} as Device, { get: (_, name) => (name === 'then' ? undefined : (...input: readonly unknown[]) => call(String(name), input)) });
}

const openIn = (page: Tab): Promise<void> => page.evaluate(`page.open(${JSON.stringify({ ledger: ledger.url, userOrg: world.network.urls.get(world.network.userOrg.org) })})`);

describe('a browser for these tests', () => {
  it.runIf(process.env['HEALTHKEEP_REQUIRE_BROWSER'] === '1')('is here', () => {
    expect(executable, 'no Chromium found').toBeDefined();
  });
});

describe.skipIf(executable === undefined)('a device in a browser', () => {
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'healthkeep-browser-'));
    site = await openSite();
    world = await openWorld('browser', { fetch: networkFetch, host: async (_, handler) => (await serve(handler)).url, origins: [site.url] });
    ledger = await serve(allowOrigins(createHttpRelay({ transport: world.network.transport }), [site.url]));
    chromium = await openChromium({ executable: executable as string, folder });
    console.log(`browser tests run in ${chromium.version}`);
    tab = await chromium.openTab();
    await tab.goTo(site.url);
    await openIn(tab);
    device = deviceIn(tab);
    patient = await world.patient();
  }, 120_000);

  afterAll(async () => {
    await chromium?.close();
    await Promise.all(servers.map((server) => server.close()));
    await world?.close();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }, 60_000);

  const allHold = (cases: readonly PageCase[], names: readonly string[]): void => expect(cases).toEqual(names.map((name) => ({ name })));

  it('keeps what a store must keep in IndexedDB', async () => {
    allHold(await tab.evaluate('page.conformance()'), storeConformance.map(({ name }) => name));
  });

  it('agrees with all our vectors', async () => {
    allHold(await tab.evaluate('page.vectors()'), ownVectors.map(({ name }) => name));
  });

  it('enrols by the operator\'s code, is linked at the desks, and holds every record', async () => {
    expect(await device.enrolled()).toBe(false);
    await device.enrol({ code: await world.code() });
    expect(await device.enrolled()).toBe(true);
    await world.scan(device, patient);
    await syncUntil(device, async () => (await device.records()).length === patient.accepted && (await settled(device)()));
    expect(new Set((await device.records()).map(({ seal }) => seal))).toEqual(new Set(['sealed']));
  });

  it('opens records byte for byte as the hospitals received them', async () => {
    const readings = await Promise.all(patient.person.bundles.map(({ text }) => readBundle(utf8(text))));
    const ingested = readings.flatMap(({ entries }) => entries.map(({ bytes }) => toBase64url(bytes)));
    const opened: string[] = [];
    for (const { id } of await device.records()) opened.push(toBase64url(await device.openRecord(id)));
    expect(opened).toHaveLength(patient.accepted);
    expect(opened.sort()).toEqual(ingested.sort());
  });

  it('permits, shows the request, and the data user gets exactly the bytes of the preview', async () => {
    const slot = await asked(world, device, { duo: INSTITUTE.org });
    const preview = await device.preview(slot, { decision: 'all' });
    expect(preview.items.length).toBeGreaterThan(0);
    await device.answer(slot, { decision: 'all', digest: preview.digest });
    await syncUntil(device, settled(device));
    const arrived = await received(world, slot, INSTITUTE.org);
    expect(arrived.map(({ id }) => id).sort()).toEqual(preview.items.map(({ id }) => id).sort());
    expect(contentsDigest(arrived)).toBe(preview.digest);
  });

  it('keeps nothing in the clear', async () => {
    const kept = await tab.evaluate<string>('page.kept()');
    expect(kept.length).toBeGreaterThan(10_000);
    for (const canary of patient.person.canaries) expect(kept).not.toContain(canary);
    for (const { id } of await device.records()) expect(kept).not.toContain(id);
  });

  it('is the same after a reload, and goes on', async () => {
    const before = { digest: await device.stateDigest(), records: await device.records(), requests: await device.requests() };
    await tab.reload();
    await expect(device.records()).rejects.toMatchObject({ code: 'UNCODED' });
    await openIn(tab);
    expect(await device.enrolled()).toBe(true);
    expect({ digest: await device.stateDigest(), records: await device.records(), requests: await device.requests() }).toEqual(before);
    const slot = await permitted(world, device, INSTITUTE.org);
    await syncUntil(device, async () => (await cardOf(device, slot)).state === 'sent');
  });

  it('in two tabs at once does every act once', async () => {
    const second = await chromium.openTab();
    await second.goTo(site.url);
    await openIn(second);
    const other = deviceIn(second);
    const before = (await device.requests()).length;
    const slots = await Promise.all([device, other, device, other].map((one) => permitted(world, one, INSTITUTE.org)));
    expect(new Set(slots).size).toBe(4);
    await Promise.all([device.settle(), other.settle()]);
    const cards = (await device.requests()).filter(({ slot }) => slots.includes(slot));
    expect(cards.map(({ state }) => state)).toEqual(['sent', 'sent', 'sent', 'sent']);
    expect((await other.requests()).length).toBe(before + 4);
    expect(await other.stateDigest()).toBe(await device.stateDigest());
    expect([...foreign(second.requested), ...second.uncaught]).toEqual([]);
  });

  it('speaks to its own site, the organisations and the relay only', async () => {
    const plain = await chromium.openTab();
    await plain.goTo(`${site.url}/plain`);
    await plain.evaluate('fetch("http://stranger.example/").catch(() => undefined)');
    expect(foreign(plain.requested), 'a strange request is seen').toEqual(['http://stranger.example/']);
    const spoken = new Set(tab.requested.map((url) => new URL(url).origin));
    for (const wanted of [site.url, ledger.url, ...[world.network.userOrg.org, ...patient.ids.keys()].map((org) => world.network.urls.get(org) as string)]) expect(spoken).toContain(wanted);
    expect(foreign(tab.requested)).toEqual([]);
    expect(tab.uncaught).toEqual([]);
  });
});
