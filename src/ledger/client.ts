/**
 * The interface above: what a device or an organisation asks of a ledger, in Fabric Gateway's words. Implementations:
 * `gateway-client.ts` over a transport (in process, HTTP relay, gRPC). The caller's key never leaves the caller: the
 * client builds the proposal, the signer signs it.
 */
import type { Json } from '#base/canonical-json.ts';
import type { Hash } from './transaction.ts';

/** An X.509 identity and the means to sign with its key. */
export interface LedgerSigner {
  readonly mspId: string;
  /** PEM. */
  readonly certificate: string;
  /** DER ECDSA P-256 signature with low S over SHA-256 of the message (Fabric's MSP refuses high S). */
  sign(message: Uint8Array): Promise<Uint8Array>;
  /** SHA-256 where the platform has a faster one than ours. */
  readonly hash?: Hash;
}

export interface TransactionCall {
  readonly channel: string;
  readonly contract: string;
  readonly name: string;
  /** Sent as one canonical JSON argument. */
  readonly input: Json;
  readonly signer: LedgerSigner;
  readonly transient?: ReadonlyMap<string, Uint8Array>;
  /** UTC milliseconds that the caller claims; now, unless coarser time is wanted. */
  readonly timestamp?: number;
  readonly signal?: AbortSignal;
}

export interface Committed {
  readonly txId: string;
  readonly blockNumber: number;
  /** The contract's answer, parsed from JSON; null when empty. */
  readonly output: Json;
}

export interface BlockEvent {
  readonly number: number;
  /** Hash of the block that it follows, where that one is on the ledger the channel came from (`continued-client.ts`). */
  readonly hangsOn?: Uint8Array;
  /** Serialised Fabric `common.Block`. */
  readonly bytes: Uint8Array;
}

export interface ChaincodeEvent {
  readonly blockNumber: number;
  readonly txId: string;
  readonly name: string;
  readonly payload: Uint8Array;
}

export interface LedgerClient {
  /**
   * Endorse, order, wait for the durable commit. MVCC and phantom conflicts are retried (fresh endorsement) up to 10 times with jitter.
   * Throws the contract's own CodedError; LEDGER_* codes otherwise (LEDGER_UNREACHABLE, LEDGER_ACCESS_DENIED,
   * LEDGER_ENDORSEMENT_FAILED, LEDGER_CONFLICT, LEDGER_INVALID with details.validationCode, LEDGER_OUTCOME_UNKNOWN with details.txId).
   */
  submit(call: TransactionCall): Promise<Committed>;
  /** Runs the contract on one peer's committed state; nothing is written. */
  evaluate(call: TransactionCall): Promise<Json>;
  /** Blocks from `startBlock` on, then live, until the signal aborts. Requires a member's certificate (not a person's). */
  blocks(options: { readonly channel: string; readonly startBlock: number; readonly signer: LedgerSigner; readonly signal?: AbortSignal }): AsyncIterable<BlockEvent>;
  /** Events of valid transactions, from a block on, then live. */
  events(options: { readonly channel: string; readonly contract: string; readonly startBlock: number; readonly signer: LedgerSigner; readonly signal?: AbortSignal }): AsyncIterable<ChaincodeEvent>;
}
