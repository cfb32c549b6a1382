/**
 * Taking a bundle: read → plan → seal → store (bodies, then rows in one durable transaction) → anchor. The next bundle is
 * read and sealed while the last one is being anchored; at most a few are in hand at once. The answer comes after the
 * anchors are committed, so what was acknowledged is on disk here and on the channel.
 */
import { toBase64url } from '#base/bytes.ts';
import { isCoded } from '#base/errors.ts';
import type { Clock, Random } from '#base/ports.ts';
import type { RefusedResource } from '#api/endpoints.ts';
import type { DeliveryId, OrgId, RecordId, SubjectId } from '#model/ids.ts';
import { readBundle, type BundleEntry } from '#records/bundle.ts';
import type { BlobStore, RecordStore, StoredDelivery, StoredRecord, StoredSubject } from '#store/ports.ts';
import type { Access } from './access-log.ts';
import type { Anchoring } from './anchoring.ts';
import type { DeliveryKeys } from './delivery-keys.ts';
import { planDelivery, tagEntry, type PlannedRecord } from './delivery-plan.ts';
import type { Turnstile } from '../turnstile.ts';
import type { Gate } from './gate.ts';
import { sealRecord, type SealedRecord, type Sealer } from './sealing.ts';
import type { Tags } from './tags.ts';

export interface IngestReport {
  /** Resources read, accepted as new, already held, refused: read = accepted + duplicates + refused. */
  readonly read: number;
  readonly accepted: number;
  readonly duplicates: number;
  readonly refused: readonly RefusedResource[];
  readonly deliveries: readonly DeliveryId[];
  /** Local ids of the patients whose records these are. */
  readonly patients: readonly string[];
}

export interface IngestDeps {
  readonly keeper: OrgId;
  readonly records: RecordStore;
  readonly bodies: BlobStore;
  readonly anchoring: Pick<Anchoring, 'anchor' | 'room'>;
  readonly deliveryKeys: DeliveryKeys;
  readonly sealer: Sealer;
  /** Fingerprint of the sealer's certificate. */
  readonly signer: string;
  readonly tags: Tags;
  readonly gate: Gate;
  /** One patient's bundles and links come one after another. */
  readonly patients: Turnstile;
  /** Told of every subject that got records. Durable when it resolves. */
  readonly logged: (access: Access) => Promise<void>;
  readonly clock: Clock;
  readonly random: Random;
}

export interface Ingest {
  /**
   * Throws the codes of `readBundle` for the whole file, STORE_FULL, HOSPITAL_BUSY; ledger codes when the anchors could
   * not be written (what was stored is anchored later, and the same bundle again is recognised).
   */
  ingest(bytes: Uint8Array, options?: IngestOptions): Promise<IngestReport>;
}

export interface IngestOptions {
  /** Name of the file, for the list of refused resources. */
  readonly file?: string;
  /** Who brought it; the keeper's own system when not said. */
  readonly by?: Pick<Access, 'org' | 'role' | 'caller'>;
}

interface StoredPart {
  readonly delivery: DeliveryId;
  readonly subject: SubjectId;
  readonly newIndexes: readonly number[];
  /** Resolves when every record's anchor is committed and noted. */
  readonly anchored: Promise<void>;
}

/** Records sealed and stored at once; a larger part of a bundle becomes several deliveries, so that memory and the time of one transaction stay bounded. */
const DELIVERY_RECORDS_MAX = 2_000;
/** Versions that came in between twice in a row are somebody else's loop, not ours. */
const CONFLICTS_MAX = 5;

export function createIngest(deps: IngestDeps): Ingest {
  return {
    async ingest(bytes, { file = '', by = { org: deps.keeper, role: 'system', caller: 'system' } } = {}) {
      const { reading, parts } = await deps.gate.pass(async () => {
        await deps.anchoring.room();
        const stored = await storedAddresses(deps);
        const found = await readBundle(bytes, { stored: stored.known });
        const patients = [...new Set(found.entries.flatMap((entry) => entry.patients))].sort();
        const made: StoredPart[] = [];
        for (const patient of patients) {
          const entries = found.entries.filter((entry) => entry.patients.includes(patient));
          made.push(...(await deps.patients.run(patient, () => storePart(deps, { patient, entries, addresses: stored.asked }))));
        }
        return { reading: { ...found, entries: found.entries.length, patients }, parts: made };
      });
      await Promise.all(parts.flatMap((part) => [part.anchored, deps.logged({ ...by, action: 'ingest', subject: part.subject, records: part.newIndexes.length, purpose: 'care', outcome: 'done' })]));
      const accepted = new Set(parts.flatMap((part) => part.newIndexes)).size;
      return {
        read: reading.read,
        accepted,
        duplicates: reading.entries - accepted,
        refused: reading.refused.map((refused) => ({ file, ...refused })),
        deliveries: parts.map((part) => part.delivery),
        patients: reading.patients,
      };
    },
  };
}

/** Remembers which relative references the reader asked for and what the store had under them. */
async function storedAddresses({ records, tags }: Pick<IngestDeps, 'records' | 'tags'>): Promise<{ readonly known: (keys: readonly string[]) => Promise<ReadonlySet<string>>; readonly asked: ReadonlyMap<string, ReadonlyMap<string, RecordId>> }> {
  const asked = new Map<string, Map<string, RecordId>>();
  return {
    asked,
    async known(keys) {
      const byTag = new Map(keys.map((key) => [tags.address(key), key]));
      for (const { address, subject, id } of await records.byAddress([...byTag.keys()])) {
        const key = byTag.get(address) as string;
        const owners = asked.get(key) ?? new Map<string, RecordId>();
        asked.set(key, owners.set(subject, id as RecordId));
      }
      return new Set(asked.keys());
    },
  };
}

interface PartInput {
  readonly patient: string;
  readonly entries: readonly BundleEntry[];
  /** Per relative reference, the record under it by subject. */
  readonly addresses: ReadonlyMap<string, ReadonlyMap<string, RecordId>>;
}

/** Plans, seals and stores one patient's part; again from the plan on when another version came in between. */
async function storePart(deps: IngestDeps, { patient, entries, addresses }: PartInput): Promise<readonly StoredPart[]> {
  const newId = (): string => toBase64url(deps.random.bytes(16));
  const subject = await deps.records.subjectFor(deps.tags.patient(patient), newId());
  const id = subject.id as SubjectId;
  const tagged = entries.map((entry) => tagEntry(entry, id, deps.tags));
  const stored = new Map([...addresses].flatMap(([key, owners]) => (owners.has(id) ? [[key, owners.get(id) as RecordId] as const] : [])));
  const parts: StoredPart[] = [];
  for (let attempt = 1; ; attempt++) {
    const current = await deps.records.current(id, tagged.map(({ sourceKey }) => sourceKey));
    const plan = planDelivery({ subject: id, entries: tagged, current, stored, newId: () => newId() as RecordId });
    try {
      for (let from = 0; from < plan.records.length; from += DELIVERY_RECORDS_MAX) {
        if (from > 0) await deps.anchoring.room();
        parts.push(await storeDelivery(deps, subject, plan.records.slice(from, from + DELIVERY_RECORDS_MAX)));
      }
      return parts;
    } catch (error) {
      if (!isCoded(error, 'STORE_CONFLICT') || attempt >= CONFLICTS_MAX) throw error;
    }
  }
}

async function storeDelivery(deps: IngestDeps, subject: StoredSubject, planned: readonly PlannedRecord[]): Promise<StoredPart> {
  const id = toBase64url(deps.random.bytes(16)) as DeliveryId;
  const { key, keyForVault } = await deps.deliveryKeys.create(id);
  const owner = subject.owner?.confirmed === true ? subject.owner : undefined;
  const keyForOwner = owner === undefined ? undefined : await deps.deliveryKeys.sealToOwner(id, key, owner.hpkePublicKey);
  const sealed = await Promise.all(planned.map(({ draft }) => sealRecord(draft, key, deps.sealer)));
  const createdAt = deps.clock.now();
  const delivery: StoredDelivery = { id, subject: subject.id, createdAt, count: sealed.length, signer: deps.signer, keyForVault, ...(keyForOwner === undefined ? {} : { keyForOwner }) };
  const records = planned.map((one, position) => storedRecord({ planned: one, sealed: sealed[position] as SealedRecord, position, delivery: id, createdAt }));
  const replaces = new Map(planned.flatMap(({ draft, replaces: old }) => (old === undefined ? [] : [[draft.id as string, old as string] as const])));
  // Bodies first: a row without its body would be a lost record, a body without its row is only swept away.
  await deps.bodies.put(sealed.map(({ id: record, body }) => ({ id: record, bytes: body })));
  await deps.records.addDeliveries({ deliveries: [delivery], records, replaces });
  const anchored = deps.anchoring.anchor(records);
  // Awaited by the caller when the whole bundle is stored; a refusal before that must not count as unheard.
  anchored.catch(() => undefined);
  return { delivery: id, subject: subject.id as SubjectId, newIndexes: planned.map(({ index }) => index), anchored };
}

function storedRecord({ planned, sealed, position, delivery, createdAt }: { readonly planned: PlannedRecord; readonly sealed: SealedRecord; readonly position: number; readonly delivery: DeliveryId; readonly createdAt: number }): StoredRecord {
  const { draft, sourceKey, address, contentTag } = planned;
  return {
    id: draft.id,
    subject: draft.subject,
    delivery,
    position,
    sourceKey,
    ...(address === undefined ? {} : { address }),
    contentTag,
    wrappedKeys: sealed.wrappedKeys,
    sealedRow: sealed.sealedRow,
    commitment: sealed.commitment,
    signature: sealed.signature,
    class: draft.class,
    cipherBytes: sealed.body.length,
    createdAt,
  };
}
