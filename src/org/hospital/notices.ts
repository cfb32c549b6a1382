/**
 * Telling owners (A6): deliveries of a linked subject get their key sealed to the owner, and once every record of a
 * delivery is anchored a sealed notice goes to the owner's mailbox. What the mailbox did not take is sent again; the
 * notice's id is the delivery's, so a repeated one has no second effect.
 */
import { toBase64url, type Bytes } from '#base/bytes.ts';
import { canonicalBytes } from '#base/canonical-json.ts';
import type { Clock, Fetch, Log, Random, Scheduler } from '#base/ports.ts';
import { createApiClient } from '#api/client.ts';
import { userOrgEndpoints } from '#api/endpoints.ts';
import { sealTo } from '#crypto/hpke.ts';
import type { LedgerSigner } from '#ledger/client.ts';
import { instant, type DeliveryId, type MailboxHandle, type OrgId, type SubjectId } from '#model/ids.ts';
import { MAILBOX_SIZES, type DeliveryNotice } from '#model/messages.ts';
import type { HeldDelivery, RecordStore, StoredOwner } from '#store/ports.ts';
import type { Consortium } from '../consortium.ts';
import { within } from '../patience.ts';
import { signerOf } from '../signing.ts';
import { codeOf } from './background.ts';
import { mailboxBinding } from '#model/bindings.ts';
import type { DeliveryKeys } from './delivery-keys.ts';

const PAGE = 100;
const POST_MS = 10_000;

export interface NoticesDeps {
  readonly keeper: OrgId;
  readonly records: Pick<RecordStore, 'subject' | 'deliveriesToSeal' | 'putOwnerKeys' | 'noticesDue' | 'markNoticed'>;
  readonly deliveryKeys: DeliveryKeys;
  readonly consortium: Pick<Consortium, 'findMember'>;
  readonly signer: LedgerSigner;
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly log: Log;
}

/** One run: seals what waits for an owner, sends what is due. Resolves when every due notice was tried once. */
export async function sendNotices(deps: NoticesDeps, signal: AbortSignal): Promise<void> {
  await sealToOwners(deps, signal);
  let after: string | undefined;
  while (!signal.aborted) {
    const due = await deps.records.noticesDue(PAGE, after);
    if (due.length === 0) return;
    after = due.at(-1)?.id;
    for (const delivery of due) {
      if (signal.aborted) return;
      await post(deps, delivery).catch((error: unknown) => deps.log('warn', 'notice.delayed', { delivery: delivery.id, code: codeOf(error) }));
    }
  }
}

async function sealToOwners({ records, deliveryKeys }: NoticesDeps, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const waiting = await records.deliveriesToSeal(PAGE);
    if (waiting.length === 0) return;
    const keys = new Map<string, Bytes>();
    for (const delivery of waiting) {
      const owner = (await records.subject(delivery.subject))?.owner;
      if (owner !== undefined) keys.set(delivery.id, await deliveryKeys.sealToOwner(delivery.id as DeliveryId, await deliveryKeys.open(delivery), owner.hpkePublicKey));
    }
    await records.putOwnerKeys(keys);
  }
}

/** What a delivery is, in its owner's words. */
export function noticeOf(keeper: OrgId, delivery: HeldDelivery): DeliveryNotice {
  return { kind: 'delivery', keeper, delivery: delivery.id as DeliveryId, subject: delivery.subject as SubjectId, count: delivery.count, createdAt: instant(delivery.createdAt) };
}

async function post(deps: NoticesDeps, delivery: HeldDelivery): Promise<void> {
  const owner = (await deps.records.subject(delivery.subject))?.owner;
  const member = owner === undefined ? undefined : await deps.consortium.findMember(owner.org as OrgId);
  if (owner === undefined || member === undefined) return;
  const sealed = await sealNotice(deps.keeper, delivery, owner);
  const client = createApiClient({ table: userOrgEndpoints, baseUrl: member.url, fetch: deps.fetch, sign: signerOf(deps, deps.signer) });
  await within(deps.scheduler, POST_MS, (signal) => client.post({ params: { handle: owner.mailbox as MailboxHandle }, body: { id: delivery.id, sealed: toBase64url(sealed) }, signal }));
  await deps.records.markNoticed([delivery.id]);
}

function sealNotice(keeper: OrgId, delivery: HeldDelivery, owner: StoredOwner): Promise<Bytes> {
  return sealTo({ recipientPublicKey: owner.hpkePublicKey, ...mailboxBinding(owner.mailbox as MailboxHandle), plaintext: canonicalBytes({ ...noticeOf(keeper, delivery) }), envelopeBytes: MAILBOX_SIZES[0] });
}
