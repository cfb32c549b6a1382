/**
 * The one catalogue of ledger events: the event of every transaction that writes, by channel kind. Payloads are
 * canonical JSON of ids and counts only. Audit, feeds and FHIR AuditEvent are projections of these.
 */
import { moveEvents } from './move.ts';
import type { ChannelKind } from './orgs.ts';

export const ledgerEvents = {
  uic: {
    putEntry: 'entry-put',
    setTimeFloor: 'time-floor-set',
    ...moveEvents,
  },
  hdc: {
    linkOwner: 'owner-linked',
    anchorRecords: 'records-anchored',
    orderRelease: 'release-ordered',
    revokeRelease: 'release-revoked',
    recordRelease: 'release-recorded',
    logAccess: 'access-logged',
    orderErasure: 'erasure-ordered',
    recordErasure: 'erasure-recorded',
    setTimeFloor: 'time-floor-set',
    ...moveEvents,
  },
  drc: {
    publishTemplate: 'template-published',
    openSlot: 'slot-opened',
    withdrawSlot: 'slot-withdrawn',
    reportSlot: 'slot-reported',
    invite: 'slot-invited',
    respond: 'slot-answered',
    revokeGrant: 'grant-revoked',
    putReceipt: 'receipt-put',
    putErasure: 'erasure-put',
    settle: 'statement-settled',
    setTimeFloor: 'time-floor-set',
    ...moveEvents,
  },
  con: {
    found: 'consortium-founded',
    updateMember: 'member-updated',
    propose: 'proposal-made',
    vote: 'vote-cast',
    putCheckpoint: 'checkpoint-put',
    setTimeFloor: 'time-floor-set',
    ...moveEvents,
  },
} as const satisfies Record<ChannelKind, Record<string, string>>;

export type LedgerEvents = typeof ledgerEvents;
export type EventName = { [K in ChannelKind]: LedgerEvents[K][keyof LedgerEvents[K]] }[ChannelKind];
