/**
 * The sealed store of a device: collections of JSON documents and bytes over a plain key-value store. Every value is
 * AES-256-GCM under the vault key with its own entry key as associated data, so that values cannot be exchanged; entry
 * keys are HMACs, so that names say nothing; plaintexts are padded to size steps, so that lengths say little.
 */
import type { z } from 'zod';
import { concat, fromUtf8, lengthPrefixed, toBase64url, u32, utf8, type Bytes } from '#base/bytes.ts';
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import type { KeyValueStore, Random } from '#base/ports.ts';
import { openWith, sealWith } from '#crypto/aead.ts';
import { hmacSha256, sha256 } from '#crypto/digest.ts';

/** A set of documents of one shape. */
export interface Collection<T> {
  readonly name: string;
  readonly schema: z.ZodType<T>;
}

export function collection<T>(name: string, schema: z.ZodType<T>): Collection<T> {
  return { name, schema };
}

/** One change of an atomic write. */
export interface Change {
  readonly collection: string;
  readonly id: string;
  readonly content: Bytes | undefined;
  /** The document, where the content is one. */
  readonly value?: unknown;
}

/** The change that stores a document. */
export function put<T>(into: Collection<T>, id: string, value: T): Change {
  return { collection: into.name, id, content: canonicalBytes(value as Json), value };
}

/** The change that deletes a document or bytes. */
export function remove(from: { readonly name: string }, id: string): Change {
  return { collection: from.name, id, content: undefined };
}

/** The change that stores bytes. */
export function putBytes(into: string, id: string, content: Bytes): Change {
  return { collection: into, id, content };
}

export interface Vault {
  get<T>(from: Collection<T>, id: string): Promise<T | undefined>;
  /** Every document of a collection, ordered by id. */
  all<T>(from: Collection<T>): Promise<readonly (readonly [string, T])[]>;
  bytes(from: string, id: string): Promise<Bytes | undefined>;
  /** All changes or none; durable when it resolves. */
  write(...changes: readonly Change[]): Promise<void>;
  /** Every entry of every named collection, opened: for export. */
  dump(names: readonly string[]): Promise<readonly Change[]>;
  /** SHA-256 over all entries of the named collections in order: two devices with equal state have equal digests. */
  digest(names: readonly string[]): Promise<Bytes>;
}

export interface VaultKeys {
  /** AES-256-GCM key of the values. */
  readonly values: Bytes;
  /** HMAC key of the entry names. */
  readonly names: Bytes;
}

/** Opens the sealed store. Reading a value that was altered, or sealed under another key, throws VAULT_DAMAGED with the entry's key. */
export function openVault({ store, keys, random }: { readonly store: KeyValueStore; readonly keys: VaultKeys; readonly random: Random }): Vault {
  const prefixOf = (name: string): string => `v/${tag(keys.names, 'collection', name)}/`;
  const keyOf = (name: string, id: string): string => `${prefixOf(name)}${tag(keys.names, 'entry', name, id)}`;
  const open = async (key: string, sealed: Bytes): Promise<Entry> => {
    try {
      return unpack(await openWith(keys.values, sealed, utf8(key)));
    } catch (cause) {
      throw new CodedError('VAULT_DAMAGED', 'A value in the sealed store cannot be opened.', { why: 'It was altered, or sealed by another device.', next: 'Restore this device from its export.', entry: key }, { cause });
    }
  };
  const entries = async (name: string): Promise<readonly Entry[]> => {
    const listed = await store.list(prefixOf(name));
    const opened = await Promise.all(listed.map(([key, sealed]) => open(key, sealed)));
    return opened.sort(byId);
  };
  const documents = openDocuments();
  const document = async <T>(from: Collection<T>, key: string, sealed: Bytes): Promise<Document> => documents.of(key, sealed) ?? documents.keep(key, sealed, readDocument(from, await open(key, sealed)));
  const dump = async (names: readonly string[]): Promise<readonly Change[]> => {
    const found: Change[] = [];
    for (const name of [...names].sort()) for (const { id, content } of await entries(name)) found.push({ collection: name, id, content });
    return found;
  };
  return {
    async get(from, id) {
      const key = keyOf(from.name, id);
      const sealed = await store.get(key);
      return sealed === undefined ? undefined : ((await document(from, key, sealed)).value as z.output<typeof from.schema>);
    },
    async all(from) {
      const listed = await store.list(prefixOf(from.name));
      const found = await Promise.all(listed.map(([key, sealed]) => document(from, key, sealed)));
      return found.sort(byId).map(({ id, value }) => [id, value as z.output<typeof from.schema>] as const);
    },
    async bytes(from, id) {
      const key = keyOf(from, id);
      const sealed = await store.get(key);
      return sealed === undefined ? undefined : (await open(key, sealed)).content;
    },
    async write(...changes) {
      const sealed = await Promise.all(
        changes.map(async ({ collection: name, id, content, value }) => {
          const key = keyOf(name, id);
          return { key, id, value, sealed: content === undefined ? undefined : await sealWith(keys.values, pack(id, content), utf8(key), random) };
        }),
      );
      await store.write(new Map(sealed.map((change) => [change.key, change.sealed])));
      for (const change of sealed) if (change.value !== undefined && change.sealed !== undefined) documents.keep(change.key, change.sealed, { id: change.id, value: change.value });
    },
    dump,
    async digest(names) {
      const parts = (await dump(names)).map((entry) => sha256(lengthPrefixed(utf8(entry.collection), utf8(entry.id), entry.content ?? new Uint8Array(0))));
      return sha256(concat(...parts));
    },
  };
}

interface Entry {
  readonly id: string;
  readonly content: Bytes;
}

function tag(key: Bytes, ...parts: readonly string[]): string {
  return toBase64url(hmacSha256(key, lengthPrefixed(...parts.map(utf8))).subarray(0, 18));
}

interface Document {
  readonly id: string;
  readonly value: unknown;
}

function readDocument<T>(from: Collection<T>, { id, content }: Entry): Document {
  return { id, value: from.schema.parse(JSON.parse(fromUtf8(content))) };
}

function byId(left: { readonly id: string }, right: { readonly id: string }): number {
  return left.id < right.id ? -1 : 1;
}

/** Sealed bytes whose documents are remembered, at most. */
const REMEMBERED_BYTES_MAX = 64 * 1024 * 1024;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Opened documents by entry. Every sealing has its own nonce and tag, so equal ones mean the same document, also after another page wrote it. */
function openDocuments() {
  const remembered = new Map<string, { readonly mark: string; readonly bytes: number; readonly document: Document }>();
  let total = 0;
  const forget = (key: string): void => {
    total -= remembered.get(key)?.bytes ?? 0;
    remembered.delete(key);
  };
  return {
    of(key: string, sealed: Bytes): Document | undefined {
      const known = remembered.get(key);
      return known?.mark === markOf(sealed) ? known.document : undefined;
    },
    keep(key: string, sealed: Bytes, document: Document): Document {
      forget(key);
      remembered.set(key, { mark: markOf(sealed), bytes: sealed.length, document });
      total += sealed.length;
      for (const oldest of remembered.keys()) {
        if (total <= REMEMBERED_BYTES_MAX) break;
        forget(oldest);
      }
      return document;
    },
  };
}

function markOf(sealed: Bytes): string {
  return `${sealed.length}.${toBase64url(sealed.subarray(0, NONCE_BYTES))}.${toBase64url(sealed.subarray(-TAG_BYTES))}`;
}

/** u32 length of id ‖ id ‖ u32 length of content ‖ content ‖ zeros up to the next size step. */
function pack(id: string, content: Bytes): Bytes {
  const used = lengthPrefixed(utf8(id), content);
  return concat(used, new Uint8Array(sizeStep(used.length) - used.length));
}

function unpack(packed: Bytes): Entry {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.length);
  const idLength = view.getUint32(0);
  const contentAt = 4 + idLength + u32(0).length;
  const contentLength = view.getUint32(4 + idLength);
  return { id: fromUtf8(packed.subarray(4, 4 + idLength)), content: packed.slice(contentAt, contentAt + contentLength) };
}

/** Multiples of 1/8 of the enclosing power of two, at least 256: at most 12.5 % longer, and few distinct lengths (as PADME does). */
function sizeStep(length: number): number {
  if (length <= 256) return 256;
  const step = 2 ** (Math.floor(Math.log2(length)) - 3);
  return Math.ceil(length / step) * step;
}
