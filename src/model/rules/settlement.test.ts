import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StatementLine } from '../drc.ts';
import type { Instant, OrgId, SlotTag } from '../ids.ts';
import type { RequestTemplate, TemplateRef } from '../template.ts';
import { amountOf, MAX_AMOUNT, settlementLine, splitByLargestRemainder, STATEMENT_LINES_MAX, statementOf, type SettledReceipt } from './settlement.ts';

type Price = RequestTemplate['price'];

const slot = (at: number): SlotTag => `${String(at).padStart(4, '0')}${'s'.repeat(39)}` as SlotTag;
const template = { id: 'hba1c', version: 1, digest: 'd'.repeat(43) } as TemplateRef;
const price = (perAnswer: string, perItem: string, [owner, keepers, operator]: readonly [number, number, number]): Price => ({ currency: 'EUR', perAnswer, perItem, split: { owner, keepers, operator } });
const receipt = (verified: number, keepers: Readonly<Record<string, number>>): SettledReceipt => ({ slot: slot(1), template, verified, keepers: Object.entries(keepers).map(([org, items]) => ({ org: org as OrgId, items })) });

describe('one settled answer', () => {
  // Worked out by hand: amount, owner, keepers in organisation order, operator.
  const rows: readonly [string, Price, SettledReceipt, readonly [string, string, readonly string[], string]][] = [
    ['an even split', price('100', '10', [6_000, 3_000, 1_000]), receipt(10, { 'HO-east': 10 }), ['200', '120', ['60'], '20']],
    ['a price of nothing', price('0', '0', [6_000, 3_000, 1_000]), receipt(3, { 'HO-east': 3 }), ['0', '0', ['0'], '0']],
    ['one unit goes to the largest remainder', price('1', '0', [3_333, 3_333, 3_334]), receipt(1, { 'HO-east': 1 }), ['1', '0', ['0'], '1']],
    ['a tie goes to the owner before the keepers', price('1', '0', [5_000, 5_000, 0]), receipt(1, { 'HO-east': 1 }), ['1', '1', ['0'], '0']],
    ['a tie goes to the keepers before the operator', price('1', '0', [0, 5_000, 5_000]), receipt(1, { 'HO-east': 1 }), ['1', '0', ['1'], '0']],
    ['two units left over go to the first two', price('101', '0', [3_300, 3_300, 3_400]), receipt(1, { 'HO-east': 1 }), ['101', '33', ['33'], '35']],
    ['keepers share by items', price('0', '100', [5_000, 4_000, 1_000]), receipt(4, { 'HO-east': 1, 'HO-west': 3 }), ['400', '200', ['40', '120'], '40']],
    ['the keepers\' tie goes by organisation id, whatever the order given', price('0', '5', [0, 10_000, 0]), receipt(2, { 'HO-west': 1, 'HO-east': 1 }), ['10', '0', ['5', '5'], '0']],
    ['the keepers\' odd unit goes to the first id', price('1', '0', [0, 10_000, 0]), receipt(2, { 'HO-west': 1, 'HO-east': 1 }), ['1', '0', ['1', '0'], '0']],
    ['keepers without verified items get nothing', price('10', '0', [0, 10_000, 0]), receipt(1, { 'HO-east': 0, 'HO-west': 1 }), ['10', '0', ['10'], '0']],
    ['without any verified item the keepers\' share is the owner\'s', price('10', '7', [5_000, 4_000, 1_000]), receipt(0, { 'HO-east': 0 }), ['10', '9', [], '1']],
    ['numbers beyond a float\'s precision', price('99999999999999', '90071992547409', [3_333, 3_333, 3_334]), receipt(9, { 'HO-east': 4, 'HO-west': 5 }), ['910647932926680', '303518956044463', ['134897313797539', '168621642246923'], '303610020837755']],
  ];

  it.each(rows)('%s', (_name, priced, given, [amount, owner, keepers, operator]) => {
    const line = settlementLine(given, priced);
    expect([line.amount, line.owner, line.keepers.map((keeper) => keeper.amount), line.operator]).toEqual([amount, owner, keepers, operator]);
    expect(StatementLine.safeParse(line).success).toBe(true);
  });

  it('adds up to the price to the last unit, for every price, split and number of keepers', () => {
    const amounts = fc.bigInt({ min: 0n, max: 999_999_999n });
    const splits = fc.tuple(fc.integer({ min: 0, max: 10_000 }), fc.integer({ min: 0, max: 10_000 })).map(([one, two]) => [Math.min(one, two), Math.abs(one - two), 10_000 - Math.max(one, two)] as const);
    const keepers = fc.uniqueArray(fc.integer({ min: 0, max: 99 }), { maxLength: 8 }).chain((orgs) => fc.tuple(...orgs.map((org) => fc.tuple(fc.constant(`HO-k${org}`), fc.integer({ min: 0, max: 500 })))));
    fc.assert(
      fc.property(amounts, amounts, splits, keepers, (perAnswer, perItem, split, items) => {
        const verified = items.reduce((sum, [, count]) => sum + count, 0);
        const line = settlementLine(receipt(verified, Object.fromEntries(items)), price(String(perAnswer), String(perItem), split));
        const shares = line.keepers.reduce((sum, keeper) => sum + BigInt(keeper.amount), 0n);
        expect(BigInt(line.owner) + shares + BigInt(line.operator)).toBe(BigInt(line.amount));
        expect(line.keepers.map((keeper) => keeper.org)).toEqual([...line.keepers.map((keeper) => keeper.org)].sort());
      }),
    );
  });

  it('gives no part more than a unit above or below its exact share', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: MAX_AMOUNT }), fc.array(fc.bigInt({ min: 0n, max: 10_000n }), { minLength: 1, maxLength: 9 }), (total, weights) => {
        const sum = weights.reduce((left, right) => left + right, 0n);
        fc.pre(sum > 0n);
        const shares = splitByLargestRemainder(total, weights);
        expect(shares.reduce((left, right) => left + right, 0n)).toBe(total);
        for (const [at, share] of shares.entries()) {
          const floor = (total * (weights[at] as bigint)) / sum;
          expect(share === floor || share === floor + 1n, `part ${at}`).toBe(true);
          if (weights[at] === 0n) expect(share).toBe(0n);
        }
      }),
    );
  });
});

describe('a statement', () => {
  const at = '2026-01-01T00:00:00.000Z' as Instant;
  const question = (count: number, priced: Price) => ({ duo: 'DUO-lab' as OrgId, number: 1, at, currency: 'EUR', receipts: Array.from({ length: count }, (_, index) => ({ receipt: { ...receipt(1, { 'HO-east': 1 }), slot: slot(index) }, price: priced })) });

  it('totals its lines', () => {
    const statement = statementOf(question(3, price('7', '2', [6_000, 3_000, 1_000])));
    expect(statement.total).toBe('27');
    expect(statement.lines.map((line) => line.slot)).toEqual([slot(0), slot(1), slot(2)]);
  });

  it('stops before a total that no amount can hold', () => {
    const large = price('400000000000000', '0', [10_000, 0, 0]);
    expect(statementOf(question(3, large))).toMatchObject({ total: '800000000000000', lines: [{}, {}] });
    expect(amountOf(large, 1)).toBeLessThan(MAX_AMOUNT);
  });

  it('holds a bounded number of lines', () => {
    expect(statementOf(question(STATEMENT_LINES_MAX + 1, price('1', '0', [10_000, 0, 0]))).lines).toHaveLength(STATEMENT_LINES_MAX);
  });
});
