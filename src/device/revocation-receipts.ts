/**
 * A revocation that a ledger acknowledged but told nobody would be worth little (attack 8): the device asks the members of
 * DRC, one after the other, to show it in a tree that they signed, and raises an alarm when none does in time. Keepers are
 * told directly and stop whatever the ledger says.
 */
import { fromBase64url, fromUtf8 } from '#base/bytes.ts';
import type { LeafProof } from '#api/endpoints.ts';
import { slotKey } from '#contracts/keys.ts';
import { noteSigners, parseCheckpoint } from '#crypto/checkpoint.ts';
import { encodeLeaf, leafHash, verifyInclusion } from '#crypto/merkle.ts';
import { SlotState } from '#model/drc.ts';
import type { SlotTag } from '#model/ids.ts';
import { DRC, orgClass } from '#model/orgs.ts';
import type { Context } from './context.ts';
import { dataUserApi, networkMap } from './organisations.ts';
import { slotOf } from './permits.ts';
import { codeOf } from './persistence.ts';
import { signerOf } from './signing.ts';
import { slots, type Slot } from './state.ts';
import { put } from './vault.ts';

/** A synchronisation half a minute after the wish still alarms within the minute. */
const SHOWN_WITHIN_MS = 30_000;
/** One liar cannot make a receipt alone. */
const SIGNATURES_WANTED = 2;

/** Asks for receipts that are missing. Returns REVOCATION_WITHHELD once for each that nobody showed in time. */
export async function confirmRevocations(context: Context): Promise<readonly string[]> {
  const codes: string[] = [];
  for (const [key, slot] of await context.vault.all(slots)) {
    if (slot.revocation === 'none' || slot.revokedAt === undefined || slot.revocationProof !== undefined || slot.phase === 'withdrawn') continue;
    const proof = await shownBy(context, key as SlotTag, slot);
    if (proof !== undefined) await context.vault.write(put(slots, key, { ...(await slotOf(context, key as SlotTag)), revocationProof: proof }));
    else if (context.clock.now() - slot.revokedAt >= SHOWN_WITHIN_MS) {
      context.log('error', 'device.revocation-withheld', {});
      codes.push('REVOCATION_WITHHELD');
    }
  }
  return codes;
}

/** The first good proof that any data user's member of DRC shows: the requester may have an interest in silence, so all are asked. */
async function shownBy(context: Context, tag: SlotTag, slot: Slot): Promise<LeafProof | undefined> {
  const { members } = await networkMap(context);
  const signer = await signerOf(slot.identity);
  for (const { org } of members.filter((member) => orgClass(member.org) === 'duo')) {
    try {
      const proof = await (await dataUserApi(context, org, signer)).drcProof({ query: { slot: tag } });
      if (await showsRevocation(context, proof, tag)) return proof;
    } catch (error) {
      const code = codeOf(error);
      if (code === 'SYNC_INTERRUPTED') throw error;
      context.log('info', 'device.receipt-unread', { org, code });
    }
  }
  return undefined;
}

async function showsRevocation(context: Context, proof: LeafProof, tag: SlotTag): Promise<boolean> {
  const { members } = await networkMap(context);
  const runners = members.filter(({ org }) => orgClass(org) === 'duo');
  const { origin, size, root } = parseCheckpoint(proof.checkpoint);
  if (proof.value === null || proof.namespace !== 'drc' || proof.key !== slotKey(tag) || origin !== `healthkeep/${DRC}` || size !== proof.size) return false;
  const value = fromBase64url(proof.value);
  const leaf = leafHash(encodeLeaf({ block: proof.block, tx: proof.tx, namespace: proof.namespace, key: proof.key, value }));
  if (!verifyInclusion({ leaf, index: proof.leafIndex, size, path: proof.path.map((hash) => fromBase64url(hash)), root })) return false;
  const { trees } = await noteSigners(proof.checkpoint, runners.map(({ org, rootCertificate }) => ({ name: org, rootCertificate })), context.clock.now());
  return trees.length >= Math.min(SIGNATURES_WANTED, runners.length) && SlotState.safeParse(JSON.parse(fromUtf8(value))).data?.phase === 'revoked';
}
