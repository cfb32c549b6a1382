/** B6 and docs/protocol.md section 4.11: taking back. The wish is stored first; channel, keeper and DRC are told each on their own and in any order until all know. */
import { CodedError, isCoded } from '#base/errors.ts';
import { milliseconds, type SlotTag } from '#model/ids.ts';
import { drc, hdc } from './channels.ts';
import type { Context } from './context.ts';
import { pairwiseSigner } from './links.ts';
import { keeperApi } from './organisations.ts';
import { slotOf } from './permits.ts';
import { codeOf, once, passing } from './persistence.ts';
import { keepPart, orderOf } from './releases.ts';
import { signerOf } from './signing.ts';
import { slots, type Part, type Slot } from './state.ts';
import { put } from './vault.ts';

export type ReportReasonName = 'misleading' | 'too-many' | 'not-mine' | 'pressure' | 'other';

/** Takes an answer back. Throws REQUEST_NOT_ANSWERED when nothing was granted. */
export async function revoke(context: Context, tag: SlotTag): Promise<void> {
  const slot = await slotOf(context, tag);
  if (slot.answer === undefined || slot.answer.decision === 'no') throw new CodedError('REQUEST_NOT_ANSWERED', 'Nothing was granted here.', { next: 'To end the permission to ask, withdraw it.' });
  if (slot.revocation === 'none') await context.vault.write(put(slots, tag, { ...slot, revocation: 'wanted', revokedAt: context.clock.now() }));
  await finishRevocation(context, tag);
}

/** Takes the permission to ask back, before an answer. Throws REQUEST_ANSWERED afterwards. */
export async function withdraw(context: Context, tag: SlotTag): Promise<void> {
  const slot = await slotOf(context, tag);
  if (slot.answer !== undefined && slot.answer.stage !== 'lapsed') throw new CodedError('REQUEST_ANSWERED', 'This request is answered already.', { next: 'Revoke the answer instead.' });
  if (slot.withdrawal === 'none') await context.vault.write(put(slots, tag, { ...slot, withdrawal: 'wanted' }));
  await finishWithdrawal(context, tag);
}

/** Reports a request to everybody on DRC. */
export async function report(context: Context, tag: SlotTag, reason: ReportReasonName): Promise<void> {
  const slot = await slotOf(context, tag);
  if (slot.request === undefined) throw new CodedError('REQUEST_NOT_ANSWERED', 'There is no request to report yet.', { next: 'Withdraw the permission instead.' });
  if (!slot.reports.some((made) => made.reason === reason)) await context.vault.write(put(slots, tag, { ...slot, reports: [...slot.reports, { reason, done: false }] }));
  await finishReports(context, tag);
}

/** Carries out stored wishes. Returns the codes of what did not go now. */
export async function finishRevocations(context: Context): Promise<readonly string[]> {
  const codes: (string | undefined)[] = [];
  for (const [key, slot] of await context.vault.all(slots)) {
    const tag = key as SlotTag;
    if (slot.revocation === 'wanted') codes.push(await finishRevocation(context, tag));
    if (slot.withdrawal === 'wanted') codes.push(await finishWithdrawal(context, tag));
    if (slot.reports.some(({ done }) => !done)) codes.push(await finishReports(context, tag));
  }
  return codes.filter((code) => code !== undefined);
}

/** Keepers first and all at once: they hold what would leave. One that does not answer does not hold up the others. */
async function finishRevocation(context: Context, tag: SlotTag): Promise<string | undefined> {
  const parts = (await slotOf(context, tag)).answer?.parts ?? [];
  const told = await Promise.all(parts.map(async (part) => (part.revokedAtKeeper ? undefined : failureOf(() => revokeAtKeeper(context, part)))));
  const ordered = await Promise.all(parts.map(async (part) => (part.revokedOnChannel ? undefined : failureOf(() => revokeOnChannel(context, part)))));
  for (const [at, part] of parts.entries()) {
    const revokedAtKeeper = told[at] === undefined;
    const revokedOnChannel = ordered[at] === undefined;
    if (revokedAtKeeper || revokedOnChannel) await keepPart(context, { tag, grant: part.order.grant, state: 'revoked', revokedAtKeeper, revokedOnChannel });
  }
  const onDrc = await failureOf(() => revokeOnDrc(context, tag));
  const failure = [...told, ...ordered, onDrc].find((code) => code !== undefined);
  if (failure === undefined) await context.vault.write(put(slots, tag, { ...(await slotOf(context, tag)), revocation: 'done' }));
  return failure;
}

async function failureOf(act: () => Promise<void>): Promise<string | undefined> {
  try {
    await act();
    return undefined;
  } catch (error) {
    return codeOf(error);
  }
}

async function revokeAtKeeper(context: Context, part: Part): Promise<void> {
  const api = await keeperApi(context, part.keeper, await pairwiseSigner(context, part.keeper));
  try {
    await api.revokeRelease({ params: { grant: part.order.grant }, body: {} });
  } catch (error) {
    // A keeper that never heard of the grant has nothing to stop.
    if (passing(error)) throw error;
  }
}

async function revokeOnChannel(context: Context, part: Part): Promise<void> {
  const { order } = part;
  const standing = await orderOf(context, part);
  if (standing === undefined) {
    // An order whose outcome is unknown may still arrive; it is waited for until it could do nothing any more.
    if (part.code === 'LEDGER_OUTCOME_UNKNOWN' && milliseconds(order.until) > context.clock.now()) throw new CodedError('LEDGER_OUTCOME_UNKNOWN', 'The order may still arrive.', { grant: order.grant });
    return;
  }
  if (standing.state === 'revoked') return;
  const channel = hdc(context, part.keeper, await pairwiseSigner(context, part.keeper));
  await once({ act: () => channel.submit('revokeRelease', { grant: order.grant }), stands: async () => (await orderOf(context, part))?.state === 'revoked' });
}

async function revokeOnDrc(context: Context, tag: SlotTag): Promise<void> {
  const slot = await slotOf(context, tag);
  const channel = drc(context, await signerOf(slot.identity));
  const { phase } = await channel.evaluate('getSlot', { slot: tag });
  if (phase === 'revoked' || phase === 'withdrawn') return keepPhase(context, tag, phase);
  // An answer that never got there is made impossible instead.
  const step = phase === 'invited' ? 'withdrawSlot' : 'revokeGrant';
  const { output } = await channel.submit(step, { slot: tag });
  await keepPhase(context, tag, output.phase);
}

async function finishWithdrawal(context: Context, tag: SlotTag): Promise<string | undefined> {
  try {
    const slot = await slotOf(context, tag);
    const channel = drc(context, await signerOf(slot.identity));
    const gone = await channel.submit('withdrawSlot', { slot: tag }).then(({ output }) => output.phase, (error: unknown) => neverOpened(slot, error));
    await context.vault.write(put(slots, tag, { ...(await slotOf(context, tag)), phase: gone, withdrawal: 'done' }));
    return undefined;
  } catch (error) {
    return codeOf(error);
  }
}

/** A slot that never reached DRC is withdrawn by not opening it. */
function neverOpened(slot: Slot, error: unknown): Slot['phase'] {
  if (isCoded(error, 'SLOT_UNKNOWN') && (slot.phase === 'opening' || slot.phase === 'failed')) return 'withdrawn';
  throw error;
}

async function finishReports(context: Context, tag: SlotTag): Promise<string | undefined> {
  try {
    const slot = await slotOf(context, tag);
    const channel = drc(context, await signerOf(slot.identity));
    for (const { reason, done } of slot.reports) {
      if (done) continue;
      const stands = async (): Promise<boolean> => (await channel.evaluate('getSlot', { slot: tag })).reports.includes(reason as ReportReasonName);
      if (!(await stands())) await once({ act: () => channel.submit('reportSlot', { slot: tag, reason: reason as ReportReasonName }), stands });
      const now = await slotOf(context, tag);
      await context.vault.write(put(slots, tag, { ...now, reports: now.reports.map((made) => (made.reason === reason ? { reason, done: true } : made)) }));
    }
    return undefined;
  } catch (error) {
    return codeOf(error);
  }
}

async function keepPhase(context: Context, tag: SlotTag, phase: Slot['phase']): Promise<void> {
  await context.vault.write(put(slots, tag, { ...(await slotOf(context, tag)), phase }));
}
