/** `GET /healthz` (the process answers) and `GET /readyz` (every channel takes blocks) beside a ledger's other routes. */
import type { Fetch } from '#base/ports.ts';
import type { CodedError } from '#base/errors.ts';

export interface ChannelHealth {
  readonly channel: string;
  /** Number of blocks. */
  readonly height: number;
  /** Why blocks are refused at present; reading goes on all the same. */
  readonly trouble: CodedError | undefined;
}

const RETRY_SECONDS = '5';

function answer(status: number, body: object): Response {
  return new Response(`${JSON.stringify(body)}\n`, { status, headers: { 'content-type': 'application/json', 'cache-control': 'no-store', ...(status === 503 ? { 'retry-after': RETRY_SECONDS } : {}) } });
}

/** Answers the two paths itself and hands everything else on. */
export function withHealth(health: () => readonly ChannelHealth[], next: Fetch): Fetch {
  return async (request) => {
    const { pathname } = new URL(request.url);
    if (request.method !== 'GET' || (pathname !== '/healthz' && pathname !== '/readyz')) return next(request);
    if (pathname === '/healthz') return answer(200, { status: 'alive' });
    const channels = health().map(({ channel, height, trouble }) => ({ channel, height, ready: trouble === undefined, ...(trouble === undefined ? {} : { code: trouble.code }) }));
    const ready = channels.every((channel) => channel.ready);
    return answer(ready ? 200 : 503, { status: ready ? 'ready' : 'not ready', channels });
  };
}
