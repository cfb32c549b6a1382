/** Puts a `fetch` function behind a TCP port. */
import { createAdaptorServer } from '@hono/node-server';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CodedError } from '#base/errors.ts';
import type { Fetch } from '#base/ports.ts';

export interface Listening {
  readonly port: number;
  /** Base URL on loopback. */
  readonly url: string;
  /** Stops taking connections and waits for the open ones, at most two seconds. */
  close(): Promise<void>;
}

const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 120_000;
const CLOSE_GRACE_MS = 2_000;

/**
 * Listens on a host (loopback unless said otherwise) and port; port 0 takes a free one.
 * @throws CodedError PORT_IN_USE, PORT_REFUSED.
 */
export async function listen(options: { readonly fetch: Fetch; readonly port: number; readonly host?: string }): Promise<Listening> {
  const host = options.host ?? '127.0.0.1';
  const server = createAdaptorServer({ fetch: (request: Request) => options.fetch(request), overrideGlobalObjects: false }) as Server;
  server.headersTimeout = HEADERS_TIMEOUT_MS;
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(refusal(error, host, options.port)));
    server.listen(options.port, host, resolve);
  });
  const port = (server.address() as AddressInfo).port;
  return { port, url: `http://${host}:${port}`, close: () => closeServer(server) };
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
    server.close(() => {
      clearTimeout(force);
      resolve();
    });
    server.closeIdleConnections();
  });
}

function refusal(error: NodeJS.ErrnoException, host: string, port: number): CodedError {
  if (error.code === 'EADDRINUSE') return new CodedError('PORT_IN_USE', `Port ${port} on ${host} is taken.`, { why: 'Another program listens there.', next: 'Stop that program, or choose another port with --port.' }, { cause: error });
  return new CodedError('PORT_REFUSED', `Port ${port} on ${host} cannot be used.`, { why: `The system answered ${error.code ?? 'an error'}.`, next: 'Choose a port above 1023 with --port.' }, { cause: error });
}
