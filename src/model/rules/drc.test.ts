import { describe, expect, it } from 'vitest';
import { SlotPhase, type SlotState, type TemplateState } from '../drc.ts';
import type { CallerId, Digest, Instant, OrgId, SlotTag, TemplateId } from '../ids.ts';
import type { RequestTemplate, TemplateRef } from '../template.ts';
import {
  decideErasure, decideGetSlot, decideInvite, decideOpenSlot, decidePublish, decideReceipt, decideReport, decideRespond, decideRevokeGrant, decideSettle, decideWithdraw,
  NO_DIGEST, phaseAfter,
} from './drc.ts';
import { slotCells as cells, slotPhases as phases } from './slot-table.test-kit.ts';
import type { Verdict } from './verdict.ts';

const long = (name: string): string => name.padEnd(43, '0');
const digest = (name: string): Digest => long(name) as Digest;
const day = (number: number): Instant => `2026-01-${String(number).padStart(2, '0')}T00:00:00.000Z` as Instant;
const said = (verdict: Verdict): string => (verdict.allow ? 'allowed' : verdict.because);

const lab = 'DUO-lab' as OrgId;
const insurer = 'DUO-insurer' as OrgId;
const tag = long('slot') as SlotTag;
const ref = { id: 'hba1c' as TemplateId, version: 1, digest: digest('template') } as TemplateRef;
const template = {
  id: ref.id, version: 1, requester: lab, approval: { issuer: 'Board', documentDigest: digest('approval'), until: day(20) },
  price: { currency: 'EUR', perAnswer: '100', perItem: '10', split: { owner: 6_000, keepers: 3_000, operator: 1_000 } },
} as unknown as RequestTemplate;
const published: TemplateState = { template, digest: ref.digest, publishedAt: day(1) };

const callers = {
  /** The certificate that opened the slot. */
  holder: { id: long('certificate') as CallerId, org: 'UO-people' as OrgId, role: 'person' },
  person: { id: long('another') as CallerId, org: 'UO-people' as OrgId, role: 'person' },
  duo: { id: long('system') as CallerId, org: lab, role: 'system' },
  /** The same certificate and the same organisation in a role that they do not have. */
  holderAsSystem: { id: long('certificate') as CallerId, org: 'UO-people' as OrgId, role: 'system' },
  duoAsPerson: { id: long('system') as CallerId, org: lab, role: 'person' },
  otherDuo: { id: long('system') as CallerId, org: insurer, role: 'system' },
} as const;
type CallerName = keyof typeof callers;

const invitation: NonNullable<SlotState['invitation']> = { template: ref, sealed: 'sealed', answerBy: day(12), at: day(3) };
const answer: NonNullable<SlotState['answer']> = { decision: 'all', grantCommitment: digest('grant'), recipientKeyDigest: digest('key'), until: day(14), eraseAt: day(18), sealed: 'sealed', at: day(4) };
const base: SlotState = { owner: callers.holder.id, duo: lab, templates: [ref], notBefore: day(2), until: day(10), sealed: 'sealed', phase: 'open', reports: [] };
const slots: Record<SlotPhase | 'none', SlotState | undefined> = {
  none: undefined,
  open: base,
  withdrawn: { ...base, phase: 'withdrawn' },
  invited: { ...base, phase: 'invited', invitation },
  answered: { ...base, phase: 'answered', invitation, answer },
  refused: { ...base, phase: 'refused', invitation, answer: { ...answer, decision: 'no' } },
  revoked: { ...base, phase: 'revoked', invitation, answer, revokedAt: day(5) },
};

const invite = { slot: tag, template: ref, sealed: 'sealed', answerBy: day(12) };
const respond = { slot: tag, decision: 'all' as const, grantCommitment: digest('grant'), recipientKeyDigest: digest('key'), until: day(14), eraseAt: day(18), sealed: 'sealed' };
const receipt = { slot: tag, packageDigest: digest('package'), delivered: 3, verified: 3, keepers: [{ org: 'HO-east' as OrgId, items: 2 }, { org: 'HO-west' as OrgId, items: 1 }] };
const erasure = { slot: tag, reason: 'early' as const, receiptDigest: digest('erased') };
const now = day(3);

const decide: Record<string, (caller: (typeof callers)[CallerName], slot: SlotState | undefined) => Verdict> = {
  getSlot: decideGetSlot,
  withdrawSlot: decideWithdraw,
  reportSlot: decideReport,
  invite: (caller, slot) => decideInvite({ caller, slot, input: invite, template: published, now }),
  respond: (caller, slot) => decideRespond({ caller, slot, input: respond, now }),
  revokeGrant: decideRevokeGrant,
  putReceipt: (caller, slot) => decideReceipt({ caller, slot, input: receipt, template }),
  putErasure: (caller, slot) => decideErasure({ caller, slot, input: erasure, now }),
};

describe('a slot, by transaction, party and phase', () => {
  it('lists every phase for every transaction on a slot', () => {
    expect([...phases].sort()).toEqual(['none', ...SlotPhase.options].sort());
    expect(new Set(cells.map((cell) => cell.transaction))).toEqual(new Set(Object.keys(decide)));
  });

  it.each(cells)('$transaction by $by in $phase: $expected', ({ transaction, by, phase, expected }) => {
    expect(said(decide[transaction]!(callers[by], slots[phase]))).toBe(expected);
  });

  const parties = Object.keys(decide).flatMap((transaction) => (Object.keys(callers) as CallerName[]).filter((by) => !cells.some((cell) => cell.transaction === transaction && cell.by === by)).map((by) => ({ transaction, by })));
  it.each(parties)('$transaction by $by sees no slot, in every phase as in none', ({ transaction, by }) => {
    const verdicts = phases.map((phase) => decide[transaction]!(callers[by], slots[phase]));
    expect(new Set(verdicts.map((verdict) => JSON.stringify(verdict)))).toEqual(new Set(['{"allow":false,"because":"SLOT_UNKNOWN"}']));
  });

  it('is reported after a withdrawal only where there was an invitation', () => {
    expect(said(decideReport(callers.holder, { ...base, phase: 'withdrawn', invitation }))).toBe('allowed');
  });
});

describe('a permit', () => {
  const slot = { slot: tag, duo: lab, templates: [ref], notBefore: day(2), until: day(10), sealed: 'sealed' };
  const question = { slot, tagTaken: false, certificateUsed: false, templates: [published], now };
  it.each([
    ['a fresh one', question, 'allowed'],
    ['a taken tag', { ...question, tagTaken: true }, 'SLOT_EXISTS'],
    ['a certificate that opened another', { ...question, certificateUsed: true }, 'CERTIFICATE_REUSED'],
    ['for a hospital', { ...question, slot: { ...slot, duo: 'HO-east' as OrgId } }, 'RECIPIENT_NOT_ALLOWED'],
    ['that ends before it begins', { ...question, slot: { ...slot, until: day(2) } }, 'INPUT_INVALID'],
    ['that has ended', { ...question, now: day(10) }, 'SLOT_EXPIRED'],
    ['for a template nobody published', { ...question, templates: [undefined] }, 'TEMPLATE_UNKNOWN'],
    ['for another text of the template', { ...question, templates: [{ ...published, digest: digest('other') }] }, 'TEMPLATE_UNKNOWN'],
    ['for another data user\'s template', { ...question, slot: { ...slot, duo: insurer } }, 'TEMPLATE_NOT_PERMITTED'],
  ])('%s', (_name, given, expected) => expect(said(decideOpenSlot(given))).toBe(expected));
});

describe('an invitation', () => {
  const question = { caller: callers.duo, slot: base, input: invite, template: published, now };
  it.each([
    ['before the permit holds', { ...question, now: day(1) }, 'SLOT_NOT_YET'],
    ['on its first day', { ...question, now: day(2) }, 'allowed'],
    ['the moment it ends', { ...question, now: day(10) }, 'SLOT_EXPIRED'],
    ['for a template the permit does not name', { ...question, input: { ...invite, template: { ...ref, id: 'genome' as TemplateId } } }, 'TEMPLATE_NOT_PERMITTED'],
    ['for another version', { ...question, input: { ...invite, template: { ...ref, version: 2 } } }, 'TEMPLATE_NOT_PERMITTED'],
    ['for another text under the same version', { ...question, input: { ...invite, template: { ...ref, digest: digest('other') } } }, 'TEMPLATE_NOT_PERMITTED'],
    ['for a template that is not published', { ...question, template: undefined }, 'TEMPLATE_UNKNOWN'],
    ['for another data user\'s template', { ...question, template: { ...published, template: { ...template, requester: insurer } } }, 'TEMPLATE_NOT_PERMITTED'],
    ['the moment the approval runs out', { ...question, slot: { ...base, until: day(30) }, now: day(20) }, 'TEMPLATE_APPROVAL_EXPIRED'],
    ['with no time left to answer', { ...question, input: { ...invite, answerBy: now } }, 'ANSWER_TIME_PAST'],
  ])('%s', (_name, given, expected) => expect(said(decideInvite(given))).toBe(expected));
});

describe('an answer', () => {
  const question = { caller: callers.holder, slot: slots.invited, input: respond, now };
  const no = { ...respond, decision: 'no' as const, grantCommitment: NO_DIGEST, recipientKeyDigest: NO_DIGEST };
  it.each([
    ['all', question, 'allowed'],
    ['narrower', { ...question, input: { ...respond, decision: 'narrower' as const } }, 'allowed'],
    ['no', { ...question, input: no }, 'allowed'],
    ['no, whatever its times', { ...question, input: { ...no, until: day(1), eraseAt: day(1) } }, 'allowed'],
    ['no, with a grant', { ...question, input: { ...no, grantCommitment: digest('grant') } }, 'ANSWER_INCONSISTENT'],
    ['no, with a key', { ...question, input: { ...no, recipientKeyDigest: digest('key') } }, 'ANSWER_INCONSISTENT'],
    ['all, without a grant', { ...question, input: { ...respond, grantCommitment: NO_DIGEST } }, 'ANSWER_INCONSISTENT'],
    ['all, without a key', { ...question, input: { ...respond, recipientKeyDigest: NO_DIGEST } }, 'ANSWER_INCONSISTENT'],
    ['the moment the invitation ends', { ...question, now: day(12) }, 'INVITATION_EXPIRED'],
    ['no, too late', { ...question, input: no, now: day(13) }, 'INVITATION_EXPIRED'],
    ['a grant that has ended', { ...question, input: { ...respond, until: now } }, 'GRANT_EXPIRED'],
    ['an erasure in the past', { ...question, input: { ...respond, eraseAt: now } }, 'GRANT_EXPIRED'],
  ])('%s', (_name, given, expected) => expect(said(decideRespond(given))).toBe(expected));
  it('leads to a phase', () => expect([phaseAfter('all'), phaseAfter('narrower'), phaseAfter('no')]).toEqual(['answered', 'answered', 'refused']));
});

describe('a receipt', () => {
  const question = { caller: callers.duo, slot: slots.answered, input: receipt, template };
  const keepers = (...items: readonly [string, number][]) => items.map(([org, count]) => ({ org: org as OrgId, items: count }));
  it.each([
    ['that adds up', question, 'allowed'],
    ['of a partly damaged package', { ...question, input: { ...receipt, verified: 2, keepers: keepers(['HO-east', 2]) } }, 'allowed'],
    ['of nothing', { ...question, input: { ...receipt, delivered: 0, verified: 0, keepers: [] } }, 'allowed'],
    ['a second one', { ...question, slot: { ...slots.answered!, receipt: { ...receipt, at: now } } }, 'RECEIPT_EXISTS'],
    ['verifying more than was delivered', { ...question, input: { ...receipt, delivered: 2 } }, 'RECEIPT_INCONSISTENT'],
    ['whose keepers do not add up', { ...question, input: { ...receipt, keepers: keepers(['HO-east', 2]) } }, 'RECEIPT_INCONSISTENT'],
    ['naming a keeper twice', { ...question, input: { ...receipt, keepers: keepers(['HO-east', 2], ['HO-east', 1]) } }, 'INPUT_INVALID'],
    ['paying a data user as keeper', { ...question, input: { ...receipt, keepers: keepers(['DUO-lab', 3]) } }, 'RECEIPT_INCONSISTENT'],
    ['whose price no amount can hold', { ...question, template: { ...template, price: { ...template.price, perItem: '999999999999999' } } }, 'AMOUNT_TOO_LARGE'],
  ])('%s', (_name, given, expected) => expect(said(decideReceipt(given))).toBe(expected));
});

describe('an erasure', () => {
  const question = { caller: callers.duo, slot: slots.answered, input: erasure, now };
  it.each([
    ['early', question, 'allowed'],
    ['due, before its day', { ...question, input: { ...erasure, reason: 'due' as const } }, 'ERASURE_REASON_UNTRUE'],
    ['due, on its day', { ...question, input: { ...erasure, reason: 'due' as const }, now: day(18) }, 'allowed'],
    ['revoked, without a revocation', { ...question, input: { ...erasure, reason: 'revoked' as const } }, 'ERASURE_REASON_UNTRUE'],
    ['revoked', { ...question, slot: slots.revoked, input: { ...erasure, reason: 'revoked' as const } }, 'allowed'],
    ['a second time', { ...question, slot: { ...slots.answered!, erasure: { ...erasure, at: now } } }, 'ERASURE_EXISTS'],
  ])('%s', (_name, given, expected) => expect(said(decideErasure(given))).toBe(expected));
});

describe('a template', () => {
  const question = { template, caller: { org: lab }, existing: undefined, previous: undefined, accepted: true };
  const second = { ...template, version: 2 };
  it.each([
    ['accepted and in one\'s own name', question, 'allowed'],
    ['in another\'s name', { ...question, caller: { org: insurer } }, 'TEMPLATE_NOT_OWN'],
    ['of a hospital', { ...question, template: { ...template, requester: 'HO-east' as OrgId }, caller: { org: 'HO-east' as OrgId } }, 'TEMPLATE_NOT_OWN'],
    ['published already', { ...question, existing: published }, 'TEMPLATE_EXISTS'],
    ['not accepted', { ...question, accepted: false }, 'TEMPLATE_NOT_ACCEPTED'],
    ['the next version', { ...question, template: second, previous: published }, 'allowed'],
    ['a version after a gap', { ...question, template: second }, 'TEMPLATE_VERSION_GAP'],
    ['the next version of another\'s template', { ...question, template: { ...second, requester: insurer }, caller: { org: insurer }, previous: published }, 'TEMPLATE_NOT_OWN'],
  ])('%s', (_name, given, expected) => expect(said(decidePublish(given))).toBe(expected));
});

describe('a statement\'s number', () => {
  it.each([
    [1, 0, 1, 'allowed'],
    [2, 1, 5, 'allowed'],
    [1, 1, 5, 'STATEMENT_NUMBER'],
    [3, 1, 5, 'STATEMENT_NUMBER'],
    [2, 1, 0, 'NOTHING_TO_SETTLE'],
  ])('%i after %i with %i receipts: %s', (number, last, receipts, expected) => expect(said(decideSettle({ number, last, receipts }))).toBe(expected));
});
