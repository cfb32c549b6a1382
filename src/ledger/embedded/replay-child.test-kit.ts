/**
 * Replays one channel file and prints what came out as one JSON line. Run on its own, by any Node that strips types:
 *
 *   node replay-child.test-kit.ts FILE [SHUFFLE-SEED]
 *
 * With a seed, every Map and Set that the product makes is walked in an order drawn from it instead of that of insertion:
 * whatever depends on the order of a map then gives another result.
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

const [, , file = '', seed] = process.argv;

/** mulberry32 */
function drawer(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function shuffleCollections(draw: () => number): void {
  const shuffled = <T>(items: T[]): T[] => {
    for (let at = items.length - 1; at > 0; at--) {
      const other = Math.floor(draw() * (at + 1));
      [items[at], items[other]] = [items[other] as T, items[at] as T];
    }
    return items;
  };
  const PlainMap = Map;
  const PlainSet = Set;
  class ShuffledMap<K, V> extends PlainMap<K, V> {
    override entries(): MapIterator<[K, V]> {
      return shuffled([...super.entries()]).values() as unknown as MapIterator<[K, V]>;
    }
    override keys(): MapIterator<K> {
      return shuffled([...super.keys()]).values() as unknown as MapIterator<K>;
    }
    override values(): MapIterator<V> {
      return shuffled([...super.values()]).values() as unknown as MapIterator<V>;
    }
    override forEach(call: (value: V, key: K, map: Map<K, V>) => void): void {
      for (const [key, value] of this.entries()) call(value, key, this);
    }
    override [Symbol.iterator](): MapIterator<[K, V]> {
      return this.entries();
    }
  }
  class ShuffledSet<T> extends PlainSet<T> {
    override values(): SetIterator<T> {
      return shuffled([...super.values()]).values() as unknown as SetIterator<T>;
    }
    override keys(): SetIterator<T> {
      return this.values();
    }
    override [Symbol.iterator](): SetIterator<T> {
      return this.values();
    }
  }
  Object.assign(globalThis, { Map: ShuffledMap, Set: ShuffledSet });
}

if (seed !== undefined) shuffleCollections(drawer(Number(seed)));
// After the collections are what they shall be: modules make some when they are loaded.
const { openReader } = await import('./channel-file.ts');
const { createStateReader } = await import('./state-reader.ts');
const { replaySource } = await import('./chain-check.ts');

const channel = basename(file, '.sqlite');
const database = openReader(file, false);
const reader = createStateReader(database, { channel, file });
const scratch = mkdtempSync(join(tmpdir(), 'healthkeep-replay-'));
try {
  const begun = performance.now();
  const facts = await replaySource({ channel, file, reader }, join(scratch, 'replay.sqlite'));
  const root = createHash('sha256');
  for (const table of ['state', 'hashes', 'history', 'transactions'] as const) {
    for (const row of reader.rows(table)) {
      for (const value of Object.values(row)) {
        const bytes = value instanceof Uint8Array ? value : Buffer.from(String(value));
        root.update(`${bytes.length}:`);
        root.update(bytes);
      }
    }
  }
  process.stdout.write(`${JSON.stringify({ ...facts, stateRoot: root.digest('hex'), node: process.version, zone: Intl.DateTimeFormat().resolvedOptions().timeZone, language: process.env['LC_ALL'] ?? '', sorted: ['I', 'ı', 'z', 'ä', 'i'].sort((a, b) => a.localeCompare(b)).join(''), seconds: Math.round(performance.now() - begun) / 1_000 })}\n`);
} finally {
  database.close();
  rmSync(scratch, { recursive: true, force: true });
}
