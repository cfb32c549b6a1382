/** Counts taken from the blocks of a network, never assumed: what the ledger says happened. */
import { fromUtf8 } from '#base/bytes.ts';
import type { LedgerClient, LedgerSigner } from '#ledger/client.ts';
import { readBlock, type BlockFacts } from '#ledger/block.ts';
import type { ChannelName } from '#model/ids.ts';

export interface ChannelCensus {
  readonly channel: ChannelName;
  readonly blocks: number;
  /** Valid transactions by function name. */
  readonly transactions: ReadonlyMap<string, number>;
  readonly invalid: number;
  /** Last value of every key, by object type of its composite key; deleted keys are gone. */
  readonly state: ReadonlyMap<string, ReadonlyMap<string, Uint8Array>>;
}

/** Reads every block of a channel up to `height`. */
export async function takeCensus(options: { readonly client: LedgerClient; readonly channel: ChannelName; readonly signer: LedgerSigner; readonly height: number; readonly onBlock?: (block: BlockFacts, bytes: Uint8Array) => void }): Promise<ChannelCensus> {
  const transactions = new Map<string, number>();
  const state = new Map<string, Map<string, Uint8Array>>();
  let invalid = 0;
  let blocks = 0;
  const stop = new AbortController();
  for await (const event of options.client.blocks({ channel: options.channel, startBlock: 0, signer: options.signer, signal: stop.signal })) {
    const block = readBlock(event.bytes);
    options.onBlock?.(block, event.bytes);
    blocks++;
    for (const transaction of block.transactions) {
      if (transaction.code !== 'VALID') {
        invalid++;
        continue;
      }
      if (transaction.function !== undefined) transactions.set(transaction.function, (transactions.get(transaction.function) ?? 0) + 1);
      for (const write of transaction.writes) applyWrite(state, write);
    }
    if (event.number + 1 >= options.height) {
      stop.abort();
      break;
    }
  }
  return { channel: options.channel, blocks, transactions, invalid, state };
}

function applyWrite(state: Map<string, Map<string, Uint8Array>>, write: { readonly key: string; readonly value: Uint8Array | null }): void {
  const type = write.key.startsWith('\u0000') ? (write.key.split('\u0000')[1] as string) : '';
  const keys = state.get(type) ?? new Map<string, Uint8Array>();
  state.set(type, keys);
  if (write.value === null) keys.delete(write.key);
  else keys.set(write.key, write.value);
}

/** Number of valid transactions of a function. */
export function count(census: ChannelCensus, name: string): number {
  return census.transactions.get(name) ?? 0;
}

/** The parsed states of one object type. */
export function states<T>(census: ChannelCensus, type: string, parse: (value: unknown) => T): T[] {
  return [...(census.state.get(type)?.values() ?? [])].map((value) => parse(JSON.parse(fromUtf8(value))));
}
