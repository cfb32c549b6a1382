/** Typed rows in an organisation's key-value store. */
import { fromUtf8, utf8, type Bytes } from '#base/bytes.ts';
import type { KeyValueStore } from '#base/ports.ts';
import type { z } from 'zod';

/** One change of a durable batch. */
export type Change = readonly [key: string, value: Bytes | undefined];

export interface Kept<T> {
  get(id: string): Promise<T | undefined>;
  /** In id order, after an id when given. */
  list(range?: { readonly prefix?: string; readonly after?: string; readonly limit?: number }): Promise<readonly (readonly [id: string, row: T])[]>;
  /** To be written together with other changes by `commit`. */
  put(id: string, row: T): Change;
  remove(id: string): Change;
}

/** Rows of one kind under a prefix that ends in a slash. Rows are parsed when read: a damaged one is refused, not believed. */
export function kept<S extends z.ZodType>(store: KeyValueStore, prefix: string, schema: S): Kept<z.output<S>> {
  const parse = (bytes: Bytes): z.output<S> => schema.parse(JSON.parse(fromUtf8(bytes)));
  return {
    async get(id) {
      const bytes = await store.get(prefix + id);
      return bytes === undefined ? undefined : parse(bytes);
    },
    async list(range = {}) {
      const rows = await store.list(prefix + (range.prefix ?? ''), {
        ...(range.after === undefined ? {} : { after: prefix + range.after }),
        ...(range.limit === undefined ? {} : { limit: range.limit }),
      });
      return rows.map(([key, bytes]) => [key.slice(prefix.length), parse(bytes)] as const);
    },
    put: (id, row) => [prefix + id, utf8(JSON.stringify(row))],
    remove: (id) => [prefix + id, undefined],
  };
}

/** All changes or none; durable when it resolves. */
export function commit(store: KeyValueStore, ...changes: readonly Change[]): Promise<void> {
  return store.write(new Map(changes));
}
