/**
 * C2 to C6: the owner's decision and everything that follows from it. The whole plan (grants, tickets, sealed answer) is
 * stored before anything is sent; each step can be repeated, so a stop anywhere is finished by the next synchronisation.
 */
import { fromBase64url, toBase64url } from '#base/bytes.ts';
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import { sha256 } from '#crypto/digest.ts';
import { sealTo } from '#crypto/hpke.ts';
import { Digest, instant, milliseconds, type Instant, type SlotTag } from '#model/ids.ts';
import { ANSWER_BYTES, type Answer, type Decision } from '#model/messages.ts';
import { NO_DIGEST } from '#model/rules/drc.ts';
import { answerBinding } from '#model/bindings.ts';
import { drc } from './channels.ts';
import type { Context } from './context.ts';
import { makeGrants, type Grants } from './grants.ts';
import { slotOf } from './permits.ts';
import { codeOf, once, passing } from './persistence.ts';
import { answerable, choose, committedDigest, type AnswerableRequest, type Choice } from './preview.ts';
import { releaseParts } from './releases.ts';
import { answerUnfinished, cardWords } from './requests.ts';
import { signerOf } from './signing.ts';
import { slots, type AnswerPlan, type Slot } from './state.ts';
import { put } from './vault.ts';

export interface AnswerWish extends Choice {
  /** Keepers release until then. Default: 7 days from now. */
  readonly until?: Instant;
  /** Digest of the preview that the person saw; when more has come since, nothing is sent. */
  readonly digest?: Digest;
}

const DAY_MS = 86_400_000;
const RELEASE_DAYS = 7;

/** Stores the decision, then carries it out as far as it goes now. Throws as `preview`; what fails later is told by `requests()` and tried again. */
export async function answer(context: Context, tag: SlotTag, wish: AnswerWish): Promise<void> {
  const slot = await slotOf(context, tag);
  const request = answerable(slot, context.clock.now());
  const until = wish.until ?? instant(context.clock.now() + RELEASE_DAYS * DAY_MS);
  if (milliseconds(until) <= context.clock.now()) throw new CodedError('GRANT_EXPIRED', 'The grant would end before it begins.', { next: 'Choose a later end.' });
  const plan = await makePlan(context, { slot, request, wish: { ...wish, until } });
  await context.vault.write(put(slots, tag, { ...slot, answer: plan }));
  await finishAnswer(context, tag);
}

interface Planned {
  readonly slot: Slot;
  readonly request: AnswerableRequest;
  readonly wish: AnswerWish & { readonly until: Instant };
}

async function makePlan(context: Context, { slot, request, wish }: Planned): Promise<AnswerPlan> {
  const now = context.clock.now();
  const chosen = await choose(context, request, wish);
  const previewDigest = committedDigest(chosen);
  if (wish.digest !== undefined && wish.digest !== previewDigest) throw new CodedError('PREVIEW_CHANGED', 'What would leave is not what the preview showed.', { next: 'Look at the preview again.' });
  const eraseAt = instant(Math.max(now + request.template.retentionDays * DAY_MS, milliseconds(wish.until)));
  const grants = wish.decision === 'no' ? undefined : await makeGrants(context, { slot: slot.slot, duo: slot.duo, request, chosen, issuedAt: instant(now), until: wish.until, eraseAt });
  const sealed = await sealAnswer({ slot: slot.slot, request, decision: wish.decision, grants });
  return {
    decision: wish.decision, decidedAt: instant(now), stage: 'deciding',
    response: {
      slot: slot.slot, decision: wish.decision, grantCommitment: grants?.commitment ?? NO_DIGEST, recipientKeyDigest: grants?.recipientKeyDigest ?? NO_DIGEST,
      until: grants === undefined ? request.answerBy : wish.until, eraseAt: grants === undefined ? request.answerBy : eraseAt, sealed,
    },
    opening: grants?.opening ?? { salt: NO_DIGEST, digests: [] }, parts: grants?.parts ?? [],
    shownDigest: Digest.parse(toBase64url(sha256(canonicalBytes(cardWords(request) as unknown as Json)))),
    previewDigest,
  };
}

async function sealAnswer({ slot, request, decision, grants }: { readonly slot: SlotTag; readonly request: AnswerableRequest; readonly decision: Decision; readonly grants: Grants | undefined }): Promise<string> {
  const parts = (grants?.parts ?? []).map(({ keeper, order, ticket }) => ({ keeper, grant: order.grant, ticket, items: order.items.length }));
  const content: Answer = { kind: 'answer', slot, decision, parts };
  const recipientPublicKey = fromBase64url(request.invitation.recipientPublicKey);
  return toBase64url(await sealTo({ recipientPublicKey, ...answerBinding(slot), plaintext: canonicalBytes(content as Json), envelopeBytes: ANSWER_BYTES }));
}

/** Carries out stored decisions. Returns the codes of what did not go now. */
export async function finishAnswers(context: Context): Promise<readonly string[]> {
  const codes: string[] = [];
  for (const [tag, slot] of await context.vault.all(slots)) {
    if (slot.answer === undefined || !answerUnfinished(slot.answer) || slot.revocation !== 'none') continue;
    const code = await finishAnswer(context, tag as SlotTag);
    if (code !== undefined) codes.push(code);
  }
  return codes;
}

async function finishAnswer(context: Context, tag: SlotTag): Promise<string | undefined> {
  try {
    let slot = await slotOf(context, tag);
    if (slot.answer?.stage === 'deciding') slot = await respond(context, slot, slot.answer);
    return slot.answer?.stage === 'responded' ? await releaseParts(context, tag) : undefined;
  } catch (error) {
    return codeOf(error);
  }
}

async function respond(context: Context, slot: Slot, plan: AnswerPlan): Promise<Slot> {
  const channel = drc(context, await signerOf(slot.identity));
  const stands = async (): Promise<boolean> => (await channel.evaluate('getSlot', { slot: slot.slot })).answer?.sealed === plan.response.sealed;
  const keep = async (stage: AnswerPlan['stage'], code?: string): Promise<Slot> => {
    const { code: _, ...rest } = plan;
    const kept: Slot = { ...slot, ...(stage === 'responded' ? { phase: plan.decision === 'no' ? 'refused' : 'answered' } : {}), answer: { ...rest, stage, ...(code === undefined ? {} : { code }) } };
    await context.vault.write(put(slots, slot.slot, kept));
    return kept;
  };
  // A decision that slept past the time to answer is not carried out any more; silence is never a yes.
  const late = milliseconds((slot.request as NonNullable<Slot['request']>).answerBy) <= context.clock.now() || expired(plan, context.clock.now());
  if (late) return (await stands()) ? keep('responded') : keep('lapsed', 'INVITATION_EXPIRED');
  try {
    await once({ act: () => channel.submit('respond', plan.response), stands });
    return await keep('responded');
  } catch (error) {
    if (passing(error)) throw error;
    const code = codeOf(error);
    return keep(code === 'INVITATION_EXPIRED' || code === 'GRANT_EXPIRED' ? 'lapsed' : 'failed', code);
  }
}

function expired(plan: AnswerPlan, nowMs: number): boolean {
  return plan.decision !== 'no' && milliseconds(plan.response.until) <= nowMs;
}

