/** Writes everything a planned network needs on disk: MSP and TLS folders, node configurations, first blocks, packages, and its description. */
import { chmodSync, cpSync, existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Clock, Random } from '#base/ports.ts';
import { fabricGenesisBlock } from './fabric-genesis.ts';
import { writeMspFolder, writeTlsFolder } from './msp-folder.ts';
import type { FabricNetworkFile } from './network-file.ts';
import { blockFile, builderEnvironment, collectionsJson, HOST, orgFolder, ordererFolder, packageFile, packagesOf, peerFolder, type NetworkPlan, type PlannedChannel, type PlannedOrderer, type PlannedOrganisation } from './network-plan.ts';
import { fillTemplate } from './node-config.ts';

export interface NetworkPlace {
  readonly folder: string;
  /** The folder `fabric/` of this package: templates and the builder. */
  readonly templates: string;
}

/** Throws FABRIC_TEMPLATE. */
export function writeNetworkFiles(plan: NetworkPlan, place: NetworkPlace, seams: { readonly clock: Clock; readonly random: Random }): void {
  const { folder, templates } = place;
  cpSync(join(templates, 'builders'), join(folder, 'builders'), { recursive: true });
  for (const name of ['detect', 'build', 'release']) chmodSync(join(folder, 'builders', 'ccaas', 'bin', name), 0o755);
  plan.ordering.nodes.forEach((_, index) => writeOrderer(plan, place, index));
  for (const org of plan.organisations) writeOrganisation(org, place);
  for (const channel of plan.channels) write(blockFile(folder, channel.name), fabricGenesisBlock(channelParts(plan, channel), seams));
  writePackages(plan, folder);
  for (const channel of plan.channels) for (const contract of channel.contracts) if (contract.collections.length > 0) write(collectionsFile(folder, channel.name, contract.name), collectionsJson(contract.collections));
  writeDescription(plan, folder);
}

/** Contract packages are the same bytes every time. */
export function writePackages(plan: NetworkPlan, folder: string): void {
  for (const [name, { bytes }] of packagesOf(plan)) write(packageFile(folder, name), bytes);
}

/** `network.json`, replaced as a whole: clients read it while the network runs. */
export function writeDescription(plan: NetworkPlan, folder: string): void {
  replace(join(folder, 'network.json'), `${JSON.stringify(describe(plan), null, 2)}\n`);
}

/** A first block names its time and a random number, so it is made once: every orderer must be given the same one. */
export function writeFirstBlock(plan: NetworkPlan, { folder, channel }: { readonly folder: string; readonly channel: PlannedChannel }, seams: { readonly clock: Clock; readonly random: Random }): void {
  const file = blockFile(folder, channel.name);
  if (!existsSync(file)) replace(file, fabricGenesisBlock(channelParts(plan, channel), seams));
}

function replace(path: string, content: string | Uint8Array): void {
  write(`${path}.new`, content);
  renameSync(`${path}.new`, path);
}

export const collectionsFile = (folder: string, channel: string, contract: string): string => join(folder, 'channels', `${channel}.${contract}.collections.json`);

function write(path: string, content: string | Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(path, content, { mode: 0o600 });
}

function writeOrderer({ ordering }: NetworkPlan, { folder, templates }: NetworkPlace, index: number): void {
  const { mspId, rootCertificate, tlsRootCertificate } = ordering;
  const node = ordering.nodes[index] as PlannedOrderer;
  const at = ordererFolder(folder, index);
  writeMspFolder(join(at, 'msp'), { rootCertificate, tlsRootCertificate, ...node.identity });
  writeTlsFolder(join(at, 'tls'), { rootCertificate: tlsRootCertificate, ...node.tls });
  write(join(at, 'orderer.yaml'), fillTemplate(join(templates, 'orderer.yaml'), { FOLDER: at, MSP_ID: mspId, PORT: node.port, ADMIN_PORT: node.adminPort, OPERATIONS_PORT: node.operationsPort }));
}

/** An organisation's identities, and its peer's folder where it runs one. */
export function writeOrganisation(org: PlannedOrganisation, { folder, templates }: NetworkPlace): void {
  const { mspId, rootCertificate, tlsRootCertificate, users, peer } = org;
  const at = orgFolder(folder, mspId);
  write(join(at, 'root.pem'), rootCertificate);
  write(join(at, 'tls-root.pem'), tlsRootCertificate);
  for (const [name, keys] of Object.entries(users)) writeMspFolder(join(at, 'users', name), { rootCertificate, tlsRootCertificate, ...keys });
  if (peer === undefined) return;
  const node = peerFolder(folder, mspId);
  writeMspFolder(join(node, 'msp'), { rootCertificate, tlsRootCertificate, ...(users['peer'] as (typeof users)[string]) });
  writeTlsFolder(join(node, 'tls'), { rootCertificate: tlsRootCertificate, ...peer.tls });
  write(join(node, 'core.yaml'), fillTemplate(join(templates, 'core.yaml'), {
    ID: `peer.${mspId.toLowerCase()}`, MSP_ID: mspId, FOLDER: node, PORT: peer.port, CHAINCODE_PORT: peer.chaincodePort, OPERATIONS_PORT: peer.operationsPort, BUILDER: join(folder, 'builders', 'ccaas'),
    VARIABLES: Object.keys(builderEnvironment(peer)).join(', '),
  }));
}

/** What the first block of a channel is made of. */
export function channelParts(plan: NetworkPlan, { name, members, peers, needed }: PlannedChannel): Parameters<typeof fabricGenesisBlock>[0] {
  const { ordering, consensus } = plan;
  const orgs = plan.organisations.filter(({ mspId }) => members.includes(mspId));
  return {
    name, orgs, peers, needed, consensus,
    network: new Map(orgs.map(({ mspId, tlsRootCertificate, peer }) => [mspId, { tlsRootCertificate, ...(peer === undefined || !peers.includes(mspId) ? {} : { peer: { host: HOST, port: peer.port } }) }])),
    orderer: { ...ordering, consenters: ordering.nodes.map(({ identity, tls, port }) => ({ host: HOST, port, certificate: identity.certificate, tlsCertificate: tls.certificate })) },
  };
}

/** The description for clients; its paths are relative to the folder. */
function describe({ ordering, organisations, channels }: NetworkPlan): FabricNetworkFile {
  return {
    version: 1,
    organisations: organisations.map(({ mspId, users, peer }) => ({
      mspId, rootCertificate: `orgs/${mspId}/root.pem`,
      ...(peer === undefined ? {} : { peer: { address: `${HOST}:${peer.port}`, tlsRootCertificate: `orgs/${mspId}/tls-root.pem`, serverName: 'localhost' } }),
      users: Object.fromEntries(Object.keys(users).map((name) => [name, { certificate: `orgs/${mspId}/users/${name}/signcerts/cert.pem`, key: `orgs/${mspId}/users/${name}/keystore/key.pem` }])),
    })),
    orderers: ordering.nodes.map((node, index) => ({ mspId: ordering.mspId, address: `${HOST}:${node.port}`, tlsRootCertificate: `orderers/${index + 1}/tls/ca.crt`, serverName: 'localhost' })),
    channels: channels.map(({ name, members, contracts }) => ({ name, members, contracts: contracts.map((contract) => contract.name) })),
  };
}
