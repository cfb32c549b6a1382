/** TLS: who may listen without it, what a client must see before it speaks, and clients that show a certificate themselves. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHash, X509Certificate } from 'node:crypto';
import { Client, credentials } from '@grpc/grpc-js';
import { connect, hash, type Gateway } from '@hyperledger/fabric-gateway';
import { systemClock } from '#sim/seams.ts';
import { openTestNetwork, type TestNetwork } from '../conformance/embedded.test-kit.ts';
import { createTestOrg, type TestIdentity, type TestOrg } from '../consortium.test-kit.ts';
import { createGrpcTransport } from '../fabric/grpc-transport.ts';
import { deliverStatus } from '../protos/gateway.ts';
import { identityOf, keyOf, signerOf, steps, take, text } from './fabric-client.test-kit.ts';
import { serveGrpc, type GrpcServer, type ServerTls } from './grpc-server.ts';

let network: TestNetwork;
let site: TestOrg;
let visitors: TestOrg;
let serverCertificate: TestIdentity;
let visitor: TestIdentity;
const servers: GrpcServer[] = [];
const clients: { close(): void }[] = [];

const pemKey = (identity: TestIdentity): string => keyOf(identity).export({ format: 'pem', type: 'pkcs8' }) as string;
const override = { 'grpc.ssl_target_name_override': 'peer' };

beforeAll(async () => {
  network = await openTestNetwork({ clock: systemClock });
  [site, visitors] = await Promise.all([createTestOrg('site', systemClock), createTestOrg('visitors', systemClock)]);
  serverCertificate = site.peer;
  visitor = visitors.client;
});
afterAll(async () => {
  for (const client of clients) client.close();
  for (const server of servers) await server.close();
  await network.ledger.close();
});

async function serve(tls: ServerTls, host = '127.0.0.1'): Promise<number> {
  const server = await serveGrpc({ transport: network.ledger.transport(), host, port: 0, tls });
  servers.push(server);
  return server.port;
}

function dial(port: number, channel: ReturnType<typeof credentials.createSsl>): Client {
  const client = new Client(`127.0.0.1:${port}`, channel, override);
  clients.push(client);
  return client;
}

function enter(client: Client, identity: TestIdentity, tlsClientCertificateHash?: Uint8Array): Gateway {
  const gateway = connect({ client, identity: identityOf(identity), signer: signerOf(identity), hash: hash.sha256, evaluateOptions: () => ({ deadline: Date.now() + 5_000 }), ...(tlsClientCertificateHash === undefined ? {} : { tlsClientCertificateHash }) });
  clients.push(gateway);
  return gateway;
}

const ownTls = (): ServerTls => ({ certificate: serverCertificate.certificate, privateKey: pemKey(serverCertificate) });
const ask = (gateway: Gateway) => gateway.getNetwork('solo').getContract('probe').evaluateTransaction('run', steps(['txId']));

describe('without TLS', () => {
  it.each(['0.0.0.0', '::', '192.0.2.1', 'ledger.example.org', '127.example.org'])('the ledger is not served on %s', async (host) => {
    await expect(serveGrpc({ transport: network.ledger.transport(), host, port: 0 })).rejects.toMatchObject({ code: 'LEDGER_TLS_NEEDED', details: { host } });
  });

  it.each(['127.0.0.1', '127.0.0.2', 'localhost'])('it is on %s', async (host) => {
    const server = await serveGrpc({ transport: network.ledger.transport(), host, port: 0 });
    expect(server.port).toBeGreaterThan(0);
    await server.close();
  });
});

describe('with TLS', () => {
  it('Fabric\'s own client connects, submits and listens', async () => {
    const client = dial(await serve(ownTls()), credentials.createSsl(Buffer.from(site.ca.certificate)));
    const contract = enter(client, network.orgs.a.client).getNetwork('solo').getContract('probe');
    expect(text(await contract.submitTransaction('run', steps(['put', 'tls', 'x'])))).toBe('[null]');
    expect(await take(await enter(client, network.orgs.a.peer).getNetwork('solo').getBlockEvents({ startBlock: 0n }), 2)).toHaveLength(2);
  });

  it('so does ours', async () => {
    const transport = createGrpcTransport({ address: `127.0.0.1:${await serve(ownTls())}`, tlsRootCertificate: site.ca.certificate, serverName: 'peer' });
    clients.push(transport);
    const { client, signers } = network.harness(transport);
    await expect(client.evaluate({ channel: 'solo', contract: 'probe', name: 'run', input: [['get', 'x']], signer: signers.a })).resolves.toEqual(['']);
  });

  it('it may be served beyond this machine', async () => {
    expect(await serve(ownTls(), '0.0.0.0')).toBeGreaterThan(0);
  });

  it('a client that trusts another root, or none, gets no connection', async () => {
    const port = await serve(ownTls());
    await expect(ask(enter(dial(port, credentials.createSsl(Buffer.from(visitors.ca.certificate))), network.orgs.a.client))).rejects.toMatchObject({ code: 14 });
    await expect(ask(enter(dial(port, credentials.createInsecure()), network.orgs.a.client))).rejects.toMatchObject({ code: 14 });
  });

  it.each<readonly [string, () => ServerTls]>([
    ['a key of another certificate', () => ({ ...ownTls(), privateKey: pemKey(visitor) })],
    ['a certificate that is none', () => ({ ...ownTls(), certificate: 'certificate' })],
    ['an empty key', () => ({ ...ownTls(), privateKey: '' })],
  ])('%s is refused before the port is opened', async (_name, tls) => {
    await expect(serveGrpc({ transport: network.ledger.transport(), host: '127.0.0.1', port: 0, tls: tls() })).rejects.toMatchObject({ code: 'LEDGER_TLS_INVALID' });
  });
});

describe('with mutual TLS', () => {
  const fingerprint = (identity: TestIdentity): Uint8Array => createHash('sha256').update(new X509Certificate(identity.certificate).raw).digest();
  const show = (identity: TestIdentity) => credentials.createSsl(Buffer.from(site.ca.certificate), Buffer.from(pemKey(identity)), Buffer.from(identity.certificate));
  let port: number;
  beforeAll(async () => {
    port = await serve({ ...ownTls(), clientAuthorities: visitors.ca.certificate });
  });

  it('a client with a certificate of the authority comes in', async () => {
    expect(text(await ask(enter(dial(port, show(visitor)), network.orgs.a.client)))).toHaveLength(68);
  });

  it('one without, or with another\'s, does not', async () => {
    await expect(ask(enter(dial(port, credentials.createSsl(Buffer.from(site.ca.certificate))), network.orgs.a.client))).rejects.toMatchObject({ code: 14 });
    await expect(ask(enter(dial(port, show(site.client)), network.orgs.a.client))).rejects.toMatchObject({ code: 14 });
  });

  it('blocks are delivered on the connection that the request names, and on no other', async () => {
    const blocks = (client: Client, bound?: Uint8Array) => enter(client, network.orgs.a.peer, bound).getNetwork('solo').getBlockEvents({ startBlock: 0n });
    expect(await take(await blocks(dial(port, show(visitor)), fingerprint(visitor)), 1)).toHaveLength(1);
    const wrong = `Unexpected status response: ${deliverStatus.badRequest}`;
    await expect(take(await blocks(dial(port, show(visitor))), 1)).rejects.toThrow(wrong);
    await expect(take(await blocks(dial(port, show(visitors.admin)), fingerprint(visitor)), 1)).rejects.toThrow(wrong);
  });
});
