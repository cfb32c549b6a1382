/** The operators' part of a ledger in another process: over gRPC, with what every member may use. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import type { LedgerAdmin } from '../admin.ts';
import type { LedgerClient } from '../client.ts';
import { openTestNetwork, type TestNetwork } from '../conformance/embedded.test-kit.ts';
import { checkDelivered } from '../embedded/chain-check.ts';
import { serveGrpc, type GrpcServer } from '../embedded/grpc-server.ts';
import { createLedgerClient } from '../gateway-client.ts';
import { Block } from '../protos/common.ts';
import { AnchorPeers, FabricMspConfig, MspConfig } from '../protos/config.ts';
import { createGrpcTransport, type GrpcTransport } from './grpc-transport.ts';
import { createOutsideAdmin, readConfig } from './outside-admin.ts';

const seams = { clock: systemClock, random: systemRandom, scheduler: realScheduler };

describe('a ledger elsewhere, for its operators', () => {
  let network: TestNetwork;
  let server: GrpcServer;
  let transport: GrpcTransport;
  let client: LedgerClient;
  let admin: LedgerAdmin;

  beforeAll(async () => {
    network = await openTestNetwork({ clock: systemClock });
    server = await serveGrpc({ transport: network.ledger.transport(), host: '127.0.0.1', port: 0 });
    transport = createGrpcTransport({ address: `127.0.0.1:${server.port}` });
    client = createLedgerClient({ transport, ...seams });
    admin = createOutsideAdmin({ channels: ['either', 'pair'], transportOf: () => transport, readerOf: () => ({ signer: network.orgs.a.peer.signer, client }), ...seams });
  });
  afterAll(async () => {
    transport.close();
    await server.close();
    await network.ledger.close();
  });

  const revoke = async (channel: string, signer = network.orgs.a.admin.signer) => {
    const victim = await network.orgs.a.issue('victim', 'client');
    const crl = await network.orgs.a.ca.issueCrl([{ certificate: victim.certificate, at: systemClock.now() }], systemClock.now());
    await admin.updateCrl({ channel, mspId: 'OrgA', crl, signer });
    return { victim, crl };
  };
  const read = (signer: typeof network.orgs.a.client.signer) => client.evaluate({ channel: 'either', contract: 'probe', name: 'run', input: [['get', 'x']], signer });

  it('tells the height of a channel', async () => {
    expect(await admin.height('either')).toBe(network.ledger.height('either'));
    await expect(admin.height('nowhere')).rejects.toMatchObject({ code: expect.stringMatching(/^LEDGER_(CHANNEL_UNKNOWN|ACCESS_DENIED)$/) });
  });

  it('carries a revocation into the configuration, after which the certificate is refused', async () => {
    const height = network.ledger.height('either');
    const { victim, crl } = await revoke('either');
    expect(network.ledger.height('either')).toBe(height + 1);
    await expect(read(victim.signer)).rejects.toMatchObject({ code: 'LEDGER_ACCESS_DENIED' });
    expect(await read(network.orgs.a.client.signer)).toEqual(['']);
    await admin.updateCrl({ channel: 'either', mspId: 'OrgA', crl, signer: network.orgs.a.admin.signer });
    expect(network.ledger.height('either')).toBe(height + 1);
    await network.ledger.verifyChain('either');
  });

  it('is refused to whoever may not change it, and nothing changes', async () => {
    const height = network.ledger.height('pair');
    for (const signer of [network.orgs.a.client.signer, network.orgs.b.admin.signer]) await expect(revoke('pair', signer)).rejects.toMatchObject({ code: 'LEDGER_CONFIG_REFUSED' });
    await expect(revoke('pair', network.orgs.c.admin.signer)).rejects.toMatchObject({ code: 'LEDGER_ACCESS_DENIED' });
    expect(network.ledger.height('pair')).toBe(height);
  });

  it('two operators at once both get their change in', async () => {
    const lists = await Promise.all([network.orgs.a, network.orgs.b].map(async (org) => ({ org, crl: await org.ca.issueCrl([], systemClock.now() + 5_000) })));
    await Promise.all(lists.map(({ org, crl }) => admin.updateCrl({ channel: 'pair', mspId: org.mspId, crl, signer: org.admin.signer })));
    const height = network.ledger.height('pair');
    for (const { org, crl } of lists) await admin.updateCrl({ channel: 'pair', mspId: org.mspId, crl, signer: org.admin.signer });
    expect(network.ledger.height('pair')).toBe(height);
  });

  it('adds an organisation when enough members sign, with what a network of several machines needs to know of it', async () => {
    const { a, b, c } = network.orgs;
    const change = { channel: 'pair', mspId: 'OrgC', rootCertificate: c.ca.certificate, peer: true, network: { tlsRootCertificate: c.ca.certificate, peer: { host: 'peer.c.example', port: 7051 } } };
    await expect(admin.addOrganisation({ ...change, signers: [a.admin.signer] })).rejects.toMatchObject({ code: 'LEDGER_CONFIG_REFUSED' });
    await admin.addOrganisation({ ...change, signers: [a.admin.signer, b.admin.signer] });
    const height = network.ledger.height('pair');
    await admin.addOrganisation({ ...change, signers: [a.admin.signer, b.admin.signer] });
    expect(network.ledger.height('pair')).toBe(height);
    const config = await readConfig({ channels: [], transportOf: () => transport, readerOf: () => ({ signer: c.client.signer, client }), ...seams }, 'pair', c.client.signer);
    const group = config.channelGroup?.groups.get('Application')?.groups.get('OrgC');
    expect(AnchorPeers.decode(group?.values.get('AnchorPeers')?.value ?? new Uint8Array(0)).anchorPeers).toEqual([{ host: 'peer.c.example', port: 7051 }]);
    expect(FabricMspConfig.decode(MspConfig.decode(group?.values.get('MSP')?.value ?? new Uint8Array(0)).config).tlsRootCerts).toHaveLength(1);
    await network.ledger.verifyChain('pair');
  });

  it('checks the whole chain from delivered blocks, and finds a changed one', async () => {
    const facts = await admin.verifyChain('either');
    expect(facts).toEqual(await network.ledger.verifyChain('either'));
    const blocks: Uint8Array[] = [];
    for await (const block of client.blocks({ channel: 'either', startBlock: 0, signer: network.orgs.a.peer.signer })) {
      blocks.push(block.bytes.slice());
      if (block.number + 1 === facts.blocks) break;
    }
    const last = Block.decode(blocks[1] as Uint8Array);
    const forged = Block.encode({ ...last, header: { ...last.header, number: 1, dataHash: new Uint8Array(32) } });
    await expect(checkDelivered('either', blocks.with(1, forged))).rejects.toMatchObject({ code: 'LEDGER_CHAIN_BROKEN', details: { block: 1 } });
  });
});
