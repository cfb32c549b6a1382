import { describe, expect, it } from 'vitest';
import { recordFacts } from './facts.ts';
import type { Resource } from './resource.ts';

const loinc = (code: string): object => ({ coding: [{ system: 'http://loinc.org', code }] });
const category = (code: string): object => ({ category: [{ coding: [{ system: 'x', code }] }] });
const facts = (resourceType: string, rest: object = {}): ReturnType<typeof recordFacts> => recordFacts({ resourceType, ...rest } as Resource);

describe('facts of a record', () => {
  it.each<[string, object, readonly string[]]>([
    ['the code of an Observation', { code: loinc('4548-4') }, ['http://loinc.org|4548-4']],
    ['codes of components after the panel\'s', { code: loinc('85354-9'), component: [{ code: loinc('8480-6') }, { code: loinc('8462-4') }] }, ['http://loinc.org|85354-9', 'http://loinc.org|8480-6', 'http://loinc.org|8462-4']],
    ['every coding of a concept, once', { code: { coding: [{ system: 'a', code: '1' }, { system: 'b', code: '2' }, { system: 'a', code: '1' }] } }, ['a|1', 'b|2']],
    ['a code without system', { code: { coding: [{ code: '1' }] } }, ['|1']],
    ['a Coding and a list of concepts', { class: { system: 'a', code: 'AMB' }, type: [{ coding: [{ system: 'b', code: '2' }] }] }, ['b|2', 'a|AMB']],
    ['a vaccine and a medicine', { vaccineCode: { coding: [{ system: 'cvx', code: '140' }] }, medicationCodeableConcept: { coding: [{ system: 'rx', code: '1' }] } }, ['cvx|140', 'rx|1']],
    ['no code where there is text only', { code: { text: 'x' } }, []],
    ['no code longer than a template may ask for', { code: { coding: [{ system: 's'.repeat(200), code: '1' }] } }, []],
    ['nothing of an unexpected kind', { code: 7, component: 'x', category: [null, [1]] }, []],
  ])('codes: %s', (_, rest, codes) => {
    expect(facts('Observation', rest).codes).toEqual(codes);
  });

  it('keeps at most 40 codes', () => {
    expect(facts('Observation', { code: { coding: Array.from({ length: 60 }, (_, at) => ({ system: 's', code: `${at}` })) } }).codes).toHaveLength(40);
  });

  it.each<[string, object, string | undefined]>([
    ['a date and time in its own zone', { effectiveDateTime: '2024-03-01T23:30:00-05:00' }, '2024-03-01'],
    ['a month from its first day', { effectiveDateTime: '2024-03' }, '2024-03-01'],
    ['a year from its first day', { effectiveDateTime: '2024' }, '2024-01-01'],
    ['the start of a period', { effectivePeriod: { start: '2024-03-05', end: '2024-03-06' } }, '2024-03-05'],
    ['the end of a period that has no start', { period: { end: '2024-03-06' } }, '2024-03-06'],
    ['what happened before what was written', { issued: '2024-04-01T00:00:00Z', effectiveDateTime: '2024-03-01' }, '2024-03-01'],
    ['what was written when nothing else is known', { issued: '2024-04-01T00:00:00Z' }, '2024-04-01'],
    ['nothing', { effectiveDateTime: 'yesterday' }, undefined],
  ])('date: %s', (_, rest, date) => {
    expect(facts('Observation', rest).date).toBe(date);
  });

  it.each<[string, object, string]>([
    ['Observation', {}, 'clinical'],
    ['Patient', {}, 'clinical'],
    ['ImagingStudy', {}, 'imaging'],
    ['DiagnosticReport', category('RAD'), 'imaging'],
    ['DiagnosticReport', category('GE'), 'genomic'],
    ['DiagnosticReport', category('LAB'), 'clinical'],
    ['MolecularSequence', {}, 'genomic'],
    ['Device', {}, 'device'],
    ['QuestionnaireResponse', {}, 'self-reported'],
    ['Observation', { subject: { reference: 'Patient/1' }, performer: [{ reference: 'Patient/1' }] }, 'self-reported'],
    ['Observation', { subject: { reference: 'Patient/1' }, performer: [{ reference: 'Patient/1' }, { reference: 'Practitioner/1' }] }, 'clinical'],
    ['Condition', category('imaging'), 'clinical'],
  ])('class: %s %j is %s', (type, rest, expected) => {
    expect(facts(type, rest).class).toBe(expected);
  });

  it('names the patient as written', () => {
    expect(facts('Immunization', { patient: { reference: 'Patient/1' } }).patientRef).toBe('Patient/1');
    expect(facts('Coverage', { beneficiary: { reference: 'urn:uuid:x' }, payor: [{ reference: 'Organization/1' }] }).patientRef).toBe('urn:uuid:x');
    expect(facts('Organization', {})).toEqual({ resourceType: 'Organization', codes: [], class: 'clinical' });
  });
});
