/**
 * Checking a released package item by item (docs/protocol.md section 4.9). Each check is one step with one code, in the
 * order of the protocol; the first that fails names the item. Nothing is believed of a keeper but what its certificates,
 * its anchors on its own channel and its checkpoints on CON say together.
 */
import { canonicalBytes } from '#base/canonical-json.ts';
import { equalBytes, fromBase64url, fromUtf8, toBase64url, utf8, type Bytes } from '#base/bytes.ts';
import { CodedError, isCoded } from '#base/errors.ts';
import type { LeafProof } from '#api/endpoints.ts';
import { decryptBody } from '#crypto/cobblestone.ts';
import { commit } from '#crypto/commitment.ts';
import { sha256 } from '#crypto/digest.ts';
import { openFrom } from '#crypto/hpke.ts';
import { verifyDer } from '#crypto/keys.ts';
import { verifySigned } from '#crypto/signed-json.ts';
import { readCertificate } from '#crypto/x509.ts';
import { anchorKey } from '#contracts/keys.ts';
import { AnchorState } from '#model/hdc.ts';
import type { Digest, GrantId, Instant, OrgId, SlotTag } from '#model/ids.ts';
import { ReleaseManifest, type ReleasedItem, type Signed } from '#model/messages.ts';
import { hdcOf } from '#model/orgs.ts';
import type { Purpose } from '#model/template.ts';
import { anchorStatement, bodyContext, COMMITMENT_DOMAIN, releaseBinding } from '#model/bindings.ts';
import { checkAnchorProof, type CheckpointTrust } from './anchor-proof.ts';

/** What the ledger and the invitation say the manifest must be. */
export interface ManifestExpectation {
  readonly keeper: OrgId;
  readonly grant: GrantId;
  readonly slot: SlotTag;
  readonly recipient: OrgId;
  readonly recipientKeyDigest: Digest;
  readonly purpose: Purpose;
  readonly eraseAt: Instant;
  /** Items the owner granted from this keeper. */
  readonly items: number;
}

export interface MemberTrust {
  /** Is it a live `system` certificate of that member? Chain to the root on CON, validity, revocation. */
  speaksFor(certificate: string, org: OrgId): Promise<boolean>;
}

export type Trust = MemberTrust & CheckpointTrust;

export interface CheckedManifest {
  readonly manifest: ReleaseManifest;
  /** SubjectPublicKeyInfo of the keeper's system key. */
  readonly keeperKey: Bytes;
  readonly digest: Digest;
}

/** Throws MANIFEST_* when the manifest is not this keeper's answer to this grant. */
export async function checkManifest(signed: Signed, expected: ManifestExpectation, trust: MemberTrust): Promise<CheckedManifest> {
  const parsed = ReleaseManifest.safeParse(await signedValue(signed));
  if (!parsed.success) throw refuse('MANIFEST_MALFORMED', expected);
  const manifest = parsed.data;
  if (!(await trust.speaksFor(signed.certificate, expected.keeper))) throw refuse('MANIFEST_SIGNER', expected);
  for (const [field, code] of MANIFEST_FIELDS) if (manifest[field] !== expected[field]) throw refuse(code, expected);
  if (new Set(manifest.items.map((item) => item.id)).size !== manifest.items.length) throw refuse('MANIFEST_REPEATS', expected);
  if (manifest.items.length > expected.items) throw refuse('MANIFEST_WIDER', expected);
  return { manifest, keeperKey: readCertificate(signed.certificate).spki, digest: toBase64url(sha256(utf8(signed.payload))) as Digest };
}

const MANIFEST_FIELDS = [
  ['keeper', 'MANIFEST_OTHER_KEEPER'],
  ['grant', 'MANIFEST_OTHER_GRANT'],
  ['slot', 'MANIFEST_OTHER_SLOT'],
  ['recipient', 'MANIFEST_OTHER_RECIPIENT'],
  ['recipientKeyDigest', 'MANIFEST_OTHER_KEY'],
  ['purpose', 'MANIFEST_OTHER_PURPOSE'],
  ['eraseAt', 'MANIFEST_OTHER_TERMS'],
] as const;

async function signedValue(signed: Signed): Promise<unknown> {
  try {
    return (await verifySigned(signed)).value;
  } catch (cause) {
    throw new CodedError('MANIFEST_SIGNATURE', 'The manifest is not what its signer signed.', {}, { cause });
  }
}

function refuse(code: string, expected: ManifestExpectation): CodedError {
  return new CodedError(code, `The manifest of ${expected.keeper} is not the answer to this grant.`, { keeper: expected.keeper, grant: expected.grant });
}

export interface ItemEvidence {
  readonly checked: CheckedManifest;
  readonly item: ReleasedItem;
  readonly ciphertext: Bytes;
  readonly proof: LeafProof | undefined;
  /** Private half of the invitation's one-time key. */
  readonly privateKey: Uint8Array;
}

/** The record's bytes as its keeper received them. Throws ITEM_* naming the first check that fails. */
export async function verifyItem(evidence: ItemEvidence, trust: Trust): Promise<Bytes> {
  const { item, proof } = evidence;
  const { manifest } = evidence.checked;
  const keys = await openEnvelope(evidence);
  const bytes = await openBody(evidence, keys.dataKey);
  if (proof === undefined) throw refuseItem('ITEM_ANCHOR_MISSING', item);
  const anchor = anchorOf(proof, item);
  const channel = hdcOf(manifest.keeper);
  // The leaf must be this record's anchor, at the keeper's own channel, and say what the manifest says.
  if (proof.channel !== channel || proof.namespace !== 'hdc' || proof.key !== anchorKey(item.id)) throw refuseItem('ITEM_ANCHOR_OTHER', item);
  if (proof.block !== item.blockNumber || anchor.subject !== manifest.subject) throw refuseItem('ITEM_ANCHOR_OTHER', item);
  const metadata = { keeper: manifest.keeper, record: item.id, subject: manifest.subject, resourceType: item.resourceType, class: anchor.class };
  const commitment = commit({ verificationKey: keys.verificationKey, domain: COMMITMENT_DOMAIN, contentDigest: sha256(bytes), metadata });
  if (toBase64url(commitment) !== item.commitment) throw refuseItem('ITEM_COMMITMENT', item);
  if (anchor.commitment !== item.commitment) throw refuseItem('ITEM_ANCHOR_OTHER', item);
  const statement = anchorStatement({ keeper: manifest.keeper, record: item.id, subject: manifest.subject, commitment });
  if (!(await verifyDer(evidence.checked.keeperKey, statement, fromBase64url(item.signature)))) throw refuseItem('ITEM_SIGNATURE', item);
  const refused = await checkAnchorProof(proof, { keeper: manifest.keeper, channel }, trust);
  if (refused !== undefined) throw refuseItem(refused, item);
  return bytes;
}

async function openEnvelope({ checked, item, privateKey }: ItemEvidence): Promise<{ readonly dataKey: Bytes; readonly verificationKey: Bytes }> {
  let opened: Bytes;
  try {
    opened = await openFrom({ privateKey, ...releaseBinding(checked.manifest, item.id), envelope: fromBase64url(item.wrappedKeys) });
  } catch {
    throw refuseItem('ITEM_ENVELOPE', item);
  }
  if (opened.length !== 64) throw refuseItem('ITEM_ENVELOPE', item);
  return { dataKey: opened.slice(0, 32), verificationKey: opened.slice(32) };
}

async function openBody({ checked, item, ciphertext }: ItemEvidence, dataKey: Bytes): Promise<Bytes> {
  if (ciphertext.length !== item.cipherBytes) throw refuseItem('ITEM_LENGTH', item);
  let bytes: Bytes;
  try {
    bytes = await decryptBody({ key: dataKey, context: bodyContext(checked.manifest.keeper, item.id), ciphertext });
  } catch {
    throw refuseItem('ITEM_BODY', item);
  }
  if (bytes.length !== item.plainBytes) throw refuseItem('ITEM_LENGTH', item);
  return bytes;
}

function anchorOf(proof: LeafProof, item: ReleasedItem): AnchorState {
  try {
    const value = fromBase64url(proof.value ?? '');
    const anchor = AnchorState.parse(JSON.parse(fromUtf8(value)));
    // The ledger writes canonical JSON; another text of the same fields is not what was anchored.
    if (equalBytes(canonicalBytes(anchor), value)) return anchor;
  } catch (error) {
    if (error instanceof TypeError) throw error;
  }
  throw refuseItem('ITEM_ANCHOR_OTHER', item);
}

function refuseItem(code: string, item: ReleasedItem): CodedError {
  return new CodedError(code, 'A delivered item is not what its keeper anchored and its owner granted.', { record: item.id });
}

/** The code of a refused item; anything that is not a refusal is thrown on. */
export function itemCode(error: unknown): string {
  if (isCoded(error) && error.code.startsWith('ITEM_')) return error.code;
  throw error;
}
