/** OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0) derived from the endpoint rows: what is served is what is described. */
import { errorRow } from '#model/errors.ts';
import { BODY_BYTES_MAX } from './body.ts';
import { isOpen } from './caller.ts';
import type { Endpoint, EndpointTable } from './endpoint.ts';
import { exampleOf, jsonSchemaOf, type JsonSchema } from './json-schema.ts';
import { Problem, PROBLEM_TYPE, problemOf } from './problem.ts';
import { CodedError } from '#base/errors.ts';
import type { z } from 'zod';

export interface OpenApiOptions {
  readonly table: EndpointTable;
  readonly title: string;
  /** Base URL of the organisation. */
  readonly url: string;
}

/** Codes that any signed address, any address with a body, and any address at all may answer with. */
const SIGNED_CODES = ['REQUEST_UNSIGNED', 'REQUEST_SIGNATURE_INVALID', 'REQUEST_STALE', 'REQUEST_REPLAYED', 'CALLER_UNTRUSTED', 'CALLER_REFUSED', 'CERTIFICATE_NOT_VALID', 'CERTIFICATE_REVOKED', 'REVOCATION_UNKNOWN'];
const BODY_CODES = ['BODY_TOO_LARGE', 'CONTENT_TYPE_UNSUPPORTED', 'JSON_MALFORMED', 'JSON_DUPLICATE_KEY', 'JSON_TOO_DEEP', 'JSON_TOO_LARGE'];
const ANY_CODES = ['REQUEST_INVALID', 'INTERNAL'];
const ABOUT =
  'Requests that need a caller are signed by RFC 9421 HTTP message signatures (docs/protocol.md section 5). Errors are `application/problem+json` with a stable `code`; `next` says what to do.';

/** The whole page as a JSON value. */
export function openApiOf({ table, title, url }: OpenApiOptions): { readonly openapi: string; readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>> } & Readonly<Record<string, unknown>> {
  const paths = new Map<string, Record<string, unknown>>();
  for (const [name, endpoint] of Object.entries(table)) {
    const item = paths.get(endpoint.path) ?? {};
    item[endpoint.method.toLowerCase()] = operationOf(name, endpoint);
    paths.set(endpoint.path, item);
  }
  return {
    openapi: '3.1.0',
    info: { title, version: '1', description: ABOUT, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    servers: [{ url }],
    paths: Object.fromEntries(paths),
    components: {
      schemas: { Problem: jsonSchemaOf(Problem, 'output') },
      securitySchemes: {
        memberSignature: { type: 'apiKey', in: 'header', name: 'signature', description: 'RFC 9421 signature by the certificate in `client-cert`.' },
        mailboxSignature: { type: 'apiKey', in: 'header', name: 'signature', description: 'RFC 9421 signature by the mailbox key in `healthkeep-key`.' },
      },
    },
  };
}

function operationOf(name: string, endpoint: Endpoint): unknown {
  const idempotent = endpoint.idempotent ? 'The same request may be sent again without a second effect.' : 'Sending the same request again has another effect.';
  return {
    operationId: name,
    summary: endpoint.summary,
    description: `${isOpen(endpoint.by) ? 'Open to everybody.' : `Callers: ${endpoint.by.join(', ')}.`} ${idempotent}`,
    parameters: [...parametersOf(endpoint.params, 'path'), ...parametersOf(endpoint.query, 'query')],
    ...(endpoint.body === undefined ? {} : { requestBody: requestBodyOf(endpoint) }),
    responses: { '200': answerOf(endpoint), ...problemsOf(endpoint) },
    security: isOpen(endpoint.by) ? [{}] : [endpoint.by.includes('mailbox-key') ? { mailboxSignature: [] } : { memberSignature: [] }],
    'x-callers': endpoint.by,
    'x-idempotent': endpoint.idempotent,
  };
}

function parametersOf(schema: z.ZodType | undefined, place: 'path' | 'query'): readonly unknown[] {
  if (schema === undefined) return [];
  const { properties = {}, required = [] } = jsonSchemaOf(schema, 'output');
  return Object.entries(properties).map(([name, member]) => ({ name, in: place, required: place === 'path' || required.includes(name), schema: member, example: exampleOf(member) }));
}

function requestBodyOf(endpoint: Endpoint): unknown {
  const limit = { 'x-max-bytes': endpoint.maxBytes ?? BODY_BYTES_MAX };
  if (endpoint.body === 'bytes') return { required: true, content: { 'application/octet-stream': {}, 'application/json': {}, 'application/fhir+json': {}, 'application/gzip': {} }, ...limit };
  return { required: true, content: { 'application/json': media(jsonSchemaOf(endpoint.body as z.ZodType, 'input')) }, ...limit };
}

function answerOf(endpoint: Endpoint): unknown {
  if (endpoint.output === 'bytes') return { description: 'The bytes.', content: { 'application/octet-stream': {} } };
  if (endpoint.output === 'text') return { description: 'The text.', content: { 'text/plain': { schema: { type: 'string' } } } };
  return { description: 'Done.', content: { 'application/json': media(jsonSchemaOf(endpoint.output, 'output')) } };
}

function media(schema: JsonSchema): unknown {
  return { schema, example: exampleOf(schema) };
}

/** Every code the caller must expect, by status. */
function problemsOf(endpoint: Endpoint): Readonly<Record<string, unknown>> {
  const codes = codesOf(endpoint);
  const statuses = new Map<number, string[]>();
  for (const code of codes) statuses.set(errorRow(code).status, [...(statuses.get(errorRow(code).status) ?? []), code]);
  return Object.fromEntries(
    [...statuses].map(([status, list]) => [
      String(status),
      {
        description: list.map((code) => `${code}: ${errorRow(code).sentence}`).join(' '),
        content: { [PROBLEM_TYPE]: { schema: { $ref: '#/components/schemas/Problem' }, example: problemOf(new CodedError(list[0] as string, errorRow(list[0] as string).sentence), '0'.repeat(32)) } },
      },
    ]),
  );
}

/** The codes of a row with the common ones. */
function codesOf(endpoint: Endpoint): readonly string[] {
  const all = [...endpoint.errors, ...(isOpen(endpoint.by) ? [] : SIGNED_CODES), ...(endpoint.body === undefined ? [] : BODY_CODES), ...ANY_CODES];
  return [...new Set(all)];
}
