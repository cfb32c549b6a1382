/** Erasure at the keeper: ordered on its channel, carried out by it, proven by its signed receipt; the device forgets the keys as well. */
import { CodedError } from '#base/errors.ts';
import { verifySigned } from '#crypto/signed-json.ts';
import { verifyChain } from '#crypto/x509.ts';
import { instant, type OrgId, type RecordId, type SubjectId } from '#model/ids.ts';
import { hdc } from './channels.ts';
import { notKnown, type Context } from './context.ts';
import { deliveryId } from './deliveries.ts';
import { randomId } from './keys.ts';
import { pairwiseSigner } from './links.ts';
import { keeperApi, memberOf } from './organisations.ts';
import { codeOf, passing } from './persistence.ts';
import { placedRecords, type Placed } from './records.ts';
import { COPIES, deliveries, erasures, type Erasure } from './state.ts';
import { put, remove, type Change } from './vault.ts';

const BATCH = 1_000;

/** Stores the wish, then has the keepers erase. Throws DEVICE_UNKNOWN_ID for a record this device does not hold. */
export async function erase(context: Context, ids: readonly RecordId[]): Promise<void> {
  const byId = new Map((await placedRecords(context)).map((placed) => [placed.held.row.id, placed]));
  const placed = [...new Set(ids)].map((id): Placed => {
    const found = byId.get(id);
    if (found === undefined) throw notKnown('record', id);
    return found;
  });
  const groups = Map.groupBy(placed, ({ keeper, subject }) => `${keeper}\n${subject}`);
  const wanted: Change[] = [];
  for (const group of groups.values()) {
    const { keeper, subject } = group[0] as { keeper: OrgId; subject: SubjectId };
    const items = group.map(({ held }) => held.row.id).sort();
    for (let at = 0; at < items.length; at += BATCH) {
      wanted.push(put(erasures, randomId(context.random, 16), { keeper, subject, items: items.slice(at, at + BATCH), wantedAt: instant(context.clock.now()), ordered: false }));
    }
  }
  await context.vault.write(...wanted);
  await finishErasures(context);
}

/** Carries out stored wishes. Returns the codes of what did not go now. */
export async function finishErasures(context: Context): Promise<readonly string[]> {
  const codes: string[] = [];
  for (const [id, erasure] of await context.vault.all(erasures)) {
    if (erasure.receipt !== undefined || erasure.code !== undefined) continue;
    try {
      await finishErasure(context, id, erasure);
    } catch (error) {
      codes.push(codeOf(error));
      if (!passing(error)) await context.vault.write(put(erasures, id, { ...erasure, code: codeOf(error) }));
    }
  }
  return codes;
}

async function finishErasure(context: Context, id: string, erasure: Erasure): Promise<void> {
  const { keeper, subject, items } = erasure;
  const signer = await pairwiseSigner(context, keeper);
  const channel = hdc(context, keeper, signer);
  if (!erasure.ordered) {
    // What the keeper has erased already, before a stop, needs no order any more; ordering twice changes nothing.
    const { anchors } = await channel.evaluate('getAnchors', { ids: items });
    const open = anchors.filter(({ state }) => state.erased === 'no').map((anchor) => anchor.id);
    if (open.length > 0) await channel.submit('orderErasure', { subject, items: open });
    await context.vault.write(put(erasures, id, { ...erasure, ordered: true }));
  }
  const api = await keeperApi(context, keeper, signer);
  const { receipt } = await api.erase({ body: { items: [...items] } });
  const { certificate } = await verifySigned(receipt);
  const { rootCertificate } = await memberOf(context, keeper);
  if (!(await verifyChain(certificate, rootCertificate, context.clock.now()))) throw new CodedError('RECEIPT_REFUSED', 'The erasure receipt is not signed by its keeper.', { next: 'Ask the keeper.', org: keeper });
  await context.vault.write(put(erasures, id, { ...erasure, ordered: true, receipt }), ...(await forget(context, keeper, items)));
}

/** The device's own keys, digests and copies of the records go with the keeper's. */
async function forget(context: Context, keeper: OrgId, items: readonly RecordId[]): Promise<readonly Change[]> {
  const gone = new Set(items);
  const changes: Change[] = items.map((id) => remove({ name: COPIES }, id));
  const erasedAt = instant(context.clock.now());
  for (const [, delivery] of await context.vault.all(deliveries)) {
    const { list } = delivery;
    if (delivery.keeper !== keeper || list === undefined || !list.records.some(({ row }) => gone.has(row.id))) continue;
    const erased = list.records.filter(({ row }) => gone.has(row.id)).map(({ row }) => ({ id: row.id, resourceType: row.resourceType, erasedAt }));
    const records = list.records.filter(({ row }) => !gone.has(row.id));
    changes.push(put(deliveries, deliveryId(delivery), { ...delivery, list: { ...list, records, erased: [...list.erased, ...erased] } }));
  }
  return changes;
}
