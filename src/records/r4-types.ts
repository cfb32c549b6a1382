/** The shapes of FHIR R4 types, unfolded from the compiled table (r4.json) when a type is first met. */
import table from './r4.json' with { type: 'json' };

export interface TypeShape {
  readonly name: string;
  readonly isResource: boolean;
  /** By JSON property name: `status`, `valueQuantity`, and `_status` for what hangs on a primitive. */
  readonly elements: ReadonlyMap<string, ElementShape>;
  /** Elements that must be there; each as the property names that satisfy it. */
  readonly required: readonly { readonly name: string; readonly by: readonly string[] }[];
}

export interface ElementShape {
  /** Element name in the definition, such as `value[x]`. */
  readonly element: string;
  /** `element` for `_name` properties of primitives, whose value is `{id, extension}`. */
  readonly kind: 'primitive' | 'complex' | 'resource' | 'companion';
  readonly type: string;
  readonly many: boolean;
  /** Set for choices: two properties of one choice must not stand together. */
  readonly isChoice: boolean;
  readonly valueSet?: ValueSet;
  /** Resource types that a reference may lead to; absent: any. */
  readonly targets?: ReadonlySet<string>;
}

/** Codes by system. */
export interface ValueSet {
  readonly name: string;
  readonly systems: ReadonlyMap<string, ReadonlySet<string>>;
}

const TYPES: Readonly<Record<string, Readonly<Record<string, string>>>> = table.types;
const VALUE_SETS: Readonly<Record<string, Readonly<Record<string, string>>>> = table.valueSets;
const RESOURCES: ReadonlySet<string> = new Set(table.resources.split(' '));

const shapes = new Map<string, TypeShape>();
const valueSets = new Map<string, ValueSet>();

/** True for the resource types of FHIR R4 (4.0.1). */
export function isResourceType(name: string): boolean {
  return RESOURCES.has(name);
}

/** The shape of a complex type, a resource type or an inner type such as `Observation.component`. */
export function shapeOf(name: string): TypeShape {
  const known = shapes.get(name);
  if (known !== undefined) return known;
  const elements = new Map<string, ElementShape>();
  const required: { name: string; by: readonly string[] }[] = [];
  for (const [element, text] of inheritedRows(name)) {
    const names = addElement(elements, element, text);
    if (text.startsWith('1')) required.push({ name: element, by: names });
  }
  const shape: TypeShape = { name, isResource: RESOURCES.has(name), elements, required };
  shapes.set(name, shape);
  return shape;
}

/** Rows of the type after those of its base types. */
function inheritedRows(name: string): readonly (readonly [string, string])[] {
  const row = TYPES[name] ?? {};
  const base = row[':'];
  const own = Object.entries(row).filter(([element]) => element !== ':');
  return base === undefined ? own : [...inheritedRows(base), ...own];
}

/** Unfolds `min..max types (targets) {value set}` into one entry per JSON property; returns the property names. */
function addElement(elements: Map<string, ElementShape>, element: string, text: string): readonly string[] {
  const match = /^(\d)\.\.(.) ([^({]+?)(?: \(([^)]*)\))?(?: \{([^}]*)\})?$/.exec(text) as RegExpExecArray;
  const isChoice = element.endsWith('[x]');
  const targets = match[4] === undefined ? undefined : new Set(match[4].split(' '));
  const valueSet = match[5] === undefined ? undefined : valueSetOf(match[5]);
  const common = { element, many: match[2] === '*', isChoice };
  const names: string[] = [];
  for (const type of (match[3] as string).split(' ')) {
    const name = isChoice ? element.slice(0, -3) + type[0]?.toUpperCase() + type.slice(1) : element;
    const kind = kindOf(type);
    elements.set(name, { ...common, kind, type, ...(valueSet === undefined ? {} : { valueSet }), ...(targets === undefined || type !== 'Reference' ? {} : { targets }) });
    names.push(name);
    if (kind !== 'primitive') continue;
    elements.set(`_${name}`, { ...common, kind: 'companion', type: 'Element' });
    names.push(`_${name}`);
  }
  return names;
}

/** Types start with a capital letter, primitives with a small one. */
function kindOf(type: string): ElementShape['kind'] {
  if (type === 'Resource') return 'resource';
  return /^[a-z]/.test(type) ? 'primitive' : 'complex';
}

function valueSetOf(name: string): ValueSet | undefined {
  const row = VALUE_SETS[name];
  if (row === undefined) return undefined;
  const known = valueSets.get(name);
  if (known !== undefined) return known;
  const valueSet = { name, systems: new Map(Object.entries(row).map(([system, codes]) => [system, new Set(codes.split(' '))])) };
  valueSets.set(name, valueSet);
  return valueSet;
}
