/**
 * Who may call which transaction: role × transaction, by channel kind. A caller is `class/role`; the role is believed
 * only inside the MSP that issued it, so a `person` exists in a user organisation only. `only` names the relation that
 * the rules check beyond the role; what is not listed is refused.
 */
import { hdcOf, type Caller, type ChannelKind, type OrgClass, type Role } from './orgs.ts';
import type { ChannelName } from './ids.ts';
import { ALLOW, refuse, type Verdict } from './rules/verdict.ts';

export type Who = `${OrgClass}/${Role}`;

/** The relation between caller and state that a rule demands beyond the role. */
export type Relation =
  | 'certificate not used before'
  | 'keeper of the channel'
  | 'owner of the subject'
  | 'owner of the order'
  | 'the keeper, or the owner of the subject'
  | 'the keeper, or the owner of the order'
  | 'certificate of the slot'
  | 'data user of the slot'
  | 'certificate or data user of the slot'
  | 'requester of the template'
  | 'own organisation'
  | 'member'
  | 'member that runs a peer on the channel'
  | 'founding member';

export interface AccessRow {
  /** `submit` writes and is ordered; `evaluate` only reads. */
  readonly kind: 'submit' | 'evaluate';
  readonly by: readonly Who[];
  readonly only?: Relation;
}

const keeperReads = ['ho/system', 'ho/operator'] as const;
const dataUserReads = ['duo/system', 'duo/operator'] as const;
const memberSystems = ['uo/system', 'ho/system', 'duo/system'] as const;
const memberVoices = [...memberSystems, 'uo/operator', 'ho/operator', 'duo/operator'] as const;
const everyone = [...memberVoices, 'uo/person', 'uo/staff', 'ho/staff', 'duo/staff'] as const;

/** Moving (docs/moving.md) is for administrators of those who run peers on the channel; where a state came from is for everybody who reads there. */
const moveRows = <R extends Who, V extends Who>(operators: readonly V[], readers: readonly R[]) => ({
  readState: { kind: 'evaluate', by: operators, only: 'member that runs a peer on the channel' },
  getMove: { kind: 'evaluate', by: readers },
  freezeChannel: { kind: 'submit', by: operators, only: 'member that runs a peer on the channel' },
  beginImport: { kind: 'submit', by: operators, only: 'member that runs a peer on the channel' },
  importChunk: { kind: 'submit', by: operators, only: 'member that runs a peer on the channel' },
  sealImport: { kind: 'submit', by: operators, only: 'member that runs a peer on the channel' },
}) as const;

export const accessTable = {
  uic: {
    putEntry: { kind: 'submit', by: ['uo/person'], only: 'certificate not used before' },
    getEntry: { kind: 'evaluate', by: ['uo/person'] },
    listEntries: { kind: 'evaluate', by: ['uo/person'] },
    setTimeFloor: { kind: 'submit', by: ['uo/system'] },
    ...moveRows(['uo/operator'], ['uo/system', 'uo/operator', 'uo/person']),
  },
  hdc: {
    linkOwner: { kind: 'submit', by: ['ho/system'], only: 'keeper of the channel' },
    anchorRecords: { kind: 'submit', by: ['ho/system'], only: 'keeper of the channel' },
    getAnchors: { kind: 'evaluate', by: [...keeperReads, 'uo/person'], only: 'the keeper, or the owner of the subject' },
    listAnchors: { kind: 'evaluate', by: keeperReads, only: 'keeper of the channel' },
    getOwner: { kind: 'evaluate', by: [...keeperReads, 'uo/person'], only: 'the keeper, or the owner of the subject' },
    orderRelease: { kind: 'submit', by: ['uo/person'], only: 'owner of the subject' },
    revokeRelease: { kind: 'submit', by: ['uo/person'], only: 'owner of the order' },
    recordRelease: { kind: 'submit', by: ['ho/system'], only: 'keeper of the channel' },
    getOrder: { kind: 'evaluate', by: [...keeperReads, 'uo/person'], only: 'the keeper, or the owner of the order' },
    logAccess: { kind: 'submit', by: ['ho/system'], only: 'keeper of the channel' },
    getAccessHead: { kind: 'evaluate', by: [...keeperReads, 'uo/person'] },
    orderErasure: { kind: 'submit', by: ['uo/person'], only: 'owner of the subject' },
    recordErasure: { kind: 'submit', by: ['ho/system'], only: 'keeper of the channel' },
    setTimeFloor: { kind: 'submit', by: ['ho/system'], only: 'keeper of the channel' },
    ...moveRows(['ho/operator'], [...keeperReads, 'uo/person']),
  },
  drc: {
    publishTemplate: { kind: 'submit', by: ['duo/system'], only: 'requester of the template' },
    getTemplate: { kind: 'evaluate', by: [...dataUserReads, 'duo/staff', 'uo/person'] },
    listTemplates: { kind: 'evaluate', by: [...dataUserReads, 'duo/staff', 'uo/person'] },
    openSlot: { kind: 'submit', by: ['uo/person'], only: 'certificate not used before' },
    withdrawSlot: { kind: 'submit', by: ['uo/person'], only: 'certificate of the slot' },
    reportSlot: { kind: 'submit', by: ['uo/person'], only: 'certificate of the slot' },
    invite: { kind: 'submit', by: ['duo/system'], only: 'data user of the slot' },
    respond: { kind: 'submit', by: ['uo/person'], only: 'certificate of the slot' },
    revokeGrant: { kind: 'submit', by: ['uo/person'], only: 'certificate of the slot' },
    putReceipt: { kind: 'submit', by: ['duo/system'], only: 'data user of the slot' },
    putErasure: { kind: 'submit', by: ['duo/system'], only: 'data user of the slot' },
    getSlot: { kind: 'evaluate', by: [...dataUserReads, 'uo/person'], only: 'certificate or data user of the slot' },
    listSlots: { kind: 'evaluate', by: dataUserReads, only: 'own organisation' },
    settle: { kind: 'submit', by: ['duo/system'], only: 'own organisation' },
    getStatement: { kind: 'evaluate', by: dataUserReads, only: 'own organisation' },
    setTimeFloor: { kind: 'submit', by: ['uo/system', 'duo/system'] },
    ...moveRows(['duo/operator'], [...dataUserReads, 'uo/person']),
  },
  con: {
    found: { kind: 'submit', by: memberVoices, only: 'founding member' },
    getMembers: { kind: 'evaluate', by: everyone },
    updateMember: { kind: 'submit', by: memberVoices, only: 'member' },
    propose: { kind: 'submit', by: memberVoices, only: 'member' },
    vote: { kind: 'submit', by: memberVoices, only: 'member' },
    getProposal: { kind: 'evaluate', by: everyone },
    isAccepted: { kind: 'evaluate', by: everyone },
    putCheckpoint: { kind: 'submit', by: memberSystems, only: 'member that runs a peer on the channel' },
    getCheckpoint: { kind: 'evaluate', by: everyone },
    findCheckpoint: { kind: 'evaluate', by: everyone },
    setTimeFloor: { kind: 'submit', by: memberSystems, only: 'member' },
    ...moveRows(['uo/operator', 'ho/operator', 'duo/operator'], everyone),
  },
} as const satisfies Record<ChannelKind, Record<string, AccessRow>>;

/** The row of a transaction; undefined when the channel kind has no such transaction. */
export function accessRow(kind: ChannelKind, transaction: string): AccessRow | undefined {
  const rows: Readonly<Record<string, AccessRow>> = accessTable[kind];
  return Object.hasOwn(rows, transaction) ? rows[transaction] : undefined;
}

/**
 * May this caller call this transaction at all? Contracts enforce it; APIs and portals ask it early. A health
 * organisation acts on its own channel only, even if another's configuration were to let it in.
 */
export function decideAccess(caller: Pick<Caller, 'org' | 'class' | 'role'>, target: { readonly kind: ChannelKind; readonly channel: ChannelName; readonly transaction: string }): Verdict {
  const row = accessRow(target.kind, target.transaction);
  if (row === undefined) return refuse('TRANSACTION_UNKNOWN');
  const who: Who = `${caller.class}/${caller.role}`;
  const keeps = target.kind !== 'hdc' || caller.class !== 'ho' || hdcOf(caller.org) === target.channel;
  return keeps && row.by.includes(who) ? ALLOW : refuse('ROLE_NOT_ALLOWED');
}
