import { describe, expect, it } from 'vitest';
import { errorTable } from '#model/errors.ts';
import { z } from 'zod';
import type { Endpoint, EndpointTable } from './endpoint.ts';
import { commonEndpoints, dataUserEndpoints, hospitalEndpoints, userOrgEndpoints } from './endpoints.ts';
import { exampleText } from './example-text.ts';
import { exampleOf, jsonSchemaOf } from './json-schema.ts';
import { openApiOf } from './openapi.ts';

const tables: Readonly<Record<string, EndpointTable>> = { commonEndpoints, userOrgEndpoints, hospitalEndpoints, dataUserEndpoints };
const rows = Object.entries(tables).flatMap(([table, endpoints]) => Object.entries(endpoints).map(([name, endpoint]) => ({ row: `${table}.${name}`, name, endpoint: endpoint as Endpoint })));

interface Operation {
  readonly operationId: string;
  readonly description: string;
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly required: boolean; readonly example: unknown }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema?: unknown; readonly example?: unknown }>> };
  readonly responses: Readonly<Record<string, { readonly description: string; readonly content: Readonly<Record<string, { readonly schema?: unknown; readonly example?: unknown }>> }>>;
  readonly security: readonly unknown[];
}

function operationOf(endpoint: Endpoint, name: string): Operation {
  const page = openApiOf({ table: { [name]: endpoint }, title: 'test', url: 'https://ho-east.example' });
  return page.paths[endpoint.path]?.[endpoint.method.toLowerCase()] as Operation;
}

describe('the OpenAPI page', () => {
  it.each(Object.entries(tables))('describes every route of %s and no other', (_, table) => {
    const page = openApiOf({ table, title: 'test', url: 'https://ho-east.example' });
    const described = Object.entries(page.paths).flatMap(([path, item]) => Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`));
    expect(described.sort()).toEqual(Object.values(table).map((endpoint) => `${endpoint.method} ${endpoint.path}`).sort());
    expect(page.openapi).toBe('3.1.0');
  });

  it.each(rows)('$row: is described whole', ({ endpoint, name }) => {
    const operation = operationOf(endpoint, name);
    const inPath = [...endpoint.path.matchAll(/\{(\w+)\}/g)].map((match) => match[1]);
    expect(operation.parameters.filter((one) => one.in === 'path').map((one) => one.name).sort()).toEqual(inPath.sort());
    expect(operation.parameters.filter((one) => one.in === 'path').every((one) => one.required)).toBe(true);
    expect(operation.description).toMatch(endpoint.idempotent ? /without a second effect/ : /has another effect/);
    expect(operation.security).toEqual(endpoint.by.includes('public') ? [{}] : endpoint.by.includes('mailbox-key') ? [{ mailboxSignature: [] }] : [{ memberSignature: [] }]);
    const text = Object.values(operation.responses).map((response) => response.description).join(' ');
    for (const code of endpoint.errors) expect(text, 'a code the row names').toContain(`${code}: `);
  });

  it.each(rows)('$row: names codes that exist', ({ endpoint }) => {
    for (const code of endpoint.errors) expect(errorTable, code).toHaveProperty(code);
  });

  it.each(rows)('$row: has schemas that read, and examples that fit them', ({ endpoint, name }) => {
    const operation = operationOf(endpoint, name);
    const contents = [operation.requestBody?.content ?? {}, ...Object.values(operation.responses).map((response) => response.content)].flatMap((content) => Object.entries(content));
    for (const [type, { schema, example }] of contents) {
      if (schema === undefined || type === 'application/problem+json' || type === 'text/plain') continue;
      expect(z.fromJSONSchema(schema as Parameters<typeof z.fromJSONSchema>[0]).safeParse(example).error).toBeUndefined();
    }
    if (endpoint.body instanceof z.ZodType) expect(endpoint.body.safeParse(operation.requestBody?.content['application/json']?.example).error).toBeUndefined();
    if (endpoint.output instanceof z.ZodType) expect(endpoint.output.safeParse(operation.responses['200']?.content['application/json']?.example).error).toBeUndefined();
    const params = Object.fromEntries(operation.parameters.filter((one) => one.in === 'path').map((one) => [one.name, one.example]));
    if (endpoint.params !== undefined) expect(endpoint.params.safeParse(params).error).toBeUndefined();
  });

  it('never says readOnly, which would forbid sending the member', () => {
    expect(JSON.stringify(openApiOf({ table: hospitalEndpoints, title: 'test', url: 'https://x.example' }))).not.toContain('readOnly');
  });
});

describe('examples', () => {
  it.each([
    ['^[A-Za-z0-9_-]{22}$', 'AAAAAAAAAAAAAAAAAAAAAA'],
    ['^(UO|HO|DUO)-[a-z][a-z0-9]{1,30}$', 'UO-aa'],
    ['^\\d{4}-(0[1-9]|1[0-2])$', '0000-01'],
    ['^a?b+c*$', 'bbbbcccc'],
    ['^(?:x|y)\\.z$', 'x.z'],
  ])('of %s is %s', (pattern, text) => expect(exampleText(pattern)).toBe(text));

  it('refuses a pattern it does not read', () => {
    expect(() => exampleText('^(?=a)a$')).toThrow(/non-capturing/);
    expect(() => exampleText('^[^a]$')).toThrow(/negated/);
  });

  it('fits unions, constants and lists', () => {
    const schema = z.strictObject({ kind: z.literal('a'), list: z.array(z.int().min(5)).min(2), either: z.union([z.boolean(), z.null()]), rest: z.record(z.string(), z.int()) });
    expect(schema.parse(exampleOf(jsonSchemaOf(schema, 'input')))).toEqual({ kind: 'a', list: [5, 5], either: true, rest: { text: 1 } });
  });
});
