import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, fromUtf8, utf8 } from './bytes.ts';
import { codeOf } from './code-of.test-kit.ts';
import { CodedError } from './errors.ts';
import { items, members, plainValue, readJson, sliceOf, textOf, toJson, type JsonNode } from './json.ts';

describe('what the reader refuses', () => {
  it.each([
    ['', 'JSON_MALFORMED'],
    ['   \n', 'JSON_MALFORMED'],
    ['not json', 'JSON_MALFORMED'],
    ['{', 'JSON_MALFORMED'],
    ['[1,]', 'JSON_MALFORMED'],
    ['{"a":1,}', 'JSON_MALFORMED'],
    ['{"a" 1}', 'JSON_MALFORMED'],
    ['{a:1}', 'JSON_MALFORMED'],
    ["{'a':1}", 'JSON_MALFORMED'],
    ['[1 2]', 'JSON_MALFORMED'],
    ['1 2', 'JSON_MALFORMED'],
    ['// c\n1', 'JSON_MALFORMED'],
    ['nul', 'JSON_MALFORMED'],
    ['nullx', 'JSON_MALFORMED'],
    ['True', 'JSON_MALFORMED'],
    ['NaN', 'JSON_MALFORMED'],
    ['-', 'JSON_MALFORMED'],
    ['+1', 'JSON_MALFORMED'],
    ['01', 'JSON_MALFORMED'],
    ['-01', 'JSON_MALFORMED'],
    ['1.', 'JSON_MALFORMED'],
    ['.5', 'JSON_MALFORMED'],
    ['1e', 'JSON_MALFORMED'],
    ['1e+', 'JSON_MALFORMED'],
    ['0x10', 'JSON_MALFORMED'],
    ['"a', 'JSON_MALFORMED'],
    ['"a\\', 'JSON_MALFORMED'],
    ['"\\x"', 'JSON_MALFORMED'],
    ['"\\u12"', 'JSON_MALFORMED'],
    ['"\t"', 'JSON_MALFORMED'],
    ['"a\nb"', 'JSON_MALFORMED'],
    ['\u00a01', 'JSON_MALFORMED'],
    ['"\\ud800"', 'JSON_MALFORMED'],
    ['"\\udc00"', 'JSON_MALFORMED'],
    ['"\\ud800\\u0041"', 'JSON_MALFORMED'],
    ['"\\ud800\\ud800"', 'JSON_MALFORMED'],
    ['{"a":1,"a":2}', 'JSON_DUPLICATE_KEY'],
    ['{"a":1,"b":[{"c":1,"\\u0063":2}]}', 'JSON_DUPLICATE_KEY'],
    ['{"é":1,"\\u00e9":2}', 'JSON_DUPLICATE_KEY'],
    ['{"__proto__":1,"__proto__":2}', 'JSON_DUPLICATE_KEY'],
    ['{"":1,"":2}', 'JSON_DUPLICATE_KEY'],
  ])('%j: %s', (text, code) => {
    expect(codeOf(() => readJson(text))).toBe(code);
  });

  it.each([
    ['a byte that no character starts with', [0x22, 0xff, 0x22]],
    ['an overlong form', [0x22, 0xc0, 0xaf, 0x22]],
    ['a surrogate written as UTF-8', [0x22, 0xed, 0xa0, 0x80, 0x22]],
    ['a character beyond U+10FFFF', [0x22, 0xf4, 0x90, 0x80, 0x80, 0x22]],
    ['a character cut off by the end of the string', [0x22, 0xe2, 0x82, 0x22]],
    ['a character cut off by the end of the text', [0x22, 0xf0, 0x9f, 0x98]],
    ['UTF-16 with its mark', [0xff, 0xfe, 0x31, 0x00]],
    ['UTF-16 without a mark', [0x31, 0x00]],
  ])('%s is not UTF-8', (_, bytes) => {
    expect(codeOf(() => readJson(Uint8Array.from(bytes)))).toBe('BYTES_NOT_UTF8');
  });

  it('finds a duplicate among many names as among few', () => {
    const many = Array.from({ length: 500 }, (_, at) => `"n${at}":${at}`);
    for (const position of [0, 46, 47, 48, 499]) expect(codeOf(() => readJson(`{${[...many, many[position]].join(',')}}`))).toBe('JSON_DUPLICATE_KEY');
    expect(members(readJson(`{${many.join(',')}}`))).toHaveLength(500);
  });

  it('keeps within depth, values and bytes, and says which limit', () => {
    expect(codeOf(() => readJson(`${'['.repeat(64)}${']'.repeat(64)}`))).toBe('nothing thrown');
    expect(codeOf(() => readJson(`${'['.repeat(65)}${']'.repeat(65)}`))).toBe('JSON_TOO_DEEP');
    expect(codeOf(() => readJson('{"a":{"a":1}}', { depth: 1 }))).toBe('JSON_TOO_DEEP');
    expect(codeOf(() => readJson('[1,2,3]', { values: 4 }))).toBe('nothing thrown');
    expect(codeOf(() => readJson('[1,2,3]', { values: 3 }))).toBe('JSON_TOO_LARGE');
    expect(codeOf(() => readJson('[1,2]', { bytes: 4 }))).toBe('JSON_TOO_LARGE');
  });

  it('refuses 200,000 open brackets, braces or both in a moment', () => {
    const start = performance.now();
    for (const unit of ['[', '{"a":', '[{"a":']) expect(codeOf(() => readJson(unit.repeat(200_000)))).toBe('JSON_TOO_DEEP');
    expect(performance.now() - start).toBeLessThan(200);
  });

  it('names line, column and byte, and never content', () => {
    const text = '{\n  "name": "CANARY-1",\n  "name": "CANARY-2"\n}';
    try {
      readJson(text);
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code: 'JSON_DUPLICATE_KEY', details: { line: 3, column: 3, byte: 26 } });
      expect(JSON.stringify(error)).not.toContain('CANARY');
    }
  });
});

describe('what the reader gives', () => {
  it('agrees with JSON.parse on every text that JSON.stringify writes', () => {
    fc.assert(fc.property(fc.json({ maxDepth: 6, noUnicodeString: false }), fc.constantFrom(0, 1, '\t', ' \r\n'), (text, space) => {
      if (!text.isWellFormed() || hasLoneSurrogate(JSON.parse(text))) return;
      const spaced = JSON.stringify(JSON.parse(text), undefined, space === 0 ? undefined : space);
      const value: unknown = JSON.parse(spaced);
      expect(plainValue(readJson(spaced))).toEqual(value);
      expect(rebuild(readJson(spaced))).toEqual(value);
    }), { numRuns: 300 });
  });

  it('refuses exactly what JSON.parse refuses, and duplicates, when a text is damaged', () => {
    fc.assert(fc.property(fc.json({ maxDepth: 4 }), fc.nat(), fc.constantFrom('', ',', '"', '{', '}', '[', ']', ':', '0', 'e', '-', '\\', ' ', 'u'), (text, place, piece) => {
      const at = place % (text.length + 1);
      const damaged = text.slice(0, at) + piece + text.slice(at + (place % 2));
      if (!damaged.isWellFormed()) return;
      const code = codeOf(() => readJson(damaged));
      if (code === 'JSON_DUPLICATE_KEY') return;
      expect(code === 'nothing thrown').toBe(isParsed(damaged));
    }), { numRuns: 1_000 });
  });

  it('gives the exact slice of every value, whatever stands around it', () => {
    const text = ' {"a" : [ 1.00 , {"b":"x\\u0041"} ,true] , "ü":{ } }\n';
    const root = readJson(concat(Uint8Array.of(0xef, 0xbb, 0xbf), utf8(text)));
    const [first, second] = members(root);
    expect(first?.[0]).toBe('a');
    expect(second?.[0]).toBe('ü');
    expect(items((first as readonly [string, JsonNode])[1]).map((node) => fromUtf8(sliceOf(node)))).toEqual(['1.00', '{"b":"x\\u0041"}', 'true']);
    expect(fromUtf8(sliceOf((second as readonly [string, JsonNode])[1]))).toBe('{ }');
    expect(fromUtf8(sliceOf(root))).toBe(text.trim());
  });

  it('keeps numbers as they were written', () => {
    const written = ['1.00', '1000000000000000001', '1e3', '-0', '1e400', '0.1', '42', '-1.5', '1.7976931348623157e+308'];
    const root = readJson(`[${written.join(',')}]`);
    expect(items(root).map(textOf)).toEqual(written);
    expect(toJson(root)).toEqual(['1.00', '1000000000000000001', '1e3', '-0', '1e400', 0.1, 42, -1.5, 1.7976931348623157e308]);
  });

  it('keeps names that mean something to JavaScript as plain names', () => {
    const value = toJson(readJson('{"__proto__":{"polluted":true},"constructor":1,"toString":2}')) as object;
    expect(Object.keys(value)).toEqual(['__proto__', 'constructor', 'toString']);
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  it('asks of a node only what it has', () => {
    const error = codeOf(() => members(readJson('[]')));
    expect([error, codeOf(() => items(readJson('{}')))]).toEqual(['INTERNAL_INVARIANT', 'INTERNAL_INVARIANT']);
    expect(new CodedError('X', 'y')).toBeInstanceOf(Error);
  });
});

/** The value by way of nodes, so that every step between them is walked. */
function rebuild(node: JsonNode): unknown {
  if (node.kind === 'object') return Object.fromEntries(members(node).map(([name, value]) => [name, rebuild(value)]));
  if (node.kind === 'array') return items(node).map(rebuild);
  return node.kind === 'string' ? textOf(node) : JSON.parse(textOf(node));
}

function isParsed(text: string): boolean {
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
