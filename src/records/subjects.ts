/** Whose record is it: every resource of a bundle is assigned to its patient, or to each patient that shares it. */

/** What the assignment must know of one accepted resource. */
export interface Claim {
  readonly index: number;
  /** Set for Patient resources: the patient's local id. */
  readonly patient?: string;
  /** Targets of the references that name the patient directly (subject, patient, beneficiary …). */
  readonly subjects: readonly SubjectTarget[];
  /** Entries it refers to by any reference. */
  readonly refersTo: readonly number[];
}

export type SubjectTarget =
  /** A patient of the bundle or of the keeper's store. */
  | { readonly kind: 'patient'; readonly patient: string }
  /** Somebody healthkeep cannot tell. */
  | { readonly kind: 'stranger' }
  /** Not a person (a group, a device, a place), or nobody in particular. */
  | { readonly kind: 'open' };

/**
 * Patients of every resource, by index. Rules, first match wins: a Patient belongs to itself; a resource that names one
 * patient belongs to it; one that names several or a stranger belongs to nobody (mixing two people's records is the worst
 * mistake possible here); the only patient of a bundle owns everything else; what refers to resources of one patient is that
 * patient's (Provenance); what patients' resources refer to (Practitioner, Organization) is shared by these patients.
 * A resource with no patients stays unassigned: an empty list.
 */
export function assignSubjects(claims: readonly Claim[]): ReadonlyMap<number, readonly string[]> {
  const owners = new Map<number, Set<string>>();
  const open: Claim[] = [];
  const everyone = new Set<string>();
  for (const claim of claims) {
    const named = namedPatients(claim);
    for (const patient of named ?? []) everyone.add(patient);
    if (named !== undefined && named.size === 0) open.push(claim);
    owners.set(claim.index, named !== undefined && named.size === 1 ? named : new Set());
  }
  if (everyone.size === 1) {
    for (const claim of open) owners.set(claim.index, new Set(everyone));
  } else {
    const shared = ownedThroughTargets(open, owners);
    spreadToTargets(claims, new Set(shared.map((claim) => claim.index)), owners);
  }
  return new Map([...owners].map(([index, patients]) => [index, [...patients].sort()]));
}

/** Patients a resource names; undefined when it names a stranger. */
function namedPatients(claim: Claim): Set<string> | undefined {
  if (claim.patient !== undefined) return new Set([claim.patient]);
  if (claim.subjects.some((subject) => subject.kind === 'stranger')) return undefined;
  return new Set(claim.subjects.flatMap((subject) => (subject.kind === 'patient' ? [subject.patient] : [])));
}

/** Gives open resources the single patient of the resources they refer to, round by round; returns those still open. */
function ownedThroughTargets(open: readonly Claim[], owners: Map<number, Set<string>>): readonly Claim[] {
  let rest = open;
  for (;;) {
    const found = rest.flatMap((claim) => {
      const patients = new Set(claim.refersTo.flatMap((index) => [...(owners.get(index) ?? [])]));
      return patients.size === 1 ? [{ claim, patients }] : [];
    });
    if (found.length === 0) return rest;
    // All of a round at once: the order of the entries must not matter.
    for (const { claim, patients } of found) owners.set(claim.index, patients);
    const gone = new Set(found.map(({ claim }) => claim));
    rest = rest.filter((claim) => !gone.has(claim));
  }
}

/** Every shared resource gets all patients of the resources that refer to it, through any number of steps. */
function spreadToTargets(claims: readonly Claim[], shared: ReadonlySet<number>, owners: Map<number, Set<string>>): void {
  const byIndex = new Map(claims.map((claim) => [claim.index, claim]));
  const queue = claims.filter((claim) => (owners.get(claim.index)?.size ?? 0) > 0);
  for (let claim = queue.pop(); claim !== undefined; claim = queue.pop()) {
    const patients = owners.get(claim.index) as Set<string>;
    for (const index of claim.refersTo) {
      const target = owners.get(index);
      if (!shared.has(index) || target === undefined) continue;
      const before = target.size;
      for (const patient of patients) target.add(patient);
      if (target.size > before) queue.push(byIndex.get(index) as Claim);
    }
  }
}
