import { describe, expect, it } from 'vitest';
import type { Anchor, AnchorState, OrderState, ReleaseOrder } from '../hdc.ts';
import type { Digest, GrantId, Instant, OrgId, PairwiseId, RecordId, Signature, SlotTag, SubjectId } from '../ids.ts';
import {
  decideAnchor, decideDistinct, decideEach, decideGetOrder, decideGetOwner, decideItem, decideLinkOwner, decideLogAccess, decideOrder, decideOrderErasure, decideOwner,
  decideRecordErasure, decideRelease, decideRevokeRelease, mayRead,
} from './hdc.ts';
import type { Verdict } from './verdict.ts';

const short = (name: string): string => name.padEnd(22, '0');
const long = (name: string): string => name.padEnd(43, '0');
const owner = short('owner') as PairwiseId;
const stranger = short('stranger') as PairwiseId;
const subject = short('subject') as SubjectId;
const records = ['r1', 'r2', 'r3'].map((name) => short(name) as RecordId);
const [r1, r2, r3] = records as [RecordId, RecordId, RecordId];
const day = (number: number): Instant => `2026-01-${String(number).padStart(2, '0')}T00:00:00.000Z` as Instant;
const said = (verdict: Verdict): string => (verdict.allow ? 'allowed' : verdict.because);

const anchor: AnchorState = { subject, commitment: long('c') as Digest, signature: 's'.repeat(96) as Signature, class: 'clinical', erased: 'no' };
const order: ReleaseOrder = {
  grant: short('grant') as GrantId, grantDigest: long('g') as Digest, subject, items: [r1, r2], recipient: 'DUO-lab' as OrgId, recipientKeyDigest: long('k') as Digest,
  purpose: 'research', until: day(10), eraseAt: day(20), slot: long('slot') as SlotTag,
};
const ordered: OrderState = { order, owner, state: 'ordered' };
const key = long('key') as Digest;
const link = { owner, key, linkDigest: long('l') as Digest };
/** Who acts: the owner; another name; the owner's name over another key, as a certificate authority could issue it; the owner's key under another name. */
const self = { name: owner, key };
const other = { name: stranger, key: long('theirs') as Digest };
const sameName = { name: owner, key: long('forged') as Digest };
const sameKey = { name: stranger, key };

describe('a subject and its owner', () => {
  it.each([
    ['a new subject', undefined, 'allowed'],
    ['the same owner again', link, 'allowed'],
    ['the same owner by another request', { ...link, linkDigest: long('m') as Digest }, 'allowed'],
    ['the same owner with a new key', { ...link, key: long('old') as Digest }, 'allowed'],
    ['another owner', { ...link, owner: stranger }, 'SUBJECT_LINKED'],
    ['another owner with the same key', { ...link, owner: stranger, key }, 'SUBJECT_LINKED'],
  ])('linking %s', (_name, existing, expected) => expect(said(decideLinkOwner(existing, link))).toBe(expected));

  it.each([
    ['the owner', self, link, 'allowed'],
    ['a stranger', other, link, 'NOT_OWNER'],
    ['the owner\'s name over another key', sameName, link, 'NOT_OWNER'],
    ['the owner\'s key under another name', sameKey, link, 'NOT_OWNER'],
    ['anybody, where nobody owns', self, undefined, 'NOT_OWNER'],
    ['a certificate without a name, where nobody owns', { name: '', key }, undefined, 'NOT_OWNER'],
  ])('acting as %s', (_name, person, state, expected) => expect(said(decideOwner(person, state))).toBe(expected));

  it.each([
    ['person', self, link, 'allowed'],
    ['person', other, link, 'NOT_OWNER'],
    ['person', sameName, link, 'NOT_OWNER'],
    ['person', self, undefined, 'NOT_OWNER'],
    ['system', other, link, 'allowed'],
    ['system', other, undefined, 'SUBJECT_NOT_LINKED'],
  ] as const)('reading the owner as %s %o', (role, caller, state, expected) => expect(said(decideGetOwner({ role, ...caller }, state))).toBe(expected));
});

describe('anchors', () => {
  const given: Anchor = { id: r1, subject, commitment: anchor.commitment, signature: anchor.signature, class: 'clinical' };
  it.each([
    ['a new one', undefined, 'allowed'],
    ['the same again', anchor, 'allowed'],
    ['the same after erasure', { ...anchor, erased: 'done' as const }, 'allowed'],
    ['another commitment', { ...anchor, commitment: long('x') as Digest }, 'ANCHOR_EXISTS'],
    ['another subject', { ...anchor, subject: short('other') as SubjectId }, 'ANCHOR_EXISTS'],
    ['another signature', { ...anchor, signature: 't'.repeat(96) as Signature }, 'ANCHOR_EXISTS'],
    ['another class', { ...anchor, class: 'genomic' as const }, 'ANCHOR_EXISTS'],
  ])('%s', (_name, existing, expected) => expect(said(decideAnchor(existing, given))).toBe(expected));

  it('are read by the keeper and, one\'s own, by a person', () => {
    expect(mayRead({ role: 'system', ...other }, undefined)).toBe(true);
    expect(mayRead({ role: 'person', ...self }, link)).toBe(true);
    for (const caller of [other, sameName, sameKey]) expect(mayRead({ role: 'person', ...caller }, link)).toBe(false);
    expect(mayRead({ role: 'person', ...self }, undefined)).toBe(false);
  });
});

describe('an order to release', () => {
  const question = { order, person: self, subject: link, existing: undefined, now: day(1) };
  it.each([
    ['its owner', question, 'allowed'],
    ['a stranger', { ...question, person: other }, 'NOT_OWNER'],
    ['a stranger, on a grant that exists', { ...question, person: other, existing: ordered }, 'NOT_OWNER'],
    ['the owner\'s name over another key', { ...question, person: sameName }, 'NOT_OWNER'],
    ['the owner\'s name over another key, on a grant that exists', { ...question, person: sameName, existing: ordered }, 'NOT_OWNER'],
    ['for a subject nobody owns', { ...question, subject: undefined }, 'NOT_OWNER'],
    ['a second time', { ...question, existing: ordered }, 'GRANT_EXISTS'],
    ['a second time after revocation', { ...question, existing: { ...ordered, state: 'revoked' as const } }, 'GRANT_EXISTS'],
    ['to a hospital', { ...question, order: { ...order, recipient: 'HO-west' as OrgId } }, 'RECIPIENT_NOT_ALLOWED'],
    ['to the user organisation', { ...question, order: { ...order, recipient: 'UO-people' as OrgId } }, 'RECIPIENT_NOT_ALLOWED'],
    ['the moment it ends', { ...question, now: day(10) }, 'GRANT_EXPIRED'],
    ['with erasure in the past', { ...question, order: { ...order, eraseAt: day(1) } }, 'GRANT_EXPIRED'],
    ['naming a record twice', { ...question, order: { ...order, items: [r1, r1] } }, 'INPUT_INVALID'],
  ])('%s', (_name, given, expected) => expect(said(decideOrder(given))).toBe(expected));

  it.each([
    ['an own record', anchor, 'allowed'],
    ['an unknown record', undefined, 'RECORD_NOT_ANCHORED'],
    ['another\'s record, as if unknown', { ...anchor, subject: short('other') as SubjectId }, 'RECORD_NOT_ANCHORED'],
    ['a record whose erasure is ordered', { ...anchor, erased: 'ordered' as const }, 'RECORD_ERASED'],
    ['an erased record', { ...anchor, erased: 'done' as const }, 'RECORD_ERASED'],
  ])('of %s', (_name, state, expected) => expect(said(decideItem({ id: r1, anchor: state, subject }))).toBe(expected));

  it.each([
    ['owner', self, link, 'allowed'],
    ['owner with the key linked since', sameName, { ...link, key: sameName.key }, 'allowed'],
    ['stranger', other, link, 'GRANT_UNKNOWN'],
    ['owner\'s name over another key', sameName, link, 'GRANT_UNKNOWN'],
  ])('is revoked by its %s in every state', (_name, person, subjectNow, expected) => {
    for (const state of ['ordered', 'released', 'revoked'] as const) expect(said(decideRevokeRelease(person, { ...ordered, state }, subjectNow))).toBe(expected);
    expect(said(decideRevokeRelease(person, undefined, undefined))).toBe('GRANT_UNKNOWN');
    expect(said(decideRevokeRelease(person, undefined, subjectNow))).toBe('GRANT_UNKNOWN');
  });

  it.each([
    ['person', self, ordered, 'allowed'],
    ['person', other, ordered, 'GRANT_UNKNOWN'],
    ['person', sameName, ordered, 'GRANT_UNKNOWN'],
    ['person', other, undefined, 'GRANT_UNKNOWN'],
    ['operator', other, ordered, 'allowed'],
    ['system', other, undefined, 'GRANT_UNKNOWN'],
  ] as const)('is read as %s %o', (role, caller, state, expected) => expect(said(decideGetOrder({ role, ...caller }, state, link))).toBe(expected));
});

describe('a release', () => {
  const question = { existing: ordered, items: [r1, r2], recipientKeyDigest: order.recipientKeyDigest, now: day(1) };
  it.each([
    ['as ordered', question, 'allowed'],
    ['narrower than ordered', { ...question, items: [r2] }, 'allowed'],
    ['without an order', { ...question, existing: undefined }, 'GRANT_UNKNOWN'],
    ['after revocation', { ...question, existing: { ...ordered, state: 'revoked' as const } }, 'GRANT_REVOKED'],
    ['a second time', { ...question, existing: { ...ordered, state: 'released' as const } }, 'GRANT_REPLAYED'],
    ['the moment the grant ends', { ...question, now: day(10) }, 'GRANT_EXPIRED'],
    ['after the grant ended', { ...question, now: day(11) }, 'GRANT_EXPIRED'],
    ['to another key', { ...question, recipientKeyDigest: long('other') as Digest }, 'GRANT_OTHER_KEY'],
    ['wider than ordered', { ...question, items: [r1, r2, r3] }, 'GRANT_WIDER'],
    ['of something else', { ...question, items: [r3] }, 'GRANT_WIDER'],
    ['of one record twice', { ...question, items: [r1, r1] }, 'INPUT_INVALID'],
    ['revoked and expired: revocation is told', { ...question, existing: { ...ordered, state: 'revoked' as const }, now: day(11) }, 'GRANT_REVOKED'],
  ])('%s', (_name, given, expected) => expect(said(decideRelease(given))).toBe(expected));
});

describe('the access log', () => {
  const head = { to: 9, head: long('h') as Digest };
  const other = long('i') as Digest;
  it.each([
    ['from line 0', null, { from: 0, to: 3, head: other }, 'allowed'],
    ['from line 1', null, { from: 1, to: 1, head: other }, 'allowed'],
    ['from line 2', null, { from: 2, to: 3, head: other }, 'ACCESS_LOG_GAP'],
    ['on from where it ended', head, { from: 10, to: 12, head: other }, 'allowed'],
    ['the same again', head, { from: 5, to: 9, head: head.head }, 'allowed'],
    ['another head for the same line', head, { from: 5, to: 9, head: other }, 'ACCESS_LOG_GAP'],
    ['with a gap', head, { from: 11, to: 12, head: other }, 'ACCESS_LOG_GAP'],
    ['with an overlap', head, { from: 9, to: 12, head: other }, 'ACCESS_LOG_GAP'],
    ['anew', head, { from: 0, to: 12, head: other }, 'ACCESS_LOG_GAP'],
    ['backwards', head, { from: 12, to: 10, head: other }, 'INPUT_INVALID'],
  ])('goes %s', (_name, existing, commit, expected) => expect(said(decideLogAccess(existing, commit))).toBe(expected));
});

describe('erasure', () => {
  const receiptDigest = long('receipt') as Digest;
  const states: readonly (AnchorState | undefined)[] = [undefined, anchor, { ...anchor, erased: 'ordered' }, { ...anchor, erased: 'done', receiptDigest }];
  it('is ordered by the owner of the record, in every state', () => {
    expect(states.map((state) => said(decideOrderErasure({ id: r1, anchor: state, subject })))).toEqual(['RECORD_NOT_ANCHORED', 'allowed', 'allowed', 'RECORD_ERASED']);
    expect(said(decideOrderErasure({ id: r1, anchor, subject: short('other') as SubjectId }))).toBe('RECORD_NOT_ANCHORED');
  });
  it('is done on order only, in every state', () => {
    expect(states.map((state) => said(decideRecordErasure({ id: r1, anchor: state, receiptDigest })))).toEqual(['RECORD_NOT_ANCHORED', 'ERASURE_NOT_ORDERED', 'allowed', 'allowed']);
    expect(said(decideRecordErasure({ id: r1, anchor: states[3], receiptDigest: long('another') as Digest }))).toBe('RECORD_ERASED');
  });
});

describe('lists', () => {
  it('name nothing twice and fail at their first refusal', () => {
    expect(decideDistinct(['a', 'b', 'a'], 'items')).toEqual({ allow: false, because: 'INPUT_INVALID', details: { path: 'items', problem: 'repeated' } });
    expect(decideEach([r1, r2], (id) => decideItem({ id, anchor: undefined, subject }))).toMatchObject({ because: 'RECORD_NOT_ANCHORED', details: { id: r1 } });
    expect(said(decideEach([], () => decideDistinct(['a', 'a'], '')))).toBe('allowed');
  });
});
