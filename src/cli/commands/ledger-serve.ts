/** `healthkeep ledger serve`: the embedded ledger of a folder, for organisations and devices in other processes. */
import { withHealth } from '#ledger/embedded/health.ts';
import { createHttpRelay } from '#ledger/http-relay.ts';
import { openLedgerOf } from '#sim/network.ts';
import { DEMO_MEMBERS, ORDERER_MSP } from '#sim/members.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import { CodedError } from '#base/errors.ts';
import { toPem } from '#crypto/pem.ts';
import type { OrgId } from '#model/ids.ts';
import { openTlsIdentity } from '#org/identity.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { join } from 'node:path';
import type { Command, CommandContext } from '../command.ts';
import { pathOf } from '../context.ts';
import { readContractPrograms, type ContractPrograms } from '../contract-programs.ts';
import { holdFolder, makeFolder, readNetworkFile, writeNetworkFile } from '../folder.ts';
import { writeOutput } from '../files.ts';
import { fileLog } from '../log.ts';
import { grpcOptions, portOf, readGrpcOptions, startGrpc } from '../grpc-options.ts';
import { listen } from '../serve.ts';

export const ledgerServe: Command = {
  name: ['ledger', 'serve'],
  summary: 'Runs the embedded ledger of a folder: Fabric Gateway messages over HTTP and, with --grpc-port, over gRPC.',
  options: {
    folder: { type: 'string', value: 'DIR', summary: 'the network\'s folder', required: true },
    port: { type: 'string', value: 'N', summary: 'port for HTTP (default: that of network.json)' },
    ...grpcOptions,
    contracts: { type: 'string', value: 'FILE', summary: 'contracts that run in processes of their own, and where (docs/chaincode.md)' },
    'with-caller': { type: 'boolean', summary: 'end when standard input ends: with the program that started it' },
  },
  examples: ['healthkeep ledger serve --folder demo', 'healthkeep ledger serve --folder demo --grpc-port 7051', 'healthkeep ledger serve --folder demo --grpc-port 7051 --tls', 'healthkeep ledger serve --folder demo --grpc-port 7051 --grpc-host 0.0.0.0 --tls-cert server.pem --tls-key server.key'],
  async run(context) {
    const path = pathOf(context, context.options['folder']);
    const grpcAddress = readGrpcOptions(context);
    const file = readNetworkFile(path);
    const hold = holdFolder(makeFolder(path));
    if (!hold.held) throw new CodedError('FOLDER_IN_USE', 'Another process works in this folder.', { why: 'A demo or ledger runs on it.', next: 'Stop it, or choose another --folder.' });
    const members = (Object.keys(file.members) as OrgId[]).map((org) => DEMO_MEMBERS.find((one) => one.org === org) ?? { org, name: org });
    const programs = programsOf(context, path);
    const opened = await openLedgerOf({ folder: path, clock: systemClock, random: systemRandom, scheduler: realScheduler, log: fileLog(path), contracts: programs.contracts }, members);
    const closers: (() => Promise<void>)[] = [opened.close, async () => programs.close()];
    try {
      const server = await listen({ fetch: withHealth(opened.ledger.health, createHttpRelay({ transport: opened.ledger.transport() })), port: context.options['port'] === undefined ? Number(new URL(file.ledger).port) : portOf(context.options['port'], '--port') });
      closers.unshift(server.close);
      const grpc = grpcAddress === undefined ? undefined : await startGrpc(opened.ledger, grpcAddress, () => tlsOf(path));
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

function programsOf(context: CommandContext, folder: string): Pick<ContractPrograms, 'contracts' | 'close'> {
  const { contracts } = context.options;
  if (contracts === undefined) return { contracts: {}, close: () => undefined };
  return readContractPrograms(pathOf(context, contracts), { scheduler: realScheduler, log: fileLog(folder), pathOf: (file) => pathOf(context, file) });
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
