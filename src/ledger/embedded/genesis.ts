/** Block 0 of a channel: a Fabric configuration tree with MSP definitions, policies and capabilities (V2_5, for purge of private data). */
import { equalBytes, utf8 } from '#base/bytes.ts';
import { Block } from '../protos/common.ts';
import { readEnvelope } from '../transaction.ts';
import type { ChannelConfig } from './channel-config.ts';
import { rolePolicy } from './policy.ts';
import {
  Acls, AnchorPeers, BatchSize, BatchTimeout, BlockDataHashingStructure, Capabilities, ConfigEnvelope, ConsensusType, FabricMspConfig, HashingAlgorithm, ImplicitMetaPolicy, metaRule, MspConfig, mspRole, OrdererAddresses, policyType,
  SignaturePolicyEnvelope, type Config, type ConfigGroup, type ConfigPolicy, type ConfigValue,
} from '../protos/config.ts';

const ADMINS = 'Admins';

const value = (bytes: Uint8Array, modPolicy = ADMINS): ConfigValue => ({ version: 0, value: bytes, modPolicy });
const signature = (envelope: SignaturePolicyEnvelope): ConfigPolicy => ({ version: 0, policy: { type: policyType.signature, value: SignaturePolicyEnvelope.encode(envelope) }, modPolicy: ADMINS });
const meta = (subPolicy: string, rule: number): ConfigPolicy => ({ version: 0, policy: { type: policyType.implicitMeta, value: ImplicitMetaPolicy.encode({ subPolicy, rule }) }, modPolicy: ADMINS });
const anyOf = (mspId: string, ...roles: readonly number[]): ConfigPolicy => signature(rolePolicy(1, roles.map((role) => ({ mspId, role }))));
const capability = (name: string): ConfigValue => value(Capabilities.encode({ capabilities: new Map([[name, {}]]) }));

/** An MSP definition with NodeOUs: the organisational unit in a certificate is its role. */
export function mspValue(mspId: string, rootCertificates: readonly string[], revocationLists: readonly Uint8Array[] = []): Uint8Array {
  const unit = (organizationalUnitIdentifier: string): { organizationalUnitIdentifier: string } => ({ organizationalUnitIdentifier });
  const config = FabricMspConfig.encode({
    name: mspId, rootCerts: rootCertificates.map(utf8), revocationList: revocationLists, cryptoConfig: { signatureHashFamily: 'SHA2', identityIdentifierHashFunction: 'SHA256' },
    fabricNodeOus: { enable: true, clientOuIdentifier: unit('client'), peerOuIdentifier: unit('peer'), adminOuIdentifier: unit('admin'), ordererOuIdentifier: unit('orderer') },
  });
  return MspConfig.encode({ type: 0, config });
}

/**
 * A member's group. An organisation with a peer names it as its anchor, as Fabric does. Blocks and events hold everybody's
 * transactions: they are for organisations that run a peer here, whole blocks only for their peers and administrators.
 */
export function organisationGroup(mspId: string, rootCertificate: string, hasPeer: boolean): ConfigGroup {
  const values = new Map([['MSP', value(mspValue(mspId, [rootCertificate]))]]);
  if (hasPeer) values.set('AnchorPeers', value(AnchorPeers.encode({ anchorPeers: [{ host: `peer.${mspId.toLowerCase()}`, port: 7051 }] })));
  const policies = new Map([
    ['Readers', anyOf(mspId, mspRole.member)],
    ['Writers', anyOf(mspId, mspRole.member)],
    ['Admins', anyOf(mspId, mspRole.admin)],
    ['Endorsement', anyOf(mspId, mspRole.peer)],
  ]);
  if (hasPeer) policies.set('BlockReaders', anyOf(mspId, mspRole.peer, mspRole.admin)).set('EventReaders', anyOf(mspId, mspRole.member));
  return { version: 0, groups: new Map(), values, policies, modPolicy: ADMINS };
}

/** What shows whole transactions of others in Fabric: block delivery and the query system chaincode of its peers. */
const WHOLE_BLOCKS = ['event/Block', 'qscc/GetBlockByNumber', 'qscc/GetBlockByHash', 'qscc/GetBlockByTxID', 'qscc/GetTransactionByID'];
const EVENTS = ['event/FilteredBlock', 'gateway/ChaincodeEvents'];

/** Most of the organisations with peers must endorse a contract definition. */
export function lifecyclePolicy(peers: readonly string[]): ConfigPolicy {
  return signature(rolePolicy(Math.floor(peers.length / 2) + 1, peers.map((mspId) => ({ mspId, role: mspRole.peer }))));
}

function applicationGroup(config: ChannelConfig): ConfigGroup {
  const groups = new Map(config.orgs.map(({ mspId, rootCertificate }) => [mspId, organisationGroup(mspId, rootCertificate, config.peers.includes(mspId))]));
  const policies = new Map([
    ['Readers', meta('Readers', metaRule.any)],
    ['Writers', meta('Writers', metaRule.any)],
    ['BlockReaders', meta('BlockReaders', metaRule.any)],
    ['EventReaders', meta('EventReaders', metaRule.any)],
    ['Admins', meta('Admins', metaRule.majority)],
    ['Endorsement', signature(rolePolicy(config.needed, config.peers.map((mspId) => ({ mspId, role: mspRole.peer }))))],
    ['LifecycleEndorsement', lifecyclePolicy(config.peers)],
  ]);
  const rule = (policy: string) => (resource: string) => [resource, { policyRef: `/Channel/Application/${policy}` }] as const;
  const acls = Acls.encode({ acls: new Map([...WHOLE_BLOCKS.map(rule('BlockReaders')), ...EVENTS.map(rule('EventReaders'))]) });
  return { version: 0, groups, values: new Map([['Capabilities', capability('V2_5')], ['ACLs', value(acls)]]), policies, modPolicy: ADMINS };
}

function ordererGroup(orderer: { readonly mspId: string; readonly rootCertificate: string }): ConfigGroup {
  const { mspId, rootCertificate } = orderer;
  const own = new Map([
    ['Readers', anyOf(mspId, mspRole.member)],
    ['Writers', anyOf(mspId, mspRole.member)],
    ['Admins', anyOf(mspId, mspRole.admin)],
  ]);
  const group: ConfigGroup = { version: 0, groups: new Map(), values: new Map([['MSP', value(mspValue(mspId, [rootCertificate]))]]), policies: own, modPolicy: ADMINS };
  const values = new Map([
    ['ConsensusType', value(ConsensusType.encode({ type: 'embedded' }))],
    ['BatchSize', value(BatchSize.encode({ maxMessageCount: 500, absoluteMaxBytes: 10 * 1024 * 1024, preferredMaxBytes: 2 * 1024 * 1024 }))],
    ['BatchTimeout', value(BatchTimeout.encode({ timeout: '10ms' }))],
    ['Capabilities', capability('V2_0')],
  ]);
  const policies = new Map([
    ['Readers', meta('Readers', metaRule.any)],
    ['Writers', meta('Writers', metaRule.any)],
    ['Admins', meta('Admins', metaRule.majority)],
    ['BlockValidation', meta('Writers', metaRule.any)],
  ]);
  return { version: 0, groups: new Map([[mspId, group]]), values, policies, modPolicy: ADMINS };
}

export interface GenesisOrderer {
  readonly mspId: string;
  /** PEM. */
  readonly rootCertificate: string;
}

/** The first configuration of a channel. */
export function genesisConfig(config: ChannelConfig, orderer: GenesisOrderer): Config {
  const values = new Map([
    ['HashingAlgorithm', value(HashingAlgorithm.encode({ name: 'SHA256' }))],
    ['BlockDataHashingStructure', value(BlockDataHashingStructure.encode({ width: 0xffffffff }))],
    ['OrdererAddresses', value(OrdererAddresses.encode({ addresses: ['embedded:7050'] }), '/Channel/Orderer/Admins')],
    ['Capabilities', capability('V2_0')],
  ]);
  const policies = new Map([
    ['Readers', meta('Readers', metaRule.any)],
    ['Writers', meta('Writers', metaRule.any)],
    ['Admins', meta('Admins', metaRule.majority)],
  ]);
  const groups = new Map([['Application', applicationGroup(config)], ['Orderer', ordererGroup(orderer)]]);
  return { sequence: 0, channelGroup: { version: 0, groups, values, policies, modPolicy: ADMINS } };
}

/** Does block 0 hold the configuration that a channel of this description begins with? */
export function beganWith(block: Uint8Array | undefined, config: ChannelConfig, orderer: GenesisOrderer): boolean {
  const [envelope] = block === undefined ? [] : (Block.decode(block).data?.data ?? []);
  return envelope !== undefined && equalBytes(ConfigEnvelope.encode({ config: genesisConfig(config, orderer), lastUpdate: undefined }), readEnvelope(envelope).data);
}
