/** The command line's door: finds the command, parses its words, prints its result, exits with its code. */
import { enableCompileCache } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CodedError } from '#base/errors.ts';
import { groupHelp, helpOf, nearest, parseCommand, type Command } from './command.ts';
import { printError, printResult, type Streams } from './output.ts';

/** Name → the module that has it: only what is used is loaded, so that help and errors are quick. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  demo: async () => (await import('./commands/demo.ts')).demo,
  'ledger serve': async () => (await import('./commands/ledger-serve.ts')).ledgerServe,
  'ledger migrate': async () => (await import('./commands/ledger-migrate.ts')).ledgerMigrate,
  'ledger inspect': async () => (await import('./commands/ledger-inspect.ts')).ledgerInspect,
  'chaincode serve': async () => (await import('./commands/chaincode-serve.ts')).chaincodeServe,
  'ledger verify': async () => (await import('./commands/ledger-verify.ts')).ledgerVerify,
  'ledger backup': async () => (await import('./commands/ledger-backup.ts')).ledgerBackup,
  'ledger restore': async () => (await import('./commands/ledger-restore.ts')).ledgerRestore,
  'fabric up': async () => (await import('./commands/fabric-network.ts')).fabricUp,
  'fabric down': async () => (await import('./commands/fabric-network.ts')).fabricDown,
  'fabric test': async () => (await import('./commands/fabric-test.ts')).fabricTest,
  'org run': async () => (await import('./commands/org-run.ts')).orgRun,
  ingest: async () => (await import('./commands/ingest.ts')).ingest,
  'device enrol': async () => (await import('./commands/device.ts')).deviceEnrol,
  'device link': async () => (await import('./commands/device.ts')).deviceLink,
  'device sync': async () => (await import('./commands/device.ts')).deviceSync,
  'device records': async () => (await import('./commands/device.ts')).deviceRecords,
  'device permit': async () => (await import('./commands/device.ts')).devicePermit,
  'device requests': async () => (await import('./commands/device.ts')).deviceRequests,
  'device answer': async () => (await import('./commands/device.ts')).deviceAnswer,
  'device revoke': async () => (await import('./commands/device.ts')).deviceRevoke,
  'device erase': async () => (await import('./commands/device.ts')).deviceErase,
  'device log': async () => (await import('./commands/device.ts')).deviceLog,
  'device export': async () => (await import('./commands/device.ts')).deviceExport,
  'device import': async () => (await import('./commands/device.ts')).deviceImport,
  'request permits': async () => (await import('./commands/request.ts')).requestPermits,
  'request invite': async () => (await import('./commands/request.ts')).requestInvite,
  'request receive': async () => (await import('./commands/request.ts')).requestReceive,
  'request receipts': async () => (await import('./commands/request.ts')).requestReceipts,
  settle: async () => (await import('./commands/settle.ts')).settle,
  'tamper-check': async () => (await import('./commands/tamper-check.ts')).tamperCheck,
  'proof make': async () => (await import('./commands/proof.ts')).proofMake,
  'proof verify': async () => (await import('./commands/proof.ts')).proofVerify,
  'checkpoint show': async () => (await import('./commands/checkpoint.ts')).checkpointShow,
  'checkpoint note': async () => (await import('./commands/checkpoint.ts')).checkpointNote,
  'checkpoint compare': async () => (await import('./commands/checkpoint.ts')).checkpointCompare,
  'checkpoint evidence': async () => (await import('./commands/checkpoint.ts')).checkpointEvidence,
  'consortium propose': async () => (await import('./commands/consortium.ts')).consortiumPropose,
  'consortium vote': async () => (await import('./commands/consortium.ts')).consortiumVote,
  'consortium join': async () => (await import('./commands/consortium.ts')).consortiumJoin,
  doctor: async () => (await import('./commands/doctor.ts')).doctor,
};

const SUMMARIES: readonly (readonly [string, string])[] = [
  ['demo', 'bring up the demo network and play the whole story'],
  ['ledger serve', 'run the embedded ledger of a folder for other processes'],
  ['ledger inspect', 'list channels, blocks and transactions'],
  ['ledger migrate', 'move the state to another ledger, with proof'],
  ['chaincode serve', 'serve a contract to Fabric\'s peers'],
  ['ledger verify', 'check a ledger\'s files as a whole and name what is damaged'],
  ['ledger backup', 'copy a ledger that may be running'],
  ['ledger restore', 'make a ledger from a backup, or from blocks alone'],
  ['fabric …', 'a Hyperledger Fabric network on this machine: up, down, test'],
  ['org run', 'run one organisation as its own process'],
  ['ingest', 'hand FHIR R4 bundles to a hospital'],
  ['device …', 'a person\'s device: enrol, link, sync, records, permit, requests, answer, revoke, erase, log, export, import'],
  ['request …', 'a data user\'s requests: permits, invite, receive, receipts'],
  ['settle', 'settle receipts and print the statement'],
  ['tamper-check', 'compare a hospital\'s store with its channel'],
  ['proof …', 'make a proof file for a record, verify one offline'],
  ['checkpoint …', 'what a device has seen of every channel: show, note, compare, evidence'],
  ['consortium …', 'votes on members, and how a new one joins'],
  ['doctor', 'find out what is wrong with a folder or a machine'],
];

const VERSION = '0.1.0';
const EXIT_GRACE_MS = 3_000;

/** Runs one command line; resolves to the exit code. */
export async function main(argv: readonly string[], streams: Streams, env: Readonly<Record<string, string | undefined>>, signal: AbortSignal): Promise<number> {
  const json = argv.includes('--json');
  try {
    if (argv[0] === '--version') return say(streams, [VERSION]);
    const asked = helpAsked(argv);
    if (asked !== undefined) return say(streams, await help(asked));
    const { command, rest } = await find(argv);
    const { options, words } = parseCommand(command, rest);
    if (options['help'] === true) return say(streams, helpOf(command));
    const result = await command.run({ streams, env, options, words, json, signal });
    if (result === undefined) return 0;
    printResult(streams, result, json);
    const exits = (result.errors ?? []).map((error) => printError(streams, error, json));
    return exits[0] ?? result.exit ?? 0;
  } catch (error) {
    return printError(streams, error, json);
  }
}

/** The command or group that help is asked for by `help …`, `--help` or nothing at all; undefined when a command shall run. */
function helpAsked(argv: readonly string[]): readonly string[] | undefined {
  if (argv.length === 0 || argv[0] === '--help') return [];
  if (argv[0] === 'help') return argv.slice(1).filter((word) => !word.startsWith('-'));
  return argv.length === 2 && ['--help', 'help'].includes(argv[1] as string) && commandsOf(argv[0] as string).length > 0 ? [argv[0] as string] : undefined;
}

async function help(words: readonly string[]): Promise<string[]> {
  if (words.length === 0) return overview();
  const commands = commandsOf(words[0] as string);
  if (words.length === 1 && commands.length > 0) return groupHelp(await Promise.all(commands.map((name) => (COMMANDS[name] as () => Promise<Command>)())));
  return helpOf((await find(words)).command);
}

/** The commands of a group such as `device`. */
function commandsOf(group: string): readonly string[] {
  return Object.keys(COMMANDS).filter((name) => name.startsWith(`${group} `));
}

async function find(argv: readonly string[]): Promise<{ readonly command: Command; readonly rest: readonly string[] }> {
  for (const length of [2, 1]) {
    const name = argv.slice(0, length).join(' ');
    const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (load !== undefined && argv.length >= length) return { command: await load(), rest: argv.slice(length) };
  }
  const [first, second] = argv as [string, string | undefined];
  const words = commandsOf(first).map((name) => name.split(' ')[1] as string);
  if (words.length > 0) {
    const wanted = second === undefined || second.startsWith('-') ? undefined : nearest(second, words);
    throw new CodedError('USAGE_COMMAND', `healthkeep ${first} needs one of its commands.`, { why: `They are: ${words.join(', ')}.`, next: wanted === undefined ? `Run healthkeep ${first} --help.` : `Did you mean healthkeep ${first} ${wanted}?` });
  }
  if (first.startsWith('-')) {
    const near = nearest(first, ['--help', '--version']);
    throw new CodedError('USAGE_OPTION', `There is no option ${first} before a command.`, { why: 'Options belong to a command and come after it.', next: near === undefined ? 'Run healthkeep --help.' : `Did you mean healthkeep ${near}?` });
  }
  const near = nearest(first, Object.keys(COMMANDS).map((name) => name.split(' ')[0] as string));
  throw new CodedError('USAGE_COMMAND', `There is no command "${first}".`, { why: 'healthkeep does not know it.', next: near === undefined ? 'Run healthkeep --help.' : `Did you mean healthkeep ${near}?` });
}

function overview(): string[] {
  const width = Math.max(...SUMMARIES.map(([name]) => name.length));
  return [
    'healthkeep: people keep the keys to their health data.',
    '',
    'Examples',
    '  healthkeep demo                                  the whole network on this machine',
    '  healthkeep demo --once --json --folder DIR       play the story, print a summary',
    '  healthkeep tamper-check --folder DIR --org HO-east',
    '  healthkeep device records --folder DIR/people/1',
    '',
    'Commands',
    ...SUMMARIES.map(([name, summary]) => `  ${name.padEnd(width)}  ${summary}`),
    '',
    'Every command takes --json and --help. Exit codes: 0 ok, 2 usage, 3 configuration, 4 refused by policy, 5 unreachable, 6 integrity failure.',
  ];
}

function say(streams: Streams, lines: readonly string[]): number {
  streams.out(`${lines.join('\n')}\n`);
  return 0;
}

async function start(): Promise<void> {
  // What was compiled once is not compiled at every start; where the folder cannot be written, nothing is kept.
  enableCompileCache(join(dirname(dirname(dirname(fileURLToPath(import.meta.url)))), 'node_modules', '.cache', 'healthkeep', 'compiled'));
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort());
  const streams: Streams = { out: (text) => void process.stdout.write(text), err: (text) => void process.stderr.write(text), color: process.stdout.isTTY === true && process.env['NO_COLOR'] === undefined };
  // What nobody waited for ends the process as any other error does.
  for (const name of ['unhandledRejection', 'uncaughtException'] as const) process.on(name, (error) => process.exit(printError(streams, error, process.argv.includes('--json'))));
  // Whoever reads us may leave early (`| head`): then there is nobody to tell, but the work under way ends in order.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => stop.abort());
  process.exitCode = await main(process.argv.slice(2), streams, process.env, stop.signal);
  leaveSoon();
}

/** Everything is closed and said. Should something still hold the process, it ends all the same, once its words are read. */
function leaveSoon(): void {
  setTimeout(() => (process.stdout.writableLength + process.stderr.writableLength === 0 ? process.exit() : leaveSoon()), EXIT_GRACE_MS).unref();
}

if (import.meta.main) await start();
