/** What a Fabric network is started from, held against Fabric's own messages, OpenSSL, tar and a shell: everything short of its programs. */
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { common, msp, orderer as ordererProtos, peer as peerProtos } from '@hyperledger/fabric-protos';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock, systemRandom } from '#sim/seams.ts';
import { blockFile, packageFile, packagesOf, type NetworkPlan } from '#ledger/fabric/network-plan.ts';
import { writeNetworkFiles } from '#ledger/fabric/network-files.ts';
import { fillTemplate } from '#ledger/fabric/node-config.ts';
import { ccaasPackage } from '#ledger/fabric/ccaas-package.ts';
import { readFabricNetwork } from '#ledger/fabric/network-file.ts';
import { planNetwork } from './fabric-plan.ts';

const TEMPLATES = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'fabric');
const root = mkdtempSync(join(tmpdir(), 'healthkeep-fabric-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function written(name: string, consensus: 'raft' | 'bft'): Promise<{ readonly folder: string; readonly plan: NetworkPlan }> {
  const folder = join(root, name);
  const plan = await planNetwork({ folder, firstPort: 20_000, consensus, conformance: consensus === 'raft' });
  writeNetworkFiles(plan, { folder, templates: TEMPLATES }, { clock: systemClock, random: systemRandom });
  return { folder, plan };
}

/** The configuration in block 0, through Fabric's generated code. */
function configOf(folder: string, channel: string): { readonly header: common.ChannelHeader; readonly group: common.ConfigGroup; readonly block: common.Block } {
  const block = common.Block.deserializeBinary(readFileSync(blockFile(folder, channel)));
  const envelope = block.getData()?.getDataList_asU8()[0] as Uint8Array;
  expect(Buffer.from(block.getHeader()?.getDataHash_asU8() as Uint8Array).toString('hex')).toBe(createHash('sha256').update(envelope).digest('hex'));
  const payload = common.Payload.deserializeBinary(common.Envelope.deserializeBinary(envelope).getPayload_asU8());
  const config = common.ConfigEnvelope.deserializeBinary(payload.getData_asU8());
  return { block, header: common.ChannelHeader.deserializeBinary(payload.getHeader()?.getChannelHeader_asU8() as Uint8Array), group: config.getConfig()?.getChannelGroup() as common.ConfigGroup };
}

const groupIn = (group: common.ConfigGroup, ...names: readonly string[]): common.ConfigGroup => names.reduce((at, name) => at.getGroupsMap().get(name) as common.ConfigGroup, group);
const names = (map: { keys(): { next(): { done?: boolean; value: string } } }): string[] => {
  const out: string[] = [];
  const keys = map.keys();
  for (let step = keys.next(); step.done !== true; step = keys.next()) out.push(step.value);
  return out.sort();
};
const valueIn = (group: common.ConfigGroup, name: string): Uint8Array => group.getValuesMap().get(name)?.getValue_asU8() as Uint8Array;
const capability = (group: common.ConfigGroup): string[] => names(common.Capabilities.deserializeBinary(valueIn(group, 'Capabilities')).getCapabilitiesMap());

/** A signature policy as `n of [who, …]`. */
function signaturePolicy(group: common.ConfigGroup, name: string): string {
  const policy = group.getPoliciesMap().get(name)?.getPolicy();
  expect(policy?.getType()).toBe(common.Policy.PolicyType.SIGNATURE);
  const envelope = common.SignaturePolicyEnvelope.deserializeBinary(policy?.getValue_asU8() as Uint8Array);
  const who = envelope.getIdentitiesList().map((principal) => {
    if (principal.getPrincipalClassification() === msp.MSPPrincipal.Classification.IDENTITY) return msp.SerializedIdentity.deserializeBinary(principal.getPrincipal_asU8()).getMspid();
    const role = msp.MSPRole.deserializeBinary(principal.getPrincipal_asU8());
    return `${role.getMspIdentifier()}.${['member', 'admin', 'client', 'peer', 'orderer'][role.getRole()]}`;
  });
  return `${envelope.getRule()?.getNOutOf()?.getN()} of ${who.join(' ')}`;
}

function metaPolicy(group: common.ConfigGroup, name: string): string {
  const meta = common.ImplicitMetaPolicy.deserializeBinary(group.getPoliciesMap().get(name)?.getPolicy()?.getValue_asU8() as Uint8Array);
  return `${['ANY', 'ALL', 'MAJORITY'][meta.getRule()]} ${meta.getSubPolicy()}`;
}

describe('a Raft network', () => {
  let folder: string;
  let plan: NetworkPlan;
  beforeAll(async () => void ({ folder, plan } = await written('raft', 'raft')));

  it.each([
    ['uic', ['UO-people'], ['UO-people'], '1 of UO-people.peer'],
    ['con', ['DUO-helix', 'DUO-sunrise', 'HO-east', 'HO-west', 'UO-people'], ['UO-people', 'HO-east', 'HO-west', 'DUO-sunrise', 'DUO-helix'], '3 of UO-people.peer HO-east.peer HO-west.peer DUO-sunrise.peer DUO-helix.peer'],
    ['drc', ['DUO-helix', 'DUO-sunrise', 'UO-people'], ['DUO-sunrise', 'DUO-helix'], '2 of DUO-sunrise.peer DUO-helix.peer'],
    ['hdc-east', ['HO-east', 'UO-people'], ['HO-east'], '1 of HO-east.peer'],
    ['hdc-west', ['HO-west', 'UO-people'], ['HO-west'], '1 of HO-west.peer'],
  ])('%s has the members, peers and policies of the architecture', (channel, members, peers, endorsement) => {
    const { header, group, block } = configOf(folder, channel);
    expect([header.getChannelId(), header.getType(), block.getHeader()?.getNumber(), block.getHeader()?.getPreviousHash_asU8().length, block.getMetadata()?.getMetadataList().length]).toEqual([channel, common.HeaderType.CONFIG, 0, 0, 5]);
    const application = groupIn(group, 'Application');
    expect(names(application.getGroupsMap())).toEqual(members);
    expect(names(application.getGroupsMap()).filter((org) => groupIn(application, org).getValuesMap().has('AnchorPeers')).sort()).toEqual([...peers].sort());
    expect(signaturePolicy(application, 'Endorsement')).toBe(endorsement);
    expect(signaturePolicy(application, 'LifecycleEndorsement')).toBe(`${Math.floor(peers.length / 2) + 1} of ${peers.map((org) => `${org}.peer`).join(' ')}`);
    expect([capability(group), capability(application), capability(groupIn(group, 'Orderer'))]).toEqual([['V2_0'], ['V2_5'], ['V2_0']]);
    // Orderers, too, give blocks to nobody but organisations with a peer here, and to each other.
    expect([metaPolicy(group, 'Readers'), metaPolicy(application, 'BlockReaders'), metaPolicy(groupIn(group, 'Orderer'), 'BlockReaders')]).toEqual(['ANY BlockReaders', 'ANY BlockReaders', 'ANY Readers']);
    for (const org of members) expect(groupIn(application, org).getPoliciesMap().has('BlockReaders'), org).toBe(peers.includes(org));
  });

  it('names every anchor where its peer listens, and every organisation with its own roots', () => {
    for (const { mspId, peer, rootCertificate, tlsRootCertificate } of plan.organisations.filter((one) => one.peer !== undefined && !one.mspId.startsWith('Org'))) {
      const org = groupIn(configOf(folder, 'con').group, 'Application', mspId);
      expect(peerProtos.AnchorPeers.deserializeBinary(valueIn(org, 'AnchorPeers')).toObject().anchorPeersList).toEqual([{ host: '127.0.0.1', port: peer?.port }]);
      const config = msp.FabricMSPConfig.deserializeBinary(msp.MSPConfig.deserializeBinary(valueIn(org, 'MSP')).getConfig_asU8());
      expect([config.getName(), config.getRootCertsList_asU8().map((bytes) => Buffer.from(bytes).toString()), config.getTlsRootCertsList_asU8().map((bytes) => Buffer.from(bytes).toString())]).toEqual([mspId, [rootCertificate], [tlsRootCertificate]]);
      expect(config.getFabricNodeOus()?.toObject()).toMatchObject({ enable: true, peerOuIdentifier: { organizationalUnitIdentifier: 'peer' }, adminOuIdentifier: { organizationalUnitIdentifier: 'admin' }, clientOuIdentifier: { organizationalUnitIdentifier: 'client' }, ordererOuIdentifier: { organizationalUnitIdentifier: 'orderer' } });
    }
  });

  it('has three consenters with their TLS certificates, endpoints for peers, and blocks cut after 50 ms', () => {
    const section = groupIn(configOf(folder, 'drc').group, 'Orderer');
    const type = ordererProtos.ConsensusType.deserializeBinary(valueIn(section, 'ConsensusType'));
    expect([type.getType(), type.getState()]).toEqual(['etcdraft', 0]);
    const metadata = ordererProtos.etcdraft.ConfigMetadata.deserializeBinary(type.getMetadata_asU8());
    expect(metadata.getConsentersList().map((one) => [one.getHost(), one.getPort(), Buffer.from(one.getServerTlsCert_asU8()).toString()])).toEqual(plan.ordering.nodes.map(({ port, tls }) => ['127.0.0.1', port, tls.certificate]));
    expect(metadata.getConsentersList()).toHaveLength(3);
    expect(metadata.getOptions()?.toObject()).toMatchObject({ tickInterval: '500ms', electionTick: 10, heartbeatTick: 1, maxInflightBlocks: 5 });
    expect(ordererProtos.BatchTimeout.deserializeBinary(valueIn(section, 'BatchTimeout')).getTimeout()).toBe('50ms');
    expect(ordererProtos.BatchSize.deserializeBinary(valueIn(section, 'BatchSize')).toObject()).toEqual({ maxMessageCount: 500, absoluteMaxBytes: 10_485_760, preferredMaxBytes: 2_097_152 });
    expect(common.OrdererAddresses.deserializeBinary(valueIn(groupIn(section, 'ORD-consortium'), 'Endpoints')).getAddressesList()).toEqual(['127.0.0.1:20000', '127.0.0.1:20010', '127.0.0.1:20020']);
  });

  it('issues certificates that OpenSSL accepts, for their purpose and name, with the role as unit', () => {
    const nodes = ['orgs/HO-east/node', 'orgs/UO-people/node', 'orderers/3'];
    for (const node of nodes) {
      const at = join(folder, node);
      execFileSync('openssl', ['verify', '-x509_strict', '-CAfile', join(at, 'msp/cacerts/root.pem'), join(at, 'msp/signcerts/cert.pem')], { stdio: 'pipe' });
      execFileSync('openssl', ['verify', '-x509_strict', '-purpose', 'sslserver', '-verify_ip', '127.0.0.1', '-CAfile', join(at, 'tls/ca.crt'), join(at, 'tls/server.crt')], { stdio: 'pipe' });
      execFileSync('openssl', ['verify', '-x509_strict', '-purpose', 'sslclient', '-verify_hostname', 'localhost', '-CAfile', join(at, 'msp/tlscacerts/root.pem'), join(at, 'tls/server.crt')], { stdio: 'pipe' });
      const subject = execFileSync('openssl', ['x509', '-noout', '-subject', '-nameopt', 'RFC2253', '-in', join(at, 'msp/signcerts/cert.pem')], { encoding: 'utf8' });
      expect(subject, node).toMatch(node.startsWith('orderers') ? /OU=orderer/ : /OU=peer/);
      expect(execFileSync('openssl', ['pkey', '-pubout', '-in', join(at, 'msp/keystore/key.pem')], { encoding: 'utf8' })).toBe(execFileSync('openssl', ['x509', '-pubkey', '-noout', '-in', join(at, 'msp/signcerts/cert.pem')], { encoding: 'utf8' }));
      expect(statSync(join(at, 'msp/keystore/key.pem')).mode & 0o077, node).toBe(0);
      expect(existsSync(join(at, 'msp', (/Certificate: (.*)/.exec(readFileSync(join(at, 'msp/config.yaml'), 'utf8')) as RegExpExecArray)[1] as string))).toBe(true);
    }
    expect(spawnSync('openssl', ['verify', '-CAfile', join(folder, 'orgs/HO-east/node/tls/ca.crt'), join(folder, 'orgs/HO-west/node/tls/server.crt')]).status).not.toBe(0);
  });

  it('gives each listener a port of its own, and each peer only the contracts of its channels', () => {
    const ports = plan.organisations.flatMap(({ peer }) => (peer === undefined ? [] : [peer.port, peer.chaincodePort, peer.operationsPort, ...peer.contractPorts.values()])).concat(plan.ordering.nodes.flatMap((node) => [node.port, node.adminPort, node.operationsPort]));
    expect(new Set(ports).size).toBe(ports.length);
    expect(Math.max(...ports)).toBeLessThan(20_200);
    expect(Object.fromEntries(plan.organisations.map(({ mspId, peer }) => [mspId, [...(peer?.contractPorts.keys() ?? [])]]))).toEqual({ 'UO-people': ['con', 'uic'], 'HO-east': ['con', 'hdc'], 'HO-west': ['con', 'hdc'], 'DUO-sunrise': ['con', 'drc'], 'DUO-helix': ['con', 'drc'], OrgA: ['helper', 'probe'], OrgB: ['helper', 'probe'], OrgC: [] });
  });

  it('describes itself for clients, with files that are there', () => {
    const network = readFabricNetwork(join(folder, 'network.json'));
    expect(network.channels.map(({ name, contracts }) => `${name} ${contracts.join(' ')}`)).toEqual(['con con', 'uic uic', 'drc drc', 'hdc-east hdc', 'hdc-west hdc', 'solo probe helper', 'pair probe helper', 'either probe helper', 'theirs probe helper']);
    const files = [...network.organisations.flatMap((org) => [org.rootCertificate, org.peer?.tlsRootCertificate, ...Object.values(org.users).flatMap((user) => [user.certificate, user.key])]), ...network.orderers.map((one) => one.tlsRootCertificate)];
    expect(files.filter((file) => file !== undefined && !existsSync(file))).toEqual([]);
    expect(network.organisations.filter(({ peer }) => peer === undefined).map(({ mspId }) => mspId)).toEqual(['OrgC']);
  });

  it('writes the same network again from the same keys', async () => {
    const before = readFileSync(join(folder, 'orgs/HO-east/node/tls/server.crt'), 'utf8');
    const again = await planNetwork({ folder, firstPort: 20_000, consensus: 'raft', conformance: true });
    expect(JSON.stringify(again)).toBe(JSON.stringify(plan));
    expect(again.organisations.find(({ mspId }) => mspId === 'HO-east')?.peer?.tls.certificate).toBe(before);
  });

  it('fills its templates whole, and refuses a value that YAML would read otherwise', () => {
    for (const text of [readFileSync(join(folder, 'orgs/HO-east/node/core.yaml'), 'utf8'), readFileSync(join(folder, 'orderers/1/orderer.yaml'), 'utf8')]) {
      expect(text).not.toMatch(/\$\{|\t/);
      // Mappings and lists of plain values, indented by twos: the part of YAML that nobody reads differently.
      expect(text.trimEnd().split('\n').filter((line) => !/^( {2})*(- )?([A-Za-z_]+:( \S.*)?|\S+)$/.test(line))).toEqual([]);
    }
    expect(readFileSync(join(folder, 'orgs/HO-east/node/core.yaml'), 'utf8')).toContain('propagateEnvironment: [HEALTHKEEP_CHAINCODE_CON, HEALTHKEEP_CHAINCODE_HDC]');
    const template = join(root, 'template.yaml');
    writeFileSync(template, 'a: ${A}\n');
    expect(fillTemplate(template, { A: 1 })).toBe('a: 1\n');
    for (const values of [{}, { A: 1, B: 2 }, { A: 'x: y' }, { A: 'x\ny' }]) expect(() => fillTemplate(template, values)).toThrow(expect.objectContaining({ code: 'FABRIC_TEMPLATE' }));
  });
});

describe('a contract\'s package', () => {
  it('is the same bytes every time, with the id that a hash of them gives, and tar reads it', () => {
    const { id, bytes } = ccaasPackage('hdc', '1.0');
    expect(ccaasPackage('hdc', '1.0').bytes).toEqual(bytes);
    const file = join(root, 'hdc.tgz');
    writeFileSync(file, bytes);
    expect(id).toBe(`hdc_1.0:${execFileSync('sha256sum', [file], { encoding: 'utf8' }).split(' ')[0]}`);
    mkdirSync(join(root, 'unpacked'), { recursive: true });
    expect(execFileSync('tar', ['-xvzf', file, '-C', join(root, 'unpacked')], { encoding: 'utf8' }).trim().split('\n')).toEqual(['metadata.json', 'code.tar.gz']);
    expect(JSON.parse(readFileSync(join(root, 'unpacked/metadata.json'), 'utf8'))).toEqual({ type: 'ccaas', label: 'hdc_1.0' });
    // A change of these bytes changes what every organisation approves: it must be meant.
    expect(id).toBe('hdc_1.0:27688ad54ed45f68b8594b981afafefd26709f8557b49d4524f548fc22f3021e');
  });

  it('goes through the builder: each peer\'s environment says where its server is', () => {
    const folder = join(root, 'raft');
    const [source, metadata, built, release] = ['source', 'metadata', 'built', 'release'].map((name) => join(root, 'run', name)) as [string, string, string, string];
    for (const at of [source, metadata, built, release]) mkdirSync(at, { recursive: true });
    execFileSync('tar', ['-xzf', packageFile(folder, 'con'), '-C', metadata]);
    execFileSync('tar', ['-xzf', join(metadata, 'code.tar.gz'), '-C', source]);
    const bin = (name: string): string => join(folder, 'builders/ccaas/bin', name);
    const env = { PATH: process.env['PATH'] ?? '' };
    execFileSync(bin('detect'), [source, metadata], { env });
    execFileSync(bin('build'), [source, metadata, built], { env });
    execFileSync(bin('release'), [built, release], { env: { ...env, HEALTHKEEP_CHAINCODE_CON: '127.0.0.1:20064' } });
    expect(JSON.parse(readFileSync(join(release, 'chaincode/server/connection.json'), 'utf8'))).toEqual({ address: '127.0.0.1:20064', dial_timeout: '10s', tls_required: false });
    expect(spawnSync(bin('release'), [built, release], { env, encoding: 'utf8' })).toMatchObject({ status: 1, stderr: expect.stringContaining('HEALTHKEEP_CHAINCODE_CON is not set') });
    writeFileSync(join(metadata, 'metadata.json'), '{"type":"golang","label":"x"}');
    expect(spawnSync(bin('detect'), [source, metadata], { env }).status).not.toBe(0);
  });
});

describe('a BFT network', () => {
  it('has four consenters that are known by their certificates, and a quorum of three signs a block', async () => {
    const { folder, plan } = await written('bft', 'bft');
    const { group } = configOf(folder, 'con');
    const section = groupIn(group, 'Orderer');
    expect([capability(group), group.getValuesMap().has('OrdererAddresses')]).toEqual([['V3_0'], false]);
    const type = ordererProtos.ConsensusType.deserializeBinary(valueIn(section, 'ConsensusType'));
    expect(type.getType()).toBe('BFT');
    expect(ordererProtos.smartbft.Options.deserializeBinary(type.getMetadata_asU8()).toObject()).toMatchObject({ requestBatchMaxCount: 500, leaderRotation: 1, decisionsPerLeader: 0, requestMaxBytes: 10_485_760 });
    const mapping = common.Orderers.deserializeBinary(valueIn(section, 'Orderers')).getConsenterMappingList();
    expect(mapping.map((one) => [one.getId(), one.getPort(), one.getMspId(), Buffer.from(one.getIdentity_asU8()).toString()])).toEqual(plan.ordering.nodes.map(({ port, identity }, index) => [index + 1, port, 'ORD-consortium', identity.certificate]));
    expect(mapping).toHaveLength(4);
    expect(signaturePolicy(section, 'BlockValidation')).toBe('3 of ORD-consortium ORD-consortium ORD-consortium ORD-consortium');
    expect([...packagesOf(plan).keys()]).toEqual(['con', 'uic', 'drc', 'hdc']);
  });
});
