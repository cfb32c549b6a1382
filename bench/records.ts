/**
 * Reading health records, one thread: `node bench/records.ts [--milliseconds 1500] [--json]`.
 * Figures over the Synthea bundles of HEALTHKEEP_DATA (our synthetic people where it is absent): the JSON check alone,
 * validation alone, and the whole way from a file's bytes to records with facts, patients and resolved references.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { gunzipSync, gzipSync } from 'node:zlib';
import { isCoded } from '#base/errors.ts';
import { readJson } from '#base/json.ts';
import { utf8 } from '#base/bytes.ts';
import type { Resource } from '#records/resource.ts';
import { syntheticPeople } from '#sim/people.ts';

const { values } = parseArgs({ options: { milliseconds: { type: 'string', default: '1500' }, json: { type: 'boolean', default: false } } });
const budgetMs = Number(values.milliseconds);
const MB = 1e6;

interface Row {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}
const rows: Row[] = [];
const row = (name: string, value: number, unit: string): number => rows.push({ name, value, unit });

/** Runs whole rounds until the budget is spent; seconds per round. */
async function secondsPerRound(round: () => unknown): Promise<number> {
  await round();
  const start = performance.now();
  let rounds = 0;
  while (performance.now() - start < budgetMs) {
    await round();
    rounds++;
  }
  return (performance.now() - start) / 1_000 / rounds;
}

function bundleFiles(): readonly Uint8Array[] {
  const folder = join(process.env['HEALTHKEEP_DATA'] ?? '../shared/data', 'synthea');
  if (!existsSync(folder)) return syntheticPeople({ seed: 'bench', count: 40, hospitals: 2, visits: 6 }).flatMap((person) => person.bundles.map((bundle) => gzipSync(bundle.text)));
  return readdirSync(folder).filter((name) => name.endsWith('.json.gz')).sort().map((name) => readFileSync(join(folder, name)));
}

const coldStart = performance.now();
const { inspectResource } = await import('#records/validate.ts');
inspectResource({ resourceType: 'Patient' });
row('validation: start-up (import, table, first resource)', performance.now() - coldStart, 'ms');
const { readBundle } = await import('#records/bundle.ts');

const packed = bundleFiles();
const plain = packed.map((file) => new Uint8Array(gunzipSync(file)));
const megabytes = plain.reduce((sum, file) => sum + file.length, 0) / MB;
const resources = plain.flatMap((file) => (JSON.parse(Buffer.from(file).toString()) as { entry: { resource: Resource }[] }).entry.map((entry) => entry.resource));

const cold = performance.now();
for (const file of packed) await readBundle(file);
row('bundle reading, cold process', megabytes / ((performance.now() - cold) / 1_000), 'MB/s');
row('JSON.parse (no checks)', megabytes / (await secondsPerRound(() => plain.forEach((file) => JSON.parse(Buffer.from(file).toString())))), 'MB/s');
row('readJson (grammar, UTF-8, depth, duplicates)', megabytes / (await secondsPerRound(() => plain.forEach((file) => readJson(file)))), 'MB/s');
row('validation', resources.length / (await secondsPerRound(() => resources.forEach((resource) => inspectResource(resource)))), 'resources/s');
const whole = await secondsPerRound(async () => {
  for (const file of plain) await readBundle(file);
});
row('bundle reading, plain files', megabytes / whole, 'MB/s');
row('bundle reading, plain files', resources.length / whole, 'resources/s');
const gzipped = await secondsPerRound(async () => {
  for (const file of packed) await readBundle(file);
});
row('bundle reading, gzipped files', megabytes / gzipped, 'MB/s');

/** One bundle of almost 50 MiB out of all the files. */
function largeBundle(): Uint8Array {
  const entries: string[] = [];
  let bytes = 0;
  for (let copy = 0; bytes < 51_000_000; copy++) {
    for (const resource of resources) {
      const text = JSON.stringify({ fullUrl: `urn:uuid:00000000-0000-4000-8000-${entries.length.toString(16).padStart(12, '0')}`, resource: { resourceType: 'Observation', status: 'final', code: { text: `copy ${copy}` }, text: { status: 'generated', div: '<div xmlns="http://www.w3.org/1999/xhtml">-</div>' }, note: [{ text: JSON.stringify(resource).slice(0, 2_000) }] } });
      bytes += text.length + 1;
      if (bytes >= 51_000_000) break;
      entries.push(text);
    }
  }
  return utf8(`{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Patient","id":"p"}},${entries.join(',')}]}`);
}

async function timed(name: string, file: Uint8Array): Promise<void> {
  const start = performance.now();
  const outcome = await readBundle(file).then((reading) => `${reading.entries.length} accepted`, (error: unknown) => (isCoded(error) ? error.code : String(error)));
  row(`${name}: ${outcome}`, performance.now() - start, 'ms');
}
await timed('good bundle of 51 MB', largeBundle());
await timed('gzip bomb of 1 GB', gzipSync(Buffer.alloc(1e9, '{"a":"')));
await timed('200,000 deep', utf8('['.repeat(200_000)));
await timed('50 MB of small values', utf8(`[${'0,'.repeat(26_000_000)}0]`));

if (values.json) process.stdout.write(`${JSON.stringify({ node: process.version, megabytes, resources: resources.length, rows }, null, 2)}\n`);
else {
  process.stdout.write(`${packed.length} bundles, ${megabytes.toFixed(1)} MB, ${resources.length} resources\n`);
  for (const { name, value, unit } of rows) process.stdout.write(`${name.padEnd(56)} ${value.toFixed(value < 100 ? 1 : 0).padStart(9)} ${unit}\n`);
}
