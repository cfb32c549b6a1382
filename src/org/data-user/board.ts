/** The board: what the data user may know of each of its slots, derived from the ledger's state and the clock. It never says who merely read. */
import type { BoardRow } from '#api/endpoints.ts';
import { milliseconds, type SlotTag } from '#model/ids.ts';
import type { SlotState } from '#model/drc.ts';
import type { SlotCapability } from '#model/messages.ts';
import type { Clock } from '#base/ports.ts';
import type { Packages } from './packages.ts';
import type { OwnSlot, OwnSlots } from './slots.ts';

export type BoardState = BoardRow['state'];

/** What the board needs of a slot: its state without the sealed bytes. */
export type SlotFacts = Omit<SlotState, 'sealed' | 'invitation' | 'answer'> & {
  readonly invitation?: Omit<NonNullable<SlotState['invitation']>, 'sealed'> | undefined;
  readonly answer?: Omit<NonNullable<SlotState['answer']>, 'sealed'> | undefined;
};

/** The state with its sealed bytes left out. */
export function slotFacts(state: SlotState): SlotFacts {
  const { sealed: _capability, invitation, answer, ...rest } = state;
  const without = <T extends { readonly sealed: string }>(value: T): Omit<T, 'sealed'> => {
    const { sealed: _sealed, ...facts } = value;
    return facts;
  };
  return { ...rest, ...(invitation && { invitation: without(invitation) }), ...(answer && { answer: without(answer) }) };
}

/** What has become of a request. Silence is the owner's right: after `answerBy` an unanswered invitation is `silent`, never a yes or a no. */
export function boardState(slot: SlotFacts, nowMs: number): BoardState {
  if (slot.erasure) return 'erased';
  switch (slot.phase) {
    case 'open':
      return 'permitted';
    case 'withdrawn':
      return 'withdrawn';
    case 'revoked':
      return 'revoked';
    case 'refused':
      return 'refused';
    case 'answered':
      return slot.receipt ? 'received' : 'answered';
    case 'invited':
      return slot.invitation && milliseconds(slot.invitation.answerBy) < nowMs ? 'silent' : 'sent';
  }
}

export interface BoardEntry {
  readonly slot: SlotTag;
  readonly facts: SlotFacts;
  readonly capability: SlotCapability;
  /** Items granted, once the answer was opened; items verified so far, also of a package that is not complete yet. */
  readonly items?: number | undefined;
  readonly verified?: number | undefined;
}

export function boardRow(entry: BoardEntry, nowMs: number): BoardRow {
  const { facts, capability } = entry;
  const verified = facts.receipt?.verified ?? entry.verified;
  return {
    slot: entry.slot,
    contact: capability.contact,
    ordinal: capability.ordinal,
    quota: capability.quota,
    state: boardState(facts, nowMs),
    ...(facts.invitation && { template: facts.invitation.template }),
    until: facts.answer && facts.answer.decision !== 'no' ? facts.answer.until : facts.until,
    ...(facts.answer && facts.answer.decision !== 'no' && { eraseAt: facts.answer.eraseAt }),
    ...(entry.items !== undefined && { items: entry.items }),
    ...(verified !== undefined && { verified }),
  };
}

export interface Board {
  rows(): Promise<readonly BoardRow[]>;
}

export interface BoardDeps {
  readonly slots: Pick<OwnSlots, 'all'>;
  readonly packages: Pick<Packages, 'get' | 'items'>;
  readonly clock: Clock;
}

/** Rows in the order of contact and ordinal, so that the slots of one permit stand together. */
export function createBoard({ slots, packages, clock }: BoardDeps): Board {
  const entryOf = async ({ slot, facts, capability }: OwnSlot): Promise<BoardEntry | undefined> => {
    // A permit that cannot be opened names no contact; nobody can be asked by it.
    if (capability === undefined) return undefined;
    const held = facts.answer === undefined || facts.erasure !== undefined ? undefined : await packages.get(slot);
    if (held === undefined) return { slot, facts, capability };
    const verified = facts.receipt?.verified ?? (await packages.items(slot)).filter((item) => item.verdict.good).length;
    return { slot, facts, capability, items: held.parts.reduce((sum, part) => sum + part.granted, 0), verified };
  };
  return {
    async rows() {
      const entries = await Promise.all(slots.all().map(entryOf));
      const known = entries.filter((entry) => entry !== undefined);
      known.sort((a, b) => compare(a.capability.contact, b.capability.contact) || a.capability.ordinal - b.capability.ordinal || compare(a.slot, b.slot));
      return known.map((entry) => boardRow(entry, clock.now()));
    },
  };
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
