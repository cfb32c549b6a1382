import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { z } from 'zod';
import { utf8, type Bytes } from '#base/bytes.ts';
import type { KeyValueStore } from '#base/ports.ts';
import { seededRandom } from '#sim/seams.ts';
import { memoryStore } from './memory-store.test-kit.ts';
import { collection, openVault, put, putBytes, remove, type Vault } from './vault.ts';

const notes = collection('note', z.strictObject({ text: z.string() }));
const keys = { values: new Uint8Array(32).fill(1), names: new Uint8Array(32).fill(2) };

function vaultOf(store: KeyValueStore, values: Bytes = keys.values): Vault {
  return openVault({ store, keys: { ...keys, values }, random: seededRandom('vault') });
}

describe('the sealed store', () => {
  it('gives back what was put, by id and in order of ids', async () => {
    const vault = vaultOf(memoryStore());
    await vault.write(put(notes, 'b', { text: 'two' }), put(notes, 'a', { text: 'one' }), putBytes('body', 'a', utf8('raw')));
    expect(await vault.get(notes, 'a')).toEqual({ text: 'one' });
    expect(await vault.all(notes)).toEqual([['a', { text: 'one' }], ['b', { text: 'two' }]]);
    expect(await vault.bytes('body', 'a')).toEqual(utf8('raw'));
    await vault.write(remove(notes, 'a'));
    expect(await vault.get(notes, 'a')).toBeUndefined();
  });

  it('returns any bytes exactly, whatever their length', async () => {
    const vault = vaultOf(memoryStore());
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 5_000 }), fc.string(), async (content, id) => {
        await vault.write(putBytes('body', id, new Uint8Array(content)));
        expect(await vault.bytes('body', id)).toEqual(new Uint8Array(content));
      }),
      { numRuns: 60 },
    );
  });

  it('shows neither names nor content to whoever holds the store', async () => {
    const store = memoryStore();
    await vaultOf(store).write(put(notes, 'HO-canary', { text: 'CANARY-VALUE' }));
    const everything = (await store.list('')).map(([key, value]) => key + String.fromCharCode(...value)).join('');
    expect(everything).not.toContain('anary');
    expect(everything).not.toContain('CANARY');
    expect(everything).not.toContain('note');
  });

  it('refuses a value that was altered, cut, moved to another key, or sealed under another key', async () => {
    const store = memoryStore();
    await vaultOf(store).write(put(notes, 'a', { text: 'one' }), put(notes, 'b', { text: 'two' }));
    const [[keyA, valueA], [keyB, valueB]] = (await store.list('v/')) as [[string, Bytes], [string, Bytes]];
    const flipped = valueA.slice();
    flipped[20] = (flipped[20] as number) ^ 1;
    for (const bad of [flipped, valueA.slice(0, 40), valueB]) {
      await store.write(new Map([[keyA, bad]]));
      await expect(vaultOf(store).all(notes)).rejects.toMatchObject({ code: 'VAULT_DAMAGED' });
    }
    await store.write(new Map([[keyA, valueA], [keyB, valueB]]));
    await expect(vaultOf(store, new Uint8Array(32).fill(9)).all(notes)).rejects.toMatchObject({ code: 'VAULT_DAMAGED' });
    expect(await vaultOf(store).all(notes)).toHaveLength(2);
  });

  it('has a digest that follows the content and nothing else', async () => {
    const [left, right] = [vaultOf(memoryStore()), openVault({ store: memoryStore(), keys: { values: new Uint8Array(32).fill(7), names: new Uint8Array(32).fill(8) }, random: seededRandom('other') })];
    for (const vault of [left, right]) await vault.write(put(notes, 'a', { text: 'one' }), put(notes, 'b', { text: 'two' }));
    expect(await left.digest(['note'])).toEqual(await right.digest(['note']));
    await right.write(put(notes, 'b', { text: 'three' }));
    expect(await left.digest(['note'])).not.toEqual(await right.digest(['note']));
  });

  it('hides lengths in few steps', async () => {
    const store = memoryStore();
    const vault = vaultOf(store);
    const lengths = new Set<number>();
    for (let length = 300; length < 500; length++) {
      await vault.write(putBytes('body', 'a', new Uint8Array(length)));
      lengths.add(((await store.list(''))[0] as readonly [string, Bytes])[1].length);
    }
    expect(lengths.size).toBeLessThanOrEqual(8);
  });
});
