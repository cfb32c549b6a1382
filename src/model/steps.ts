/**
 * The protocols as tables of steps: from which state, by which transaction, by whom, to which state. Contract guards,
 * buttons, pictures and the exhaustive tests come from these. A state without a row for a step refuses the step.
 */
import type { Who } from './access.ts';
import type { EventName } from './events.ts';
import type { ChannelKind } from './orgs.ts';

export interface Step {
  readonly from: string;
  /** The transaction. */
  readonly step: string;
  readonly by: Who;
  readonly to: string;
  readonly channel: ChannelKind;
  readonly event: EventName;
}

/** B and C: one slot on DRC, from permit to answer. Receipts, erasures and reports leave the phase as it is. */
export const slotSteps = [
  { from: 'none', step: 'openSlot', by: 'uo/person', to: 'open', channel: 'drc', event: 'slot-opened' },
  { from: 'open', step: 'withdrawSlot', by: 'uo/person', to: 'withdrawn', channel: 'drc', event: 'slot-withdrawn' },
  { from: 'invited', step: 'withdrawSlot', by: 'uo/person', to: 'withdrawn', channel: 'drc', event: 'slot-withdrawn' },
  { from: 'withdrawn', step: 'withdrawSlot', by: 'uo/person', to: 'withdrawn', channel: 'drc', event: 'slot-withdrawn' },
  { from: 'open', step: 'invite', by: 'duo/system', to: 'invited', channel: 'drc', event: 'slot-invited' },
  { from: 'invited', step: 'respond', by: 'uo/person', to: 'answered', channel: 'drc', event: 'slot-answered' },
  { from: 'invited', step: 'respond', by: 'uo/person', to: 'refused', channel: 'drc', event: 'slot-answered' },
  { from: 'answered', step: 'revokeGrant', by: 'uo/person', to: 'revoked', channel: 'drc', event: 'grant-revoked' },
  { from: 'revoked', step: 'revokeGrant', by: 'uo/person', to: 'revoked', channel: 'drc', event: 'grant-revoked' },
  { from: 'answered', step: 'putReceipt', by: 'duo/system', to: 'answered', channel: 'drc', event: 'receipt-put' },
  { from: 'revoked', step: 'putReceipt', by: 'duo/system', to: 'revoked', channel: 'drc', event: 'receipt-put' },
  { from: 'answered', step: 'putErasure', by: 'duo/system', to: 'answered', channel: 'drc', event: 'erasure-put' },
  { from: 'revoked', step: 'putErasure', by: 'duo/system', to: 'revoked', channel: 'drc', event: 'erasure-put' },
  { from: 'invited', step: 'reportSlot', by: 'uo/person', to: 'invited', channel: 'drc', event: 'slot-reported' },
  { from: 'answered', step: 'reportSlot', by: 'uo/person', to: 'answered', channel: 'drc', event: 'slot-reported' },
  { from: 'refused', step: 'reportSlot', by: 'uo/person', to: 'refused', channel: 'drc', event: 'slot-reported' },
  { from: 'revoked', step: 'reportSlot', by: 'uo/person', to: 'revoked', channel: 'drc', event: 'slot-reported' },
  { from: 'withdrawn', step: 'reportSlot', by: 'uo/person', to: 'withdrawn', channel: 'drc', event: 'slot-reported' },
] as const satisfies readonly Step[];

/** C4 to C6: one order on a keeper's channel. */
export const orderSteps = [
  { from: 'none', step: 'orderRelease', by: 'uo/person', to: 'ordered', channel: 'hdc', event: 'release-ordered' },
  { from: 'ordered', step: 'recordRelease', by: 'ho/system', to: 'released', channel: 'hdc', event: 'release-recorded' },
  { from: 'ordered', step: 'revokeRelease', by: 'uo/person', to: 'revoked', channel: 'hdc', event: 'release-revoked' },
  { from: 'released', step: 'revokeRelease', by: 'uo/person', to: 'revoked', channel: 'hdc', event: 'release-revoked' },
  { from: 'revoked', step: 'revokeRelease', by: 'uo/person', to: 'revoked', channel: 'hdc', event: 'release-revoked' },
] as const satisfies readonly Step[];

/** A5 and erasure: one anchored record; the states are `AnchorState.erased`. */
export const recordSteps = [
  { from: 'none', step: 'anchorRecords', by: 'ho/system', to: 'no', channel: 'hdc', event: 'records-anchored' },
  { from: 'no', step: 'orderErasure', by: 'uo/person', to: 'ordered', channel: 'hdc', event: 'erasure-ordered' },
  { from: 'ordered', step: 'orderErasure', by: 'uo/person', to: 'ordered', channel: 'hdc', event: 'erasure-ordered' },
  { from: 'ordered', step: 'recordErasure', by: 'ho/system', to: 'done', channel: 'hdc', event: 'erasure-recorded' },
] as const satisfies readonly Step[];

/** Votes on CON. Every member may propose and vote; the first row of each pair is one caller class of three. */
export const proposalSteps = (['uo/system', 'ho/system', 'duo/system'] as const).flatMap((by) => [
  { from: 'none', step: 'propose', by, to: 'open', channel: 'con', event: 'proposal-made' } as const,
  { from: 'open', step: 'vote', by, to: 'open', channel: 'con', event: 'vote-cast' } as const,
  { from: 'open', step: 'vote', by, to: 'accepted', channel: 'con', event: 'vote-cast' } as const,
  { from: 'open', step: 'vote', by, to: 'rejected', channel: 'con', event: 'vote-cast' } as const,
]) satisfies readonly Step[];

export const protocolSteps = { slot: slotSteps, order: orderSteps, record: recordSteps, proposal: proposalSteps } as const satisfies Record<string, readonly Step[]>;

/** The states that a step leads to from a state; empty when the step is illegal there. */
export function nextStates<S extends Step>(table: readonly S[], from: string, step: S['step']): readonly S['to'][] {
  return table.filter((row) => row.from === from && row.step === step).map((row) => row.to);
}

/** May the step be taken in this state? */
export function stepAllowed<S extends Step>(table: readonly S[], from: string, step: S['step']): boolean {
  return table.some((row) => row.from === from && row.step === step);
}
