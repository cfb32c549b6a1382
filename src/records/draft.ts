/** One entry of a bundle, looked at by itself: its structure is good, its references and its patient come later. */
import type { Bytes } from '#base/bytes.ts';
import { members, plainValue, sliceOf, textOf, type JsonNode } from '#base/json.ts';
import { recordFacts, type RecordFacts } from './facts.ts';
import type { FoundReference } from './references.ts';
import { child, element, elements, textAt, type Element, type Resource } from './resource.ts';
import { inspectElement, inspectResource, type Problem } from './validate.ts';

export interface RefusedEntry {
  readonly index: number;
  readonly code: string;
  readonly reason: string;
}

export interface Draft {
  /** Position in `Bundle.entry`, from 0. */
  readonly index: number;
  readonly fullUrl?: string;
  readonly typeAndId?: string;
  /** Set for Patient resources. */
  readonly patient?: LocalPatient;
  readonly resourceType: string;
  readonly bytes: Bytes;
  readonly facts: RecordFacts;
  readonly found: readonly FoundReference[];
}

export interface LocalPatient {
  readonly id: string;
  /** `system|value`. */
  readonly identifiers: readonly string[];
}

const REASONS_MAX = 5;

/** Drafts of all entries; the second of two with one address is refused (constraint bdl-7). */
export async function draftEntries(nodes: readonly JsonNode[], refused: RefusedEntry[], pause: () => Promise<void>): Promise<readonly Draft[]> {
  const drafts: Draft[] = [];
  const seen = new Set<string>();
  for (const [index, node] of nodes.entries()) {
    if (index % 256 === 255) await pause();
    const draft = draftEntry(node, index);
    if ('code' in draft) {
      refused.push(draft);
      continue;
    }
    const address = draft.fullUrl ?? draft.typeAndId;
    if (address !== undefined && seen.has(address)) refused.push({ index, code: 'FHIR_ENTRY_DUPLICATE', reason: 'an earlier entry of the bundle has the same fullUrl, or the same type and id' });
    else drafts.push(draft);
    if (address !== undefined) seen.add(address);
  }
  return drafts;
}

function draftEntry(node: JsonNode, index: number): Draft | RefusedEntry {
  if (node.kind !== 'object') return { index, code: 'FHIR_STRUCTURE', reason: 'Bundle.entry: expected an object' };
  const parts = new Map(members(node));
  const resourceNode = parts.get('resource');
  if (resourceNode?.kind !== 'object') return { index, code: 'FHIR_ENTRY_WITHOUT_RESOURCE', reason: 'the entry holds no resource' };
  const value = element(plainValue(resourceNode)) as Element;
  const resource = value as Resource;
  const { problems, references } = textAt(value, 'resourceType') === undefined ? { problems: [NO_TYPE], references: [] } : inspectResource(resource);
  const all = [...shellProblems(parts), ...problems];
  if (all[0] !== undefined) return { index, code: all[0].code, reason: all.slice(0, REASONS_MAX).map(({ path, reason }) => `${path === '' ? 'resourceType' : path}: ${reason}`).join('; ') };
  const fullUrlNode = parts.get('fullUrl');
  const fullUrl = fullUrlNode === undefined ? undefined : textOf(fullUrlNode);
  const id = textAt(resource, 'id');
  const patientId = resource.resourceType === 'Patient' ? (id ?? idOfUrl(fullUrl)) : undefined;
  if (resource.resourceType === 'Patient' && patientId === undefined) return { index, code: 'FHIR_PATIENT_WITHOUT_ID', reason: 'Patient.id: missing, and the entry has no fullUrl to take it from' };
  return {
    index,
    ...(fullUrl === undefined ? {} : { fullUrl }),
    ...(id === undefined ? {} : { typeAndId: `${resource.resourceType}/${id}` }),
    ...(patientId === undefined ? {} : { patient: { id: patientId, identifiers: identifiersOf(resource) } }),
    resourceType: resource.resourceType,
    bytes: sliceOf(resourceNode),
    facts: recordFacts(resource),
    found: references,
  };
}

const NO_TYPE: Problem = { code: 'FHIR_RESOURCE_TYPE', path: 'resourceType', reason: 'missing' };

/** What is wrong with the entry around its resource. */
function shellProblems(parts: ReadonlyMap<string, JsonNode>): readonly Problem[] {
  const shell = Object.fromEntries([...parts].filter(([name]) => name !== 'resource').map(([name, node]) => [name, plainValue(node)]));
  return parts.size === 1 ? [] : inspectElement(shell, 'Bundle.entry');
}

/** The last part of a URL or URN, when it can serve as a local id. */
function idOfUrl(url: string | undefined): string | undefined {
  return /([A-Za-z0-9.-]{1,64})$/.exec(url ?? '')?.[1];
}

function identifiersOf(resource: Resource): readonly string[] {
  return elements(child(resource, 'identifier')).flatMap((identifier) => identifierKey(identifier) ?? []);
}

/** `system|value` of an Identifier that has both. */
export function identifierKey(identifier: Element | undefined): string | undefined {
  const system = textAt(identifier, 'system');
  const value = textAt(identifier, 'value');
  return system === undefined || value === undefined ? undefined : `${system}|${value}`;
}
