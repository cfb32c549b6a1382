/** State as canonical JSON under composite keys, and its pages. Reads see committed state only (Fabric). */
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import { fromUtf8 } from '#base/bytes.ts';
import type { ContractStub } from '#ledger/stub.ts';
import { enforce, refuse } from '#model/rules/verdict.ts';
import type { ObjectType } from './object-types.ts';

/** An object type and its attributes; Fabric orders keys of one type by their attributes. */
export type Key = readonly [objectType: ObjectType, ...attributes: string[]];

/** Numbers in keys, padded so that they order as numbers. */
export function orderedNumber(value: number): string {
  return String(value).padStart(16, '0');
}

/** The ledger's key. The same text as `compositeKey` of contracts/keys.ts, which needs no stub. */
export function ledgerKey(stub: ContractStub, [objectType, ...attributes]: Key): string {
  return stub.createCompositeKey(objectType, attributes);
}

/** The state under a key; undefined when there is none. The contract alone writes it, so its shape is trusted. */
export async function readState<T>(stub: ContractStub, key: Key): Promise<T | undefined> {
  const bytes = await stub.getState(ledgerKey(stub, key));
  return bytes.length === 0 ? undefined : parseState<T>(bytes);
}

export function parseState<T>(bytes: Uint8Array): T {
  return JSON.parse(fromUtf8(bytes)) as T;
}

/** Writes canonical JSON, so that every endorser writes the same bytes. */
export async function writeState(stub: ContractStub, key: Key, value: Json): Promise<void> {
  await stub.putState(ledgerKey(stub, key), canonicalBytes(value));
}

export async function deleteState(stub: ContractStub, key: Key): Promise<void> {
  await stub.deleteState(ledgerKey(stub, key));
}

export interface StateRow<T> {
  readonly attributes: readonly string[];
  readonly value: T;
}

/** Every state whose key starts with the given parts, in key order. */
export async function* rowsUnder<T>(stub: ContractStub, [objectType, ...attributes]: Key): AsyncGenerator<StateRow<T>> {
  for await (const entry of stub.getStateByPartialCompositeKey(objectType, attributes)) {
    yield { attributes: stub.splitCompositeKey(entry.key).attributes, value: parseState<T>(entry.value) };
  }
}

export interface Page<T> {
  readonly rows: readonly StateRow<T>[];
  /** Empty after the last page. */
  readonly bookmark: string;
}

/**
 * One page of the states under a prefix. A bookmark is the caller's text and Fabric starts reading at it whatever the
 * prefix, so a bookmark outside the prefix is refused: it would list what belongs to others.
 */
export async function pageUnder<T>(stub: ContractStub, prefix: Key, { bookmark, pageSize }: { readonly bookmark: string; readonly pageSize: number }): Promise<Page<T>> {
  const start = ledgerKey(stub, prefix);
  if (bookmark !== '' && !bookmark.startsWith(start)) enforce(refuse('INPUT_INVALID', { path: 'bookmark', problem: 'not a bookmark of this list' }));
  const [objectType, ...attributes] = prefix;
  const page = await stub.getStateByPartialCompositeKeyWithPagination(objectType, attributes, pageSize, bookmark);
  const rows: StateRow<T>[] = [];
  for await (const entry of page.iterator) rows.push({ attributes: stub.splitCompositeKey(entry.key).attributes, value: parseState<T>(entry.value) });
  return { rows, bookmark: rows.length < pageSize ? '' : page.metadata.bookmark };
}
