/**
 * The data user's sealed store: every value is encrypted under a key of the organisation with its own name as
 * associated data, so that a copy of the file opens nothing and no value can be moved to another name.
 * Received bodies are not sealed here but under their package's own key (package-store.ts), because destroying that key
 * is what erases them.
 */
import { fromUtf8, utf8, type Bytes } from '#base/bytes.ts';
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import type { KeyValueStore, Random } from '#base/ports.ts';
import { openWith, sealWith } from '#crypto/aead.ts';
import { hkdfSha256 } from '#crypto/digest.ts';
import type { z } from 'zod';

export interface Vault {
  get<T extends z.ZodType>(name: string, schema: T): Promise<z.infer<T> | undefined>;
  list<T extends z.ZodType>(prefix: string, schema: T): Promise<readonly (readonly [string, z.infer<T>])[]>;
  names(prefix: string): Promise<readonly string[]>;
  /** All or nothing; `undefined` deletes. Raw bytes are written as they are. */
  write(changes: ReadonlyMap<string, Json | Uint8Array | undefined>): Promise<void>;
  /** After it no file or log holds what was deleted. */
  scrub(): Promise<void>;
  /** Bytes written raw. */
  raw(name: string): Promise<Bytes | undefined>;
}

/** Opens the vault over a store; the key is derived from the organisation's own decryption key. */
export function createVault({ store, privateKey, random }: { readonly store: KeyValueStore; readonly privateKey: Uint8Array; readonly random: Random }): Vault {
  const key = hkdfSha256(privateKey, utf8('healthkeep/v1/data-user-store'), 32);
  const open = async <T extends z.ZodType>(name: string, sealed: Uint8Array, schema: T): Promise<z.infer<T>> => {
    return schema.parse(JSON.parse(fromUtf8(await openWith(key, sealed, utf8(name)))));
  };
  return {
    async get(name, schema) {
      const sealed = await store.get(name);
      return sealed === undefined ? undefined : open(name, sealed, schema);
    },
    async list(prefix, schema) {
      const entries = await store.list(prefix);
      return Promise.all(entries.map(async ([name, sealed]) => [name, await open(name, sealed, schema)] as const));
    },
    names: async (prefix) => (await store.list(prefix)).map(([name]) => name),
    async write(changes) {
      const sealed = new Map<string, Bytes | undefined>();
      for (const [name, value] of changes) {
        if (value === undefined) sealed.set(name, undefined);
        else if (value instanceof Uint8Array) sealed.set(name, value as Bytes);
        else sealed.set(name, await sealWith(key, canonicalBytes(value as Json), utf8(name), random));
      }
      await store.write(sealed);
    },
    scrub: async () => store.scrub?.(),
    raw: (name) => store.get(name),
  };
}
