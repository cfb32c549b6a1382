/** How `healthkeep ledger serve` offers gRPC: address and TLS, from the command line. */
import { fromUtf8 } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { ServerTls } from '#ledger/embedded/grpc-server.ts';
import type { EmbeddedLedger } from '#ledger/embedded/ledger.ts';
import type { CommandContext, Option } from './command.ts';
import { pathOf } from './context.ts';
import { readInput } from './files.ts';

/** They come together with `--grpc-port` or not at all. */
export const grpcOptions: Readonly<Record<string, Option>> = {
  'grpc-port': { type: 'string', value: 'N', summary: 'also serve Fabric\'s gRPC services on this port' },
  'grpc-host': { type: 'string', value: 'HOST', summary: 'address for gRPC (default 127.0.0.1; beyond this machine only with TLS)' },
  tls: { type: 'boolean', summary: 'serve gRPC with TLS; the authority to trust is written to ledger/tls-root.pem' },
  'tls-cert': { type: 'string', value: 'FILE', summary: 'serve gRPC with this TLS certificate and its chain, PEM' },
  'tls-key': { type: 'string', value: 'FILE', summary: 'its private key, PEM' },
  'tls-client-ca': { type: 'string', value: 'FILE', summary: 'let only clients connect whose TLS certificate is from these authorities, PEM' },
};

export interface GrpcAddress {
  readonly host: string;
  readonly port: number;
  /** A certificate of one's own; `issued`: the ledger makes one. */
  readonly tls: ServerTls | 'issued' | undefined;
  readonly clientAuthorities: string | undefined;
}

/** A port of an option. Throws USAGE_OPTION. */
export function portOf(text: string | boolean | undefined, option: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new CodedError('USAGE_OPTION', `${option} needs a port.`, { why: `"${String(text)}" is not a number from 0 to 65,535.`, next: `Run it with ${option} 7051.` });
  return port;
}

/** Throws USAGE_OPTION when options are missing that belong together, INPUT_UNREADABLE. */
export function readGrpcOptions(context: CommandContext): GrpcAddress | undefined {
  const { options } = context;
  if (options['grpc-port'] === undefined) {
    const idle = Object.keys(grpcOptions).find((name) => options[name] !== undefined && options[name] !== false);
    if (idle === undefined) return undefined;
    throw new CodedError('USAGE_OPTION', `--${idle} needs --grpc-port.`, { why: 'It says how gRPC is served.', next: 'Add --grpc-port 7051.' });
  }
  const read = (name: string): string | undefined => (options[name] === undefined ? undefined : fromUtf8(readInput(pathOf(context, options[name]))));
  const [certificate, privateKey, clientAuthorities] = [read('tls-cert'), read('tls-key'), read('tls-client-ca')];
  const base = { host: String(options['grpc-host'] ?? '127.0.0.1'), port: portOf(options['grpc-port'], '--grpc-port'), clientAuthorities };
  if (certificate !== undefined && privateKey !== undefined && options['tls'] !== true) return { ...base, tls: { certificate, privateKey } };
  if (certificate !== undefined || privateKey !== undefined) throw new CodedError('USAGE_OPTION', 'TLS needs either --tls, or --tls-cert and --tls-key.', { why: 'They are given in part or twice.', next: 'Give both files, or let the ledger issue its own certificate with --tls.' });
  if (options['tls'] === true) return { ...base, tls: 'issued' };
  if (clientAuthorities !== undefined) throw new CodedError('USAGE_OPTION', '--tls-client-ca needs TLS.', { why: 'Without it clients show no certificate.', next: 'Add --tls, or --tls-cert and --tls-key.' });
  return { ...base, tls: undefined };
}

/** Starts gRPC. Throws LEDGER_PORT, LEDGER_TLS_NEEDED, LEDGER_TLS_INVALID. */
export async function startGrpc(ledger: EmbeddedLedger, { host, port, tls, clientAuthorities }: GrpcAddress, issue: () => Promise<ServerTls>): Promise<{ readonly address: string; close(): Promise<void> }> {
  const { serveGrpc } = await import('#ledger/embedded/grpc-server.ts');
  const pair = tls === 'issued' ? await issue() : tls;
  const server = await serveGrpc({ transport: ledger.transport(), host, port, ...(pair === undefined ? {} : { tls: { ...pair, ...(clientAuthorities === undefined ? {} : { clientAuthorities }) } }) });
  return { address: `${host.includes(':') ? `[${host}]` : host}:${server.port}`, close: () => server.close() };
}
