/** What the conformance suite needs of a ledger: three organisations on four channels, the probe on each. Any engine and any transport can provide it. */
import { isDeepStrictEqual } from 'node:util';
import type { Json } from '#base/canonical-json.ts';
import { realScheduler } from '#sim/seams.ts';
import type { Committed, LedgerClient, LedgerSigner } from '../client.ts';
import type { GatewayTransport } from '../transport.ts';
import { byHand, type ByHand } from './by-hand.ts';
import type { Step } from './probe.ts';

/**
 * `solo`: A alone. `pair`: A and B, both must endorse. `either`: A and B, one endorsement is enough. `theirs`: B alone.
 * C is on no channel. Collections of the probe on `either` and `pair`: `mine` (A), `both` (A, B), `open` (A; others' clients may read and write).
 */
export const channels = ['solo', 'pair', 'either', 'theirs'] as const;
export type ChannelName = (typeof channels)[number];

export interface Signers {
  /** Clients with the attribute `test.role=system`. */
  readonly a: LedgerSigner;
  readonly b: LedgerSigner;
  readonly c: LedgerSigner;
  /** An administrator and a peer of A. */
  readonly adminA: LedgerSigner;
  readonly peerA: LedgerSigner;
}

export type SignerName = keyof Signers;

/** What not every network can do: taking a client's certificate back, showing one that has ended. Cases that need it say so. */
export interface Abilities {
  readonly revocation?: { readonly signer: LedgerSigner; revoke(): Promise<void> };
  readonly expiry?: { readonly signer: LedgerSigner };
}

export interface Harness extends Abilities {
  readonly client: LedgerClient;
  /** The gateway that this signer's organisation uses for the channel. */
  transport(who: SignerName, channel: ChannelName): GatewayTransport;
  /** MSP ids of the organisations. */
  readonly msp: { readonly a: string; readonly b: string; readonly c: string };
  readonly signers: Signers;
  /** Name of a channel on this ledger. */
  channel(name: ChannelName): string;
  /** The harness's idea of now, UTC milliseconds. */
  now(): number;
  /** Milliseconds that a change may take to reach every member's peer; 0 where all read one state. */
  readonly patience: number;
}

export interface Runner extends Harness, ByHandCalls {
  /** A key nobody else uses. */
  key(name?: string): string;
  submit(who: SignerName, channel: ChannelName, steps: readonly Step[], transient?: Readonly<Record<string, string>>): Promise<Committed>;
  evaluate(who: SignerName, channel: ChannelName, steps: readonly Step[], transient?: Readonly<Record<string, string>>): Promise<readonly Json[]>;
  /** Evaluates until the answer is the expected one or patience has run out, and returns the last answer: for what another's peer must first be told. */
  sees(who: SignerName, channel: ChannelName, steps: readonly Step[], expected: readonly Json[]): Promise<readonly Json[]>;
}

interface ByHandCalls {
  readonly hand: ByHand;
}

const encoder = new TextEncoder();
let runners = 0;

/** The harness with the words that the cases use. */
export function createRunner(harness: Harness): Runner {
  // A network that outlives a run has the keys of earlier runs.
  const run = `${harness.patience > 0 ? harness.now().toString(36) : ''}${(++runners).toString(36)}`;
  let count = 0;
  const call = (who: SignerName, channel: ChannelName, steps: readonly Step[], transient: Readonly<Record<string, string>> = {}) => ({
    channel: harness.channel(channel), contract: 'probe', name: 'run', input: steps as unknown as Json, signer: harness.signers[who], transient: new Map(Object.entries(transient).map(([name, value]) => [name, encoder.encode(value)])),
  });
  const evaluate: Runner['evaluate'] = async (...args) => (await harness.client.evaluate(call(...args))) as readonly Json[];
  return {
    ...harness,
    hand: byHand(harness),
    key: (name = 'key') => `${name}-${run}-${String(++count).padStart(4, '0')}`,
    submit: (...args) => harness.client.submit(call(...args)),
    evaluate,
    async sees(who, channel, steps, expected) {
      const until = performance.now() + harness.patience;
      for (;;) {
        try {
          const answer = await evaluate(who, channel, steps);
          if (isDeepStrictEqual(answer, expected) || performance.now() >= until) return answer;
        } catch (error) {
          if (performance.now() >= until) throw error;
        }
        await realScheduler.sleep(200);
      }
    },
  };
}
