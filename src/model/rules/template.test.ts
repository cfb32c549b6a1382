import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RecordId } from '../ids.ts';
import type { TemplateSelection } from '../template.ts';
import { resolveTemplate, type ResolvableRow } from './template.ts';

const id = (name: string): RecordId => name.padEnd(22, '0') as RecordId;
const LOINC = 'http://loinc.org|';

/** name, type, codes, date, what it replaces */
const ROWS = `
a1  Observation  4548-4          2024-01-10  -
a2  Observation  4548-4          2025-01-10  -
a3  Observation  4548-4          2025-06-30  -
a4  Observation  4548-4          -           -
a5  Observation  4548-4          2025-06-30  a3
g1  Observation  2339-0          2025-02-02  -
p1  Observation  8480-6,8462-4   2025-03-03  -
c1  Condition    44054-6         2020-05-05  -
c2  Condition    -               -           -
`;

const rows: readonly ResolvableRow[] = ROWS.trim().split('\n').map((line) => {
  const [name, resourceType, codes, date, replaces] = line.trim().split(/\s+/) as [string, string, string, string, string];
  return {
    id: id(name), resourceType, codes: codes === '-' ? [] : codes.split(',').map((code) => `${LOINC}${code}`),
    ...(date === '-' ? {} : { date }), ...(replaces === '-' ? {} : { replaces: id(replaces) }),
  };
});

const selection = (resourceType: string, codes: readonly string[], rest: Partial<TemplateSelection> = {}): TemplateSelection => ({ resourceType, codes: codes.map((code) => `${LOINC}${code}`), ...rest });
const resolved = (...select: readonly TemplateSelection[]): string[] => resolveTemplate({ select }, rows).map((found) => found.replace(/0+$/, ''));

describe('which records a template asks for', () => {
  it.each([
    ['a code', [selection('Observation', ['4548-4'])], ['a1', 'a2', 'a4', 'a5']],
    ['one of several codes', [selection('Observation', ['2339-0', '8462-4'])], ['g1', 'p1']],
    ['every code of a type', [selection('Condition', [])], ['c1', 'c2']],
    ['the type must be equal', [selection('Observation', ['44054-6'])], []],
    ['since is inclusive and leaves out undated records', [selection('Observation', ['4548-4'], { since: '2025-01-10' })], ['a2', 'a5']],
    ['the newest only', [selection('Observation', ['4548-4'], { latest: 1 })], ['a5']],
    ['undated records are the oldest', [selection('Observation', ['4548-4'], { latest: 3 })], ['a1', 'a2', 'a5']],
    ['latest counts after since', [selection('Observation', ['4548-4'], { since: '2025-01-01', latest: 2 })], ['a2', 'a5']],
    ['each record once, however many selections name it', [selection('Observation', ['8480-6']), selection('Observation', ['8462-4'])], ['p1']],
    ['latest counts per selection', [selection('Observation', ['4548-4'], { latest: 1 }), selection('Condition', [], { latest: 1 })], ['a5', 'c1']],
    ['a type nobody has', [selection('Immunization', [])], []],
  ])('%s', (_name, select, expected) => {
    expect(resolved(...select)).toEqual(expected);
  });

  it('leaves out what a newer version replaces', () => {
    expect(resolved(selection('Observation', []))).not.toContain('a3');
  });

  it('is the same in whatever order the rows are held, also among equal dates', () => {
    const equal = Array.from({ length: 12 }, (_, at) => ({ id: id(`e${String.fromCharCode(97 + at)}`), resourceType: 'Observation', codes: [], date: '2025-01-01' }));
    const template = { select: [selection('Observation', [], { latest: 5 })] };
    const expected = resolveTemplate(template, equal);
    fc.assert(fc.property(fc.shuffledSubarray(equal, { minLength: equal.length }), (shuffled) => {
      expect(resolveTemplate(template, shuffled)).toEqual(expected);
    }));
    expect(expected).toHaveLength(5);
  });

  it('asks for nothing that is not there, and for nothing twice', () => {
    fc.assert(
      fc.property(fc.subarray([...rows]), fc.subarray(['4548-4', '2339-0', '8480-6']), (held, codes) => {
        const found = resolveTemplate({ select: [selection('Observation', codes), selection('Observation', codes, { latest: 2 })] }, [...held, ...held]);
        expect(new Set(found).size).toBe(found.length);
        expect(found.every((one) => held.some((row) => row.id === one))).toBe(true);
      }),
    );
  });
});
