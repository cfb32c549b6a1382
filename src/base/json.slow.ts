/** The JSON reader against JSON.parse on a hundred thousand damaged texts; minutes, so only with HEALTHKEEP_SLOW=1. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { utf8 } from './bytes.ts';
import { codeOf } from './code-of.test-kit.ts';
import { items, members, readJson, sliceOf, textOf, type JsonNode } from './json.ts';

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

describe('the JSON reader under fire', () => {
  it('accepts exactly what JSON.parse accepts, but for names twice and lone surrogates', () => {
    const piece = fc.constantFrom(...'{}[]:,"\\/0123456789.eE+-tfnul \t\r\n\u0000\u007f\u00a0\u2028é😀'.split(/(?:)/u), '\\u', 'd800', 'dc00', 'true', 'null', '\ufeff');
    fc.assert(fc.property(fc.json({ maxDepth: 5, noUnicodeString: false }), fc.array(fc.tuple(fc.nat(), fc.nat(3), piece), { maxLength: 3 }), (text, edits) => {
      let damaged = text;
      for (const [place, cut, put] of edits) {
        const at = place % (damaged.length + 1);
        damaged = damaged.slice(0, at) + put + damaged.slice(at + cut);
      }
      if (!damaged.isWellFormed() || damaged.startsWith('\ufeff')) return;
      const code = codeOf(() => readJson(damaged));
      if (code === 'JSON_DUPLICATE_KEY') return;
      expect(code === 'nothing thrown', `${code}: ${JSON.stringify(damaged)}`).toBe(isAccepted(damaged));
    }), { numRuns: 100_000 });
  });

  it('accepts no bytes that are not UTF-8, and crashes on none', () => {
    fc.assert(fc.property(fc.json({ maxDepth: 3 }), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }), (text, changes) => {
      const bytes = utf8(text.isWellFormed() ? text : '"x"');
      for (const [place, byte] of changes) bytes[place % bytes.length] = byte;
      const code = codeOf(() => readJson(bytes));
      expect(code).toMatch(/^(nothing thrown|JSON_MALFORMED|JSON_DUPLICATE_KEY|BYTES_NOT_UTF8)$/);
      if (code !== 'nothing thrown') return;
      expect(isAccepted(strict.decode(bytes))).toBe(true);
    }), { numRuns: 100_000 });
  });

  it('names tell duplicates apart however they are escaped', () => {
    const name = fc.string({ unit: fc.constantFrom('a', 'b', 'é', '😀', '"', '\\', '\n', ''), maxLength: 3 });
    const written = (text: string, escaped: boolean): string => (escaped ? `"${[...text].flatMap((character) => character.split('')).map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`).join('')}"` : JSON.stringify(text));
    fc.assert(fc.property(fc.array(fc.tuple(name, fc.boolean()), { maxLength: 70 }), (names) => {
      const text = `{${names.map(([each, escaped]) => `${written(each, escaped)}:0`).join(',')}}`;
      const isDuplicate = new Set(names.map(([each]) => each)).size < names.length;
      expect(codeOf(() => readJson(text))).toBe(isDuplicate ? 'JSON_DUPLICATE_KEY' : 'nothing thrown');
    }), { numRuns: 20_000 });
  });

  it('nodes cover the text: rebuilt from slices it is the same value', () => {
    fc.assert(fc.property(fc.json({ maxDepth: 8 }), (text) => {
      if (!isAccepted(text)) return;
      expect(JSON.parse(rebuilt(readJson(text)))).toEqual(JSON.parse(text));
    }), { numRuns: 20_000 });
  });
});

function rebuilt(node: JsonNode): string {
  if (node.kind === 'object') return `{${members(node).map(([name, value]) => `${JSON.stringify(name)}:${rebuilt(value)}`).join(',')}}`;
  if (node.kind === 'array') return `[${items(node).map(rebuilt).join(',')}]`;
  return node.kind === 'string' ? JSON.stringify(textOf(node)) : strict.decode(sliceOf(node));
}

function isAccepted(text: string): boolean {
  try {
    return !hasLoneSurrogate(JSON.parse(text));
  } catch {
    return false;
  }
}

function hasLoneSurrogate(value: unknown): boolean {
  if (typeof value === 'string') return !value.isWellFormed();
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([name, member]) => !name.isWellFormed() || hasLoneSurrogate(member));
}
