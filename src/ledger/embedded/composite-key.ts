/** Composite keys and range bounds, as fabric-shim and Fabric's peer define them. */

const NUL = '\u0000';
const LAST = '\u{10ffff}';

function checkPart(part: string): void {
  if (typeof part !== 'string' || !part.isWellFormed()) throw new Error('not a valid utf8 string: a part of the composite key');
  if (part.includes(NUL) || part.includes(LAST)) throw new Error('input contains unicode U+0000 or U+10FFFF, which are not allowed in the input attribute of a composite key');
}

/** NUL, type, NUL, and each attribute followed by NUL: so composite keys never mix with simple ones. */
export function compositeKey(objectType: string, attributes: readonly string[]): string {
  if (typeof objectType !== 'string' || objectType === '') throw new Error('objectType is required and must be a non-zero length string');
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

/** All composite keys that begin with the attributes. */
export function compositeRange(objectType: string, attributes: readonly string[]): { readonly start: string; readonly end: string } {
  const start = compositeKey(objectType, attributes);
  return { start, end: start + LAST };
}

/** A range of simple keys. An empty start is the first simple key (composite keys come before it); an empty end is no end. */
export function openRange(start: string, end: string): { readonly start: string; readonly end: string } {
  for (const key of [start, end]) {
    if (key.startsWith(NUL)) throw new Error(`first character of the key [${key.replaceAll(NUL, '\\0')}] contains a null character which is not allowed`);
    if (!key.isWellFormed()) throw new Error('not a valid utf8 string: a bound of the range');
  }
  return { start: start === '' ? '\u0001' : start, end };
}
