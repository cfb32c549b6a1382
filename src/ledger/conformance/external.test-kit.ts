/** Contracts in child processes, behind unmodified fabric-shim. Run as a program, this file is the child. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { silentLog } from '#base/ports.ts';
import { realScheduler } from '#sim/seams.ts';
import { externalChaincode, type ExternalChaincode, type ExternalChaincodeOptions } from '../embedded/external-chaincode.ts';

export const PACKAGE_ID = `probe_1.0:${'5c'.repeat(32)}`;

export interface Child {
  readonly address: string;
  /** Ends the program at once, as a crash does. */
  kill(): Promise<void>;
}

/** A port that nobody uses right now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Starts a contract of this room's or the contracts' tests in a process of its own. */
export async function startChild({ module, name, port, env = {} }: { readonly module: string; readonly name: string; readonly port?: number; readonly env?: Readonly<Record<string, string>> }): Promise<Child> {
  const address = `127.0.0.1:${port ?? (await freePort())}`;
  const child: ChildProcess = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', fileURLToPath(import.meta.url), module, name, address], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, CORE_PEER_LOCALMSPID: 'OrgA', ...env } });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await new Promise<void>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the contract's process ended with ${code}: ${said}`)));
    child.stdout?.once('data', () => resolve());
  });
  return {
    address,
    kill: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

/** The ledger's end of a contract in another process. */
export const external = (address: string, options: Partial<ExternalChaincodeOptions> = {}): ExternalChaincode => externalChaincode({ address, packageId: PACKAGE_ID, scheduler: realScheduler, log: silentLog, ...options });

if (import.meta.main) {
  const [module = '', name = '', address = ''] = process.argv.slice(2);
  const { serveChaincode } = await import('../fabric/chaincode-server.ts');
  const exports = (await import(module)) as Record<string, never>;
  await serveChaincode({ chaincode: exports[name] as never, packageId: PACKAGE_ID, address, log: (level, event, fields) => process.stderr.write(`${JSON.stringify({ level, event, ...fields })}\n`) });
  process.stdout.write('ready\n');
}
