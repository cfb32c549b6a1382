/**
 * The part of validation that needs no state: shape, ids, hashes and signatures of one transaction. It runs when the
 * envelope arrives, on the thread pool, so that cutting a block costs little. Checks and codes follow Fabric's
 * `core/common/validation/msgvalidation.go`.
 */
import { equalBytes } from '#base/bytes.ts';
import { isCoded } from '#base/errors.ts';
import { validationCode, type ValidationCode } from '../codes.ts';
import { headerType } from '../protos/common.ts';
import { HashedRWSet, KVRWSet, TxReadWriteSet } from '../protos/rwset.ts';
import { endorsedBytes, proposalHash, readAction, readEnvelope, transactionId, type ActionFacts, type EnvelopeFacts } from '../transaction.ts';
import type { ChannelView } from './channel-config.ts';
import { nativeHash } from './hash.ts';
import { isRefusal, type Identity, type Refusal } from './msp.ts';
import { verifyNative } from './native-signer.ts';

export interface CollectionWrites {
  readonly name: string;
  readonly hashed: HashedRWSet;
  readonly privateHash: Uint8Array;
}

export interface NamespaceWrites {
  readonly namespace: string;
  readonly set: KVRWSet;
  readonly collections: readonly CollectionWrites[];
}

export interface Prepared {
  readonly bytes: Uint8Array;
  readonly txId: string;
  readonly type: number;
  /** VALID, or why no state can make it valid. */
  readonly code: ValidationCode;
  /** For people and logs: what was wrong. */
  readonly why: string;
  readonly outer?: EnvelopeFacts;
  readonly action?: ActionFacts;
  readonly sets: readonly NamespaceWrites[];
  /** Absent when the envelope names none that the channel knows. */
  readonly creator?: Identity;
  /** Sequence of the configuration under which identities were looked up; under another they are looked up again. */
  readonly sequence: number;
  readonly endorsers: readonly Identity[];
}

/** Endorsements that this process made itself need no second look. */
export interface KnownEndorsements {
  has(txId: string, responsePayload: Uint8Array, endorsement: { readonly endorser: Uint8Array; readonly signature: Uint8Array }): boolean;
}

export const noKnownEndorsements: KnownEndorsements = { has: () => false };

export interface PreparingParts {
  readonly channel: string;
  readonly view: ChannelView;
  readonly known: KnownEndorsements;
}

/** Judges an envelope for a channel. Never throws for what is inside it. */
export async function prepare(bytes: Uint8Array, { channel, view, known }: PreparingParts): Promise<Prepared> {
  const sequence = view.config.sequence;
  const failed = (code: ValidationCode, why: string, txId = '', type = -1): Prepared => ({ bytes, txId, type, code, why, sets: [], sequence, endorsers: [] });
  let outer: EnvelopeFacts;
  try {
    outer = readEnvelope(bytes);
  } catch (error) {
    if (!isCoded(error, 'LEDGER_MALFORMED')) throw error;
    return failed(validationCode.BAD_PAYLOAD, 'The envelope cannot be decoded.');
  }
  const { channelHeader, signatureHeader } = outer;
  const { txId, type } = channelHeader;
  let creator: Identity | Refusal | undefined;
  const refuse = (code: ValidationCode, why: string): Prepared => ({ ...failed(code, why, txId, type), ...(creator === undefined || isRefusal(creator) ? {} : { creator }) });
  if (channelHeader.channelId !== channel) return refuse(validationCode.TARGET_CHAIN_NOT_FOUND, 'The transaction names another channel.');
  if (type !== headerType.endorserTransaction && type !== headerType.config) return refuse(validationCode.UNKNOWN_TX_TYPE, 'The header type is neither a transaction nor a configuration.');
  if (channelHeader.epoch !== 0 || signatureHeader.nonce.length === 0 || signatureHeader.creator.length === 0) return refuse(validationCode.BAD_COMMON_HEADER, 'The header has an epoch, or lacks nonce or creator.');
  creator = view.identify(signatureHeader.creator);
  if (isRefusal(creator)) return refuse(validationCode.BAD_CREATOR_SIGNATURE, creator.refused);
  const signed = verifyNative(creator.key, outer.envelope.payload, outer.envelope.signature);
  if (type === headerType.config) return (await signed) ? { bytes, txId, type, code: validationCode.VALID, why: '', outer, creator, sets: [], sequence, endorsers: [] } : refuse(validationCode.BAD_CREATOR_SIGNATURE, 'The signature is wrong.');
  const inner = readInner(outer);
  if (!(await signed)) return refuse(validationCode.BAD_CREATOR_SIGNATURE, 'The signature is wrong.');
  if (transactionId(signatureHeader.nonce, signatureHeader.creator, nativeHash) !== txId) return refuse(validationCode.BAD_PROPOSAL_TXID, 'The transaction id is not the hash of nonce and creator.');
  if ('code' in inner) return refuse(inner.code, inner.why);
  const endorsers = await endorsersOf(inner.action, { txId, view, known });
  return { bytes, txId, type, code: validationCode.VALID, why: '', outer, creator, action: inner.action, sets: inner.sets, sequence, endorsers };
}

type Inner = { readonly action: ActionFacts; readonly sets: readonly NamespaceWrites[] };

function readInner(outer: EnvelopeFacts): Inner | { readonly code: ValidationCode; readonly why: string } {
  let action: ActionFacts;
  try {
    action = readAction(outer);
  } catch (error) {
    if (!isCoded(error, 'LEDGER_MALFORMED')) throw error;
    return { code: validationCode.INVALID_ENDORSER_TRANSACTION, why: 'The transaction cannot be decoded.' };
  }
  const hash = proposalHash(outer.header, action.input, nativeHash);
  const whole = action.count === 1 && equalBytes(action.header, outer.header.signatureHeader) && equalBytes(hash, action.proposalHash) && action.contract !== '' && action.contract === action.headerContract;
  if (!whole) return { code: validationCode.INVALID_ENDORSER_TRANSACTION, why: 'Header, proposal and response do not belong together.' };
  if (action.action.chaincodeId?.name !== action.contract) return { code: validationCode.INVALID_CHAINCODE, why: 'Another contract answered.' };
  try {
    return { action, sets: readSets(action.action.results) };
  } catch (error) {
    if (!isCoded(error, 'LEDGER_MALFORMED')) throw error;
    return { code: validationCode.BAD_RWSET, why: 'The read/write set cannot be decoded.' };
  }
}

/** Namespaces of a serialised TxReadWriteSet. Throws LEDGER_MALFORMED. */
export function readSets(results: Uint8Array): NamespaceWrites[] {
  return TxReadWriteSet.decode(results).nsRwset.map(({ namespace, rwset, collectionHashedRwset }) => ({
    namespace, set: KVRWSet.decode(rwset),
    collections: collectionHashedRwset.map(({ collectionName, hashedRwset, pvtRwsetHash }) => ({ name: collectionName, hashed: HashedRWSet.decode(hashedRwset), privateHash: pvtRwsetHash })),
  }));
}

/** The identities whose endorsement signatures are right; wrong ones simply do not count (as in Fabric's policy evaluation). */
async function endorsersOf(action: ActionFacts, { txId, view, known }: { readonly txId: string; readonly view: ChannelView; readonly known: KnownEndorsements }): Promise<Identity[]> {
  const checks = action.endorsements.map(async (endorsement) => {
    const identity = view.identify(endorsement.endorser);
    if (isRefusal(identity)) return undefined;
    if (known.has(txId, action.responsePayload, endorsement)) return identity;
    return (await verifyNative(identity.key, endorsedBytes(action.responsePayload, endorsement.endorser), endorsement.signature)) ? identity : undefined;
  });
  return (await Promise.all(checks)).filter((identity) => identity !== undefined);
}
