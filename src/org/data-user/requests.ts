/**
 * Invitations (protocol B3, B4). The one-time key is made and sealed in the store before anything is written to the
 * ledger, so that a crash can never leave an invitation whose answer nobody can open; the same bytes are sent again
 * after a crash, so that a slot is spent once.
 */
import { z } from 'zod';
import { fromBase64url, toBase64url } from '#base/bytes.ts';
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import { CodedError, isCoded } from '#base/errors.ts';
import type { Clock } from '#base/ports.ts';
import { generateHpkeKeyPair, sealTo } from '#crypto/hpke.ts';
import { readCertificate } from '#crypto/x509.ts';
import { Instant, instant, type CallerId, type SlotTag } from '#model/ids.ts';
import { errorRow } from '#model/errors.ts';
import { HpkePublicKey, INVITATION_BYTES, type Invitation, type SlotCapability } from '#model/messages.ts';
import { TemplateRef } from '#model/template.ts';
import { decideInvite } from '#model/rules/drc.ts';
import { enforce } from '#model/rules/verdict.ts';
import { SealedInvitation } from '#model/drc.ts';
import type { OrgIdentity } from '../types.ts';
import { invitationBinding } from '#model/bindings.ts';
import type { DrcCalls } from './drc-calls.ts';
import type { Mailman } from './mailman.ts';
import { createTurnstile } from '../turnstile.ts';
import type { OwnSlots } from './slots.ts';
import type { Vault } from './vault.ts';

/** What is kept of an invitation. `made`: sealed here; `written`: on the ledger; `told`: the owner's mailbox has the notice. */
export const KeptInvitation = z
  .strictObject({
    step: z.enum(['made', 'written', 'told']),
    template: TemplateRef,
    answerBy: Instant,
    publicKey: HpkePublicKey,
    privateKey: z.string(),
    sealed: SealedInvitation,
  })
  .readonly();
export type KeptInvitation = z.infer<typeof KeptInvitation>;

export interface InvitationOrder {
  readonly slot: SlotTag;
  readonly template: TemplateRef;
  readonly message: string;
  readonly answerBy: Instant;
}

export interface Requests {
  /** Writes one invitation; again after a crash or for the same order: no second effect. Throws the contract's refusals. */
  invite(order: InvitationOrder): Promise<void>;
  /** The kept invitation with its one-time key; undefined once that was destroyed. */
  kept(slot: SlotTag): Promise<KeptInvitation | undefined>;
  /** Goes on with what an interruption left half done. */
  resume(): Promise<void>;
}

export interface RequestsDeps {
  readonly identity: OrgIdentity;
  readonly vault: Vault;
  readonly drc: DrcCalls;
  readonly slots: OwnSlots;
  readonly mailman: Mailman;
  readonly clock: Clock;
}

export const invitationName = (slot: SlotTag): string => `invitation/${slot}`;

export function createRequests(deps: RequestsDeps): Requests {
  const { vault, drc, slots } = deps;
  const exclusive = createTurnstile().run;
  const finished = new Set<SlotTag>();
  const kept = (slot: SlotTag): Promise<KeptInvitation | undefined> => vault.get(invitationName(slot), KeptInvitation);
  const keep = (slot: SlotTag, invitation: KeptInvitation): Promise<void> => vault.write(new Map([[invitationName(slot), invitation as unknown as Json]]));

  const write = async (slot: SlotTag, invitation: KeptInvitation): Promise<KeptInvitation> => {
    try {
      await drc.submit('invite', { slot, template: invitation.template, sealed: invitation.sealed, answerBy: invitation.answerBy });
    } catch (error) {
      if (!(await isOurs(slot, invitation, drc))) {
        // The contract's refusal is final for these bytes: their key opens nothing, so it goes. An unknown outcome stays and is tried again.
        if (isRefusal(error)) await vault.write(new Map([[invitationName(slot), undefined]]));
        throw error;
      }
    }
    const written = { ...invitation, step: 'written' as const };
    await keep(slot, written);
    await slots.learn(slot, await drc.slot(slot));
    return written;
  };

  const tell = async (slot: SlotTag, invitation: KeptInvitation): Promise<void> => {
    const { capability } = await slots.known(slot);
    if (capability === undefined) return;
    await deps.mailman.post(capability, { kind: 'invitation', slot });
    await keep(slot, { ...invitation, step: 'told' });
  };

  const goOn = async (slot: SlotTag, invitation: KeptInvitation): Promise<void> => {
    const written = invitation.step === 'made' ? await write(slot, invitation) : invitation;
    // The notice only wakes the device: an invitation stands once it is on the ledger, and the notice is tried again later.
    if (written.step === 'written') await tell(slot, written).catch((error: unknown) => deps.mailman.note('notice-not-posted', error, { slot }));
  };

  return {
    kept,
    invite: (order) =>
      exclusive(order.slot, async () => {
        const before = await kept(order.slot);
        if (before !== undefined && (before.template.digest !== order.template.digest || before.answerBy !== order.answerBy)) {
          throw new CodedError('SLOT_SPENT', 'This slot already holds another invitation.', { slot: order.slot });
        }
        const invitation = before ?? (await makeInvitation(order, deps));
        if (before === undefined) await keep(order.slot, invitation);
        await goOn(order.slot, invitation);
      }),
    async resume() {
      for (const [slot, invitation] of await unfinished(vault, finished)) {
        await exclusive(slot, () => goOn(slot, invitation)).catch((error: unknown) => deps.mailman.note('invitation-not-resumed', error, { slot }));
      }
    },
  };
}

/** Invitations that are not told to the end; those that are need not be opened again in this process. */
async function unfinished(vault: Vault, finished: Set<SlotTag>): Promise<readonly (readonly [SlotTag, KeptInvitation])[]> {
  const found: (readonly [SlotTag, KeptInvitation])[] = [];
  for (const name of await vault.names('invitation/')) {
    const slot = name.slice('invitation/'.length) as SlotTag;
    const invitation = finished.has(slot) ? undefined : await vault.get(name, KeptInvitation);
    if (invitation?.step === 'told') finished.add(slot);
    else if (invitation !== undefined) found.push([slot, invitation]);
  }
  return found;
}

async function makeInvitation(order: InvitationOrder, { drc, slots, identity, clock }: RequestsDeps): Promise<KeptInvitation> {
  const state = await drc.slot(order.slot);
  // A courtesy before a key is made; the contract asks the same rule and decides.
  const template = await drc.template(order.template).catch(() => undefined);
  enforce(decideInvite({ caller: systemOf(identity), slot: state, input: { ...order, sealed: '' }, template, now: instant(clock.now()) }));
  const { capability } = await slots.learn(order.slot, state);
  if (capability === undefined) throw new CodedError('SLOT_UNREADABLE', 'The permit in this slot cannot be opened.', { slot: order.slot });
  const pair = await generateHpkeKeyPair();
  const invitation = invitationOf(order, { requester: identity.org, recipientPublicKey: toBase64url(pair.publicKey) });
  return {
    step: 'made',
    template: order.template,
    answerBy: order.answerBy,
    publicKey: toBase64url(pair.publicKey),
    privateKey: toBase64url(pair.privateKey),
    sealed: toBase64url(await sealInvitation(invitation, capability)),
  };
}

function systemOf({ org, system }: OrgIdentity): { readonly id: CallerId; readonly org: OrgIdentity['org']; readonly role: 'system' } {
  return { id: toBase64url(readCertificate(system.certificate).fingerprint) as CallerId, org, role: 'system' };
}

function invitationOf({ slot, template, message, answerBy }: InvitationOrder, ours: Pick<Invitation, 'requester' | 'recipientPublicKey'>): Invitation {
  return { kind: 'invitation', slot, template, message, answerBy, ...ours };
}

function sealInvitation(invitation: Invitation, capability: SlotCapability): Promise<Uint8Array> {
  return sealTo({ recipientPublicKey: fromBase64url(capability.hpkePublicKey), ...invitationBinding(invitation.slot), plaintext: canonicalBytes(invitation as unknown as Json), envelopeBytes: INVITATION_BYTES });
}

/** Did the ledger take exactly these bytes? (The reply to an earlier attempt may have been lost.) */
async function isOurs(slot: SlotTag, invitation: KeptInvitation, drc: DrcCalls): Promise<boolean> {
  const state = await drc.slot(slot).catch(() => undefined);
  return state?.invitation?.sealed === invitation.sealed;
}

/** A refusal that stands, as opposed to a ledger that could not be reached or whose answer got lost. */
function isRefusal(error: unknown): boolean {
  return isCoded(error) && !error.code.startsWith('LEDGER_') && !errorRow(error.code).retry;
}
