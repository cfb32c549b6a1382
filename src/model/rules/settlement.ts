/**
 * The price of an answer and how it is shared. Integer arithmetic in minor units, split by the largest remainder, so
 * that the shares add up to the price to the last unit on every machine.
 */
import type { Statement, StatementLine } from '../drc.ts';
import type { Instant, OrgId, SlotTag } from '../ids.ts';
import type { Amount, RequestTemplate, TemplateRef } from '../template.ts';

/** `Amount` holds at most 15 digits. */
export const MAX_AMOUNT = 999_999_999_999_999n;
/** A statement's lines; what is left is settled by the next one. Keeps a settlement well below a ledger transaction's size. */
export const STATEMENT_LINES_MAX = 5_000;

/** What settling needs of one receipt. */
export interface SettledReceipt {
  readonly slot: SlotTag;
  readonly template: TemplateRef;
  readonly verified: number;
  readonly keepers: readonly { readonly org: OrgId; readonly items: number }[];
}

/** perAnswer + perItem × verified, in minor units. */
export function amountOf(price: RequestTemplate['price'], verified: number): bigint {
  return BigInt(price.perAnswer) + BigInt(price.perItem) * BigInt(verified);
}

/**
 * Splits a whole amount by weights: each part gets the floor of its exact share, the units left over go to the largest
 * remainders, earlier parts first when remainders are equal. The weights' sum must be positive.
 */
export function splitByLargestRemainder(total: bigint, weights: readonly bigint[]): readonly bigint[] {
  const sum = weights.reduce((left, right) => left + right, 0n);
  const parts = weights.map((weight, at) => ({ at, share: (total * weight) / sum, remainder: (total * weight) % sum }));
  let left = total - parts.reduce((given, part) => given + part.share, 0n);
  const shares = parts.map((part) => part.share);
  for (const part of [...parts].sort((a, b) => (a.remainder === b.remainder ? a.at - b.at : a.remainder > b.remainder ? -1 : 1))) {
    if (left === 0n) break;
    shares[part.at] = (shares[part.at] as bigint) + 1n;
    left -= 1n;
  }
  return shares;
}

/**
 * One settled answer. Ties go to the owner, then to the keepers by organisation id, then to the operator. Where no
 * keeper has a verified item, the keepers' share is the owner's.
 */
export function settlementLine(receipt: SettledReceipt, price: RequestTemplate['price']): StatementLine {
  const amount = amountOf(price, receipt.verified);
  const [ownerPart, keepersPart, operator] = splitByLargestRemainder(amount, [price.split.owner, price.split.keepers, price.split.operator].map(BigInt)) as [bigint, bigint, bigint];
  const keepers = receipt.keepers.filter((keeper) => keeper.items > 0).sort((a, b) => (a.org < b.org ? -1 : 1));
  const shares = keepers.length === 0 ? [] : splitByLargestRemainder(keepersPart, keepers.map((keeper) => BigInt(keeper.items)));
  return {
    slot: receipt.slot,
    template: receipt.template,
    items: receipt.verified,
    amount: toAmount(amount),
    owner: toAmount(keepers.length === 0 ? ownerPart + keepersPart : ownerPart),
    operator: toAmount(operator),
    keepers: keepers.map((keeper, at) => ({ org: keeper.org, amount: toAmount(shares[at] as bigint) })),
  };
}

export interface StatementQuestion {
  readonly duo: OrgId;
  readonly number: number;
  readonly at: Instant;
  readonly currency: string;
  /** In slot order, each with the price of its template. */
  readonly receipts: readonly { readonly receipt: SettledReceipt; readonly price: RequestTemplate['price'] }[];
}

/** The statement over the receipts in slot order; stops before the line that would make the total too long for an amount. */
export function statementOf({ duo, number, at, currency, receipts }: StatementQuestion): Statement {
  const lines: StatementLine[] = [];
  let total = 0n;
  for (const { receipt, price } of receipts.slice(0, STATEMENT_LINES_MAX)) {
    const line = settlementLine(receipt, price);
    if (total + BigInt(line.amount) > MAX_AMOUNT) break;
    total += BigInt(line.amount);
    lines.push(line);
  }
  return { duo, number, currency, lines, total: toAmount(total), at };
}

function toAmount(value: bigint): Amount {
  return value.toString();
}
