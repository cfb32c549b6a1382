/** The light proof (protocol section 4.4): a slot's answer in the DRC tree, for a keeper that is not on DRC. */
import { fromBase64url, fromUtf8 } from '#base/bytes.ts';
import { CodedError, isCoded } from '#base/errors.ts';
import type { Scheduler } from '#base/ports.ts';
import type { LeafProof } from '#api/endpoints.ts';
import { slotKey } from '#contracts/keys.ts';
import type { SlotTag } from '#model/ids.ts';
import type { Cosigners } from '../cosigners.ts';
import type { Witness } from '../witness/witness.ts';

export interface DrcProofs {
  /** Throws SLOT_UNKNOWN, WITNESS_BEHIND while this member has not seen an answer in the slot. */
  proofOf(slot: SlotTag): Promise<LeafProof>;
}

/** An answer that was just committed reaches this member's tree within moments. */
const WAITS = 20;
const WAIT_MS = 100;
const ANSWERED = new Set(['answered', 'refused', 'revoked']);

export function createDrcProofs({ witness, cosigners, scheduler }: { readonly witness: Witness; readonly cosigners: Cosigners; readonly scheduler: Scheduler }): DrcProofs {
  return {
    async proofOf(slot) {
      for (let waited = 0; ; waited++) {
        const proof = await lastProof(witness, slot);
        if (proof !== undefined && ANSWERED.has(phaseOf(proof))) return { ...proof, checkpoint: await cosigners.collect(proof.checkpoint) };
        if (waited === WAITS) throw proof === undefined ? unknown(slot) : new CodedError('WITNESS_BEHIND', 'This member has not seen an answer in the slot yet.', { slot });
        await scheduler.sleep(WAIT_MS);
      }
    },
  };
}

async function lastProof(witness: Witness, slot: SlotTag): Promise<LeafProof | undefined> {
  try {
    return await witness.proofOf({ namespace: 'drc', key: slotKey(slot) });
  } catch (error) {
    if (isCoded(error, 'LEAF_UNKNOWN') || isCoded(error, 'WITNESS_BEHIND')) return undefined;
    throw error;
  }
}

function phaseOf(proof: LeafProof): string {
  const state: unknown = JSON.parse(fromUtf8(fromBase64url(proof.value ?? '')));
  return (state as { readonly phase?: string }).phase ?? '';
}

function unknown(slot: SlotTag): CodedError {
  return new CodedError('SLOT_UNKNOWN', 'There is no such slot for the caller.', { slot });
}
