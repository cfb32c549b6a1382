/** The owner's records: what is held, whether it is sealed, and the received bytes themselves. */
import { equalBytes, fromBase64url, type Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import { decryptBody } from '#crypto/cobblestone.ts';
import { sha256 } from '#crypto/digest.ts';
import type { RecordClass } from '#model/hdc.ts';
import type { DeliveryId, OrgId, RecordId, SubjectId } from '#model/ids.ts';
import { bodyContext } from '#model/bindings.ts';
import { notKnown, type Context } from './context.ts';
import { pairwiseSigner } from './links.ts';
import { keeperApi } from './organisations.ts';
import { COPIES, deliveries, type HeldRecord, type Seal } from './state.ts';
import { putBytes } from './vault.ts';

/** One record in the owner's list. */
export interface RecordView {
  readonly id: RecordId;
  readonly keeper: OrgId;
  readonly delivery: DeliveryId;
  readonly subject: SubjectId;
  readonly resourceType: string;
  readonly class?: RecordClass;
  readonly codes: readonly string[];
  readonly date?: string;
  readonly fullUrl?: string;
  readonly replaces?: RecordId;
  readonly plainBytes: number;
  readonly digest: string;
  /** `sealed`: file, signature and channel agree. `waiting`: not on the channel yet. `mismatch`: they disagree, see `code`. */
  readonly seal: Seal;
  readonly code?: string;
}

/** A record with where it comes from. */
export interface Placed {
  readonly keeper: OrgId;
  readonly delivery: DeliveryId;
  readonly subject: SubjectId;
  readonly certificate: string;
  readonly held: HeldRecord;
}

/** Every record of every delivery read so far. */
export async function placedRecords(context: Context): Promise<readonly Placed[]> {
  return (await context.vault.all(deliveries)).flatMap(([, { keeper, delivery, subject, list }]) => (list?.records ?? []).map((held) => ({ keeper, delivery, subject, certificate: list?.certificate ?? '', held })));
}

/** Only what is sealed may leave, so only this is matched against templates. */
export async function sealedRecords(context: Context): Promise<readonly Placed[]> {
  return (await placedRecords(context)).filter(({ held }) => held.seal === 'sealed');
}

/** The owner's list, newest first, undated last. */
export async function recordViews(context: Context): Promise<readonly RecordView[]> {
  const views = (await placedRecords(context)).map(({ keeper, delivery, subject, held }): RecordView => {
    const { row, seal, code } = held;
    return {
      id: row.id, keeper, delivery, subject, resourceType: row.resourceType, codes: row.codes, plainBytes: row.plainBytes, digest: row.digest, seal,
      ...(held.class === undefined ? {} : { class: held.class }),
      ...(row.date === undefined ? {} : { date: row.date }),
      ...(row.fullUrl === undefined ? {} : { fullUrl: row.fullUrl }),
      ...(row.replaces === undefined ? {} : { replaces: row.replaces }),
      ...(code === undefined ? {} : { code }),
    };
  });
  return views.sort((left, right) => compare(right.date ?? '', left.date ?? '') || compare(left.id, right.id));
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** A record by id. Throws DEVICE_UNKNOWN_ID. */
export async function placedRecord(context: Context, id: RecordId): Promise<Placed> {
  const found = (await placedRecords(context)).find(({ held }) => held.row.id === id);
  if (found === undefined) throw notKnown('record', id);
  return found;
}

/** The received bytes of a record, from the own copy or from its keeper. Throws RECORD_ALTERED when they are not what was committed to. */
export async function recordBytes(context: Context, placed: Placed): Promise<Bytes> {
  const { row } = placed.held;
  const copy = await context.vault.bytes(COPIES, row.id);
  if (copy !== undefined) return copy;
  const api = await keeperApi(context, placed.keeper, await pairwiseSigner(context, placed.keeper));
  const response = await api.record({ params: { record: row.id } });
  const ciphertext = new Uint8Array(await response.arrayBuffer());
  const plaintext = await decryptBody({ key: fromBase64url(row.dataKey), context: bodyContext(placed.keeper, row.id), ciphertext });
  if (!equalBytes(sha256(plaintext), fromBase64url(row.digest))) {
    throw new CodedError('RECORD_ALTERED', 'The record is not the one its keeper committed to.', { next: 'Ask the keeper; do not rely on this record.', record: row.id, org: placed.keeper });
  }
  await context.vault.write(putBytes(COPIES, row.id, plaintext));
  return plaintext;
}
