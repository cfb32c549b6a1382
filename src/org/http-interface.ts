/** An organisation's `fetch` function: its endpoint table and the common one, behind one authenticator. */
import { commonEndpoints } from '#api/endpoints.ts';
import type { EndpointTable } from '#api/endpoint.ts';
import type { Handlers } from '#api/handlers.ts';
import { openApiOf } from '#api/openapi.ts';
import { createRouter } from '#api/router.ts';
import type { Fetch } from '#base/ports.ts';
import { commonHandlers } from './common-handlers.ts';
import type { Consortium } from './consortium.ts';
import { createAuthenticator, type NonceStore } from './http-caller.ts';
import { observeHttp, type Metrics } from './metrics.ts';
import type { OrgDeps } from './types.ts';
import type { Exchange } from './witness/exchange.ts';
import type { Witness } from './witness/witness.ts';

export interface HttpInterfaceOptions<T extends EndpointTable> {
  readonly deps: Pick<OrgDeps, 'identity' | 'url' | 'clock' | 'random' | 'log'>;
  readonly table: T;
  readonly handlers: Handlers<T>;
  readonly consortium: Consortium;
  readonly witnesses: readonly Witness[];
  readonly exchange: Pick<Exchange, 'handlers'>;
  readonly metrics: Metrics;
  /** Origins of portals that may call from a browser. */
  readonly origins?: readonly string[];
  readonly nonces?: NonceStore;
  /** For the OpenAPI page. */
  readonly title: string;
}

export function createHttpInterface<T extends EndpointTable>(options: HttpInterfaceOptions<T>): Fetch {
  const { deps, consortium, witnesses, metrics } = options;
  const table: EndpointTable = { ...commonEndpoints, ...options.table };
  const openApi = openApiOf({ table, title: options.title, url: deps.url });
  const handlers = { ...commonHandlers({ metrics, witnesses, exchange: options.exchange, openApi }), ...options.handlers } as unknown as Handlers<EndpointTable>;
  return createRouter({
    table,
    handlers,
    authenticate: createAuthenticator({ url: deps.url, consortium, clock: deps.clock, ownRoot: deps.identity.ca.certificate, ...(options.nonces === undefined ? {} : { nonces: options.nonces }) }),
    org: deps.identity.org,
    clock: deps.clock,
    random: deps.random,
    log: deps.log,
    observe: observeHttp(metrics),
    ...(options.origins === undefined ? {} : { origins: options.origins }),
  });
}
