import { describe, expect, it } from 'vitest';
import { invariants } from './invariants.ts';

const status = (code: string): object => ({ coding: [{ code }] });
const panel = { coding: [{ system: 's', code: '1' }] };

/** Type, key, an object that breaks the constraint, one that keeps it. */
const rows: readonly (readonly [type: string, key: string, breaks: object, keeps: object])[] = [
  ['Extension', 'ext-1', { url: 'u' }, { url: 'u', valueBoolean: false }],
  ['Extension', 'ext-1', { url: 'u', valueString: 'x', extension: [] }, { url: 'u', extension: [] }],
  ['Period', 'per-1', { start: '2020-02-02', end: '2020-02-01' }, { start: '2020-02-01', end: '2020-02-01' }],
  ['Period', 'per-1', { start: '2021', end: '2020-12-31' }, { start: '2020', end: '2020-01-01' }],
  ['Period', 'per-1', { start: '2020-01-01T10:00:00+01:00', end: '2020-01-01T08:59:59Z' }, { start: '2020-01-01T10:00:00+01:00', end: '2020-01-01T09:00:00Z' }],
  ['Period', 'per-1', { start: '2020-01-03', end: '2020-01-02T23:00:00Z' }, { start: '2020-01-02T06:00:00Z', end: '2020-01-02' }],
  ['Quantity', 'qty-3', { code: 'kg' }, { code: 'kg', system: 'http://unitsofmeasure.org' }],
  ['Age', 'qty-3', { code: 'a' }, { value: 1 }],
  ['Count', 'qty-3', { code: '1' }, { value: 1 }],
  ['Distance', 'qty-3', { code: 'm' }, { value: 1 }],
  ['Duration', 'qty-3', { code: 'd' }, { value: 1 }],
  ['Attachment', 'att-1', { data: 'AAAA' }, { url: 'x' }],
  ['ContactPoint', 'cpt-2', { value: '1' }, { value: '1', system: 'phone' }],
  ['Expression', 'exp-1', { language: 'x' }, { expression: 'x' }],
  ['Range', 'rng-2', { low: { value: 2 }, high: { value: 1 } }, { low: { value: 2, unit: 'g' }, high: { value: 1, unit: 'kg' } }],
  ['Timing.repeat', 'tim-1', { duration: 1 }, { duration: 1, durationUnit: 'h' }],
  ['Timing.repeat', 'tim-2', { period: 1 }, { period: 1, periodUnit: 'h' }],
  ['Timing.repeat', 'tim-4', { duration: -1, durationUnit: 'h' }, { duration: 0, durationUnit: 'h' }],
  ['Timing.repeat', 'tim-5', { period: -1, periodUnit: 'h' }, { period: 0, periodUnit: 'h' }],
  ['Timing.repeat', 'tim-6', { periodMax: 2 }, { periodMax: 2, period: 1 }],
  ['Timing.repeat', 'tim-7', { durationMax: 2 }, { durationMax: 2, duration: 1 }],
  ['Timing.repeat', 'tim-8', { countMax: 2 }, { countMax: 2, count: 1 }],
  ['Timing.repeat', 'tim-10', { timeOfDay: [], when: [] }, { when: [] }],
  ['AllergyIntolerance', 'ait-1', {}, { clinicalStatus: status('active') }],
  ['AllergyIntolerance', 'ait-2', { clinicalStatus: status('active'), verificationStatus: status('entered-in-error') }, { verificationStatus: status('entered-in-error') }],
  ['Appointment', 'app-2', { start: 'x' }, { start: 'x', end: 'y' }],
  ['Appointment.participant', 'app-1', { status: 'accepted' }, { actor: {} }],
  ['AuditEvent.entity', 'sev-1', { name: 'x', query: 'y' }, { name: 'x' }],
  ['CarePlan.activity', 'cpl-3', { detail: {}, reference: {} }, { detail: {} }],
  ['Composition.section', 'cmp-1', { title: 'x' }, { section: [] }],
  ['Composition.section', 'cmp-2', { emptyReason: {}, entry: [] }, { emptyReason: {}, text: {} }],
  ['Condition', 'con-4', { abatementString: 'x', clinicalStatus: status('active') }, { abatementString: 'x', clinicalStatus: status('resolved') }],
  ['Condition', 'con-5', { clinicalStatus: status('active'), verificationStatus: status('entered-in-error') }, { clinicalStatus: status('active'), verificationStatus: status('confirmed') }],
  ['Condition.stage', 'con-1', { type: {} }, { summary: {} }],
  ['Condition.evidence', 'con-2', { id: 'x' }, { code: [] }],
  ['Consent', 'ppc-1', { status: 'active' }, { policyRule: {} }],
  ['FamilyMemberHistory', 'fhs-1', { ageString: 'x', bornString: 'y' }, { ageString: 'x' }],
  ['FamilyMemberHistory', 'fhs-2', { estimatedAge: true }, { estimatedAge: true, ageAge: {} }],
  ['Goal.target', 'gol-1', { detailString: 'x' }, { detailString: 'x', measure: {} }],
  ['Immunization.education', 'imm-1', { publicationDate: '2020' }, { reference: 'x' }],
  ['ImmunizationRecommendation.recommendation', 'imr-1', { series: 'x' }, { targetDisease: {} }],
  ['List', 'lst-1', { emptyReason: {}, entry: [] }, { entry: [] }],
  ['MedicationAdministration.dosage', 'mad-1', { text: 'x' }, { rateRatio: {} }],
  ['Observation', 'obs-6', { dataAbsentReason: {}, valueString: 'x' }, { dataAbsentReason: {} }],
  ['Observation', 'obs-7', { code: panel, valueString: 'x', component: [{ code: panel }] }, { code: panel, component: [{ code: panel }] }],
  ['Observation.referenceRange', 'obs-3', { type: {} }, { text: 'x' }],
  ['Organization', 'org-1', { active: true }, { identifier: [] }],
  ['Patient.contact', 'pat-1', { gender: 'male' }, { _name: {} }],
  ['Questionnaire.item', 'que-12', { enableWhen: [{}, {}, {}] }, { enableWhen: [{}, {}, {}], enableBehavior: 'all' }],
  ['Questionnaire.item', 'que-4', { answerOption: [], answerValueSet: 'x' }, { answerOption: [] }],
  ['Questionnaire.item', 'que-11', { answerOption: [], initial: [] }, { initial: [] }],
  ['QuestionnaireResponse.item', 'qrs-1', { answer: [], item: [] }, { answer: [] }],
  ['RiskAssessment.prediction', 'ras-2', { probabilityDecimal: 101 }, { probabilityDecimal: 100 }],
  ['ServiceRequest', 'prr-1', { orderDetail: [] }, { orderDetail: [], code: {} }],
];

describe('constraints', () => {
  it.each(rows)('%s %s', (type, key, breaks, keeps) => {
    const invariant = (invariants[type] ?? []).find((one) => one.key === key);
    expect([invariant?.holds(breaks as never), invariant?.holds(keeps as never)]).toEqual([false, true]);
  });

  it('each has a row here', () => {
    const tested = new Set(rows.map(([type, key]) => `${type} ${key}`));
    expect(Object.entries(invariants).flatMap(([type, list]) => list.map((one) => `${type} ${one.key}`)).filter((name) => !tested.has(name))).toEqual([]);
  });
});
