import { describe, expect, it } from 'vitest';
import { allowOrigins } from './allow-origins.ts';

const portal = 'https://portal.example';
const handler = allowOrigins(async (request) => new Response(request.method, { status: 418, headers: { 'content-type': 'text/plain', vary: 'accept' } }), [portal]);
const call = (method: string, headers: Record<string, string>): Promise<Response> => handler(new Request('http://127.0.0.1/v1/gateway/evaluate', { method, headers }));

describe('cross-origin permission', () => {
  it('is given to the portal, and the answer stays what it was', async () => {
    const answer = await call('POST', { origin: portal });
    expect([answer.status, await answer.text(), answer.headers.get('content-type')]).toEqual([418, 'POST', 'text/plain']);
    expect([answer.headers.get('access-control-allow-origin'), answer.headers.get('vary')]).toEqual([portal, 'accept, origin']);
  });

  it('answers the portal\'s question before a request', async () => {
    const answer = await call('OPTIONS', { origin: portal, 'access-control-request-method': 'POST' });
    expect([answer.status, answer.headers.get('access-control-allow-methods'), answer.headers.get('access-control-allow-headers')]).toEqual([204, 'POST', 'content-type']);
  });

  it.each([['another origin', { origin: 'https://portal.example.evil' }], ['its own subdomain', { origin: 'https://a.portal.example' }], ['no origin', {}]])('is not given to %s', async (_, headers) => {
    for (const method of ['POST', 'OPTIONS']) {
      const answer = await call(method, { ...headers, 'access-control-request-method': 'POST' });
      expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([418, null]);
    }
  });
});
