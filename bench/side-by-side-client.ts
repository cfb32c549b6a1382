/** One load of `side-by-side.ts`, in a process of its own: connects, warms up, then runs its closed loops when told to. */
import { createPrivateKey, sign } from 'node:crypto';
import { Client, credentials } from '@grpc/grpc-js';
import { connect, hash } from '@hyperledger/fabric-gateway';
import { createNativeSigner } from '#ledger/embedded/native-signer.ts';
import { createGrpcTransport } from '#ledger/fabric/grpc-transport.ts';
import { createLedgerClient } from '#ledger/gateway-client.ts';
import { withLowS } from '#ledger/low-s.ts';
import type { GatewayTransport } from '#ledger/transport.ts';
import { closedLoop, seams, type Round } from './ledger-kit.ts';

export interface Target {
  readonly address: string;
  readonly channel: string;
  readonly contract: string;
  readonly mspId: string;
  /** PEM. */
  readonly certificate: string;
  /** PEM, PKCS #8. */
  readonly key: string;
  readonly tlsRootCertificate?: string;
  readonly serverName?: string;
}

export interface Load extends Target {
  readonly client: string;
  readonly kind: string;
  readonly clients: number;
  readonly seconds: number;
}

export interface LoadResult {
  readonly round: Round;
  /** Of this process during the round. */
  readonly cpuMicros: number;
}

type Once = (client: number, turn: number) => Promise<unknown>;

const WARM_SECONDS = 1.5;
const run = `${process.pid.toString(36)}-${Math.round(performance.timeOrigin).toString(36)}`;

/** Steps for the probe. The values travel as arguments, as they would in earnest. */
function steps(kind: string, client: number, turn: number): readonly (readonly string[])[] {
  if (kind === 'put') return [['put', `${run}-${client}-${turn}`, 'x'.repeat(300)]];
  const key = `${run}-${client}`;
  return [['length', `${key}.a`], ['length', `${key}.b`], ...['a', 'b', 'c'].map((part) => ['put', `${key}.${part}`, 'y'.repeat(340)]), ['event', 'done', 'z'.repeat(32)]];
}

/** Closed loops of our own client. */
export function ourLoops(transport: GatewayTransport, load: Load): Once {
  const client = createLedgerClient({ transport, ...seams });
  const privateKeyPkcs8 = createPrivateKey(load.key).export({ format: 'der', type: 'pkcs8' });
  const signer = createNativeSigner({ mspId: load.mspId, certificate: load.certificate, privateKeyPkcs8 });
  return (one, turn) => client.submit({ channel: load.channel, contract: load.contract, name: 'run', input: steps(load.kind, one, turn), signer });
}

function gatewayLoops(load: Load): { readonly once: Once; close(): void } {
  const tls = load.tlsRootCertificate === undefined ? credentials.createInsecure() : credentials.createSsl(Buffer.from(load.tlsRootCertificate));
  const grpc = new Client(load.address, tls, load.serverName === undefined ? {} : { 'grpc.ssl_target_name_override': load.serverName });
  const key = createPrivateKey(load.key);
  const signer = async (message: Uint8Array): Promise<Uint8Array> => withLowS(sign('sha256', message, key));
  const gateway = connect({ client: grpc, identity: { mspId: load.mspId, credentials: Buffer.from(load.certificate) }, signer, hash: hash.none });
  const contract = gateway.getNetwork(load.channel).getContract(load.contract);
  return {
    once: (one, turn) => contract.submitTransaction('run', JSON.stringify(steps(load.kind, one, turn))),
    close: () => {
      gateway.close();
      grpc.close();
    },
  };
}

function loopsOf(load: Load): { readonly once: Once; close(): void } {
  if (load.client === 'fabric-gateway') return gatewayLoops(load);
  const transport = createGrpcTransport({ address: load.address, ...(load.tlsRootCertificate === undefined ? {} : { tlsRootCertificate: load.tlsRootCertificate }), ...(load.serverName === undefined ? {} : { serverName: load.serverName }) });
  return { once: ourLoops(transport, load), close: () => transport.close() };
}

/** Warmed up and measured. */
export async function measured({ clients, seconds }: Load, once: Once): Promise<LoadResult> {
  const before = process.cpuUsage();
  const round = await closedLoop(clients, seconds, (one, turn) => once(one, turn));
  const { user, system } = process.cpuUsage(before);
  return { round, cpuMicros: user + system };
}

/** Keys of the warm-up are other ones than those of the round. */
export const warm = (load: Load, once: Once): Promise<unknown> => closedLoop(load.clients, WARM_SECONDS, (one, turn) => once(one + 1_000_000, turn));

if (process.send !== undefined && process.argv[1] === import.meta.filename) {
  let load: Load | undefined;
  let loops: ReturnType<typeof loopsOf> | undefined;
  process.on('message', async (question: { readonly connect?: Load; readonly run?: true }) => {
    if (question.connect !== undefined) {
      load = question.connect;
      loops = loopsOf(load);
      await warm(load, loops.once);
      process.send?.({ ready: true });
    } else if (load !== undefined && loops !== undefined) process.send?.(await measured(load, loops.once));
  });
  process.on('disconnect', () => loops?.close());
}
