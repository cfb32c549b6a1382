/**
 * What an organisation does with its own stores once its channels live on another ledger. Its channel trees take what is
 * left of the old blocks from the archive and then go on with the new ones; places of anchors are found again; cursors
 * begin anew. Run while the organisation is stopped; again without harm.
 */
import { silentLog, type Clock, type Scheduler } from '#base/ports.ts';
import { readBlock } from '#ledger/block.ts';
import type { LedgerClient } from '#ledger/client.ts';
import { type ChannelName, type OrgId } from '#model/ids.ts';
import { channelOrgs, contractOf, hdcOf, orgClass } from '#model/orgs.ts';
import { openSqliteRecordStore } from '#store/record-store.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import type { AnchorRef } from '#store/ports.ts';
import { openTreeStore } from '#store/tree-store.ts';
import type { KeptOrgIdentity } from '../identity.ts';
import { createMemory } from '../witness/exchange.ts';
import { createWitness } from '../witness/witness.ts';

export interface SettleInOptions {
  readonly identity: KeptOrgIdentity;
  /** The organisation's own folder. */
  readonly folder: string;
  /** All organisations. */
  readonly members: readonly OrgId[];
  readonly channels: readonly ChannelName[];
  /** The ledger that the channels moved to, counted on (`ledger/continued-client.ts`), and its heights, counted alike. */
  readonly ledger: LedgerClient;
  readonly height: (channel: ChannelName) => Promise<number>;
  readonly archive: (channel: ChannelName) => Iterable<Uint8Array>;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
}

/** Where each follower had got to on the ledger that was left. */
const CURSORS = ['cursor/revocations', 'follow/drc'];
const ANCHOR = /^\u0000anchor\u0000([^\u0000]+)\u0000$/;

/** Returns how many anchors were found again. Throws STORE_*, LEDGER_*, WITNESS_BEHIND when the archive is not whole. */
export async function settleIn(options: SettleInOptions): Promise<number> {
  const { identity, folder } = options;
  const store = openSqliteKeyValueStore(`${folder}/state.sqlite`);
  const trees = openTreeStore(`${folder}/tree.sqlite`);
  try {
    await store.write(new Map(CURSORS.map((name) => [name, undefined])));
    const { heads } = createMemory({ deps: { store, log: silentLog }, consortium: { members: () => [] } });
    for (const channel of options.channels.filter((one) => channelOrgs(one, options.members).peers.includes(identity.org))) {
      const { ledger, blocks } = archived(options.archive(channel));
      const witness = createWitness({ ...options, channel, ledger, heads, store: trees, log: silentLog });
      await witness.start();
      await witness.caughtUp(blocks() - 1);
      await witness.close();
    }
  } finally {
    trees.close();
    await store.close();
  }
  return orgClass(identity.org) === 'ho' ? moveAnchors(options) : 0;
}

/** The archive as a ledger that shows its blocks and then waits. */
function archived(file: Iterable<Uint8Array>): { readonly ledger: LedgerClient; readonly blocks: () => number } {
  const bytes = [...file];
  const unknown = (): Promise<never> => Promise.reject(new Error('an archive is only read'));
  return {
    blocks: () => bytes.length,
    ledger: {
      submit: unknown, evaluate: unknown, events: () => ({ [Symbol.asyncIterator]: () => ({ next: unknown }) }),
      async *blocks({ startBlock, signal }) {
        for (let number = startBlock; number < bytes.length && signal?.aborted !== true; number++) yield { number, bytes: bytes[number] as Uint8Array };
        await new Promise<void>((done) => (signal === undefined || signal.aborted ? done() : signal.addEventListener('abort', () => done(), { once: true })));
      },
    },
  };
}

/** Later proofs name the place where the anchor stands now. */
async function moveAnchors(options: SettleInOptions): Promise<number> {
  const records = openSqliteRecordStore(`${options.folder}/records.sqlite`);
  try {
    let moved = 0;
    for await (const places of anchorsByBlock(options)) moved += await records.moveAnchors(places);
    return moved;
  } finally {
    await records.close();
  }
}

async function* anchorsByBlock({ identity, ledger, height }: SettleInOptions): AsyncGenerator<ReadonlyMap<string, AnchorRef>> {
  const channel = hdcOf(identity.org);
  const end = await height(channel);
  const stop = new AbortController();
  try {
    for await (const { number, bytes } of ledger.blocks({ channel, startBlock: 0, signer: identity.peer, signal: stop.signal })) {
      const places = new Map<string, AnchorRef>();
      for (const transaction of readBlock(bytes).transactions) {
        if (transaction.code !== 'VALID' || transaction.contract !== contractOf(channel)) continue;
        for (const { key, value } of transaction.writes) {
          const id = value === null ? undefined : ANCHOR.exec(key)?.[1];
          if (id !== undefined) places.set(id, { txId: transaction.txId, blockNumber: number });
        }
      }
      if (places.size > 0) yield places;
      if (number + 1 >= end) return;
    }
  } finally {
    stop.abort();
  }
}
