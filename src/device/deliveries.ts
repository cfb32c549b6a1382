/** A7: reads a delivery's sealed list and checks every record of it against the keeper's signature and the channel. */
import { equalBytes, fromBase64url, fromUtf8 } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import { openWith } from '#crypto/aead.ts';
import { commit } from '#crypto/commitment.ts';
import { openFrom } from '#crypto/hpke.ts';
import { verifyDer } from '#crypto/keys.ts';
import { readCertificate, verifyChain } from '#crypto/x509.ts';
import type { AnchorState } from '#model/hdc.ts';
import type { DeliveryId, OrgId, RecordId } from '#model/ids.ts';
import { RecordRow } from '#model/messages.ts';
import { anchorStatement, COMMITMENT_DOMAIN, deliveryBinding, rowAad } from '#model/bindings.ts';
import { hdc } from './channels.ts';
import type { Context } from './context.ts';
import { linkHpke, pairwiseSigner } from './links.ts';
import { keeperApi, memberOf } from './organisations.ts';
import { codeOf, passing } from './persistence.ts';
import { eachOf } from './parallel.ts';
import { deliveries, type Delivery, type HeldRecord } from './state.ts';
import { put } from './vault.ts';

const ANCHORS_PAGE = 1_000;

export function deliveryId({ keeper, delivery }: { readonly keeper: OrgId; readonly delivery: DeliveryId }): string {
  return `${keeper}/${delivery}`;
}

/** Reads lists not yet read and looks again for anchors not yet found. Returns the codes of what went wrong, by delivery. */
export async function readDeliveries(context: Context): Promise<readonly { readonly delivery: Delivery; readonly code: string }[]> {
  const open = (await context.vault.all(deliveries)).map(([, delivery]) => delivery).filter(({ list }) => list === undefined || list.records.some(({ seal }) => seal === 'waiting'));
  const codes = await eachOf(open, (delivery) => readDelivery(context, delivery));
  return open.flatMap((delivery, at) => (codes[at] === undefined ? [] : [{ delivery, code: codes[at] }]));
}

async function readDelivery(context: Context, delivery: Delivery): Promise<string | undefined> {
  try {
    const read = delivery.list === undefined ? await readList(context, delivery) : delivery;
    await keep(context, await checkAnchors(context, read));
    return undefined;
  } catch (error) {
    const code = codeOf(error);
    if (!passing(error) && delivery.problem !== code) await keep(context, { ...delivery, problem: code });
    return code;
  }
}

/** Checks every record of every delivery against the channel again. */
export async function recheckAnchors(context: Context): Promise<void> {
  for (const [, delivery] of await context.vault.all(deliveries)) {
    if (delivery.list !== undefined) await keep(context, await checkAnchors(context, delivery));
  }
}

async function keep(context: Context, delivery: Delivery): Promise<void> {
  await context.vault.write(put(deliveries, deliveryId(delivery), delivery));
}

async function readList(context: Context, delivery: Delivery): Promise<Delivery> {
  const { keeper } = delivery;
  const api = await keeperApi(context, keeper, await pairwiseSigner(context, keeper));
  const sealed = await api.deliveryList({ params: { delivery: delivery.delivery } });
  const { rootCertificate } = await memberOf(context, keeper);
  // The signer's certificate may have expired since: its signature is as old as the record.
  if (!(await verifyChain(sealed.certificate, rootCertificate, undefined)) || sealed.subject !== delivery.subject) {
    throw new CodedError('DELIVERY_REFUSED', 'The list of this delivery is not one of its keeper.', { next: 'Ask the keeper; nothing was taken over.', org: keeper });
  }
  const { privateKey } = await linkHpke(context, keeper);
  const key = await openFrom({ privateKey, ...deliveryBinding(keeper, delivery.delivery), envelope: fromBase64url(sealed.deliveryKey) });
  const records: HeldRecord[] = [];
  for (const { id, row, txId, blockNumber } of sealed.rows) {
    const opened = RecordRow.parse(JSON.parse(fromUtf8(await openWith(key, fromBase64url(row), rowAad(id)))));
    records.push({ row: opened, txId, blockNumber, seal: opened.id === id ? 'waiting' : 'mismatch', ...(opened.id === id ? {} : { code: 'ROW_OTHER_RECORD' }) });
  }
  const { problem: _, ...rest } = delivery;
  return { ...rest, count: records.length, createdAt: sealed.createdAt, list: { certificate: sealed.certificate, records, erased: [] } };
}

async function checkAnchors(context: Context, delivery: Delivery): Promise<Delivery> {
  const list = delivery.list;
  if (list === undefined) return delivery;
  const anchors = await readAnchors(context, delivery.keeper, list.records.map(({ row }) => row.id));
  const records = await Promise.all(list.records.map((held) => checkRecord({ delivery, certificate: list.certificate, held, anchor: anchors.get(held.row.id) })));
  return { ...delivery, list: { ...list, records } };
}

/** The anchors that stand on a keeper's channel, by record; missing ones are left out. */
export async function readAnchors(context: Context, keeper: OrgId, ids: readonly RecordId[]): Promise<ReadonlyMap<RecordId, AnchorState>> {
  const channel = hdc(context, keeper, await pairwiseSigner(context, keeper));
  const found = new Map<RecordId, AnchorState>();
  for (let at = 0; at < ids.length; at += ANCHORS_PAGE) {
    const { anchors } = await channel.evaluate('getAnchors', { ids: ids.slice(at, at + ANCHORS_PAGE) });
    for (const { id, state } of anchors) found.set(id, state);
  }
  return found;
}

interface Checked {
  readonly delivery: Delivery;
  readonly certificate: string;
  readonly held: HeldRecord;
  readonly anchor: AnchorState | undefined;
}

async function checkRecord({ delivery, certificate, held, anchor }: Checked): Promise<HeldRecord> {
  const { code: _, ...rest } = held;
  if (anchor === undefined) return { ...rest, seal: 'waiting', code: 'ANCHOR_MISSING' };
  const code = await mismatch({ delivery, certificate, held, anchor });
  return code === undefined ? { ...rest, class: anchor.class, seal: 'sealed' } : { ...rest, class: anchor.class, seal: 'mismatch', code };
}

/** Why a record is not what its anchor says; undefined when it is. */
async function mismatch({ delivery, certificate, held, anchor }: Checked & { readonly anchor: AnchorState }): Promise<string | undefined> {
  const { row } = held;
  if (anchor.subject !== delivery.subject) return 'ANCHOR_OTHER_SUBJECT';
  if (anchor.commitment !== row.commitment || anchor.signature !== row.signature) return 'ANCHOR_OTHER_COMMITMENT';
  const commitment = fromBase64url(row.commitment);
  const metadata = { keeper: delivery.keeper, record: row.id, subject: delivery.subject, resourceType: row.resourceType, class: anchor.class };
  const recomputed = commit({ verificationKey: fromBase64url(row.verificationKey), domain: COMMITMENT_DOMAIN, contentDigest: fromBase64url(row.digest), metadata });
  if (!equalBytes(recomputed, commitment)) return 'COMMITMENT_MISMATCH';
  const statement = anchorStatement({ keeper: delivery.keeper, record: row.id, subject: delivery.subject, commitment });
  if (!(await verifyDer(readCertificate(certificate).spki, statement, fromBase64url(row.signature)))) return 'SIGNATURE_INVALID';
  return undefined;
}
