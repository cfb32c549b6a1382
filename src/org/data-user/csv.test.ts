import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { csv } from './csv.ts';
import { statementCsv } from './statements.ts';

/** RFC 4180, for cells that are all quoted. */
function parse(text: string): string[][] {
  return text.split('\r\n"').map((line, at) => (at === 0 ? line : `"${line}`)).map((line) => {
    const cells = [...line.matchAll(/"((?:[^"]|"")*)"(?:,|$|\r\n$)/g)];
    return cells.map((match) => (match[1] as string).replaceAll('""', '"'));
  });
}

describe('a statement as a table', () => {
  it.each(['=1+1', '+1', '-1', '@SUM(A1)', '\t=1', '\r=1', '\n=1', ' =1', '|calc', '%x', '＝1'])('does not let %j become a formula', (text) => {
    expect(csv([[text]])).toBe(`"'${text}"\r\n`);
  });

  it('keeps every cell apart, whatever is in it', () => {
    const harmless = fc.string({ unit: 'grapheme' }).filter((text) => !/^\s*[=+\-@|%＝＋－＠\t\r\n]/.test(text) && !text.includes('\r\n'));
    fc.assert(fc.property(fc.array(fc.array(harmless, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 5 }), (rows) => {
      expect(parse(csv(rows))).toEqual(rows);
    }));
  });

  it('never begins a cell with what a spreadsheet runs', () => {
    fc.assert(fc.property(fc.string(), (text) => {
      expect(/^"\s*[=+\-@]/.test(csv([[text]]))).toBe(false);
    }));
  });

  it('has a row per answer and a total', () => {
    const slot = 'S'.repeat(43);
    const line = { slot, template: { id: 'labs', version: 2, digest: slot }, items: 3, amount: '350', owner: '200', operator: '50', keepers: [{ org: 'HO-east', amount: '100' }] };
    const text = statementCsv({ duo: 'DUO-insurer', number: 1, currency: 'EUR', lines: [line], total: '350', at: '2027-03-01T00:00:00.000Z' } as never);
    expect(text.split('\r\n')).toEqual([
      '"statement","date","slot","template","version","items","currency","amount","owner","operator","keepers"',
      `"1","2027-03-01T00:00:00.000Z","${slot}","labs","2","3","EUR","350","200","50","HO-east 100"`,
      '"total","2027-03-01T00:00:00.000Z","","","","","EUR","350","","",""',
      '',
    ]);
  });
});
