/** From a received resource to what a keeper holds of it, and back: keys, ciphertext, commitment, signature, the owner's row. */
import { concat, equalBytes, fromUtf8, toBase64url, type Bytes } from '#base/bytes.ts';
import { canonicalBytes } from '#base/canonical-json.ts';
import type { Random } from '#base/ports.ts';
import { openWith, sealWith } from '#crypto/aead.ts';
import { cipherLength, decryptBody, encryptBody } from '#crypto/cobblestone.ts';
import { commit } from '#crypto/commitment.ts';
import { sha256 } from '#crypto/digest.ts';
import type { RecordClass } from '#model/hdc.ts';
import type { Digest, OrgId, RecordId, SubjectId } from '#model/ids.ts';
import { RecordRow } from '#model/messages.ts';
import type { HeldRecord } from '#store/ports.ts';
import { anchorStatement, bodyContext, COMMITMENT_DOMAIN, recordKeysAad, rowAad, type RecordMetadata } from '#model/bindings.ts';

/** What is known of a resource before it is sealed. */
export interface RecordDraft {
  readonly id: RecordId;
  readonly subject: SubjectId;
  readonly resourceType: string;
  readonly class: RecordClass;
  readonly codes: readonly string[];
  readonly date?: string;
  readonly fullUrl?: string;
  /** Per reference text in the resource, the record it resolves to. */
  readonly links?: Readonly<Record<string, RecordId>>;
  readonly replaces?: RecordId;
  /** The exact received bytes. */
  readonly bytes: Bytes;
}

export interface SealedRecord {
  readonly id: RecordId;
  readonly body: Bytes;
  readonly wrappedKeys: Bytes;
  readonly sealedRow: Bytes;
  readonly commitment: Bytes;
  readonly signature: Bytes;
}

export interface Sealer {
  readonly keeper: OrgId;
  readonly random: Random;
  /** The keeper's system key: low-S DER over SHA-256 of the message. */
  sign(message: Bytes): Promise<Uint8Array>;
}

/** Seals one record under its delivery's key. */
export async function sealRecord(draft: RecordDraft, deliveryKey: Bytes, { keeper, random, sign }: Sealer): Promise<SealedRecord> {
  const { id, subject, bytes } = draft;
  const dataKey = random.bytes(32);
  const verificationKey = random.bytes(32);
  const digest = sha256(bytes);
  const metadata: RecordMetadata = { keeper, record: id, subject, resourceType: draft.resourceType, class: draft.class };
  const commitment = commit({ verificationKey, domain: COMMITMENT_DOMAIN, contentDigest: digest, metadata: { ...metadata } });
  const signature = new Uint8Array(await sign(anchorStatement({ keeper, record: id, subject, commitment })));
  const body = await encryptBody({ key: dataKey, context: bodyContext(keeper, id), plaintext: bytes, random });
  const row: RecordRow = {
    id,
    resourceType: draft.resourceType,
    codes: draft.codes,
    ...(draft.date === undefined ? {} : { date: draft.date }),
    ...(draft.fullUrl === undefined ? {} : { fullUrl: draft.fullUrl }),
    ...(draft.links === undefined ? {} : { links: draft.links }),
    ...(draft.replaces === undefined ? {} : { replaces: draft.replaces }),
    digest: toBase64url(digest) as Digest,
    plainBytes: bytes.length,
    cipherBytes: cipherLength(bytes.length),
    dataKey: toBase64url(dataKey),
    verificationKey: toBase64url(verificationKey),
    commitment: toBase64url(commitment) as Digest,
    signature: toBase64url(signature),
  };
  return {
    id,
    body,
    wrappedKeys: await sealWith(deliveryKey, concat(dataKey, verificationKey), recordKeysAad(id), random),
    sealedRow: await sealWith(deliveryKey, canonicalBytes({ ...row }), rowAad(id), random),
    commitment,
    signature,
  };
}

export interface RecordKeys {
  readonly dataKey: Bytes;
  readonly verificationKey: Bytes;
}

/** Throws SEALED_REFUSED when the wrapped keys are not the ones sealed for this record. */
export async function openRecordKeys(record: Pick<HeldRecord, 'id' | 'wrappedKeys'>, deliveryKey: Bytes): Promise<RecordKeys> {
  const keys = await openWith(deliveryKey, record.wrappedKeys, recordKeysAad(record.id as RecordId));
  return { dataKey: keys.slice(0, 32), verificationKey: keys.slice(32, 64) };
}

/** The owner's row, as the keeper sealed it. Throws SEALED_REFUSED. */
export async function openRow(record: Pick<HeldRecord, 'id' | 'sealedRow'>, deliveryKey: Bytes): Promise<RecordRow> {
  return RecordRow.parse(JSON.parse(fromUtf8(await openWith(deliveryKey, record.sealedRow, rowAad(record.id as RecordId)))));
}

/** The record's bytes as they were received, after its commitment was recomputed; undefined when anything differs. */
export async function openBody({ keeper, record, row, keys, body }: { readonly keeper: OrgId; readonly record: HeldRecord; readonly row: RecordRow; readonly keys: RecordKeys; readonly body: Bytes }): Promise<Bytes | undefined> {
  const id = record.id as RecordId;
  const bytes = await decryptBody({ key: keys.dataKey, context: bodyContext(keeper, id), ciphertext: body });
  const metadata: RecordMetadata = { keeper, record: id, subject: record.subject as SubjectId, resourceType: row.resourceType, class: record.class as RecordClass };
  const commitment = commit({ verificationKey: keys.verificationKey, domain: COMMITMENT_DOMAIN, contentDigest: sha256(bytes), metadata: { ...metadata } });
  return equalBytes(commitment, record.commitment) && toBase64url(commitment) === row.commitment ? bytes : undefined;
}
