/**
 * One visit of a synthetic person: the FHIR R4 resources that a hospital would export for it. Plausible values that
 * drift from visit to visit; nobody real. Codes: LOINC, SNOMED CT, RxNorm, CVX.
 */
import type { Chance } from './chance.ts';

/** A decimal as it shall be written: 5.70 and 5.7 say different things about precision. */
export interface Written {
  readonly written: string;
}

export type Value = string | number | boolean | Written | readonly Value[] | { readonly [name: string]: Value | undefined };
export type Draft = { readonly resourceType: string; readonly id: string; readonly [name: string]: Value | undefined };

/** How resources of one bundle point at each other: `urn:uuid:…` in a transaction, `Type/id` in a collection. */
export type Pointer = (target: Draft) => Value;

export interface VisitPlan {
  readonly patient: Draft;
  readonly doctor: Draft;
  readonly hospital: Draft;
  /** First day of the visit, YYYY-MM-DD. */
  readonly day: string;
  /** 0 for the first visit: diagnoses are made there. */
  readonly ordinal: number;
  readonly health: Health;
  readonly pointer: Pointer;
  readonly canary: (kind: 'note' | 'text' | 'number') => string;
}

/** What the numbers of a person hover around. */
export interface Health {
  readonly hba1c: number;
  readonly ldl: number;
  readonly systolic: number;
  readonly kilograms: number;
  readonly conditions: readonly Condition[];
}

interface Code {
  readonly system: string;
  readonly code: string;
  readonly display: string;
}
export interface Condition extends Code {
  readonly medicine: Code;
}

const LOINC = 'http://loinc.org';
const SNOMED = 'http://snomed.info/sct';
const RXNORM = 'http://www.nlm.nih.gov/research/umls/rxnorm';
const UCUM = 'http://unitsofmeasure.org';
const TERMINOLOGY = 'http://terminology.hl7.org/CodeSystem';

export const CONDITIONS: readonly Condition[] = [
  { system: SNOMED, code: '44054006', display: 'Type 2 diabetes mellitus', medicine: { system: RXNORM, code: '860975', display: 'Metformin hydrochloride 500 MG' } },
  { system: SNOMED, code: '38341003', display: 'Hypertensive disorder', medicine: { system: RXNORM, code: '314076', display: 'Lisinopril 10 MG' } },
  { system: SNOMED, code: '55822004', display: 'Hyperlipidemia', medicine: { system: RXNORM, code: '617312', display: 'Atorvastatin 20 MG' } },
];

interface Lab {
  readonly code: string;
  readonly display: string;
  readonly unit: string;
  readonly digits: number;
  readonly centre: (health: Health) => number;
  readonly spread: number;
}

const LABS: readonly Lab[] = [
  { code: '4548-4', display: 'Hemoglobin A1c/Hemoglobin.total in Blood', unit: '%', digits: 2, centre: (health) => health.hba1c, spread: 0.4 },
  { code: '2339-0', display: 'Glucose [Mass/volume] in Blood', unit: 'mg/dL', digits: 1, centre: (health) => health.hba1c * 28.7 - 46.7, spread: 12 },
  { code: '2093-3', display: 'Cholesterol [Mass/volume] in Serum or Plasma', unit: 'mg/dL', digits: 1, centre: (health) => health.ldl + 70, spread: 14 },
  { code: '18262-6', display: 'Cholesterol in LDL [Mass/volume] in Serum or Plasma by Direct assay', unit: 'mg/dL', digits: 1, centre: (health) => health.ldl, spread: 12 },
  { code: '2085-9', display: 'Cholesterol in HDL [Mass/volume] in Serum or Plasma', unit: 'mg/dL', digits: 1, centre: () => 52, spread: 9 },
  { code: '2571-8', display: 'Triglyceride [Mass/volume] in Serum or Plasma', unit: 'mg/dL', digits: 1, centre: (health) => health.ldl * 1.1, spread: 30 },
  { code: '2160-0', display: 'Creatinine [Mass/volume] in Serum or Plasma', unit: 'mg/dL', digits: 2, centre: () => 0.9, spread: 0.15 },
];

/** The resources of one visit, the encounter first. */
export function visitResources(plan: VisitPlan, chance: Chance): readonly Draft[] {
  const encounter = encounterOf(plan, chance);
  const labs = LABS.map((lab) => labResult(lab, encounter, plan, chance));
  const vitals = [bloodPressure(encounter, plan, chance), weight(encounter, plan, chance), smoking(encounter, plan, chance)];
  const report = reportOf(labs, encounter, plan, chance);
  const diagnoses = plan.ordinal === 0 ? plan.health.conditions.map((condition) => diagnosis(condition, encounter, plan, chance)) : [];
  const medicines = plan.health.conditions.map((condition) => prescription(condition, encounter, plan, chance));
  return [encounter, ...diagnoses, ...vitals, ...labs, report, ...medicines, ...(plan.ordinal % 2 === 0 ? [immunization(encounter, plan, chance)] : [])];
}

/** A CodeableConcept of one code. */
export function concept(code: Code): Value {
  return { coding: [{ system: code.system, code: code.code, display: code.display }], text: code.display };
}

function encounterOf(plan: VisitPlan, chance: Chance): Draft {
  return {
    resourceType: 'Encounter', id: chance.uuid(), status: 'finished',
    class: { system: `${TERMINOLOGY}/v3-ActCode`, code: 'AMB' },
    type: [concept({ system: SNOMED, code: '185349003', display: 'Encounter for check up' })],
    subject: plan.pointer(plan.patient), participant: [{ individual: plan.pointer(plan.doctor) }],
    period: { start: `${plan.day}T09:00:00+01:00`, end: `${plan.day}T09:30:00+01:00` },
    reasonCode: [{ text: `Check-up. ${plan.canary('text')}` }], serviceProvider: plan.pointer(plan.hospital),
  };
}

function observation(plan: VisitPlan, encounter: Draft, parts: { readonly id: string; readonly category: string; readonly code: Code; readonly result: Readonly<Record<string, Value>> }): Draft {
  return {
    resourceType: 'Observation', id: parts.id, status: 'final',
    category: [concept({ system: `${TERMINOLOGY}/observation-category`, code: parts.category, display: parts.category })],
    code: concept(parts.code), subject: plan.pointer(plan.patient), encounter: plan.pointer(encounter),
    effectiveDateTime: `${plan.day}T09:10:00+01:00`, issued: `${plan.day}T11:45:30.125+01:00`, performer: [plan.pointer(plan.doctor)],
    ...parts.result,
  };
}

function labResult(lab: Lab, encounter: Draft, plan: VisitPlan, chance: Chance): Draft {
  const number = chance.around(lab.centre(plan.health), lab.spread, lab.digits);
  // The HbA1c carries a number no other result can have: a planted value to look for where no value may be.
  const written = lab.code === '4548-4' ? `${number}${plan.canary('number')}` : number;
  return observation(plan, encounter, { id: chance.uuid(), category: 'laboratory', code: { system: LOINC, code: lab.code, display: lab.display }, result: { valueQuantity: quantity(written, lab.unit) } });
}

function bloodPressure(encounter: Draft, plan: VisitPlan, chance: Chance): Draft {
  const part = (code: string, display: string, centre: number): Value => ({ code: concept({ system: LOINC, code, display }), valueQuantity: quantity(chance.around(centre, 6, 0), 'mm[Hg]') });
  const component = [part('8480-6', 'Systolic blood pressure', plan.health.systolic), part('8462-4', 'Diastolic blood pressure', plan.health.systolic * 0.64)];
  return observation(plan, encounter, { id: chance.uuid(), category: 'vital-signs', code: { system: LOINC, code: '85354-9', display: 'Blood pressure panel with all children optional' }, result: { component } });
}

function weight(encounter: Draft, plan: VisitPlan, chance: Chance): Draft {
  return observation(plan, encounter, { id: chance.uuid(), category: 'vital-signs', code: { system: LOINC, code: '29463-7', display: 'Body weight' }, result: { valueQuantity: quantity(chance.around(plan.health.kilograms, 1.5, 1), 'kg') } });
}

function smoking(encounter: Draft, plan: VisitPlan, chance: Chance): Draft {
  const answer = chance.pick([{ system: SNOMED, code: '266919005', display: 'Never smoked tobacco' }, { system: SNOMED, code: '8517006', display: 'Ex-smoker' }]);
  return observation(plan, encounter, { id: chance.uuid(), category: 'social-history', code: { system: LOINC, code: '72166-2', display: 'Tobacco smoking status' }, result: { valueCodeableConcept: concept(answer), note: [{ text: plan.canary('note') }] } });
}

function reportOf(results: readonly Draft[], encounter: Draft, plan: VisitPlan, chance: Chance): Draft {
  return {
    resourceType: 'DiagnosticReport', id: chance.uuid(), status: 'final',
    category: [concept({ system: `${TERMINOLOGY}/v2-0074`, code: 'LAB', display: 'Laboratory' })],
    code: concept({ system: LOINC, code: '24323-8', display: 'Comprehensive metabolic panel' }),
    subject: plan.pointer(plan.patient), encounter: plan.pointer(encounter), effectiveDateTime: `${plan.day}T09:10:00+01:00`,
    issued: `${plan.day}T12:00:00.000+01:00`, performer: [plan.pointer(plan.hospital)], result: results.map(plan.pointer), conclusion: `Seen. ${plan.canary('text')}`,
  };
}

function diagnosis(condition: Condition, encounter: Draft, plan: VisitPlan, chance: Chance): Draft {
  return {
    resourceType: 'Condition', id: chance.uuid(),
    clinicalStatus: concept({ system: `${TERMINOLOGY}/condition-clinical`, code: 'active', display: 'Active' }),
    verificationStatus: concept({ system: `${TERMINOLOGY}/condition-ver-status`, code: 'confirmed', display: 'Confirmed' }),
    code: concept(condition), subject: plan.pointer(plan.patient), encounter: plan.pointer(encounter), onsetDateTime: plan.day.slice(0, 7), recordedDate: plan.day,
  };
}

function prescription(condition: Condition, encounter: Draft, plan: VisitPlan, chance: Chance): Draft {
  return {
    resourceType: 'MedicationRequest', id: chance.uuid(), status: plan.ordinal === 0 ? 'completed' : 'active', intent: 'order',
    medicationCodeableConcept: concept(condition.medicine), subject: plan.pointer(plan.patient), encounter: plan.pointer(encounter),
    authoredOn: `${plan.day}T09:25:00+01:00`, requester: plan.pointer(plan.doctor),
    dosageInstruction: [{ sequence: 1, text: '1 tablet in the morning', timing: { repeat: { frequency: 1, period: { written: '1.0' }, periodUnit: 'd' } }, asNeededBoolean: false }],
  };
}

function immunization(encounter: Draft, plan: VisitPlan, chance: Chance): Draft {
  return {
    resourceType: 'Immunization', id: chance.uuid(), status: 'completed',
    vaccineCode: concept({ system: 'http://hl7.org/fhir/sid/cvx', code: '140', display: 'Influenza, seasonal, injectable, preservative free' }),
    patient: plan.pointer(plan.patient), encounter: plan.pointer(encounter), occurrenceDateTime: `${plan.day}T09:20:00+01:00`, primarySource: true,
  };
}

function quantity(written: string, unit: string): Value {
  return { value: { written }, unit, system: UCUM, code: unit };
}
