/** From endpoint rows and handlers to one `fetch` function: routing, limits, authorisation, parsing and errors in one place. */
import { Hono } from 'hono';
import { toHex, type Bytes } from '#base/bytes.ts';
import { CodedError, isCoded } from '#base/errors.ts';
import type { Clock, Fetch, Log, Random } from '#base/ports.ts';
import type { OrgId } from '#model/ids.ts';
import { checkContentType, maxBytesOf, parseBody, parsed, parseQuery, readBody } from './body.ts';
import { isAllowed, isOpen, type AnyCaller } from './caller.ts';
import type { Endpoint, EndpointTable } from './endpoint.ts';
import type { Call, Handler, Handlers } from './handlers.ts';
import { problemOf, problemResponse } from './problem.ts';

/** Finds out who sent a request; undefined when it carries no signature. Throws a coded error when the signature or its owner is not good. */
export type Authenticate = (request: Request, body: Bytes, endpoint: Endpoint) => Promise<AnyCaller | undefined>;

/** What is known of one answer: for metrics and the log. `endpoint` is a row's name or `unknown`. */
export interface Answered {
  readonly endpoint: string;
  readonly status: number;
  readonly code?: string;
  readonly milliseconds: number;
}

export interface RouterOptions<T extends EndpointTable> {
  readonly table: T;
  readonly handlers: Handlers<T>;
  readonly authenticate: Authenticate;
  readonly org: OrgId;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly observe?: (answered: Answered) => void;
  /** Origins of portals whose pages may call from a browser. No cookie is used anywhere, so this only spares strangers' pages our public answers. */
  readonly origins?: readonly string[];
}

const ALWAYS = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
} as const;
const REQUEST_HEADERS = 'content-type, content-digest, signature, signature-input, client-cert, healthkeep-key, healthkeep-ticket, range, if-none-match, accept';

/** The organisation's HTTP interface. Every answer that is not a handler's own is `application/problem+json`; nothing throws. */
export function createRouter<T extends EndpointTable>(options: RouterOptions<T>): Fetch {
  const app = new Hono();
  for (const [name, endpoint] of Object.entries(options.table)) {
    const handler = options.handlers[name] as unknown as Handler<Endpoint>;
    app.on(endpoint.method, honoPath(endpoint.path), (context) => answer(options, { name, endpoint, handler, request: context.req.raw, params: context.req.param() }));
  }
  for (const [path, methods] of methodsByPath(options.table)) {
    app.all(honoPath(path), (context) => (context.req.method === 'OPTIONS' ? preflight(methods) : refuse(options, new CodedError('METHOD_NOT_ALLOWED', 'This address does not take that method.', { next: `Use ${methods.join(' or ')}.` }), { allow: methods.join(', ') })));
  }
  app.notFound(() => refuse(options, new CodedError('ROUTE_UNKNOWN', 'There is nothing at this address.')));
  app.onError((error) => refuse(options, error));
  return async (request) => withCommonHeaders(await app.fetch(request), request, options.origins ?? []);
}

const honoPath = (path: string): string => path.replaceAll(/\{(\w+)\}/g, ':$1');

function methodsByPath(table: EndpointTable): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const { path, method } of Object.values(table)) found.set(path, [...(found.get(path) ?? []), method]);
  return found;
}

interface Incoming {
  readonly name: string;
  readonly endpoint: Endpoint;
  readonly handler: Handler<Endpoint>;
  readonly request: Request;
  readonly params: Readonly<Record<string, string>>;
}

async function answer<T extends EndpointTable>(options: RouterOptions<T>, incoming: Incoming): Promise<Response> {
  const traceId = toHex(options.random.bytes(16));
  const started = options.clock.now();
  let response: Response;
  let code: string | undefined;
  try {
    response = responseOf(incoming.endpoint, await incoming.handler(await admitted(options, incoming, traceId)));
  } catch (error) {
    const problem = problemOf(error, traceId);
    code = problem.code;
    if (problem.status >= 500) options.log('error', 'http.failed', { traceId, endpoint: incoming.name, code, ...causeOf(error) });
    response = problemResponse(problem);
  }
  const milliseconds = options.clock.now() - started;
  options.log('debug', 'http.answered', { traceId, endpoint: incoming.name, status: response.status, code, milliseconds });
  options.observe?.({ endpoint: incoming.name, status: response.status, milliseconds, ...(code === undefined ? {} : { code }) });
  return response;
}

/** The request parsed and authorised: who calls is settled before anything the caller wrote is looked at. */
async function admitted<T extends EndpointTable>(options: RouterOptions<T>, incoming: Incoming, traceId: string): Promise<Call<Endpoint>> {
  const { endpoint, request } = incoming;
  const open = isOpen(endpoint.by);
  const unsigned = (): CodedError => new CodedError('REQUEST_UNSIGNED', 'This address needs a signed request.');
  if (!open && !request.headers.has('signature')) throw unsigned();
  checkContentType(endpoint, request.headers);
  const bytes = await readBody(request, maxBytesOf(endpoint));
  const caller = open ? undefined : await options.authenticate(request, bytes, endpoint);
  if (!open && caller === undefined) throw unsigned();
  if (!isAllowed(endpoint.by, caller, options.org)) throw new CodedError('CALLER_REFUSED', 'The caller may not use this address.');
  const url = new URL(request.url);
  return {
    params: (endpoint.params === undefined ? {} : parsed(endpoint.params, { ...incoming.params }, 'params')) as Call<Endpoint>['params'],
    query: parseQuery(endpoint, url.searchParams) as Call<Endpoint>['query'],
    body: parseBody(endpoint, bytes) as Call<Endpoint>['body'],
    caller: caller as Call<Endpoint>['caller'],
    headers: request.headers,
    traceId,
    signal: request.signal,
  };
}

function responseOf(endpoint: Endpoint, result: unknown): Response {
  if (result instanceof Response) return result;
  if (endpoint.output === 'bytes') return new Response(result as Bytes, { headers: { 'content-type': 'application/octet-stream' } });
  if (endpoint.output === 'text') return new Response(result as string, { headers: { 'content-type': 'text/plain; charset=utf-8' } });
  return new Response(JSON.stringify(result), { headers: { 'content-type': 'application/json' } });
}

/** Where an unexpected error came from. Its message may quote a record, so only its kind and place are logged. */
function causeOf(error: unknown): { readonly kind: string; readonly at: string } {
  if (!(error instanceof Error)) return { kind: typeof error, at: '' };
  const place = /\/(src|node_modules)\/([\w@./-]+:\d+)/.exec(error.stack ?? '');
  return { kind: isCoded(error) ? error.code : error.name, at: place?.[2] ?? '' };
}

function refuse(options: Pick<RouterOptions<EndpointTable>, 'random' | 'observe'>, error: unknown, headers: Readonly<Record<string, string>> = {}): Response {
  const problem = problemOf(error, toHex(options.random.bytes(16)));
  options.observe?.({ endpoint: 'unknown', status: problem.status, code: problem.code, milliseconds: 0 });
  return problemResponse(problem, headers);
}

function preflight(methods: readonly string[]): Response {
  return new Response(null, { status: 204, headers: { 'access-control-allow-methods': methods.join(', '), 'access-control-allow-headers': REQUEST_HEADERS, 'access-control-max-age': '600' } });
}

function withCommonHeaders(response: Response, request: Request, origins: readonly string[]): Response {
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(ALWAYS)) if (!headers.has(name)) headers.set(name, value);
  const origin = request.headers.get('origin');
  if (origin !== null && origins.includes(origin)) {
    headers.set('access-control-allow-origin', origin);
    headers.set('access-control-expose-headers', 'content-range, etag, retry-after');
    headers.append('vary', 'origin');
  }
  return new Response(response.body, { status: response.status, headers });
}
