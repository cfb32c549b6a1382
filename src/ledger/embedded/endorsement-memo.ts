/** What this process endorsed a moment ago: its signatures need no second check, and private values wait here for their block (Fabric's transient store). */
import type { Endorsement } from '../protos/peer.ts';
import type { TxPvtReadWriteSet } from '../protos/rwset.ts';
import type { KnownEndorsements } from './prepared.ts';

interface Endorsed {
  readonly responsePayload: Uint8Array;
  readonly endorsements: readonly Endorsement[];
  readonly privateSet: TxPvtReadWriteSet | undefined;
}

export interface EndorsementMemo extends KnownEndorsements {
  remember(txId: string, endorsed: Endorsed): void;
  privateSet(txId: string): TxPvtReadWriteSet | undefined;
  forget(txId: string): void;
}

const equalBytes = (left: Uint8Array, right: Uint8Array): boolean => Buffer.compare(left, right) === 0;

/** Transactions endorsed and never submitted must not fill the memory. */
const LIMIT = 10_000;

export function createMemo(): EndorsementMemo {
  const entries = new Map<string, Endorsed>();
  return {
    remember: (txId, endorsed) => {
      if (entries.size >= LIMIT) entries.delete(entries.keys().next().value as string);
      entries.set(txId, endorsed);
    },
    has: (txId, responsePayload, endorsement) => {
      const endorsed = entries.get(txId);
      return endorsed !== undefined && equalBytes(endorsed.responsePayload, responsePayload)
        && endorsed.endorsements.some((known) => equalBytes(known.endorser, endorsement.endorser) && equalBytes(known.signature, endorsement.signature));
    },
    privateSet: (txId) => entries.get(txId)?.privateSet,
    forget: (txId) => void entries.delete(txId),
  };
}
