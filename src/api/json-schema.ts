/** JSON Schema 2020-12 of a zod schema, as OpenAPI 3.1 embeds it, and example values made from it. */
import { assert } from '#base/errors.ts';
import { z } from 'zod';
import { exampleText } from './example-text.ts';

/** The part of JSON Schema that our schemas use. */
export interface JsonSchema {
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly examples?: readonly unknown[];
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly format?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema | false;
  readonly propertyNames?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
}

/** What the wire carries: path and query values are text before they are coerced, so their output form says more. */
export function jsonSchemaOf(schema: z.ZodType, io: 'input' | 'output'): JsonSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { target: 'draft-2020-12', io, unrepresentable: 'any', override: ({ jsonSchema }) => tidy(jsonSchema) });
  return rest as JsonSchema;
}

/** Leaves out what means something else in OpenAPI (`readOnly`: not to be sent) and what only says that an integer is one. */
function tidy(schema: z.core.JSONSchema.BaseSchema): void {
  delete schema.readOnly;
  if (schema.format === 'starts_with') delete schema.format;
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum;
  if (schema.maximum === Number.MAX_SAFE_INTEGER) delete schema.maximum;
}

/** A small value that fits the schema; the same one every time. Optional members are left out. */
export function exampleOf(schema: JsonSchema): unknown {
  if ('const' in schema) return schema.const;
  if (schema.examples !== undefined) return schema.examples[0];
  if (schema.enum !== undefined) return schema.enum[0];
  const choice = schema.anyOf?.[0] ?? schema.oneOf?.[0];
  if (choice !== undefined) return exampleOf(choice);
  if (schema.allOf !== undefined) return exampleOf(merged(schema));
  switch (typeof schema.type === 'object' ? schema.type[0] : schema.type) {
    case 'object':
      return exampleObject(schema);
    case 'array':
      return Array.from({ length: Math.max(1, schema.minItems ?? 0) }, () => exampleOf(schema.items ?? {}));
    case 'string':
      return exampleString(schema);
    case 'integer':
    case 'number':
      return Math.max(1, schema.minimum ?? 1);
    case 'boolean':
      return true;
    case 'null':
      return null;
    default:
      return {};
  }
}

function exampleObject(schema: JsonSchema): unknown {
  const wanted = new Set(schema.required ?? []);
  const members = Object.entries(schema.properties ?? {}).filter(([name]) => wanted.has(name));
  const free = schema.additionalProperties;
  const named = members.map(([name, member]) => [name, exampleOf(member)] as const);
  const extra = named.length === 0 && free !== undefined && free !== false ? [[String(exampleOf(schema.propertyNames ?? { type: 'string' })), exampleOf(free)] as const] : [];
  return Object.fromEntries([...named, ...extra]);
}

function exampleString(schema: JsonSchema): string {
  if (schema.format === 'uri') return 'https://ho-east.example';
  const text = schema.pattern === undefined ? 'text' : exampleText(schema.pattern);
  const padded = text.padEnd(schema.minLength ?? 0, 'x');
  assert(schema.maxLength === undefined || padded.length <= schema.maxLength, 'an example fits its own schema');
  return padded;
}

/** zod writes several checks on one text as `allOf`; the first pattern is the strictest one of ours. */
function merged(schema: JsonSchema): JsonSchema {
  const { allOf = [], ...rest } = schema;
  return Object.assign({}, ...[...allOf].reverse(), rest) as JsonSchema;
}
