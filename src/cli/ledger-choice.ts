/**
 * Which ledger a demo runs on: the embedded one in its own process, the same in a process of its own that everybody reaches
 * over gRPC with TLS, or a Fabric network that somebody has started.
 */
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { fromUtf8 } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import { createGrpcTransport, type GrpcTransport } from '#ledger/fabric/grpc-transport.ts';
import { readFabricNetwork, type FabricEndpoint, type FabricNetworkFile } from '#ledger/fabric/network-file.ts';
import type { OrgId } from '#model/ids.ts';
import { DEMO_MEMBERS } from '#sim/members.ts';
import type { LedgerDoors } from '#sim/outside-ledger.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { nearest, type CommandContext } from './command.ts';
import { holdFolder, makeFolder, readNetworkFileIfAny, writeNetworkFile, type Folder } from './folder.ts';

export const LEDGERS = ['embedded', 'grpc', 'fabric'] as const;
export type LedgerKind = (typeof LEDGERS)[number];

/** Where `healthkeep fabric up` writes the description of its network. */
export const FABRIC_FOLDER = '.healthkeep-fabric';

export interface ChosenLedger {
  /** Undefined: the embedded ledger in this process. */
  readonly doors: LedgerDoors | undefined;
  /** Folder of the organisations' keys, where it is not the network's. */
  readonly keys: string | undefined;
  /** The network's folder, held by this process or by the ledger's. */
  readonly folder: Folder;
  /** HTTP address of a ledger in another process that serves it itself. */
  readonly url: string | undefined;
  close(): Promise<void>;
}

/** @throws CodedError USAGE_OPTION */
export function ledgerKindOf({ options }: Pick<CommandContext, 'options'>): LedgerKind {
  const wanted = String(options['ledger'] ?? 'embedded');
  const kind = LEDGERS.find((one) => one === wanted);
  const near = nearest(wanted, LEDGERS);
  if (kind === undefined) throw new CodedError('USAGE_OPTION', `There is no ledger "${wanted}".`, { why: `--ledger takes ${LEDGERS.join(', ')}.`, next: near === undefined ? 'Run healthkeep demo --help.' : `Did you mean --ledger ${near}?` });
  return kind;
}

/** Takes the folder and reaches the ledger. @throws CodedError FOLDER_IN_USE, LEDGER_UNREACHABLE, LEDGER_NETWORK_FILE */
export async function chooseLedger(context: CommandContext, path: string): Promise<ChosenLedger> {
  switch (ledgerKindOf(context)) {
    case 'embedded':
      return { doors: undefined, keys: undefined, folder: taken(path), url: undefined, close: async () => undefined };
    case 'grpc':
      return spawnedLedger(path, context);
    case 'fabric':
      return fabricLedger(path, resolve(context.env['INIT_CWD'] ?? '.', String(context.options['network'] ?? join(FABRIC_FOLDER, 'network.json'))));
  }
}

function taken(path: string): Folder {
  const folder = holdFolder(makeFolder(path));
  if (!folder.held) throw new CodedError('FOLDER_IN_USE', 'Another process works in this folder.', { why: 'A demo or ledger runs on it.', next: 'Stop it, or choose another --folder.' });
  return folder;
}

const Announcement = z.strictObject({ ledger: z.url(), grpc: z.string(), tlsRoot: z.string(), channels: z.array(z.unknown()) });
const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
/** No member listens here yet; the addresses follow as soon as there are any. */
const NOWHERE = 'http://127.0.0.1:0';

/** `healthkeep ledger serve` on the folder, as a child that ends with this process. It holds the folder. */
async function spawnedLedger(path: string, { env }: CommandContext): Promise<ChosenLedger> {
  taken(path).release();
  const old = readNetworkFileIfAny(path);
  if (old === undefined) writeNetworkFile(path, { version: 1, ledger: NOWHERE, members: Object.fromEntries(DEMO_MEMBERS.map(({ org }) => [org, NOWHERE])), people: 0 });
  const port = old === undefined ? 0 : Number(new URL(old.ledger).port);
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, 'ledger', 'serve', '--folder', path, '--port', String(port), '--grpc-port', '0', '--tls', '--with-caller', '--json'], { env: env as NodeJS.ProcessEnv, stdio: 'pipe' });
  const ended = new Promise<void>((done) => child.once('close', () => done()));
  const close = async (): Promise<void> => {
    child.stdin.end();
    await ended;
  };
  try {
    const { ledger, grpc, tlsRoot } = await announcementOf(child);
    const connect = (): GrpcTransport => createGrpcTransport({ address: grpc, tlsRootCertificate: readFileSync(tlsRoot, 'utf8'), serverName: 'localhost' });
    return { doors: { connect, connectDevice: connect }, keys: undefined, folder: { path, held: true, release: () => undefined }, url: ledger, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The line in which the child says where it serves. Its own error, when it has none to say. */
async function announcementOf(child: ChildProcessWithoutNullStreams): Promise<z.infer<typeof Announcement>> {
  let told = '';
  child.stderr.on('data', (bytes: Buffer) => (told = `${told}${bytes.toString('utf8')}`.slice(-2_000)));
  const line = await new Promise<string | undefined>((done) => {
    createInterface({ input: child.stdout }).once('line', done).once('close', () => done(undefined));
    child.once('error', () => done(undefined));
  });
  if (line !== undefined) return Announcement.parse(JSON.parse(line));
  throw new CodedError('LEDGER_UNREACHABLE', 'The process of the ledger ended before it served.', { why: told.trim().split('\n')[0] ?? '', next: 'Run healthkeep ledger serve on the folder to see why.' });
}

/** @throws CodedError LEDGER_NETWORK_FILE */
async function fabricLedger(path: string, file: string): Promise<ChosenLedger> {
  const network = readFabricNetwork(file);
  const keys = dirname(file);
  const endpoints = new Map<OrgId, FabricEndpoint>();
  for (const { org } of DEMO_MEMBERS) endpoints.set(org, await memberOf(network, { org, keys, file }));
  const connect = (org: OrgId): GrpcTransport => {
    const { address, tlsRootCertificate, serverName } = endpoints.get(org) as FabricEndpoint;
    return createGrpcTransport({ address, ...(tlsRootCertificate === undefined ? {} : { tlsRootCertificate: readFileSync(tlsRootCertificate, 'utf8') }), ...(serverName === undefined ? {} : { serverName }) });
  };
  return { doors: { connect, connectDevice: connect }, keys, folder: taken(path), url: undefined, close: async () => undefined };
}

/** The member's peer. Its keys must be those that the network's channels know. */
async function memberOf(network: FabricNetworkFile, { org, keys, file }: { readonly org: OrgId; readonly keys: string; readonly file: string }): Promise<FabricEndpoint> {
  const refuse = (why: string): CodedError => new CodedError('LEDGER_NETWORK_FILE', `The Fabric network cannot carry ${org}.`, { why, next: 'Start one with healthkeep fabric up, which makes keys and channels together.', file });
  const member = network.organisations.find(({ mspId }) => mspId === org);
  if (member?.peer === undefined) throw refuse('It has no such organisation with a peer.');
  const path = join(keys, 'orgs', org, 'keys.sqlite');
  if (!existsSync(path)) throw refuse("The organisation's keys are not beside the description.");
  const store = openSqliteKeyValueStore(path);
  try {
    const root = await store.get('root/certificate');
    if (root === undefined || fromUtf8(root) !== readFileSync(member.rootCertificate, 'utf8')) throw refuse("The organisation's root is not the one that the network knows.");
  } finally {
    await store.close();
  }
  return member.peer;
}
