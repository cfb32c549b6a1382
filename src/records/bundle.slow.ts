/** The long fuzz of the bundle reader and its largest inputs; minutes, so only with HEALTHKEEP_SLOW=1. */
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { utf8 } from '#base/bytes.ts';
import { codeOfAsync } from '#base/code-of.test-kit.ts';
import { syntheticPeople, type SyntheticBundle } from '#sim/people.ts';
import { unsound } from './bundle.test-kit.ts';
import { readBundle } from './bundle.ts';

const bundles = syntheticPeople({ seed: 'slow', count: 4, hospitals: 2, visits: 1 }).flatMap((person) => person.bundles);

describe('damaged bundles', () => {
  it('bytes changed, cut out, doubled or put in: refused with a code or read soundly', async () => {
    const edit = fc.record({ at: fc.nat(), length: fc.nat(40), kind: fc.constantFrom('change', 'cut', 'double', 'put'), bytes: fc.uint8Array({ maxLength: 6 }) });
    await fc.assert(fc.asyncProperty(fc.constantFrom(...bundles), fc.array(edit, { minLength: 1, maxLength: 4 }), async (bundle, edits) => {
      let file: Uint8Array = utf8(bundle.text);
      for (const one of edits) file = edited(file, one);
      expect(await unsound(file)).toEqual([]);
    }), { numRuns: 15_000 });
  });

  it('values exchanged for values of every kind: the entry is refused or sound', async () => {
    const strange = fc.oneof(fc.constantFrom<unknown>(null, true, '', ' ', [], {}, [[]], -1, 1e21, 0.5, '__proto__', '\u0000', 'x'.repeat(2_000_000), { resourceType: 'Bundle', type: 'collection' }, { __proto__: null, reference: '#' }), fc.jsonValue());
    await fc.assert(fc.asyncProperty(fc.constantFrom(...bundles), fc.array(fc.tuple(fc.nat(), strange), { minLength: 1, maxLength: 5 }), async (bundle, changes) => {
      const value = JSON.parse(bundle.text) as object;
      for (const [place, replacement] of changes) {
        const spots = spotsOf(value);
        const [parent, name] = spots[place % spots.length] as (typeof spots)[number];
        // A copy: a shared value put inside itself would be no JSON.
        parent[name] = structuredClone(replacement);
      }
      const text = JSON.stringify(value);
      if (text.isWellFormed()) expect(await unsound(utf8(text))).toEqual([]);
    }), { numRuns: 5_000 });
  });

  it('gzip streams with changed bytes are refused with a code or read soundly', async () => {
    const packed = new Uint8Array(gzipSync((bundles[0] as SyntheticBundle).text));
    await fc.assert(fc.asyncProperty(fc.nat(packed.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
      const file = packed.slice();
      file[at] = (file[at] as number) ^ flip;
      const code = await codeOfAsync(() => readBundle(file));
      // Bits of the header's time, flags and system do not change the content.
      if (code !== 'nothing thrown') expect(code).toMatch(/^(GZIP_|JSON_|FILE_|BYTES_|FHIR_)/);
    }), { numRuns: 3_000 });
  });
});

describe('large bundles', () => {
  it('50 MB are read within seconds, memory growing by no more than a few times the file', async () => {
    const people = syntheticPeople({ seed: 'large', count: 220, hospitals: 1, visits: 25 });
    const transactions = people.flatMap((person) => person.bundles).filter((bundle) => bundle.type === 'transaction');
    const entries = transactions.flatMap((bundle) => (JSON.parse(bundle.text) as { entry: { fullUrl: string }[] }).entry);
    // The hospital stands in every person's bundle, and once in this one.
    const unique = [...new Map(entries.map((entry) => [entry.fullUrl, entry])).values()];
    const file = utf8(JSON.stringify({ resourceType: 'Bundle', type: 'collection', entry: unique }));
    expect(file.length).toBeGreaterThan(35_000_000);
    expect(file.length).toBeLessThan(52_428_800);
    const before = process.memoryUsage().rss;
    const start = performance.now();
    const reading = await readBundle(file);
    expect(performance.now() - start).toBeLessThan(15_000);
    expect(reading.refused).toEqual([]);
    expect(reading.entries).toHaveLength(unique.length);
    expect(process.memoryUsage().rss - before).toBeLessThan(500e6);
  });
});

function edited(file: Uint8Array, edit: { readonly at: number; readonly length: number; readonly kind: string; readonly bytes: Uint8Array }): Uint8Array {
  const at = edit.at % (file.length + 1);
  const end = Math.min(file.length, at + edit.length);
  const middle = { change: edit.bytes, cut: new Uint8Array(0), double: Buffer.concat([file.subarray(at, end), file.subarray(at, end)]), put: Buffer.concat([edit.bytes, file.subarray(at, end)]) }[edit.kind] as Uint8Array;
  return new Uint8Array(Buffer.concat([file.subarray(0, at), middle, file.subarray(edit.kind === 'change' ? Math.min(file.length, at + edit.bytes.length) : end)]));
}

/** Every member of every object and list in a value. */
function spotsOf(value: unknown): readonly (readonly [Record<string, unknown>, string])[] {
  if (typeof value !== 'object' || value === null) return [];
  const parent = value as Record<string, unknown>;
  return Object.keys(parent).flatMap((name) => [[parent, name] as const, ...spotsOf(parent[name])]);
}
