/**
 * What an organisation does with its own stores once its channels live on another ledger: places and cursors of the old
 * one say nothing there. Run while the organisation is stopped; again without harm. Its channel trees are put aside, not
 * deleted, because proofs made before the move are held against them.
 */
import { readBlock } from '#ledger/block.ts';
import type { LedgerClient, LedgerSigner } from '#ledger/client.ts';
import type { OrgId } from '#model/ids.ts';
import { contractOf, hdcOf, orgClass } from '#model/orgs.ts';
import { openSqliteRecordStore } from '#store/record-store.ts';
import { setAside } from '#store/set-aside.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import type { AnchorRef } from '#store/ports.ts';

export interface SettleInOptions {
  readonly org: OrgId;
  /** The organisation's own folder. */
  readonly folder: string;
  /** The ledger that its channels moved to. */
  readonly ledger: LedgerClient;
  readonly height: (channel: string) => Promise<number>;
  /** Reads whole blocks of the organisation's channel. */
  readonly peer: LedgerSigner;
  /** Tells this move from others, in file names. */
  readonly mark: string;
}

/** Where each follower had got to on the ledger that was left. */
const CURSORS = ['cursor/revocations', 'follow/drc'];
const ANCHOR = /^\u0000anchor\u0000([^\u0000]+)\u0000$/;

/** Returns how many anchors were found again. Throws STORE_*, LEDGER_*. */
export async function settleIn(options: SettleInOptions): Promise<number> {
  const { org, folder, mark } = options;
  const store = openSqliteKeyValueStore(`${folder}/state.sqlite`);
  try {
    await store.write(new Map(CURSORS.map((name) => [name, undefined])));
  } finally {
    await store.close();
  }
  const found = orgClass(org) === 'ho' ? await moveAnchors(options) : 0;
  setAside(`${folder}/tree.sqlite`, mark);
  return found;
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

/** The first write of each anchor is where it stands; what follows are erasures of the same. */
async function* anchorsByBlock({ org, ledger, height, peer }: SettleInOptions): AsyncGenerator<ReadonlyMap<string, AnchorRef>> {
  const channel = hdcOf(org);
  const end = await height(channel);
  const stop = new AbortController();
  try {
    for await (const { number, bytes } of ledger.blocks({ channel, startBlock: 0, signer: peer, signal: stop.signal })) {
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
