/** B2 and B6: permission to be asked. A permit of quota q is q slots on DRC, each under its own certificate and with its own mailbox. */
import { fromBase64url, toBase64url } from '#base/bytes.ts';
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import { sealTo } from '#crypto/hpke.ts';
import { GrantId, instant, milliseconds, SlotTag, type Instant, type OrgId } from '#model/ids.ts';
import { SLOT_BYTES, SlotCapability } from '#model/messages.ts';
import type { Member } from '#model/con.ts';
import type { TemplateRef } from '#model/template.ts';
import { slotBinding } from '#model/bindings.ts';
import { drcByTheHour, wholeHour } from './channels.ts';
import type { Context } from './context.ts';
import { randomBelow, randomId, shuffled } from './keys.ts';
import { openMailbox } from './links.ts';
import { memberOf } from './organisations.ts';
import { codeOf, once, passing } from './persistence.ts';
import { newMailbox, signerOf } from './signing.ts';
import { earlierEnd, roundedEnd, spaced } from './spacing.ts';
import { permits, slots, type Identity, type Permit, type Slot } from './state.ts';
import { takeSpares } from './stock.ts';
import { put } from './vault.ts';

export interface PermitWish {
  readonly duo: OrgId;
  readonly templates: readonly TemplateRef[];
  /** How many invitations; each is one slot. */
  readonly quota: number;
  /** No invitation after this. */
  readonly until: Instant;
}

const QUOTA_MAX = 100;
/** Openings that come so soon are waited for. */
const PATIENCE_MS = 5_000;

/**
 * Stores the permit with all its slots, then opens them: a single one at once, several at random moments of their own, which
 * later synchronisations carry out. The end is rounded down to a whole day; of several slots each ends up to a sixth of the
 * time earlier. Throws PERMIT_INVALID, ORG_UNKNOWN, CERTIFICATE_TOO_SHORT.
 */
export async function permit(context: Context, wish: PermitWish): Promise<Permit> {
  const now = context.clock.now();
  if (!Number.isInteger(wish.quota) || wish.quota < 1 || wish.quota > QUOTA_MAX || milliseconds(wish.until) <= now || wish.templates.length === 0) {
    throw new CodedError('PERMIT_INVALID', 'A permit names at least one template, 1 to 100 invitations and a time to come.', { next: 'Correct the quota, the end or the templates.' });
  }
  const member = await memberOf(context, wish.duo);
  const rounded: PermitWish = { ...wish, templates: [...wish.templates].sort(byName), until: roundedEnd(wish.until, now) };
  const taken = await takeSpares(context, wish.quota, milliseconds(rounded.until));
  const contact = GrantId.parse(randomId(context.random, 16));
  const made = await Promise.all(taken.identities.map((identity, ordinal) => newSlot(context, { wish: rounded, member, contact, ordinal, identity })));
  const permitted: Permit = { contact, ...rounded, createdAt: instant(now), slots: made.map(({ slot }) => slot) };
  await context.vault.write(put(permits, contact, permitted), ...made.map((slot) => put(slots, slot.slot, slot)), ...taken.changes);
  const soon = shuffled(context.random, made).filter(({ dueAt }) => dueAt <= now + PATIENCE_MS).sort((a, b) => a.dueAt - b.dueAt);
  for (const { slot, dueAt } of soon) {
    const wait = dueAt - context.clock.now();
    if (wait > 0) await context.scheduler.sleep(wait);
    await openSlot(context, slot);
  }
  return permitted;
}

/** A short permit must not wait away its time. */
function spreadOf({ slotDelayMaxMs, clock }: Context, until: Instant): number {
  return Math.min(slotDelayMaxMs, Math.max(0, Math.floor((milliseconds(until) - clock.now()) / 10)));
}

/** One order for all: the order of choosing would be a mark. */
function byName(a: TemplateRef, b: TemplateRef): number {
  const [left, right] = [`${a.id} ${a.version}`, `${b.id} ${b.version}`];
  return left < right ? -1 : left > right ? 1 : 0;
}

interface NewSlot {
  readonly wish: PermitWish;
  readonly member: Member;
  readonly contact: GrantId;
  readonly ordinal: number;
  readonly identity: Identity;
}

async function newSlot(context: Context, { wish, member, contact, ordinal, identity }: NewSlot): Promise<Slot> {
  const slot = SlotTag.parse(randomId(context.random, 32));
  const mailbox = await newMailbox();
  const { publicKey } = await context.keys.hpke(`slot/${slot}`);
  const capability: SlotCapability = { kind: 'slot', contact, ordinal, quota: wish.quota, hpkePublicKey: toBase64url(publicKey), mailbox: mailbox.handle };
  const sealed = await sealTo({ recipientPublicKey: fromBase64url(member.hpkePublicKey), ...slotBinding(slot), plaintext: canonicalBytes(capability as Json), envelopeBytes: SLOT_BYTES });
  const now = context.clock.now();
  const dueAt = wish.quota === 1 ? now : now + randomBelow(context.random, spreadOf(context, wish.until) + 1);
  return {
    slot, contact, ordinal, quota: wish.quota, duo: wish.duo, identity, mailbox,
    opening: { slot, duo: wish.duo, templates: wish.templates, notBefore: instant(wholeHour(dueAt)), until: wish.quota === 1 ? wish.until : earlierEnd(context, wish.until), sealed: toBase64url(sealed) },
    phase: 'opening', dueAt, noticed: false, lookedAt: 0, revocation: 'none', withdrawal: 'none', reports: [],
  };
}

/** Opens a slot whose moment has come; what else has come due waits anew (all at once only where there is no wait). Returns the codes of what failed. */
export async function openSlots(context: Context): Promise<readonly string[]> {
  const due = (await context.vault.all(slots)).map(([, slot]) => slot).filter(({ phase, withdrawal, dueAt }) => phase === 'opening' && withdrawal === 'none' && dueAt <= context.clock.now());
  const { now, later } = spaced(context, due, ({ opening }) => spreadOf(context, opening.until));
  if (later.length > 0) await context.vault.write(...later.map((slot) => put(slots, slot.slot, slot)));
  const codes: string[] = [];
  for (const { slot } of now) {
    const code = await openSlot(context, slot);
    if (code !== undefined) codes.push(code);
  }
  return codes;
}

async function openSlot(context: Context, tag: SlotTag): Promise<string | undefined> {
  let slot = await slotOf(context, tag);
  try {
    const signer = await signerOf(slot.identity);
    if (!slot.mailbox.opened) {
      slot = { ...slot, mailbox: await openMailbox(context, slot.mailbox, signer) };
      await context.vault.write(put(slots, tag, slot));
    }
    const channel = drcByTheHour(context, signer);
    // The hour of its own opening: the hour in which the permit was given would tell which slots were made together.
    const opening = { ...slot.opening, notBefore: instant(wholeHour(context.clock.now())) };
    await once({ act: () => channel.submit('openSlot', opening), stands: async () => (await channel.evaluate('getSlot', { slot: tag })).sealed === opening.sealed });
    await context.vault.write(put(slots, tag, { ...slot, opening, phase: 'open' }));
    return undefined;
  } catch (error) {
    const code = codeOf(error);
    if (!passing(error)) await context.vault.write(put(slots, tag, { ...slot, phase: 'failed', code }));
    return code;
  }
}

/** A slot of this device. Throws DEVICE_UNKNOWN_ID. */
export async function slotOf(context: Context, tag: SlotTag): Promise<Slot> {
  const slot = await context.vault.get(slots, tag);
  if (slot === undefined) throw new CodedError('DEVICE_UNKNOWN_ID', 'This device knows no such request.', { next: 'List the requests first.', id: tag });
  return slot;
}
