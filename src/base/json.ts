/**
 * The bounded JSON reader: a text from outside is checked whole in one pass (json-scan.ts), then visited lazily.
 * A node is a place in the received bytes, so its exact slice is always at hand and numbers stay as they were written.
 */
import { utf8, type Bytes } from './bytes.ts';
import type { Json } from './canonical-json.ts';
import { assert } from './errors.ts';
import { decodeString, JSON_LIMITS, ROW, scanJson, type JsonLimits } from './json-scan.ts';

export { JSON_LIMITS, type JsonLimits } from './json-scan.ts';

export type JsonKind = 'object' | 'array' | 'string' | 'number' | 'boolean' | 'null';

/** A value inside a checked text. */
export interface JsonNode {
  readonly kind: JsonKind;
  /** First byte and byte after the last, in the received bytes. */
  readonly start: number;
  readonly end: number;
  readonly source: JsonSource;
  /** Row of the object or array in the source's table; for other kinds the row of the next object or array. */
  readonly row: number;
}

/** The received bytes and the table of objects and arrays that the check left behind. */
export interface JsonSource {
  readonly bytes: Uint8Array;
  readonly rows: Int32Array;
}

const KINDS: Readonly<Record<string, JsonKind>> = { '{': 'object', '[': 'array', '"': 'string', t: 'boolean', f: 'boolean', n: 'null' };
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

/**
 * Checks a JSON text whole and returns its root. Costs one pass and about 12 bytes per object or array; builds no tree.
 * Throws JSON_MALFORMED, JSON_TOO_DEEP, JSON_DUPLICATE_KEY, JSON_TOO_LARGE, BYTES_NOT_UTF8; messages name places, never content.
 */
export function readJson(text: string | Uint8Array, limits: Partial<JsonLimits> = {}): JsonNode {
  const bytes = typeof text === 'string' ? utf8(text) : new Uint8Array(text.buffer, text.byteOffset, text.length);
  const scan = scanJson(bytes, { ...JSON_LIMITS, ...limits });
  return nodeAt({ bytes, rows: scan.rows }, { start: scan.rootStart, end: scan.rootEnd, row: 0 });
}

/** The exact bytes of a node, a view of the received ones. */
export function sliceOf(node: JsonNode): Bytes {
  return node.source.bytes.subarray(node.start, node.end) as Bytes;
}

/** Names and values of an object in the order received. */
export function members(node: JsonNode): readonly (readonly [name: string, value: JsonNode])[] {
  assert(node.kind === 'object', 'members are asked of an object');
  const { bytes } = node.source;
  const out: [string, JsonNode][] = [];
  let at = skipSpace(bytes, node.start + 1);
  let row = node.row + 1;
  while (bytes[at] !== 0x7d) {
    const nameEnd = stringEnd(bytes, at);
    const name = decodeString(bytes, at, nameEnd);
    const value = valueAt(node.source, skipSpace(bytes, skipSpace(bytes, nameEnd) + 1), row);
    out.push([name, value]);
    row = rowAfter(value);
    at = skipComma(bytes, value.end);
  }
  return out;
}

/** Elements of an array. */
export function items(node: JsonNode): readonly JsonNode[] {
  assert(node.kind === 'array', 'items are asked of an array');
  const { bytes } = node.source;
  const out: JsonNode[] = [];
  let at = skipSpace(bytes, node.start + 1);
  let row = node.row + 1;
  while (bytes[at] !== 0x5d) {
    const value = valueAt(node.source, at, row);
    out.push(value);
    row = rowAfter(value);
    at = skipComma(bytes, value.end);
  }
  return out;
}

/** The text of a string, or of any other node as it was written. */
export function textOf(node: JsonNode): string {
  return node.kind === 'string' ? decodeString(node.source.bytes, node.start, node.end) : decoder.decode(sliceOf(node));
}

/** The plain JavaScript value, numbers as doubles: for checks and look-ups, never for writing the document again. */
export function plainValue(node: JsonNode): unknown {
  return JSON.parse(decoder.decode(sliceOf(node)));
}

/**
 * The value as Json. A number that a double would print differently (1.00, 1e3, 1000000000000000001) becomes its text
 * as written, because a changed digit is a changed dose (FHIR R4 section 2.24.0.1: precision of decimals is significant).
 */
export function toJson(node: JsonNode): Json {
  switch (node.kind) {
    case 'object': {
      const out: Record<string, Json> = {};
      for (const [name, value] of members(node)) Object.defineProperty(out, name, { value: toJson(value), enumerable: true, configurable: true, writable: true });
      return out;
    }
    case 'array':
      return items(node).map(toJson);
    case 'number': {
      const written = textOf(node);
      return String(Number(written)) === written ? Number(written) : written;
    }
    case 'string':
      return textOf(node);
    default:
      return plainValue(node) as Json;
  }
}

function nodeAt(source: JsonSource, place: { readonly start: number; readonly end: number; readonly row: number }): JsonNode {
  const kind = KINDS[String.fromCharCode(source.bytes[place.start] as number)] ?? 'number';
  return { kind, ...place, source };
}

function valueAt(source: JsonSource, start: number, row: number): JsonNode {
  const { bytes } = source;
  const byte = bytes[start];
  let end: number;
  if (byte === 0x7b || byte === 0x5b) end = source.rows[row * ROW + 1] as number;
  else if (byte === 0x22) end = stringEnd(bytes, start);
  else end = wordEnd(bytes, start);
  return nodeAt(source, { start, end, row });
}

/** Row of the first object or array after the node. */
function rowAfter(node: JsonNode): number {
  return node.kind === 'object' || node.kind === 'array' ? (node.source.rows[node.row * ROW + 2] as number) : node.row;
}

function skipSpace(bytes: Uint8Array, from: number): number {
  let at = from;
  while ((bytes[at] as number) <= 0x20) at++;
  return at;
}

function skipComma(bytes: Uint8Array, from: number): number {
  const at = skipSpace(bytes, from);
  return bytes[at] === 0x2c ? skipSpace(bytes, at + 1) : at;
}

function stringEnd(bytes: Uint8Array, start: number): number {
  let at = start + 1;
  while (bytes[at] !== 0x22) at += bytes[at] === 0x5c ? 2 : 1;
  return at + 1;
}

/** End of a number, true, false or null: the next space, comma or closing bracket. */
function wordEnd(bytes: Uint8Array, start: number): number {
  let at = start;
  for (;;) {
    const byte = bytes[at];
    if (byte === undefined || byte <= 0x20 || byte === 0x2c || byte === 0x5d || byte === 0x7d) return at;
    at++;
  }
}
