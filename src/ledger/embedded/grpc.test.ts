import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPrivateKey, createHash } from 'node:crypto';
import { Client, credentials } from '@grpc/grpc-js';
import { connect, hash, signers, type Gateway, type Network } from '@hyperledger/fabric-gateway';
import { systemClock } from '#sim/seams.ts';
import { conformance } from '../conformance/suite.ts';
import { openTestNetwork, type TestNetwork } from '../conformance/embedded.test-kit.ts';
import { createGrpcTransport } from '../fabric/grpc-transport.ts';
import { serveGrpc, type GrpcServer } from './grpc-server.ts';
import type { TestIdentity } from '../consortium.test-kit.ts';

conformance('the embedded ledger, over gRPC', async () => {
  const network = await openTestNetwork();
  const server = await serveGrpc({ transport: network.ledger.transport(), host: '127.0.0.1', port: 0 });
  const transport = createGrpcTransport({ address: `127.0.0.1:${server.port}` });
  return {
    harness: network.harness(transport),
    close: async () => {
      transport.close();
      await server.close();
      await network.ledger.close();
    },
  };
});

describe("Fabric's own client, unmodified", () => {
  let network: TestNetwork;
  let server: GrpcServer;
  let client: Client;
  const gateways: Gateway[] = [];

  const enter = (identity: TestIdentity): Network => {
    const key = createPrivateKey({ key: Buffer.from(identity.privateKeyPkcs8), format: 'der', type: 'pkcs8' });
    const gateway = connect({ client, identity: { mspId: identity.mspId, credentials: Buffer.from(identity.certificate) }, signer: signers.newPrivateKeySigner(key), hash: hash.sha256 });
    gateways.push(gateway);
    return gateway.getNetwork('solo');
  };
  const steps = (...list: readonly (readonly (string | number)[])[]): string => JSON.stringify(list);

  beforeAll(async () => {
    network = await openTestNetwork({ clock: systemClock });
    server = await serveGrpc({ transport: network.ledger.transport(), host: '127.0.0.1', port: 0 });
    client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
  });
  afterAll(async () => {
    for (const gateway of gateways) gateway.close();
    client.close();
    await server.close();
    await network.ledger.close();
  });

  it('evaluates and submits', async () => {
    const contract = enter(network.orgs.a.client).getContract('probe');
    expect(Buffer.from(await contract.submitTransaction('run', steps(['put', 'gw', 'hello']))).toString()).toBe('[null]');
    expect(Buffer.from(await contract.evaluateTransaction('run', steps(['get', 'gw']))).toString()).toBe('["hello"]');
  });

  it('learns the status of what it sent, by id', async () => {
    const contract = enter(network.orgs.a.client).getContract('probe');
    const commit = await contract.submitAsync('run', { arguments: [steps(['put', 'gw-async', 'x'])] });
    const status = await commit.getStatus();
    expect(status).toMatchObject({ successful: true, code: 0, transactionId: commit.getTransactionId() });
    expect(status.blockNumber).toBeGreaterThan(0n);
  });

  it('sends transient data and names endorsing organisations', async () => {
    const contract = enter(network.orgs.a.client).getContract('probe');
    const answer = await contract.submit('run', { arguments: [steps(['transient', 'word'])], transientData: { word: 'quiet' }, endorsingOrganizations: ['OrgA'] });
    expect(Buffer.from(answer).toString()).toBe('["quiet"]');
  });

  it('gets refusals in the shape it knows, with the details of the peer', async () => {
    const contract = enter(network.orgs.a.client).getContract('probe');
    await expect(contract.submitTransaction('run', steps(['refuse', 'PROBE_SAYS_NO']))).rejects.toMatchObject({ name: 'EndorseError', code: 10, details: [{ mspId: 'OrgA', message: expect.stringContaining('PROBE_SAYS_NO') }] });
    await expect(contract.evaluateTransaction('run', steps(['crash']))).rejects.toMatchObject({ code: 2, details: [{ message: 'chaincode response 500, the probe broke' }] });
    await expect(enter(network.orgs.c.client).getContract('probe').evaluateTransaction('run', steps(['get', 'x']))).rejects.toMatchObject({ code: 9, message: expect.stringContaining('access denied') });
  });

  it('hears chaincode events, replayed and live', async () => {
    const net = enter(network.orgs.a.client);
    const contract = net.getContract('probe');
    await contract.submitTransaction('run', steps(['event', 'gw-event', 'one']));
    const events = await net.getChaincodeEvents('probe', { startBlock: 0n });
    const heard: string[] = [];
    const listening = (async () => {
      for await (const event of events) {
        if (event.eventName === 'gw-event') heard.push(Buffer.from(event.payload).toString());
        if (heard.length === 2) break;
      }
      events.close();
    })();
    await contract.submitTransaction('run', steps(['event', 'gw-event', 'two']));
    await listening;
    expect(heard).toEqual(['one', 'two']);
  });

  it('reads whole blocks as a peer, filtered ones as a client, and their hashes are right', async () => {
    const blocks = await enter(network.orgs.a.peer).getBlockEvents({ startBlock: 0n });
    let previous = '';
    for await (const block of blocks) {
      const header = block.getHeader();
      expect(Buffer.from(header?.getPreviousHash_asU8() ?? []).toString('hex')).toBe(previous);
      const data = block.getData()?.getDataList_asU8() ?? [];
      expect(Buffer.from(header?.getDataHash_asU8() ?? []).equals(createHash('sha256').update(Buffer.concat(data)).digest())).toBe(true);
      previous = fabricHeaderHash(header?.getNumber() ?? 0, header?.getPreviousHash_asU8() ?? new Uint8Array(0), header?.getDataHash_asU8() ?? new Uint8Array(0));
      if ((header?.getNumber() ?? 0) === 3) break;
    }
    blocks.close();
    const filtered = await enter(network.orgs.a.client).getFilteredBlockEvents({ startBlock: 1n });
    for await (const block of filtered) {
      expect([block.getChannelId(), block.getNumber(), block.getFilteredTransactionsList()[0]?.getTxValidationCode()]).toEqual(['solo', 1, 0]);
      break;
    }
    filtered.close();
  });
});

/** Written anew from Fabric's `protoutil.BlockHeaderBytes`, for numbers below 128. */
function fabricHeaderHash(number: number, previous: Uint8Array, data: Uint8Array): string {
  const octets = (bytes: Uint8Array): number[] => [4, bytes.length, ...bytes];
  const content = [2, 1, number, ...octets(previous), ...octets(data)];
  return createHash('sha256').update(Buffer.from([0x30, content.length, ...content])).digest('hex');
}
