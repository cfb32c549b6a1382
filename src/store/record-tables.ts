/** The record store's tables, rows and their parsed forms. */
import type { Bytes } from '#base/bytes.ts';
import type { HeldDelivery, HeldRecord, LogLine, StoredSubject } from './ports.ts';

export const RECORD_STORE_ID = 0x686b7265;

/**
 * `current` holds the newest living version per source key. Text columns hold ids and tags only. Records are kept in
 * order of arrival, so that batches append; ids are found by index.
 */
export const RECORD_MIGRATIONS = [
  `CREATE TABLE subject (
     id TEXT PRIMARY KEY, patient TEXT NOT NULL UNIQUE,
     owner TEXT, key BLOB, hpke BLOB, mailbox TEXT, org TEXT, link BLOB, confirmed INTEGER NOT NULL DEFAULT 0
   ) WITHOUT ROWID;
   CREATE INDEX subject_owner ON subject (owner) WHERE owner IS NOT NULL;
   CREATE INDEX subject_unconfirmed ON subject (id) WHERE owner IS NOT NULL AND confirmed = 0;
   CREATE TABLE delivery (
     number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, subject TEXT NOT NULL, created INTEGER NOT NULL, count INTEGER NOT NULL,
     signer TEXT NOT NULL, vault_key BLOB NOT NULL, owner_key BLOB, waiting INTEGER NOT NULL, noticed INTEGER NOT NULL DEFAULT 0
   );
   CREATE INDEX delivery_subject ON delivery (subject, number);
   CREATE INDEX delivery_unsealed ON delivery (subject) WHERE owner_key IS NULL;
   CREATE INDEX delivery_due ON delivery (number) WHERE noticed = 0 AND waiting = 0 AND owner_key IS NOT NULL;
   CREATE TABLE record (
     number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, subject TEXT NOT NULL, delivery TEXT NOT NULL, position INTEGER NOT NULL, source TEXT NOT NULL,
     tag BLOB NOT NULL, keys BLOB NOT NULL, row BLOB NOT NULL, commitment BLOB NOT NULL, signature BLOB NOT NULL,
     class TEXT NOT NULL, size INTEGER NOT NULL, created INTEGER NOT NULL, state INTEGER NOT NULL DEFAULT 0, tx TEXT, block INTEGER
   );
   CREATE INDEX record_pending ON record (number) WHERE state = 0;
   CREATE INDEX record_erased ON record (number) WHERE state = 2;
   CREATE INDEX record_delivery ON record (delivery, position);
   CREATE TABLE current (subject TEXT NOT NULL, source TEXT NOT NULL, record TEXT NOT NULL, address TEXT, PRIMARY KEY (subject, source)) WITHOUT ROWID;
   CREATE INDEX current_address ON current (address) WHERE address IS NOT NULL;
   CREATE TABLE line (sequence INTEGER PRIMARY KEY, subject TEXT, line BLOB NOT NULL, digest BLOB NOT NULL, head BLOB NOT NULL)`,
];

/** By the number in the `state` column. */
export const STATES = ['stored', 'anchored', 'erased'] as const;

export interface RecordTableRow {
  readonly number: number;
  readonly id: string;
  readonly subject: string;
  readonly delivery: string;
  readonly position: number;
  readonly source: string;
  readonly tag: Bytes;
  readonly keys: Bytes;
  readonly row: Bytes;
  readonly commitment: Bytes;
  readonly signature: Bytes;
  readonly class: string;
  readonly size: number;
  readonly created: number;
  readonly state: 0 | 1 | 2;
  readonly tx: string | null;
  readonly block: number | null;
}

export function heldRecord(row: RecordTableRow): HeldRecord {
  return {
    id: row.id,
    subject: row.subject,
    delivery: row.delivery,
    position: row.position,
    sourceKey: row.source,
    contentTag: row.tag,
    wrappedKeys: row.keys,
    sealedRow: row.row,
    commitment: row.commitment,
    signature: row.signature,
    class: row.class,
    cipherBytes: row.size,
    createdAt: row.created,
    state: STATES[row.state],
    ...(row.tx === null || row.block === null ? {} : { anchor: { txId: row.tx, blockNumber: row.block } }),
  };
}

export interface DeliveryTableRow {
  readonly number: number;
  readonly id: string;
  readonly subject: string;
  readonly created: number;
  readonly count: number;
  readonly signer: string;
  readonly vault_key: Bytes;
  readonly owner_key: Bytes | null;
  readonly waiting: number;
  readonly noticed: number;
}

export function heldDelivery(row: DeliveryTableRow): HeldDelivery {
  return {
    id: row.id,
    subject: row.subject,
    createdAt: row.created,
    count: row.count,
    signer: row.signer,
    keyForVault: row.vault_key,
    ...(row.owner_key === null ? {} : { keyForOwner: row.owner_key }),
    anchored: row.waiting === 0,
    noticed: row.noticed === 1,
  };
}

export interface SubjectTableRow {
  readonly id: string;
  readonly patient: string;
  readonly owner: string | null;
  readonly key: Bytes;
  readonly hpke: Bytes;
  readonly mailbox: string;
  readonly org: string;
  readonly link: Bytes;
  readonly confirmed: number;
}

export function storedSubject(row: SubjectTableRow): StoredSubject {
  if (row.owner === null) return { id: row.id, patientTag: row.patient };
  return {
    id: row.id,
    patientTag: row.patient,
    owner: { pairwiseId: row.owner, key: row.key, hpkePublicKey: row.hpke, mailbox: row.mailbox, org: row.org, linkDigest: row.link, confirmed: row.confirmed === 1 },
  };
}

export interface LineTableRow {
  readonly sequence: number;
  readonly subject: string | null;
  readonly line: Bytes;
  readonly digest: Bytes;
  readonly head: Bytes;
}

export function logLine(row: LineTableRow): LogLine {
  return { sequence: row.sequence, subject: row.subject ?? undefined, line: row.line, digest: row.digest, head: row.head };
}
