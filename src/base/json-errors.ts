/** Refusals of the JSON reader. They name places and limits, never content: a refused text may hold health data. */
import { CodedError } from './errors.ts';

export function malformed(bytes: Uint8Array, why: string, at: number): CodedError {
  const place = placeOf(bytes, at);
  return new CodedError('JSON_MALFORMED', `The text is not JSON: ${why} (line ${place.line}, column ${place.column}).`, { why, ...place, byte: at, next: 'Look at that place; a file cut off during a transfer often ends early.' });
}

export function duplicateKey(bytes: Uint8Array, at: number): CodedError {
  const place = placeOf(bytes, at);
  return new CodedError('JSON_DUPLICATE_KEY', `The same name stands twice in one object (line ${place.line}, column ${place.column}).`, { ...place, byte: at, next: 'Remove one of the two; readers would disagree on which one counts.' });
}

export function tooDeep(at: number, depth: number): CodedError {
  return new CodedError('JSON_TOO_DEEP', `Objects and arrays stand more than ${depth} deep inside each other.`, { byte: at, depth, next: 'Flatten the document; no health record needs this depth.' });
}

export function tooLarge(what: 'bytes' | 'values', limit: number): CodedError {
  return new CodedError('JSON_TOO_LARGE', `The JSON text has more than ${limit} ${what}.`, { limit, next: 'Split it into several smaller ones.' });
}

export function notUtf8(at: number): CodedError {
  return new CodedError('BYTES_NOT_UTF8', `The bytes are not valid UTF-8 text (byte ${at}).`, { byte: at, next: 'Save the text as UTF-8.' });
}

/** Line and column of a byte, both from 1; the column counts bytes. */
function placeOf(bytes: Uint8Array, at: number): { readonly line: number; readonly column: number } {
  let line = 1;
  let lineStart = 0;
  for (let offset = bytes.indexOf(0x0a); offset !== -1 && offset < at; offset = bytes.indexOf(0x0a, offset + 1)) {
    line++;
    lineStart = offset + 1;
  }
  return { line, column: at - lineStart + 1 };
}
