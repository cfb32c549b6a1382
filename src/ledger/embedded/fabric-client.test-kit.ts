/** The suite's network behind gRPC, and Fabric's own client, unmodified, in front of it. */
import { createPrivateKey } from 'node:crypto';
import { Client, credentials } from '@grpc/grpc-js';
import { connect, hash, signers, type ConnectOptions, type Contract, type Gateway, type Network } from '@hyperledger/fabric-gateway';
import type { Clock } from '#base/ports.ts';
import { systemClock } from '#sim/seams.ts';
import type { Step } from '../conformance/probe.ts';
import { openTestNetwork, type TestNetwork } from '../conformance/embedded.test-kit.ts';
import type { TestIdentity } from '../consortium.test-kit.ts';
import { serveGrpc } from './grpc-server.ts';

/** The system's time, with a step that a test may make. */
export interface SteppedClock extends Clock {
  stepMs: number;
}

export interface Served {
  readonly network: TestNetwork;
  readonly clock: SteppedClock;
  readonly port: number;
  readonly client: Client;
  enter(identity: TestIdentity, options?: Partial<ConnectOptions>): Gateway;
  channel(identity: TestIdentity, name?: string): Network;
  probe(identity: TestIdentity, channel?: string): Contract;
  close(): Promise<void>;
}

export const keyOf = (identity: TestIdentity) => createPrivateKey({ key: Buffer.from(identity.privateKeyPkcs8), format: 'der', type: 'pkcs8' });
export const signerOf = (identity: TestIdentity) => signers.newPrivateKeySigner(keyOf(identity));
export const identityOf = (identity: TestIdentity) => ({ mspId: identity.mspId, credentials: Buffer.from(identity.certificate) });
export const steps = (...list: readonly Step[]): string => JSON.stringify(list);
export const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

export async function serveTestNetwork(): Promise<Served> {
  const clock: SteppedClock = { stepMs: 0, now: () => systemClock.now() + clock.stepMs };
  const network = await openTestNetwork({ clock });
  const server = await serveGrpc({ transport: network.ledger.transport(), host: '127.0.0.1', port: 0 });
  const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
  const gateways: Gateway[] = [];
  const enter = (identity: TestIdentity, options: Partial<ConnectOptions> = {}): Gateway => {
    const gateway = connect({ client, identity: identityOf(identity), signer: signerOf(identity), hash: hash.sha256, ...options });
    gateways.push(gateway);
    return gateway;
  };
  const channel = (identity: TestIdentity, name = 'solo'): Network => enter(identity).getNetwork(name);
  return {
    network, clock, port: server.port, client, enter, channel,
    probe: (identity, name) => channel(identity, name).getContract('probe'),
    async close() {
      for (const gateway of gateways) gateway.close();
      client.close();
      await server.close();
      await network.ledger.close();
    },
  };
}

/** The first `count` of a stream, which is then closed. */
export async function take<T>(stream: AsyncIterable<T> & { close(): void }, count: number): Promise<T[]> {
  const out: T[] = [];
  try {
    for await (const item of stream) {
      out.push(item);
      if (out.length === count) break;
    }
  } finally {
    stream.close();
  }
  return out;
}
