/** `healthkeep ledger serve`: the embedded ledger of a folder, for organisations and devices in other processes. */
import type { ServerTls } from '#ledger/embedded/grpc-server.ts';
import type { EmbeddedLedger } from '#ledger/embedded/ledger.ts';
import { createHttpRelay } from '#ledger/http-relay.ts';
import { openLedgerOf } from '#sim/network.ts';
import { DEMO_MEMBERS, ORDERER_MSP } from '#sim/members.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import { fromUtf8 } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import { toPem } from '#crypto/pem.ts';
import type { OrgId } from '#model/ids.ts';
import { openTlsIdentity } from '#org/identity.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { join } from 'node:path';
import type { Command, CommandContext } from '../command.ts';
import { pathOf } from '../context.ts';
import { readInput } from '../files.ts';
import { holdFolder, makeFolder, readNetworkFile, writeNetworkFile } from '../folder.ts';
import { writeOutput } from '../files.ts';
import { fileLog } from '../log.ts';
import { listen } from '../serve.ts';

export const ledgerServe: Command = {
  name: ['ledger', 'serve'],
  summary: 'Runs the embedded ledger of a folder: Fabric Gateway messages over HTTP and, with --grpc-port, over gRPC.',
  options: {
    folder: { type: 'string', value: 'DIR', summary: 'the network\'s folder', required: true },
    port: { type: 'string', value: 'N', summary: 'port for HTTP (default: that of network.json)' },
    'grpc-port': { type: 'string', value: 'N', summary: 'also serve Fabric\'s gRPC services on this port, on loopback' },
    tls: { type: 'boolean', summary: 'serve gRPC with TLS; the authority to trust is written to ledger/tls-root.pem' },
    'with-caller': { type: 'boolean', summary: 'end when standard input ends: with the program that started it' },
  },
  examples: ['healthkeep ledger serve --folder demo', 'healthkeep ledger serve --folder demo --grpc-port 7051', 'healthkeep ledger serve --folder demo --grpc-port 7051 --tls'],
  async run(context) {
    const path = pathOf(context, context.options['folder']);
    const grpcOptions = readGrpcOptions(context);
    const file = readNetworkFile(path);
    const hold = holdFolder(makeFolder(path));
    if (!hold.held) throw new CodedError('FOLDER_IN_USE', 'Another process works in this folder.', { why: 'A demo or ledger runs on it.', next: 'Stop it, or choose another --folder.' });
    const members = (Object.keys(file.members) as OrgId[]).map((org) => DEMO_MEMBERS.find((one) => one.org === org) ?? { org, name: org });
    const opened = await openLedgerOf({ folder: path, clock: systemClock, random: systemRandom, scheduler: realScheduler, log: fileLog(path) }, members);
    const closers: (() => Promise<void>)[] = [opened.close];
    try {
      const server = await listen({ fetch: createHttpRelay({ transport: opened.ledger.transport() }), port: context.options['port'] === undefined ? Number(new URL(file.ledger).port) : portOf(context.options['port'], '--port') });
      closers.unshift(server.close);
      const grpc = context.options['grpc-port'] === undefined ? undefined : await serveGrpc(opened.ledger, { port: portOf(context.options['grpc-port'], '--grpc-port'), tls: context.options['tls'] === true ? await tlsOf(path) : undefined });
      if (grpc !== undefined) closers.unshift(grpc.close);
      writeNetworkFile(path, { ...file, ledger: server.url });
      const channels = opened.ledger.channels().map((channel) => ({ channel, blocks: opened.ledger.height(channel) }));
      context.streams.out(context.json ? `${JSON.stringify({ ledger: server.url, grpc: grpc?.address ?? null, tlsRoot: context.options['tls'] === true ? tlsRootOf(path) : null, channels })}\n` : `Ledger at ${server.url}${grpc === undefined ? '' : `, gRPC at ${grpc.address}`}\n${channels.map((one) => `  ${one.channel}  ${one.blocks} blocks`).join('\n')}\nCtrl-C ends it.\n`);
      await Promise.race([new Promise<void>((done) => (context.signal.aborted ? done() : context.signal.addEventListener('abort', () => done(), { once: true }))), ...(context.options['with-caller'] === true ? [callerEnds()] : [])]);
    } finally {
      for (const close of closers) await close();
      hold.release();
    }
    return undefined;
  },
};

function portOf(text: string | boolean | undefined, option: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) throw new CodedError('USAGE_OPTION', `${option} needs a port.`, { why: `"${String(text)}" is not a number from 0 to 65,535.`, next: `Run it with ${option} 7051.` });
  return port;
}

/** A program that is killed closes what it held open: its child learns of it from the end of standard input. */
function callerEnds(): Promise<void> {
  return new Promise((done) => process.stdin.once('end', done).once('close', done).resume());
}

const tlsRootOf = (folder: string): string => join(folder, 'ledger', 'tls-root.pem');

/** The ledger's TLS certificate, from the ordering organisation's TLS root. */
async function tlsOf(folder: string): Promise<{ readonly certificate: string; readonly privateKey: string }> {
  const store = openSqliteKeyValueStore(`${folder}/orgs/${ORDERER_MSP}/keys.sqlite`);
  try {
    const { rootCertificate, certificate, privateKeyPkcs8 } = await openTlsIdentity({ org: ORDERER_MSP, name: 'tls-ledger', hosts: ['localhost', '127.0.0.1'], store, clock: systemClock });
    writeOutput(tlsRootOf(folder), rootCertificate);
    return { certificate, privateKey: toPem('PRIVATE KEY', privateKeyPkcs8) };
  } finally {
    await store.close();
  }
}

interface GrpcOptions {
  readonly host: string;
  readonly port: number;
  readonly tls?: ServerTls;
}

/** The options of gRPC, which come together or not at all. */
function readGrpcOptions(context: CommandContext): GrpcOptions | undefined {
  const { options } = context;
  const text = (name: string): string | undefined => (options[name] === undefined ? undefined : String(options[name]));
  const [certificate, key, authorities] = ['tls-cert', 'tls-key', 'tls-client-ca'].map(text);
  if (options['grpc-port'] === undefined) {
    const idle = ['grpc-host', 'tls-cert', 'tls-key', 'tls-client-ca'].find((name) => options[name] !== undefined);
    if (idle !== undefined) throw new CodedError('USAGE_OPTION', `--${idle} needs --grpc-port.`, { why: 'It says how gRPC is served.', next: 'Add --grpc-port 7051.' });
    return undefined;
  }
  if ((certificate === undefined) !== (key === undefined) || (authorities !== undefined && certificate === undefined)) throw new CodedError('USAGE_OPTION', 'TLS needs --tls-cert and --tls-key.', { why: 'One of them is missing.', next: 'Give both.' });
  const base = { host: text('grpc-host') ?? '127.0.0.1', port: portOf(options['grpc-port'], '--grpc-port') };
  if (certificate === undefined || key === undefined) return base;
  const read = (path: string): string => fromUtf8(readInput(pathOf(context, path)));
  return { ...base, tls: { certificate: read(certificate), privateKey: read(key), ...(authorities === undefined ? {} : { clientAuthorities: read(authorities) }) } };
}

async function startGrpc(ledger: EmbeddedLedger, { host, port, tls }: GrpcOptions): Promise<{ readonly address: string; close(): Promise<void> }> {
  const { serveGrpc } = await import('#ledger/embedded/grpc-server.ts');
  const server = await serveGrpc({ transport: ledger.transport(), host, port, ...(tls === undefined ? {} : { tls }) });
  return { address: `${host.includes(':') ? `[${host}]` : host}:${server.port}`, close: () => server.close() };
}
