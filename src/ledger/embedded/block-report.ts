/** What anybody can check of a block alone: its hashes, and every signature in it against the certificate beside it. Whether a certificate is a member's is a question for the channel's configuration. */
import { createHash, X509Certificate } from 'node:crypto';
import { concat, equalBytes } from '#base/bytes.ts';
import { isCoded } from '#base/errors.ts';
import { dataHash, headerDer, readBlock, type BlockFacts, type TransactionFacts } from '../block.ts';
import { Block, headerType, Metadata, metadataSlot, SerializedIdentity, SignatureHeader } from '../protos/common.ts';
import { endorsedBytes, readAction, readEnvelope } from '../transaction.ts';
import { readSets } from './prepared.ts';
import { isLowS } from '../low-s.ts';
import { publicKeyOf, verifyNativeSync } from './native-signer.ts';

/** A signature and whether it is right, with the MSP id that it claims. */
export interface SignatureReport {
  readonly mspId: string;
  readonly right: boolean;
}

/** How many keys a transaction read and wrote; the private ones by their hashes. */
export interface KeyCounts {
  readonly reads: number;
  readonly ranges: number;
  readonly writes: number;
  readonly policies: number;
  readonly privateReads: number;
  readonly privateWrites: number;
}

export interface TransactionReport extends TransactionFacts {
  /** Absent where the envelope carries none: the first block of a channel. */
  readonly creatorSignature?: SignatureReport;
  readonly endorsements: readonly SignatureReport[];
  readonly keys: KeyCounts;
}

export interface BlockReport extends Omit<BlockFacts, 'transactions'> {
  readonly dataHashRight: boolean;
  /** Absent for block 0 and where the block before is not known. */
  readonly previousHashRight?: boolean;
  /** Of the orderer, over value, signature header and block header. */
  readonly ordererSignatures: readonly SignatureReport[];
  readonly transactions: readonly TransactionReport[];
}

const NONE: KeyCounts = { reads: 0, ranges: 0, writes: 0, policies: 0, privateReads: 0, privateWrites: 0 };

/** Examines one block; `before` is the header hash of the one before. Throws LEDGER_MALFORMED. */
export function examineBlock(bytes: Uint8Array, before?: Uint8Array): BlockReport {
  const facts = readBlock(bytes);
  const { header, data, metadata } = Block.decode(bytes);
  const envelopes = data?.data ?? [];
  return {
    ...facts,
    dataHashRight: equalBytes(facts.dataHash, dataHash(envelopes, nodeHash)),
    ...(before === undefined ? {} : { previousHashRight: equalBytes(facts.previousHash, before) }),
    ordererSignatures: header === undefined ? [] : ordererSignatures(metadata?.metadata[metadataSlot.signatures], headerDer(header)),
    transactions: facts.transactions.map((one, index) => examineTransaction(one, envelopes[index] as Uint8Array)),
  };
}

const nodeHash = (...parts: readonly Uint8Array[]): Uint8Array => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

function ordererSignatures(slot: Uint8Array | undefined, headerBytes: Uint8Array): SignatureReport[] {
  if (slot === undefined || slot.length === 0) return [];
  const { value, signatures } = Metadata.decode(slot);
  return signatures.map(({ signatureHeader, signature }) => check(SignatureHeader.decode(signatureHeader).creator, concat(value, signatureHeader, headerBytes), signature));
}

function examineTransaction(facts: TransactionFacts, bytes: Uint8Array): TransactionReport {
  const outer = readEnvelope(bytes);
  const { payload, signature } = outer.envelope;
  const creator = signature.length === 0 ? {} : { creatorSignature: check(outer.signatureHeader.creator, payload, signature) };
  if (outer.channelHeader.type !== headerType.endorserTransaction) return { ...facts, ...creator, endorsements: [], keys: NONE };
  const { action, endorsements, responsePayload } = readAction(outer);
  return { ...facts, ...creator, endorsements: endorsements.map((one) => check(one.endorser, endorsedBytes(responsePayload, one.endorser), one.signature)), keys: countKeys(action.results) };
}

/** Keys of a read/write set; none where it cannot be read (its transaction is then marked invalid). */
function countKeys(results: Uint8Array): KeyCounts {
  try {
    return readSets(results).reduce<KeyCounts>((sum, { set, collections }) => ({
      reads: sum.reads + set.reads.length, ranges: sum.ranges + set.rangeQueriesInfo.length, writes: sum.writes + set.writes.length, policies: sum.policies + set.metadataWrites.length,
      privateReads: sum.privateReads + collections.reduce((count, { hashed }) => count + hashed.hashedReads.length, 0),
      privateWrites: sum.privateWrites + collections.reduce((count, { hashed }) => count + hashed.hashedWrites.length, 0),
    }), NONE);
  } catch (error) {
    if (isCoded(error, 'LEDGER_MALFORMED')) return NONE;
    throw error;
  }
}

function check(serialised: Uint8Array, message: Uint8Array, signature: Uint8Array): SignatureReport {
  const { mspId, idBytes } = SerializedIdentity.decode(serialised);
  return { mspId, right: isLowS(signature) && verifyWith(idBytes, message, signature) };
}

function verifyWith(certificate: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verifyNativeSync(publicKeyOf(new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' })), message, signature);
  } catch {
    // Whatever is no certificate signs nothing.
    return false;
  }
}
