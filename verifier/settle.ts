/**
 * Recomputes every data user's bill from DRC alone, with code of its own: no import from src/, nothing but Node.
 *
 *   node verifier/settle.ts [blocks.jsonl]        (standard input when no file is named)
 *
 * Each input line is one block's facts:
 *   {"number":7,"transactions":[{"txId":"…","code":"VALID","writes":[{"namespace":"drc","key":"…","value":"base64url"|null}]}]}
 * One line of output per data user and currency:
 *   {"duo":"DUO-…","currency":"EUR","lines":n,"total":"…","unsettled":{"lines":n,"total":"…"},"statements":[{"number":1,"lines":n,"total":"…","stated":"…","agrees":true}]}
 * `lines` and `total` are over settled answers. Exit 0 when every statement on the ledger says the same, 6 when one does
 * not, 2 when the input cannot be read. Amounts are integers in minor units, as decimal text.
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

interface Price {
  readonly currency: string;
  readonly perItem: string;
  readonly perAnswer: string;
  readonly split: { readonly owner: number; readonly keepers: number; readonly operator: number };
}
interface Template {
  readonly digest: string;
  readonly template: { readonly price: Price };
}
interface Slot {
  readonly duo: string;
  readonly invitation?: { readonly template: { readonly id: string; readonly version: number; readonly digest: string } };
  readonly receipt?: { readonly verified: number; readonly keepers: readonly { readonly org: string; readonly items: number }[] };
}
interface Line {
  readonly slot: string;
  readonly items: number;
  readonly amount: string;
  readonly owner: string;
  readonly operator: string;
  readonly keepers: readonly { readonly org: string; readonly amount: string }[];
}
interface Statement {
  readonly duo: string;
  readonly number: number;
  readonly currency: string;
  readonly total: string;
  readonly lines: readonly Line[];
}

/** What the last valid write of each key says. */
export interface Ledger {
  readonly templates: Map<string, Template>;
  readonly slots: Map<string, Slot>;
  readonly settled: Map<string, number>;
  readonly statements: Map<string, Statement>;
}
export interface Bill {
  readonly duo: string;
  readonly currency: string;
  readonly lines: number;
  readonly total: string;
  readonly unsettled: { readonly lines: number; readonly total: string };
  readonly statements: readonly { readonly number: number; readonly lines: number; readonly total: string; readonly stated: string; readonly agrees: boolean }[];
}

export function emptyLedger(): Ledger {
  return { templates: new Map(), slots: new Map(), settled: new Map(), statements: new Map() };
}

/** Takes one block. Throws when the line is not a block's facts. */
export function readBlockLine(ledger: Ledger, line: string): void {
  const block = JSON.parse(line) as { readonly transactions: readonly { readonly code: string; readonly writes: readonly { readonly namespace: string; readonly key: string; readonly value: string | null }[] }[] };
  for (const { code, writes } of block.transactions) {
    if (code !== 'VALID') continue;
    for (const { namespace, key, value } of writes) if (namespace === 'drc') takeWrite(ledger, key, value);
  }
}

/** Composite keys: U+0000 type U+0000 attribute U+0000 … */
function takeWrite(ledger: Ledger, key: string, value: string | null): void {
  const [empty, type, ...attributes] = key.split('\u0000');
  if (empty !== '' || value === null) return;
  const parse = <T>(): T => JSON.parse(Buffer.from(value, 'base64url').toString('utf8')) as T;
  const name = attributes.slice(0, -1).join(' ');
  if (type === 'template') ledger.templates.set(parse<Template>().digest, parse());
  else if (type === 'slot') ledger.slots.set(name, parse());
  else if (type === 'settled') ledger.settled.set(name, parse<{ readonly statement: number }>().statement);
  else if (type === 'statement') ledger.statements.set(`${parse<Statement>().duo} ${parse<Statement>().number}`, parse());
}

/** Floors first, then one unit each to the largest remainders; equal remainders in the order given. */
function share(total: bigint, weights: readonly bigint[]): bigint[] {
  let sum = 0n;
  for (const weight of weights) sum += weight;
  const given = weights.map((weight) => (weight * total) / sum);
  const order = weights.map((weight, at) => ({ at, rest: (weight * total) % sum }));
  order.sort((one, other) => (one.rest < other.rest ? 1 : one.rest > other.rest ? -1 : one.at - other.at));
  let rest = total;
  for (const part of given) rest -= part;
  for (let at = 0; rest > 0n; at++, rest--) given[(order[at] as { at: number }).at]! += 1n;
  return given;
}

/** perAnswer + perItem × verified items; owner, then keepers in the order of their ids, then operator. */
function priceOf(tag: string, receipt: NonNullable<Slot['receipt']>, price: Price): Line {
  const amount = BigInt(price.perAnswer) + BigInt(price.perItem) * BigInt(receipt.verified);
  const { split } = price;
  let [owner, forKeepers, operator] = share(amount, [BigInt(split.owner), BigInt(split.keepers), BigInt(split.operator)]) as [bigint, bigint, bigint];
  const keepers = receipt.keepers.filter(({ items }) => items > 0).toSorted((one, other) => (one.org < other.org ? -1 : 1));
  const parts = keepers.length > 0 ? share(forKeepers, keepers.map(({ items }) => BigInt(items))) : [];
  // No keeper has a verified item: their share is the owner's.
  if (keepers.length === 0) owner += forKeepers;
  return { slot: tag, items: receipt.verified, amount: String(amount), owner: String(owner), operator: String(operator), keepers: keepers.map(({ org }, at) => ({ org, amount: String(parts[at]) })) };
}

interface Priced {
  readonly duo: string;
  readonly currency: string;
  readonly statement: number | undefined;
  readonly line: Line;
}

function pricedAnswers(ledger: Ledger): Priced[] {
  const priced: Priced[] = [];
  for (const [tag, { duo, invitation, receipt }] of ledger.slots) {
    if (receipt === undefined || invitation === undefined) continue;
    const price = ledger.templates.get(invitation.template.digest)?.template.price;
    if (price === undefined) throw new Error(`The template of slot ${tag} is not on the ledger.`);
    priced.push({ duo, currency: price.currency, statement: ledger.settled.get(tag), line: priceOf(tag, receipt, price) });
  }
  return priced;
}

const sum = (lines: readonly Priced[]): string => String(lines.reduce((total, { line }) => total + BigInt(line.amount), 0n));

/** One bill per data user and currency, in that order. */
export function bills(ledger: Ledger): Bill[] {
  const groups = Map.groupBy(pricedAnswers(ledger), ({ duo, currency }) => `${duo} ${currency}`);
  for (const { duo, currency } of ledger.statements.values()) if (!groups.has(`${duo} ${currency}`)) groups.set(`${duo} ${currency}`, []);
  return [...groups].toSorted(([one], [other]) => (one < other ? -1 : 1)).map(([name, answers]) => {
    const [duo, currency] = name.split(' ') as [string, string];
    const settled = answers.filter(({ statement }) => statement !== undefined);
    const open = answers.filter(({ statement }) => statement === undefined);
    const stated = [...ledger.statements.values()].filter((statement) => statement.duo === duo && statement.currency === currency).toSorted((one, other) => one.number - other.number);
    const statements = stated.map((statement) => compare(statement, settled.filter((answer) => answer.statement === statement.number)));
    return { duo, currency, lines: settled.length, total: sum(settled), unsettled: { lines: open.length, total: sum(open) }, statements };
  });
}

/** Line by line: every share of every answer must be the same to the last unit. */
function compare(statement: Statement, answers: readonly Priced[]): Bill['statements'][number] {
  const text = (line: Line): string => JSON.stringify([line.slot, line.items, line.amount, line.owner, line.operator, line.keepers.map(({ org, amount }) => [org, amount])]);
  const theirs = statement.lines.map(text).toSorted();
  const ours = answers.map(({ line }) => text(line)).toSorted();
  const agrees = statement.total === sum(answers) && theirs.length === ours.length && theirs.every((line, at) => line === ours[at]);
  return { number: statement.number, lines: answers.length, total: sum(answers), stated: statement.total, agrees };
}

async function main(file: string | undefined): Promise<number> {
  const ledger = emptyLedger();
  let lines = 0;
  try {
    for await (const line of createInterface({ input: file === undefined ? process.stdin : createReadStream(file), crlfDelay: Infinity })) {
      lines++;
      if (line.trim() !== '') readBlockLine(ledger, line);
    }
    const found = bills(ledger);
    for (const bill of found) console.log(JSON.stringify(bill));
    return found.every(({ statements }) => statements.every(({ agrees }) => agrees)) ? 0 : 6;
  } catch (error) {
    console.error(`Line ${lines}: ${error instanceof Error ? error.message : String(error)}`);
    return 2;
  }
}

if (import.meta.main) process.exitCode = await main(process.argv[2]);
