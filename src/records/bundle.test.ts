import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, fromUtf8, utf8 } from '#base/bytes.ts';
import { codeOfAsync } from '#base/code-of.test-kit.ts';
import { syntheticPeople } from '#sim/people.ts';
import { errorTable } from '#model/errors.ts';
import { unsound } from './bundle.test-kit.ts';
import { readBundle, type BundleReading, type ReadOptions } from './bundle.ts';

const ada = { resourceType: 'Patient', id: 'ada', identifier: [{ system: 'urn:oid:2.999', value: 'A-1' }] };
const bob = { resourceType: 'Patient', id: 'bob' };
const doctor = { resourceType: 'Practitioner', id: 'doc' };
const result = (id: string, subject: object | undefined, rest: object = {}): object => ({ resourceType: 'Observation', id, status: 'final', code: { text: 'x' }, subject, ...rest });
const to = (reference: string): object => ({ reference });

function collection(...resources: readonly object[]): string {
  return JSON.stringify({ resourceType: 'Bundle', type: 'collection', entry: resources.map((resource) => ({ resource })) });
}
const read = (text: string, options?: ReadOptions): Promise<BundleReading> => readBundle(utf8(text), options);
const verdicts = (reading: BundleReading): readonly string[] => reading.refused.map(({ index, code }) => `${index} ${code}`);
const owners = (reading: BundleReading): Readonly<Record<string, readonly string[]>> => Object.fromEntries(reading.entries.map((entry) => [entry.index, entry.patients]));

describe('what comes out of a bundle', () => {
  it('every resource as the exact slice received, numbers and spaces as written', async () => {
    const slices = ['{"resourceType":"Patient","id":"ada"}', '{ "status":"final",\n\t"resourceType" : "Observation", "code":{"text":"\\u0041 é"},"valueQuantity":{"value": 5.70e0}, "subject":{"reference":"Patient/ada"} }'];
    const text = `\ufeff{"type":"collection","resourceType":"Bundle","entry":[${slices.map((slice) => `{"resource": ${slice} }`).join(' , ')}]}`;
    for (const file of [utf8(text), gzipSync(text)]) {
      const reading = await readBundle(file);
      expect(reading.refused).toEqual([]);
      expect(reading.entries.map((entry) => fromUtf8(entry.bytes))).toEqual(slices);
    }
  });

  it('everything of the synthetic people: none lost, none altered, all references resolved', async () => {
    for (const person of syntheticPeople({ seed: 'bundle', count: 5, hospitals: 2 })) {
      for (const { text, patient, resources, type } of person.bundles) {
        const reading = await read(text);
        expect([reading.type, reading.read, reading.refused]).toEqual([type, resources, []]);
        const given = (JSON.parse(text) as { entry: { resource: unknown }[] }).entry.map((entry) => entry.resource);
        for (const [at, entry] of reading.entries.entries()) {
          expect(text).toContain(fromUtf8(entry.bytes));
          expect(JSON.parse(fromUtf8(entry.bytes))).toEqual(given[at]);
          expect(entry.patients).toEqual([patient]);
          expect(entry.references.every((reference) => reference.target.kind === 'entry')).toBe(true);
        }
      }
    }
  });

  it('a key under which the same resource is known again', async () => {
    const entry = (fullUrl: string | undefined, id: string | undefined): object => ({ fullUrl, resource: { ...bob, id } });
    const entries = [entry('http://x/fhir/Patient/1', '1'), entry('urn:uuid:00000000-0000-4000-8000-000000000001', '2'), entry('urn:uuid:00000000-0000-4000-8000-000000000003', undefined), entry(undefined, '4')];
    const reading = await read(JSON.stringify({ resourceType: 'Bundle', type: 'collection', entry: entries }));
    expect(reading.entries.map(({ sourceKey, patients }) => [sourceKey, ...patients])).toEqual([
      ['http://x/fhir/Patient/1', '1'], ['Patient/2', '2'], ['urn:uuid:00000000-0000-4000-8000-000000000003', '00000000-0000-4000-8000-000000000003'], ['Patient/4', '4'],
    ]);
  });

  it('an empty bundle is read as empty', async () => {
    expect(await read('{"resourceType":"Bundle","type":"collection"}')).toEqual({ type: 'collection', read: 0, entries: [], refused: [] });
  });
});

describe('references', () => {
  it('a dangling one is refused, and all that leads to it, and nothing else', async () => {
    const chain = [ada, result('a', to('Patient/ada'), { hasMember: [to('Observation/b')] }), result('b', to('Patient/ada'), { hasMember: [to('Observation/c')] }), result('c', to('Patient/ada'), { specimen: to('Specimen/none') }), result('d', to('Patient/ada'))];
    const reading = await read(collection(...chain));
    expect(verdicts(reading)).toEqual(['1 REFERENCE_UNRESOLVED', '2 REFERENCE_UNRESOLVED', '3 REFERENCE_UNRESOLVED']);
    expect(reading.refused[2]?.reason).toMatch(/^Observation\.specimen: /);
    expect(reading.entries.map((entry) => entry.index)).toEqual([0, 4]);
  });

  it('a refused patient takes everything that names it along', async () => {
    expect(verdicts(await read(collection({ ...ada, gender: 'm' }, result('a', to('Patient/ada')), doctor)))).toEqual(['0 FHIR_CODE', '1 REFERENCE_UNRESOLVED', '2 SUBJECT_UNKNOWN']);
  });

  it('circles stay whole', async () => {
    const reading = await read(collection(ada, result('a', to('Patient/ada'), { hasMember: [to('Observation/b')] }), result('b', to('Patient/ada'), { hasMember: [to('Observation/a')] })));
    expect(reading.refused).toEqual([]);
  });

  it('external and conditional ones are accepted as they are', async () => {
    const performer = [to('http://other.example/fhir/Practitioner/1'), to('Practitioner?identifier=http://x|1'), { identifier: { system: 'http://x', value: '1' } }, { display: 'Dr. Who' }];
    const reading = await read(collection(ada, result('a', to('Patient/ada'), { performer })));
    expect(reading.refused).toEqual([]);
    expect(reading.entries[1]?.references.map((reference) => reference.target.kind)).toEqual(['entry', 'external', 'external', 'external']);
  });

  it('relative ones are asked of the store, once, and only those the bundle cannot answer', async () => {
    const asked: (readonly string[])[] = [];
    const stored = (keys: readonly string[]): Promise<ReadonlySet<string>> => {
      asked.push(keys);
      return Promise.resolve(new Set(['Patient/eve', 'Encounter/1']));
    };
    const reading = await read(collection(result('a', to('Patient/eve'), { encounter: to('Encounter/1') }), result('b', to('Patient/eve'), { encounter: to('Encounter/2') }), result('c', to('Patient/eve'), { hasMember: [to('Observation/a')] })), { stored });
    expect(asked).toEqual([['Patient/eve', 'Encounter/1', 'Encounter/2']]);
    expect(verdicts(reading)).toEqual(['1 REFERENCE_UNRESOLVED']);
    expect(owners(reading)).toEqual({ 0: ['eve'], 2: ['eve'] });
    expect(reading.entries[0]?.references[1]?.target).toEqual({ kind: 'stored', key: 'Encounter/1' });
  });

  it('contained ones must be there', async () => {
    const contained = [{ resourceType: 'Practitioner', id: 'p' }];
    expect(verdicts(await read(collection(ada, result('a', to('Patient/ada'), { contained, performer: [to('#p')] }), result('b', to('Patient/ada'), { contained, performer: [to('#q')] }))))).toEqual(['2 REFERENCE_UNRESOLVED']);
  });

  it('a target of a type that is not allowed there is refused, however it is addressed', async () => {
    const entry = [{ fullUrl: 'urn:uuid:00000000-0000-4000-8000-000000000001', resource: ada }, { fullUrl: 'urn:uuid:00000000-0000-4000-8000-000000000002', resource: result('a', to('urn:uuid:00000000-0000-4000-8000-000000000001'), { encounter: to('urn:uuid:00000000-0000-4000-8000-000000000001') }) }];
    expect(verdicts(await read(JSON.stringify({ resourceType: 'Bundle', type: 'collection', entry })))).toEqual(['1 FHIR_REFERENCE_TYPE']);
  });

  it('of two entries with one address the second is refused', async () => {
    expect(verdicts(await read(collection(ada, ada, result('a', to('Patient/ada')), result('a', to('Patient/ada')))))).toEqual(['1 FHIR_ENTRY_DUPLICATE', '3 FHIR_ENTRY_DUPLICATE']);
  });
});

describe('patients', () => {
  it('the only patient of a bundle has all of it', async () => {
    expect(owners(await read(collection(ada, doctor, result('a', undefined), { resourceType: 'Organization', name: 'x' })))).toEqual({ 0: ['ada'], 1: ['ada'], 2: ['ada'], 3: ['ada'] });
  });

  it('several patients have their own, and share what their records refer to', async () => {
    const reading = await read(collection(ada, bob, result('a', to('Patient/ada'), { performer: [to('Practitioner/doc')] }), result('b', to('Patient/bob'), { performer: [to('Practitioner/doc')] }), doctor, { resourceType: 'Organization', id: 'o', name: 'x' }, result('c', undefined)));
    expect(owners(reading)).toEqual({ 0: ['ada'], 1: ['bob'], 2: ['ada'], 3: ['bob'], 4: ['ada', 'bob'] });
    expect(verdicts(reading)).toEqual(['5 SUBJECT_UNKNOWN', '6 SUBJECT_UNKNOWN']);
  });

  it('a stranger\'s record is nobody\'s here, even beside one patient', async () => {
    const strangers = [to('http://other.example/fhir/Patient/9'), to('Patient?identifier=urn:oid:2.999|B-2'), { identifier: { system: 'urn:oid:2.999', value: 'B-2' } }];
    expect(verdicts(await read(collection(ada, ...strangers.map((subject, at) => result(`s${at}`, subject)))))).toEqual(['1 SUBJECT_UNKNOWN', '2 SUBJECT_UNKNOWN', '3 SUBJECT_UNKNOWN']);
  });

  it('an identifier names the patient of the bundle that has it', async () => {
    const reading = await read(collection(ada, bob, result('a', to('Patient?identifier=urn:oid:2.999|A-1')), result('b', to('Patient?identifier=urn%3Aoid%3A2.999%7CA-1')), result('c', { identifier: { system: 'urn:oid:2.999', value: 'A-1' } })));
    expect(owners(reading)).toEqual({ 0: ['ada'], 1: ['bob'], 2: ['ada'], 3: ['ada'], 4: ['ada'] });
  });
});

describe('bad input', () => {
  const deep = `${'{"a":'.repeat(200_000)}1${'}'.repeat(200_000)}`;

  it.each<[string, string | Uint8Array, string]>([
    ['not JSON', 'Dear colleague, please find attached', 'JSON_MALFORMED'],
    ['a cut off file', collection(ada, bob).slice(0, -20), 'JSON_MALFORMED'],
    ['200,000 objects deep', `{"resourceType":"Bundle","type":"collection","entry":[{"resource":${deep}}]}`, 'JSON_TOO_DEEP'],
    ['a name twice', collection(ada).replace('"id":"ada"', '"id":"ada","id":"eve"'), 'JSON_DUPLICATE_KEY'],
    ['Latin-1', concat(utf8('{"resourceType":"Bundle","id":"'), Uint8Array.of(0xe9), utf8('"}')), 'BYTES_NOT_UTF8'],
    ['UTF-16', Uint8Array.from(Buffer.from('\ufeff{"resourceType":"Bundle"}', 'utf16le')), 'BYTES_NOT_UTF8'],
    ['XML', '<Bundle xmlns="http://hl7.org/fhir"/>', 'FHIR_XML_UNSUPPORTED'],
    ['an empty file', '', 'FILE_EMPTY'],
    ['a list', '[]', 'FHIR_NOT_A_BUNDLE'],
    ['a text', '"Bundle"', 'FHIR_NOT_A_BUNDLE'],
    ['an object that is no resource', '{}', 'FHIR_NOT_A_BUNDLE'],
    ['a resourceType that is no text', '{"resourceType":["Bundle"]}', 'FHIR_NOT_A_BUNDLE'],
    ['a single resource', JSON.stringify(ada), 'FHIR_NOT_A_BUNDLE'],
    ['a bundle without type', '{"resourceType":"Bundle"}', 'FHIR_BUNDLE_TYPE'],
    ['a search result', '{"resourceType":"Bundle","type":"searchset"}', 'FHIR_BUNDLE_TYPE'],
    ['entries that are no list', '{"resourceType":"Bundle","type":"collection","entry":{}}', 'FHIR_NOT_A_BUNDLE'],
    ['an element that bundles do not have', '{"resourceType":"Bundle","type":"collection","entries":[]}', 'FHIR_BUNDLE_INVALID'],
    ['a bad time stamp', '{"resourceType":"Bundle","type":"collection","timestamp":"today"}', 'FHIR_BUNDLE_INVALID'],
    ['50 MiB and a byte', ' '.repeat(52_428_801), 'FILE_TOO_LARGE'],
    ['more entries than anybody exports', `{"resourceType":"Bundle","type":"collection","entry":[${'{},'.repeat(100_000)}{}]}`, 'FHIR_BUNDLE_ENTRIES'],
  ])('%s: the whole file is refused', async (_, file, code) => {
    const start = performance.now();
    expect(await codeOfAsync(() => readBundle(typeof file === 'string' ? utf8(file) : file))).toBe(code);
    expect(performance.now() - start).toBeLessThan(1_000);
  });

  it.each<[string, unknown, string]>([
    ['no object', 7, 'FHIR_STRUCTURE'],
    ['nothing', {}, 'FHIR_ENTRY_WITHOUT_RESOURCE'],
    ['a deletion', { request: { method: 'DELETE', url: 'Patient/1' } }, 'FHIR_ENTRY_WITHOUT_RESOURCE'],
    ['a resource that is text', { resource: 'Patient' }, 'FHIR_ENTRY_WITHOUT_RESOURCE'],
    ['a resource without type', { resource: { id: '1' } }, 'FHIR_RESOURCE_TYPE'],
    ['a resource of a wrong type', { resource: { resourceType: 'Bloodtest' } }, 'FHIR_RESOURCE_TYPE'],
    ['a type that is no text', { resource: { resourceType: 7 } }, 'FHIR_RESOURCE_TYPE'],
    ['a Patient that nobody can name', { resource: { resourceType: 'Patient' } }, 'FHIR_PATIENT_WITHOUT_ID'],
    ['a fullUrl that is no text', { fullUrl: 7, resource: ada }, 'FHIR_VALUE'],
    ['an unknown method', { resource: ada, request: { method: 'STORE', url: 'Patient' } }, 'FHIR_CODE'],
    ['an element that entries do not have', { resource: ada, comment: 'x' }, 'FHIR_ELEMENT_UNKNOWN'],
  ])('%s: the entry is refused, the others are taken', async (_, entry, code) => {
    const reading = await read(JSON.stringify({ resourceType: 'Bundle', type: 'transaction', entry: [{ resource: bob }, entry, { resource: result('x', to('Patient/bob')) }] }));
    expect(verdicts(reading)).toEqual([`1 ${code}`]);
    expect(reading.entries.map((one) => one.index)).toEqual([0, 2]);
    expect(Object.hasOwn(errorTable, code)).toBe(true);
  });

  it('never says what stood in a refused file or resource', async () => {
    const canary = 'CANARY of a person';
    const refusals = await read(collection(ada, { ...bob, gender: canary, name: [{ family: [canary] }], [canary]: 1 }, result('a', to(canary)), result('b', to(`Patient/${canary}`)), { resourceType: canary }));
    expect(refusals.refused).toHaveLength(4);
    expect(JSON.stringify(refusals.refused)).not.toContain('CANARY');
    for (const file of [`${canary}`, `{"${canary}":1,"${canary}":2}`, `{"resourceType":"${canary}"}`, `{"resourceType":"Bundle","type":"${canary}"}`, `{"resourceType":"Bundle","type":"collection","${canary}":1}`]) {
      expect(JSON.stringify(await read(file).catch((error: unknown) => error))).not.toContain('CANARY');
    }
  });

  it('damaged bundles are refused with a code or read, and what is read was there', async () => {
    const [person] = syntheticPeople({ seed: 'fuzz', count: 1, hospitals: 1, visits: 1 });
    const whole = utf8(person?.bundles[0]?.text as string);
    await fc.assert(fc.asyncProperty(fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { minLength: 1, maxLength: 3 }), async (changes) => {
      const damaged = whole.slice();
      for (const [at, byte] of changes) damaged[at] = byte;
      expect(await unsound(damaged)).toEqual([]);
    }), { numRuns: 300 });
  });
});
