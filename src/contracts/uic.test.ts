import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { IndexTag } from '#model/ids.ts';
import { INDEX_ENTRY_BYTES } from '#model/messages.ts';
import { uicClient } from './client.ts';
import { codeOf, day, digestOf, PEOPLE, sealedOf, startNetwork, type Network } from './network.test-kit.ts';

let network: Network;
beforeAll(async () => {
  network = await startNetwork();
});
afterAll(() => network.close());

const entry = (name: string) => ({ tag: digestOf(`tag ${name}`) as unknown as IndexTag, sealed: sealedOf(INDEX_ENTRY_BYTES) });
const person = async () => uicClient(network.ledger, await network.signer(PEOPLE, 'person'));

describe('the index', () => {
  it('keeps an entry for everybody who reads it whole', async () => {
    await (await person()).submit('putEntry', entry('a'));
    expect(await (await person()).evaluate('getEntry', { tag: entry('a').tag })).toEqual({ sealed: entry('a').sealed });
  });

  it('refuses a tag twice and a certificate twice', async () => {
    const first = await person();
    await first.submit('putEntry', entry('b'));
    expect(await codeOf((await person()).submit('putEntry', entry('b')))).toBe('ENTRY_EXISTS');
    expect(await codeOf(first.submit('putEntry', entry('c')))).toBe('CERTIFICATE_REUSED');
    expect(await codeOf(first.evaluate('getEntry', { tag: entry('c').tag }))).toBe('ENTRY_UNKNOWN');
  });

  it('lets one certificate win once, however many entries it sends at the same moment', async () => {
    const one = await person();
    const codes = await Promise.all(Array.from({ length: 20 }, (_, at) => codeOf(one.submit('putEntry', entry(`race ${at}`)))));
    expect(codes.filter((code) => code === 'allowed')).toHaveLength(1);
    expect(new Set(codes)).toEqual(new Set(['allowed', 'CERTIFICATE_REUSED']));
  });

  it('lists every entry once, page by page', async () => {
    for (let at = 0; at < 7; at++) await (await person()).submit('putEntry', entry(`page ${at}`));
    const reader = await person();
    const tags: string[] = [];
    for (let bookmark = '', first = true; first || bookmark !== ''; first = false) {
      const page = await reader.evaluate('listEntries', { bookmark, pageSize: 4 });
      tags.push(...page.entries.map((found) => found.tag));
      bookmark = page.bookmark;
    }
    expect(new Set(tags).size).toBe(tags.length);
    for (let at = 0; at < 7; at++) expect(tags).toContain(entry(`page ${at}`).tag);
    expect(await codeOf(reader.evaluate('listEntries', { bookmark: '\u0000writer\u0000', pageSize: 4 }))).toBe('INPUT_INVALID');
  });

  it('has a time that only the user organisation moves, and only on', async () => {
    const system = uicClient(network.ledger, await network.signer(PEOPLE, 'system'));
    await system.submit('setTimeFloor', { at: day(2) });
    expect(await codeOf(system.submit('setTimeFloor', { at: day(2) }))).toBe('TIME_FLOOR_BACK');
    expect(await codeOf(system.submit('setTimeFloor', { at: day(1) }))).toBe('TIME_FLOOR_BACK');
    await system.submit('setTimeFloor', { at: day(3) });
  });
});
