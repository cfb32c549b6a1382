/**
 * Stand-ins for Fabric's programs, so that everything around them can be tried where they cannot be had: which commands
 * are given, in which order, with which environment; waits, second tries, ports, processes. They know nothing of Fabric:
 * a node opens its operations port and says it is well, a command is written down. Run as a program, this file is one.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface Given {
  readonly program: string;
  readonly args: readonly string[];
  readonly mspId?: string;
}

/** Makes a bin folder; `version` is what the programs say of themselves. */
export function makeStandIns(bin: string, version: string): void {
  mkdirSync(bin, { recursive: true });
  for (const name of ['peer', 'orderer', 'osnadmin']) writeFileSync(join(bin, name), `#!/bin/sh\nSTAND_IN_VERSION='${version}' STAND_IN_BIN='${bin}' exec '${process.execPath}' --disable-warning=ExperimentalWarning '${fileURLToPath(import.meta.url)}' ${name} "$@"\n`, { mode: 0o755 });
}

/** What the programs were given, in order. */
export function givenTo(bin: string): Given[] {
  const file = join(bin, 'given.jsonl');
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Given) : [];
}

/** The next command whose words contain `text` is refused once, in these words. */
export function refuseOnce(bin: string, text: string, words: string): void {
  writeFileSync(join(bin, 'refuse.json'), JSON.stringify({ text, words }));
}

/** From now on every command whose words contain `text` prints `words`; with `exit` it is refused in them. The last one given for a text counts. */
export function answerWith(bin: string, text: string, { words, exit = 0 }: { readonly words: string; readonly exit?: number }): void {
  const file = join(bin, 'answers.json');
  const before = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>) : {};
  writeFileSync(file, JSON.stringify({ ...before, [text]: { words, exit } }));
}

/** Prints what was to be answered, if anything was. */
function answered(bin: string, words: string): boolean {
  const file = join(bin, 'answers.json');
  const answers = existsSync(file) ? Object.entries(JSON.parse(readFileSync(file, 'utf8')) as Record<string, { readonly words: string; readonly exit: number }>) : [];
  const answer = answers.find(([text]) => words.includes(text))?.[1];
  if (answer === undefined) return false;
  process[answer.exit === 0 ? 'stdout' : 'stderr'].write(`${answer.words}\n`);
  process.exitCode = answer.exit;
  return true;
}

function stand(): void {
  const [program = '', ...args] = process.argv.slice(2);
  const bin = process.env['STAND_IN_BIN'] ?? '';
  if (args[0] === 'version') return void process.stdout.write(`${program}:\n Version: ${process.env['STAND_IN_VERSION']}\n`);
  appendFileSync(join(bin, 'given.jsonl'), `${JSON.stringify({ program, args, mspId: process.env['CORE_PEER_LOCALMSPID'] })}\n`);
  if (program === 'orderer' || args[0] === 'node') return listen(program);
  if (answered(bin, [program, ...args].join(' '))) return;
  const refusal = join(bin, 'refuse.json');
  if (!existsSync(refusal)) return void process.stdout.write(program === 'osnadmin' ? 'Status: 201\n{}\n' : '');
  const { text, words } = JSON.parse(readFileSync(refusal, 'utf8')) as { text: string; words: string };
  if (![program, ...args].join(' ').includes(text)) return;
  rmSync(refusal);
  process.stderr.write(`${words}\n`);
  process.exitCode = 1;
}

/** The operations port stands in the configuration that the node was given. */
function listen(program: string): void {
  const folder = process.env['FABRIC_CFG_PATH'] ?? '';
  const text = readFileSync(join(folder, program === 'orderer' ? 'orderer.yaml' : 'core.yaml'), 'utf8');
  const port = /^[Oo]perations:\s+[Ll]istenAddress: 127\.0\.0\.1:(\d+)/m.exec(text)?.[1];
  if (existsSync(join(folder, 'die'))) throw new Error('the node cannot read its ledger');
  createServer((_, response) => response.end('OK')).listen(Number(port), '127.0.0.1');
  process.once('SIGTERM', () => process.exit(0));
}

if (import.meta.main) stand();
