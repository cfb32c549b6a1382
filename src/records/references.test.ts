import { describe, expect, it } from 'vitest';
import { addressBook, resolveReference } from './references.ts';

const entries = [
  { index: 0, fullUrl: 'urn:uuid:2BE9b668-847a-4437-b33a-bdc38c665e08', typeAndId: 'Patient/a' },
  { index: 1, fullUrl: 'http://one.example/fhir/Practitioner/7', typeAndId: 'Practitioner/7' },
  { index: 2, fullUrl: 'http://two.example/fhir/Practitioner/7', typeAndId: 'Practitioner/7' },
  { index: 3, fullUrl: 'http://two.example/fhir/Observation/9', typeAndId: 'Observation/9' },
  { index: 4, fullUrl: 'urn:oid:1.2.3' },
];
const book = addressBook(entries);
const contained = new Set(['inside']);
const entry = (index: number): object => ({ kind: 'entry', index });

describe('resolving references', () => {
  it.each<[string, string | undefined, number, object | undefined]>([
    ['a URN of the bundle', 'urn:uuid:2be9b668-847a-4437-b33a-bdc38c665e08', 3, entry(0)],
    ['an OID of the bundle', 'urn:oid:1.2.3', 3, entry(4)],
    ['an unknown URN', 'urn:uuid:00000000-0000-4000-8000-000000000000', 3, undefined],
    ['an unknown OID', 'urn:oid:1.2.4', 3, undefined],
    ['an absolute URL of the bundle', 'http://one.example/fhir/Practitioner/7', 3, entry(1)],
    ['the same with a version', 'http://one.example/fhir/Practitioner/7/_history/3', 3, entry(1)],
    ['an absolute URL elsewhere', 'https://three.example/fhir/Practitioner/7', 3, { kind: 'external' }],
    ['a relative reference, by the server of the entry it stands in', 'Practitioner/7', 3, entry(2)],
    ['a relative reference from a URN, by type and id', 'Practitioner/7', 0, entry(1)],
    ['a relative reference with a version', 'Observation/9/_history/2', 0, entry(3)],
    ['a relative reference that only the store can answer', 'Location/3', 0, { kind: 'stored', key: 'Location/3' }],
    ['the same with a version', 'Location/3/_history/1', 0, { kind: 'stored', key: 'Location/3' }],
    ['a contained resource', '#inside', 0, { kind: 'contained' }],
    ['the resource itself', '#', 0, { kind: 'contained' }],
    ['a missing contained resource', '#outside', 0, undefined],
    ['a conditional reference', 'Practitioner?identifier=http://x|1', 0, { kind: 'external' }],
    ['no reference but an identifier', undefined, 0, { kind: 'external' }],
    ['another scheme', 'mailto:a@example.org', 0, { kind: 'external' }],
    ['no reference at all', 'Dr. Who', 0, undefined],
    ['a type without id', 'Patient/', 0, undefined],
    ['an empty text', '', 0, undefined],
  ])('%s', (_, text, from, target) => {
    const reference = { path: 'x', contained, ...(text === undefined ? {} : { text }) };
    expect(resolveReference(reference, entries[from] as (typeof entries)[number], book)).toEqual(target);
  });
});
