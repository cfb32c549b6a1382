/** Channel configuration, policies and MSP definitions (fabric-protos `common/configtx.proto`, `policies.proto`, `msp/msp_config.proto`, …). */
import { Envelope } from './common.ts';
import { bool, bytes, bytesList, dict, int, list, message, optionalInt, str, strList, sub, uint, type Message, type Of } from '../wire.ts';

/** `MSPPrincipal.Classification` */
export const principalKind = { role: 0, organizationUnit: 1, identity: 2 } as const;
/** `MSPRole.MSPRoleType` */
export const mspRole = { member: 0, admin: 1, client: 2, peer: 3, orderer: 4 } as const;
export const MspRole = message({ mspIdentifier: str(1), role: int(2) });
export const OrganizationUnit = message({ mspIdentifier: str(1), organizationalUnitIdentifier: str(2), certifiersIdentifier: bytes(3) });
export const MspPrincipal = message({ principalClassification: int(1), principal: bytes(2) });
export type MspPrincipal = Of<typeof MspPrincipal>;

export interface SignaturePolicy {
  /** Index into the envelope's identities. */
  readonly signedBy: number | undefined;
  readonly nOutOf: { readonly n: number; readonly rules: readonly SignaturePolicy[] } | undefined;
}
const NOutOf: Message<{ readonly n: number; readonly rules: readonly SignaturePolicy[] }> = message({ n: int(1), rules: list<SignaturePolicy>(2, () => SignaturePolicy) });
export const SignaturePolicy: Message<SignaturePolicy> = message({ signedBy: optionalInt(1), nOutOf: sub(2, NOutOf) });
export const SignaturePolicyEnvelope = message({ version: int(1), rule: sub(2, SignaturePolicy), identities: list(3, MspPrincipal) });
export type SignaturePolicyEnvelope = Of<typeof SignaturePolicyEnvelope>;

/** `Policy.PolicyType` */
export const policyType = { signature: 1, implicitMeta: 3 } as const;
/** `ImplicitMetaPolicy.Rule` */
export const metaRule = { any: 0, all: 1, majority: 2 } as const;
export const ImplicitMetaPolicy = message({ subPolicy: str(1), rule: int(2) });
export const Policy = message({ type: int(1), value: bytes(2) });
export const ApplicationPolicy = message({ signaturePolicy: sub(1, SignaturePolicyEnvelope), channelConfigPolicyReference: str(2) });

export const ConfigValue = message({ version: uint(1), value: bytes(2), modPolicy: str(3) });
export type ConfigValue = Of<typeof ConfigValue>;
export const ConfigPolicy = message({ version: uint(1), policy: sub(2, Policy), modPolicy: str(3) });
export type ConfigPolicy = Of<typeof ConfigPolicy>;
export interface ConfigGroup {
  readonly version: number;
  readonly groups: ReadonlyMap<string, ConfigGroup>;
  readonly values: ReadonlyMap<string, ConfigValue>;
  readonly policies: ReadonlyMap<string, ConfigPolicy>;
  readonly modPolicy: string;
}
export const ConfigGroup: Message<ConfigGroup> = message({
  version: uint(1), groups: dict<ConfigGroup>(2, sub(2, () => ConfigGroup) as never), values: dict<ConfigValue>(3, sub(2, ConfigValue) as never), policies: dict<ConfigPolicy>(4, sub(2, ConfigPolicy) as never), modPolicy: str(5),
});
export const Config = message({ sequence: uint(1), channelGroup: sub(2, ConfigGroup) });
export type Config = Of<typeof Config>;
export const ConfigEnvelope = message({ config: sub(1, Config), lastUpdate: sub(2, Envelope) });
export const ConfigSignature = message({ signatureHeader: bytes(1), signature: bytes(2) });
export const ConfigUpdateEnvelope = message({ configUpdate: bytes(1), signatures: list(2, ConfigSignature) });
export const ConfigUpdate = message({ channelId: str(1), readSet: sub(2, ConfigGroup), writeSet: sub(3, ConfigGroup) });

export const MspConfig = message({ type: int(1), config: bytes(2) });
export const FabricOUIdentifier = message({ certificate: bytes(1), organizationalUnitIdentifier: str(2) });
export const FabricNodeOUs = message({
  enable: bool(1), clientOuIdentifier: sub(2, FabricOUIdentifier), peerOuIdentifier: sub(3, FabricOUIdentifier), adminOuIdentifier: sub(4, FabricOUIdentifier), ordererOuIdentifier: sub(5, FabricOUIdentifier),
});
export const FabricCryptoConfig = message({ signatureHashFamily: str(1), identityIdentifierHashFunction: str(2) });
export const FabricMspConfig = message({
  name: str(1), rootCerts: bytesList(2), intermediateCerts: bytesList(3), admins: bytesList(4), revocationList: bytesList(5), cryptoConfig: sub(8, FabricCryptoConfig), tlsRootCerts: bytesList(9), fabricNodeOus: sub(11, FabricNodeOUs),
});
export type FabricMspConfig = Of<typeof FabricMspConfig>;

const Capability = message({});
export const Capabilities = message({ capabilities: dict<object>(1, sub(2, Capability) as never) });
export const HashingAlgorithm = message({ name: str(1) });
export const BlockDataHashingStructure = message({ width: uint(1) });
export const OrdererAddresses = message({ addresses: strList(1) });
export const ConsensusType = message({ type: str(1), metadata: bytes(2), state: int(3) });
export const BatchSize = message({ maxMessageCount: uint(1), absoluteMaxBytes: uint(2), preferredMaxBytes: uint(3) });
export const BatchTimeout = message({ timeout: str(1) });
export const AnchorPeer = message({ host: str(1), port: int(2) });
export const AnchorPeers = message({ anchorPeers: list(1, AnchorPeer) });
export const ApiResource = message({ policyRef: str(1) });
export const Acls = message({ acls: dict<{ readonly policyRef: string }>(1, sub(2, ApiResource) as never) });

export const CollectionPolicyConfig = message({ signaturePolicy: sub(1, SignaturePolicyEnvelope) });
export const StaticCollectionConfig = message({
  name: str(1), memberOrgsPolicy: sub(2, CollectionPolicyConfig), requiredPeerCount: int(3), maximumPeerCount: int(4), blockToLive: uint(5), memberOnlyRead: bool(6), memberOnlyWrite: bool(7), endorsementPolicy: sub(8, ApplicationPolicy),
});
export type StaticCollectionConfig = Of<typeof StaticCollectionConfig>;
export const CollectionConfig = message({ staticCollectionConfig: sub(1, StaticCollectionConfig) });
export const CollectionConfigPackage = message({ config: list(1, CollectionConfig) });
