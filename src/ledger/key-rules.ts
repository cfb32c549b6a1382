/**
 * What a key may be, composite keys and the bounds of ranges: fabric-shim's rules for Node, and two more that its peer
 * would let pass and Go's shim does not (an empty key, U+10FFFF in a part). The same rules hold for a contract in the
 * embedded ledger and for one that is served to Fabric's peers, so that it behaves alike on both.
 */

const NUL = '\u0000';
const LAST = '\u{10ffff}';
/** A range from the empty key starts here: composite keys, which begin with NUL, are passed over. */
const FIRST_SIMPLE = '\u0001';

/** The key, when a contract may use it. Throws with Fabric's sentences. */
export function checkKey(key: string): string {
  if (typeof key !== 'string' || key === '') throw new Error('key must be a non-empty string');
  if (!key.isWellFormed()) throw new Error('not a valid utf8 string: the key has a lone surrogate');
  return key;
}

function checkPart(part: string): void {
  if (typeof part !== 'string' || part === '') throw new Error('object type or attribute not a non-zero length string');
  if (!part.isWellFormed()) throw new Error('not a valid utf8 string: a part of the composite key');
  if (part.includes(NUL) || part.includes(LAST)) throw new Error('input contains unicode U+0000 or U+10FFFF, which are not allowed in the input attribute of a composite key');
}

/** NUL, type, NUL, and each attribute followed by NUL: so composite keys never mix with simple ones. */
export function compositeKey(objectType: string, attributes: readonly string[]): string {
  checkPart(objectType);
  for (const attribute of attributes) checkPart(attribute);
  return [NUL, objectType, NUL, ...attributes.map((attribute) => attribute + NUL)].join('');
}

/** The parts of a composite key. */
export function splitComposite(key: string): { readonly objectType: string; readonly attributes: string[] } {
  if (!key.startsWith(NUL) || !key.endsWith(NUL) || key.length < 3) throw new Error('the key is not a composite key');
  const [objectType = '', ...attributes] = key.slice(1, -1).split(NUL);
  return { objectType, attributes };
}

export interface Bounds {
  readonly start: string;
  /** Not included; empty: no end. */
  readonly end: string;
}

/** All composite keys that begin with the attributes. */
export function compositeRange(objectType: string, attributes: readonly string[]): Bounds {
  const start = compositeKey(objectType, attributes);
  return { start, end: start + LAST };
}

/** A range of simple keys. An empty start is the first simple key. */
export function openRange(start: string, end: string): Bounds {
  for (const key of [start, end]) {
    if (key.startsWith(NUL)) throw new Error(`first character of the key [${key.replaceAll(NUL, '\\0')}] contains a null character which is not allowed`);
    if (!key.isWellFormed()) throw new Error('not a valid utf8 string: a bound of the range');
  }
  return privateRange(start, end);
}

/** A range of a collection: fabric-shim checks nothing here but fills in an empty start. */
export function privateRange(start: string, end: string): Bounds {
  return { start: start === '' ? FIRST_SIMPLE : start, end };
}
