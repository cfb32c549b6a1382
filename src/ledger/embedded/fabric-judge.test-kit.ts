/**
 * A judge of blocks that shares nothing with the ledger: Fabric's own published protobuf bindings and node:crypto only.
 * It decodes every message down to the last, encodes it again (the bindings drop fields that they do not know, so equal
 * bytes mean there are none), recomputes hashes and verifies signatures, and tells what is not as it should be.
 */
import { createHash, verify, X509Certificate } from 'node:crypto';
import { common, ledger, msp, orderer, peer } from '@hyperledger/fabric-protos';

interface Decoded {
  serializeBinary(): Uint8Array;
}
type Type<T extends Decoded> = { deserializeBinary(bytes: Uint8Array): T };

const sha256 = (...parts: readonly Uint8Array[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest();

/** ASN.1 of Fabric's `BlockHeaderBytes`: SEQUENCE { INTEGER number, OCTET STRING previous, OCTET STRING data }. */
export function asn1Header(number: number, previous: Uint8Array, data: Uint8Array): Buffer {
  const tlv = (tag: number, content: Uint8Array): Buffer => Buffer.concat([Buffer.from(content.length < 128 ? [tag, content.length] : [tag, 0x81, content.length]), content]);
  const hex = number.toString(16);
  const magnitude = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  const integer = (magnitude[0] ?? 0) > 0x7f ? Buffer.concat([Buffer.from([0]), magnitude]) : magnitude;
  return tlv(0x30, Buffer.concat([tlv(2, integer), tlv(4, previous), tlv(4, data)]));
}

function verifies(serialised: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const certificate = new X509Certificate(Buffer.from(msp.SerializedIdentity.deserializeBinary(serialised).getIdBytes_asU8()));
  return verify('sha256', message, certificate.publicKey, signature);
}

/** What the judge saw; `problems` is empty for a right block. */
export interface Judgement {
  readonly number: number;
  readonly headerHash: Buffer;
  readonly dataHash: Buffer;
  readonly transactions: readonly { readonly txId: string; readonly type: number; readonly code: number; readonly creator: string; readonly endorsers: readonly string[] }[];
  /** Messages decoded and encoded again. */
  readonly messages: number;
  readonly problems: readonly string[];
}

export function judgeBlock(bytes: Uint8Array, before: Uint8Array | undefined): Judgement {
  const court = new Court();
  const block = court.open('Block', common.Block, bytes);
  const header = block.getHeader() ?? new common.BlockHeader();
  const number = header.getNumber();
  const envelopes = block.getData()?.getDataList_asU8() ?? [];
  const slots = block.getMetadata()?.getMetadataList_asU8() ?? [];
  const headerBytes = asn1Header(number, header.getPreviousHash_asU8(), header.getDataHash_asU8());
  const dataHash = sha256(...envelopes);
  court.expect(dataHash.equals(header.getDataHash_asU8()), 'data hash');
  court.expect(before === undefined || Buffer.from(before).equals(header.getPreviousHash_asU8()), 'previous hash');
  court.expect(number > 0 || header.getPreviousHash_asU8().length === 0, 'block 0 follows nothing');
  court.expect(slots.length === 5, 'five slots of metadata');
  const codes = slots[common.BlockMetadataIndex.TRANSACTIONS_FILTER] ?? new Uint8Array(0);
  court.expect(codes.length === envelopes.length, 'one validation code per transaction');
  judgeOrderer(court, { number, slot: slots[common.BlockMetadataIndex.SIGNATURES] ?? new Uint8Array(0), headerBytes });
  const lastConfig = court.open('Metadata', common.Metadata, slots[common.BlockMetadataIndex.LAST_CONFIG] ?? new Uint8Array(0));
  court.expect(court.open('LastConfig', common.LastConfig, lastConfig.getValue_asU8()).getIndex() <= number, 'last configuration');
  court.expect(court.open('Metadata', common.Metadata, slots[common.BlockMetadataIndex.COMMIT_HASH] ?? new Uint8Array(0)).getValue_asU8().length === 32, 'commit hash');
  const transactions = envelopes.map((envelope, index) => judgeTransaction(court, { envelope, code: codes[index] ?? 254, number }));
  return { number, headerHash: sha256(headerBytes), dataHash, transactions, messages: court.messages, problems: court.problems };
}

class Court {
  readonly problems: string[] = [];
  messages = 0;

  expect(holds: boolean, what: string): void {
    if (!holds) this.problems.push(what);
  }

  open<T extends Decoded>(name: string, type: Type<T>, bytes: Uint8Array): T {
    const message = type.deserializeBinary(bytes);
    this.messages++;
    this.expect(Buffer.from(message.serializeBinary()).equals(bytes), `${name} encodes to other bytes`);
    return message;
  }
}

function judgeOrderer(court: Court, { number, slot, headerBytes }: { readonly number: number; readonly slot: Uint8Array; readonly headerBytes: Uint8Array }): void {
  const metadata = court.open('Metadata', common.Metadata, slot);
  const value = metadata.getValue_asU8();
  const signatures = metadata.getSignaturesList();
  court.expect(number === 0 ? signatures.length === 0 : signatures.length === 1, 'the orderer signs every block but the first');
  for (const one of signatures) {
    const signatureHeader = court.open('SignatureHeader', common.SignatureHeader, one.getSignatureHeader_asU8());
    court.open('OrdererBlockMetadata', common.OrdererBlockMetadata, value);
    court.expect(verifies(signatureHeader.getCreator_asU8(), Buffer.concat([value, one.getSignatureHeader_asU8(), headerBytes]), one.getSignature_asU8()), 'signature of the orderer');
  }
}

function judgeTransaction(court: Court, { envelope: bytes, code, number }: { readonly envelope: Uint8Array; readonly code: number; readonly number: number }): Judgement['transactions'][number] {
  const envelope = court.open('Envelope', common.Envelope, bytes);
  const payload = court.open('Payload', common.Payload, envelope.getPayload_asU8());
  const channelHeader = court.open('ChannelHeader', common.ChannelHeader, payload.getHeader()?.getChannelHeader_asU8() ?? new Uint8Array(0));
  const signatureHeader = court.open('SignatureHeader', common.SignatureHeader, payload.getHeader()?.getSignatureHeader_asU8() ?? new Uint8Array(0));
  const creator = court.open('SerializedIdentity', msp.SerializedIdentity, signatureHeader.getCreator_asU8());
  court.expect(sha256(signatureHeader.getNonce_asU8(), signatureHeader.getCreator_asU8()).toString('hex') === channelHeader.getTxId(), 'transaction id');
  court.expect(number === 0 || verifies(signatureHeader.getCreator_asU8(), envelope.getPayload_asU8(), envelope.getSignature_asU8()), 'signature of the creator');
  const facts = { txId: channelHeader.getTxId(), type: channelHeader.getType(), code, creator: creator.getMspid() };
  if (channelHeader.getType() === common.HeaderType.CONFIG) {
    judgeConfig(court, payload.getData_asU8());
    return { ...facts, endorsers: [] };
  }
  court.expect(channelHeader.getType() === common.HeaderType.ENDORSER_TRANSACTION, 'header type');
  court.open('ChaincodeHeaderExtension', peer.ChaincodeHeaderExtension, channelHeader.getExtension_asU8());
  const actions = court.open('Transaction', peer.Transaction, payload.getData_asU8()).getActionsList();
  court.expect(actions.length === 1, 'one action');
  const header = payload.getHeader() ?? new common.Header();
  return { ...facts, endorsers: actions.flatMap((action) => judgeAction(court, action, { header, valid: code === 0 })) };
}

function judgeAction(court: Court, action: peer.TransactionAction, { header, valid }: { readonly header: common.Header; readonly valid: boolean }): string[] {
  court.expect(Buffer.from(action.getHeader_asU8()).equals(header.getSignatureHeader_asU8()), 'signature header in the action');
  const payload = court.open('ChaincodeActionPayload', peer.ChaincodeActionPayload, action.getPayload_asU8());
  const proposal = court.open('ChaincodeProposalPayload', peer.ChaincodeProposalPayload, payload.getChaincodeProposalPayload_asU8());
  court.expect(proposal.getTransientmapMap().getLength() === 0, 'no transient data in a block');
  court.open('ChaincodeInvocationSpec', peer.ChaincodeInvocationSpec, proposal.getInput_asU8());
  const responseBytes = payload.getAction()?.getProposalResponsePayload_asU8() ?? new Uint8Array(0);
  const response = court.open('ProposalResponsePayload', peer.ProposalResponsePayload, responseBytes);
  court.expect(sha256(header.getChannelHeader_asU8(), header.getSignatureHeader_asU8(), payload.getChaincodeProposalPayload_asU8()).equals(response.getProposalHash_asU8()), 'proposal hash');
  const chaincodeAction = court.open('ChaincodeAction', peer.ChaincodeAction, response.getExtension_asU8());
  if (chaincodeAction.getEvents_asU8().length > 0) court.open('ChaincodeEvent', peer.ChaincodeEvent, chaincodeAction.getEvents_asU8());
  judgeSets(court, chaincodeAction.getResults_asU8());
  return (payload.getAction()?.getEndorsementsList() ?? []).map((one) => {
    const right = verifies(one.getEndorser_asU8(), Buffer.concat([responseBytes, one.getEndorser_asU8()]), one.getSignature_asU8());
    court.expect(right || !valid, 'signature of an endorser');
    return court.open('SerializedIdentity', msp.SerializedIdentity, one.getEndorser_asU8()).getMspid();
  });
}

function judgeSets(court: Court, results: Uint8Array): void {
  const { rwset } = ledger;
  for (const set of court.open('TxReadWriteSet', rwset.TxReadWriteSet, results).getNsRwsetList()) {
    court.open('KVRWSet', rwset.kvrwset.KVRWSet, set.getRwset_asU8());
    for (const collection of set.getCollectionHashedRwsetList()) court.open('HashedRWSet', rwset.kvrwset.HashedRWSet, collection.getHashedRwset_asU8());
  }
}

function judgeConfig(court: Court, data: Uint8Array): void {
  const envelope = court.open('ConfigEnvelope', common.ConfigEnvelope, data);
  const group = envelope.getConfig()?.getChannelGroup();
  court.expect(group !== undefined, 'a configuration');
  if (group !== undefined) judgeGroup(court, group);
  const update = envelope.getLastUpdate();
  if (update === undefined) return;
  const payload = court.open('Payload', common.Payload, update.getPayload_asU8());
  const updates = court.open('ConfigUpdateEnvelope', common.ConfigUpdateEnvelope, payload.getData_asU8());
  court.open('ConfigUpdate', common.ConfigUpdate, updates.getConfigUpdate_asU8());
  for (const one of updates.getSignaturesList()) {
    const creator = court.open('SignatureHeader', common.SignatureHeader, one.getSignatureHeader_asU8()).getCreator_asU8();
    court.expect(verifies(creator, Buffer.concat([one.getSignatureHeader_asU8(), updates.getConfigUpdate_asU8()]), one.getSignature_asU8()), 'signature of a configuration update');
  }
}

const valueTypes: Readonly<Record<string, Type<Decoded>>> = {
  MSP: msp.MSPConfig, AnchorPeers: peer.AnchorPeers, Capabilities: common.Capabilities, ACLs: peer.ACLs, ConsensusType: orderer.ConsensusType, BatchSize: orderer.BatchSize, BatchTimeout: orderer.BatchTimeout,
  HashingAlgorithm: common.HashingAlgorithm, BlockDataHashingStructure: common.BlockDataHashingStructure, OrdererAddresses: common.OrdererAddresses,
};

function judgeGroup(court: Court, group: common.ConfigGroup): void {
  group.getValuesMap().forEach((value: common.ConfigValue, name: string) => {
    const type = valueTypes[name];
    court.expect(type !== undefined, `a configuration value that Fabric knows, not ${name}`);
    if (type === undefined) return;
    const opened = court.open(name, type, value.getValue_asU8());
    if (opened instanceof msp.MSPConfig) court.open('FabricMSPConfig', msp.FabricMSPConfig, opened.getConfig_asU8());
  });
  group.getPoliciesMap().forEach((policy: common.ConfigPolicy) => {
    const inner = policy.getPolicy();
    if (inner?.getType() === common.Policy.PolicyType.SIGNATURE) court.open('SignaturePolicyEnvelope', common.SignaturePolicyEnvelope, inner.getValue_asU8());
    else court.open('ImplicitMetaPolicy', common.ImplicitMetaPolicy, inner?.getValue_asU8() ?? new Uint8Array(0));
  });
  group.getGroupsMap().forEach((part: common.ConfigGroup) => judgeGroup(court, part));
}
