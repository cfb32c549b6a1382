import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { fromUtf8, utf8 } from '#base/bytes.ts';
import { codeOfAsync } from '#base/code-of.test-kit.ts';
import { unpack, UNPACK_LIMITS } from './unpack.ts';

describe('unpacking', () => {
  it('gives plain bytes as they are and gzipped ones inflated', async () => {
    const text = `{"a":"${'é'.repeat(100_000)}"}`;
    expect(fromUtf8(await unpack(utf8(text)))).toBe(text);
    expect(fromUtf8(await unpack(gzipSync(text)))).toBe(text);
    expect(fromUtf8(await unpack(gzipSync(text, { level: 0 })))).toBe(text);
  });

  it.each<[string, Uint8Array, string]>([
    ['an empty file', utf8(''), 'FILE_EMPTY'],
    ['white space', utf8(' \r\n\t'), 'FILE_EMPTY'],
    ['a byte order mark and nothing else', Uint8Array.of(0xef, 0xbb, 0xbf), 'FILE_EMPTY'],
    ['a gzipped empty file', gzipSync(''), 'FILE_EMPTY'],
    ['XML', utf8('<?xml version="1.0"?><Bundle xmlns="http://hl7.org/fhir"/>'), 'FHIR_XML_UNSUPPORTED'],
    ['XML with a byte order mark', utf8('\ufeff\n<Bundle/>'), 'FHIR_XML_UNSUPPORTED'],
    ['gzipped XML', gzipSync('<Bundle/>'), 'FHIR_XML_UNSUPPORTED'],
    ['a ZIP archive', Uint8Array.of(0x50, 0x4b, 0x03, 0x04), 'FILE_FORMAT_UNKNOWN'],
    ['gzip cut off in its header', gzipSync('{}').subarray(0, 5), 'GZIP_DAMAGED'],
    ['gzip cut off in its body', gzipSync(`{"a":"${'x'.repeat(10_000)}"}`).subarray(0, 30), 'GZIP_DAMAGED'],
    ['gzip cut off in its check sum', gzipSync('{}').subarray(0, -3), 'GZIP_DAMAGED'],
    ['gzip with a changed check sum', gzipSync('{}').map((byte, at, all) => (at === all.length - 6 ? byte ^ 1 : byte)), 'GZIP_DAMAGED'],
    ['the two bytes of gzip and noise', Uint8Array.of(0x1f, 0x8b, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11), 'GZIP_DAMAGED'],
  ])('%s', async (_, file, code) => {
    expect(await codeOfAsync(() => unpack(file))).toBe(code);
  });

  it('refuses more bytes than the limit, packed or not', async () => {
    const limits = { ...UNPACK_LIMITS, bytes: 1_000 };
    expect(await codeOfAsync(() => unpack(utf8(`{"a":"${'x'.repeat(1_000)}"}`), limits))).toBe('FILE_TOO_LARGE');
    expect(await codeOfAsync(() => unpack(gzipSync(`{"a":"${'x'.repeat(1_000)}"}`), limits))).toBe('FILE_TOO_LARGE');
    expect(await codeOfAsync(() => unpack(gzipSync('{"a":"x"}'), limits))).toBe('nothing thrown');
  });

  it('refuses a bomb after its first bytes and in little memory', async () => {
    const bomb = gzipSync(Buffer.alloc(300e6, '{"a":"'));
    const before = process.memoryUsage().rss;
    const start = performance.now();
    expect(await codeOfAsync(() => unpack(bomb))).toBe('GZIP_BOMB');
    expect(performance.now() - start).toBeLessThan(1_000);
    expect(process.memoryUsage().rss - before).toBeLessThan(100e6);
  });

  it('takes text that compresses well', async () => {
    const entry = (at: number): string => `{"fullUrl":"urn:uuid:00000000-0000-4000-8000-${String(at).padStart(12, '0')}","resource":{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org","code":"4548-4","display":"Hemoglobin A1c/Hemoglobin.total in Blood"}]},"subject":{"reference":"urn:uuid:2be9b668-847a-4437-b33a-bdc38c665e08"}}}`;
    const text = `[${Array.from({ length: 50_000 }, (_, at) => entry(at)).join(',')}]`;
    expect((await unpack(gzipSync(text, { level: 9 }))).length).toBe(text.length);
  });
});
