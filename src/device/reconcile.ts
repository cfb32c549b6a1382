/** Features 4.7: the keeper's deliveries, the own index on UIC and the anchors on the keeper's channel, held against each other in both directions. */
import type { DeliveryId, OrgId, RecordId } from '#model/ids.ts';
import type { Context } from './context.ts';
import { deliveryId, readDeliveries, recheckAnchors } from './deliveries.ts';
import { pendingEntries, queueEntries, readIndex } from './index.ts';
import { pairwiseSigner } from './links.ts';
import { newDelivery } from './mailboxes.ts';
import { keeperApi } from './organisations.ts';
import { codeOf } from './persistence.ts';
import { deliveries, links, type Delivery } from './state.ts';
import { put } from './vault.ts';

/**
 * `not-noticed`: the keeper has a delivery of which no notice came (taken over now). `not-indexed`: no entry on UIC
 * (queued now). `vanished-delivery`: indexed, but its keeper lists it no more. `vanished-record`: held here, but its
 * anchor is not on the channel. `mismatch`: anchor and list disagree. `unreachable`: the keeper could not be asked.
 */
export interface Finding {
  readonly kind: 'not-noticed' | 'not-indexed' | 'vanished-delivery' | 'vanished-record' | 'mismatch' | 'unreachable';
  readonly keeper: OrgId;
  readonly delivery?: DeliveryId;
  readonly record?: RecordId;
  readonly code?: string;
}

/** Compares, repairs what this device can repair, and names the rest. */
export async function reconcile(context: Context): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const indexed = new Set((await readIndex(context)).flatMap(({ entry }) => (entry.kind === 'delivery' ? [deliveryId(entry)] : [])));
  for (const [, { keeper, identity }] of await context.vault.all(links)) {
    if (identity.certificate === undefined) continue;
    try {
      findings.push(...(await reconcileKeeper(context, keeper, indexed)));
    } catch (error) {
      findings.push({ kind: 'unreachable', keeper, code: codeOf(error) });
    }
  }
  await readDeliveries(context);
  await recheckAnchors(context).catch(() => undefined);
  findings.push(...(await recordFindings(context)), ...(await indexFindings(context, indexed)));
  await queueEntries(context);
  return findings;
}

async function reconcileKeeper(context: Context, keeper: OrgId, indexed: ReadonlySet<string>): Promise<readonly Finding[]> {
  const api = await keeperApi(context, keeper, await pairwiseSigner(context, keeper));
  const listed = (await api.deliveries({ query: {} })).deliveries;
  const findings: Finding[] = [];
  for (const notice of listed) {
    if (notice.keeper !== keeper || (await context.vault.get(deliveries, deliveryId(notice))) !== undefined) continue;
    await context.vault.write(put(deliveries, deliveryId(notice), newDelivery(notice)));
    findings.push({ kind: 'not-noticed', keeper, delivery: notice.delivery });
  }
  const present = new Set(listed.map(deliveryId));
  const known = new Set([...indexed, ...(await context.vault.all(deliveries)).map(([id]) => id)]);
  for (const id of [...known].sort()) {
    const [of, delivery] = id.split('/') as [OrgId, DeliveryId];
    if (of === keeper && !present.has(id)) findings.push({ kind: 'vanished-delivery', keeper, delivery });
  }
  return findings;
}

async function recordFindings(context: Context): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const [, delivery] of await context.vault.all(deliveries)) {
    for (const { row, seal, code } of delivery.list?.records ?? []) {
      if (seal === 'sealed') continue;
      findings.push({ kind: seal === 'mismatch' ? 'mismatch' : 'vanished-record', keeper: delivery.keeper, delivery: delivery.delivery, record: row.id, ...(code === undefined ? {} : { code }) });
    }
  }
  return findings;
}

/** Deliveries marked as indexed whose entry is neither on UIC nor on its way are queued again. */
async function indexFindings(context: Context, indexed: ReadonlySet<string>): Promise<readonly Finding[]> {
  const underWay = new Set((await pendingEntries(context)).map(({ of }) => of));
  const missing = (await context.vault.all(deliveries)).filter(([id, delivery]) => delivery.list !== undefined && !indexed.has(id) && !underWay.has(id));
  const again = missing.filter(([, delivery]) => delivery.indexed);
  if (again.length > 0) await context.vault.write(...again.map(([id, delivery]: readonly [string, Delivery]) => put(deliveries, id, { ...delivery, indexed: false })));
  return missing.map(([, { keeper, delivery }]) => ({ kind: 'not-indexed', keeper, delivery }));
}

