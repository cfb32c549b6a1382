/** Rules of a keeper's channel: anchors, owners, orders, releases, access log, erasure. Pure; the contract reads the state they judge. */
import type { AccessHeadState, Anchor, AnchorState, OrderState, ReleaseOrder, SubjectState } from '../hdc.ts';
import { orgClass, type Caller } from '../orgs.ts';
import type { Digest, Instant, RecordId, SubjectId } from '../ids.ts';
import { orderSteps, recordSteps, stepAllowed } from '../steps.ts';
import { ALLOW, firstRefusal, refuse, type Verdict } from './verdict.ts';

type Person = Pick<Caller, 'name' | 'key'>;
type Reader = Person & Pick<Caller, 'role'>;

/** A2. One subject has one owner for good. The same link again changes nothing; a new key of the owner, shown at the desk, takes the place of the last. */
export function decideLinkOwner(existing: SubjectState | undefined, link: Pick<SubjectState, 'owner'>): Verdict {
  return existing === undefined || existing.owner === link.owner ? ALLOW : refuse('SUBJECT_LINKED');
}

/** A5. What is anchored stands: the same anchor again changes nothing (an outbox repeats itself), another one under the id is refused. */
export function decideAnchor(existing: AnchorState | undefined, anchor: Anchor): Verdict {
  if (existing === undefined) return ALLOW;
  const same = existing.subject === anchor.subject && existing.commitment === anchor.commitment && existing.signature === anchor.signature && existing.class === anchor.class;
  return same ? ALLOW : refuse('ANCHOR_EXISTS', { id: anchor.id });
}

/** No id twice in one list: a repeated id could hide how many records are meant. */
export function decideDistinct(ids: readonly string[], path: string): Verdict {
  return new Set(ids).size === ids.length ? ALLOW : refuse('INPUT_INVALID', { path, problem: 'repeated' });
}

/**
 * The pseudonym and the key that the keeper linked, both: a name is worth what its authority is worth, and the authority must
 * not be able to act as a patient. A certificate renewed for the same key stays the owner's.
 */
function owns(person: Person, subject: SubjectState | undefined): boolean {
  return subject !== undefined && subject.owner === person.name && subject.key === person.key;
}

/** Only the owner that the keeper linked acts for a subject; an unknown subject looks like another's. */
export function decideOwner(person: Person, subject: SubjectState | undefined): Verdict {
  return owns(person, subject) ? ALLOW : refuse('NOT_OWNER');
}

/** An item may be named by its owner only: anchored, of this subject, not erased. Unknown and other people's records look alike. */
export function decideItem({ id, anchor, subject }: { readonly id: RecordId; readonly anchor: AnchorState | undefined; readonly subject: SubjectId }): Verdict {
  if (anchor === undefined || anchor.subject !== subject) return refuse('RECORD_NOT_ANCHORED', { id });
  return anchor.erased === 'no' ? ALLOW : refuse('RECORD_ERASED', { id });
}

export interface OrderQuestion {
  readonly order: ReleaseOrder;
  readonly person: Person;
  readonly subject: SubjectState | undefined;
  readonly existing: OrderState | undefined;
  readonly now: Instant;
}

/** C4. Items are judged one by one with `decideItem`. */
export function decideOrder({ order, person, subject, existing, now }: OrderQuestion): Verdict {
  const owner = decideOwner(person, subject);
  if (!owner.allow) return owner;
  if (existing !== undefined) return refuse('GRANT_EXISTS', { grant: order.grant });
  if (orgClass(order.recipient) !== 'duo') return refuse('RECIPIENT_NOT_ALLOWED');
  if (order.until <= now || order.eraseAt <= now) return refuse('GRANT_EXPIRED');
  return decideDistinct(order.items, 'items');
}

/** GDPR Art. 7(3): withdrawing is always possible, as often as one likes, by whoever owns the subject now. An unknown order looks like another's. */
export function decideRevokeRelease(person: Person, existing: OrderState | undefined, subject: SubjectState | undefined): Verdict {
  return existing !== undefined && owns(person, subject) ? ALLOW : refuse('GRANT_UNKNOWN');
}

export interface ReleaseQuestion {
  readonly existing: OrderState | undefined;
  readonly items: readonly RecordId[];
  readonly recipientKeyDigest: Digest;
  readonly now: Instant;
}

/** C5. A revoked, used or expired grant releases nothing; nor does a live one to another key or beyond its items. */
export function decideRelease({ existing, items, recipientKeyDigest, now }: ReleaseQuestion): Verdict {
  if (existing === undefined) return refuse('GRANT_UNKNOWN');
  if (existing.state === 'revoked') return refuse('GRANT_REVOKED');
  if (!stepAllowed(orderSteps, existing.state, 'recordRelease')) return refuse('GRANT_REPLAYED');
  if (existing.order.until <= now) return refuse('GRANT_EXPIRED');
  if (existing.order.recipientKeyDigest !== recipientKeyDigest) return refuse('GRANT_OTHER_KEY');
  const granted = new Set(existing.order.items);
  if (!items.every((id) => granted.has(id))) return refuse('GRANT_WIDER');
  return decideDistinct(items, 'items');
}

/** The log is one chain: each commit starts where the last one ended, the first at line 0 or 1. The same commit again changes nothing. */
export function decideLogAccess(existing: AccessHeadState | null, commit: { readonly from: number; readonly to: number; readonly head: Digest }): Verdict {
  if (commit.to < commit.from) return refuse('INPUT_INVALID', { path: 'to', problem: 'before from' });
  if (existing === null) return commit.from <= 1 ? ALLOW : refuse('ACCESS_LOG_GAP', { expected: 0 });
  if (existing.to === commit.to && existing.head === commit.head) return ALLOW;
  return commit.from === existing.to + 1 ? ALLOW : refuse('ACCESS_LOG_GAP', { expected: existing.to + 1 });
}

/** The owner has records erased; ordering twice changes nothing, an erased record stays erased. */
export function decideOrderErasure({ id, anchor, subject }: { readonly id: RecordId; readonly anchor: AnchorState | undefined; readonly subject: SubjectId }): Verdict {
  if (anchor === undefined || anchor.subject !== subject) return refuse('RECORD_NOT_ANCHORED', { id });
  return stepAllowed(recordSteps, anchor.erased, 'orderErasure') ? ALLOW : refuse('RECORD_ERASED', { id });
}

/** The keeper erases on the owner's order only; the same receipt again changes nothing. */
export function decideRecordErasure({ id, anchor, receiptDigest }: { readonly id: RecordId; readonly anchor: AnchorState | undefined; readonly receiptDigest: Digest }): Verdict {
  if (anchor === undefined) return refuse('RECORD_NOT_ANCHORED', { id });
  if (anchor.erased === 'done') return anchor.receiptDigest === receiptDigest ? ALLOW : refuse('RECORD_ERASED', { id });
  return stepAllowed(recordSteps, anchor.erased, 'recordErasure') ? ALLOW : refuse('ERASURE_NOT_ORDERED', { id });
}

/** Verdict over a list: the first item that is refused decides. */
export function decideEach<T>(items: readonly T[], decide: (item: T) => Verdict): Verdict {
  return firstRefusal(...items.map(decide));
}

/** May the caller read what belongs to the subject? The keeper reads its own channel, a person only what is theirs. */
export function mayRead(caller: Reader, subject: SubjectState | undefined): boolean {
  return caller.role !== 'person' || owns(caller, subject);
}

/** Who owns a subject is told to the keeper and to that owner. */
export function decideGetOwner(caller: Reader, subject: SubjectState | undefined): Verdict {
  if (caller.role === 'person') return decideOwner(caller, subject);
  return subject === undefined ? refuse('SUBJECT_NOT_LINKED') : ALLOW;
}

/** An order is told to the keeper and to its owner; an unknown one looks like another's. */
export function decideGetOrder(caller: Reader, existing: OrderState | undefined, subject: SubjectState | undefined): Verdict {
  return existing !== undefined && mayRead(caller, subject) ? ALLOW : refuse('GRANT_UNKNOWN');
}
