/** What a keeper's store must do. SQLite and files by default; PostgreSQL and S3 are twins behind the same ports. */
import type { Bytes } from '#base/bytes.ts';

/** Everything about one stored record except its body. Opaque to the store: ids, tags and sealed bytes, never plaintext. */
export interface StoredRecord {
  readonly id: string;
  readonly subject: string;
  readonly delivery: string;
  /** Place in the delivery, from 0. */
  readonly position: number;
  /** Tag of the resource's identity at its source within the subject: a changed resource is a new record that replaces the last. */
  readonly sourceKey: string;
  /** Tag of the address that relative references use (`Type/id`), when it has one; not bound to the subject. */
  readonly address?: string;
  /** HMAC of the received bytes under the keeper's dedupe key: the same resource received again is recognised without keeping plaintext. */
  readonly contentTag: Bytes;
  /** Data key and verification key, wrapped under the delivery's key. Shredding overwrites and deletes it. */
  readonly wrappedKeys: Bytes;
  /** Sealed row for the owner's list. */
  readonly sealedRow: Bytes;
  readonly commitment: Bytes;
  readonly signature: Bytes;
  /** Policy class, as anchored. */
  readonly class: string;
  readonly cipherBytes: number;
  readonly createdAt: number;
}

/** Where a record's anchor stands on the keeper's channel. */
export interface AnchorRef {
  readonly txId: string;
  readonly blockNumber: number;
}

/** Outbox state of a record: `stored` before its anchor transaction, `anchored` after the durable commit, `erased` once shredded. */
export type RecordState = 'stored' | 'anchored' | 'erased';

/** A record as the store holds it. When erased, `contentTag`, `wrappedKeys`, `sealedRow`, `commitment` and `signature` are empty. */
export interface HeldRecord extends StoredRecord {
  readonly state: RecordState;
  readonly anchor?: AnchorRef;
}

export interface StoredDelivery {
  readonly id: string;
  readonly subject: string;
  readonly createdAt: number;
  readonly count: number;
  /** Fingerprint of the certificate whose key signed the commitments. */
  readonly signer: string;
  /** The delivery key, sealed to the keeper's vault key; to the owner's key once the subject is linked. */
  readonly keyForVault: Bytes;
  readonly keyForOwner?: Bytes;
}

export interface HeldDelivery extends StoredDelivery {
  readonly anchored: boolean;
  readonly noticed: boolean;
}

/** The keeper's subject and, once linked, its owner. `owner.link` is the signed link request's bytes. */
export interface StoredSubject {
  readonly id: string;
  /** Tag of the local patient id under the keeper's key. */
  readonly patientTag: string;
  readonly owner?: StoredOwner;
}

export interface StoredOwner {
  readonly pairwiseId: string;
  /** SHA-256 of the SubjectPublicKeyInfo of the certificate shown at the desk. */
  readonly key: Bytes;
  readonly hpkePublicKey: Bytes;
  readonly mailbox: string;
  /** The organisation that vouches for the owner; its directory entry says where the mailbox is. */
  readonly org: string;
  readonly linkDigest: Bytes;
  /** False until the owner stands on the channel. */
  readonly confirmed: boolean;
}

/** What is known of the newest version of a resource. */
export interface CurrentVersion {
  readonly id: string;
  readonly sourceKey: string;
  readonly contentTag: Bytes;
}

export interface RecordCounts {
  readonly stored: number;
  readonly anchored: number;
  readonly erased: number;
  readonly deliveries: number;
  readonly subjects: number;
}

/** One line of an append-only, hash-chained log. The store keeps order and bytes; it does not know the hash. */
export interface LogLine {
  readonly sequence: number;
  readonly subject: string | undefined;
  readonly line: Bytes;
  /** Digest of the line, and the chain's head after it. */
  readonly digest: Bytes;
  readonly head: Bytes;
}

/** All writes are durable when they resolve, all or nothing. Throws STORE_FULL, STORE_CORRUPT, STORE_IO. */
export interface RecordStore {
  /** The subject of a patient tag; made with the given id when there is none. */
  subjectFor(patientTag: string, newId: string): Promise<StoredSubject>;
  subject(id: string): Promise<StoredSubject | undefined>;
  subjectsOfOwner(pairwiseId: string): Promise<readonly StoredSubject[]>;
  /** Sets, confirms or takes back the owner. Another HPKE key or mailbox than before makes every delivery wait to be sealed and told of again. */
  putOwner(subject: string, owner: StoredOwner | undefined): Promise<void>;
  /** Subjects whose owner is not confirmed on the channel. */
  unconfirmedSubjects(limit: number): Promise<readonly StoredSubject[]>;

  /** Newest versions of a subject's resources by source key; erased ones have none. */
  current(subject: string, sourceKeys: readonly string[]): Promise<ReadonlyMap<string, CurrentVersion>>;
  /** Living newest versions under these addresses, whoever's they are. */
  byAddress(addresses: readonly string[]): Promise<readonly { readonly address: string; readonly subject: string; readonly id: string }[]>;
  /** One transaction. A record with a known source key takes the place of the current version. Throws STORE_CONFLICT when a version came in between. */
  addDeliveries(batch: { readonly deliveries: readonly StoredDelivery[]; readonly records: readonly StoredRecord[]; readonly replaces: ReadonlyMap<string, string> }): Promise<void>;
  /** Records in state `stored`, oldest first, after a record id that was returned before. */
  pending(limit: number, after?: string): Promise<readonly HeldRecord[]>;
  markAnchored(ids: readonly string[], anchor: AnchorRef): Promise<void>;
  /** Where anchors stand after their channel moved to another ledger. Records that are not anchored are left alone. Returns how many changed. */
  moveAnchors(places: ReadonlyMap<string, AnchorRef>): Promise<number>;
  records(ids: readonly string[]): Promise<ReadonlyMap<string, HeldRecord>>;
  /** The states of those that the store knows. */
  states(ids: readonly string[]): Promise<ReadonlyMap<string, RecordState>>;
  /** Every record in id order, for checks. */
  scan(options: { readonly after?: string; readonly limit: number }): Promise<readonly HeldRecord[]>;
  /** Destroys what could open or recognise the records: keys, rows, tags, commitments. The ids stay as tombstones. */
  shred(ids: readonly string[]): Promise<void>;

  delivery(id: string): Promise<HeldDelivery | undefined>;
  /** Records of a delivery in their order, erased ones left out. */
  recordsOf(delivery: string): Promise<readonly HeldRecord[]>;
  /** Fully anchored deliveries of these subjects in order of arrival, after a delivery id. */
  deliveriesOf(subjects: readonly string[], options: { readonly after?: string; readonly limit: number }): Promise<readonly HeldDelivery[]>;
  /** Deliveries whose key is not sealed to the (confirmed) owner yet. */
  deliveriesToSeal(limit: number): Promise<readonly HeldDelivery[]>;
  putOwnerKeys(keys: ReadonlyMap<string, Bytes>): Promise<void>;
  /** Anchored, sealed to the owner, not noticed; oldest first, after a delivery id. */
  noticesDue(limit: number, after?: string): Promise<readonly HeldDelivery[]>;
  markNoticed(deliveries: readonly string[]): Promise<void>;
  counts(): Promise<RecordCounts>;

  appendLines(lines: readonly LogLine[]): Promise<void>;
  lastLine(): Promise<LogLine | undefined>;
  /** Lines with `from` <= sequence <= `to`. */
  lines(from: number, to: number): Promise<readonly LogLine[]>;
  close(): Promise<void>;
}

/** Bodies: ciphertext by record id. Durable when `put` resolves. Throws STORE_FULL, STORE_IO, STORE_CORRUPT; BODY_MISSING from `read`. */
export interface BlobStore {
  /** All durable when it resolves. An id is never used for another body; the same again has no second effect. */
  put(bodies: readonly { readonly id: string; readonly bytes: Bytes }[]): Promise<void>;
  /** Stored length in bytes; undefined when there is none. */
  size(id: string): Promise<number | undefined>;
  /** Bytes `[start, end)`; the range must lie inside the body. */
  read(id: string, start: number, end: number): Promise<Bytes>;
  /** Ids in order, for checks. */
  list(options: { readonly after?: string; readonly limit: number }): Promise<readonly string[]>;
  /** Ids of the small bodies written last, and all large ones: where a crash may have left a body without its row. */
  recent(limit: number): Promise<readonly string[]>;
  /** Overwrites and deletes; unknown ids are passed over. */
  shred(ids: readonly string[]): Promise<void>;
  close(): Promise<void>;
}
