/** A FHIR R4 resource as a plain value, and careful looks into it: what is not there or of another kind is undefined. */

export interface Resource {
  readonly resourceType: string;
  readonly [element: string]: unknown;
}

export type Element = Readonly<Record<string, unknown>>;

/** The value as an object with named members. */
export function element(value: unknown): Element | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Element) : undefined;
}

/** A member of an object by its own name; inherited names do not count. */
export function child(value: unknown, name: string): unknown {
  const parent = element(value);
  return parent !== undefined && Object.hasOwn(parent, name) ? parent[name] : undefined;
}

/** The value's objects: of an array its elements, of one object itself. */
export function elements(value: unknown): readonly Element[] {
  const list = Array.isArray(value) ? (value as readonly unknown[]) : [value];
  return list.map(element).filter((item) => item !== undefined);
}

export function textAt(value: unknown, name: string): string | undefined {
  const text = child(value, name);
  return typeof text === 'string' ? text : undefined;
}
