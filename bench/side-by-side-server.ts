/** The embedded ledger's side of `side-by-side.ts`: durable, in a process of its own, on gRPC at a port of loopback. */
import { createPrivateKey } from 'node:crypto';
import { probe } from '#ledger/conformance/probe.ts';
import { serveGrpc, type GrpcServer } from '#ledger/embedded/grpc-server.ts';
import { openBenchLedger, type BenchLedger } from './ledger-kit.ts';
import { measured, ourLoops, warm, type Load } from './side-by-side-client.ts';

export interface Served {
  readonly address: string;
  readonly mspId: string;
  readonly certificate: string;
  /** PEM, PKCS #8. */
  readonly key: string;
}

let bench: BenchLedger | undefined;
let server: GrpcServer | undefined;

async function open(folder: string): Promise<Served> {
  bench = await openBenchLedger(folder, probe);
  server = await serveGrpc({ transport: bench.ledger.transport(), host: '127.0.0.1', port: 0 });
  const { mspId, certificate, privateKeyPkcs8 } = bench.identity;
  const key = createPrivateKey({ key: Buffer.from(privateKeyPkcs8), format: 'der', type: 'pkcs8' }).export({ format: 'pem', type: 'pkcs8' });
  return { address: `127.0.0.1:${server.port}`, mspId, certificate, key: String(key) };
}

async function inProcess(load: Load): Promise<unknown> {
  const once = ourLoops((bench as BenchLedger).ledger.transport(), load);
  await warm(load, once);
  return measured(load, once);
}

process.on('message', async (question: { readonly open?: string; readonly cpu?: true; readonly load?: Load }) => {
  if (question.open !== undefined) process.send?.(await open(question.open));
  else if (question.load !== undefined) process.send?.(await inProcess(question.load));
  else {
    const { user, system } = process.cpuUsage();
    process.send?.(user + system);
  }
});
process.on('disconnect', async () => {
  await server?.close();
  await bench?.ledger.close();
});
