/** What of a bundle is new for one patient: which records to make, which they replace, and what their references mean. */
import { equalBytes, toBase64url, type Bytes } from '#base/bytes.ts';
import type { RecordId, SubjectId } from '#model/ids.ts';
import type { BundleEntry } from '#records/bundle.ts';
import type { CurrentVersion } from '#store/ports.ts';
import type { RecordDraft } from './sealing.ts';
import { addressOf, type Tags } from './tags.ts';

export interface PlannedRecord {
  readonly draft: RecordDraft;
  readonly index: number;
  readonly sourceKey: string;
  readonly address?: string;
  readonly contentTag: Bytes;
  /** The version it takes the place of. */
  readonly replaces?: RecordId;
}

export interface DeliveryPlan {
  readonly records: readonly PlannedRecord[];
  /** Indexes of entries the keeper already holds byte for byte. */
  readonly duplicates: readonly number[];
}

/** An entry of the bundle with its tags for one subject. */
export interface TaggedEntry {
  readonly entry: BundleEntry;
  readonly sourceKey: string;
  readonly address?: string;
  readonly contentTag: Bytes;
}

/** A resource without any address is recognised by its content alone. */
export function tagEntry(entry: BundleEntry, subject: SubjectId, tags: Tags): TaggedEntry {
  const contentTag = tags.content(subject, entry.bytes);
  const typeAndId = entry.sourceKey === undefined ? undefined : addressOf(entry.sourceKey);
  return {
    entry,
    sourceKey: tags.source(subject, entry.sourceKey ?? `content:${toBase64url(contentTag)}`),
    ...(typeAndId === undefined ? {} : { address: tags.address(typeAndId) }),
    contentTag,
  };
}

export interface PlanInput {
  readonly subject: SubjectId;
  readonly entries: readonly TaggedEntry[];
  readonly current: ReadonlyMap<string, Pick<CurrentVersion, 'id' | 'contentTag'>>;
  /** Records of this subject by `Type/id`, for references that the bundle does not answer. */
  readonly stored: ReadonlyMap<string, RecordId>;
  readonly newId: () => RecordId;
}

/** Plans one subject's part of a bundle. The same bytes again are nothing new; other bytes under the same source are a new version. */
export function planDelivery({ subject, entries, current, stored, newId }: PlanInput): DeliveryPlan {
  const newest = new Map<string, Pick<CurrentVersion, 'id' | 'contentTag'>>(current);
  const recordOf = new Map<number, RecordId>();
  const fresh: { readonly tagged: TaggedEntry; readonly id: RecordId; readonly replaces: RecordId | undefined }[] = [];
  const duplicates: number[] = [];
  for (const tagged of entries) {
    const known = newest.get(tagged.sourceKey);
    if (known !== undefined && equalBytes(known.contentTag, tagged.contentTag)) {
      duplicates.push(tagged.entry.index);
      recordOf.set(tagged.entry.index, known.id as RecordId);
      continue;
    }
    const id = newId();
    fresh.push({ tagged, id, replaces: known?.id as RecordId | undefined });
    newest.set(tagged.sourceKey, { id, contentTag: tagged.contentTag });
    recordOf.set(tagged.entry.index, id);
  }
  return {
    duplicates,
    records: fresh.map(({ tagged, id, replaces }) => ({
      draft: draftOf({ tagged, id, replaces, subject, links: linksOf(tagged.entry, recordOf, stored) }),
      index: tagged.entry.index,
      sourceKey: tagged.sourceKey,
      ...(tagged.address === undefined ? {} : { address: tagged.address }),
      contentTag: tagged.contentTag,
      ...(replaces === undefined ? {} : { replaces }),
    })),
  };
}

function draftOf({ tagged, id, replaces, subject, links }: { readonly tagged: TaggedEntry; readonly id: RecordId; readonly replaces: RecordId | undefined; readonly subject: SubjectId; readonly links: Readonly<Record<string, RecordId>> }): RecordDraft {
  const { entry } = tagged;
  return {
    id,
    subject,
    resourceType: entry.resourceType,
    class: entry.facts.class,
    codes: entry.facts.codes,
    ...(entry.facts.date === undefined ? {} : { date: entry.facts.date }),
    ...(entry.fullUrl === undefined ? {} : { fullUrl: entry.fullUrl }),
    ...(Object.keys(links).length === 0 ? {} : { links }),
    ...(replaces === undefined ? {} : { replaces }),
    bytes: entry.bytes,
  };
}

/** Reference texts and the records they mean for this subject; what belongs to others or lies outside has no link. */
function linksOf(entry: BundleEntry, recordOf: ReadonlyMap<number, RecordId>, stored: ReadonlyMap<string, RecordId>): Readonly<Record<string, RecordId>> {
  const links: Record<string, RecordId> = Object.create(null) as Record<string, RecordId>;
  for (const { text, target } of entry.references) {
    if (text === undefined) continue;
    const record = target.kind === 'entry' ? recordOf.get(target.index) : target.kind === 'stored' ? stored.get(target.key) : undefined;
    if (record !== undefined) links[text] = record;
  }
  return links;
}
