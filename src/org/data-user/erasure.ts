/**
 * Erasing what was received (protocol C10): when it is due, when its owner revokes, or earlier. The keys and bodies go
 * first, in one durable write together with the signed receipt; then the receipt's digest goes to DRC and a notice to
 * the owner. After an interruption the rest is made up for.
 */
import { z } from 'zod';
import { toBase64url, utf8 } from '#base/bytes.ts';
import type { Json } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import type { Clock, Log } from '#base/ports.ts';
import { sha256 } from '#crypto/digest.ts';
import { signJson } from '#crypto/signed-json.ts';
import { drcInputs } from '#model/drc.ts';
import { Digest, Instant, instant, milliseconds, type SlotTag } from '#model/ids.ts';
import { Signed } from '#model/messages.ts';
import type { OrgIdentity } from '../types.ts';
import type { SlotFacts } from './board.ts';
import type { DrcCalls } from './drc-calls.ts';
import type { Mailman } from './mailman.ts';
import type { Packages } from './packages.ts';
import { putReceipt, receiptOf } from './receipts.ts';
import { invitationName } from './requests.ts';
import type { OwnSlots } from './slots.ts';
import type { Vault } from './vault.ts';

export type ErasureReason = 'due' | 'revoked' | 'early';

/** `destroyed`: nothing is left here; `written`: the receipt stands on DRC; `told`: the owner's mailbox has the notice. */
const KeptErasure = z
  .strictObject({
    step: z.enum(['destroyed', 'written', 'told']),
    reason: z.enum(['due', 'revoked', 'early']),
    at: Instant,
    /** The erasure receipt, signed; its digest stands on DRC. */
    receipt: Signed,
    receiptDigest: Digest,
    /** What came before it was erased and is not receipted yet: its owner is paid for it all the same. */
    owed: drcInputs.putReceipt.optional(),
  })
  .readonly();
type KeptErasure = z.infer<typeof KeptErasure>;

export interface ErasureDeps {
  readonly identity: OrgIdentity;
  readonly vault: Vault;
  readonly drc: DrcCalls;
  readonly slots: OwnSlots;
  readonly packages: Packages;
  readonly mailman: Mailman;
  readonly clock: Clock;
  readonly log: Log;
  /** Work on one slot happens one after another; a transfer under way for it is stopped first. */
  readonly exclusive: <T>(slot: SlotTag, work: () => Promise<T>) => Promise<T>;
  readonly stopTransfer: (slot: SlotTag) => void;
}

export interface Erasures {
  /** Erases everything that is due or revoked now. */
  eraseDue(): Promise<void>;
  /** Goes on with erasures that were interrupted after the keys were destroyed. */
  resume(): Promise<void>;
  eraseNow(slot: SlotTag): Promise<void>;
  erased(slot: SlotTag): Promise<boolean>;
  /** Slots whose answer had to be erased by now but whose erasure is not on DRC. */
  overdue(): readonly SlotTag[];
}

/** An answer in time may be seen late. */
const LATE_MS = 86_400_000;
const name = (slot: SlotTag): string => `erasure/${slot}`;

export function createErasures(deps: ErasureDeps): Erasures {
  // Told once and for all: these are not looked at again in this process.
  const finished = new Set<SlotTag>();
  const erased = async (slot: SlotTag): Promise<boolean> => (await deps.vault.get(name(slot), KeptErasure)) !== undefined;

  const erase = (slot: SlotTag, reason: ErasureReason): Promise<void> => {
    deps.stopTransfer(slot);
    return deps.exclusive(slot, async () => {
      const kept = (await deps.vault.get(name(slot), KeptErasure)) ?? (await destroy(slot, reason, deps));
      if (kept.step !== 'told') await goOn(slot, kept, deps);
      finished.add(slot);
    });
  };
  const attempt = async (slot: SlotTag, reason: ErasureReason): Promise<void> => {
    if (finished.has(slot)) return;
    // One slot that cannot be finished now must not hold up the others.
    await erase(slot, reason).catch((error: unknown) => deps.mailman.note('erasure-not-finished', error, { slot }));
  };

  const dropKey = async (slot: SlotTag): Promise<void> => {
    await deps.exclusive(slot, () => deps.vault.write(new Map([[invitationName(slot), undefined]])));
    finished.add(slot);
  };

  return {
    erased,
    async eraseDue() {
      for (const { slot, reason } of dueNow(deps)) await attempt(slot, reason);
      for (const slot of uselessKeys(deps)) if (!finished.has(slot)) await dropKey(slot);
    },
    async resume() {
      for (const slot of await unfinished(deps, finished)) await attempt(slot, 'early');
    },
    eraseNow: (slot) => erase(slot, 'early'),
    overdue: () => deps.slots.all().filter(({ facts }) => isOverdue(facts, deps.clock.now())).map(({ slot }) => slot),
  };
}

/** Erasures begun and not told to the end, also by an earlier process; their reason is the kept one. */
async function unfinished({ vault }: ErasureDeps, finished: Set<SlotTag>): Promise<readonly SlotTag[]> {
  const slots: SlotTag[] = [];
  for (const [key, kept] of await vault.list('erasure/', KeptErasure)) {
    const slot = key.slice('erasure/'.length) as SlotTag;
    if (kept.step === 'told') finished.add(slot);
    else slots.push(slot);
  }
  return slots;
}

/** What must go now, from the ledger's state and the clock. */
function dueNow({ slots, clock }: ErasureDeps): readonly { readonly slot: SlotTag; readonly reason: ErasureReason }[] {
  const now = clock.now();
  return slots.all().flatMap(({ slot, facts }): { slot: SlotTag; reason: ErasureReason }[] => {
    if (facts.erasure !== undefined || facts.answer === undefined || facts.answer.decision === 'no') return [];
    if (facts.phase === 'revoked') return [{ slot, reason: 'revoked' }];
    return milliseconds(facts.answer.eraseAt) <= now ? [{ slot, reason: 'due' }] : [];
  });
}

/** Invitations that will never be answered: their one-time keys open nothing and need not lie about. */
function uselessKeys({ slots, clock }: ErasureDeps): readonly SlotTag[] {
  const silent = ({ phase, invitation }: SlotFacts): boolean => phase === 'invited' && invitation !== undefined && milliseconds(invitation.answerBy) + LATE_MS < clock.now();
  return slots.all().filter(({ facts }) => facts.phase === 'refused' || facts.phase === 'withdrawn' || silent(facts)).map(({ slot }) => slot);
}

function isOverdue(facts: SlotFacts, now: number): boolean {
  return facts.erasure === undefined && facts.receipt !== undefined && facts.answer !== undefined && milliseconds(facts.answer.eraseAt) < now;
}

async function destroy(slot: SlotTag, reason: ErasureReason, { identity, packages, clock, log }: ErasureDeps): Promise<KeptErasure> {
  const at = instant(clock.now());
  const held = await packages.get(slot);
  const items = await packages.items(slot);
  const owed = held === undefined || held.step === 'received' || items.length === 0 ? undefined : receiptOf(slot, held, items);
  const receipt = Signed.parse(await signJson({ kind: 'erasure', org: identity.org, slot, reason, at, items: items.length, ...(held?.packageDigest && { packageDigest: held.packageDigest }) }, identity.system));
  const kept: KeptErasure = { step: 'destroyed', reason, at, receipt, receiptDigest: toBase64url(sha256(utf8(receipt.payload))) as Digest, ...(owed && { owed }) };
  await packages.destroy(slot, new Map([[name(slot), kept as unknown as Json]]));
  log('info', 'data-user.package-erased', { slot, reason, items: items.length });
  return kept;
}

async function goOn(slot: SlotTag, kept: KeptErasure, { drc, slots, vault, mailman }: ErasureDeps): Promise<void> {
  const keep = (step: KeptErasure['step']): Promise<void> => vault.write(new Map([[name(slot), { ...kept, step } as unknown as Json]]));
  if (kept.step === 'destroyed') {
    // Only now is it gone from the logs of the store too, and only then may the receipt say so.
    await vault.scrub();
    if (kept.owed !== undefined) await putReceipt(kept.owed, drc);
    try {
      await drc.submit('putErasure', { slot, reason: kept.reason, receiptDigest: kept.receiptDigest });
    } catch (error) {
      if ((await drc.slot(slot)).erasure?.receiptDigest !== kept.receiptDigest) throw error;
    }
    await slots.learn(slot, await drc.slot(slot));
    await keep('written');
  }
  const { capability } = await slots.known(slot);
  if (capability !== undefined) await mailman.post(capability, { kind: 'erased', slot });
  await keep('told');
}

/** Throws SLOT_UNANSWERED when nothing was granted in the slot. */
export function requireGranted(slot: SlotTag, facts: SlotFacts): void {
  if (facts.answer === undefined || facts.answer.decision === 'no') throw new CodedError('SLOT_UNANSWERED', 'There is no granted answer in this slot.', { slot });
}
