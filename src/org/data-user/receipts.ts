/** Receipts on DRC (protocol C8): what was delivered and what of it was good, by keeper. Settlement counts nothing else. */
import type { z } from 'zod';
import { isCoded } from '#base/errors.ts';
import type { drcInputs } from '#model/drc.ts';
import type { SlotTag } from '#model/ids.ts';
import type { DrcCalls } from './drc-calls.ts';
import { packageDigest, type KeptItem, type Package } from './packages.ts';

export type Receipt = z.output<typeof drcInputs.putReceipt>;

/** An owner may be known to one keeper as several patients, so one keeper can have several parts. */
export function receiptOf(slot: SlotTag, { parts, packageDigest: decided }: Package, items: readonly KeptItem[]): Receipt {
  const keepers = [...new Set(parts.map((part) => part.keeper))].map((org) => ({ org, items: items.filter(({ verdict }) => verdict.keeper === org && verdict.good).length }));
  return {
    slot,
    packageDigest: decided ?? packageDigest(slot, parts, items),
    delivered: items.filter((item) => item.bodyDigest !== undefined).length,
    verified: items.filter((item) => item.verdict.good).length,
    keepers,
  };
}

/** Once: an earlier attempt whose reply was lost counts. */
export async function putReceipt(receipt: Receipt, drc: DrcCalls): Promise<void> {
  try {
    await drc.submit('putReceipt', receipt);
  } catch (error) {
    // Whatever went wrong, what stands on the ledger decides.
    if (isCoded(error, 'RECEIPT_EXISTS') || (await drc.slot(receipt.slot).catch(() => undefined))?.receipt?.packageDigest === receipt.packageDigest) return;
    throw error;
  }
}
