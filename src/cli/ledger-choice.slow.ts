/** The same story on the embedded ledger and on one in another process, reached over gRPC with TLS: the same counts. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import type { Summary } from '#sim/story.ts';
import { holdFolder } from './folder.ts';

const MAIN = join(dirname(fileURLToPath(import.meta.url)), 'main.ts');
/** Every way of answering occurs among ten people. */
const PEOPLE = 10;
/** How often these are written depends on the time a run takes. */
const TIMED = ['setTimeFloor', 'logAccess', 'putCheckpoint'];

const folder = mkdtempSync(join(tmpdir(), 'healthkeep-ledgers-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function demo(ledger: string, extra: readonly string[] = []): { readonly child: ReturnType<typeof spawn>; readonly ended: Promise<{ readonly exit: number | null; readonly out: string; readonly err: string }> } {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, 'demo', '--once', '--json', '--people', String(PEOPLE), '--folder', join(folder, ledger), '--ledger', ledger, ...extra], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout?.on('data', (bytes: Buffer) => (out += bytes.toString('utf8')));
  child.stderr?.on('data', (bytes: Buffer) => (err += bytes.toString('utf8')));
  return { child, ended: new Promise((done) => child.once('close', (exit) => done({ exit, out, err }))) };
}

function countsOf(summary: Summary): unknown {
  const { seconds: _, blocks: __, checks, transactions, ...counts } = summary;
  const untimed = Object.fromEntries(Object.entries(transactions).map(([channel, names]) => [channel, Object.fromEntries(Object.entries(names).filter(([name]) => !TIMED.includes(name)))]));
  return { ...counts, transactions: untimed, checks: checks.map(({ name, held }) => ({ name, held })) };
}

describe('the whole story', () => {
  it('ends with the same counts in one process and over gRPC', async () => {
    const [inside, outside] = [await demo('embedded').ended, await demo('grpc').ended];
    expect([inside.exit, outside.exit], `${inside.err}\n${outside.err}`).toEqual([0, 0]);
    const [here, there] = [inside, outside].map(({ out }) => JSON.parse(out) as Summary) as [Summary, Summary];
    console.log(`embedded ${JSON.stringify(here.transactions)}\ngrpc     ${JSON.stringify(there.transactions)}`);
    expect(countsOf(there)).toEqual(countsOf(here));
    expect(there.checks.filter((one) => !one.held)).toEqual([]);
    expect(there.revocations).toBeGreaterThan(0);
  }, 240_000);

  it('a killed story takes the process of its ledger with it, and a new one goes on from there', async () => {
    const { child, ended } = demo('grpc');
    await new Promise<void>((done) => child.stderr?.on('data', (bytes: Buffer) => (bytes.toString('utf8').includes('Network ready') ? done() : undefined)));
    expect(holdFolder(join(folder, 'grpc')).held).toBe(false);
    child.kill('SIGKILL');
    await ended;
    const free = async (): Promise<boolean> => {
      const hold = holdFolder(join(folder, 'grpc'));
      hold.release();
      return hold.held;
    };
    await expect.poll(free, { timeout: 10_000 }).toBe(true);
    const again = await demo('grpc').ended;
    expect(again.exit, again.err).toBe(0);
    expect((JSON.parse(again.out) as Summary).checks.filter((one) => !one.held)).toEqual([]);
  }, 120_000);
});
