/** A channel's whole state, read as an administrator of an organisation with a peer reads it: page by page, through the contract. */
import { fromBase64url } from '#base/bytes.ts';
import type { ContractClient } from '#contracts/client.ts';
import { compareKeys } from '#ledger/key-order.ts';
import { stateRootOf, type StateLeaf, type StateRoot } from '#ledger/state-root.ts';
import type { StateRow } from '#model/move.ts';
import type { ChannelKind } from '#model/orgs.ts';

const PAGE = 500;

/** Rows in key order, from a key on. The channel must be frozen, or pages of different moments are put together. */
export async function* readRows(contract: ContractClient<ChannelKind>, from = ''): AsyncGenerator<StateRow> {
  for (let at = from; ; ) {
    const page = await contract.evaluate('readState', { from: at, pageSize: PAGE });
    yield* page.rows;
    if (page.next === '') return;
    at = page.next;
  }
}

export const leafOf = ({ key, value, policy }: StateRow): StateLeaf => ({ key, value: fromBase64url(value), policy: fromBase64url(policy) });

async function* leaves(rows: AsyncIterable<StateRow>): AsyncGenerator<StateLeaf> {
  for await (const row of rows) yield leafOf(row);
}

/** The root of everything that the contract shows. */
export function readRoot(contract: ContractClient<ChannelKind>): Promise<StateRoot> {
  return stateRootOf(leaves(readRows(contract)));
}

/** The first key that two states do not have alike; undefined when they are the same. */
export async function firstDifference(left: AsyncIterable<StateRow>, right: AsyncIterable<StateRow>): Promise<string | undefined> {
  const ours = left[Symbol.asyncIterator]();
  const theirs = right[Symbol.asyncIterator]();
  for (;;) {
    const [one, other] = [await ours.next(), await theirs.next()];
    if (one.done === true && other.done === true) return undefined;
    if (one.done === true || other.done === true) return one.done === true ? (other.value as StateRow).key : one.value.key;
    if (one.value.key !== other.value.key || one.value.value !== other.value.value || one.value.policy !== other.value.policy) return compareKeys(one.value.key, other.value.key) < 0 ? one.value.key : other.value.key;
  }
}
