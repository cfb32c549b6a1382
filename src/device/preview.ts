/** C1 and C2: what would leave, to the byte, before anything is decided. Resolved and opened on the device alone. */
import { fromBase64url, lengthPrefixed, toBase64url, utf8, type Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import { sha256 } from '#crypto/digest.ts';
import { Digest, type OrgId, type RecordId, type SlotTag } from '#model/ids.ts';
import type { Decision } from '#model/messages.ts';
import { resolveTemplate } from '#model/rules/template.ts';
import type { Context } from './context.ts';
import { eachOf } from './parallel.ts';
import { slotOf } from './permits.ts';
import { recordBytes, sealedRecords, type Placed } from './records.ts';
import { cardWords, requestState, type CardWords } from './requests.ts';
import type { Request, Slot } from './state.ts';

export interface Choice {
  readonly decision: Decision;
  /** For `narrower`: which of the records asked for. */
  readonly items?: readonly RecordId[];
}

export interface PreviewItem {
  readonly id: RecordId;
  readonly keeper: OrgId;
  readonly resourceType: string;
  readonly codes: readonly string[];
  readonly date?: string;
  /** Exactly the bytes that the recipient will hold. */
  readonly bytes: Bytes;
}

export interface Preview {
  readonly slot: SlotTag;
  readonly decision: Decision;
  readonly words: CardWords;
  /** By record id. Empty when the decision is no. */
  readonly items: readonly PreviewItem[];
  readonly totalBytes: number;
  /** `contentsDigest` of the items: compare with what the recipient received. */
  readonly digest: Digest;
}

export interface AnswerableRequest extends Request {
  readonly invitation: NonNullable<Request['invitation']>;
}

/** Everything a choice sends, without sending it. Throws REQUEST_NOT_WAITING, REQUEST_NOT_VALID, CHOICE_WIDER, CHOICE_EMPTY, RECORD_ALTERED. */
export async function preview(context: Context, tag: SlotTag, choice: Choice): Promise<Preview> {
  const slot = await slotOf(context, tag);
  const request = answerable(slot, context.clock.now());
  const chosen = await choose(context, request, choice);
  const items = await openAll(context, chosen);
  return { slot: tag, decision: choice.decision, words: cardWords(request), items, totalBytes: items.reduce((sum, { bytes }) => sum + bytes.length, 0), digest: contentsDigest(items) };
}

/** SHA-256 over (record id, SHA-256 of its bytes) by record id: equal exactly when the same records arrive with the same bytes. */
export function contentsDigest(items: readonly { readonly id: RecordId; readonly bytes: Uint8Array }[]): Digest {
  return digestOfDigests(items.map(({ id, bytes }) => ({ id, digest: sha256(bytes) })));
}

/** The same from the digests that the records' commitments hold: needs no bytes, so that one can decide while a keeper is away. */
export function committedDigest(chosen: readonly Placed[]): Digest {
  return digestOfDigests(chosen.map(({ held }) => ({ id: held.row.id, digest: fromBase64url(held.row.digest) })));
}

function digestOfDigests(items: readonly { readonly id: RecordId; readonly digest: Bytes }[]): Digest {
  const parts = [...items].sort((left, right) => (left.id < right.id ? -1 : 1)).flatMap(({ id, digest }) => [utf8(id), digest]);
  return Digest.parse(toBase64url(sha256(lengthPrefixed(...parts))));
}

/** The request of a slot, if it can be answered now. */
export function answerable(slot: Slot, nowMs: number): AnswerableRequest {
  const state = requestState(slot, nowMs);
  if (state !== 'waiting') throw new CodedError('REQUEST_NOT_WAITING', 'This request does not wait for an answer.', { why: `Its state is "${state}".`, next: 'List the requests to see what can be done.', state });
  const { request } = slot;
  if (request?.invitation === undefined || request.problem !== undefined) {
    throw new CodedError('REQUEST_NOT_VALID', 'This request cannot be answered.', { why: `It was refused by this device: ${request?.problem ?? 'INVITATION_UNREADABLE'}.`, next: 'Report it, or let it pass.', problem: request?.problem });
  }
  return { ...request, invitation: request.invitation };
}

/** The records of a choice, by record id. A choice may only make the request smaller. */
export async function choose(context: Context, request: AnswerableRequest, { decision, items }: Choice): Promise<readonly Placed[]> {
  if (decision === 'no') return [];
  const records = await sealedRecords(context);
  const asked = resolveTemplate(request.template, records.map(({ held }) => held.row));
  const byId = new Map(records.map((placed) => [placed.held.row.id, placed]));
  const wanted = decision === 'all' ? asked : [...new Set(items ?? [])].sort();
  const wider = wanted.filter((id) => !asked.includes(id));
  if (wider.length > 0) throw new CodedError('CHOICE_WIDER', 'The choice contains records that were not asked for.', { next: 'Choose among the records of the preview.', records: wider });
  if (wanted.length === 0) throw new CodedError('CHOICE_EMPTY', 'Nothing of what is asked for is chosen or on this device.', { next: 'Answer no, or let the request pass.' });
  return wanted.map((id) => byId.get(id) as Placed);
}

async function openAll(context: Context, chosen: readonly Placed[]): Promise<readonly PreviewItem[]> {
  return eachOf(chosen, async (placed) => {
    const { row } = placed.held;
    const bytes = await recordBytes(context, placed);
    return { id: row.id, keeper: placed.keeper, resourceType: row.resourceType, codes: row.codes, ...(row.date === undefined ? {} : { date: row.date }), bytes };
  });
}
