/** What the owner's list and the templates need to know of a record: type, codes, date, class. */
import type { RecordClass } from '#model/hdc.ts';
import { child, element, elements, textAt, type Element, type Resource } from './resource.ts';

export interface RecordFacts {
  readonly resourceType: string;
  /** `system|code` of what the record is about, in the order they stand; at most 40, each at most 200 characters. */
  readonly codes: readonly string[];
  /** Clinically relevant date, YYYY-MM-DD; a partial date counts from its first day. */
  readonly date?: string;
  /** The reference to the patient as it is written. */
  readonly patientRef?: string;
  readonly class: RecordClass;
}

/** Elements that say what a resource is about, over all resource types; each CodeableConcept, Coding or code list. */
const CODE_ELEMENTS = ['code', 'vaccineCode', 'medicationCodeableConcept', 'productCodeableConcept', 'type', 'class', 'category', 'serviceType', 'modality', 'description'] as const;
const CODES_MAX = 40;
const CODE_CHARS_MAX = 200;

/** The first of these that a resource has is its date; what happened comes before what was written down. */
const DATE_ELEMENTS = [
  'effectiveDateTime', 'effectiveInstant', 'effectivePeriod', 'occurrenceDateTime', 'occurrencePeriod', 'performedDateTime', 'performedPeriod',
  'onsetDateTime', 'onsetPeriod', 'started', 'collectedDateTime', 'period', 'billablePeriod', 'servicedDate', 'startDate', 'whenHandedOver', 'start',
  'authoredOn', 'dateAsserted', 'assertedDate', 'recordedDate', 'dateWritten', 'statusDate', 'date', 'dateTime', 'created', 'createdDateTime', 'issued', 'recorded', 'sent', 'authored',
] as const;

/** Elements that name the patient directly, the most telling first (the patient compartment's own names). */
export const PATIENT_ELEMENTS = ['subject', 'patient', 'beneficiary', 'for', 'individual'] as const;

/** Facts of one resource. Reads only; anything of an unexpected kind is left out. */
export function recordFacts(resource: Resource): RecordFacts {
  const date = dateOf(resource);
  const patientRef = patientReference(resource);
  return {
    resourceType: resource.resourceType,
    codes: codesOf(resource),
    ...(date === undefined ? {} : { date }),
    ...(patientRef === undefined ? {} : { patientRef }),
    class: classOf(resource),
  };
}

function patientReference(resource: Resource): string | undefined {
  for (const name of PATIENT_ELEMENTS) {
    const text = textAt(elements(child(resource, name))[0], 'reference');
    if (text !== undefined) return text;
  }
  return undefined;
}

function codesOf(resource: Resource): readonly string[] {
  const codes = new Set<string>();
  for (const name of CODE_ELEMENTS) addCodes(codes, child(resource, name));
  for (const component of elements(child(resource, 'component'))) addCodes(codes, child(component, 'code'));
  return [...codes].slice(0, CODES_MAX);
}

function addCodes(codes: Set<string>, value: unknown): void {
  for (const concept of elements(value)) {
    const codings = Object.hasOwn(concept, 'coding') ? elements(concept['coding']) : [concept];
    for (const coding of codings) {
      const code = textAt(coding, 'code');
      if (code === undefined) continue;
      const text = `${textAt(coding, 'system') ?? ''}|${code}`;
      if (text.length <= CODE_CHARS_MAX) codes.add(text);
    }
  }
}

function dateOf(resource: Resource): string | undefined {
  for (const name of DATE_ELEMENTS) {
    const value = child(resource, name);
    const day = firstDay(typeof value === 'string' ? value : periodText(element(value)));
    if (day !== undefined) return day;
  }
  return undefined;
}

function periodText(period: Element | undefined): string | undefined {
  return textAt(period, 'start') ?? textAt(period, 'end');
}

/** First day of a FHIR date, dateTime or instant, in the time zone it was written in. */
function firstDay(text: string | undefined): string | undefined {
  const match = text === undefined ? null : /^(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?(?:T|$)/.exec(text);
  return match === null ? undefined : `${match[1]}-${match[2] ?? '01'}-${match[3] ?? '01'}`;
}

const CLASS_BY_TYPE: Readonly<Record<string, RecordClass>> = {
  ImagingStudy: 'imaging', Media: 'imaging', BodyStructure: 'imaging',
  MolecularSequence: 'genomic',
  Device: 'device', DeviceMetric: 'device', DeviceUseStatement: 'device', DeviceRequest: 'device',
  QuestionnaireResponse: 'self-reported',
};
/** Category codes of http://terminology.hl7.org/CodeSystem/observation-category and v2-0074 (diagnostic service sections). */
const CLASS_BY_CATEGORY: Readonly<Record<string, RecordClass>> = { imaging: 'imaging', RAD: 'imaging', RX: 'imaging', RUS: 'imaging', CUS: 'imaging', CT: 'imaging', NMR: 'imaging', NMS: 'imaging', GE: 'genomic' };

function classOf(resource: Resource): RecordClass {
  const byType = CLASS_BY_TYPE[resource.resourceType];
  if (byType !== undefined) return byType;
  if (resource.resourceType !== 'Observation' && resource.resourceType !== 'DiagnosticReport') return 'clinical';
  for (const concept of elements(child(resource, 'category'))) {
    for (const coding of elements(concept['coding'])) {
      const byCategory = CLASS_BY_CATEGORY[textAt(coding, 'code') ?? ''];
      if (byCategory !== undefined) return byCategory;
    }
  }
  return isSelfReported(resource) ? 'self-reported' : 'clinical';
}

/** An observation that the patient alone performed. */
function isSelfReported(resource: Resource): boolean {
  const performers = elements(child(resource, 'performer')).map((performer) => textAt(performer, 'reference'));
  const subject = textAt(child(resource, 'subject'), 'reference');
  return performers.length > 0 && subject !== undefined && performers.every((performer) => performer === subject);
}
