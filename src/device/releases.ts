/** C4: the order on the keeper's channel, the light proof from DRC, and the order at the keeper itself; part by part, each resumable. */
import { fromBase64url, fromUtf8 } from '#base/bytes.ts';
import { CodedError, isCoded } from '#base/errors.ts';
import type { LeafProof } from '#api/endpoints.ts';
import { SlotState } from '#model/drc.ts';
import type { OrderState } from '#model/hdc.ts';
import { milliseconds, type OrgId, type SlotTag } from '#model/ids.ts';
import { orgClass } from '#model/orgs.ts';
import { hdc } from './channels.ts';
import type { Context } from './context.ts';
import { pairwiseSigner } from './links.ts';
import { dataUserApi, keeperApi, networkMap } from './organisations.ts';
import { slotOf } from './permits.ts';
import { codeOf, once, passing } from './persistence.ts';
import { signerOf } from './signing.ts';
import { slots, type AnswerPlan, type Part, type PartState, type Slot } from './state.ts';
import { put } from './vault.ts';

/** Carries every unfinished part of an answer as far as it goes. Returns the code of the last thing that did not go. */
export async function releaseParts(context: Context, tag: SlotTag): Promise<string | undefined> {
  const { answer } = await slotOf(context, tag);
  let failure: string | undefined;
  for (const { order, state } of answer?.parts ?? []) {
    if (state !== 'waiting' && state !== 'ordered') continue;
    try {
      await releasePart(context, tag, order.grant);
    } catch (error) {
      failure = codeOf(error);
      await keepPart(context, { tag, grant: order.grant, code: failure });
    }
  }
  return failure;
}

async function releasePart(context: Context, tag: SlotTag, grant: string): Promise<void> {
  const part = partOf(await slotOf(context, tag), grant);
  // No stale grant is carried out: past its end the keeper would refuse, and the owner has moved on.
  if (milliseconds(part.order.until) <= context.clock.now()) return settleLate(context, tag, part);
  try {
    if (part.state === 'waiting') await order(context, tag, part);
    await send(context, tag, part);
  } catch (error) {
    const state = await refusalState(context, part, error);
    if (state === undefined) throw error;
    await keepPart(context, { tag, grant, state, code: codeOf(error) });
  }
}

async function order(context: Context, tag: SlotTag, part: Part): Promise<void> {
  const channel = hdc(context, part.keeper, await pairwiseSigner(context, part.keeper));
  await once({ act: () => channel.submit('orderRelease', part.order), stands: async () => (await orderOf(context, part))?.order.grantDigest === part.order.grantDigest });
  await keepPart(context, { tag, grant: part.order.grant, state: 'ordered' });
}

async function send(context: Context, tag: SlotTag, part: Part): Promise<void> {
  const { opening } = planOf(await slotOf(context, tag));
  const proof = await lightProof(context, tag);
  const api = await keeperApi(context, part.keeper, await pairwiseSigner(context, part.keeper));
  try {
    await api.release({ body: { grant: part.grant, opening: { salt: opening.salt, digests: [...opening.digests] }, proof: { ...proof, path: [...proof.path] }, ticket: part.ticket } });
  } catch (error) {
    // The keeper may know newer members or checkpoints than the proof has: the next try brings a fresh one.
    if (isCoded(error, 'GRANT_NOT_PROVEN')) await keepProof(context, tag, undefined);
    throw error;
  }
  await keepPart(context, { tag, grant: part.order.grant, state: 'released' });
}

/** The order as it stands on the keeper's channel; undefined when there is none. */
export async function orderOf(context: Context, part: Part): Promise<OrderState | undefined> {
  const channel = hdc(context, part.keeper, await pairwiseSigner(context, part.keeper));
  try {
    return await channel.evaluate('getOrder', { grant: part.order.grant });
  } catch (error) {
    if (isCoded(error, 'GRANT_UNKNOWN')) return undefined;
    throw error;
  }
}

async function settleLate(context: Context, tag: SlotTag, part: Part): Promise<void> {
  const standing = await orderOf(context, part);
  await keepPart(context, { tag, grant: part.order.grant, state: standing?.state === 'released' ? 'released' : 'lapsed', code: 'GRANT_EXPIRED' });
}

/** The state a refusal leads to; undefined when the same step may succeed later. */
async function refusalState(context: Context, part: Part, error: unknown): Promise<PartState | undefined> {
  if (passing(error) || isCoded(error, 'GRANT_NOT_PROVEN')) return undefined;
  const standing = await orderOf(context, part).catch(() => undefined);
  if (standing?.state === 'released') return 'released';
  return isCoded(error, 'GRANT_REVOKED') ? 'revoked' : isCoded(error, 'GRANT_EXPIRED') ? 'lapsed' : 'failed';
}

/** docs/protocol.md section 4.4: the answer's inclusion in DRC, co-signed by its members; kept, so that a keeper that is down can be served later. */
export async function lightProof(context: Context, tag: SlotTag): Promise<LeafProof> {
  const slot = await slotOf(context, tag);
  const kept = planOf(slot).proof;
  if (kept !== undefined) return kept;
  const signer = await signerOf(slot.identity);
  let last: unknown;
  for (const duo of await drcMembers(context, slot.duo)) {
    try {
      const proof = await (await dataUserApi(context, duo, signer)).drcProof({ query: { slot: tag } });
      if (!provesAnswer(proof, planOf(slot))) throw new CodedError('GRANT_NOT_PROVEN', 'The proof is not of this answer.', { next: 'It is tried again with the next synchronisation.', org: duo });
      await keepProof(context, tag, proof);
      return proof;
    } catch (error) {
      last = error;
    }
  }
  throw last;
}

/** The requester first: it has an interest. Any other member of DRC knows the same. */
async function drcMembers(context: Context, requester: OrgId): Promise<readonly OrgId[]> {
  const { members } = await networkMap(context);
  return [requester, ...members.map(({ org }) => org).filter((org) => orgClass(org) === 'duo' && org !== requester)];
}

function provesAnswer(proof: LeafProof, plan: AnswerPlan): boolean {
  const value = proof.value === null ? undefined : SlotState.safeParse(JSON.parse(fromUtf8(fromBase64url(proof.value)))).data;
  return value?.answer?.sealed === plan.response.sealed && value.answer.grantCommitment === plan.response.grantCommitment;
}

async function keepProof(context: Context, tag: SlotTag, proof: LeafProof | undefined): Promise<void> {
  const slot = await slotOf(context, tag);
  const { proof: _, ...plan } = planOf(slot);
  await context.vault.write(put(slots, tag, { ...slot, answer: { ...plan, ...(proof === undefined ? {} : { proof }) } }));
}

interface PartChange {
  readonly tag: SlotTag;
  readonly grant: string;
  readonly state?: PartState;
  readonly code?: string;
}

/** Stores what became of one part; a step that went clears the code of the last failure. */
export async function keepPart(context: Context, change: PartChange & Partial<Pick<Part, 'revokedOnChannel' | 'revokedAtKeeper'>>): Promise<void> {
  const slot = await slotOf(context, change.tag);
  const plan = planOf(slot);
  const { tag, grant, code, ...changed } = change;
  const parts = plan.parts.map((part): Part => {
    if (part.order.grant !== grant) return part;
    const { code: _, ...rest } = part;
    return { ...rest, ...changed, ...(code === undefined ? {} : { code }) };
  });
  await context.vault.write(put(slots, tag, { ...slot, answer: { ...plan, parts } }));
}

function planOf(slot: Slot): AnswerPlan {
  if (slot.answer === undefined) throw new CodedError('REQUEST_NOT_ANSWERED', 'This request has no answer.', { next: 'Answer it first.' });
  return slot.answer;
}

function partOf(slot: Slot, grant: string): Part {
  return planOf(slot).parts.find(({ order }) => order.grant === grant) as Part;
}
