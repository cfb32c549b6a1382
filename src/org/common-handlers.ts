/** What every organisation answers: health, readiness, metrics, its own interface, checkpoints. */
import type { commonEndpoints } from '#api/endpoints.ts';
import type { Handlers } from '#api/handlers.ts';
import type { Metrics } from './metrics.ts';
import type { Exchange } from './witness/exchange.ts';
import type { Witness } from './witness/witness.ts';

export interface CommonParts {
  readonly metrics: Metrics;
  /** One per channel on which the organisation runs a peer. */
  readonly witnesses: readonly Witness[];
  readonly exchange: Pick<Exchange, 'handlers'>;
  /** Built once by `openApiOf`. */
  readonly openApi: unknown;
}

export function commonHandlers({ metrics, witnesses, exchange, openApi }: CommonParts): Handlers<typeof commonEndpoints> {
  return {
    health: () => ({ status: 'ok' as const }),
    ready: () => readiness(witnesses),
    metrics() {
      for (const witness of witnesses) {
        metrics.set('healthkeep_channel_height_blocks', witness.height(), { channel: witness.channel });
        metrics.set('healthkeep_channel_tree_leaves', witness.size(), { channel: witness.channel });
      }
      return new Response(metrics.text(), { headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' } });
    },
    openapi: () => openApi,
    ...exchange.handlers,
  };
}

function readiness(witnesses: readonly Witness[]): Response {
  const channels = Object.fromEntries(witnesses.map((witness) => [witness.channel, { ready: witness.sound() && witness.height() > 0, height: witness.height() }]));
  const ready = Object.values(channels).every((channel) => channel.ready);
  // Load balancers look at the status only.
  return new Response(JSON.stringify({ ready, channels }), { status: ready ? 200 : 503, headers: { 'content-type': 'application/json' } });
}
