/** The documents say what the list says, and every rule of the suite says where it was learnt. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { chapters } from './suite.ts';
import { differences, differencesTable } from './differences.ts';

const PAGES = ['ARCHITECTURE.md'];
const cases = chapters.flatMap(([, list]) => list);

describe('what differs between the engines', () => {
  it.each(PAGES)('is in %s, row by row', (page) => {
    expect(readFileSync(new URL(`../../../${page}`, import.meta.url), 'utf8')).toContain(differencesTable());
  });

  it('is listed once each', () => {
    expect(new Set(differences.map(({ id }) => id)).size).toBe(differences.length);
  });

  it('is named by every rule that an engine keeps in its own way, and by no other', () => {
    for (const one of cases) expect([one.rule, one.onFabric === undefined]).toEqual([one.rule, one.differs === undefined]);
    const ids = differences.map(({ id }): string => id);
    for (const { differs } of cases) if (differs !== undefined) expect(ids).toContain(differs);
  });
});

describe('the rules of the suite', () => {
  it('are about a hundred and more, each said once', () => {
    expect(cases.length).toBeGreaterThanOrEqual(100);
    expect(new Set(cases.map(({ rule }) => rule)).size).toBe(cases.length);
  });

  it('rest on what Fabric was seen or read to do, most of them', () => {
    const count = (source: string): number => cases.filter(({ fabric }) => fabric === source).length;
    expect(count('observed') + count('source') + count('documented')).toBeGreaterThan(0.9 * cases.length);
  });
});
