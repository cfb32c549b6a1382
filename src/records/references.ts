/**
 * References of a bundle's resources and what each resolves to (FHIR R4 sections 2.3.0 and 2.36.4 "Resolving references
 * in Bundles"): an entry of the bundle, a contained resource, a resource the keeper already has, or something outside.
 */
import type { Element } from './resource.ts';

/** A reference as it stands in a resource. `text` is absent for a logical reference (identifier or display only). */
export interface FoundReference {
  /** Element path, such as `Observation.performer[0]`. */
  readonly path: string;
  readonly text?: string;
  readonly identifier?: Element;
  /** Resource types it may lead to; absent: any. */
  readonly targets?: ReadonlySet<string>;
  /** Ids of the contained resources of the resource it stands in. */
  readonly contained: ReadonlySet<string>;
}

export type ReferenceTarget =
  | { readonly kind: 'entry'; readonly index: number }
  /** Relative `Type/id` of a resource that the keeper already has. */
  | { readonly kind: 'stored'; readonly key: string }
  | { readonly kind: 'contained' }
  /** On another server, conditional, or logical: not ours to resolve. */
  | { readonly kind: 'external' };

export interface ResolvedReference {
  readonly path: string;
  readonly text?: string;
  readonly target: ReferenceTarget;
}

/** What can be a target inside the bundle: index in `Bundle.entry`, fullUrl, `Type/id`. */
export interface Addressed {
  readonly index: number;
  readonly fullUrl?: string;
  readonly typeAndId?: string;
}

export interface AddressBook {
  readonly byUrl: ReadonlyMap<string, number>;
  readonly byTypeAndId: ReadonlyMap<string, number>;
}

const RELATIVE = /^([A-Z][A-Za-z]+\/[A-Za-z0-9.-]{1,64})(?:\/_history\/[A-Za-z0-9.-]{1,64})?$/;
const CONDITIONAL = /^[A-Z][A-Za-z]+\?./;
const SCHEME = /^[A-Za-z][A-Za-z0-9+.-]*:/;
const BUNDLE_URN = /^urn:(uuid|oid):/i;

/** Addresses of the entries; of two entries with one address the first counts (the reader refuses the second). */
export function addressBook(entries: readonly Addressed[]): AddressBook {
  const byUrl = new Map<string, number>();
  const byTypeAndId = new Map<string, number>();
  for (const { index, fullUrl, typeAndId } of entries) {
    if (fullUrl !== undefined && !byUrl.has(urlKey(fullUrl))) byUrl.set(urlKey(fullUrl), index);
    if (typeAndId !== undefined && !byTypeAndId.has(typeAndId)) byTypeAndId.set(typeAndId, index);
  }
  return { byUrl, byTypeAndId };
}

/**
 * The target of a reference, `stored` when only the keeper's store can tell (a relative reference that no entry answers),
 * or undefined when nothing can: an unknown urn:uuid or urn:oid, a missing contained resource, or no reference at all.
 */
export function resolveReference(reference: FoundReference, from: Addressed, book: AddressBook): ReferenceTarget | undefined {
  const { text } = reference;
  if (text === undefined) return { kind: 'external' };
  if (text.startsWith('#')) return text === '#' || reference.contained.has(text.slice(1)) ? { kind: 'contained' } : undefined;
  if (CONDITIONAL.test(text)) return { kind: 'external' };
  const relative = RELATIVE.exec(text)?.[1];
  if (relative !== undefined) {
    const index = book.byUrl.get(urlKey(baseOf(from) + relative)) ?? book.byTypeAndId.get(relative);
    return index === undefined ? { kind: 'stored', key: relative } : { kind: 'entry', index };
  }
  if (!SCHEME.test(text)) return undefined;
  const index = book.byUrl.get(urlKey(text));
  if (index !== undefined) return { kind: 'entry', index };
  return BUNDLE_URN.test(text) ? undefined : { kind: 'external' };
}

/** URLs are compared without version and fragment; the letters of a URN's UUID may be of either case (RFC 4122 section 3). */
function urlKey(url: string): string {
  const plain = url.replace(/#.*$/, '').replace(/\/_history\/[^/]*$/, '');
  return BUNDLE_URN.test(plain) ? plain.toLowerCase() : plain;
}

/** The server a RESTful fullUrl names, with its last slash; empty for URNs. */
function baseOf(from: Addressed): string {
  return /^(https?:\/\/.*\/)[A-Z][A-Za-z]+\/[A-Za-z0-9.-]{1,64}$/.exec(from.fullUrl ?? '')?.[1] ?? '';
}
