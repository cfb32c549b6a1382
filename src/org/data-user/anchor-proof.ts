/** Is a leaf in the keeper's channel, as the keeper itself published it to all members? (docs/protocol.md section 7) */
import { fromBase64url, toBase64url, type Bytes } from '#base/bytes.ts';
import type { LeafProof } from '#api/endpoints.ts';
import { parseCheckpoint, verifyNoteSignature, type Checkpoint } from '#crypto/checkpoint.ts';
import { encodeLeaf, leafHash, verifyInclusion } from '#crypto/merkle.ts';
import type { CheckpointState } from '#model/con.ts';
import type { ChannelName, OrgId } from '#model/ids.ts';

export interface CheckpointPlace {
  readonly channel: ChannelName;
  readonly org: OrgId;
  readonly size: number;
}

export interface CheckpointTrust {
  /** The member's root certificate as CON has it. */
  rootOf(org: OrgId): Promise<string | undefined>;
  /** The member's checkpoint of this size on CON, under its own name; undefined when there is none. */
  published(place: CheckpointPlace): Promise<CheckpointState | undefined>;
}

export type AnchorRefusal = 'ITEM_ANCHOR_PATH' | 'ITEM_CHECKPOINT_SIGNATURE' | 'ITEM_CHECKPOINT_UNPUBLISHED';

/** The first reason not to believe the proof, or undefined. */
export async function checkAnchorProof(proof: LeafProof, { keeper, channel }: { readonly keeper: OrgId; readonly channel: ChannelName }, trust: CheckpointTrust): Promise<AnchorRefusal | undefined> {
  const checkpoint = readNote(proof.checkpoint);
  if (checkpoint === undefined || checkpoint.origin !== `healthkeep/${channel}` || checkpoint.size !== proof.size) return 'ITEM_ANCHOR_PATH';
  if (!included(proof, checkpoint.root)) return 'ITEM_ANCHOR_PATH';
  const rootCertificate = await trust.rootOf(keeper);
  // Validity is not asked for: a checkpoint is older than today, and CON shows that its signer published it when it could.
  if (rootCertificate === undefined || !(await verifyNoteSignature(proof.checkpoint, { name: keeper, rootCertificate }))) return 'ITEM_CHECKPOINT_SIGNATURE';
  const published = await trust.published({ channel, org: keeper, size: proof.size });
  const same = published?.org === keeper && published.channel === channel && published.size === proof.size && published.root === toBase64url(checkpoint.root);
  return same ? undefined : 'ITEM_CHECKPOINT_UNPUBLISHED';
}

function readNote(note: string): Checkpoint | undefined {
  try {
    return parseCheckpoint(note);
  } catch {
    return undefined;
  }
}

function included(proof: LeafProof, root: Bytes): boolean {
  const value = proof.value === null ? null : fromBase64url(proof.value);
  const leaf = leafHash(encodeLeaf({ block: proof.block, tx: proof.tx, namespace: proof.namespace, key: proof.key, value }));
  return verifyInclusion({ leaf, index: proof.leafIndex, size: proof.size, path: proof.path.map((hash) => fromBase64url(hash)), root });
}
