/**
 * Reads a FHIR R4 bundle (transaction or collection) into records: exact received bytes of every resource, its facts,
 * its patients and its references; what cannot be taken is refused one by one with a code and a reason without values.
 */
import type { Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import { items, members, plainValue, readJson, textOf, type JsonLimits, type JsonNode } from '#base/json.ts';
import { draftEntries, type Draft, type RefusedEntry } from './draft.ts';
import type { RecordFacts } from './facts.ts';
import type { ReferenceTarget, ResolvedReference } from './references.ts';
import { settle, type Settled } from './settle.ts';
import { unpack } from './unpack.ts';
import { inspectElement } from './validate.ts';

export type { RefusedEntry } from './draft.ts';

export interface BundleEntry {
  /** Position in `Bundle.entry`, from 0. */
  readonly index: number;
  readonly fullUrl?: string;
  readonly resourceType: string;
  /** The exact received slice, a view of the unpacked file. */
  readonly bytes: Bytes;
  readonly facts: RecordFacts;
  /** Local ids of the patients it belongs to, sorted; at least one, more than one for shared resources. */
  readonly patients: readonly string[];
  readonly references: readonly ResolvedReference[];
  /** The same resource sent again has the same key: RESTful fullUrl, else `Type/id`, else fullUrl; absent when it has none. */
  readonly sourceKey?: string;
}

export interface BundleReading {
  readonly type: BundleType;
  /** Number of entries received: accepted and refused together. */
  readonly read: number;
  readonly entries: readonly BundleEntry[];
  /** In the order of the bundle. */
  readonly refused: readonly RefusedEntry[];
}

export interface ReadOptions {
  readonly limits?: Partial<JsonLimits>;
  /** Of the given relative references (`Type/id`), those that the keeper's store already has. Asked at most once per bundle. */
  readonly stored?: (keys: readonly string[]) => Promise<ReadonlySet<string>>;
  /** Called every few hundred entries, so that a large bundle does not hold up everything else in the process. */
  readonly pause?: () => Promise<void>;
}

const BUNDLE_TYPES = ['transaction', 'collection'] as const;
export type BundleType = (typeof BUNDLE_TYPES)[number];

/** More entries than any export of one visit or one person has; 50 MiB of the smallest resources would take minutes to store. */
export const ENTRIES_MAX = 100_000;

/**
 * Reads a bundle from JSON or gzipped JSON.
 * Throws for the whole file: FILE_EMPTY, FILE_TOO_LARGE, FILE_FORMAT_UNKNOWN, GZIP_DAMAGED, GZIP_BOMB, FHIR_XML_UNSUPPORTED,
 * the codes of base/json.ts, FHIR_NOT_A_BUNDLE, FHIR_BUNDLE_TYPE, FHIR_BUNDLE_INVALID, FHIR_BUNDLE_ENTRIES.
 */
export async function readBundle(received: Uint8Array, options: ReadOptions = {}): Promise<BundleReading> {
  const root = readJson(await unpack(received), options.limits);
  const { type, nodes } = bundleShell(root);
  const refused: RefusedEntry[] = [];
  const drafts = await draftEntries(nodes, refused, options.pause ?? (() => Promise.resolve()));
  const settled = await settle(drafts, refused, options.stored ?? (() => Promise.resolve(new Set<string>())));
  refused.sort((left, right) => left.index - right.index);
  return { type, read: nodes.length, entries: settled.kept.map((draft) => entryOf(draft, settled)), refused };
}

function bundleShell(root: JsonNode): { readonly type: BundleType; readonly nodes: readonly JsonNode[] } {
  if (root.kind !== 'object') throw notABundle('The file is JSON, but not a FHIR resource.');
  const top = new Map(members(root));
  const resourceType = top.get('resourceType');
  if (resourceType?.kind !== 'string') throw notABundle('The file is JSON, but not a FHIR resource: it has no resourceType.');
  if (textOf(resourceType) !== 'Bundle') throw notABundle('The file holds another resource than a Bundle.');
  const typeNode = top.get('type');
  const type = BUNDLE_TYPES.find((known) => typeNode?.kind === 'string' && known === textOf(typeNode));
  if (type === undefined) throw new CodedError('FHIR_BUNDLE_TYPE', 'The Bundle is of another type than transaction or collection.', { next: 'Set Bundle.type to transaction or collection.' });
  const shell = Object.fromEntries([...top].filter(([name]) => name !== 'entry').map(([name, node]) => [name, plainValue(node)]));
  const [problem] = inspectElement(shell, 'Bundle');
  if (problem !== undefined) throw new CodedError('FHIR_BUNDLE_INVALID', `The Bundle itself is not valid FHIR R4: ${problem.path}: ${problem.reason}.`, { path: problem.path, next: 'Correct the element named; nothing of the bundle was taken.' });
  const entry = top.get('entry');
  if (entry !== undefined && entry.kind !== 'array') throw notABundle('Bundle.entry is not a list.');
  const nodes = entry === undefined ? [] : items(entry);
  if (nodes.length > ENTRIES_MAX) throw new CodedError('FHIR_BUNDLE_ENTRIES', `The Bundle has more than ${ENTRIES_MAX} entries.`, { entries: nodes.length, next: 'Split it into several smaller ones.' });
  return { type, nodes };
}

function notABundle(what: string): CodedError {
  return new CodedError('FHIR_NOT_A_BUNDLE', what, { next: 'Put the resources into a Bundle of type transaction or collection.' });
}

function entryOf(draft: Draft, { targets, owners }: Settled): BundleEntry {
  const { index, fullUrl, typeAndId, resourceType, bytes, facts, found } = draft;
  const list = targets.get(index) as readonly ReferenceTarget[];
  const sourceKey = fullUrl !== undefined && /^https?:/.test(fullUrl) ? fullUrl : (typeAndId ?? fullUrl);
  return {
    index,
    ...(fullUrl === undefined ? {} : { fullUrl }),
    resourceType,
    bytes,
    facts,
    patients: owners.get(index) as readonly string[],
    references: found.map(({ path, text }, position) => ({ path, ...(text === undefined ? {} : { text }), target: list[position] as ReferenceTarget })),
    ...(sourceKey === undefined ? {} : { sourceKey }),
  };
}
