/**
 * Canonical JSON (RFC 8785, JCS) for what we ourselves produce: object keys sorted by UTF-16 code units, no spaces,
 * numbers as ECMAScript prints them. Received documents are never re-serialised; they are kept as bytes.
 */
import { utf8, type Bytes } from './bytes.ts';
import { CodedError } from './errors.ts';

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };

/** Canonical text. `undefined` members are left out. Throws JSON_NOT_CANONICAL for non-finite numbers, lone surrogates and non-JSON values. */
export function canonicalJson(value: Json): string {
  if (value === null || typeof value === 'boolean') return String(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw refuse('a number that is not finite');
    return JSON.stringify(value);
  }
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw refuse('a string with a lone surrogate');
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map((item: Json) => canonicalJson(item)).join(',')}]`;
  if (typeof value !== 'object') throw refuse(`a value of type ${typeof value}`);
  const object = value as { readonly [key: string]: Json | undefined };
  const members: string[] = [];
  for (const key of Object.keys(object).sort()) {
    const member = object[key];
    if (member !== undefined) members.push(`${canonicalJson(key)}:${canonicalJson(member)}`);
  }
  return `{${members.join(',')}}`;
}

/** UTF-8 bytes of the canonical text. */
export function canonicalBytes(value: Json): Bytes {
  return utf8(canonicalJson(value));
}

function refuse(what: string): CodedError {
  return new CodedError('JSON_NOT_CANONICAL', `Canonical JSON cannot hold ${what}.`);
}
