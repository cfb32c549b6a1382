/**
 * Synthetic people: the same seed gives the same people, byte for byte, and person n does not depend on how many there
 * are. Each carries canaries, texts and numbers that occur nowhere else, planted in names, addresses, identifiers, notes
 * and values; where no health data may be, a scan for them must find nothing.
 */
import { createChance, type Chance } from './chance.ts';
import { seededRandom } from './seams.ts';
import { concept, CONDITIONS, visitResources, type Draft, type Health, type Pointer, type Value, type Written } from './visit.ts';

export interface PeopleOptions {
  readonly seed: string | number;
  readonly count: number;
  /** Number of hospitals. Every fourth person was at one of them only, the others at all. */
  readonly hospitals: number;
  /** Visits per person and hospital; a visit makes about 14 resources. Default 3. */
  readonly visits?: number;
}

export interface SyntheticBundle {
  /** Index of the hospital, from 0. */
  readonly hospital: number;
  /** Id of the Patient at that hospital; another one at each. */
  readonly patient: string;
  /** File name without any personal content. */
  readonly file: string;
  readonly type: 'transaction' | 'collection';
  /** FHIR R4 Bundle as JSON text. */
  readonly text: string;
  readonly resources: number;
}

export interface SyntheticPerson {
  /** Safe to print: `person-1`. */
  readonly label: string;
  /** Personal content: contains a canary. */
  readonly name: string;
  readonly bundles: readonly SyntheticBundle[];
  readonly canaries: readonly string[];
}

const GIVEN = ['Ana', 'Björn', 'Chidi', 'Dilnoza', 'Eun-ji', 'Fatima', 'Gáspár', 'Hēmi', 'Ines', 'João', 'Kwame', 'Lúcia', '美咲', 'Nasrin', 'Oluwaseun', 'Priya', 'Quynh', 'Ruta', 'Søren', 'Tevita', '雨涵', 'Zofia'] as const;
const FAMILY = ['Abebe', 'Bergström', 'Castillo', 'Dlamini', 'Erdoğan', 'Fischer', 'García', 'Huang', 'Ivanova', 'Jung', 'Kováč', "O'Neill", '佐藤', 'Tamm', 'Vu', 'Zhang'] as const;
const STREETS = ['Harbour Street', 'Lindenallee', 'Rua das Flores', 'Mill Lane', 'Bakery Road'] as const;

/** People with their bundles, hospital by hospital. */
export function syntheticPeople(options: PeopleOptions): readonly SyntheticPerson[] {
  return Array.from({ length: options.count }, (_, index) => syntheticPerson(options, index));
}

/** The texts and numbers planted in this person's records. */
export function canariesOf(person: SyntheticPerson): readonly string[] {
  return person.canaries;
}

/** One person of the series, made without the others. */
export function syntheticPerson(options: PeopleOptions, index: number): SyntheticPerson {
  const chance = createChance(seededRandom(`${options.seed}/person/${index}`));
  const canaries: string[] = [];
  const plant = (kind: string): string => {
    const canary = kind === 'number' ? digitsOf(chance) : `CANARY-${kind.toUpperCase()}-${chance.hex(8)}`;
    canaries.push(canary);
    return canary;
  };
  const given = chance.pick(GIVEN);
  const family = `${chance.pick(FAMILY)} ${plant('name')}`;
  const person: Identity = { given, family, gender: chance.pick(['female', 'male', 'other', 'unknown']), birthDate: `${1935 + chance.below(70)}-0${1 + chance.below(9)}-${10 + chance.below(19)}`, address: `${1 + chance.below(99)} ${chance.pick(STREETS)}, ${plant('address')}` };
  const health = healthOf(chance);
  const bundles: SyntheticBundle[] = [];
  for (let hospital = 0; hospital < options.hospitals; hospital++) {
    if (index % 4 === 3 && hospital !== (index >> 2) % options.hospitals) continue;
    bundles.push(bundleOf({ options, index, hospital, person, health, plant, chance }));
  }
  return { label: `person-${index + 1}`, name: `${given} ${family}`, bundles, canaries };
}

interface Identity {
  readonly given: string;
  readonly family: string;
  readonly gender: string;
  readonly birthDate: string;
  readonly address: string;
}

function healthOf(chance: Chance): Health {
  const conditions = CONDITIONS.filter(() => chance.below(2) === 0);
  const has = (code: string): boolean => conditions.some((condition) => condition.code === code);
  return {
    hba1c: has('44054006') ? 7.4 : 5.4,
    ldl: has('55822004') ? 155 : 105,
    systolic: has('38341003') ? 146 : 121,
    kilograms: 55 + chance.below(45),
    conditions,
  };
}

interface BundlePlan {
  readonly options: PeopleOptions;
  readonly index: number;
  readonly hospital: number;
  readonly person: Identity;
  readonly health: Health;
  readonly plant: (kind: string) => string;
  readonly chance: Chance;
}

function bundleOf(plan: BundlePlan): SyntheticBundle {
  const { chance, hospital, index } = plan;
  const type = (index + hospital) % 2 === 0 ? 'transaction' : 'collection';
  const pointer: Pointer = (target) => ({ reference: type === 'transaction' ? `urn:uuid:${target.id}` : `${target.resourceType}/${target.id}` });
  const organization: Draft = { resourceType: 'Organization', id: hospitalId(plan.options.seed, hospital), active: true, name: `Hospital ${hospital + 1}` };
  const doctor: Draft = { resourceType: 'Practitioner', id: chance.uuid(), active: true, name: [{ family: chance.pick(FAMILY), given: [chance.pick(GIVEN)], prefix: ['Dr.'] }] };
  const patient = patientOf(plan, pointer(organization));
  const resources: Draft[] = [patient, organization, doctor];
  for (let ordinal = 0; ordinal < (plan.options.visits ?? 3); ordinal++) {
    const visit = { patient, doctor, hospital: organization, day: dayOf(plan, ordinal), ordinal, health: plan.health, pointer, canary: plan.plant };
    resources.push(...visitResources(visit, chance));
  }
  if (index % 2 === 0) resources.push(allergy(plan, pointer(patient)));
  const text = printBundle(resources, type);
  return { hospital, patient: patient.id, file: `person-${index + 1}-hospital-${hospital + 1}.json`, type, text, resources: resources.length };
}

function patientOf(plan: BundlePlan, managingOrganization: Value): Draft {
  const { person, chance, plant } = plan;
  return {
    resourceType: 'Patient', id: chance.uuid(),
    identifier: [{ type: concept({ system: 'http://terminology.hl7.org/CodeSystem/v2-0203', code: 'MR', display: 'Medical record number' }), system: `urn:oid:2.999.${plan.hospital + 1}`, value: plant('mrn') }],
    active: true, name: [{ use: 'official', family: person.family, given: [person.given] }],
    telecom: [{ system: 'phone', value: `+99 ${plant('phone')}`, use: 'mobile' }], gender: person.gender, birthDate: person.birthDate,
    address: [{ use: 'home', line: [person.address], city: 'Samplestad', postalCode: `${10_000 + chance.below(89_999)}`, country: 'XX' }],
    managingOrganization,
  };
}

function allergy(plan: BundlePlan, patient: Value): Draft {
  return {
    resourceType: 'AllergyIntolerance', id: plan.chance.uuid(), type: 'allergy', category: ['medication'], criticality: 'high',
    clinicalStatus: concept({ system: 'http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical', code: 'active', display: 'Active' }),
    verificationStatus: concept({ system: 'http://terminology.hl7.org/CodeSystem/allergyintolerance-verification', code: 'confirmed', display: 'Confirmed' }),
    code: concept({ system: 'http://snomed.info/sct', code: '91936005', display: 'Allergy to penicillin' }), patient, note: [{ text: plan.plant('note') }],
  };
}

/** Visits lie about half a year apart, the first in 2021; hospitals see the person in different months. */
function dayOf(plan: BundlePlan, ordinal: number): string {
  const months = ordinal * 6 + plan.hospital * 2 + (plan.index % 3);
  const year = 2021 + (Math.floor(months / 12) % 5);
  return `${year}-${String((months % 12) + 1).padStart(2, '0')}-${String(1 + plan.chance.below(28)).padStart(2, '0')}`;
}

function hospitalId(seed: string | number, hospital: number): string {
  return createChance(seededRandom(`${seed}/hospital/${hospital}`)).uuid();
}

/** Nine digits after the digits a laboratory would print. */
function digitsOf(chance: Chance): string {
  return Array.from({ length: 9 }, () => 1 + chance.below(9)).join('');
}

/** Transactions are printed over many lines, collections in one: received bytes come in both habits. */
function printBundle(resources: readonly Draft[], type: 'transaction' | 'collection'): string {
  if (type === 'collection') return print({ resourceType: 'Bundle', type, entry: resources.map((resource) => ({ resource })) });
  const entry = resources.map((resource) => ({ fullUrl: `urn:uuid:${resource.id}`, resource, request: { method: 'POST', url: resource.resourceType } }));
  return `${print({ resourceType: 'Bundle', type, entry }, '\n')}\n`;
}

/** JSON text; decimals as they are written, members that are undefined left out. */
function print(value: Value, line = ''): string {
  if (Array.isArray(value)) return wrap(value.map((item: Value) => print(item, line && `${line}  `)), '[]', line);
  if (typeof value !== 'object') return JSON.stringify(value);
  if ('written' in value && typeof value['written'] === 'string') return (value as Written).written;
  const parts = Object.entries(value).flatMap(([name, part]) => (part === undefined ? [] : [`${JSON.stringify(name)}:${line && ' '}${print(part as Value, line && `${line}  `)}`]));
  return wrap(parts, '{}', line);
}

function wrap(parts: readonly string[], brackets: string, line: string): string {
  if (parts.length === 0) return brackets;
  const inner = line && `${line}  `;
  return `${brackets[0]}${inner}${parts.join(`,${inner}`)}${line}${brackets[1]}`;
}
