/**
 * The light proof (docs/protocol.md section 4.4): a keeper is not on DRC, so the owner brings its answer's state with the
 * path into the channel tree and a checkpoint that members of DRC signed.
 */
import { fromBase64url, fromUtf8, toBase64url, utf8 } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { Clock } from '#base/ports.ts';
import type { LeafProof } from '#api/endpoints.ts';
import { slotKey } from '#contracts/keys.ts';
import { parseCheckpoint, verifyNoteSignature } from '#crypto/checkpoint.ts';
import { saltedDigest, saltedList } from '#crypto/commitment.ts';
import { encodeLeaf, leafHash, verifyInclusion } from '#crypto/merkle.ts';
import type { Member } from '#model/con.ts';
import { SlotState } from '#model/drc.ts';
import type { Digest, SlotTag } from '#model/ids.ts';
import type { Grant, GrantOpening } from '#model/messages.ts';
import { channelOrgs, contractOf, DRC } from '#model/orgs.ts';

const SIGNATURES_WANTED = 2;

export interface AnswerProofDeps {
  readonly members: () => readonly Member[];
  readonly clock: Clock;
}

export type ProvenAnswer = NonNullable<SlotState['answer']>;

/** The blinded digest of a signed grant: HMAC-SHA-256(grant.salt, payload). */
export function grantDigest(grant: Grant, payload: string): Digest {
  return toBase64url(saltedDigest(fromBase64url(grant.salt), utf8(payload))) as Digest;
}

/** The slot as members of DRC attest it. Throws GRANT_NOT_PROVEN with the check that failed. */
export async function provenSlot(proof: LeafProof, slot: SlotTag, deps: AnswerProofDeps): Promise<SlotState> {
  if (proof.channel !== DRC || proof.namespace !== contractOf(DRC) || proof.key !== slotKey(slot)) throw unproven('The proof is about something else than the slot.');
  const checkpoint = parsed(() => parseCheckpoint(proof.checkpoint), 'The checkpoint cannot be read.');
  if (checkpoint.origin !== `healthkeep/${DRC}` || checkpoint.size !== proof.size) throw unproven('The checkpoint is of another channel or size.');
  const value = proof.value === null ? null : fromBase64url(proof.value);
  const leaf = leafHash(encodeLeaf({ block: proof.block, tx: proof.tx, namespace: proof.namespace, key: proof.key, value }));
  const path = parsed(() => proof.path.map((hash) => fromBase64url(hash)), 'The path cannot be read.');
  if (!verifyInclusion({ leaf, index: proof.leafIndex, size: proof.size, path, root: checkpoint.root })) throw unproven('The slot is not in the channel tree.');
  const signed = await signedBy(proof.checkpoint, deps);
  const { peers } = channelOrgs(DRC, deps.members().map((member) => member.org));
  if (peers.length === 0 || signed.length < Math.min(SIGNATURES_WANTED, peers.length)) throw unproven('Too few members of DRC signed the checkpoint.');
  return parsed(() => SlotState.parse(JSON.parse(fromUtf8(value ?? new Uint8Array(0)))), 'The slot\'s state cannot be read.');
}

/** Organisations that run a peer on DRC and whose signature on the note is good. */
async function signedBy(note: string, { members, clock }: AnswerProofDeps): Promise<readonly string[]> {
  const all = members();
  const { peers } = channelOrgs(DRC, all.map((member) => member.org));
  const voices = all.filter((member) => peers.includes(member.org));
  const good = await Promise.all(voices.map((member) => verifyNoteSignature(note, { name: member.org, rootCertificate: member.rootCertificate, at: clock.now() })));
  return voices.filter((_, at) => good[at]).map((member) => member.org);
}

/**
 * The answer that the grant belongs to: answered and not withdrawn when the proof was made, to this recipient and key, and
 * its commitment opens to a list that holds this grant. Throws GRANT_NOT_PROVEN, GRANT_REVOKED, GRANT_OTHER_KEY, GRANT_WIDER.
 */
export function grantedAnswer({ slot, grant, opening, digest }: { readonly slot: SlotState; readonly grant: Grant; readonly opening: GrantOpening; readonly digest: Digest }): ProvenAnswer {
  const { answer } = slot;
  if (slot.phase === 'revoked') throw new CodedError('GRANT_REVOKED', 'The answer was revoked.', { grant: grant.id });
  if (slot.phase !== 'answered' || answer === undefined || answer.decision === 'no') throw unproven('The slot holds no answer that grants anything.');
  if (slot.duo !== grant.recipient) throw unproven('The slot belongs to another recipient.');
  const commitment = parsed(() => toBase64url(saltedList(fromBase64url(opening.salt), opening.digests)), 'The opening cannot be read.');
  if (commitment !== answer.grantCommitment) throw unproven('The opening does not fit the answer.');
  if (!opening.digests.includes(digest)) throw unproven('The answer does not hold this grant.');
  if (answer.recipientKeyDigest !== grant.recipientKeyDigest) throw new CodedError('GRANT_OTHER_KEY', 'The grant names another key than the answer.', { grant: grant.id });
  if (grant.until > answer.until || grant.eraseAt > answer.eraseAt) throw new CodedError('GRANT_WIDER', 'The grant lasts longer than the answer.', { grant: grant.id });
  return answer;
}

function parsed<T>(read: () => T, why: string): T {
  try {
    return read();
  } catch (cause) {
    throw unproven(why, cause);
  }
}

function unproven(why: string, cause?: unknown): CodedError {
  return new CodedError('GRANT_NOT_PROVEN', 'It is not proven that the owner granted this.', { why }, { cause });
}
