/** What the router does with requests that no handler should see. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CodedError } from '#base/errors.ts';
import { CallerId, Digest, GrantId, OrgId } from '#model/ids.ts';
import { fakeClock, rememberingLog, seededRandom } from '#sim/seams.ts';
import { z } from 'zod';
import type { AnyCaller } from './caller.ts';
import { createApiClient } from './client.ts';
import type { EndpointTable } from './endpoint.ts';
import type { Handlers } from './handlers.ts';
import { Problem } from './problem.ts';
import { createRouter, type Answered } from './router.ts';

const org = OrgId.parse('HO-east');
const base = 'https://ho-east.example';

const table = {
  open: { method: 'GET', path: '/open', summary: '', by: ['public'], query: z.strictObject({ after: z.string().max(5).optional() }), output: z.strictObject({ ok: z.boolean() }), idempotent: true, errors: [] },
  put: { method: 'POST', path: '/things/{grant}', summary: '', by: ['own/staff'], params: z.strictObject({ grant: GrantId }), body: z.strictObject({ name: z.string().max(20), list: z.array(z.int()).optional() }), maxBytes: 2_000, output: z.strictObject({ ok: z.boolean() }), idempotent: true, errors: [] },
  take: { method: 'POST', path: '/bytes', summary: '', by: ['public'], body: 'bytes', maxBytes: 1_000, output: z.strictObject({ bytes: z.int() }), idempotent: true, errors: [] },
  broken: { method: 'GET', path: '/broken', summary: '', by: ['public'], output: z.strictObject({}), idempotent: true, errors: [] },
  refused: { method: 'GET', path: '/refused', summary: '', by: ['public'], output: z.strictObject({}), idempotent: true, errors: ['CALLER_REFUSED'] },
  busy: { method: 'GET', path: '/busy', summary: '', by: ['public'], output: z.strictObject({}), idempotent: true, errors: [] },
  unlisted: { method: 'GET', path: '/unlisted', summary: '', by: ['public'], output: z.strictObject({}), idempotent: true, errors: [] },
} as const satisfies EndpointTable;

const staff: AnyCaller = { org, class: 'ho', role: 'staff', name: 'staff', id: CallerId.parse('B'.repeat(43)), key: Digest.parse('K'.repeat(43)), certificate: '' };

function setUp(caller: AnyCaller | undefined = staff) {
  const log = rememberingLog();
  const answered: Answered[] = [];
  const handlers: Handlers<typeof table> = {
    open: () => ({ ok: true }),
    put: () => ({ ok: true }),
    take: ({ body }) => ({ bytes: body.length }),
    broken: () => {
      throw new TypeError('CANARY-Jane Doe');
    },
    refused: () => {
      throw new CodedError('CALLER_REFUSED', 'Not you.', { why: 'Because.', record: 'r1' });
    },
    busy: () => {
      throw new CodedError('LEDGER_BUSY', 'Too much.', {});
    },
    unlisted: () => {
      throw new CodedError('NO_SUCH_CODE', 'CANARY-Jane Doe', { secret: 'CANARY' });
    },
  };
  const fetch = createRouter({ table, handlers, authenticate: async () => caller, org, clock: fakeClock(0), random: seededRandom(1), log: log.log, observe: (one) => answered.push(one), origins: ['https://portal.example'] });
  return { fetch, log, answered };
}

const post = (path: string, body: BodyInit | null, headers: Record<string, string> = {}): Request =>
  new Request(base + path, { method: 'POST', body, headers: { 'content-type': 'application/json', signature: 'x', ...headers }, ...(body instanceof ReadableStream ? { duplex: 'half' } : {}) } as RequestInit);
const thing = `/things/${'A'.repeat(22)}`;
const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

describe('the router refuses', () => {
  it('what it has no room for, and says when to come back', async () => {
    const response = await setUp().fetch(new Request(`${base}/busy`));
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1']);
    expect((await setUp().fetch(new Request(`${base}/refused`))).headers.get('retry-after')).toBe(null);
  });

  it.each([
    ['an unknown address', () => new Request(`${base}/nothing`), 404, 'ROUTE_UNKNOWN'],
    ['a trailing slash', () => new Request(`${base}/open/`), 404, 'ROUTE_UNKNOWN'],
    ['another method', () => new Request(`${base}/open`, { method: 'DELETE' }), 405, 'METHOD_NOT_ALLOWED'],
    ['a body of another kind', () => post(thing, '{}', { 'content-type': 'text/xml' }), 415, 'CONTENT_TYPE_UNSUPPORTED'],
    ['a body without a kind', () => post(thing, '{}', { 'content-type': '' }), 415, 'CONTENT_TYPE_UNSUPPORTED'],
    ['a request without a signature', () => new Request(base + thing, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } }), 401, 'REQUEST_UNSIGNED'],
    ['an unknown query parameter', () => new Request(`${base}/open?before=1`), 400, 'REQUEST_INVALID'],
    ['a query parameter given twice', () => new Request(`${base}/open?after=1&after=2`), 400, 'REQUEST_INVALID'],
    ['a query parameter that is too long', () => new Request(`${base}/open?after=123456`), 400, 'REQUEST_INVALID'],
    ['a query where none is taken', () => new Request(`${base}/broken?x=1`), 400, 'REQUEST_INVALID'],
    ['a path parameter of another shape', () => post('/things/short', '{"name":"a"}'), 400, 'REQUEST_INVALID'],
    ['text that is not JSON', () => post(thing, '{"name":'), 400, 'JSON_MALFORMED'],
    ['an empty body', () => post(thing, ''), 400, 'JSON_MALFORMED'],
    ['a name given twice', () => post(thing, '{"name":"a","name":"b"}'), 400, 'JSON_DUPLICATE_KEY'],
    ['a body nested too deep', () => post(thing, `{"name":"a","list":${nested(40)}}`), 400, 'JSON_TOO_DEEP'],
    ['bytes that are not UTF-8', () => post(thing, Uint8Array.of(0x22, 0xff, 0x22)), 400, 'BYTES_NOT_UTF8'],
    ['a member nobody knows', () => post(thing, '{"name":"a","extra":1}'), 400, 'REQUEST_INVALID'],
    ['__proto__ as a member', () => post(thing, '{"name":"a","__proto__":{"role":"operator"}}'), 400, 'REQUEST_INVALID'],
    ['a body larger than announced limits', () => post(thing, 'x'.repeat(2_001)), 413, 'BODY_TOO_LARGE'],
  ])('%s', async (_, request, status, code) => {
    const { fetch, answered } = setUp();
    const response = await fetch(request());
    const problem = Problem.parse(await response.json());
    expect([response.status, problem.status, problem.code]).toEqual([status, status, code]);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    expect(problem.next.length).toBeGreaterThan(5);
    expect(problem.traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(answered).toHaveLength(1);
  });

  it('a caller of another role, before it looks at what was sent', async () => {
    const { fetch } = setUp({ ...staff, org: OrgId.parse('HO-west') });
    expect(await (await fetch(post('/things/short', '{"name":'))).json()).toMatchObject({ code: 'CALLER_REFUSED', status: 403 });
  });

  it('a stream as soon as it is too long, without reading the rest', async () => {
    let sent = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 600;
        controller.enqueue(new Uint8Array(600));
      },
    });
    const response = await setUp().fetch(post('/bytes', endless));
    expect(await response.json()).toMatchObject({ code: 'BODY_TOO_LARGE' });
    expect(sent).toBeLessThan(5_000);
  });

  it('an announced length at once', async () => {
    let pulled = 0;
    const stream = new ReadableStream<Uint8Array>({ pull: (controller) => (pulled++, controller.enqueue(new Uint8Array(1))) }, { highWaterMark: 0 });
    expect((await setUp().fetch(post('/bytes', stream, { 'content-length': '9999999' }))).status).toBe(413);
    expect(pulled).toBe(0);
  });
});

describe('the router answers', () => {
  it('the methods it takes with 405', async () => {
    expect((await setUp().fetch(new Request(`${base}/open`, { method: 'DELETE' }))).headers.get('allow')).toBe('GET');
  });

  it('HEAD like GET without a body', async () => {
    const response = await setUp().fetch(new Request(`${base}/open`, { method: 'HEAD' }));
    expect([response.status, await response.text()]).toEqual([200, '']);
  });

  it('with headers that keep browsers from doing more with it', async () => {
    const { headers } = await setUp().fetch(new Request(`${base}/open`));
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('content-security-policy')).toContain("default-src 'none'");
  });

  it('portals of its own, and no other origin', async () => {
    const ask = async (origin: string, method = 'GET') => (await setUp().fetch(new Request(`${base}/open`, { method, headers: { origin } }))).headers;
    expect((await ask('https://portal.example')).get('access-control-allow-origin')).toBe('https://portal.example');
    expect((await ask('https://portal.example', 'OPTIONS')).get('access-control-allow-headers')).toContain('signature-input');
    expect((await ask('https://evil.example')).get('access-control-allow-origin')).toBeNull();
  });

  it('an unexpected error with nothing of it, and logs only its kind and place', async () => {
    const { fetch, log } = setUp();
    const text = await (await fetch(new Request(`${base}/broken`))).text();
    expect(text).toContain('"INTERNAL"');
    expect(text + log.text()).not.toContain('CANARY');
    expect(text).not.toContain('.ts:');
    expect(log.lines.find((line) => line.event === 'http.failed')?.fields).toMatchObject({ kind: 'TypeError', endpoint: 'broken' });
  });

  it('a code without a row as an internal error', async () => {
    const { fetch, log } = setUp();
    const text = await (await fetch(new Request(`${base}/unlisted`))).text();
    expect(text + log.text()).not.toContain('CANARY');
    expect(JSON.parse(text)).toMatchObject({ code: 'INTERNAL', status: 500 });
  });

  it('a refusal so that the client throws the same error', async () => {
    const { fetch } = setUp();
    const client = createApiClient({ table, baseUrl: base, fetch });
    await expect(client.refused()).rejects.toMatchObject({ code: 'CALLER_REFUSED', message: 'Not you.', details: { why: 'Because.', record: 'r1', status: 403 } });
  });

  it('every fuzzed request with a code below 500', async () => {
    const { fetch } = setUp();
    const method = fc.constantFrom('GET', 'POST', 'DELETE', 'PUT', 'PATCH', 'OPTIONS', 'HEAD');
    const path = fc.oneof(fc.constantFrom('/open', thing, '/bytes', '/refused', '//', '/%', '/%ff', '/things/%00', '/../open'), fc.webPath(), fc.string().map((text) => `/${encodeURIComponent(text.toWellFormed())}`));
    const body = fc.oneof(fc.json(), fc.string(), fc.uint8Array({ maxLength: 200 }).map((bytes) => Uint8Array.from(bytes)));
    const type = fc.constantFrom('application/json', 'application/octet-stream', 'text/plain', 'application/json; charset=utf-8', 'x');
    await fc.assert(
      fc.asyncProperty(method, path, body, type, async (verb, where, what, kind) => {
        const bare = verb === 'GET' || verb === 'HEAD';
        const response = await fetch(new Request(base + where, { method: verb, headers: { 'content-type': kind, signature: 'x' }, ...(bare ? {} : { body: what }) }));
        expect(response.status).toBeLessThan(500);
        if (!response.ok && verb !== 'HEAD') Problem.parse(await response.json());
      }),
      { numRuns: 1_000, seed: 7 },
    );
  });
});

describe('the client', () => {
  it.each([
    ['nothing answers', () => Promise.reject(new Error('ECONNREFUSED')), 'ORG_UNREACHABLE'],
    ['a proxy answers', async () => new Response('<html>', { status: 502 }), 'ORG_UNREACHABLE'],
    ['another program answers', async () => new Response('<html>', { status: 404 }), 'ORG_ANSWER_INVALID'],
    ['the answer has another shape', async () => Response.json({ ok: 'yes' }), 'ORG_ANSWER_INVALID'],
    ['the problem is not one of ours', async () => new Response('{"code":"x"}', { status: 400, headers: { 'content-type': 'application/problem+json' } }), 'ORG_ANSWER_INVALID'],
  ])('says so when %s', async (_, fetch, code) => {
    await expect(createApiClient({ table, baseUrl: base, fetch }).open({ query: {} })).rejects.toMatchObject({ code });
  });

  it('encodes what it puts into addresses', async () => {
    const seen: string[] = [];
    const rows = { get: { method: 'GET', path: '/a/{b}', summary: '', by: ['public'], params: z.strictObject({ b: z.string() }), query: z.strictObject({ c: z.string() }), output: 'text', idempotent: true, errors: [] } } as const satisfies EndpointTable;
    const client = createApiClient({ table: rows, baseUrl: `${base}/`, fetch: async (request) => (seen.push(request.url), new Response('')) });
    await client.get({ params: { b: '../x?y#z' }, query: { c: '&d=e' } });
    expect(seen).toEqual([`${base}/a/..%2Fx%3Fy%23z?c=%26d%3De`]);
  });
});
