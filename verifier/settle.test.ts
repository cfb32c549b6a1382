import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { statementOf } from '../src/model/rules/settlement.ts';
import { bills, emptyLedger, readBlockLine } from './settle.ts';

const script = join(import.meta.dirname, 'settle.ts');
const tag = (at: number): string => String(at).padStart(43, 'S');
const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const key = (...parts: readonly string[]): string => `\u0000${parts.join('\u0000')}\u0000`;
type Write = { namespace: string; key: string; value: string | null };
const block = (number: number, writes: readonly Write[], code = 'VALID'): string => JSON.stringify({ number, transactions: [{ txId: String(number), code, writes }] });
const write = (name: string, value: unknown): Write => ({ namespace: 'drc', key: name, value: encode(value) });

const amount = fc.bigInt({ min: 0n, max: 99_999_999n }).map(String);
const split = fc.tuple(fc.nat(10_000), fc.nat(10_000)).map(([one, other]) => ({ owner: Math.min(one, other), keepers: Math.abs(one - other), operator: 10_000 - Math.max(one, other) }));
const price = fc.record({ currency: fc.constantFrom('EUR', 'CHF'), perItem: amount, perAnswer: amount, split });
const keepers = fc.uniqueArray(fc.record({ org: fc.constantFrom('HO-a', 'HO-b', 'HO-c', 'HO-zulu', 'HO-m1'), items: fc.nat(5_000) }), { selector: (one) => one.org, maxLength: 5 });
const receipt = fc.record({ duo: fc.constantFrom('DUO-one', 'DUO-two'), template: fc.nat(2), keepers, settled: fc.boolean() });
const world = fc.record({ prices: fc.tuple(price, price, price), receipts: fc.array(receipt, { maxLength: 25 }) });
type World = typeof world extends fc.Arbitrary<infer T> ? T : never;

interface Story {
  readonly lines: readonly string[];
  readonly statements: readonly ReturnType<typeof statementOf>[];
}

/** The ledger as the contract would have written it. */
function story({ prices, receipts }: World): Story {
  const refs = prices.map((_, at) => ({ id: `template-${at}`, version: 1, digest: tag(1_000 + at) }));
  const lines = prices.map((one, at) => block(at, [write(key('template', `template-${at}`, '0000000000000001'), { digest: refs[at]?.digest, publishedAt: 'x', template: { price: one } })]));
  const settled = new Map<string, { receipt: never; price: never }[]>();
  receipts.forEach((one, at) => {
    const verified = one.keepers.reduce((sum, { items }) => sum + items, 0);
    const ref = refs[one.template];
    const slot = { duo: one.duo, phase: 'answered', invitation: { template: ref }, receipt: { packageDigest: 'x', delivered: verified, verified, keepers: one.keepers } };
    lines.push(block(10 + at, [write(key('slot', tag(at)), { ...slot, receipt: undefined }), write(key('slot', tag(at)), slot)]));
    if (!one.settled) return;
    const name = `${one.duo} ${prices[one.template]?.currency}`;
    settled.set(name, [...(settled.get(name) ?? []), { receipt: { slot: tag(at), template: ref, verified, keepers: one.keepers } as never, price: prices[one.template] as never }]);
  });
  const numbers = new Map<string, number>();
  const statements = [...settled].map(([name, rows]) => {
    const [duo, currency] = name.split(' ') as [never, string];
    numbers.set(duo, (numbers.get(duo) ?? 0) + 1);
    return statementOf({ duo, number: numbers.get(duo) as number, at: 'x' as never, currency, receipts: rows });
  });
  statements.forEach((one, at) => {
    const marks = one.lines.map((line) => write(key('settled', line.slot), { statement: one.number }));
    lines.push(block(100 + at, [...marks, write(key('statement', one.duo, String(one.number).padStart(16, '0')), one)]));
  });
  return { lines, statements };
}

function recomputed(lines: readonly string[]): ReturnType<typeof bills> {
  const ledger = emptyLedger();
  for (const line of lines) readBlockLine(ledger, line);
  return bills(ledger);
}

describe('the bill recomputed from the request channel alone', () => {
  it('is the statement to the last unit, line by line', () => {
    fc.assert(fc.property(world, (drawn) => {
      const { lines, statements } = story(drawn);
      const found = recomputed(lines);
      for (const one of statements) {
        const bill = found.find(({ duo, currency }) => duo === one.duo && currency === one.currency);
        expect(bill).toMatchObject({ lines: one.lines.length, total: one.total, statements: [{ number: one.number, total: one.total, stated: one.total, agrees: true }] });
      }
      const open = drawn.receipts.filter(({ settled }) => !settled).length;
      expect(found.reduce((sum, { unsettled }) => sum + unsettled.lines, 0)).toBe(open);
    }), { numRuns: 300 });
  });

  it('shares out every unit of every amount', () => {
    fc.assert(fc.property(world, (drawn) => {
      for (const { lines } of story(drawn).statements) {
        for (const line of lines) expect(BigInt(line.owner) + BigInt(line.operator) + line.keepers.reduce((sum, one) => sum + BigInt(one.amount), 0n)).toBe(BigInt(line.amount));
      }
    }));
  });

  it('notices one unit moved from anybody to anybody', () => {
    const drawn: World = { prices: [{ currency: 'EUR', perItem: '101', perAnswer: '7', split: { owner: 5_000, keepers: 4_000, operator: 1_000 } }, { currency: 'EUR', perItem: '0', perAnswer: '0', split: { owner: 10_000, keepers: 0, operator: 0 } }, { currency: 'EUR', perItem: '1', perAnswer: '1', split: { owner: 10_000, keepers: 0, operator: 0 } }], receipts: [{ duo: 'DUO-one', template: 0, keepers: [{ org: 'HO-a', items: 3 }, { org: 'HO-b', items: 4 }], settled: true }] };
    const { lines, statements } = story(drawn);
    const [honest] = statements as [Story['statements'][number]];
    const line = honest.lines[0] as (typeof honest.lines)[number];
    const plus = (text: string, by: bigint): string => String(BigInt(text) + by);
    const moved = [
      { ...line, owner: plus(line.owner, -1n), operator: plus(line.operator, 1n) },
      { ...line, keepers: line.keepers.map((one, at) => ({ ...one, amount: plus(one.amount, at === 0 ? 1n : -1n) })) },
      { ...line, amount: plus(line.amount, 1n), owner: plus(line.owner, 1n) },
      { ...line, items: line.items + 1 },
    ];
    for (const one of moved) {
      const forged = { ...honest, lines: [one] };
      const found = recomputed([...lines.slice(0, -1), block(100, [write(key('settled', line.slot), { statement: 1 }), write(key('statement', 'DUO-one', '0000000000000001'), forged)])]);
      expect(found[0]?.statements[0]?.agrees).toBe(false);
    }
    expect(recomputed(lines)[0]?.statements[0]?.agrees).toBe(true);
  });

  it('counts valid transactions only', () => {
    const { lines } = story({ prices: [{ currency: 'EUR', perItem: '1', perAnswer: '1', split: { owner: 10_000, keepers: 0, operator: 0 } }] as never, receipts: [{ duo: 'DUO-one', template: 0, keepers: [], settled: true }] });
    expect(recomputed([lines[0] as string, (lines[1] as string).replace('"VALID"', '"MVCC_READ_CONFLICT"')])).toEqual([]);
  });

  it('runs alone on a file or on standard input and says by its exit code whether the ledger agrees', () => {
    const { lines } = story({ prices: [{ currency: 'EUR', perItem: '10', perAnswer: '5', split: { owner: 7_000, keepers: 2_000, operator: 1_000 } }] as never, receipts: [{ duo: 'DUO-one', template: 0, keepers: [{ org: 'HO-a', items: 2 }], settled: true }] });
    const folder = mkdtempSync(join(tmpdir(), 'settle-'));
    try {
      const file = join(folder, 'blocks.jsonl');
      writeFileSync(file, `${lines.join('\n')}\n`);
      const expected = '{"duo":"DUO-one","currency":"EUR","lines":1,"total":"25","unsettled":{"lines":0,"total":"0"},"statements":[{"number":1,"lines":1,"total":"25","stated":"25","agrees":true}]}\n';
      expect(execFileSync(process.execPath, [script, file], { encoding: 'utf8' })).toBe(expected);
      expect(execFileSync(process.execPath, [script], { encoding: 'utf8', input: lines.join('\n') })).toBe(expected);
      const last = JSON.parse(lines.at(-1) as string) as { transactions: { writes: Write[] }[] };
      const writes = last.transactions[0]?.writes as Write[];
      const statement = JSON.parse(Buffer.from(writes.at(-1)?.value as string, 'base64url').toString()) as object;
      const altered = [...lines.slice(0, -1), block(100, [...writes.slice(0, -1), write(writes.at(-1)?.key as string, { ...statement, total: '26' })])];
      expect(spawnSync(process.execPath, [script], { input: altered.join('\n') }).status).toBe(6);
      expect(spawnSync(process.execPath, [script], { input: 'no block' }).status).toBe(2);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('imports nothing of ours and stays small', () => {
    const text = readFileSync(script, 'utf8');
    expect([...text.matchAll(/from '([^']+)'/g)].map((match) => match[1]).every((name) => name?.startsWith('node:'))).toBe(true);
    expect(text.split('\n').length).toBeLessThanOrEqual(200);
  });
});
