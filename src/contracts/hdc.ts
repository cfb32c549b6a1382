/**
 * A keeper's health data channel. Keys: (`anchor`, record), (`subject`, subject), (`order`, grant), (`access-head`).
 * People act under their pairwise certificates, the keeper by its system; the rules are model/rules/hdc.ts.
 */
import type { ContractStub } from '#ledger/stub.ts';
import type { AccessHeadState, AnchorState, OrderState, SubjectState } from '#model/hdc.ts';
import type { RecordId, SubjectId } from '#model/ids.ts';
import {
  decideAnchor, decideDistinct, decideEach, decideGetOrder, decideGetOwner, decideItem, decideLinkOwner, decideLogAccess, decideOrder, decideOrderErasure,
  decideOwner, decideRecordErasure, decideRelease, decideRevokeRelease, mayRead,
} from '#model/rules/hdc.ts';
import { enforce } from '#model/rules/verdict.ts';
import { moveRuns } from './move.ts';
import { DONE } from './outputs.ts';
import { pageUnder, readState, writeState, type Key } from './state.ts';
import { defineContract } from './table.ts';
import { setTimeFloor } from './time-floor.ts';

const ACCESS_HEAD: Key = ['access-head'];

const anchorOf = (stub: ContractStub, id: RecordId): Promise<AnchorState | undefined> => readState(stub, ['anchor', id]);
const subjectOf = (stub: ContractStub, id: SubjectId): Promise<SubjectState | undefined> => readState(stub, ['subject', id]);
const orderOf = (stub: ContractStub, grant: string): Promise<OrderState | undefined> => readState(stub, ['order', grant]);

/** An order with the subject it is for: whoever owns the subject now owns the order. */
async function ownedOrder(stub: ContractStub, grant: string): Promise<{ readonly existing: OrderState | undefined; readonly subject: SubjectState | undefined }> {
  const existing = await orderOf(stub, grant);
  return { existing, subject: existing === undefined ? undefined : await subjectOf(stub, existing.order.subject) };
}

interface AnchoredItem {
  readonly id: RecordId;
  readonly anchor: AnchorState | undefined;
}

async function itemsOf(stub: ContractStub, ids: readonly RecordId[]): Promise<readonly AnchoredItem[]> {
  return Promise.all(ids.map(async (id) => ({ id, anchor: await anchorOf(stub, id) })));
}

export const hdcContract = defineContract('hdc', {
  async linkOwner({ stub }, { subject, owner, key, linkDigest }) {
    const existing = await subjectOf(stub, subject);
    enforce(decideLinkOwner(existing, { owner }));
    if (existing?.key !== key) await writeState(stub, ['subject', subject], { owner, key, linkDigest });
    return { output: DONE, event: { subject } };
  },

  async anchorRecords({ stub }, { anchors }) {
    enforce(decideDistinct(anchors.map((anchor) => anchor.id), 'anchors'));
    const existing = await itemsOf(stub, anchors.map((anchor) => anchor.id));
    let anchored = 0;
    for (const [at, anchor] of anchors.entries()) {
      const known = existing[at]?.anchor;
      enforce(decideAnchor(known, anchor));
      if (known !== undefined) continue;
      const { id, subject, commitment, signature, class: recordClass } = anchor;
      await writeState(stub, ['anchor', id], { subject, commitment, signature, class: recordClass, erased: 'no' });
      anchored += 1;
    }
    return { output: { anchored, known: anchors.length - anchored }, event: { ids: anchors.map((anchor) => anchor.id) } };
  },

  async getAnchors({ stub, caller }, { ids }) {
    const owners = new Map<SubjectId, Promise<SubjectState | undefined>>();
    const anchors: { id: RecordId; state: AnchorState }[] = [];
    for (const { id, anchor } of await itemsOf(stub, ids)) {
      if (anchor === undefined) continue;
      const subject = owners.get(anchor.subject) ?? subjectOf(stub, anchor.subject);
      owners.set(anchor.subject, subject);
      if (mayRead(caller, await subject)) anchors.push({ id, state: anchor });
    }
    return { output: { anchors } };
  },

  async listAnchors({ stub }, page) {
    const { rows, bookmark } = await pageUnder<AnchorState>(stub, ['anchor'], page);
    return { output: { anchors: rows.map((row) => ({ id: row.attributes[0] as RecordId, state: row.value })), bookmark } };
  },

  async getOwner({ stub, caller }, { subject }) {
    const state = await subjectOf(stub, subject);
    enforce(decideGetOwner(caller, state));
    return { output: state as SubjectState };
  },

  async orderRelease({ stub, caller, now }, order) {
    const subject = await subjectOf(stub, order.subject);
    enforce(decideOrder({ order, person: caller, subject, existing: await orderOf(stub, order.grant), now: await now() }));
    const items = await itemsOf(stub, order.items);
    enforce(decideEach(items, (item) => decideItem({ ...item, subject: order.subject })));
    await writeState(stub, ['order', order.grant], { order, owner: caller.name, state: 'ordered' });
    return { output: DONE, event: { grant: order.grant } };
  },

  async revokeRelease({ stub, caller }, { grant }) {
    const { existing, subject } = await ownedOrder(stub, grant);
    enforce(decideRevokeRelease(caller, existing, subject));
    if (existing !== undefined && existing.state !== 'revoked') await writeState(stub, ['order', grant], { ...existing, state: 'revoked' });
    return { output: DONE, event: { grant } };
  },

  async recordRelease({ stub, now }, { grant, manifestDigest, items, recipientKeyDigest }) {
    const existing = await orderOf(stub, grant);
    const at = await now();
    enforce(decideRelease({ existing, items, recipientKeyDigest, now: at }));
    const { order } = existing as OrderState;
    enforce(decideEach(await itemsOf(stub, items), (item) => decideItem({ ...item, subject: order.subject })));
    await writeState(stub, ['order', grant], { ...(existing as OrderState), state: 'released', release: { manifestDigest, items, at } });
    return { output: DONE, event: { grant } };
  },

  async getOrder({ stub, caller }, { grant }) {
    const { existing, subject } = await ownedOrder(stub, grant);
    enforce(decideGetOrder(caller, existing, subject));
    return { output: existing as OrderState };
  },

  async logAccess({ stub }, commit) {
    const existing = (await readState<AccessHeadState>(stub, ACCESS_HEAD)) ?? null;
    enforce(decideLogAccess(existing, commit));
    const { to, head } = commit;
    if (existing?.to !== to) await writeState(stub, ACCESS_HEAD, { to, head });
    return { output: DONE, event: { to, head } };
  },

  async getAccessHead({ stub }) {
    return { output: (await readState<AccessHeadState>(stub, ACCESS_HEAD)) ?? null };
  },

  async orderErasure({ stub, caller }, { subject, items }) {
    enforce(decideOwner(caller, await subjectOf(stub, subject)));
    enforce(decideDistinct(items, 'items'));
    const anchored = await itemsOf(stub, items);
    enforce(decideEach(anchored, (item) => decideOrderErasure({ ...item, subject })));
    for (const { id, anchor } of anchored) {
      if (anchor?.erased === 'no') await writeState(stub, ['anchor', id], { ...anchor, erased: 'ordered' });
    }
    return { output: DONE, event: { ids: items } };
  },

  async recordErasure({ stub }, { items, receiptDigest }) {
    enforce(decideDistinct(items, 'items'));
    const anchored = await itemsOf(stub, items);
    enforce(decideEach(anchored, (item) => decideRecordErasure({ ...item, receiptDigest })));
    for (const { id, anchor } of anchored) {
      if (anchor?.erased === 'ordered') await writeState(stub, ['anchor', id], { ...anchor, erased: 'done', receiptDigest });
    }
    return { output: DONE, event: { ids: items } };
  },

  setTimeFloor,

  ...moveRuns('hdc'),
});
