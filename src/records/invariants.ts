/**
 * Constraints of FHIR R4 that no table of elements can say, for the types that health records are made of. Each row is
 * the standard's own constraint under its key, with severity error; the rule is its FHIRPath expression in TypeScript.
 * Where the standard's expression is empty, and so undecided, the rule holds: a false alarm is worse than a miss.
 */
import { child, elements, textAt, type Element } from './resource.ts';

export interface Invariant {
  readonly key: string;
  readonly human: string;
  readonly holds: (object: Element) => boolean;
}

type Row = (key: string, ...names: readonly string[]) => Invariant;

/** True when the element is there; `value[x]` stands for any of its choices, and a primitive may be there by its extension only. */
function has(object: Element, name: string): boolean {
  if (!name.endsWith('[x]')) return Object.hasOwn(object, name) || Object.hasOwn(object, `_${name}`);
  const start = name.slice(0, -3);
  return Object.keys(object).some((property) => property.startsWith(start) || property.startsWith(`_${start}`));
}

/** The first element must not be without the second. */
const needs: Row = (key, name = '', needed = '') => ({ key, human: `${name} must not be present without ${needed}`, holds: (it) => !has(it, name) || has(it, needed) });
/** The two elements must not be there together. */
const excludes: Row = (key, name = '', other = '') => ({ key, human: `${name} and ${other} must not be present together`, holds: (it) => !has(it, name) || !has(it, other) });
/** At least one of the elements must be there. */
const oneOf: Row = (key, ...names) => ({ key, human: `at least one of ${names.join(', ')} must be present`, holds: (it) => names.some((name) => has(it, name)) });
/** Both elements or none. */
const together: Row = (key, name = '', other = '') => ({ key, human: `${name} and ${other} must be present together`, holds: (it) => has(it, name) === has(it, other) });
const rule = (key: string, human: string, holds: (it: Element) => boolean): Invariant => ({ key, human, holds });

const unit = [needs('qty-3', 'code', 'system')];

export const invariants: Readonly<Record<string, readonly Invariant[]>> = {
  Extension: [rule('ext-1', 'an extension has either extensions or a value, not both', (it) => has(it, 'extension') !== has(it, 'value[x]'))],
  Period: [rule('per-1', 'start must not be later than end', (it) => !isLater(textAt(it, 'start'), textAt(it, 'end')))],
  Quantity: unit,
  Age: unit,
  Count: unit,
  Distance: unit,
  Duration: unit,
  Attachment: [needs('att-1', 'data', 'contentType')],
  ContactPoint: [needs('cpt-2', 'value', 'system')],
  Expression: [oneOf('exp-1', 'expression', 'reference')],
  Range: [rule('rng-2', 'low must not be above high', (it) => !isAbove(child(it, 'low'), child(it, 'high')))],
  'Timing.repeat': [
    needs('tim-1', 'duration', 'durationUnit'),
    needs('tim-2', 'period', 'periodUnit'),
    rule('tim-4', 'duration must not be negative', (it) => !isNegative(it, 'duration')),
    rule('tim-5', 'period must not be negative', (it) => !isNegative(it, 'period')),
    needs('tim-6', 'periodMax', 'period'),
    needs('tim-7', 'durationMax', 'duration'),
    needs('tim-8', 'countMax', 'count'),
    excludes('tim-10', 'timeOfDay', 'when'),
  ],
  AllergyIntolerance: [
    rule('ait-1', 'clinicalStatus must be present if verificationStatus is not entered-in-error', (it) => hasCode(it, 'verificationStatus', ['entered-in-error']) || has(it, 'clinicalStatus')),
    rule('ait-2', 'clinicalStatus must not be present if verificationStatus is entered-in-error', (it) => !hasCode(it, 'verificationStatus', ['entered-in-error']) || !has(it, 'clinicalStatus')),
  ],
  Appointment: [together('app-2', 'start', 'end')],
  'Appointment.participant': [oneOf('app-1', 'type', 'actor')],
  'AuditEvent.entity': [excludes('sev-1', 'name', 'query')],
  'CarePlan.activity': [excludes('cpl-3', 'detail', 'reference')],
  'Composition.section': [oneOf('cmp-1', 'text', 'entry', 'section'), excludes('cmp-2', 'emptyReason', 'entry')],
  Condition: [
    rule('con-4', 'if the condition is abated, clinicalStatus must be inactive, resolved or remission', (it) => !has(it, 'abatement[x]') || hasCode(it, 'clinicalStatus', ['resolved', 'remission', 'inactive'])),
    rule('con-5', 'clinicalStatus must not be present if verificationStatus is entered-in-error', (it) => !has(it, 'clinicalStatus') || !hasCode(it, 'verificationStatus', ['entered-in-error'])),
  ],
  'Condition.stage': [oneOf('con-1', 'summary', 'assessment')],
  'Condition.evidence': [oneOf('con-2', 'code', 'detail')],
  Consent: [oneOf('ppc-1', 'policy', 'policyRule')],
  FamilyMemberHistory: [excludes('fhs-1', 'age[x]', 'born[x]'), needs('fhs-2', 'estimatedAge', 'age[x]')],
  'Goal.target': [needs('gol-1', 'detail[x]', 'measure')],
  'Immunization.education': [oneOf('imm-1', 'documentType', 'reference')],
  'ImmunizationRecommendation.recommendation': [oneOf('imr-1', 'vaccineCode', 'targetDisease')],
  List: [excludes('lst-1', 'emptyReason', 'entry')],
  'MedicationAdministration.dosage': [oneOf('mad-1', 'dose', 'rate[x]')],
  Observation: [
    excludes('obs-6', 'dataAbsentReason', 'value[x]'),
    rule('obs-7', 'if Observation.code is the same as a component code, the value must be with the component', (it) => !has(it, 'value[x]') || !sharesCodeWithComponent(it)),
  ],
  'Observation.referenceRange': [oneOf('obs-3', 'low', 'high', 'text')],
  Organization: [oneOf('org-1', 'name', 'identifier')],
  'Patient.contact': [oneOf('pat-1', 'name', 'telecom', 'address', 'organization')],
  'Questionnaire.item': [rule('que-12', 'if there are more than one enableWhen, enableBehavior must be specified', (it) => elements(child(it, 'enableWhen')).length <= 2 || has(it, 'enableBehavior')), excludes('que-4', 'answerOption', 'answerValueSet'), excludes('que-11', 'answerOption', 'initial')],
  'QuestionnaireResponse.item': [excludes('qrs-1', 'answer', 'item')],
  'RiskAssessment.prediction': [rule('ras-2', 'a probability must not be above 100', (it) => Number(child(it, 'probabilityDecimal') ?? 0) <= 100)],
  ServiceRequest: [needs('prr-1', 'orderDetail', 'code')],
};

/** Compares as far as both are precise: 2020 and 2020-05 are not later than each other. */
function isLater(start: string | undefined, end: string | undefined): boolean {
  if (start === undefined || end === undefined) return false;
  if (start.includes('T') && end.includes('T')) return Date.parse(start) > Date.parse(end);
  const precision = Math.min(start.length, end.length, 10);
  return start.slice(0, precision) > end.slice(0, precision);
}

/** Quantities are compared only when both say the same unit. */
function isAbove(low: unknown, high: unknown): boolean {
  const [least, most] = [child(low, 'value'), child(high, 'value')];
  const sameUnit = textAt(low, 'unit') === textAt(high, 'unit') && textAt(low, 'code') === textAt(high, 'code');
  return sameUnit && typeof least === 'number' && typeof most === 'number' && least > most;
}

function isNegative(object: Element, name: string): boolean {
  const value = child(object, name);
  return typeof value === 'number' && value < 0;
}

function hasCode(object: Element, name: string, codes: readonly string[]): boolean {
  return elements(child(child(object, name), 'coding')).some((coding) => codes.includes(textAt(coding, 'code') ?? ''));
}

function sharesCodeWithComponent(observation: Element): boolean {
  const keys = (concept: unknown): readonly string[] => elements(child(concept, 'coding')).map((coding) => `${textAt(coding, 'system')}|${textAt(coding, 'code')}`);
  const own = new Set(keys(child(observation, 'code')));
  return elements(child(observation, 'component')).some((component) => keys(child(component, 'code')).some((key) => own.has(key)));
}
