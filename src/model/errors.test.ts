/** Every code that the sources throw has a row, every row is thrown, and every row is written for people. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { errorRow, errorTable } from './errors.ts';

const src = dirname(dirname(fileURLToPath(import.meta.url)));

function walk(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? walk(path) : /\.tsx?$/.test(name) ? [path] : [];
  });
}

const sources = walk(src)
  .map((file) => ({ path: relative(src, file).replaceAll('\\', '/'), text: readFileSync(file, 'utf8') }))
  .filter(({ path }) => !/\.(test|slow|test-kit)\.tsx?$|\/conformance\//.test(path) && !/^model\/errors(\/|\.ts)/.test(path));

const CODE = '[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+|INTERNAL';
/** The ways a code leaves: thrown, said by a rule, listed at an endpoint. */
const THROWN = new RegExp(`(?:new CodedError\\(\\s*|because:\\s*|\\b(?:refuse|refused|coded|fail)\\(\\s*)['"\`](${CODE})['"\`]`, 'g');
const LISTED = /\berrors:\s*\[([^\]]*)\]/g;
const QUOTED = new RegExp(`['"\`](${CODE})['"\`]`, 'g');

const thrown = new Map<string, string>();
const quoted = new Set<string>();
for (const { path, text } of sources) {
  for (const [, code] of text.matchAll(THROWN)) thrown.set(code as string, path);
  for (const [, list] of text.matchAll(LISTED)) for (const [, code] of (list as string).matchAll(QUOTED)) thrown.set(code as string, path);
  for (const [, code] of text.matchAll(QUOTED)) quoted.add(code as string);
}

describe('the error table', () => {
  it('has a row for every code that is thrown', () => {
    const missing = [...thrown].filter(([code]) => !Object.hasOwn(errorTable, code)).map(([code, path]) => `${code} (${path})`);
    expect(missing.sort()).toEqual([]);
  });

  it('has no row that nobody throws', () => {
    // A code that is chosen before it is thrown is found by its name alone.
    const unused = Object.keys(errorTable).filter((code) => !thrown.has(code) && !quoted.has(code));
    expect(unused).toEqual([]);
  });

  it('has each code in one room', () => {
    const rows = walk(join(src, 'model', 'errors')).flatMap((file) => [...readFileSync(file, 'utf8').matchAll(new RegExp(`^  (${CODE}): \\{`, 'gm'))].map((match) => match[1] as string));
    expect(rows.filter((code, at) => rows.indexOf(code) !== at)).toEqual([]);
    expect(rows.sort()).toEqual(Object.keys(errorTable).sort());
  });

  it.each(Object.entries(errorTable))('%s is written for people', (code, row) => {
    expect(code).toMatch(new RegExp(`^(?:${CODE})$`));
    expect(row.status >= 400 && row.status <= 599).toBe(true);
    for (const text of [row.sentence, row.next]) {
      expect(text).toMatch(/^[A-Z].*\.$/);
      expect(text.length).toBeLessThan(200);
      expect(text).not.toMatch(/!|oops|sorry|please/i);
    }
  });

  it('answers an unknown code as an internal error that says nothing of itself', () => {
    for (const code of ['NO_SUCH_CODE', 'constructor', '__proto__']) expect(errorRow(code)).toBe(errorTable.INTERNAL);
  });
});
