/**
 * Erasure on the owner's order. The order stands on the channel first; then the receipt is written down, the record's
 * body, keys, row and tags are destroyed, and the receipt's digest goes to the channel. A crash in between is continued
 * at the next start. The anchor stays and says nothing: what opened it is gone.
 */
import { fromUtf8, toBase64url, utf8 } from '#base/bytes.ts';
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import type { Clock, KeyValueStore } from '#base/ports.ts';
import { sha256 } from '#crypto/digest.ts';
import { signJson } from '#crypto/signed-json.ts';
import type { LedgerSigner } from '#ledger/client.ts';
import { instant, RecordId, type Digest, type OrgId, type SubjectId } from '#model/ids.ts';
import { Signed } from '#model/messages.ts';
import type { BlobStore, RecordStore } from '#store/ports.ts';
import { z } from 'zod';
import { createTurnstile } from '../turnstile.ts';
import type { HdcChannel } from './channel.ts';

const ErasureRow = z.strictObject({ items: z.array(RecordId), receipt: Signed, done: z.boolean() });
type ErasureRow = z.infer<typeof ErasureRow>;

export interface ErasureDeps {
  readonly keeper: OrgId;
  readonly records: Pick<RecordStore, 'records' | 'shred'>;
  readonly bodies: Pick<BlobStore, 'shred'>;
  readonly store: KeyValueStore;
  readonly hdc: HdcChannel;
  readonly signer: LedgerSigner;
  readonly clock: Clock;
}

export interface Erasures {
  /** The signed receipt; the same items again give the same receipt. Throws NOT_OWNER, ERASURE_NOT_ORDERED. */
  erase(items: readonly RecordId[], subjects: ReadonlySet<string>): Promise<{ readonly receipt: Signed; readonly subject: SubjectId }>;
  /** Finishes what a crash left half done. */
  resume(): Promise<void>;
}

export function createErasures(deps: ErasureDeps): Erasures {
  const turns = createTurnstile();
  return {
    erase: (asked, subjects) => {
      const items = [...new Set(asked)].sort();
      return turns.run('erasure', () => eraseOnce(deps, items, subjects));
    },
    async resume() {
      for (const [key, bytes] of await deps.store.list('erasure/')) {
        const row = ErasureRow.parse(JSON.parse(fromUtf8(bytes)));
        if (!row.done) await finish(deps, key, row);
      }
    },
  };
}

async function eraseOnce(deps: ErasureDeps, items: readonly RecordId[], subjects: ReadonlySet<string>): Promise<{ readonly receipt: Signed; readonly subject: SubjectId }> {
  const subject = await ownSubject(deps, items, subjects);
  const key = `erasure/${toBase64url(sha256(canonicalBytes([...items])))}`;
  const known = await deps.store.get(key);
  if (known !== undefined) {
    const row = ErasureRow.parse(JSON.parse(fromUtf8(known)));
    if (!row.done) await finish(deps, key, row);
    return { receipt: row.receipt, subject };
  }
  await checkOrdered(deps, items);
  const receipt = (await signJson({ kind: 'erasure-receipt', keeper: deps.keeper, subject, items: [...items], at: instant(deps.clock.now()) }, deps.signer)) as Signed;
  const row: ErasureRow = { items: [...items], receipt, done: false };
  await deps.store.write(new Map([[key, canonicalBytes(row as Json)]]));
  await finish(deps, key, row);
  return { receipt, subject };
}

/** All items of one subject that is the caller's; unknown records look like another's. */
async function ownSubject({ records }: ErasureDeps, items: readonly RecordId[], subjects: ReadonlySet<string>): Promise<SubjectId> {
  const held = await records.records(items);
  const found = new Set(items.map((id) => held.get(id)?.subject));
  const [subject] = found;
  if (found.size !== 1 || subject === undefined || !subjects.has(subject)) throw new CodedError('NOT_OWNER', 'The records are not the caller\'s, or not of one subject.');
  return subject as SubjectId;
}

async function checkOrdered({ hdc }: ErasureDeps, items: readonly RecordId[]): Promise<void> {
  const { anchors } = await hdc.evaluate('getAnchors', { ids: items });
  const ordered = new Set(anchors.filter(({ state }) => state.erased === 'ordered').map(({ id }) => id));
  const missing = items.find((id) => !ordered.has(id));
  if (missing !== undefined) throw new CodedError('ERASURE_NOT_ORDERED', 'The owner\'s order to erase does not stand on the channel.', { record: missing });
}

async function finish({ records, bodies, hdc, store }: ErasureDeps, key: string, row: ErasureRow): Promise<void> {
  // Keys first: a body without keys is noise already.
  await records.shred(row.items);
  await bodies.shred(row.items);
  await hdc.submit('recordErasure', { items: row.items, receiptDigest: toBase64url(sha256(utf8(row.receipt.payload))) as Digest });
  await store.write(new Map([[key, canonicalBytes({ ...row, done: true } as Json)]]));
}
