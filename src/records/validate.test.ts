import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { syntheticPeople } from '#sim/people.ts';
import type { Resource } from './resource.ts';
import { inspectResource } from './validate.ts';

const code = { coding: [{ system: 'http://loinc.org', code: '4548-4' }] };
const observation = { resourceType: 'Observation', status: 'final', code };
const patient = { resourceType: 'Patient' };
const narrative = (div: string): unknown => ({ ...patient, text: { status: 'generated', div } });
const extension = (value: object): unknown => ({ ...patient, extension: [{ url: 'http://example.org/x', ...value }] });

/** `CODE path` of every problem. */
function problemsOf(resource: unknown): readonly string[] {
  return inspectResource(resource as Resource).problems.map((problem) => `${problem.code} ${problem.path}`);
}

describe('good resources', () => {
  it.each<[string, unknown]>([
    ['the least Observation', observation],
    ['the least Patient', patient],
    ['a partial birth date', { ...patient, birthDate: '1980-02' }],
    ['a required element that is only extended', { ...observation, status: undefined, _status: { extension: [{ url: 'http://hl7.org/fhir/StructureDefinition/data-absent-reason', valueCode: 'unknown' }] } }],
    ['a list with a place left for an extension', { ...patient, name: [{ given: ['Ada', null], _given: [null, { extension: [{ url: 'http://example.org/x', valueBoolean: true }] }] }] }],
    ['one of the choices', { ...observation, valueQuantity: { value: 5.4, unit: '%' } }],
    ['a contained resource that is referred to', { ...observation, contained: [{ resourceType: 'Patient', id: 'p' }], subject: { reference: '#p' } }],
    ['a complex extension', extension({ extension: [{ url: 'a', valueString: 'x' }] })],
    ['nested groups of one inner type', { resourceType: 'Questionnaire', status: 'draft', item: [{ linkId: '1', type: 'group', item: [{ linkId: '2', type: 'string' }] }] }],
    ['a narrative', narrative('<div xmlns="http://www.w3.org/1999/xhtml"><p class="x">a &lt; b &amp; c<br/><a href="http://example.org">link</a></p></div>')],
    ['a leap day', { ...patient, birthDate: '2024-02-29' }],
    ['a leap second', { ...observation, effectiveInstant: '2016-12-31T23:59:60.500Z' }],
    ['a bundle inside a bundle', { resourceType: 'Bundle', type: 'collection', entry: [{ resource: observation }] }],
  ])('%s', (_, resource) => {
    expect(problemsOf(JSON.parse(JSON.stringify(resource)))).toEqual([]);
  });

  it('every resource of the synthetic people', () => {
    for (const person of syntheticPeople({ seed: 'validate', count: 6, hospitals: 2 })) {
      for (const bundle of person.bundles) expect(problemsOf(JSON.parse(bundle.text))).toEqual([]);
    }
  });
});

describe('bad resources', () => {
  it.each<[string, unknown, string]>([
    ['an unknown resource type', { resourceType: 'Bloodtest' }, 'FHIR_RESOURCE_TYPE '],
    ['an abstract type', { resourceType: 'DomainResource' }, 'FHIR_RESOURCE_TYPE '],
    ['a data type as resource', { resourceType: 'Quantity', value: 1 }, 'FHIR_RESOURCE_TYPE '],
    ['a misspelt element', { ...patient, birthdate: '1980' }, 'FHIR_ELEMENT_UNKNOWN Patient.birthdate'],
    ['an element of another type', { ...observation, birthDate: '1980' }, 'FHIR_ELEMENT_UNKNOWN Observation.birthDate'],
    ['an unknown inner element', { ...patient, name: [{ surname: 'x' }] }, 'FHIR_ELEMENT_UNKNOWN Patient.name[0].surname'],
    ['a name that only JavaScript knows', JSON.parse('{"resourceType":"Patient","__proto__":{"gender":"male"}}'), 'FHIR_ELEMENT_UNKNOWN Patient.(unnamed)'],
    ['resourceType in a data type', { ...patient, name: [{ resourceType: 'HumanName', family: 'x' }] }, 'FHIR_ELEMENT_UNKNOWN Patient.name[0].resourceType'],
    ['a choice without its type', { ...observation, value: 5 }, 'FHIR_ELEMENT_UNKNOWN Observation.value'],
    ['a choice of a type that is not offered', { ...observation, valueDecimal: 5.4 }, 'FHIR_ELEMENT_UNKNOWN Observation.valueDecimal'],
    ['two of the choices', { ...observation, valueString: 'x', valueQuantity: { value: 1 } }, 'FHIR_CHOICE Observation.value[x]'],
    ['a missing required element', { resourceType: 'Observation', code }, 'FHIR_ELEMENT_MISSING Observation.status'],
    ['a missing required inner element', { ...observation, component: [{ valueString: 'x' }] }, 'FHIR_ELEMENT_MISSING Observation.component[0].code'],
    ['a list where one value belongs', { ...observation, status: ['final'] }, 'FHIR_CARDINALITY Observation.status'],
    ['one value where a list belongs', { ...patient, name: { family: 'x' } }, 'FHIR_CARDINALITY Patient.name'],
    ['an empty list', { ...patient, name: [] }, 'FHIR_STRUCTURE Patient.name'],
    ['an empty object', { ...patient, name: [{}] }, 'FHIR_STRUCTURE Patient.name[0]'],
    ['an object with an id only', { ...patient, name: [{ id: 'a' }] }, 'FHIR_STRUCTURE Patient.name[0]'],
    ['null', { ...patient, gender: null }, 'FHIR_VALUE Patient.gender'],
    ['null in a list of objects', { ...patient, name: [null] }, 'FHIR_VALUE Patient.name[0]'],
    ['null in a list with nothing in its place', { ...patient, name: [{ given: ['a', null] }] }, 'FHIR_VALUE Patient.name[0].given[1]'],
    ['text where an object belongs', { ...observation, code: '4548-4' }, 'FHIR_VALUE Observation.code'],
    ['text as boolean', { ...patient, active: 'true' }, 'FHIR_VALUE Patient.active'],
    ['a number as text', { ...patient, name: [{ family: 7 }] }, 'FHIR_VALUE Patient.name[0].family'],
    ['text as a number', { ...observation, valueQuantity: { value: '5.4' } }, 'FHIR_VALUE Observation.valueQuantity.value'],
    ['a number beyond every decimal', { ...observation, valueQuantity: { value: Number.POSITIVE_INFINITY } }, 'FHIR_VALUE Observation.valueQuantity.value'],
    ['a fraction as integer', { ...observation, valueInteger: 1.5 }, 'FHIR_VALUE Observation.valueInteger'],
    ['an integer of more than 32 bits', { ...observation, valueInteger: 2_147_483_648 }, 'FHIR_VALUE Observation.valueInteger'],
    ['zero as positive number', { resourceType: 'Patient', telecom: [{ rank: 0 }] }, 'FHIR_VALUE Patient.telecom[0].rank'],
    ['an empty text', { ...patient, name: [{ family: '' }] }, 'FHIR_VALUE Patient.name[0].family'],
    ['a control character', { ...patient, name: [{ family: 'a\u0000b' }] }, 'FHIR_VALUE Patient.name[0].family'],
    ['a German date', { ...patient, birthDate: '24.12.1980' }, 'FHIR_VALUE Patient.birthDate'],
    ['a day that does not exist', { ...patient, birthDate: '2023-02-29' }, 'FHIR_VALUE Patient.birthDate'],
    ['a time of day in a date', { ...patient, birthDate: '1980-01-01T00:00:00Z' }, 'FHIR_VALUE Patient.birthDate'],
    ['a time without zone', { ...observation, effectiveDateTime: '2020-01-01T10:00:00' }, 'FHIR_VALUE Observation.effectiveDateTime'],
    ['an instant without seconds', { ...observation, issued: '2020-01-01T10:00Z' }, 'FHIR_VALUE Observation.issued'],
    ['an id with a blank', { ...patient, id: 'a b' }, 'FHIR_VALUE Patient.id'],
    ['an id of 65 characters', { ...patient, id: 'a'.repeat(65) }, 'FHIR_VALUE Patient.id'],
    ['a URI with a blank', { ...patient, identifier: [{ system: 'http://a b' }] }, 'FHIR_VALUE Patient.identifier[0].system'],
    ['broken base64', { ...patient, photo: [{ contentType: 'image/png', data: 'abc' }] }, 'FHIR_VALUE Patient.photo[0].data'],
    ['an unknown gender', { ...patient, gender: 'm' }, 'FHIR_CODE Patient.gender'],
    ['an unknown status', { ...observation, status: 'done' }, 'FHIR_CODE Observation.status'],
    ['a required concept from elsewhere', { resourceType: 'Condition', subject: { display: 'x' }, clinicalStatus: { coding: [{ system: 'http://example.org', code: 'active' }] } }, 'FHIR_CODE Condition.clinicalStatus'],
    ['a code of a list', { resourceType: 'AllergyIntolerance', patient: { display: 'x' }, clinicalStatus: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical', code: 'active' }] }, category: ['pollen'] }, 'FHIR_CODE AllergyIntolerance.category[0]'],
    ['a reference to the wrong kind', { ...observation, subject: { reference: 'Practitioner/1' } }, 'FHIR_REFERENCE_TYPE Observation.subject'],
    ['a resource contained in a contained one', { ...observation, contained: [{ resourceType: 'Patient', contained: [patient] }] }, 'FHIR_INVARIANT Observation.contained[0]'],
    ['an error inside a contained resource', { ...observation, contained: [{ resourceType: 'Patient', gender: 'm' }] }, 'FHIR_CODE Observation.contained[0].gender'],
    ['an extension with value and extensions', extension({ valueString: 'x', extension: [{ url: 'a', valueString: 'x' }] }), 'FHIR_INVARIANT Patient.extension[0]'],
    ['an extension without url', { ...patient, extension: [{ valueString: 'x' }] }, 'FHIR_ELEMENT_MISSING Patient.extension[0].url'],
    ['a period that ends before it starts', { resourceType: 'Encounter', status: 'finished', class: { code: 'AMB' }, period: { start: '2020-02-02', end: '2020-02-01' } }, 'FHIR_INVARIANT Encounter.period'],
    ['a unit code without system', { ...observation, valueQuantity: { value: 1, code: 'kg' } }, 'FHIR_INVARIANT Observation.valueQuantity'],
    ['a script in the narrative', narrative('<div xmlns="http://www.w3.org/1999/xhtml"><script>alert(1)</script></div>'), 'FHIR_VALUE Patient.text.div'],
    ['an error inside an inner bundle', { resourceType: 'Bundle', type: 'collection', entry: [{ resource: { ...observation, status: 'done' } }] }, 'FHIR_CODE Bundle.entry[0].resource.status'],
  ])('%s', (_, resource, problem) => {
    expect(problemsOf(resource)).toContain(problem);
  });

  it('stops counting after a while, so that a wholly wrong resource costs little', () => {
    expect(problemsOf({ ...patient, ...Object.fromEntries(Array.from({ length: 10_000 }, (_, at) => [`x${at}`, 1])) }).length).toBeLessThanOrEqual(20);
  });

  it('says names of elements, never their content', () => {
    const canary = 'CANARY value of a person';
    const bad = { ...patient, [canary]: canary, gender: canary, birthDate: canary, active: canary, name: canary, contact: [{ name: canary }], text: { status: canary, div: canary }, meta: { versionId: canary } };
    const { problems } = inspectResource(bad as Resource);
    expect(problems.length).toBeGreaterThan(7);
    expect(JSON.stringify(problems)).not.toContain('CANARY');
  });
});

describe('damaged resources', () => {
  const resources = syntheticPeople({ seed: 'damage', count: 2, hospitals: 1 }).flatMap((person) => person.bundles.flatMap((bundle) => (JSON.parse(bundle.text) as { entry: { resource: Resource }[] }).entry.map((entry) => entry.resource)));

  it('are refused wherever an element is renamed, emptied, wrapped or of another type', () => {
    const damage = fc.constantFrom<(parent: Record<string, unknown>, name: string) => void>(
      (parent, name) => {
        parent[`${name}Zz`] = parent[name];
        delete parent[name];
      },
      (parent, name) => void (parent[name] = {}),
      (parent, name) => void (parent[name] = []),
      (parent, name) => void (parent[name] = null),
      (parent, name) => void (parent[name] = [[parent[name]]]),
      (parent, name) => void (parent[name] = typeof parent[name] === 'object' ? 'text' : { text: parent[name] }),
    );
    fc.assert(fc.property(fc.constantFrom(...resources), fc.nat(), damage, (resource, place, hurt) => {
      const copy = structuredClone(resource) as Record<string, unknown>;
      const spots = spotsOf(copy);
      const [parent, name] = spots[place % spots.length] as (typeof spots)[number];
      hurt(parent, name);
      expect(problemsOf(copy)).not.toEqual([]);
    }), { numRuns: 2_000 });
  });
});

/** Every member of every object in a value, but resourceType of the root. */
function spotsOf(value: unknown): readonly (readonly [Record<string, unknown>, string])[] {
  if (typeof value !== 'object' || value === null) return [];
  if (Array.isArray(value)) return value.flatMap(spotsOf);
  const object = value as Record<string, unknown>;
  return Object.keys(object).flatMap((name) => [[object, name] as const, ...spotsOf(object[name])]);
}
