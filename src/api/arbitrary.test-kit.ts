/** Values that fit a JSON Schema, for property tests over endpoint rows. */
import fc from 'fast-check';
import type { JsonSchema } from './json-schema.ts';

/** Covers the part of JSON Schema that `JsonSchema` names. */
export function arbitraryOf(schema: JsonSchema): fc.Arbitrary<unknown> {
  if ('const' in schema) return fc.constant(schema.const);
  if (schema.examples !== undefined) return fc.constantFrom(...schema.examples);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) return fc.oneof(...choices.map(arbitraryOf));
  if (typeof schema.type === 'object') return fc.oneof(...schema.type.map((type) => arbitraryOf({ ...schema, type })));
  switch (schema.type) {
    case 'object':
      return objectOf(schema);
    case 'array':
      return fc.array(arbitraryOf(schema.items ?? {}), { minLength: schema.minItems ?? 0, maxLength: Math.max(schema.minItems ?? 0, Math.min(3, schema.maxItems ?? 3)) });
    case 'string':
      return textOf(schema);
    case 'integer':
      return fc.integer({ min: schema.minimum ?? -1_000, max: Math.min(schema.maximum ?? 1_000_000, 1_000_000) });
    case 'number':
      return fc.double({ noNaN: true, noDefaultInfinity: true });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    default:
      return fc.jsonValue({ maxDepth: 2 }).filter((value) => JSON.stringify(value) === JSON.stringify(JSON.parse(JSON.stringify(value))) && !JSON.stringify(value).includes('-0'));
  }
}

function objectOf(schema: JsonSchema): fc.Arbitrary<unknown> {
  const members = Object.fromEntries(Object.entries(schema.properties ?? {}).map(([name, member]) => [name, arbitraryOf(member)]));
  const named = fc.record(members, { requiredKeys: (schema.required ?? []).filter((name) => name in members) });
  const free = schema.additionalProperties;
  if (free === undefined || free === false || Object.keys(members).length > 0) return named;
  return fc.dictionary(textOf(schema.propertyNames ?? { type: 'string' }).filter((name) => name !== '__proto__'), arbitraryOf(free), { maxKeys: 3, noNullPrototype: true });
}

function textOf(schema: JsonSchema): fc.Arbitrary<string> {
  if (schema.format === 'uri') return fc.constantFrom('https://ho-east.example', 'http://127.0.0.1:8080', 'https://west.example/health');
  const lengths = { ...(schema.minLength === undefined ? {} : { minLength: schema.minLength }), maxLength: Math.min(schema.maxLength ?? 200, 200) };
  if (schema.pattern === undefined) return fc.string({ ...lengths, unit: 'grapheme' });
  return fc.stringMatching(new RegExp(schema.pattern)).filter((text) => text.length <= (schema.maxLength ?? Infinity) && text.isWellFormed());
}
