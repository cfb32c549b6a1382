/** A Fabric network on one machine, said whole before anything is started: who takes part, where everything listens, which contracts run where. */
import { join } from 'node:path';
import type { CollectionSpec } from '../embedded/lifecycle.ts';
import type { Listener } from './node-processes.ts';
import { addressVariable, ccaasPackage, type CcaasPackage } from './ccaas-package.ts';

export interface KeyPair {
  /** PEM. */
  readonly certificate: string;
  /** PEM, PKCS#8. */
  readonly privateKey: string;
}

export interface PlannedPeer {
  readonly tls: KeyPair;
  readonly port: number;
  readonly chaincodePort: number;
  readonly operationsPort: number;
  /** By contract: where this organisation's server of it listens. */
  readonly contractPorts: ReadonlyMap<string, number>;
}

export interface PlannedOrganisation {
  readonly mspId: string;
  /** PEM. */
  readonly rootCertificate: string;
  readonly tlsRootCertificate: string;
  /** `admin` (unit admin) and `peer` (unit peer) are needed where there is a peer. */
  readonly users: Readonly<Record<string, KeyPair>>;
  readonly peer?: PlannedPeer;
}

export interface PlannedOrderer {
  readonly identity: KeyPair;
  readonly tls: KeyPair;
  readonly port: number;
  readonly adminPort: number;
  readonly operationsPort: number;
}

export interface PlannedContract {
  readonly name: string;
  readonly version: string;
  /** Endorsements needed, of the channel's peers. */
  readonly needed: number;
  readonly collections: readonly CollectionSpec[];
}

export interface PlannedChannel {
  readonly name: string;
  readonly members: readonly string[];
  readonly peers: readonly string[];
  readonly needed: number;
  readonly contracts: readonly PlannedContract[];
}

export interface NetworkPlan {
  readonly consensus: 'raft' | 'bft';
  readonly ordering: { readonly mspId: string; readonly rootCertificate: string; readonly tlsRootCertificate: string; readonly nodes: readonly PlannedOrderer[] };
  readonly organisations: readonly PlannedOrganisation[];
  readonly channels: readonly PlannedChannel[];
}

export const HOST = '127.0.0.1';

/** Where an organisation's or orderer's things are, below the network's folder. */
export const orgFolder = (folder: string, mspId: string): string => join(folder, 'orgs', mspId);
export const peerFolder = (folder: string, mspId: string): string => join(orgFolder(folder, mspId), 'node');
export const ordererFolder = (folder: string, index: number): string => join(folder, 'orderers', String(index + 1));
export const blockFile = (folder: string, channel: string): string => join(folder, 'channels', `${channel}.block`);
export const packageFile = (folder: string, contract: string): string => join(folder, 'packages', `${contract}.tgz`);

/** Every contract that runs in the network, once. */
export function packagesOf(plan: NetworkPlan): ReadonlyMap<string, CcaasPackage> {
  return new Map(plan.channels.flatMap((channel) => channel.contracts.map(({ name, version }) => [name, ccaasPackage(name, version)] as const)));
}

/** Contracts of an organisation's channels, in name order. */
export function contractsOf(channels: readonly PlannedChannel[], mspId: string): string[] {
  return [...new Set(channels.filter(({ peers }) => peers.includes(mspId)).flatMap(({ contracts }) => contracts.map(({ name }) => name)))].sort();
}

/** Everything that will listen, for the question whether it can. */
export function listenersOf({ ordering, organisations }: NetworkPlan): Listener[] {
  const orderers = ordering.nodes.flatMap((node, index) => [
    { role: `orderer ${index + 1}`, port: node.port }, { role: `orderer ${index + 1} (administration)`, port: node.adminPort }, { role: `orderer ${index + 1} (operations)`, port: node.operationsPort },
  ]);
  const peers = organisations.flatMap(({ mspId, peer }) => (peer === undefined ? [] : [
    { role: `peer of ${mspId}`, port: peer.port }, { role: `peer of ${mspId} (chaincode)`, port: peer.chaincodePort }, { role: `peer of ${mspId} (operations)`, port: peer.operationsPort },
    ...[...peer.contractPorts].map(([contract, port]) => ({ role: `contract ${contract} of ${mspId}`, port })),
  ]));
  return [...orderers, ...peers];
}

/** What a peer's builder finds in its environment. */
export function builderEnvironment(peer: PlannedPeer): Record<string, string> {
  return Object.fromEntries([...peer.contractPorts].map(([contract, port]) => [addressVariable(contract), `${HOST}:${port}`]));
}

/** An endorsement policy as the peer's command line reads it. */
export function policyText(needed: number, peers: readonly string[]): string {
  return `OutOf(${needed}, ${peers.map((mspId) => `'${mspId}.peer'`).join(', ')})`;
}

/** The collections of a contract as `--collections-config` reads them. */
export function collectionsJson(collections: readonly CollectionSpec[]): string {
  return `${JSON.stringify(collections.map((one) => ({
    name: one.name, policy: `OR(${one.members.map((mspId) => `'${mspId}.peer'`).join(', ')})`, requiredPeerCount: 0, maxPeerCount: one.members.length, blockToLive: one.blockToLive ?? 0, memberOnlyRead: one.memberOnlyRead ?? true, memberOnlyWrite: one.memberOnlyWrite ?? true,
  })), null, 2)}\n`;
}
