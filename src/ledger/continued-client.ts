/**
 * A channel that moved here from another ledger, as its members count it: the blocks of the ledger before come first, and
 * block 0 here hangs on the last of them. So a member's tree, its checkpoints and whatever devices pinned go on growing.
 */
import type { LedgerClient } from './client.ts';

/** Where the channel ended before it came here. */
export interface Before {
  /** Number of blocks. */
  readonly height: number;
  readonly blockHash: Uint8Array;
}

/** The client with block numbers that go on from the ledger before; channels that never moved are untouched. Blocks from before are not to be had here. */
export function continuedClient(client: LedgerClient, beforeOf: (channel: string) => Before | undefined): LedgerClient {
  const offset = (channel: string): number => beforeOf(channel)?.height ?? 0;
  return {
    evaluate: (call) => client.evaluate(call),
    async submit(call) {
      const committed = await client.submit(call);
      return { ...committed, blockNumber: committed.blockNumber + offset(call.channel) };
    },
    async *blocks(options) {
      const before = beforeOf(options.channel);
      const from = offset(options.channel);
      for await (const event of client.blocks({ ...options, startBlock: Math.max(0, options.startBlock - from) })) {
        yield before !== undefined && event.number === 0 ? { ...event, number: from, hangsOn: before.blockHash } : { ...event, number: event.number + from };
      }
    },
    async *events(options) {
      const from = offset(options.channel);
      for await (const event of client.events({ ...options, startBlock: Math.max(0, options.startBlock - from) })) yield { ...event, blockNumber: event.blockNumber + from };
    },
  };
}
