import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OrgId, SlotTag } from '#model/ids.ts';
import { statementOf, type SettledReceipt } from '#model/rules/settlement.ts';
import type { RequestTemplate, TemplateRef } from '#model/template.ts';
import { drcClient, type ContractClient } from './client.ts';
import { foundConsortium, publish, slotIn, templateOf, type Consortium } from './consortium.test-kit.ts';
import { codeOf, day, digestOf, EAST, INSURER, LAB, startNetwork, WEST, type Network } from './network.test-kit.ts';

let network: Network;
let consortium: Consortium;
let lab: ContractClient<'drc'>;
const euros = templateOf('euros', { price: { currency: 'EUR', perItem: '7', perAnswer: '101', split: { owner: 3_333, keepers: 3_333, operator: 3_334 } } });
const francs = templateOf('francs', { price: { currency: 'CHF', perItem: '1', perAnswer: '0', split: { owner: 10_000, keepers: 0, operator: 0 } } });
let inEuros: TemplateRef;
let inFrancs: TemplateRef;

beforeAll(async () => {
  network = await startNetwork();
  consortium = await foundConsortium(network);
  inEuros = await publish(consortium, euros);
  inFrancs = await publish(consortium, francs);
  lab = drcClient(network.ledger, consortium.systemOf(LAB));
});
afterAll(() => network.close());

async function receive(name: string, template: TemplateRef, items: Readonly<Record<string, number>>): Promise<SettledReceipt> {
  const { slot } = await slotIn(consortium, { phase: 'answered', name, template });
  const keepers = Object.entries(items).map(([org, count]) => ({ org: org as OrgId, items: count }));
  const verified = keepers.reduce((sum, keeper) => sum + keeper.items, 0);
  await lab.submit('putReceipt', { slot, packageDigest: digestOf(name), delivered: verified + 1, verified, keepers });
  return { slot, template, verified, keepers };
}

const priced = (receipts: readonly SettledReceipt[], { price }: RequestTemplate) => [...receipts].sort((a, b) => (a.slot < b.slot ? -1 : 1)).map((receipt) => ({ receipt, price }));

describe('settlement', () => {
  it('equals the pure rule over the receipts, one currency at a time, and marks what it settled', async () => {
    const inEuro = [await receive('one', inEuros, { [EAST]: 3, [WEST]: 2 }), await receive('two', inEuros, { [WEST]: 1 }), await receive('three', inEuros, {})];
    const inFranc = [await receive('four', inFrancs, { [EAST]: 5 })];
    expect(await codeOf(lab.submit('settle', { number: 2 }))).toBe('STATEMENT_NUMBER');
    const first = (await lab.submit('settle', { number: 1 })).output;
    const second = (await lab.submit('settle', { number: 2 })).output;
    expect(first).toEqual(statementOf({ duo: LAB, number: 1, at: day(0), currency: 'CHF', receipts: priced(inFranc, francs) }));
    expect(second).toEqual(statementOf({ duo: LAB, number: 2, at: day(0), currency: 'EUR', receipts: priced(inEuro, euros) }));
    expect([first.total, second.total]).toEqual(['5', '345']);
    expect(await lab.evaluate('getStatement', { number: 2 })).toEqual(second);
    for (const { slot } of inEuro) expect((await lab.evaluate('getSlot', { slot })).receipt?.statement).toBe(2);
    expect(await codeOf(lab.submit('settle', { number: 3 }))).toBe('NOTHING_TO_SETTLE');
  });

  it('goes on with what came after', async () => {
    const next = await receive('five', inEuros, { [EAST]: 1 });
    expect((await lab.evaluate('getSlot', { slot: next.slot })).receipt?.statement).toBeUndefined();
    expect((await lab.submit('settle', { number: 3 })).output.lines.map((line) => line.slot)).toEqual([next.slot]);
  });

  it('counts a receipt once, however many settlements and receipts are sent at the same moment', async () => {
    const receipts: SettledReceipt[] = [];
    for (let at = 0; at < 4; at++) receipts.push(await receive(`race ${at}`, inEuros, { [EAST]: at }));
    const codes = await Promise.all(Array.from({ length: 8 }, () => codeOf(lab.submit('settle', { number: 4 }))));
    expect(codes.filter((code) => code === 'allowed')).toHaveLength(1);
    expect((await lab.evaluate('getStatement', { number: 4 })).lines).toHaveLength(4);
    const slot = (receipts[0] as SettledReceipt).slot;
    expect(await codeOf(lab.submit('putReceipt', { slot, packageDigest: digestOf('again'), delivered: 0, verified: 0, keepers: [] }))).toBe('RECEIPT_EXISTS');
  });

  it('of one data user is not another\'s to make or read', async () => {
    const insurer = drcClient(network.ledger, consortium.systemOf(INSURER));
    expect(await codeOf(insurer.evaluate('getStatement', { number: 1 }))).toBe('STATEMENT_UNKNOWN');
    expect(await codeOf(insurer.submit('settle', { number: 1 }))).toBe('NOTHING_TO_SETTLE');
  });

  it('refuses receipts that do not add up', async () => {
    const { slot } = await slotIn(consortium, { phase: 'answered', name: 'inconsistent', template: inEuros });
    const receipt = { slot: slot as SlotTag, packageDigest: digestOf('p'), delivered: 2, verified: 2, keepers: [{ org: EAST, items: 1 }] };
    expect(await codeOf(lab.submit('putReceipt', receipt))).toBe('RECEIPT_INCONSISTENT');
    expect(await codeOf(lab.submit('putReceipt', { ...receipt, verified: 3, keepers: [{ org: EAST, items: 3 }] }))).toBe('RECEIPT_INCONSISTENT');
    expect(await codeOf(lab.submit('putReceipt', { ...receipt, keepers: [{ org: LAB, items: 2 }] }))).toBe('RECEIPT_INCONSISTENT');
  });
});
