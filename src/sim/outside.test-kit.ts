/** Fabric's Java client and protobuf classes against the embedded ledger: builds `fabric/outside` and runs its programs. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { keyOf } from '#ledger/embedded/fabric-client.test-kit.ts';
import type { TestIdentity } from '#ledger/consortium.test-kit.ts';

const PROJECT = fileURLToPath(new URL('../../fabric/outside/', import.meta.url));

/** Which of the programs that are needed cannot be run. */
export function missingPrograms(): string[] {
  return ['java', 'javac', 'mvn'].filter((program) => spawnSync(program, [program === 'mvn' ? '--version' : '-version'], { stdio: 'ignore' }).status !== 0);
}

export interface Ended {
  readonly code: number;
  readonly lines: readonly string[];
}

export function runProgram(program: string, args: readonly string[]): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: PROJECT, stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (part: string) => (text += part));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? -1, lines: text.split('\n').filter((line) => line !== '') }));
  });
}

/** Libraries from Maven's cache, else from its registry; then the compiler. Returns the class path. */
export async function buildOutside(folder: string): Promise<string> {
  const [libraries, classes] = [join(folder, 'lib'), join(folder, 'classes')];
  const fetch = (...options: readonly string[]): Promise<Ended> => runProgram('mvn', ['-q', '-B', ...options, 'dependency:copy-dependencies', `-DoutputDirectory=${libraries}`]);
  if ((await fetch('-o')).code !== 0 && (await fetch()).code !== 0) throw new Error('Maven could not fetch the libraries of fabric/outside.');
  mkdirSync(classes, { recursive: true });
  const sources = join(PROJECT, 'src', 'main', 'java', 'outside');
  const compiled = await runProgram('javac', ['-d', classes, '-cp', join(libraries, '*'), ...readdirSync(sources).map((file) => join(sources, file))]);
  if (compiled.code !== 0) throw new Error(compiled.lines.join('\n'));
  return `${classes}:${join(libraries, '*')}`;
}

export interface World {
  readonly address: string;
  readonly serverName: string;
  /** PEM. */
  readonly tlsRoot: string;
  readonly identities: Readonly<Record<string, TestIdentity>>;
}

/** What the Java programs need to find and enter the ledger. */
export function writeWorld(folder: string, { address, serverName, tlsRoot, identities }: World): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'tls-root.pem'), tlsRoot);
  writeFileSync(join(folder, 'world.properties'), [`address=${address}`, `serverName=${serverName}`, ...Object.entries(identities).map(([name, { mspId }]) => `${name}=${mspId}`)].join('\n'));
  for (const [name, identity] of Object.entries(identities)) {
    writeFileSync(join(folder, `${name}.pem`), identity.certificate);
    writeFileSync(join(folder, `${name}.key`), keyOf(identity).export({ format: 'pem', type: 'pkcs8' }));
  }
}
