/**
 * Structural validation of FHIR R4 resources (https://hl7.org/fhir/R4/validation.html: structure, cardinality, value
 * domains, required bindings) over the compiled table, in one walk that also collects the references.
 * Reasons name elements, never their values: they go to logs and lists that must hold no health data.
 */
import { invariants } from './invariants.ts';
import { primitives, type PrimitiveCheck } from './primitives.ts';
import { isResourceType, shapeOf, type ElementShape, type TypeShape, type ValueSet } from './r4-types.ts';
import type { FoundReference } from './references.ts';
import { element, elements, textAt, type Element, type Resource } from './resource.ts';

export interface Problem {
  readonly code: string;
  /** Element path, such as `Observation.component[0].valueQuantity`. */
  readonly path: string;
  readonly reason: string;
}

export interface Inspection {
  readonly problems: readonly Problem[];
  readonly references: readonly FoundReference[];
}

/** One is enough to refuse; a few more help to correct. */
const PROBLEMS_MAX = 20;
/** Property names that may be repeated in a reason: they look like element names, not like values. */
const NAME = /^_?[A-Za-z][A-Za-z0-9]{0,39}$/;

interface Walk {
  readonly problems: Problem[];
  readonly references: FoundReference[];
  readonly contained: ReadonlySet<string>;
  /** Names and positions from the root to where the walk is. */
  readonly path: (string | number)[];
  /** References of a bundle inside a record are that bundle's own. */
  nested: number;
}

/** Checks a resource and collects its references, those of its contained resources included. */
export function inspectResource(resource: Resource): Inspection {
  const contained = new Set(elements(resource['contained']).map((item) => textAt(item, 'id') ?? ''));
  const walk: Walk = { problems: [], references: [], contained, path: [], nested: 0 };
  checkResource(walk, resource);
  return { problems: walk.problems, references: walk.references };
}

/** Checks one element, such as a bundle entry without its resource, by its type's name in the table. */
export function inspectElement(value: Element, type: string): readonly Problem[] {
  const walk: Walk = { problems: [], references: [], contained: new Set(), path: [type], nested: 1 };
  checkObject(walk, value, shapeOf(type));
  return walk.problems;
}

function refuse(walk: Walk, code: string, reason: string, name?: string): void {
  if (walk.problems.length >= PROBLEMS_MAX) return;
  let path = '';
  for (const part of name === undefined ? walk.path : [...walk.path, name]) path += typeof part === 'number' ? `[${part}]` : `${path === '' ? '' : '.'}${part}`;
  walk.problems.push({ code, path, reason });
}

function checkResource(walk: Walk, value: unknown): void {
  const object = element(value);
  const type = textAt(object, 'resourceType');
  if (object === undefined || type === undefined || !isResourceType(type)) return refuse(walk, 'FHIR_RESOURCE_TYPE', 'expected a resource of a type that FHIR R4 defines');
  const isRoot = walk.path.length === 0;
  if (isRoot) walk.path.push(type);
  checkObject(walk, object, shapeOf(type));
}

function checkObject(walk: Walk, object: Element, shape: TypeShape): void {
  const choices = new Map<string, string>();
  let hasContent = shape.isResource;
  for (const name of Object.keys(object)) {
    const known = shape.elements.get(name);
    if (known === undefined) {
      if (name !== 'resourceType' || !shape.isResource) refuse(walk, 'FHIR_ELEMENT_UNKNOWN', `${shape.name} has no such element`, NAME.test(name) ? name : '(unnamed)');
      continue;
    }
    hasContent ||= name !== 'id';
    if (known.isChoice) checkChoice(walk, known, name, choices);
    walk.path.push(name);
    checkMember(walk, known, object, name);
    walk.path.pop();
  }
  if (!hasContent) refuse(walk, 'FHIR_STRUCTURE', 'an element must have a value or children (ele-1)');
  for (const { name, by } of shape.required) {
    if (!by.some((property) => Object.hasOwn(object, property))) refuse(walk, 'FHIR_ELEMENT_MISSING', 'a required element is missing', name);
  }
  for (const invariant of invariants[shape.name] ?? []) {
    if (!invariant.holds(object)) refuse(walk, 'FHIR_INVARIANT', `${invariant.human} (${invariant.key})`);
  }
}

/** "Only one of the choices": two properties of one choice, as `valueString` beside `valueQuantity`, contradict each other. */
function checkChoice(walk: Walk, known: ElementShape, name: string, choices: Map<string, string>): void {
  const property = name.startsWith('_') ? name.slice(1) : name;
  const before = choices.get(known.element);
  if (before !== undefined && before !== property) refuse(walk, 'FHIR_CHOICE', 'more than one of the choices is given', known.element);
  choices.set(known.element, property);
}

function checkMember(walk: Walk, known: ElementShape, object: Element, name: string): void {
  const value = object[name];
  if (!known.many) {
    if (Array.isArray(value)) return refuse(walk, 'FHIR_CARDINALITY', 'expected one value, not a list');
    return checkValue(walk, known, value);
  }
  if (!Array.isArray(value)) return refuse(walk, 'FHIR_CARDINALITY', 'expected a list');
  if (value.length === 0) return refuse(walk, 'FHIR_STRUCTURE', 'a list must not be empty');
  const list = value as readonly unknown[];
  const twin = known.kind === 'primitive' ? object[`_${name}`] : known.kind === 'companion' ? object[name.slice(1)] : undefined;
  for (let at = 0; at < list.length; at++) {
    // In lists of primitives null keeps the place of a value that the other of `name` and `_name` has (section 2.6.2.3).
    if (list[at] === null && Array.isArray(twin) && (twin[at] ?? null) !== null) continue;
    walk.path.push(at);
    checkValue(walk, known, list[at]);
    walk.path.pop();
  }
}

function checkValue(walk: Walk, known: ElementShape, value: unknown): void {
  switch (known.kind) {
    case 'primitive':
      return checkPrimitive(walk, known, value);
    case 'resource':
      return checkInner(walk, value);
    default: {
      const object = element(value);
      if (object === undefined) return refuse(walk, 'FHIR_VALUE', 'expected an object');
      checkObject(walk, object, shapeOf(known.type));
      if (known.type === 'Reference') noteReference(walk, known, object);
      if (known.valueSet !== undefined) checkBinding(walk, known.type, known.valueSet, object);
    }
  }
}

function checkPrimitive(walk: Walk, known: ElementShape, value: unknown): void {
  const problem = (primitives[known.type] as PrimitiveCheck)(value);
  if (problem !== undefined) return refuse(walk, 'FHIR_VALUE', problem);
  if (known.valueSet !== undefined && known.type === 'code') {
    for (const codes of known.valueSet.systems.values()) if (codes.has(value as string)) return;
    refuse(walk, 'FHIR_CODE', `the code is not in the required value set ${known.valueSet.name}`);
  }
}

/** A contained resource (its references count as the record's own), or the resource of an inner bundle entry. */
function checkInner(walk: Walk, value: unknown): void {
  const isContained = walk.path.length === 3 && walk.path[1] === 'contained';
  if (!isContained) walk.nested++;
  else if (Object.hasOwn(element(value) ?? {}, 'contained')) refuse(walk, 'FHIR_INVARIANT', 'a contained resource must not contain others (dom-2)');
  checkResource(walk, value);
  if (!isContained) walk.nested--;
}

function noteReference(walk: Walk, known: ElementShape, reference: Element): void {
  if (walk.nested > 0) return;
  const text = textAt(reference, 'reference');
  const identifier = element(reference['identifier']);
  if (text === undefined && identifier === undefined) return;
  const type = text === undefined ? undefined : /^([A-Z][A-Za-z]+)[/?]/.exec(text)?.[1];
  if (type !== undefined && isResourceType(type) && known.targets?.has(type) === false) refuse(walk, 'FHIR_REFERENCE_TYPE', `must not refer to a resource of type ${type}`);
  walk.references.push({ path: renderPath(walk.path), ...(text === undefined ? {} : { text }), ...(identifier === undefined ? {} : { identifier }), ...(known.targets === undefined ? {} : { targets: known.targets }), contained: walk.contained });
}

function renderPath(parts: readonly (string | number)[]): string {
  let path = parts[0] as string;
  for (let at = 1; at < parts.length; at++) path += typeof parts[at] === 'number' ? `[${parts[at]}]` : `.${parts[at]}`;
  return path;
}

/** Required bindings: "one of the codings of the concept SHALL be from the value set" (section 4.1.5.1). */
function checkBinding(walk: Walk, type: string, valueSet: ValueSet, object: Element): void {
  if (type !== 'CodeableConcept' && type !== 'Coding') return;
  const codings = type === 'Coding' ? [object] : elements(object['coding']);
  if (codings.some((coding) => valueSet.systems.get(textAt(coding, 'system') ?? '')?.has(textAt(coding, 'code') ?? '') === true)) return;
  // A concept whose code is withheld says so by an extension (data-absent-reason), which satisfies the binding.
  if (Object.hasOwn(object, 'extension')) return;
  refuse(walk, 'FHIR_CODE', `no coding is in the required value set ${valueSet.name}`);
}
