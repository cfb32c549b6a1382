/** What every organisation answers: health, readiness, metrics, its own interface, co-signatures. */
import type { commonEndpoints } from '#api/endpoints.ts';
import type { Handlers } from '#api/handlers.ts';
import { CodedError } from '#base/errors.ts';
import { parseCheckpoint } from '#crypto/checkpoint.ts';
import type { Metrics } from './metrics.ts';
import { originOf, type Witness } from './witness/witness.ts';

const COSIGN_WAIT_BLOCKS = 2;

export interface CommonParts {
  readonly metrics: Metrics;
  /** One per channel on which the organisation runs a peer. */
  readonly witnesses: readonly Witness[];
  /** Built once by `openApiOf`. */
  readonly openApi: unknown;
}

export function commonHandlers({ metrics, witnesses, openApi }: CommonParts): Handlers<typeof commonEndpoints> {
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
    async cosign({ body }) {
      const { origin, height } = parseCheckpoint(body.note);
      const witness = witnesses.find((one) => originOf(one.channel) === origin);
      if (witness === undefined) throw new CodedError('CHANNEL_UNKNOWN', 'This member runs no peer on that channel.');
      // Members see a block at slightly different moments; one that is about to arrive is worth the wait.
      if (height > witness.height() && height <= witness.height() + COSIGN_WAIT_BLOCKS) await witness.caughtUp(height - 1);
      return { note: await witness.cosign(body.note) };
    },
  };
}

function readiness(witnesses: readonly Witness[]): Response {
  const channels = Object.fromEntries(witnesses.map((witness) => [witness.channel, { ready: witness.sound() && witness.height() > 0, height: witness.height() }]));
  const ready = Object.values(channels).every((channel) => channel.ready);
  // Load balancers look at the status only.
  return new Response(JSON.stringify({ ready, channels }), { status: ready ? 200 : 503, headers: { 'content-type': 'application/json' } });
}
