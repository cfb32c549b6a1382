/** What each transaction answers, by channel kind. Transactions without an answer of their own say `done`. */
import { z } from 'zod';
import { CheckpointState, Member, ProposalState, Standings } from '#model/con.ts';
import { SlotPhase, SlotState, Statement, TemplateState } from '#model/drc.ts';
import { AccessHeadState, AnchorState, AnchorsPage, OrderState, SubjectState } from '#model/hdc.ts';
import { RecordId, SlotTag } from '#model/ids.ts';
import { moveOutputs } from '#model/move.ts';
import { IndexEntryState, IndexPage } from '#model/uic.ts';

/** The answer of a transaction that has nothing to tell but that it is done. */
export const DONE = { done: true } as const;

const done = z.strictObject({ done: z.literal(true) }).readonly();
const phase = z.strictObject({ phase: SlotPhase }).readonly();

export const uicOutputs = {
  putEntry: done,
  getEntry: IndexEntryState,
  listEntries: IndexPage,
  setTimeFloor: done,
  ...moveOutputs,
} as const;

export const hdcOutputs = {
  linkOwner: done,
  /** Anchors written now, and those that already stood there. */
  anchorRecords: z.strictObject({ anchored: z.int(), known: z.int() }).readonly(),
  /** Unknown ids, and for a person other people's, are left out. */
  getAnchors: z.strictObject({ anchors: z.array(z.strictObject({ id: RecordId, state: AnchorState }).readonly()).readonly() }).readonly(),
  listAnchors: AnchorsPage,
  getOwner: SubjectState,
  orderRelease: done,
  revokeRelease: done,
  recordRelease: done,
  getOrder: OrderState,
  logAccess: done,
  getAccessHead: AccessHeadState.nullable(),
  orderErasure: done,
  recordErasure: done,
  setTimeFloor: done,
  ...moveOutputs,
} as const;

export const drcOutputs = {
  publishTemplate: TemplateState,
  getTemplate: TemplateState,
  listTemplates: z.strictObject({ templates: z.array(TemplateState).readonly() }).readonly(),
  openSlot: phase,
  withdrawSlot: phase,
  reportSlot: phase,
  invite: phase,
  respond: phase,
  revokeGrant: phase,
  putReceipt: phase,
  putErasure: phase,
  getSlot: SlotState,
  listSlots: z.strictObject({ slots: z.array(z.strictObject({ slot: SlotTag, state: SlotState }).readonly()).readonly(), bookmark: z.string() }).readonly(),
  settle: Statement,
  getStatement: Statement,
  setTimeFloor: done,
  ...moveOutputs,
} as const;

export const conOutputs = {
  found: done,
  /** `version` counts changes of the directory. `standings`: members that are suspended or have left. */
  getMembers: z.strictObject({ version: z.int(), members: z.array(Member).readonly(), standings: Standings }).readonly(),
  updateMember: done,
  propose: ProposalState,
  vote: ProposalState,
  getProposal: ProposalState,
  isAccepted: z.boolean(),
  putCheckpoint: done,
  getCheckpoint: CheckpointState,
  findCheckpoint: CheckpointState,
  setTimeFloor: done,
  ...moveOutputs,
} as const;
