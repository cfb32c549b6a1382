/** A contract's program that dies, lies, hangs or shows another certificate; and one that fails without an answer. */
import { createServer } from 'node:net';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { freePort, external, PACKAGE_ID, startChild, type Child } from '../conformance/external.test-kit.ts';
import { openTestNetwork, type TestNetwork } from '../conformance/embedded.test-kit.ts';
import { createRunner, type Runner } from '../conformance/harness.ts';
import { ChaincodeMessage, chaincodeMessageType } from '../protos/chaincode.ts';
import { ChaincodeId } from '../protos/peer.ts';
import { serveChaincode } from '../fabric/chaincode-server.ts';
import { silentLog } from '#base/ports.ts';
import { probe } from '../conformance/probe.ts';
import type { ExternalChaincode, ExternalChaincodeOptions } from './external-chaincode.ts';

const probeModule = new URL('../conformance/probe.ts', import.meta.url).href;

let port: number;
let child: Child;
let network: TestNetwork;
let l: Runner;
const opened: ExternalChaincode[] = [];

/** The probe at another address, on channel `solo`. */
async function attach(address: string, options: Partial<ExternalChaincodeOptions> = {}): Promise<void> {
  const contract = external(address, options);
  opened.push(contract);
  await network.ledger.deploy({ channel: 'solo', name: 'probe', chaincode: contract, needed: 1 });
}

beforeAll(async () => {
  port = await freePort();
  child = await startChild({ module: probeModule, name: 'probe', port });
  network = await openTestNetwork();
  l = createRunner(network.harness(network.ledger.transport()));
});

afterAll(async () => {
  for (const contract of opened) contract.close();
  await network.ledger.close();
  await child.kill();
});

describe('the program of a contract', () => {
  it('may die: calls fail at once with its code, and after its return they go on', async () => {
    await attach(child.address);
    const key = l.key();
    await l.submit('a', 'solo', [['put', key, 'before']]);
    await child.kill();
    for (let call = 0; call < 3; call++) await expect(l.submit('a', 'solo', [['put', key, 'lost']])).rejects.toMatchObject({ code: 'LEDGER_CONTRACT_UNREACHABLE', details: { why: expect.stringContaining('could not launch chaincode') } });
    child = await startChild({ module: probeModule, name: 'probe', port });
    await l.submit('a', 'solo', [['put', key, 'after']]);
    expect(await l.evaluate('a', 'solo', [['get', key]])).toEqual(['after']);
  });

  it('may die in the middle of a transaction', async () => {
    await attach(child.address);
    const key = l.key();
    const running = l.submit('a', 'solo', [['put', key, 'x'], ['hang']]);
    setTimeout(() => void child.kill(), 50);
    await expect(running).rejects.toMatchObject({ code: 'LEDGER_CONTRACT_UNREACHABLE' });
    child = await startChild({ module: probeModule, name: 'probe', port });
    expect(await l.evaluate('a', 'solo', [['get', key]])).toEqual(['']);
  });

  it('may not take forever', async () => {
    await attach(child.address, { executeMilliseconds: 200 });
    await expect(l.evaluate('a', 'solo', [['hang']])).rejects.toMatchObject({ code: 'LEDGER_CONTRACT_TIMEOUT' });
    expect(await l.evaluate('a', 'solo', [['get', l.key()]])).toEqual(['']);
  });

  it('must be the one expected', async () => {
    await attach(child.address, { packageId: `other_1.0:${'5c'.repeat(32)}` });
    await expect(l.evaluate('a', 'solo', [['get', 'x']])).rejects.toMatchObject({ code: 'LEDGER_CONTRACT_PROTOCOL', details: { why: expect.stringContaining('other_1.0') } });
  });

  it('must register in time', async () => {
    const deaf = createServer().listen(0, '127.0.0.1');
    await once(deaf, 'listening');
    const address = deaf.address() as { port: number };
    await attach(`127.0.0.1:${address.port}`, { connectMilliseconds: 200 });
    await expect(l.evaluate('a', 'solo', [['get', 'x']])).rejects.toMatchObject({ code: 'LEDGER_CONTRACT_UNREACHABLE' });
    deaf.close();
  });

  it.each([
    ['sends noise', Buffer.from('ffff', 'hex')],
    ['sends a message that programs do not send', Buffer.from(ChaincodeMessage.encode({ type: chaincodeMessageType.transaction, txid: 'x', channelId: 'solo' }))],
  ])('is let go when it %s', async (_name, bytes) => {
    const server = await liar(bytes);
    await attach(`127.0.0.1:${server.port}`);
    await expect(l.evaluate('a', 'solo', [['get', 'x']])).rejects.toMatchObject({ code: 'LEDGER_CONTRACT_PROTOCOL' });
    server.close();
  });

  it('is refused what it asks for outside of a transaction', async () => {
    const asked: ChaincodeMessage[] = [];
    const server = await liar(Buffer.from(ChaincodeMessage.encode({ type: chaincodeMessageType.putState, txid: 'nobody', channelId: 'solo' })), (message) => asked.push(message));
    await attach(`127.0.0.1:${server.port}`, { executeMilliseconds: 200 });
    await l.evaluate('a', 'solo', [['get', 'x']]).catch(() => undefined);
    expect(asked.filter(({ type }) => type === chaincodeMessageType.error).map(({ payload }) => Buffer.from(payload).toString())).toEqual([expect.stringContaining('no ledger context')]);
    server.close();
  });

  it.each([
    ['thrower', { code: 'PROBE_THREW' }],
    ['crasher', { code: 'LEDGER_ENDORSEMENT_FAILED', details: { why: expect.stringContaining('the contract broke') } }],
  ])('that lets an exception out is answered for at once: %s', async (name, expected) => {
    const other = await startChild({ module: new URL('../conformance/broken.test-kit.ts', import.meta.url).href, name });
    await attach(other.address, { executeMilliseconds: 2_000 });
    await expect(l.evaluate('a', 'solo', [['get', 'x']])).rejects.toMatchObject(expected);
    await other.kill();
  });

  it('ends when it breaks, in spite of what fabric-shim does to its process', async () => {
    await attach(child.address);
    await expect(l.evaluate('a', 'solo', [['abandon']])).rejects.toMatchObject({ code: 'LEDGER_CONTRACT_UNREACHABLE' });
    child = await startChild({ module: probeModule, name: 'probe', port });
  });
});

describe('serving a contract', () => {
  it.each(['', 'probe', 'probe_1.0:abc'])('needs a whole package id, not "%s"', async (packageId) => {
    await expect(serveChaincode({ chaincode: probe, packageId, address: '127.0.0.1:0', log: silentLog })).rejects.toMatchObject({ code: 'LEDGER_CHAINCODE_ID' });
  });

  it('says when the address is taken', async () => {
    await expect(serveChaincode({ chaincode: probe, packageId: PACKAGE_ID, address: child.address, log: silentLog })).rejects.toMatchObject({ code: 'LEDGER_PORT' });
  });
});

/** A program that registers and then answers the first transaction with the given bytes. */
async function liar(bytes: Buffer, heard: (message: ChaincodeMessage) => void = () => undefined): Promise<{ readonly port: number; close(): void }> {
  const server = new Server();
  const path = '/protos.Chaincode/Connect';
  const same = (value: Buffer): Buffer => value;
  server.addService({ connect: { path, requestStream: true, responseStream: true, requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same } }, {
    connect: (call: ServerDuplexStream<Buffer, Buffer>) => {
      call.write(Buffer.from(ChaincodeMessage.encode({ type: chaincodeMessageType.register, payload: ChaincodeId.encode({ name: PACKAGE_ID }) })));
      call.on('data', (received: Buffer) => {
        const message = ChaincodeMessage.decode(received);
        heard(message);
        if (message.type === chaincodeMessageType.transaction) call.write(bytes);
      });
      call.on('error', () => undefined);
    },
  });
  const bound = await new Promise<number>((resolve, reject) => server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, actual) => (error === null ? resolve(actual) : reject(error))));
  return { port: bound, close: () => server.forceShutdown() };
}
