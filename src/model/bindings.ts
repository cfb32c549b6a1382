/** The words that bind every key, seal and signature to its place (docs/protocol.md). One wrong letter and nothing opens. */
import { concat, fromBase64url, lengthPrefixed, utf8, type Bytes } from '#base/bytes.ts';
import type { RecordClass } from './hdc.ts';
import type { DeliveryId, GrantId, MailboxHandle, OrgId, RecordId, SlotTag, SubjectId } from './ids.ts';
import type { Purpose } from './template.ts';

export interface HpkeBinding {
  readonly info: Bytes;
  readonly aad: Bytes;
}

/** Domain of the record commitment. */
export const COMMITMENT_DOMAIN = 'healthkeep/v1/commitment';
/** Domain of the keeper's signature over it. */
export const ANCHOR_DOMAIN = 'healthkeep/v1/anchor';

/** What a commitment says of a record beside its content. */
export interface RecordMetadata {
  readonly keeper: OrgId;
  readonly record: RecordId;
  readonly subject: SubjectId;
  readonly resourceType: string;
  readonly class: RecordClass;
}

/** What the keeper signs of a record. */
export function anchorStatement(statement: { readonly keeper: OrgId; readonly record: RecordId; readonly subject: SubjectId; readonly commitment: Bytes }): Bytes {
  return lengthPrefixed(utf8(ANCHOR_DOMAIN), utf8(statement.keeper), utf8(statement.record), utf8(statement.subject), statement.commitment);
}

/** Context of a record's body (C2SP chunked-encryption). */
export function bodyContext(keeper: OrgId, record: RecordId): Bytes {
  return utf8(`healthkeep/v1/record|${keeper}|${record}`);
}

/** Associated data of dataKey ‖ verificationKey under the delivery key. */
export function recordKeysAad(record: RecordId): Bytes {
  return concat(utf8('healthkeep/v1/record-keys'), utf8(record));
}

/** Associated data of a record's row under the delivery key. */
export function rowAad(record: RecordId): Bytes {
  return concat(utf8('healthkeep/v1/row'), utf8(record));
}

/** The delivery key, keeper to owner and keeper to its own vault. */
export function deliveryBinding(keeper: OrgId, delivery: DeliveryId): HpkeBinding {
  return { info: utf8(`healthkeep/v1/delivery|${keeper}`), aad: utf8(delivery) };
}

/** `MailboxMessage`, to the key the mailbox was given out with. */
export function mailboxBinding(handle: MailboxHandle): HpkeBinding {
  return { info: utf8('healthkeep/v1/mailbox'), aad: fromBase64url(handle) };
}

/** `SlotCapability`, owner to data user. */
export function slotBinding(slot: SlotTag): HpkeBinding {
  return { info: utf8('healthkeep/v1/slot'), aad: fromBase64url(slot) };
}

/** `Invitation`, data user to owner. */
export function invitationBinding(slot: SlotTag): HpkeBinding {
  return { info: utf8('healthkeep/v1/invitation'), aad: fromBase64url(slot) };
}

/** `Answer`, owner to the invitation's one-time key. */
export function answerBinding(slot: SlotTag): HpkeBinding {
  return { info: utf8('healthkeep/v1/answer'), aad: fromBase64url(slot) };
}

/** dataKey ‖ verificationKey of one released record, keeper to the invitation's one-time key. */
export function releaseBinding(release: { readonly grant: GrantId; readonly recipient: OrgId; readonly purpose: Purpose }, record: RecordId): HpkeBinding {
  return { info: utf8(`healthkeep/v1/release|${release.grant}|${release.recipient}|${release.purpose}`), aad: utf8(record) };
}
