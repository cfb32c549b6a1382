/**
 * The same contract, payload and client on the embedded ledger and on a Fabric network, one after the other in one run.
 * Client and ledger are processes of their own, so that the CPU of each shows. JSON lines.
 *
 *   node bench/side-by-side.ts [--clients 1,16,64,256] [--seconds 5] [--kinds put,real] [--network FILE [--channel NAME] [--contract probe] [--org MSP]]
 *
 * Clients: `fabric-gateway` is @hyperledger/fabric-gateway, unmodified, over gRPC, with a native signer; `ours-grpc` is
 * `ledger/gateway-client.ts` over gRPC; `ours-in-process` the same inside the ledger's process. `put` writes one key of
 * 300 bytes; `real` reads 2 keys of its client, writes 3 (1 KB) and sets an event. The contract is the conformance
 * suite's probe: on Fabric it must be committed on the channel (docs/chaincode.md), with its batch timeout as wanted.
 * What bounds a row is its last column: the share of one core that client and ledger burn, and of the machine.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readFabricNetwork } from '#ledger/fabric/network-file.ts';
import { print, printMachine, rounded, type Round } from './ledger-kit.ts';
import type { Load, LoadResult } from './side-by-side-client.ts';
import type { Served } from './side-by-side-server.ts';

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '1,16,64,256' }, seconds: { type: 'string', default: '5' }, kinds: { type: 'string', default: 'put,real' }, network: { type: 'string' }, channel: { type: 'string' },
    contract: { type: 'string', default: 'probe' }, org: { type: 'string' }, with: { type: 'string', default: 'fabric-gateway,ours-grpc,ours-in-process' },
  },
});
const seconds = Number(values.seconds);
const rows = values.kinds.split(',').flatMap((kind) => values.clients.split(',').map((clients) => ({ kind, clients: Number(clients) })));

/**
 * Seen once with Fabric 2.5.12 on another machine of 2 cores (one organisation, one orderer, LevelDB, TLS, batch timeout
 * 50 ms, 500 messages, the same client with a native signer): committed/s, then p50/p95/p99 in ms by number of clients.
 */
const REFERENCE = {
  put: { 1: [16, 61, 64, 66], 16: [208, 76, 88, 101], 64: [563, 114, 139, 166], 256: [648, 386, 515, 590] },
  real: { 1: [16, 64, 67, 70], 16: [192, 83, 92, 95], 64: [418, 148, 207, 253], 256: [466, 547, 728, 895] },
} as const;

const ask = <T>(child: ChildProcess, question: object): Promise<T> => new Promise((resolve, reject) => {
  const gone = (): void => reject(new Error('a process of the benchmark ended early'));
  child.once('exit', gone);
  child.once('message', (answer) => {
    child.off('exit', gone);
    resolve(answer as T);
  });
  child.send(question);
});
const start = (file: string): ChildProcess => fork(join(import.meta.dirname, file), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv: ['--disable-warning=ExperimentalWarning'] });
const stop = (child: ChildProcess): Promise<void> => new Promise((resolve) => {
  child.once('exit', () => resolve());
  child.disconnect();
});

interface Figures {
  readonly ledger: 'embedded' | 'fabric';
  readonly client: string;
  readonly kind: string;
  readonly clients: number;
  readonly round: Round;
  /** Microseconds of CPU per transaction; undefined where nobody could look. */
  readonly clientCpu: number;
  readonly ledgerCpu: number | undefined;
}

function report({ ledger, client, kind, clients, round, clientCpu, ledgerCpu }: Figures): void {
  const cores = (micros: number | undefined): number | undefined => (micros === undefined ? undefined : rounded((micros * round.perSecond) / 1e6, 2));
  print({
    bench: 'side-by-side', measured: true, ledger, client, kind, clients, ...round, clientCpuMicroseconds: Math.round(clientCpu), ledgerCpuMicroseconds: ledgerCpu === undefined ? null : Math.round(ledgerCpu),
    coresBusy: { client: cores(clientCpu), ledger: cores(ledgerCpu) ?? null, of: availableParallelism() },
  });
}

async function embedded(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'healthkeep-side-'));
  const server = start('side-by-side-server.ts');
  try {
    const served = await ask<Served>(server, { open: folder });
    const cpu = (): Promise<number> => ask<number>(server, { cpu: true });
    const target = { address: served.address, channel: 'bench', contract: 'bench', mspId: served.mspId, certificate: served.certificate, key: served.key };
    for (const client of values.with.split(',')) {
      for (const { kind, clients } of rows) {
        if (client === 'ours-in-process') {
          const { round, cpuMicros } = await ask<LoadResult>(server, { load: { ...target, client, kind, clients, seconds } });
          report({ ledger: 'embedded', client, kind, clients, round, clientCpu: 0, ledgerCpu: cpuMicros / round.transactions });
        } else await drive({ ...target, client, kind, clients, seconds }, 'embedded', cpu);
      }
    }
  } finally {
    await stop(server);
    rmSync(folder, { recursive: true, force: true });
  }
}

/** One load in a process of its own. */
async function drive(load: Load, ledger: 'embedded' | 'fabric', ledgerCpu?: () => Promise<number>): Promise<void> {
  const child = start('side-by-side-client.ts');
  try {
    await ask(child, { connect: load });
    const before = await ledgerCpu?.();
    const { round, cpuMicros } = await ask<LoadResult>(child, { run: true });
    const after = await ledgerCpu?.();
    report({ ledger, client: load.client, kind: load.kind, clients: load.clients, round, clientCpu: cpuMicros / round.transactions, ledgerCpu: before === undefined || after === undefined ? undefined : (after - before) / round.transactions });
  } finally {
    await stop(child);
  }
}

async function fabric(file: string | undefined): Promise<void> {
  if (file === undefined) {
    for (const [kind, byClients] of Object.entries(REFERENCE)) {
      for (const [clients, [perSecond, p50ms, p95ms, p99ms]] of Object.entries(byClients)) print({ bench: 'side-by-side', measured: false, ledger: 'fabric', client: 'fabric-gateway', kind, clients: Number(clients), perSecond, p50ms, p95ms, p99ms });
    }
    print({ note: 'Fabric was not measured in this run: no --network was given. The rows with "measured": false are a reference, seen once on another machine of 2 cores.' });
    return;
  }
  const network = readFabricNetwork(file);
  const channel = network.channels.find(({ name, contracts }) => contracts.includes(values.contract) && (values.channel === undefined || name === values.channel));
  const org = network.organisations.find(({ mspId, peer }) => peer !== undefined && channel?.members.includes(mspId) === true && (values.org === undefined || mspId === values.org));
  const user = org?.users['system'] ?? Object.values(org?.users ?? {})[0];
  if (channel === undefined || org?.peer === undefined || user === undefined) throw new Error(`${file} names no channel with the contract ${values.contract} and an organisation with a peer on it`);
  const { address, tlsRootCertificate, serverName } = org.peer;
  const target = {
    address, channel: channel.name, contract: values.contract, mspId: org.mspId, certificate: readFileSync(user.certificate, 'utf8'), key: readFileSync(user.key, 'utf8'),
    ...(tlsRootCertificate === undefined ? {} : { tlsRootCertificate: readFileSync(tlsRootCertificate, 'utf8') }), ...(serverName === undefined ? {} : { serverName }),
  };
  for (const client of values.with.split(',').filter((name) => name !== 'ours-in-process')) for (const { kind, clients } of rows) await drive({ ...target, client, kind, clients, seconds }, 'fabric');
}

printMachine();
await embedded();
await fabric(values.network);
