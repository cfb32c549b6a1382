/** The other side of the router: one typed method per endpoint row. */
import type { Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { Fetch } from '#base/ports.ts';
import type { z } from 'zod';
import type { Endpoint, EndpointTable } from './endpoint.ts';
import { errorOfResponse } from './problem.ts';

/** Adds a signature to a request (RFC 9421); given by the caller because this room knows no keys. */
export type SignRequest = (request: Request) => Promise<Request>;

type Given<E extends Endpoint, K extends 'params' | 'query'> = E[K] extends z.ZodType ? { readonly [P in K]: z.input<E[K]> } : { readonly [P in K]?: undefined };
type GivenBody<E extends Endpoint> = E['body'] extends 'bytes' ? { readonly body: Bytes; readonly contentType?: string } : E['body'] extends z.ZodType ? { readonly body: z.input<E['body']> } : { readonly body?: undefined };

export interface CallOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Signs this call instead of the client's own signer: a device has a key per counterparty. */
  readonly sign?: SignRequest;
}

export type CallInput<E extends Endpoint> = Given<E, 'params'> & Given<E, 'query'> & GivenBody<E> & CallOptions;
/** JSON rows give the parsed answer, text rows a string, bytes rows the Response with its unread stream. */
export type CallOutput<E extends Endpoint> = E['output'] extends z.ZodType ? z.output<E['output']> : E['output'] extends 'text' ? string : Response;
type NeedsInput<E extends Endpoint> = E extends { readonly params: z.ZodType } | { readonly query: z.ZodType } | { readonly body: z.ZodType | 'bytes' } ? true : false;

export type ApiClient<T extends EndpointTable> = {
  readonly [Name in keyof T]: NeedsInput<T[Name]> extends true ? (input: CallInput<T[Name]>) => Promise<CallOutput<T[Name]>> : (input?: CallOptions) => Promise<CallOutput<T[Name]>>;
};

export interface ApiClientOptions<T extends EndpointTable> {
  readonly table: T;
  /** Base URL of the organisation, with or without a trailing slash. */
  readonly baseUrl: string;
  readonly fetch: Fetch;
  readonly sign?: SignRequest;
}

interface AnyInput extends CallOptions {
  readonly params?: Readonly<Record<string, unknown>>;
  readonly query?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
  readonly contentType?: string;
}

/**
 * Methods throw the CodedError the organisation answered with (its `details` gain `traceId` and `status`),
 * ORG_UNREACHABLE when no answer came, ORG_ANSWER_INVALID when the answer is not of the row's shape, CALL_ABORTED
 * when the caller's signal ended it.
 */
export function createApiClient<const T extends EndpointTable>(options: ApiClientOptions<T>): ApiClient<T> {
  const methods = Object.entries(options.table).map(([name, endpoint]) => [name, (input: AnyInput = {}) => call(options, endpoint, input)] as const);
  return Object.fromEntries(methods) as unknown as ApiClient<T>;
}

async function call(options: ApiClientOptions<EndpointTable>, endpoint: Endpoint, input: AnyInput): Promise<unknown> {
  const unsigned = requestOf(options.baseUrl, endpoint, input);
  const sign = input.sign ?? options.sign;
  const request = sign === undefined ? unsigned : await sign(unsigned);
  const response = await sent(options.fetch, request, input.signal);
  if (!response.ok) throw await errorOfResponse(response);
  if (endpoint.output === 'bytes') return response;
  try {
    const text = await response.text();
    if (endpoint.output === 'text') return text;
    return endpoint.output.parse(JSON.parse(text));
  } catch (cause) {
    if (input.signal?.aborted === true) throw aborted(cause);
    throw new CodedError('ORG_ANSWER_INVALID', 'The organisation answered in a shape that is not its published one.', { status: response.status }, { cause });
  }
}

function requestOf(baseUrl: string, endpoint: Endpoint, input: AnyInput): Request {
  const url = new URL(baseUrl.replace(/\/+$/, '') + endpoint.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(input.params?.[name]))));
  for (const [key, value] of Object.entries(input.query ?? {})) if (value !== undefined) url.searchParams.set(key, String(value));
  const headers = new Headers(input.headers);
  if (endpoint.body !== undefined) headers.set('content-type', endpoint.body === 'bytes' ? (input.contentType ?? 'application/octet-stream') : 'application/json');
  if (!headers.has('accept') && endpoint.output !== 'bytes') headers.set('accept', endpoint.output === 'text' ? 'text/plain' : 'application/json');
  const body = endpoint.body === undefined ? null : endpoint.body === 'bytes' ? (input.body as Bytes) : JSON.stringify(input.body);
  return new Request(url, { method: endpoint.method, headers, body, ...(input.signal === undefined ? {} : { signal: input.signal }) });
}

async function sent(fetch: Fetch, request: Request, signal: AbortSignal | undefined): Promise<Response> {
  try {
    // Called through an object: the network is a dependency here, not the platform's global.
    return await { fetch }.fetch(request);
  } catch (cause) {
    if (signal?.aborted === true) throw aborted(cause);
    throw new CodedError('ORG_UNREACHABLE', 'The organisation could not be reached.', { host: new URL(request.url).host }, { cause });
  }
}

function aborted(cause: unknown): CodedError {
  return new CodedError('CALL_ABORTED', 'The call was ended by the caller.', {}, { cause });
}
