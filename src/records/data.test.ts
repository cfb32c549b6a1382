/**
 * Validation against other people's resources: nothing good is refused (Synthea, the IPS examples, the good cases of
 * the reference validator), and how often the reference validator's errors are found. Runs where the test data is.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { isCoded } from '#base/errors.ts';
import { plainValue, readJson } from '#base/json.ts';
import { readBundle } from './bundle.ts';
import type { Resource } from './resource.ts';
import { inspectResource } from './validate.ts';

const data = process.env['HEALTHKEEP_DATA'] ?? '../shared/data';

function readMaybePacked(path: string): Uint8Array {
  const bytes = readFileSync(path);
  return path.endsWith('.gz') ? gunzipSync(bytes) : bytes;
}

/** `CODE path` of every problem; a file that is no JSON has its code only. */
function problemsOf(path: string): readonly string[] {
  try {
    return inspectResource(plainValue(readJson(readMaybePacked(path))) as Resource).problems.map((problem) => `${problem.code} ${problem.path}`);
  } catch (error) {
    if (!isCoded(error)) throw error;
    return [error.code];
  }
}

describe.skipIf(!existsSync(join(data, 'synthea')))('Synthea bundles', () => {
  const folder = join(data, 'synthea');

  it('are taken whole: every entry, every byte, every reference', async () => {
    let resources = 0;
    for (const name of readdirSync(folder).filter((file) => file.endsWith('.json.gz'))) {
      const packed = readFileSync(join(folder, name));
      const text = gunzipSync(packed).toString();
      const expected = (JSON.parse(text) as { entry: { resource: Resource }[] }).entry;
      const reading = await readBundle(packed);
      expect(reading.refused).toEqual([]);
      expect(reading.entries).toHaveLength(expected.length);
      let from = 0;
      for (const [at, entry] of reading.entries.entries()) {
        const slice = Buffer.from(entry.bytes).toString();
        expect(JSON.parse(slice)).toEqual(expected[at]?.resource);
        from = text.indexOf(slice, from);
        expect(from).toBeGreaterThan(0);
        expect(entry.patients).toHaveLength(1);
        expect(entry.references.every((reference) => reference.target.kind === 'entry' || reference.target.kind === 'contained')).toBe(true);
      }
      resources += reading.entries.length;
    }
    expect(resources).toBeGreaterThan(1_000);
  });
});

describe.skipIf(!existsSync(join(data, 'ips')))('International Patient Summary examples', () => {
  const folder = join(data, 'ips');

  it.each(existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith('.json')) : [])('%s is good', (name) => {
    expect(problemsOf(join(folder, name))).toEqual([]);
  });
});

interface Case {
  readonly name: string;
  readonly path: string;
  readonly module: string;
  readonly selfContained: boolean;
  readonly verdict: { readonly errors: number };
}

describe.skipIf(!existsSync(join(data, 'fhir-test-cases')))('the reference validator\'s cases', () => {
  const folder = join(data, 'fhir-test-cases');

  it('has no false alarm on a good self-contained case, and finds the errors of structure', () => {
    const { cases } = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8')) as { cases: readonly Case[] };
    const judged = cases.filter((one) => one.selfContained).map((one) => ({ ...one, found: problemsOf(join(folder, one.path)) }));
    const bad = judged.filter((one) => one.verdict.errors > 0);
    const good = judged.filter((one) => one.verdict.errors === 0);
    const caught = bad.filter((one) => one.found.length > 0);
    process.stdout.write(`reference validator, self-contained cases: ${good.length} good, ${good.filter((one) => one.found.length > 0).length} false alarms; ${bad.length} bad, ${caught.length} found\n`);
    expect(good.filter((one) => one.found.length > 0).map((one) => `${one.name}: ${one.found.join(', ')}`)).toEqual([]);
    // What is missed needs a terminology server, slicing, or FHIRPath constraints of conformance resources.
    expect(caught.length / bad.length).toBeGreaterThanOrEqual(0.4);
  });
});
