/** Proposals and transactions as Fabric writes them: built by clients, read by peers. Layout: fabric-protos `peer/proposal.proto`, `peer/transaction.proto`. */
import { concat, toHex, utf8 } from '#base/bytes.ts';
import { ChannelHeader, Envelope, Header, headerType, Payload, SerializedIdentity, SignatureHeader } from './protos/common.ts';
import {
  ChaincodeAction, ChaincodeActionPayload, ChaincodeHeaderExtension, ChaincodeInvocationSpec, ChaincodeProposalPayload, chaincodeType, Proposal, ProposalResponsePayload, Transaction, type Endorsement,
} from './protos/peer.ts';
import { sha256 } from './sha256.ts';

export type Hash = (...parts: readonly Uint8Array[]) => Uint8Array;

export interface ProposalParts {
  readonly channel: string;
  readonly contract: string;
  readonly args: readonly Uint8Array[];
  readonly transient?: ReadonlyMap<string, Uint8Array>;
  /** Serialised identity of the caller. */
  readonly creator: Uint8Array;
  readonly nonce: Uint8Array;
  /** UTC milliseconds; the caller's claim. */
  readonly timestamp: number;
}

/** `SerializedIdentity` bytes: what a signature's `creator` field holds. */
export function serialiseIdentity(mspId: string, certificate: string): Uint8Array {
  return SerializedIdentity.encode({ mspId, idBytes: utf8(certificate) });
}

/** Transaction id: hexadecimal SHA-256 of nonce ‖ creator. */
export function transactionId(nonce: Uint8Array, creator: Uint8Array, hash: Hash = sha256): string {
  return toHex(hash(nonce, creator));
}

/** `google.protobuf.Timestamp` of UTC milliseconds. */
export function timestampOf(milliseconds: number): { readonly seconds: number; readonly nanos: number } {
  const seconds = Math.floor(milliseconds / 1000);
  return { seconds, nanos: (milliseconds - seconds * 1000) * 1_000_000 };
}

/** Unsigned proposal bytes and the transaction's id. */
export function newProposal(parts: ProposalParts, hash: Hash = sha256): { readonly txId: string; readonly bytes: Uint8Array } {
  const txId = transactionId(parts.nonce, parts.creator, hash);
  const chaincodeId = { name: parts.contract };
  const header = Header.encode({
    channelHeader: ChannelHeader.encode({
      type: headerType.endorserTransaction, timestamp: timestampOf(parts.timestamp), channelId: parts.channel, txId, extension: ChaincodeHeaderExtension.encode({ chaincodeId }),
    }),
    signatureHeader: SignatureHeader.encode({ creator: parts.creator, nonce: parts.nonce }),
  });
  const input = ChaincodeInvocationSpec.encode({ chaincodeSpec: { type: chaincodeType.node, chaincodeId, input: { args: parts.args } } });
  const payload = ChaincodeProposalPayload.encode({ input, transientMap: parts.transient ?? new Map() });
  return { txId, bytes: Proposal.encode({ header, payload }) };
}

export interface ProposalFacts {
  readonly bytes: Uint8Array;
  readonly header: Header;
  readonly channelHeader: ChannelHeader;
  readonly signatureHeader: SignatureHeader;
  readonly contract: string;
  /** Name in the header's extension; must be the invoked one. */
  readonly headerContract: string;
  readonly args: readonly Uint8Array[];
  readonly input: Uint8Array;
  readonly transient: ReadonlyMap<string, Uint8Array>;
}

/** Parts of a proposal. Throws LEDGER_MALFORMED. */
export function readProposal(bytes: Uint8Array): ProposalFacts {
  const proposal = Proposal.decode(bytes);
  const header = Header.decode(proposal.header);
  const channelHeader = ChannelHeader.decode(header.channelHeader);
  const signatureHeader = SignatureHeader.decode(header.signatureHeader);
  const payload = ChaincodeProposalPayload.decode(proposal.payload);
  const spec = ChaincodeInvocationSpec.decode(payload.input).chaincodeSpec;
  return {
    bytes, header, channelHeader, signatureHeader, contract: spec?.chaincodeId?.name ?? '', headerContract: ChaincodeHeaderExtension.decode(channelHeader.extension).chaincodeId?.name ?? '',
    args: spec?.input?.args ?? [], input: payload.input, transient: payload.transientMap,
  };
}

/** Binds an endorsement to its proposal; transient data stays outside, so that a block can be checked without it. */
export function proposalHash(header: Header, input: Uint8Array, hash: Hash = sha256): Uint8Array {
  return hash(header.channelHeader, header.signatureHeader, ChaincodeProposalPayload.encode({ input }));
}

/** Payload of the envelope that a client signs after endorsement. */
export function assembleTransaction(proposal: ProposalFacts, responsePayload: Uint8Array, endorsements: readonly Endorsement[]): Uint8Array {
  const payload = ChaincodeActionPayload.encode({ chaincodeProposalPayload: ChaincodeProposalPayload.encode({ input: proposal.input }), action: { proposalResponsePayload: responsePayload, endorsements } });
  const data = Transaction.encode({ actions: [{ header: proposal.header.signatureHeader, payload }] });
  return Payload.encode({ header: proposal.header, data });
}

export interface EnvelopeFacts {
  readonly bytes: Uint8Array;
  readonly envelope: Envelope;
  readonly header: Header;
  readonly channelHeader: ChannelHeader;
  readonly signatureHeader: SignatureHeader;
  readonly data: Uint8Array;
}

/** The outer parts of any envelope. Throws LEDGER_MALFORMED. */
export function readEnvelope(bytes: Uint8Array): EnvelopeFacts {
  const envelope = Envelope.decode(bytes);
  const payload = Payload.decode(envelope.payload);
  const header = payload.header ?? { channelHeader: new Uint8Array(0), signatureHeader: new Uint8Array(0) };
  return { bytes, envelope, header, channelHeader: ChannelHeader.decode(header.channelHeader), signatureHeader: SignatureHeader.decode(header.signatureHeader), data: payload.data };
}

export interface ActionFacts {
  /** The signature header repeated inside the action. */
  readonly header: Uint8Array;
  readonly count: number;
  readonly contract: string;
  readonly headerContract: string;
  readonly args: readonly Uint8Array[];
  readonly input: Uint8Array;
  readonly responsePayload: Uint8Array;
  readonly proposalHash: Uint8Array;
  readonly endorsements: readonly Endorsement[];
  readonly action: ChaincodeAction;
}

/** The parts of an endorser transaction. Throws LEDGER_MALFORMED. */
export function readAction(facts: Pick<EnvelopeFacts, 'data' | 'channelHeader'>): ActionFacts {
  const { actions } = Transaction.decode(facts.data);
  const payload = ChaincodeActionPayload.decode(actions[0]?.payload ?? new Uint8Array(0));
  const input = ChaincodeProposalPayload.decode(payload.chaincodeProposalPayload).input;
  const spec = ChaincodeInvocationSpec.decode(input).chaincodeSpec;
  const responsePayload = payload.action?.proposalResponsePayload ?? new Uint8Array(0);
  const response = ProposalResponsePayload.decode(responsePayload);
  return {
    header: actions[0]?.header ?? new Uint8Array(0), count: actions.length, contract: spec?.chaincodeId?.name ?? '', headerContract: ChaincodeHeaderExtension.decode(facts.channelHeader.extension).chaincodeId?.name ?? '',
    args: spec?.input?.args ?? [], input, responsePayload, proposalHash: response.proposalHash, endorsements: payload.action?.endorsements ?? [], action: ChaincodeAction.decode(response.extension),
  };
}

/** Bytes under an endorser's signature. */
export function endorsedBytes(responsePayload: Uint8Array, endorser: Uint8Array): Uint8Array {
  return concat(responsePayload, endorser);
}
