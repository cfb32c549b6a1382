/** B4 and B5: invitations as they arrive, checked, and the cards the person reads. Words come from the voted template, never from the data user alone. */
import { fromBase64url, fromUtf8, toBase64url } from '#base/bytes.ts';
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import { sha256 } from '#crypto/digest.ts';
import { openFrom } from '#crypto/hpke.ts';
import type { SlotState } from '#model/drc.ts';
import { milliseconds, type GrantId, type Instant, type OrgId, type SlotTag } from '#model/ids.ts';
import { Invitation, type Decision } from '#model/messages.ts';
import { resolveTemplate } from '#model/rules/template.ts';
import { sameTemplate } from '#model/rules/drc.ts';
import type { RequestTemplate, TemplateRef } from '#model/template.ts';
import { invitationBinding } from '#model/bindings.ts';
import { drc } from './channels.ts';
import type { Context } from './context.ts';
import { shuffled } from './keys.ts';
import { knownMembers } from './organisations.ts';
import { codeOf } from './persistence.ts';
import { sealedRecords } from './records.ts';
import { signerOf } from './signing.ts';
import { slots, type Part, type Request, type Slot } from './state.ts';
import { put } from './vault.ts';

/** Slots without a notice are looked at this often, in case a notice was lost. */
const LOOK_EVERY_MS = 6 * 3_600_000;

/** Reads from DRC the slots that had a notice or were not looked at for long. Returns the codes of what failed. */
export async function readSlots(context: Context): Promise<readonly string[]> {
  const codes: string[] = [];
  const now = context.clock.now();
  for (const [tag, slot] of shuffled(context.random, await context.vault.all(slots))) {
    if (!worthALook(slot, now)) continue;
    try {
      await context.vault.write(put(slots, tag, await readSlot(context, slot)));
    } catch (error) {
      codes.push(codeOf(error));
    }
  }
  return codes;
}

function worthALook(slot: Slot, now: number): boolean {
  // Of a delivery no notice comes, and its owner wants to know.
  if (slot.noticed || (slot.phase === 'answered' && slot.receipt === undefined)) return slot.phase !== 'opening' && slot.phase !== 'failed';
  return mayChange(slot, now) && now - slot.lookedAt >= LOOK_EVERY_MS;
}

const DAY_MS = 86_400_000;

/** May the data user still do something in the slot? A day of grace lets late notices in. */
export function mayChange(slot: Slot, now: number): boolean {
  const past = (at: Instant | undefined): boolean => at !== undefined && milliseconds(at) + DAY_MS < now;
  if (slot.phase === 'answered' || slot.phase === 'revoked') return slot.erasure === undefined;
  if (slot.phase === 'invited') return !past(slot.request?.answerBy);
  return slot.phase === 'open' && !past(slot.opening.until);
}

/** The slot as DRC has it now. */
export async function readSlot(context: Context, slot: Slot): Promise<Slot> {
  const channel = drc(context, await signerOf(slot.identity));
  const state = await channel.evaluate('getSlot', { slot: slot.slot });
  const request = slot.request ?? (state.invitation === undefined ? undefined : await openInvitation(context, slot, state.invitation));
  const { receipt, erasure } = state;
  return {
    ...slot,
    phase: state.phase,
    lookedAt: context.clock.now(),
    // A notice may run ahead of its block.
    noticed: state.phase === 'open' && slot.noticed,
    ...(request === undefined ? {} : { request }),
    ...(receipt === undefined ? {} : { receipt: { packageDigest: receipt.packageDigest, delivered: receipt.delivered, verified: receipt.verified, at: receipt.at } }),
    ...(erasure === undefined ? {} : { erasure }),
  };
}

async function openInvitation(context: Context, slot: Slot, invited: NonNullable<SlotState['invitation']>): Promise<Request> {
  const channel = drc(context, await signerOf(slot.identity));
  const { template } = await channel.evaluate('getTemplate', { id: invited.template.id, version: invited.template.version });
  const base = { template, ref: invited.template, answerBy: invited.answerBy, invitedAt: invited.at };
  const invitation = await unsealInvitation(context, slot.slot, invited.sealed);
  if (invitation === undefined) return { ...base, problem: 'INVITATION_UNREADABLE' };
  const problem = invitationProblem({ slot, invitation, base, now: context.clock.now() });
  return { ...base, invitation, ...(problem === undefined ? {} : { problem }) };
}

async function unsealInvitation(context: Context, tag: SlotTag, sealed: string): Promise<Invitation | undefined> {
  try {
    const { privateKey } = await context.keys.hpke(`slot/${tag}`);
    return Invitation.parse(JSON.parse(fromUtf8(await openFrom({ privateKey, ...invitationBinding(tag), envelope: fromBase64url(sealed) }))));
  } catch (error) {
    context.log('warn', 'device.invitation-refused', { code: codeOf(error) });
    return undefined;
  }
}

/** Digest that pins a template's text. */
export function templateDigest(template: RequestTemplate): string {
  return toBase64url(sha256(canonicalBytes(template as Json)));
}

function invitationProblem({ slot, invitation, base, now }: { readonly slot: Slot; readonly invitation: Invitation; readonly base: Request; readonly now: number }): string | undefined {
  const { template, ref } = base;
  if (templateDigest(template) !== ref.digest || template.requester !== slot.duo) return 'TEMPLATE_ALTERED';
  if (!slot.opening.templates.some((permitted) => sameTemplate(permitted, ref))) return 'TEMPLATE_NOT_PERMITTED';
  const same = invitation.slot === slot.slot && invitation.requester === slot.duo && sameTemplate(invitation.template, ref) && invitation.answerBy === base.answerBy;
  if (!same) return 'INVITATION_MISMATCH';
  // "Missing or expired approval blocks": judged again on the device, whatever the contract did.
  return milliseconds(template.approval.until) <= now ? 'TEMPLATE_APPROVAL_EXPIRED' : undefined;
}

/**
 * `sent`: the permission is out, nothing was asked yet. `waiting`: asked, your turn. `answered`, `refused`: you decided.
 * `silent`: the time to answer passed; never a yes. `expired`: never asked in time. The rest are your own acts.
 */
export type RequestStateName = 'sent' | 'waiting' | 'answered' | 'refused' | 'silent' | 'expired' | 'withdrawn' | 'revoked' | 'failed';

/** The state of a slot at a moment; pure, from what is stored, so that a restart changes nothing. */
export function requestState(slot: Slot, nowMs: number): RequestStateName {
  if (slot.revocation !== 'none' || slot.phase === 'revoked') return 'revoked';
  if (slot.withdrawal !== 'none' || slot.phase === 'withdrawn') return 'withdrawn';
  if (slot.phase === 'failed') return 'failed';
  const stage = slot.answer?.stage;
  if (stage === 'lapsed') return 'silent';
  if (stage === 'failed') return 'failed';
  if (slot.answer !== undefined) return slot.answer.decision === 'no' ? 'refused' : 'answered';
  if (slot.phase === 'answered' || slot.phase === 'refused') return slot.phase;
  if (slot.request !== undefined) return milliseconds(slot.request.answerBy) <= nowMs ? 'silent' : 'waiting';
  return milliseconds(slot.opening.until) <= nowMs ? 'expired' : 'sent';
}

export interface RequestCard {
  readonly slot: SlotTag;
  /** The same for all slots of one permit. */
  readonly contact: GrantId;
  readonly ordinal: number;
  readonly quota: number;
  readonly requester: OrgId;
  /** As the network map names it. */
  readonly requesterName: string;
  readonly state: RequestStateName;
  /** True while this device still has to send something of it. */
  readonly unfinished: boolean;
  /** No invitation after this. */
  readonly permittedUntil: Instant;
  readonly templates: readonly TemplateRef[];
  /** What is asked: all words from the voted template. Absent until an invitation came. */
  readonly asks?: CardWords;
  /** The data user's own words, to be shown as such and apart. */
  readonly message?: string;
  readonly answerBy?: Instant;
  /** Records that match, by keeper; counted on this device only. */
  readonly matching?: readonly { readonly keeper: OrgId; readonly items: number }[];
  /** Why it cannot be answered. */
  readonly problem?: string;
  readonly decision?: Decision;
  readonly parts?: readonly { readonly keeper: OrgId; readonly items: number; readonly state: Part['state']; readonly code?: string }[];
  readonly until?: Instant;
  readonly eraseAt?: Instant;
  readonly receipt?: Slot['receipt'];
  readonly erasure?: Slot['erasure'];
}

export interface CardWords extends Pick<RequestTemplate, 'title' | 'why' | 'ifRefused' | 'purpose' | 'legalBasis' | 'approval' | 'select' | 'retentionDays' | 'price'> {
  readonly template: TemplateRef;
}

/** The words of a template that a person sees before deciding. */
export function cardWords(request: Pick<Request, 'template' | 'ref'>): CardWords {
  const { title, why, ifRefused, purpose, legalBasis, approval, select, retentionDays, price } = request.template;
  return { template: request.ref, title, why, ifRefused, purpose, legalBasis, approval, select, retentionDays, price };
}

/** Every permission and request of this device, newest invitation first. */
export async function requestCards(context: Context): Promise<readonly RequestCard[]> {
  const [all, records, members] = await Promise.all([context.vault.all(slots), sealedRecords(context), knownMembers(context)]);
  const now = context.clock.now();
  const names = new Map(members.map((member) => [member.org, member.name]));
  const cards = all.map(([, slot]): RequestCard => {
    const { request, answer } = slot;
    const unfinished = slot.phase === 'opening' || slot.revocation === 'wanted' || slot.withdrawal === 'wanted' || (answer !== undefined && answerUnfinished(answer));
    return {
      slot: slot.slot, contact: slot.contact, ordinal: slot.ordinal, quota: slot.quota, requester: slot.duo, requesterName: names.get(slot.duo) ?? slot.duo,
      state: requestState(slot, now), unfinished, permittedUntil: slot.opening.until, templates: slot.opening.templates,
      ...(request === undefined ? {} : { asks: cardWords(request), answerBy: request.answerBy, matching: countByKeeper(request, records) }),
      ...(request?.invitation === undefined ? {} : { message: request.invitation.message }),
      ...(request?.problem === undefined && slot.code === undefined ? {} : { problem: request?.problem ?? (slot.code as string) }),
      ...(answer === undefined ? {} : { decision: answer.decision, parts: answer.parts.map(partView) }),
      ...(answer === undefined || answer.decision === 'no' ? {} : { until: answer.response.until, eraseAt: answer.response.eraseAt }),
      ...(slot.receipt === undefined ? {} : { receipt: slot.receipt }),
      ...(slot.erasure === undefined ? {} : { erasure: slot.erasure }),
    };
  });
  return cards.sort((left, right) => ((left.answerBy ?? '') < (right.answerBy ?? '') ? 1 : -1));
}

/** Has the answer steps left that this device must take? */
export function answerUnfinished(answer: NonNullable<Slot['answer']>): boolean {
  if (answer.stage === 'deciding') return true;
  return answer.stage === 'responded' && answer.parts.some(({ state }) => state === 'waiting' || state === 'ordered');
}

function partView({ keeper, order, state, code }: Part) {
  return { keeper, items: order.items.length, state, ...(code === undefined ? {} : { code }) };
}

function countByKeeper(request: Request, records: Awaited<ReturnType<typeof sealedRecords>>): readonly { readonly keeper: OrgId; readonly items: number }[] {
  const asked = new Set(resolveTemplate(request.template, records.map(({ held }) => held.row)));
  const counts = new Map<OrgId, number>();
  for (const { keeper, held } of records) if (asked.has(held.row.id)) counts.set(keeper, (counts.get(keeper) ?? 0) + 1);
  return [...counts].map(([keeper, items]) => ({ keeper, items })).sort((left, right) => (left.keeper < right.keeper ? -1 : 1));
}

