/** A network in one process: origins are answered by `fetch` functions, with faults a test can switch on. */
import { CodedError } from '#base/errors.ts';
import type { Fetch } from '#base/ports.ts';

export interface Wire {
  /** The outgoing side: what every party is given as its network. */
  readonly fetch: Fetch;
  /** Puts a handler behind an origin such as `http://ho-east.local`. */
  attach(origin: string, handler: Fetch): void;
  detach(origin: string): void;
  /** Sees every exchange: for traffic captures in tests. */
  observe(observer: (request: Request, response: Response) => void): void;
  /** Runs before a request is delivered; throws to break it. */
  intercept(interceptor: ((request: Request) => Promise<void>) | undefined): void;
}

export function createWire(): Wire {
  const handlers = new Map<string, Fetch>();
  const observers: ((request: Request, response: Response) => void)[] = [];
  let interceptor: ((request: Request) => Promise<void>) | undefined;
  return {
    async fetch(request) {
      await interceptor?.(request);
      const handler = handlers.get(new URL(request.url).origin);
      if (handler === undefined) throw new CodedError('PEER_UNREACHABLE', 'The organisation does not answer.', { why: 'Nothing listens at its address.', next: 'Check that it is running and try again.' });
      const response = await handler(request);
      for (const observer of observers) observer(request, response);
      return response;
    },
    attach: (origin, handler) => void handlers.set(origin, handler),
    detach: (origin) => void handlers.delete(origin),
    observe: (observer) => void observers.push(observer),
    intercept: (next) => {
      interceptor = next;
    },
  };
}
