/** Rules of the data request channel: permits, invitations, answers, receipts, erasures. Pure; the contract reads the state they judge. */
import { drcInputs, type SlotState, type TemplateState } from '../drc.ts';
import type { z } from 'zod';
import type { Digest, Instant, OrgId } from '../ids.ts';
import { orgClass, type Caller } from '../orgs.ts';
import { slotSteps, stepAllowed } from '../steps.ts';
import type { RequestTemplate, TemplateRef } from '../template.ts';
import { decideDistinct } from './hdc.ts';
import { amountOf, MAX_AMOUNT } from './settlement.ts';
import { ALLOW, refuse, type Verdict } from './verdict.ts';

type Input<N extends keyof typeof drcInputs> = z.output<(typeof drcInputs)[N]>;
type Party = Pick<Caller, 'id' | 'org' | 'role'>;

/** 32 zero bytes: what an answer commits to when it grants nothing. */
export const NO_DIGEST = 'A'.repeat(43) as Digest;

/** Do two references pin the same text? */
export function sameTemplate(left: TemplateRef, right: TemplateRef): boolean {
  return left.id === right.id && left.version === right.version && left.digest === right.digest;
}

/** B1. In the requester's own name, accepted by vote, versions one after the other, none ever replaced. */
export function decidePublish(question: {
  readonly template: RequestTemplate;
  readonly caller: Pick<Caller, 'org'>;
  readonly existing: TemplateState | undefined;
  readonly previous: TemplateState | undefined;
  readonly accepted: boolean;
}): Verdict {
  const { template, caller, existing, previous, accepted } = question;
  if (template.requester !== caller.org || orgClass(template.requester) !== 'duo') return refuse('TEMPLATE_NOT_OWN');
  if (existing !== undefined) return refuse('TEMPLATE_EXISTS');
  if (template.version > 1 && previous === undefined) return refuse('TEMPLATE_VERSION_GAP');
  if (previous !== undefined && previous.template.requester !== template.requester) return refuse('TEMPLATE_NOT_OWN');
  return accepted ? ALLOW : refuse('TEMPLATE_NOT_ACCEPTED');
}

/** B2. One certificate opens one slot, for one data user and published templates of that data user. */
export function decideOpenSlot(question: {
  readonly slot: Input<'openSlot'>;
  readonly tagTaken: boolean;
  readonly certificateUsed: boolean;
  readonly templates: readonly (TemplateState | undefined)[];
  readonly now: Instant;
}): Verdict {
  const { slot, tagTaken, certificateUsed, templates, now } = question;
  if (tagTaken) return refuse('SLOT_EXISTS');
  if (certificateUsed) return refuse('CERTIFICATE_REUSED');
  if (orgClass(slot.duo) !== 'duo') return refuse('RECIPIENT_NOT_ALLOWED');
  if (slot.until <= slot.notBefore) return refuse('INPUT_INVALID', { path: 'until', problem: 'not after notBefore' });
  if (slot.until <= now) return refuse('SLOT_EXPIRED');
  for (const [at, ref] of slot.templates.entries()) {
    const verdict = decideTemplateOf(slot.duo, ref, templates[at]);
    if (!verdict.allow) return verdict;
  }
  return ALLOW;
}

function decideTemplateOf(duo: OrgId, ref: TemplateRef, published: TemplateState | undefined): Verdict {
  if (published === undefined || published.digest !== ref.digest) return refuse('TEMPLATE_UNKNOWN');
  return published.template.requester === duo ? ALLOW : refuse('TEMPLATE_NOT_PERMITTED');
}

/** Is this caller the certificate that opened the slot? */
export function holdsSlot(caller: Party, slot: SlotState | undefined): slot is SlotState {
  return slot !== undefined && caller.role === 'person' && slot.owner === caller.id;
}

/** Is this caller of the data user that the slot is for? */
export function usesSlot(caller: Party, slot: SlotState | undefined): slot is SlotState {
  return slot !== undefined && caller.role !== 'person' && slot.duo === caller.org;
}

/** B7. Everybody but the two parties sees the same as for a slot that never existed. */
export function decideGetSlot(caller: Party, slot: SlotState | undefined): Verdict {
  return holdsSlot(caller, slot) || usesSlot(caller, slot) ? ALLOW : refuse('SLOT_UNKNOWN');
}

/** B6. Before an answer; again changes nothing. After an answer the act is `revokeGrant`. */
export function decideWithdraw(caller: Party, slot: SlotState | undefined): Verdict {
  if (!holdsSlot(caller, slot)) return refuse('SLOT_UNKNOWN');
  return stepAllowed(slotSteps, slot.phase, 'withdrawSlot') ? ALLOW : refuse('SLOT_SPENT');
}

/** B6. There must be an invitation to report. */
export function decideReport(caller: Party, slot: SlotState | undefined): Verdict {
  if (!holdsSlot(caller, slot)) return refuse('SLOT_UNKNOWN');
  return slot.invitation !== undefined && stepAllowed(slotSteps, slot.phase, 'reportSlot') ? ALLOW : refuse('SLOT_UNINVITED');
}

/** B3. Without a live permit no invitation: own slot, unused, in its time, for a permitted template whose approval stands. */
export function decideInvite(question: {
  readonly caller: Party;
  readonly slot: SlotState | undefined;
  readonly input: Input<'invite'>;
  readonly template: TemplateState | undefined;
  readonly now: Instant;
}): Verdict {
  const { caller, slot, input, template, now } = question;
  if (!usesSlot(caller, slot)) return refuse('SLOT_UNKNOWN');
  if (slot.phase === 'withdrawn') return refuse('SLOT_WITHDRAWN');
  if (!stepAllowed(slotSteps, slot.phase, 'invite')) return refuse('SLOT_SPENT');
  if (now < slot.notBefore) return refuse('SLOT_NOT_YET');
  if (slot.until <= now) return refuse('SLOT_EXPIRED');
  if (!slot.templates.some((ref) => sameTemplate(ref, input.template))) return refuse('TEMPLATE_NOT_PERMITTED');
  const own = decideTemplateOf(slot.duo, input.template, template);
  if (!own.allow || template === undefined) return own;
  // An ethics approval that has run out carries no new invitation.
  if (template.template.approval.until <= now) return refuse('TEMPLATE_APPROVAL_EXPIRED');
  return input.answerBy > now ? ALLOW : refuse('ANSWER_TIME_PAST');
}

/** C3. Once, in time, by the slot's certificate; a refusal commits to nothing. */
export function decideRespond({ caller, slot, input, now }: { readonly caller: Party; readonly slot: SlotState | undefined; readonly input: Input<'respond'>; readonly now: Instant }): Verdict {
  if (!holdsSlot(caller, slot)) return refuse('SLOT_UNKNOWN');
  if (slot.phase === 'open') return refuse('SLOT_UNINVITED');
  if (slot.phase === 'withdrawn') return refuse('SLOT_WITHDRAWN');
  if (slot.invitation === undefined || !stepAllowed(slotSteps, slot.phase, 'respond')) return refuse('ANSWER_EXISTS');
  if (slot.invitation.answerBy <= now) return refuse('INVITATION_EXPIRED');
  const empty = input.grantCommitment === NO_DIGEST && input.recipientKeyDigest === NO_DIGEST;
  const full = input.grantCommitment !== NO_DIGEST && input.recipientKeyDigest !== NO_DIGEST;
  if (input.decision === 'no') return empty ? ALLOW : refuse('ANSWER_INCONSISTENT');
  if (!full) return refuse('ANSWER_INCONSISTENT');
  return input.until > now && input.eraseAt > now ? ALLOW : refuse('GRANT_EXPIRED');
}

/** The phase an answer leads to. */
export function phaseAfter(decision: Input<'respond'>['decision']): 'answered' | 'refused' {
  return decision === 'no' ? 'refused' : 'answered';
}

/** GDPR Art. 7(3): an answer can be taken back at any time; again changes nothing. */
export function decideRevokeGrant(caller: Party, slot: SlotState | undefined): Verdict {
  if (!holdsSlot(caller, slot)) return refuse('SLOT_UNKNOWN');
  return stepAllowed(slotSteps, slot.phase, 'revokeGrant') ? ALLOW : refuse('SLOT_UNANSWERED');
}

/** C8. Once; the keepers' items add up to what was verified, and the price of it can be written as an amount. */
export function decideReceipt({ caller, slot, input, template }: { readonly caller: Party; readonly slot: SlotState | undefined; readonly input: Input<'putReceipt'>; readonly template: RequestTemplate | undefined }): Verdict {
  if (!usesSlot(caller, slot)) return refuse('SLOT_UNKNOWN');
  if (!stepAllowed(slotSteps, slot.phase, 'putReceipt') || template === undefined) return refuse('SLOT_UNANSWERED');
  if (slot.receipt !== undefined) return refuse('RECEIPT_EXISTS');
  const distinct = decideDistinct(input.keepers.map((keeper) => keeper.org), 'keepers');
  if (!distinct.allow) return distinct;
  const items = input.keepers.reduce((sum, keeper) => sum + keeper.items, 0);
  if (input.verified > input.delivered || items !== input.verified || input.keepers.some((keeper) => orgClass(keeper.org) !== 'ho')) return refuse('RECEIPT_INCONSISTENT');
  return amountOf(template.price, input.verified) <= MAX_AMOUNT ? ALLOW : refuse('AMOUNT_TOO_LARGE');
}

/** C10. Once per answer; `revoked` only after revocation, `due` only when the promised time has come. */
export function decideErasure({ caller, slot, input, now }: { readonly caller: Party; readonly slot: SlotState | undefined; readonly input: Input<'putErasure'>; readonly now: Instant }): Verdict {
  if (!usesSlot(caller, slot)) return refuse('SLOT_UNKNOWN');
  if (slot.answer === undefined || !stepAllowed(slotSteps, slot.phase, 'putErasure')) return refuse('SLOT_UNANSWERED');
  if (slot.erasure !== undefined) return refuse('ERASURE_EXISTS');
  const reasonHolds = input.reason === 'early' || (input.reason === 'revoked' ? slot.phase === 'revoked' : slot.answer.eraseAt <= now);
  return reasonHolds ? ALLOW : refuse('ERASURE_REASON_UNTRUE');
}

/** C9. Statements are numbered one after the other and settle something. */
export function decideSettle({ number, last, receipts }: { readonly number: number; readonly last: number; readonly receipts: number }): Verdict {
  if (number !== last + 1) return refuse('STATEMENT_NUMBER', { expected: last + 1 });
  return receipts > 0 ? ALLOW : refuse('NOTHING_TO_SETTLE');
}
