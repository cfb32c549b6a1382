/** The entries of a bundle, looked at together: references resolve, every resource has its patient, or it is refused. */
import { identifierKey, type Draft, type LocalPatient, type RefusedEntry } from './draft.ts';
import { PATIENT_ELEMENTS } from './facts.ts';
import { addressBook, resolveReference, type FoundReference, type ReferenceTarget } from './references.ts';
import { assignSubjects, type Claim, type SubjectTarget } from './subjects.ts';

/** Per entry index, the target of each of its references; undefined where there is none. */
export type Targets = ReadonlyMap<number, readonly (ReferenceTarget | undefined)[]>;

export interface Settled {
  readonly kept: readonly Draft[];
  readonly targets: Targets;
  /** Local patient ids by entry index. */
  readonly owners: ReadonlyMap<number, readonly string[]>;
}

/** Settles a bundle's drafts; what cannot stay is added to `refused`. `stored` tells which relative references the keeper can answer. */
export async function settle(drafts: readonly Draft[], refused: RefusedEntry[], stored: (keys: readonly string[]) => Promise<ReadonlySet<string>>): Promise<Settled> {
  const targets = await resolveAll(drafts, stored);
  let kept = refuseDangling(refuseWrongTypes(drafts, targets, refused), targets, refused);
  for (;;) {
    const owners = assignSubjects(claimsOf(kept, targets));
    const assigned = kept.filter((draft) => (owners.get(draft.index) as readonly string[]).length > 0);
    if (assigned.length === kept.length) return { kept, targets, owners };
    const stays = new Set(assigned);
    for (const draft of kept) {
      if (!stays.has(draft)) refused.push({ index: draft.index, code: 'SUBJECT_UNKNOWN', reason: `${draft.resourceType}: it cannot be told which one patient it belongs to` });
    }
    kept = refuseDangling(assigned, targets, refused);
  }
}

async function resolveAll(drafts: readonly Draft[], stored: (keys: readonly string[]) => Promise<ReadonlySet<string>>): Promise<Targets> {
  const book = addressBook(drafts);
  const targets = new Map(drafts.map((draft) => [draft.index, draft.found.map((reference) => resolveReference(reference, draft, book))]));
  const asked = new Set([...targets.values()].flat().flatMap((target) => (target?.kind === 'stored' ? [target.key] : [])));
  const known = asked.size === 0 ? asked : await stored([...asked]);
  const settled = new Map<number, readonly (ReferenceTarget | undefined)[]>();
  for (const [index, list] of targets) settled.set(index, list.map((target) => (target?.kind === 'stored' && !known.has(target.key) ? undefined : target)));
  return settled;
}

/** "The reference SHALL be to a resource of a type listed" (ElementDefinition.type.targetProfile), where the target is in the bundle. */
function refuseWrongTypes(drafts: readonly Draft[], targets: Targets, refused: RefusedEntry[]): readonly Draft[] {
  const types = new Map(drafts.map((draft) => [draft.index, draft.resourceType]));
  return drafts.filter((draft) => {
    const wrong = findReference(draft, targets, (target, reference) => target?.kind === 'entry' && reference.targets?.has(types.get(target.index) as string) === false);
    if (wrong !== undefined) refused.push({ index: draft.index, code: 'FHIR_REFERENCE_TYPE', reason: `${wrong.path}: leads to a resource of a type that is not allowed there` });
    return wrong === undefined;
  });
}

/** Refuses what refers to a missing or refused resource, until every kept reference resolves. */
function refuseDangling(drafts: readonly Draft[], targets: Targets, refused: RefusedEntry[]): readonly Draft[] {
  const present = new Set(drafts.map((draft) => draft.index));
  const referrers = referrersOf(drafts, targets);
  const byIndex = new Map(drafts.map((draft) => [draft.index, draft]));
  let suspects: readonly Draft[] = drafts;
  while (suspects.length > 0) {
    const gone: number[] = [];
    for (const draft of suspects) {
      if (!present.has(draft.index)) continue;
      const dangling = findReference(draft, targets, (target) => target === undefined || (target.kind === 'entry' && !present.has(target.index)));
      if (dangling === undefined) continue;
      present.delete(draft.index);
      gone.push(draft.index);
      refused.push({ index: draft.index, code: 'REFERENCE_UNRESOLVED', reason: `${dangling.path}: leads to a resource that is neither in the bundle nor known here, or was refused` });
    }
    suspects = gone.flatMap((index) => (referrers.get(index) ?? []).map((referrer) => byIndex.get(referrer) as Draft));
  }
  return drafts.filter((draft) => present.has(draft.index));
}

function referrersOf(drafts: readonly Draft[], targets: Targets): ReadonlyMap<number, readonly number[]> {
  const referrers = new Map<number, number[]>();
  for (const { index } of drafts) {
    for (const target of targets.get(index) ?? []) {
      if (target?.kind !== 'entry') continue;
      const list = referrers.get(target.index);
      if (list === undefined) referrers.set(target.index, [index]);
      else list.push(index);
    }
  }
  return referrers;
}

function findReference(draft: Draft, targets: Targets, matches: (target: ReferenceTarget | undefined, reference: FoundReference) => boolean): FoundReference | undefined {
  const list = targets.get(draft.index) as readonly (ReferenceTarget | undefined)[];
  return draft.found.find((reference, position) => matches(list[position], reference));
}

/** A top-level element that names the patient: `Observation.subject`, `Account.subject[0]`. */
const DIRECT = new RegExp(`^[A-Za-z]+\\.(?:${PATIENT_ELEMENTS.join('|')})(?:\\[\\d+\\])?$`);

function claimsOf(drafts: readonly Draft[], targets: Targets): readonly Claim[] {
  const patients = new Map(drafts.flatMap((draft) => (draft.patient === undefined ? [] : [[draft.index, draft.patient] as const])));
  return drafts.map((draft) => {
    const list = targets.get(draft.index) as readonly ReferenceTarget[];
    return {
      index: draft.index,
      ...(draft.patient === undefined ? {} : { patient: draft.patient.id }),
      subjects: draft.found.flatMap((reference, position) => (DIRECT.test(reference.path) ? [subjectTarget(reference, list[position] as ReferenceTarget, patients)] : [])),
      refersTo: list.flatMap((target) => (target.kind === 'entry' ? [target.index] : [])),
    };
  });
}

/** Whom a direct reference means. */
function subjectTarget(reference: FoundReference, target: ReferenceTarget, patients: ReadonlyMap<number, LocalPatient>): SubjectTarget {
  switch (target.kind) {
    case 'entry': {
      const patient = patients.get(target.index);
      return patient === undefined ? { kind: 'open' } : { kind: 'patient', patient: patient.id };
    }
    case 'stored':
      return target.key.startsWith('Patient/') ? { kind: 'patient', patient: target.key.slice('Patient/'.length) } : { kind: 'open' };
    case 'contained':
      return { kind: 'open' };
    case 'external':
      return byIdentifier(reference, [...patients.values()]);
  }
}

/** `Patient?identifier=system|value` and logical references mean the patient of the bundle that has this identifier; anybody else is a stranger. */
function byIdentifier(reference: FoundReference, patients: readonly LocalPatient[]): SubjectTarget {
  const query = /^Patient\?identifier=([^&]+)$/.exec(reference.text ?? '')?.[1];
  const key = query === undefined ? identifierKey(reference.identifier) : decodeQuery(query);
  const named = key === undefined ? [] : patients.filter((patient) => patient.identifiers.includes(key));
  return named.length === 1 && named[0] !== undefined ? { kind: 'patient', patient: named[0].id } : { kind: 'stranger' };
}

function decodeQuery(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
