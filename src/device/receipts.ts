/** What others signed or wrote about the owner's records: deliveries, erasures, and the owner's own consent receipt. */
import { CodedError } from '#base/errors.ts';
import type { LeafProof } from '#api/endpoints.ts';
import type { Instant, OrgId, RecordId, SlotTag } from '#model/ids.ts';
import type { GrantOpening, Signed } from '#model/messages.ts';
import type { Context } from './context.ts';
import { networkMap } from './organisations.ts';
import { slotOf } from './permits.ts';
import { lightProof } from './releases.ts';
import { erasures, slots, type Slot } from './state.ts';

/** `delivery`: the data user says what arrived. `erasure`: the data user erased. `keeper-erasure`: a keeper erased, signed. */
export type Receipt =
  | { readonly kind: 'delivery'; readonly slot: SlotTag; readonly org: OrgId; readonly receipt: NonNullable<Slot['receipt']> }
  | { readonly kind: 'erasure'; readonly slot: SlotTag; readonly org: OrgId; readonly erasure: NonNullable<Slot['erasure']> }
  | { readonly kind: 'erasure-due'; readonly slot: SlotTag; readonly org: OrgId; readonly eraseAt: Instant }
  | { readonly kind: 'keeper-erasure'; readonly org: OrgId; readonly items: readonly RecordId[]; readonly receipt: Signed };

/** Every receipt this device knows, and every erasure that is overdue. */
export async function receipts(context: Context): Promise<readonly Receipt[]> {
  const now = context.clock.now();
  const bySlot = (await context.vault.all(slots)).flatMap(([, slot]) => slotReceipts(slot, now));
  const byKeeper = (await context.vault.all(erasures)).flatMap(([, { keeper, items, receipt }]): Receipt[] => (receipt === undefined ? [] : [{ kind: 'keeper-erasure', org: keeper, items, receipt }]));
  return [...bySlot, ...byKeeper];
}

function slotReceipts({ slot, duo, receipt, erasure, answer }: Slot, nowMs: number): readonly Receipt[] {
  const found: Receipt[] = [];
  if (receipt !== undefined) found.push({ kind: 'delivery', slot, org: duo, receipt });
  if (erasure !== undefined) found.push({ kind: 'erasure', slot, org: duo, erasure });
  const overdue = receipt !== undefined && erasure === undefined && answer !== undefined && Date.parse(answer.response.eraseAt) < nowMs;
  if (overdue) found.push({ kind: 'erasure-due', slot, org: duo, eraseAt: answer.response.eraseAt });
  return found;
}

/** A file by which the owner can show what was granted to whom, and that it stands on DRC. Read by verifier/, which takes exactly these fields. */
export interface ConsentReceipt {
  readonly kind: 'healthkeep-consent-receipt';
  readonly version: 1;
  readonly grants: readonly Signed[];
  readonly opening: GrantOpening;
  readonly drc: LeafProof;
  readonly members: readonly { readonly org: OrgId; readonly rootCertificate: string }[];
}

/** Throws REQUEST_NOT_ANSWERED while the answer is not on DRC. */
export async function consentReceipt(context: Context, tag: SlotTag): Promise<ConsentReceipt> {
  const { answer } = await slotOf(context, tag);
  if (answer?.stage !== 'responded') throw new CodedError('REQUEST_NOT_ANSWERED', 'There is no answer to this request on the channel yet.', { next: 'Synchronise, then try again.' });
  const drc = await lightProof(context, tag);
  const { members } = await networkMap(context);
  return {
    kind: 'healthkeep-consent-receipt', version: 1, grants: answer.parts.map(({ grant }) => grant), opening: answer.opening, drc,
    members: members.map(({ org, rootCertificate }) => ({ org, rootCertificate })),
  };
}
