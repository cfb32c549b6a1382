/** A key-value store in memory for tests, and one that stops working at the N-th call. */
import type { Bytes } from '#base/bytes.ts';
import type { KeyValueStore } from '#base/ports.ts';

export function memoryStore(): KeyValueStore {
  const entries = new Map<string, Bytes>();
  return {
    get: async (key) => entries.get(key)?.slice(),
    async write(changes) {
      for (const [key, value] of changes) {
        if (value === undefined) entries.delete(key);
        else entries.set(key, value.slice());
      }
    },
    async list(prefix, { after, limit } = {}) {
      const keys = [...entries.keys()].filter((key) => key.startsWith(prefix) && (after === undefined || key > after)).sort();
      return keys.slice(0, limit).map((key) => [key, (entries.get(key) as Bytes).slice()] as const);
    },
    close: async () => undefined,
  };
}
