/**
 * Does every stored record still say what its anchor says? Store and channel are read side by side in id order, page by
 * page, in constant memory: each body is decrypted, its digest and commitment recomputed and held against the channel.
 */
import { toBase64url } from '#base/bytes.ts';
import { isCoded } from '#base/errors.ts';
import type { AnchorState } from '#model/hdc.ts';
import type { OrgId, RecordId } from '#model/ids.ts';
import type { BlobStore, HeldRecord, RecordStore } from '#store/ports.ts';
import type { HdcChannel } from './channel.ts';
import type { DeliveryKeys } from './delivery-keys.ts';
import { openBody, openRecordKeys, openRow } from './sealing.ts';

const STORE_PAGE = 200;
const CHANNEL_PAGE = 1_000;

export interface TamperDeps {
  readonly keeper: OrgId;
  readonly records: Pick<RecordStore, 'scan' | 'records' | 'states' | 'delivery'>;
  readonly bodies: Pick<BlobStore, 'read' | 'size' | 'list'>;
  readonly deliveryKeys: DeliveryKeys;
  readonly hdc: HdcChannel;
}

export interface TamperReport {
  readonly checked: number;
  /** The record, its keys, row, body or signature is not what was anchored. */
  readonly changed: readonly RecordId[];
  /** Anchored, not erased, but not in the store. */
  readonly missing: readonly RecordId[];
  /** In the store, but not on the channel, or erased there. */
  readonly extra: readonly RecordId[];
}

export type Finding = 'good' | 'changed' | 'missing' | 'extra';

interface Anchored {
  readonly id: RecordId;
  readonly state: AnchorState;
}

/** Checks everything. `progress` is told after each page; the signal ends the check early. */
export async function tamperCheck(deps: TamperDeps, options: { readonly progress?: (checked: number) => void; readonly signal?: AbortSignal } = {}): Promise<TamperReport> {
  const found: Record<Finding, RecordId[]> = { good: [], changed: [], missing: [], extra: [] };
  let checked = 0;
  for await (const { id, record, anchor } of sideBySide(storedInOrder(deps), anchorsInOrder(deps))) {
    options.signal?.throwIfAborted();
    if (record !== undefined && record.state !== 'erased') checked += 1;
    const finding = await judge(deps, record, anchor);
    if (finding === 'good') {
      if (checked % STORE_PAGE === 0) options.progress?.(checked);
      continue;
    }
    // Work goes on beside the check: what looked wrong is looked at once more, as it stands now.
    const again = await judgeNow(deps, id);
    if (again !== 'good') found[again].push(id);
  }
  for await (const id of orphanBodies(deps)) found.extra.push(id);
  options.progress?.(checked);
  return { checked, changed: found.changed, missing: found.missing, extra: [...new Set(found.extra)].sort() };
}

/** One record against its anchor. */
export async function judge(deps: TamperDeps, record: HeldRecord | undefined, anchor: AnchorState | undefined): Promise<Finding> {
  if (record === undefined) return anchor === undefined || anchor.erased === 'done' ? 'good' : 'missing';
  if (record.state === 'erased') return anchor === undefined || anchor.erased !== 'no' ? 'good' : 'missing';
  if (anchor === undefined || anchor.erased === 'done') return 'extra';
  if (!anchoredAs(record, anchor)) return 'changed';
  const size = await deps.bodies.size(record.id);
  if (size === undefined) return 'missing';
  return (await opens(deps, record, size)) ? 'good' : 'changed';
}

async function judgeNow(deps: TamperDeps, id: RecordId): Promise<Finding> {
  const [records, { anchors }] = await Promise.all([deps.records.records([id]), deps.hdc.evaluate('getAnchors', { ids: [id] })]);
  return judge(deps, records.get(id), anchors[0]?.state);
}

function anchoredAs(record: HeldRecord, anchor: AnchorState): boolean {
  return anchor.commitment === toBase64url(record.commitment) && anchor.signature === toBase64url(record.signature) && anchor.subject === record.subject && anchor.class === record.class;
}

/** Keys, row and body open, and together give the commitment again. */
async function opens({ keeper, records, bodies, deliveryKeys }: TamperDeps, record: HeldRecord, size: number): Promise<boolean> {
  const delivery = await records.delivery(record.delivery);
  if (delivery === undefined || delivery.subject !== record.subject) return false;
  try {
    const key = await deliveryKeys.open(delivery);
    const [keys, row, body] = [await openRecordKeys(record, key), await openRow(record, key), await bodies.read(record.id, 0, size)];
    const sameRow = row.id === record.id && row.cipherBytes === size && row.signature === toBase64url(record.signature) && row.dataKey === toBase64url(keys.dataKey) && row.verificationKey === toBase64url(keys.verificationKey);
    if (!sameRow) return false;
    const bytes = await openBody({ keeper, record, row, keys, body });
    return bytes !== undefined && bytes.length === row.plainBytes;
  } catch (error) {
    // Whatever does not open was changed; a store that cannot be read is another matter.
    if (isCoded(error) && error.code.startsWith('STORE_')) throw error;
    return false;
  }
}

async function* storedInOrder({ records }: TamperDeps): AsyncGenerator<HeldRecord> {
  for (let after: string | undefined; ; ) {
    const page = await records.scan({ limit: STORE_PAGE, ...(after === undefined ? {} : { after }) });
    yield* page;
    if (page.length < STORE_PAGE) return;
    after = page.at(-1)?.id;
  }
}

async function* anchorsInOrder({ hdc }: TamperDeps): AsyncGenerator<Anchored> {
  for (let bookmark = ''; ; ) {
    const page = await hdc.evaluate('listAnchors', { bookmark, pageSize: CHANNEL_PAGE });
    yield* page.anchors;
    if (page.bookmark === '' || page.anchors.length === 0) return;
    bookmark = page.bookmark;
  }
}

interface Pair {
  readonly id: RecordId;
  readonly record?: HeldRecord;
  readonly anchor?: AnchorState;
}

/** Both lists in id order (base64url text, byte order), joined. */
async function* sideBySide(records: AsyncGenerator<HeldRecord>, anchors: AsyncGenerator<Anchored>): AsyncGenerator<Pair> {
  let record = await records.next();
  let anchor = await anchors.next();
  while (record.done !== true || anchor.done !== true) {
    const left = record.done === true ? undefined : record.value;
    const right = anchor.done === true ? undefined : anchor.value;
    if (left !== undefined && (right === undefined || left.id < right.id)) {
      yield { id: left.id as RecordId, record: left };
      record = await records.next();
    } else if (right !== undefined && (left === undefined || right.id < left.id)) {
      yield { id: right.id, anchor: right.state };
      anchor = await anchors.next();
    } else if (left !== undefined && right !== undefined) {
      yield { id: right.id, record: left, anchor: right.state };
      [record, anchor] = [await records.next(), await anchors.next()];
    }
  }
}

/** Bodies without a living row: left by a crash between body and row, or put there. */
async function* orphanBodies({ bodies, records }: TamperDeps): AsyncGenerator<RecordId> {
  for (let after: string | undefined; ; ) {
    const page = await bodies.list({ limit: CHANNEL_PAGE, ...(after === undefined ? {} : { after }) });
    const held = await records.states(page);
    for (const id of page) if (held.get(id) === undefined || held.get(id) === 'erased') yield id as RecordId;
    if (page.length < CHANNEL_PAGE) return;
    after = page.at(-1);
  }
}
