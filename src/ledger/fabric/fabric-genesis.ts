/**
 * Block 0 of a channel on a real Fabric network: the same organisations, policies and access rules as on the embedded
 * ledger, and what only a network of several machines needs: addresses, TLS roots, and orderers that agree by Raft or by BFT.
 * What `configtxgen` would make from a profile (https://hyperledger-fabric.readthedocs.io/en/release-2.5/create_channel/create_channel_config.html).
 */
import { utf8, type Bytes } from '#base/bytes.ts';
import type { Clock, Random } from '#base/ports.ts';
import { dataHash } from '../block.ts';
import type { ChannelConfig } from '../embedded/channel-config.ts';
import { genesisConfig } from '../embedded/genesis.ts';
import { Block, ChannelHeader, Envelope, headerType, LastConfig, Metadata, OrdererBlockMetadata, Payload, SignatureHeader } from '../protos/common.ts';
import {
  AnchorPeers, BatchSize, BatchTimeout, Capabilities, ConfigEnvelope, ConsensusType, FabricMspConfig, ImplicitMetaPolicy, metaRule, MspConfig, OrdererAddresses, policyType, principalKind, SignaturePolicyEnvelope, type ConfigGroup,
  type ConfigPolicy, type ConfigValue,
} from '../protos/config.ts';
import { SerializedIdentity } from '../protos/common.ts';
import { ChannelRestrictions, Orderers, RaftMetadata, SmartBftOptions } from '../protos/orderer-config.ts';
import { timestampOf, transactionId } from '../transaction.ts';

export interface NodeAddress {
  readonly host: string;
  readonly port: number;
}

export interface ConsenterParts extends NodeAddress {
  /** PEM, organisational unit `orderer`. */
  readonly certificate: string;
  /** PEM; server and client of the orderer's connections. */
  readonly tlsCertificate: string;
}

export interface FabricChannelParts extends ChannelConfig {
  /** Of every organisation: PEM of its TLS root, and where its peer listens if it runs one in this channel. */
  readonly network: ReadonlyMap<string, { readonly tlsRootCertificate: string; readonly peer?: NodeAddress }>;
  readonly orderer: { readonly mspId: string; readonly rootCertificate: string; readonly tlsRootCertificate: string; readonly consenters: readonly ConsenterParts[] };
  readonly consensus: 'raft' | 'bft';
}

const ADMINS = 'Admins';
/** Fewer messages wait for more; 50 ms cost no throughput at 64 clients (docs/performance.md). */
const BATCH_TIMEOUT = '50ms';
const TEN_MEGABYTES = 10 * 1024 * 1024;
const RAFT_OPTIONS = { tickInterval: '500ms', electionTick: 10, heartbeatTick: 1, maxInflightBlocks: 5, snapshotIntervalSize: 16 * 1024 * 1024 };
/** SmartBFT's defaults; a request may be as large as a block, and rotation is off, so that "stop the leader" means something. */
const BFT_OPTIONS = {
  requestBatchMaxCount: 500, requestBatchMaxBytes: TEN_MEGABYTES, requestBatchMaxInterval: BATCH_TIMEOUT, incomingMessageBufferSize: 200, requestPoolSize: 100_000, requestForwardTimeout: '2s', requestComplainTimeout: '20s', requestAutoRemoveTimeout: '3m',
  requestMaxBytes: TEN_MEGABYTES, viewChangeResendInterval: '5s', viewChangeTimeout: '20s', leaderHeartbeatTimeout: '1m0s', leaderHeartbeatCount: 10, collectTimeout: '1s', leaderRotation: 1,
};

const value = (bytes: Uint8Array): ConfigValue => ({ version: 0, value: bytes, modPolicy: ADMINS });
const meta = (subPolicy: string): ConfigPolicy => ({ version: 0, policy: { type: policyType.implicitMeta, value: ImplicitMetaPolicy.encode({ subPolicy, rule: metaRule.any }) }, modPolicy: ADMINS });
const capability = (name: string): ConfigValue => value(Capabilities.encode({ capabilities: new Map([[name, {}]]) }));

function withTlsRoot(group: ConfigGroup, tlsRootCertificate: string): ConfigGroup {
  const msp = group.values.get('MSP') as ConfigValue;
  const config = { ...FabricMspConfig.decode(MspConfig.decode(msp.value).config), tlsRootCerts: [utf8(tlsRootCertificate)] };
  return { ...group, values: new Map([...group.values, ['MSP', { ...msp, value: MspConfig.encode({ type: 0, config: FabricMspConfig.encode(config) }) }]]) };
}

/** An organisation's group with what only a network of several machines needs: its TLS root, and where its anchor peer listens. */
export function memberGroup(group: ConfigGroup, parts: { readonly tlsRootCertificate: string; readonly peer?: NodeAddress }): ConfigGroup {
  const whole = withTlsRoot(group, parts.tlsRootCertificate);
  if (!group.values.has('AnchorPeers') || parts.peer === undefined) return whole;
  return { ...whole, values: new Map([...whole.values, ['AnchorPeers', value(AnchorPeers.encode({ anchorPeers: [parts.peer] }))]]) };
}

/** As many of the orderers must sign a block as any two such groups share an honest one: ceil((n + f + 1) / 2), f = floor((n - 1) / 3). */
export function bftQuorum(orderers: number): number {
  return Math.ceil((orderers + Math.floor((orderers - 1) / 3) + 1) / 2);
}

function bftBlockPolicy({ mspId, consenters }: FabricChannelParts['orderer']): ConfigPolicy {
  const identities = consenters.map(({ certificate }) => ({ principalClassification: principalKind.identity, principal: SerializedIdentity.encode({ mspId, idBytes: utf8(certificate) }) }));
  const rules = consenters.map((_, index) => ({ signedBy: index, nOutOf: undefined }));
  return { version: 0, policy: { type: policyType.signature, value: SignaturePolicyEnvelope.encode({ version: 0, rule: { signedBy: undefined, nOutOf: { n: bftQuorum(consenters.length), rules } }, identities }) }, modPolicy: ADMINS };
}

function consensusValues({ orderer, consensus }: FabricChannelParts): [string, ConfigValue][] {
  const { consenters, mspId } = orderer;
  if (consensus === 'raft') {
    const metadata = RaftMetadata.encode({ consenters: consenters.map(({ host, port, tlsCertificate }) => ({ host, port, clientTlsCert: utf8(tlsCertificate), serverTlsCert: utf8(tlsCertificate) })), options: RAFT_OPTIONS });
    return [['ConsensusType', value(ConsensusType.encode({ type: 'etcdraft', metadata }))]];
  }
  const consenterMapping = consenters.map(({ host, port, certificate, tlsCertificate }, index) => ({ id: index + 1, host, port, mspId, identity: utf8(certificate), clientTlsCert: utf8(tlsCertificate), serverTlsCert: utf8(tlsCertificate) }));
  return [['ConsensusType', value(ConsensusType.encode({ type: 'BFT', metadata: SmartBftOptions.encode(BFT_OPTIONS) }))], ['Orderers', value(Orderers.encode({ consenterMapping }))]];
}

function ordererSection(section: ConfigGroup, parts: FabricChannelParts): ConfigGroup {
  const { mspId, tlsRootCertificate, consenters } = parts.orderer;
  const org = withTlsRoot(section.groups.get(mspId) as ConfigGroup, tlsRootCertificate);
  const endpoints = value(OrdererAddresses.encode({ addresses: consenters.map(({ host, port }) => `${host}:${port}`) }));
  const group: ConfigGroup = { ...org, values: new Map([...org.values, ['Endpoints', endpoints]]) };
  const values = new Map<string, ConfigValue>([
    ...section.values, ...consensusValues(parts), ['BatchTimeout', value(BatchTimeout.encode({ timeout: BATCH_TIMEOUT }))],
    ['BatchSize', value(BatchSize.encode({ maxMessageCount: 500, absoluteMaxBytes: TEN_MEGABYTES, preferredMaxBytes: 2 * 1024 * 1024 }))], ['ChannelRestrictions', value(ChannelRestrictions.encode({ maxCount: 0 }))],
  ]);
  const policies = new Map([...section.policies, ['BlockReaders', meta('Readers')], ...(parts.consensus === 'bft' ? [['BlockValidation', bftBlockPolicy(parts.orderer)] as const] : [])]);
  return { ...section, groups: new Map([[mspId, group]]), values, policies };
}

/**
 * The first configuration. It differs from the embedded ledger's in two things only: who orders, and that orderers too give
 * blocks to none but organisations with a peer in the channel (`/Channel/Readers`); on the embedded ledger nobody else delivers.
 */
export function fabricConfig(parts: FabricChannelParts): ConfigGroup {
  const root = genesisConfig(parts, parts.orderer).channelGroup as ConfigGroup;
  const application = root.groups.get('Application') as ConfigGroup;
  const members = new Map([...application.groups].map(([mspId, group]) => [mspId, memberGroup(group, parts.network.get(mspId) as { readonly tlsRootCertificate: string })]));
  const values = new Map([...root.values].filter(([name]) => name !== 'OrdererAddresses'));
  if (parts.consensus === 'bft') values.set('Capabilities', capability('V3_0'));
  const policies = new Map([...root.policies, ['Readers', meta('BlockReaders')]]);
  return { ...root, values, policies, groups: new Map([['Application', { ...application, groups: members }], ['Orderer', ordererSection(root.groups.get('Orderer') as ConfigGroup, parts)]]) };
}

/** Serialised block 0. Confidential: a peer that is no member can join a channel whose first block it holds, and then knows its configuration. */
export function fabricGenesisBlock(parts: FabricChannelParts, { clock, random }: { readonly clock: Clock; readonly random: Random }): Bytes {
  const nonce = random.bytes(24);
  const channelHeader = ChannelHeader.encode({ type: headerType.config, version: 1, timestamp: timestampOf(clock.now()), channelId: parts.name, txId: transactionId(nonce, new Uint8Array(0)) });
  const payload = Payload.encode({ header: { channelHeader, signatureHeader: SignatureHeader.encode({ nonce }) }, data: ConfigEnvelope.encode({ config: { sequence: 0, channelGroup: fabricConfig(parts) } }) });
  const envelope = Envelope.encode({ payload });
  const lastConfig = { index: 0 };
  const metadata = [Metadata.encode({ value: OrdererBlockMetadata.encode({ lastConfig }) }), Metadata.encode({ value: LastConfig.encode(lastConfig) }), new Uint8Array(0), new Uint8Array(0), new Uint8Array(0)];
  return Block.encode({ header: { number: 0, previousHash: new Uint8Array(0), dataHash: dataHash([envelope]) }, data: { data: [envelope] }, metadata: { metadata } });
}
