/** C9: a data user's statement over its unsettled receipts, deterministic, so that everybody computes the same bill. */
import type { Json } from '#base/canonical-json.ts';
import type { ContractStub } from '#ledger/stub.ts';
import type { Statement, TemplateState } from '#model/drc.ts';
import type { OrgId, SlotTag } from '#model/ids.ts';
import { decideSettle } from '#model/rules/drc.ts';
import { STATEMENT_LINES_MAX, statementOf, type SettledReceipt } from '#model/rules/settlement.ts';
import { codedRefusal, enforce, refuse } from '#model/rules/verdict.ts';
import type { RequestTemplate } from '#model/template.ts';
import { deleteState, orderedNumber, readState, rowsUnder, writeState, type Key } from './state.ts';
import type { Transaction } from './table.ts';

const headKey = (duo: OrgId): Key => ['statement-head', duo];
const statementKey = (duo: OrgId, number: number): Key => ['statement', duo, orderedNumber(number)];

interface Unsettled {
  readonly currency: string;
  readonly receipts: readonly SettledReceipt[];
}

/** Receipts of the first currency that has any, in slot order. Other currencies are the next statements'. */
async function unsettledOf(stub: ContractStub, duo: OrgId): Promise<Unsettled> {
  let currency = '';
  const receipts: SettledReceipt[] = [];
  for await (const { attributes, value } of rowsUnder<Omit<SettledReceipt, 'slot'>>(stub, ['unsettled', duo])) {
    const [, found, slot] = attributes as [string, string, SlotTag];
    if (currency === '') currency = found;
    if (found !== currency || receipts.length === STATEMENT_LINES_MAX) break;
    receipts.push({ ...value, slot });
  }
  return { currency, receipts };
}

async function pricesOf(stub: ContractStub, receipts: readonly SettledReceipt[]): Promise<ReadonlyMap<string, RequestTemplate['price']>> {
  const prices = new Map<string, RequestTemplate['price']>();
  for (const { template } of receipts) {
    if (prices.has(template.digest)) continue;
    const state = await readState<TemplateState>(stub, ['template', template.id, orderedNumber(template.version)]);
    if (state === undefined) throw codedRefusal(refuse('TEMPLATE_UNKNOWN'));
    prices.set(template.digest, state.template.price);
  }
  return prices;
}

/** Writes the statement and marks its receipts. Throws STATEMENT_NUMBER, NOTHING_TO_SETTLE. */
export async function settle({ stub, caller, now }: Transaction, { number }: { readonly number: number }): Promise<{ readonly output: Statement; readonly event: Json }> {
  const duo = caller.org;
  const head = await readState<{ readonly number: number }>(stub, headKey(duo));
  const { currency, receipts } = await unsettledOf(stub, duo);
  enforce(decideSettle({ number, last: head?.number ?? 0, receipts: receipts.length }));
  const prices = await pricesOf(stub, receipts);
  const priced = receipts.map((receipt) => ({ receipt, price: prices.get(receipt.template.digest) as RequestTemplate['price'] }));
  const statement = statementOf({ duo, number, at: await now(), currency, receipts: priced });
  for (const { slot } of statement.lines) {
    await deleteState(stub, ['unsettled', duo, currency, slot]);
    await writeState(stub, ['settled', slot], { statement: number });
  }
  await writeState(stub, statementKey(duo, number), statement as unknown as Json);
  await writeState(stub, headKey(duo), { number });
  return { output: statement, event: { duo, number } };
}

/** One of the caller's own statements. Throws STATEMENT_UNKNOWN. */
export async function getStatement({ stub, caller }: Transaction, { number }: { readonly number: number }): Promise<{ readonly output: Statement }> {
  const output = await readState<Statement>(stub, statementKey(caller.org, number));
  if (output === undefined) throw codedRefusal(refuse('STATEMENT_UNKNOWN'));
  return { output };
}
