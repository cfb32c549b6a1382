/** A story is played with planted texts and numbers; afterwards every byte it left anywhere is searched for them. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { utf8, type Bytes } from '#base/bytes.ts';
import { recompute } from '#cli/recompute.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { openNetwork, type NetworkOptions } from './network.ts';
import { syntheticPlan } from './plan.ts';
import { realScheduler, rememberingLog, systemClock, systemRandom } from './seams.ts';
import { playStory } from './story.ts';
import { createWire } from './wire.ts';

interface Form {
  readonly canary: string;
  readonly bytes: Buffer;
}
type Scan = (bytes: Bytes) => readonly string[];

/** How a text can stand in bytes: as UTF-8, UTF-16, hex, and as base64 of either alphabet at each of the three alignments. */
function formsOf(canary: string): Form[] {
  const text = Buffer.from(canary);
  const based = [0, 1, 2].flatMap((offset) => {
    const whole = Buffer.concat([Buffer.alloc(offset), text]).toString('base64').replace(/=+$/, '');
    // Only the characters that depend on nothing but the canary.
    const core = whole.slice(Math.ceil((offset * 4) / 3), Math.floor(((offset + text.length) * 8) / 6));
    return [core, core.replaceAll('+', '-').replaceAll('/', '_')];
  });
  const written = [canary, text.toString('hex'), text.toString('hex').toUpperCase(), ...based];
  return [...[...new Set(written)].map((form) => Buffer.from(form)), Buffer.from(canary, 'utf16le'), utf16be(canary)].map((bytes) => ({ canary, bytes }));
}

/** The keys of our key-value stores are written so. */
function utf16be(text: string): Buffer {
  return Buffer.from(text, 'utf16le').swap16();
}

/** One pass over the bytes, however many canaries there are: the first three bytes of a form open the comparison. */
function scanner(canaries: readonly string[]): Scan {
  const doors = new Uint8Array(1 << 24);
  const behind = new Map<number, Form[]>();
  const doorOf = (bytes: Uint8Array, at: number): number => ((bytes[at] as number) << 16) | ((bytes[at + 1] as number) << 8) | (bytes[at + 2] as number);
  for (const form of canaries.flatMap(formsOf)) {
    const door = doorOf(form.bytes, 0);
    doors[door] = 1;
    behind.set(door, [...(behind.get(door) ?? []), form]);
  }
  return (bytes) => {
    const found = new Set<string>();
    for (let at = 0; at + 2 < bytes.length; at++) {
      const door = doorOf(bytes, at);
      if (doors[door] === 0) continue;
      for (const form of behind.get(door) ?? []) if (Buffer.compare(bytes.subarray(at, at + form.bytes.length), form.bytes) === 0) found.add(form.canary);
    }
    return [...found];
  };
}

function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)).filter((path) => statSync(path).isFile());
}

/** "file: canary" for each hit in a file's bytes or its name. */
function hitsUnder(folder: string, scan: Scan): string[] {
  return filesUnder(folder).flatMap((path) => [...scan(readFileSync(path)), ...scan(utf8(path))].map((canary) => `${path.slice(folder.length + 1)}: ${canary}`));
}

const folder = mkdtempSync(join(tmpdir(), 'healthkeep-canaries-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const plan = syntheticPlan({ seed: 'canaries', count: 11, visits: 1 });
const scan = scanner(plan.canaries);

interface Left {
  readonly told: ReadonlyMap<string, readonly string[]>;
  readonly hitsWhileOpen: readonly string[];
  readonly files: number;
  readonly heldChecks: boolean;
}

async function play(network: string): Promise<Left> {
  const told = new Map<string, string[]>();
  const tell = (what: string, text: string): void => void told.set(what, [...(told.get(what) ?? []), text]);
  const wire = createWire();
  const reading: Promise<void>[] = [];
  wire.observe((request, response) => {
    tell('URLs and request headers', [request.url, ...request.headers].join('\n'));
    tell('response headers', [...response.headers].join('\n'));
    if (response.status >= 400) reading.push(response.clone().text().then((text) => tell('problems', text)));
  });
  const remembered = rememberingLog();
  const options: NetworkOptions = {
    folder: network, clock: systemClock, random: systemRandom, scheduler: realScheduler, log: remembered.log, fetch: wire.fetch,
    host: async (org, handler) => {
      const url = `http://${org.toLowerCase()}.local`;
      wire.attach(url, handler);
      return url;
    },
    acknowledged: (what) => tell('acknowledgements', JSON.stringify(what)),
  };
  const opened = await openNetwork(options);
  const memory = openSqliteKeyValueStore(join(network, 'story.sqlite'));
  try {
    const { summary, people } = await playStory({ network: opened, networkOptions: options, plan, memory, say: (line) => tell('talk', line), recompute, indexDelay: { minMs: 0, maxMs: 30 } });
    for (const url of opened.urls.values()) {
      // A bundle that is none, a patient nobody has: refusals quote nothing of what they refuse.
      for (const body of [`{"resourceType":"${plan.canaries[0]}"`, `{"resourceType":"Bundle","type":"${plan.canaries[1]}"}`]) {
        const refused = await wire.fetch(new Request(`${url}/v1/bundles`, { method: 'POST', body, headers: { 'content-type': 'application/fhir+json' } }));
        tell('problems', await refused.text());
      }
      for (const path of ['/metrics', '/readyz', '/openapi.json']) tell(path, await (await wire.fetch(new Request(`${url}${path}`))).text());
    }
    for (const person of people) await person.open.close();
    tell('summary', JSON.stringify(summary));
    await Promise.all(reading);
    tell('log lines', remembered.text());
    return { told, hitsWhileOpen: hitsUnder(network, scan), files: filesUnder(network).length, heldChecks: summary.checks.every((one) => one.held) };
  } finally {
    await memory.close();
    await opened.close();
  }
}

describe('planted values', () => {
  it('are in no file, log line, URL, header, problem or metric after a whole story', async () => {
    const network = join(folder, 'network');
    mkdirSync(network);
    const left = await play(network);
    expect(left.heldChecks).toBe(true);
    // The scan saw every store and every kind of text: nothing is clean only because it is empty.
    expect(left.files).toBeGreaterThan(40);
    expect([...left.told].filter(([, texts]) => texts.join('').length === 0).map(([what]) => what)).toEqual([]);
    for (const what of ['URLs and request headers', 'response headers', 'problems', 'acknowledgements', 'talk', 'summary', 'log lines', '/metrics', '/readyz', '/openapi.json']) expect([...left.told.keys()]).toContain(what);
    expect([...left.told].flatMap(([what, texts]) => scan(utf8(texts.join('\n'))).map((canary) => `${what}: ${canary}`))).toEqual([]);
    expect(left.hitsWhileOpen).toEqual([]);
    expect(hitsUnder(network, scan)).toEqual([]);
  }, 120_000);

  it('are found by this scan where they are: in every bundle, in a log line, in base64 at each alignment', () => {
    const missed = plan.groups.flat().filter((bundle) => scan(bundle.read()).length === 0);
    expect(missed.map((bundle) => bundle.file)).toEqual([]);
    expect(new Set(plan.groups.flat().flatMap((bundle) => scan(bundle.read())))).toEqual(new Set(plan.canaries));
    const canary = plan.canaries[3] as string;
    const planted = join(folder, 'planted', 'deep');
    mkdirSync(planted, { recursive: true });
    writeFileSync(join(planted, 'log.jsonl'), `{"level":"info","event":"ingested","patient":"${canary}"}\n`);
    writeFileSync(join(planted, 'utf16'), Buffer.concat([Buffer.from([0]), Buffer.from(canary, 'utf16le')]));
    writeFileSync(join(planted, 'utf16be'), Buffer.concat([Buffer.from([0]), utf16be(canary)]));
    writeFileSync(join(planted, 'hex'), Buffer.from(`xx${canary}`).toString('hex'));
    for (const before of ['', 'a', 'ab']) for (const alphabet of ['base64', 'base64url'] as const) writeFileSync(join(planted, `${alphabet}${before}`), Buffer.from(`${before}${canary} and more`).toString(alphabet));
    writeFileSync(join(planted, 'clean'), canary.slice(0, -1));
    expect(hitsUnder(join(folder, 'planted'), scan).sort()).toEqual(['base64', 'base64a', 'base64ab', 'base64url', 'base64urla', 'base64urlab', 'hex', 'log.jsonl', 'utf16', 'utf16be'].map((name) => `deep/${name}: ${canary}`).sort());
  });
});
