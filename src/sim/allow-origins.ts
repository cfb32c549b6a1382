/** Cross-origin permission (the Fetch standard's CORS protocol) around a `fetch` function that knows nothing of browsers: the ledger relay. */
import type { Fetch } from '#base/ports.ts';

/** Lets pages of these origins send POST with a content type and read the answer. No cookie is used anywhere, so nothing else is allowed. */
export function allowOrigins(inner: Fetch, origins: readonly string[]): Fetch {
  return async (request) => {
    const origin = request.headers.get('origin');
    if (origin === null || !origins.includes(origin)) return inner(request);
    const preflight = request.method === 'OPTIONS' && request.headers.has('access-control-request-method');
    const answer = preflight ? new Response(null, { status: 204, headers: { 'access-control-allow-methods': 'POST', 'access-control-allow-headers': 'content-type', 'access-control-max-age': '600' } }) : await inner(request);
    const headers = new Headers(answer.headers);
    headers.set('access-control-allow-origin', origin);
    headers.append('vary', 'origin');
    return new Response(answer.body, { status: answer.status, headers });
  };
}
