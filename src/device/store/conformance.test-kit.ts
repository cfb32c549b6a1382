/**
 * What every key-value store must do (base/ports.ts), as cases that run anywhere: under vitest for SQLite, in a page for
 * IndexedDB. Each case gets a fresh, empty store and a way to open the same one again; it throws when the store is wrong.
 */
import { utf8, type Bytes } from '#base/bytes.ts';
import type { KeyValueStore } from '#base/ports.ts';

export interface StoreUnderTest {
  readonly store: KeyValueStore;
  /** Opens the same store again, as after a restart. */
  readonly reopen: () => Promise<KeyValueStore>;
}

export interface ConformanceCase {
  readonly name: string;
  readonly run: (given: StoreUnderTest) => Promise<void>;
}

/** Prefixes and keys at the edges of UTF-16 order, lone surrogates and noncharacters included. */
const KEYS = ['', 'a', 'a/', 'a/b', 'a/c', 'a\u0000', 'a\uffff', 'a\uffff\uffffb', 'b', '\u0000', '\ud83d', '\ud83d\ude00', '\ue000', '\uffff', '\uffff\uffff', 'z'];

export const storeConformance: readonly ConformanceCase[] = [
  {
    name: 'gives back exactly the bytes that were written',
    async run({ store }) {
      const all = Uint8Array.from({ length: 256 }, (_, at) => at);
      await store.write(new Map<string, Bytes>([['all', all], ['none', new Uint8Array(0)]]));
      same(await store.get('all'), all);
      same(await store.get('none'), new Uint8Array(0));
      equal(await store.get('absent'), undefined);
    },
  },
  {
    name: 'replaces and deletes in one write',
    async run({ store }) {
      await store.write(entries('a', 'b'));
      await store.write(new Map([['a', undefined], ['b', utf8('new')], ['c', utf8('c')]]));
      equal(await store.get('a'), undefined);
      same(await store.get('b'), utf8('new'));
      equal(await keysOf(store, ''), 'b,c');
    },
  },
  {
    name: 'lists by prefix, after a key and up to a limit, in UTF-16 order',
    async run({ store }) {
      await store.write(entries(...KEYS));
      for (const prefix of KEYS) {
        for (const after of [undefined, ...KEYS]) {
          for (const limit of [undefined, 0, 1, 3]) {
            const expected = KEYS.filter((key) => key.startsWith(prefix) && (after === undefined || key > after)).sort().slice(0, limit);
            const listed = await store.list(prefix, { ...(after === undefined ? {} : { after }), ...(limit === undefined ? {} : { limit }) });
            equal(JSON.stringify(listed.map(([key]) => key)), JSON.stringify(expected));
            for (const [key, value] of listed) same(value, utf8(`value of ${key.length}`));
          }
        }
      }
    },
  },
  {
    name: 'takes the map as it was when write was called',
    async run({ store }) {
      const changes = new Map<string, Bytes | undefined>([['a', utf8('before')]]);
      const written = store.write(changes);
      changes.set('a', utf8('after')).set('b', utf8('late'));
      await written;
      same(await store.get('a'), utf8('before'));
      equal(await store.get('b'), undefined);
    },
  },
  {
    name: 'hands out bytes that may be changed without changing the store',
    async run({ store }) {
      await store.write(entries('a'));
      ((await store.get('a')) as Bytes)[0] = 0;
      same(await store.get('a'), utf8('value of 1'));
    },
  },
  {
    name: 'keeps every one of many writes at once',
    async run({ store, reopen }) {
      await Promise.all(Array.from({ length: 200 }, (_, at) => store.write(new Map([[`n/${at}`, utf8(String(at))]]))));
      equal((await store.list('n/')).length, 200);
      await store.close();
      const again = await reopen();
      equal((await again.list('n/')).length, 200);
      await again.close();
    },
  },
  {
    name: 'keeps what was written when opened again',
    async run({ store, reopen }) {
      await store.write(entries(...KEYS));
      await store.close();
      const again = await reopen();
      equal((await again.list('')).length, KEYS.length);
      await again.close();
    },
  },
];

function entries(...keys: readonly string[]): ReadonlyMap<string, Bytes> {
  return new Map(keys.map((key) => [key, utf8(`value of ${key.length}`)]));
}

async function keysOf(store: KeyValueStore, prefix: string): Promise<string> {
  return (await store.list(prefix)).map(([key]) => key).join(',');
}

function equal(found: unknown, expected: unknown): void {
  if (found !== expected) throw new Error(`found ${String(found)}, expected ${String(expected)}`);
}

function same(found: Uint8Array | undefined, expected: Uint8Array): void {
  equal(found === undefined ? undefined : [...found].join(), [...expected].join());
}
