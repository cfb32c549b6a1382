/**
 * The data request channel. Keys: (`template`, id, version), (`slot`, tag), (`slot-writer`, certificate), (`duo-slot`, duo, tag),
 * (`unsettled`, duo, currency, tag), (`settled`, tag), (`statement`, duo, number), (`statement-head`, duo).
 * The rules are model/rules/drc.ts and settlement.ts.
 */
import type { Json } from '#base/canonical-json.ts';
import type { ContractStub } from '#ledger/stub.ts';
import type { SlotPhase, SlotState, TemplateState } from '#model/drc.ts';
import type { SlotTag } from '#model/ids.ts';
import { CON, contractOf } from '#model/orgs.ts';
import {
  decideErasure, decideGetSlot, decideInvite, decideOpenSlot, decidePublish, decideReceipt, decideReport, decideRespond, decideRevokeGrant, decideWithdraw, phaseAfter,
} from '#model/rules/drc.ts';
import { codedRefusal, enforce, refuse } from '#model/rules/verdict.ts';
import type { RequestTemplate, TemplateRef } from '#model/template.ts';
import { canonicalDigest } from './digest.ts';
import { getStatement, settle } from './settle.ts';
import { moveRuns } from './move.ts';
import { orderedNumber, pageUnder, readState, rowsUnder, writeState, type Key } from './state.ts';
import { defineContract, evaluateElsewhere } from './table.ts';
import { setTimeFloor } from './time-floor.ts';

const templateKey = (id: string, version: number): Key => ['template', id, orderedNumber(version)];
const templateOf = (stub: ContractStub, ref: Pick<TemplateRef, 'id' | 'version'>): Promise<TemplateState | undefined> => readState(stub, templateKey(ref.id, ref.version));
const writeSlot = (stub: ContractStub, tag: SlotTag, slot: SlotState): Promise<void> => writeState(stub, ['slot', tag], slot as unknown as Json);

/** The slot as its parties read it: the statement that settled its receipt is kept beside it, so that settling need not rewrite it. */
async function slotOf(stub: ContractStub, tag: SlotTag): Promise<SlotState | undefined> {
  const slot = await readState<SlotState>(stub, ['slot', tag]);
  if (slot?.receipt === undefined) return slot;
  const settled = await readState<{ readonly statement: number }>(stub, ['settled', tag]);
  return settled === undefined ? slot : { ...slot, receipt: { ...slot.receipt, statement: settled.statement } };
}

const storedSlot = (stub: ContractStub, tag: SlotTag): Promise<SlotState | undefined> => readState(stub, ['slot', tag]);

/** What every transaction on a slot answers and says. */
function slotOutcome(slot: SlotTag, phase: SlotPhase): { readonly output: { readonly phase: SlotPhase }; readonly event: Json } {
  return { output: { phase }, event: { slot } };
}

async function acceptedOnCon(stub: ContractStub, template: RequestTemplate): Promise<boolean> {
  const digest = await canonicalDigest(template as unknown as Json);
  return (await evaluateElsewhere(stub, { contract: contractOf(CON), channel: CON, name: 'isAccepted', input: { kind: 'template', digest } })) === true;
}

export const drcContract = defineContract('drc', {
  async publishTemplate({ stub, caller, now }, { template }) {
    const existing = await templateOf(stub, template);
    const previous = template.version === 1 ? undefined : await templateOf(stub, { id: template.id, version: template.version - 1 });
    const accepted = await acceptedOnCon(stub, template);
    enforce(decidePublish({ template, caller, existing, previous, accepted }));
    const state: TemplateState = { template, digest: await canonicalDigest(template as unknown as Json), publishedAt: await now() };
    await writeState(stub, templateKey(template.id, template.version), state as unknown as Json);
    return { output: state, event: { id: template.id, version: template.version, digest: state.digest } };
  },

  async getTemplate({ stub }, ref) {
    const output = await templateOf(stub, ref);
    if (output === undefined) throw codedRefusal(refuse('TEMPLATE_UNKNOWN'));
    return { output };
  },

  async listTemplates({ stub }) {
    const templates: TemplateState[] = [];
    for await (const row of rowsUnder<TemplateState>(stub, ['template'])) templates.push(row.value);
    return { output: { templates } };
  },

  async openSlot({ stub, caller, now }, input) {
    const { slot, duo, templates, notBefore, until, sealed } = input;
    const tagTaken = (await storedSlot(stub, slot)) !== undefined;
    const certificateUsed = (await readState(stub, ['slot-writer', caller.id])) !== undefined;
    const published = await Promise.all(templates.map((ref) => templateOf(stub, ref)));
    enforce(decideOpenSlot({ slot: input, tagTaken, certificateUsed, templates: published, now: await now() }));
    await writeSlot(stub, slot, { owner: caller.id, duo, templates, notBefore, until, sealed, phase: 'open', reports: [] });
    await writeState(stub, ['slot-writer', caller.id], {});
    await writeState(stub, ['duo-slot', duo, slot], {});
    return slotOutcome(slot, 'open');
  },

  async withdrawSlot({ stub, caller }, { slot: tag }) {
    const slot = await storedSlot(stub, tag);
    enforce(decideWithdraw(caller, slot));
    if (slot !== undefined && slot.phase !== 'withdrawn') await writeSlot(stub, tag, { ...slot, phase: 'withdrawn' });
    return slotOutcome(tag, 'withdrawn');
  },

  async reportSlot({ stub, caller }, { slot: tag, reason }) {
    const slot = (await storedSlot(stub, tag)) as SlotState;
    enforce(decideReport(caller, slot));
    if (!slot.reports.includes(reason)) await writeSlot(stub, tag, { ...slot, reports: [...slot.reports, reason] });
    return slotOutcome(tag, slot.phase);
  },

  async invite({ stub, caller, now }, input) {
    const slot = (await storedSlot(stub, input.slot)) as SlotState;
    const at = await now();
    enforce(decideInvite({ caller, slot, input, template: await templateOf(stub, input.template), now: at }));
    const { template, sealed, answerBy } = input;
    await writeSlot(stub, input.slot, { ...slot, phase: 'invited', invitation: { template, sealed, answerBy, at } });
    return slotOutcome(input.slot, 'invited');
  },

  async respond({ stub, caller, now }, input) {
    const slot = (await storedSlot(stub, input.slot)) as SlotState;
    const at = await now();
    enforce(decideRespond({ caller, slot, input, now: at }));
    const { slot: tag, ...answer } = input;
    const phase = phaseAfter(input.decision);
    await writeSlot(stub, tag, { ...slot, phase, answer: { ...answer, at } });
    return slotOutcome(tag, phase);
  },

  async revokeGrant({ stub, caller, now }, { slot: tag }) {
    const slot = (await storedSlot(stub, tag)) as SlotState;
    enforce(decideRevokeGrant(caller, slot));
    if (slot.phase !== 'revoked') await writeSlot(stub, tag, { ...slot, phase: 'revoked', revokedAt: await now() });
    return slotOutcome(tag, 'revoked');
  },

  async putReceipt({ stub, caller, now }, input) {
    const slot = (await storedSlot(stub, input.slot)) as SlotState;
    const ref = slot?.invitation?.template;
    const template = ref === undefined ? undefined : (await templateOf(stub, ref))?.template;
    enforce(decideReceipt({ caller, slot, input, template }));
    const { slot: tag, ...receipt } = input;
    await writeSlot(stub, tag, { ...slot, receipt: { ...receipt, at: await now() } });
    const { currency } = (template as RequestTemplate).price;
    await writeState(stub, ['unsettled', slot.duo, currency, tag], { template: ref as TemplateRef, verified: input.verified, keepers: input.keepers });
    return slotOutcome(tag, slot.phase);
  },

  async putErasure({ stub, caller, now }, input) {
    const slot = (await storedSlot(stub, input.slot)) as SlotState;
    const at = await now();
    enforce(decideErasure({ caller, slot, input, now: at }));
    await writeSlot(stub, input.slot, { ...slot, erasure: { reason: input.reason, receiptDigest: input.receiptDigest, at } });
    return slotOutcome(input.slot, slot.phase);
  },

  async getSlot({ stub, caller }, { slot: tag }) {
    const slot = await slotOf(stub, tag);
    enforce(decideGetSlot(caller, slot));
    return { output: slot as SlotState };
  },

  async listSlots({ stub, caller }, page) {
    const { rows, bookmark } = await pageUnder(stub, ['duo-slot', caller.org], page);
    const tags = rows.map((row) => row.attributes[1] as SlotTag);
    const slots = await Promise.all(tags.map(async (slot) => ({ slot, state: (await slotOf(stub, slot)) as SlotState })));
    return { output: { slots, bookmark } };
  },

  settle,
  getStatement,
  setTimeFloor,

  ...moveRuns('drc'),
});
