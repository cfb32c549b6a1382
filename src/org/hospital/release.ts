/**
 * Release on the owner's order (docs/protocol.md sections 4.5 to 4.7). Every check stands in the protocol's order; nothing
 * is wrapped before all of them passed, and nothing is handed out before the release stands on the channel.
 */
import { fromBase64url, toBase64url, utf8, type Bytes } from '#base/bytes.ts';
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import { CodedError, isCoded } from '#base/errors.ts';
import type { Clock } from '#base/ports.ts';
import type { LeafProof } from '#api/endpoints.ts';
import { sha256 } from '#crypto/digest.ts';
import { sealTo } from '#crypto/hpke.ts';
import { signJson, verifySigned } from '#crypto/signed-json.ts';
import { concat } from '#base/bytes.ts';
import type { LedgerSigner } from '#ledger/client.ts';
import type { OrderState } from '#model/hdc.ts';
import { instant, type Digest, type GrantId, type OrgId } from '#model/ids.ts';
import { Grant, type GrantOpening, type ReleasedItem, type ReleaseManifest, type Signed } from '#model/messages.ts';
import type { AnchorRef, HeldRecord, RecordStore } from '#store/ports.ts';
import { grantDigest, grantedAnswer, provenSlot, type AnswerProofDeps } from './answer-proof.ts';
import { releaseBinding } from '#model/bindings.ts';
import { createTurnstile } from '../turnstile.ts';
import type { HdcChannel } from './channel.ts';
import type { DeliveryKeys } from './delivery-keys.ts';
import { ticketDigest, type GrantRow, type Grants } from './grants.ts';
import { isOwner } from './owners.ts';
import type { People, Person } from './people.ts';
import { openRecordKeys, openRow } from './sealing.ts';

/** Seals at work at once: each costs about a millisecond of the thread pool. */
const SEALS_AT_ONCE = 16;

export interface ReleaseRequest {
  readonly grant: Signed;
  readonly opening: GrantOpening;
  readonly proof: LeafProof;
  readonly ticket: Digest;
}

export interface ReleaseDeps {
  readonly keeper: OrgId;
  readonly records: Pick<RecordStore, 'subject' | 'records' | 'delivery'>;
  readonly deliveryKeys: DeliveryKeys;
  readonly grants: Grants;
  readonly hdc: HdcChannel;
  readonly people: People;
  readonly answerProof: AnswerProofDeps;
  readonly signer: LedgerSigner;
  readonly clock: Clock;
}

export interface Releases {
  /** Throws the codes of the `release` endpoint. The same request again gets the same answer. `about` is told of a grant that is the caller's own. */
  release(request: ReleaseRequest, caller: Person, about?: (grant: Grant) => void): Promise<GrantRow>;
}

export function createReleases(deps: ReleaseDeps): Releases {
  const turns = createTurnstile();
  return {
    async release(request, caller, about = () => undefined) {
      const grant = await signedGrant(deps, request.grant, caller);
      about(grant);
      return turns.run(grant.id, () => releaseOnce(deps, request, grant));
    },
  };
}

/** The grant, signed by its owner, who is the caller and owns the subject here. */
async function signedGrant({ keeper, people, records }: ReleaseDeps, signed: Signed, caller: Person): Promise<Grant> {
  const { value, certificate } = await verifySigned(signed);
  const parsed = Grant.safeParse(value);
  if (!parsed.success) throw new CodedError('SIGNATURE_INVALID', 'What was signed is not a grant.');
  const grant = parsed.data;
  const person = await people.person(certificate);
  const owner = (await records.subject(grant.subject))?.owner;
  const owns = grant.owner === person.name && isOwner(owner, person) && isOwner(owner, caller);
  if (!owns) throw new CodedError('NOT_OWNER', 'The subject is not the caller\'s.');
  if (grant.keeper !== keeper) throw new CodedError('GRANT_NOT_PROVEN', 'The grant is for another keeper.');
  return grant;
}

async function releaseOnce(deps: ReleaseDeps, request: ReleaseRequest, grant: Grant): Promise<GrantRow> {
  const requestDigest = digestOf({ grant: request.grant.payload, opening: request.opening, ticket: request.ticket });
  const known = await deps.grants.get(grant.id);
  if (known !== undefined) {
    if (known.request !== requestDigest) throw new CodedError('GRANT_REPLAYED', 'The grant was used already.', { grant: grant.id });
    if (known.state === 'revoked') throw revoked(grant.id);
    if (known.state === 'released') return known;
  }
  if (grant.until <= instant(deps.clock.now())) throw new CodedError('GRANT_EXPIRED', 'The grant has expired.', { grant: grant.id });
  if (await deps.grants.isRevoked(grant.id)) throw revoked(grant.id);
  const digest = grantDigest(grant, request.grant.payload);
  const order = await orderOf(deps, grant.id);
  checkOrder(order, grant, digest);
  if (order.state === 'released' && order.release?.manifestDigest !== known?.manifestDigest) throw new CodedError('GRANT_REPLAYED', 'The grant was used already.', { grant: grant.id });
  checkKey(grant);
  grantedAnswer({ slot: await provenSlot(request.proof, grant.slot, deps.answerProof), grant, opening: request.opening, digest });
  const row = known ?? (await prepare(deps, { grant, requestDigest, ticket: request.ticket }));
  if (order.state !== 'released') await record(deps, row, grant);
  const released: GrantRow = { ...row, state: 'released' };
  await deps.grants.put(released);
  return released;
}

async function orderOf({ hdc }: ReleaseDeps, grant: GrantId): Promise<OrderState> {
  try {
    return await hdc.evaluate('getOrder', { grant });
  } catch (error) {
    if (isCoded(error, 'GRANT_UNKNOWN')) throw new CodedError('GRANT_NOT_PROVEN', 'The owner\'s order does not stand on the channel.', { grant });
    throw error;
  }
}

/** The order on the channel and the signed grant must be the same in everything the channel knows. */
function checkOrder({ order, owner, state }: OrderState, grant: Grant, digest: Digest): void {
  if (state === 'revoked') throw revoked(grant.id);
  if (owner !== grant.owner || order.subject !== grant.subject) throw new CodedError('NOT_OWNER', 'The order is another owner\'s.', { grant: grant.id });
  if (order.recipientKeyDigest !== grant.recipientKeyDigest) throw new CodedError('GRANT_OTHER_KEY', 'The grant names another key than the order.', { grant: grant.id });
  const ordered = new Set(order.items);
  const wider = grant.items.some((item) => !ordered.has(item)) || grant.until > order.until || grant.eraseAt > order.eraseAt;
  if (wider) throw new CodedError('GRANT_WIDER', 'The grant is wider than the order.', { grant: grant.id });
  const same = order.grantDigest === digest && order.recipient === grant.recipient && order.purpose === grant.purpose && order.slot === grant.slot;
  if (!same) throw new CodedError('GRANT_NOT_PROVEN', 'The order on the channel is not this grant.', { grant: grant.id });
}

function checkKey(grant: Grant): void {
  if (toBase64url(sha256(fromBase64url(grant.recipientPublicKey))) !== grant.recipientKeyDigest) throw new CodedError('GRANT_OTHER_KEY', 'The recipient\'s key is not the one of its digest.', { grant: grant.id });
}

async function prepare(deps: ReleaseDeps, { grant, requestDigest, ticket }: { readonly grant: Grant; readonly requestDigest: Digest; readonly ticket: Digest }): Promise<GrantRow> {
  const held = await grantedRecords(deps, grant);
  const items: ReleasedItem[] = [];
  for (let at = 0; at < held.length; at += SEALS_AT_ONCE) items.push(...(await Promise.all(held.slice(at, at + SEALS_AT_ONCE).map((record) => wrap(deps, grant, record)))));
  const manifest: ReleaseManifest = {
    kind: 'manifest',
    grant: grant.id,
    slot: grant.slot,
    keeper: deps.keeper,
    recipient: grant.recipient,
    recipientKeyDigest: grant.recipientKeyDigest,
    purpose: grant.purpose,
    subject: grant.subject,
    releasedAt: instant(deps.clock.now()),
    eraseAt: grant.eraseAt,
    items,
  };
  const signed = (await signJson(manifest as Json, deps.signer)) as Signed;
  const row: GrantRow = {
    grant: grant.id,
    owner: grant.owner,
    subject: grant.subject,
    recipient: grant.recipient,
    purpose: grant.purpose,
    until: grant.until,
    request: requestDigest,
    ticket: ticketDigest(ticket),
    items: items.map(({ id, cipherBytes, blockNumber }) => ({ id, cipherBytes, blockNumber })),
    manifest: signed,
    manifestDigest: toBase64url(sha256(utf8(signed.payload))) as Digest,
    state: 'prepared',
  };
  await deps.grants.put(row);
  return row;
}

/** The granted records, each anchored, this subject's, not erased. */
async function grantedRecords({ records }: ReleaseDeps, grant: Grant): Promise<readonly (HeldRecord & { readonly anchor: AnchorRef })[]> {
  if (new Set(grant.items).size !== grant.items.length) throw new CodedError('GRANT_WIDER', 'The grant names a record twice.', { grant: grant.id });
  const held = await records.records(grant.items);
  return grant.items.map((id) => {
    const record = held.get(id);
    if (record === undefined || record.subject !== grant.subject) throw new CodedError('GRANT_WIDER', 'The grant names a record that is not the subject\'s.', { grant: grant.id, record: id });
    if (record.state === 'erased') throw new CodedError('RECORD_ERASED', 'The record was erased.', { record: id });
    if (record.state !== 'anchored' || record.anchor === undefined) throw new CodedError('RECORD_NOT_ANCHORED', 'The record is not anchored yet.', { record: id });
    return { ...record, anchor: record.anchor };
  });
}

/** The record's keys, re-wrapped to the recipient's one-time key and bound to grant, recipient and purpose. */
async function wrap({ records, deliveryKeys }: ReleaseDeps, grant: Grant, record: HeldRecord & { readonly anchor: AnchorRef }): Promise<ReleasedItem> {
  const delivery = await records.delivery(record.delivery);
  if (delivery === undefined) throw new CodedError('RECORD_ERASED', 'The record\'s delivery is gone.', { record: record.id });
  const key = await deliveryKeys.open(delivery);
  const [keys, row] = await Promise.all([openRecordKeys(record, key), openRow(record, key)]);
  const plaintext: Bytes = concat(keys.dataKey, keys.verificationKey);
  return {
    id: row.id,
    resourceType: row.resourceType,
    cipherBytes: row.cipherBytes,
    plainBytes: row.plainBytes,
    wrappedKeys: toBase64url(await sealTo({ recipientPublicKey: fromBase64url(grant.recipientPublicKey), ...releaseBinding({ grant: grant.id, recipient: grant.recipient, purpose: grant.purpose }, row.id), plaintext })),
    commitment: row.commitment,
    signature: row.signature,
    txId: record.anchor.txId,
    blockNumber: record.anchor.blockNumber,
  };
}

/** One release per grant: the channel decides, and says so to the owner. */
async function record({ hdc }: ReleaseDeps, row: GrantRow, grant: Grant): Promise<void> {
  await hdc.submit('recordRelease', { grant: row.grant, manifestDigest: row.manifestDigest, items: row.items.map(({ id }) => id), recipientKeyDigest: grant.recipientKeyDigest });
}

function digestOf(value: { readonly grant: string; readonly opening: GrantOpening; readonly ticket: Digest }): Digest {
  return toBase64url(sha256(canonicalBytes({ ...value, opening: { ...value.opening } }))) as Digest;
}

function revoked(grant: GrantId): CodedError {
  return new CodedError('GRANT_REVOKED', 'The owner revoked this grant.', { grant });
}
