/** Reading request bodies: counted while they arrive, so that a caller cannot make us hold more than the row allows. */
import type { Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import { plainValue, readJson } from '#base/json.ts';
import type { z } from 'zod';
import type { Endpoint } from './endpoint.ts';

/** For rows that say nothing else. */
export const BODY_BYTES_MAX = 1_048_576;
const JSON_TYPES = ['application/json'];
const BYTES_TYPES = ['application/octet-stream', 'application/json', 'application/fhir+json', 'application/gzip'];
const JSON_LIMITS = { depth: 32, values: 50_000 };

export function maxBytesOf(endpoint: Endpoint): number {
  return endpoint.body === undefined ? 0 : (endpoint.maxBytes ?? BODY_BYTES_MAX);
}

/** Throws CONTENT_TYPE_UNSUPPORTED when the row takes a body and the request announces another kind. */
export function checkContentType(endpoint: Endpoint, headers: Headers): void {
  if (endpoint.body === undefined) return;
  const known = endpoint.body === 'bytes' ? BYTES_TYPES : JSON_TYPES;
  const type = (headers.get('content-type') ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
  if (!known.includes(type)) throw new CodedError('CONTENT_TYPE_UNSUPPORTED', 'The body is of a kind this address does not take.', { next: `Send one of: ${known.join(', ')}.` });
}

/** The whole body. Throws BODY_TOO_LARGE as soon as more than `maxBytes` arrived or were announced; nothing is kept then. */
export async function readBody(request: Request, maxBytes: number): Promise<Bytes> {
  const announced = Number(request.headers.get('content-length') ?? 0);
  if (announced > maxBytes) throw tooLarge(maxBytes);
  if (request.body === null) return new Uint8Array(0);
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of request.body) {
    length += part.byteLength;
    // Leaving the loop cancels the stream.
    if (length > maxBytes) throw tooLarge(maxBytes);
    parts.push(part);
  }
  return joined(parts, length);
}

function joined(parts: readonly Uint8Array[], length: number): Bytes {
  const only = parts[0];
  if (parts.length === 1 && only !== undefined && only.buffer instanceof ArrayBuffer) return only as Bytes;
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.byteLength;
  }
  return out;
}

function tooLarge(maxBytes: number): CodedError {
  return new CodedError('BODY_TOO_LARGE', `The body is larger than the ${maxBytes} bytes this address takes.`, { maxBytes });
}

/** The body as the row's handler gets it. Throws JSON_* for text that is no JSON within limits, REQUEST_INVALID for JSON of another shape. */
export function parseBody(endpoint: Endpoint, bytes: Bytes): unknown {
  if (endpoint.body === undefined) return undefined;
  if (endpoint.body === 'bytes') return bytes;
  return parsed(endpoint.body, jsonOf(bytes), 'body');
}

function jsonOf(bytes: Bytes): unknown {
  return plainValue(readJson(bytes, { bytes: bytes.length, ...JSON_LIMITS }));
}

/** The value through its schema. Throws REQUEST_INVALID naming the wrong places, never their values. */
export function parsed(schema: z.ZodType, value: unknown, part: 'params' | 'query' | 'body'): unknown {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.slice(0, 20).map((issue) => ({
    path: [part, ...issue.path.map(String)].join('.').slice(0, 200),
    problem: issue.code === 'unrecognized_keys' ? 'has members that are not known here' : issue.message.slice(0, 200),
  }));
  throw new CodedError('REQUEST_INVALID', `The ${part} of the request is not of the expected shape.`, { next: 'Correct the places named in details.issues.', issues });
}

/** Query parameters as an object. Throws REQUEST_INVALID when one is given twice. */
export function parseQuery(endpoint: Endpoint, search: URLSearchParams): unknown {
  const keys = [...search.keys()];
  if (new Set(keys).size !== keys.length) throw new CodedError('REQUEST_INVALID', 'A query parameter is given twice.', { next: 'Give each query parameter once.' });
  if (endpoint.query === undefined) {
    if (keys.length > 0) throw new CodedError('REQUEST_INVALID', 'This address takes no query parameters.', { next: 'Leave the query out.' });
    return {};
  }
  return parsed(endpoint.query, Object.fromEntries(search), 'query');
}
