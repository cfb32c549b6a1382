/** `healthkeep fabric test`: a Fabric network of its own, the conformance suite and the whole story on it, then nothing left of it. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CodedError } from '#base/errors.ts';
import type { Command, CommandContext, CommandResult } from '../command.ts';
import { fabricDown, fabricUp } from './fabric-network.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const FLAG = '--disable-warning=ExperimentalWarning';
/** Beside the network that somebody may be running. */
const FIRST_PORT = '18050';
const PEOPLE = '10';

export const fabricTest: Command = {
  name: ['fabric', 'test'],
  summary: 'Runs the conformance suite and the whole story on a Fabric network that is started for it and removed afterwards.',
  options: {
    version: { type: 'string', value: 'N', summary: '2 (default) or 3, the major version of Fabric' },
    bft: { type: 'boolean', summary: 'with --version 3: four orderers that agree by SmartBFT' },
    port: { type: 'string', value: 'N', summary: `first of the network's ports (default ${FIRST_PORT})` },
  },
  examples: ['healthkeep fabric test', 'healthkeep fabric test --version 3 --bft'],
  run: test,
};

async function test(context: CommandContext): Promise<CommandResult> {
  const root = mkdtempSync(join(tmpdir(), 'healthkeep-fabric-test-'));
  const folder = join(root, 'network');
  const within = (options: CommandContext['options']): CommandContext => ({ ...context, options: { ...options, folder } });
  try {
    await fabricUp.run(within({ port: FIRST_PORT, ...context.options, conformance: true }));
    const network = join(folder, 'network.json');
    await child(context, { what: 'conformance suite', args: [FLAG, join(ROOT, 'node_modules', 'vitest', 'vitest.mjs'), 'run', '--root', ROOT, 'src/ledger/conformance/network.fabric.ts'], env: { HEALTHKEEP_FABRIC_NETWORK: network } });
    const story = (ledger: string, ...more: readonly string[]) => child(context, { what: `story on ${ledger}`, args: [FLAG, join(ROOT, 'src', 'cli', 'main.ts'), 'demo', '--once', '--json', '--people', PEOPLE, '--folder', join(root, ledger), '--ledger', ledger, ...more], env: {} });
    const [fabric, embedded] = [countsOf(await story('fabric', '--network', network)), countsOf(await story('embedded'))];
    const different = Object.keys(embedded).filter((name) => embedded[name] !== fabric[name]);
    if (different.length > 0) throw new CodedError('CHECK_FAILED', 'The story ended with other counts on Fabric than on the embedded ledger.', { why: different.map((name) => `${name}: ${fabric[name]} instead of ${embedded[name]}`).join('; '), next: 'Run the story on both with --json and compare.' });
    return { json: { conformance: 'passed', story: 'same counts' }, text: ['The conformance suite passed on Fabric, and the story ended with the same counts as on the embedded ledger.'] };
  } finally {
    await fabricDown.run(within({}));
    rmSync(root, { recursive: true, force: true });
  }
}

/** The story's figures that do not depend on the time it takes. */
function countsOf(out: string): Record<string, string> {
  const { seconds: _, blocks: __, transactions: ___, checks, ...counts } = JSON.parse(out) as { readonly seconds: unknown; readonly blocks: unknown; readonly transactions: unknown; readonly checks: readonly { readonly name: string; readonly held: boolean }[] };
  return Object.fromEntries([...Object.entries(counts).map(([name, count]) => [name, JSON.stringify(count)]), ...checks.map(({ name, held }) => [name, String(held)])]) as Record<string, string>;
}

/** Runs a program to its end, its words on standard error as they come; resolves to its output. */
async function child({ streams, env, signal }: CommandContext, { what, args, env: more }: { readonly what: string; readonly args: readonly string[]; readonly env: Readonly<Record<string, string>> }): Promise<string> {
  const running = spawn(process.execPath, args, { env: { ...env, ...more } as NodeJS.ProcessEnv, stdio: ['ignore', 'pipe', 'pipe'], signal });
  let out = '';
  running.stdout.on('data', (bytes: Buffer) => (out += bytes.toString('utf8')));
  running.stderr.on('data', (bytes: Buffer) => streams.err(bytes.toString('utf8')));
  const code = await new Promise<number | null>((done) => running.once('close', done).once('error', () => done(null)));
  if (code === 0) return out;
  throw new CodedError('CHECK_FAILED', `The ${what} did not pass.`, { why: out.trim().split('\n').slice(-3).join(' | ').slice(-300), next: 'Read what it said above.' });
}
