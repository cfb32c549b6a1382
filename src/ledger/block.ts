/** Blocks: their hash chain and what a reader wants to know of them. Works wherever bytes arrive, browsers included. */
import { concat, fromUtf8, u64, type Bytes } from '#base/bytes.ts';
import { codeName, type ValidationCodeName } from './codes.ts';
import { derTag, derUnsigned, derWrite } from './der.ts';
import { Block, BlockHeader, headerType, Metadata, metadataSlot, SerializedIdentity } from './protos/common.ts';
import { ChaincodeEventMessage } from './protos/peer.ts';
import { KVRWSet, TxReadWriteSet } from './protos/rwset.ts';
import { sha256 } from './sha256.ts';
import { readAction, readEnvelope, type Hash } from './transaction.ts';

import { CodedError } from '#base/errors.ts';

export interface BlockWrite {
  readonly namespace: string;
  readonly key: string;
  /** null: deleted. */
  readonly value: Uint8Array | null;
}

export interface TransactionFacts {
  readonly txId: string;
  readonly code: ValidationCodeName;
  readonly channel: string;
  readonly type: 'endorser' | 'config' | 'other';
  readonly contract: string;
  /** First argument: the contract's transaction name. */
  readonly function: string;
  /** The arguments after the name. */
  readonly args: readonly Uint8Array[];
  readonly creator: { readonly mspId: string; readonly certificate: string };
  /** UTC milliseconds; the client's claim. */
  readonly timestamp: number;
  /** Public writes, in namespace and key order. */
  readonly writes: readonly BlockWrite[];
  /** MSP ids of the endorsing organisations. */
  readonly endorsers: readonly string[];
  readonly event?: { readonly name: string; readonly payload: Uint8Array };
}

export interface BlockFacts {
  readonly number: number;
  readonly previousHash: Uint8Array;
  readonly dataHash: Uint8Array;
  readonly headerHash: Bytes;
  /** Fabric's running hash over all valid updates; equal on every peer that agrees. Empty in block 0. */
  readonly commitHash: Uint8Array;
  readonly transactions: readonly TransactionFacts[];
}

/** The header as Fabric hashes and signs it: ASN.1 SEQUENCE of INTEGER number, OCTET STRING previous hash, OCTET STRING data hash. */
export function headerDer(header: BlockHeader): Bytes {
  return derWrite(derTag.sequence, derUnsigned(u64(header.number)), derWrite(derTag.octetString, header.previousHash), derWrite(derTag.octetString, header.dataHash));
}

/** Hash by which the next block names this one. */
export function headerHash(header: BlockHeader, hash: Hash = sha256): Uint8Array {
  return hash(headerDer(header));
}

/** SHA-256 of the transactions' bytes, one after the other. */
export function dataHash(data: readonly Uint8Array[], hash: Hash = sha256): Uint8Array {
  return hash(concat(...data));
}

/** Facts of a serialised `common.Block`. Throws LEDGER_MALFORMED. Hash chain and signatures are not judged here. */
export function readBlock(bytes: Uint8Array): BlockFacts {
  const { header, data, metadata } = Block.decode(bytes);
  if (header === undefined) throw new CodedError('LEDGER_MALFORMED', 'The block has no header.');
  const filter = metadata?.metadata[metadataSlot.transactionsFilter] ?? new Uint8Array(0);
  return {
    number: header.number, previousHash: header.previousHash, dataHash: header.dataHash, headerHash: sha256(headerDer(header)), commitHash: commitHashOf(metadata?.metadata ?? []),
    transactions: (data?.data ?? []).map((envelope, index) => readTransactionFacts(envelope, filter[index] ?? 254)),
  };
}

/** `common.Metadata.value` of the COMMIT_HASH slot. */
export function commitHashOf(metadata: readonly Uint8Array[]): Uint8Array {
  const slot = metadata[metadataSlot.commitHash];
  return slot === undefined || slot.length === 0 ? new Uint8Array(0) : Metadata.decode(slot).value;
}

function readTransactionFacts(envelope: Uint8Array, code: number): TransactionFacts {
  const outer = readEnvelope(envelope);
  const creator = SerializedIdentity.decode(outer.signatureHeader.creator);
  const { seconds, nanos } = outer.channelHeader.timestamp ?? { seconds: 0, nanos: 0 };
  const common = {
    txId: outer.channelHeader.txId, code: codeName(code), channel: outer.channelHeader.channelId, creator: { mspId: creator.mspId, certificate: fromUtf8(creator.idBytes) },
    timestamp: seconds * 1000 + Math.floor(nanos / 1_000_000),
  };
  if (outer.channelHeader.type !== headerType.endorserTransaction) {
    return { ...common, type: outer.channelHeader.type === headerType.config ? 'config' : 'other', contract: '', function: '', args: [], writes: [], endorsers: [] };
  }
  const { action, args, contract, endorsements } = readAction(outer);
  const event = action.events.length === 0 ? undefined : ChaincodeEventMessage.decode(action.events);
  return {
    ...common, type: 'endorser', contract, function: args[0] === undefined ? '' : fromUtf8(args[0]), args: args.slice(1), writes: publicWrites(action.results),
    endorsers: endorsements.map((endorsement) => SerializedIdentity.decode(endorsement.endorser).mspId),
    ...(event === undefined ? {} : { event: { name: event.eventName, payload: event.payload } }),
  };
}

function publicWrites(results: Uint8Array): BlockWrite[] {
  const writes: BlockWrite[] = [];
  for (const set of TxReadWriteSet.decode(results).nsRwset) {
    for (const write of KVRWSet.decode(set.rwset).writes) writes.push({ namespace: set.namespace, key: write.key, value: write.isDelete ? null : write.value });
  }
  return writes;
}
