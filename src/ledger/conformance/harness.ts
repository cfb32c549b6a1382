/** What the conformance suite needs of a ledger: three organisations on four channels, the probe on each. Any engine and any transport can provide it. */
import type { Json } from '#base/canonical-json.ts';
import type { Committed, LedgerClient, LedgerSigner } from '../client.ts';
import type { Step } from './probe.ts';

/**
 * `solo`: A alone. `pair`: A and B, both must endorse. `either`: A and B, one endorsement is enough. `theirs`: B alone.
 * C is on no channel. Collections of the probe on `either` and `pair`: `mine` (A), `both` (A, B), `open` (A; others' clients may read and write).
 */
export const channels = ['solo', 'pair', 'either', 'theirs'] as const;
export type ChannelName = (typeof channels)[number];

export interface Harness {
  readonly client: LedgerClient;
  /** MSP ids of the organisations. */
  readonly msp: { readonly a: string; readonly b: string; readonly c: string };
  /** Clients (`a`, `b`, `c`), an administrator and a peer of A. */
  readonly signers: { readonly a: LedgerSigner; readonly b: LedgerSigner; readonly c: LedgerSigner; readonly adminA: LedgerSigner; readonly peerA: LedgerSigner };
  /** Name of a channel on this ledger. */
  channel(name: ChannelName): string;
  /** The harness's idea of now, UTC milliseconds. */
  now(): number;
}

export interface Runner extends Harness {
  /** A key nobody else uses. */
  key(name?: string): string;
  submit(who: keyof Harness['signers'], channel: ChannelName, steps: readonly Step[], transient?: Readonly<Record<string, string>>): Promise<Committed>;
  evaluate(who: keyof Harness['signers'], channel: ChannelName, steps: readonly Step[], transient?: Readonly<Record<string, string>>): Promise<readonly Json[]>;
}

const encoder = new TextEncoder();

/** The harness with the words that the cases use. */
export function createRunner(harness: Harness): Runner {
  let count = 0;
  const call = (who: keyof Harness['signers'], channel: ChannelName, steps: readonly Step[], transient: Readonly<Record<string, string>> = {}) => ({
    channel: harness.channel(channel), contract: 'probe', name: 'run', input: steps as unknown as Json, signer: harness.signers[who], transient: new Map(Object.entries(transient).map(([name, value]) => [name, encoder.encode(value)])),
  });
  return {
    ...harness,
    key: (name = 'key') => `${name}-${String(++count).padStart(4, '0')}`,
    submit: (...args) => harness.client.submit(call(...args)),
    evaluate: async (...args) => (await harness.client.evaluate(call(...args))) as readonly Json[],
  };
}
