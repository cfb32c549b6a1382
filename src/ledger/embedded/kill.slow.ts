/**
 * `kill -9` at random moments under eight writers (HEALTHKEEP_KILLS overrides how many): what was acknowledged is there, what
 * nobody sent is not, no block is there by half, the restart is quick. A process is begun while the one before it still
 * writes, and waits; so a kill costs little more than the time that is written.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { toBase64url } from '#base/bytes.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import { createTestOrg, type TestIdentity } from '../consortium.test-kit.ts';
import { checkFolder } from './corruption.ts';
import { compareSaid, type Acknowledged, type Said } from './kill-check.test-kit.ts';
import type { KeptKey, KillPlan } from './kill-child.test-kit.ts';

const ROUNDS = Number(process.env['HEALTHKEEP_KILLS'] ?? 1_000);
/** Rounds between whole checks of the folder. */
const CHECK_EVERY = 250;
/** The moment of a kill is so many acknowledgements and milliseconds after the first block, so that a slow machine writes as much as a quick one. */
const ACKNOWLEDGED_MAX = 64;
const LATER_MS_MAX = 10;
const folder = mkdtempSync(join(tmpdir(), 'healthkeep-kill-'));
const planFile = join(folder, 'plan.json');
const kept = ({ mspId, certificate, privateKeyPkcs8 }: TestIdentity): KeptKey => ({ mspId, certificate, privateKeyPkcs8: toBase64url(privateKeyPkcs8) });

const dice = (sides: number): number => (Buffer.from(systemRandom.bytes(4)).readUInt32BE() / 2 ** 32) * sides;

interface Child {
  readonly round: number;
  readonly process: ChildProcessByStdio<Writable, Readable, null>;
  /** Everything is loaded, the ledger not yet open. */
  readonly loaded: Promise<true>;
  /** Milliseconds from being told until it could take transactions. */
  readonly ready: Promise<number>;
  /** Resolves when so many transactions were acknowledged. */
  wrote(count: number): Promise<unknown>;
  text(): string;
}

const ACKNOWLEDGED = /^\+$/gm;

function start(round: number): Child {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', fileURLToPath(new URL('./kill-child.test-kit.ts', import.meta.url)), planFile, String(round)], { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, NODE_COMPILE_CACHE: join(folder, 'compiled') } });
  let text = '';
  let say: (line: string) => void = () => undefined;
  child.stdin.on('error', () => undefined);
  child.stdout.setEncoding('utf8').on('data', (part: string) => say((text += part)));
  const seen = <T>(find: (text: string) => T | undefined): Promise<T> => new Promise((resolve, reject) => {
    const before = say;
    say = (all) => {
      before(all);
      const found = find(all);
      if (found !== undefined) resolve(found);
    };
    child.on('exit', () => reject(new Error('the child ended by itself')));
  });
  const loaded = seen((all) => (all.startsWith('loaded\n') ? true : undefined));
  const ready = seen((all) => {
    const found = /^ready (\d+)\n/m.exec(all);
    return found === null ? undefined : Number(found[1]);
  });
  for (const promise of [loaded, ready]) promise.catch(() => undefined);
  const wrote = (count: number): Promise<unknown> => (count === 0 ? Promise.resolve() : seen((all) => ((all.match(ACKNOWLEDGED)?.length ?? 0) >= count ? true : undefined)));
  return { round, process: child, loaded, ready, wrote, text: () => text };
}

/** A line that was cut off was not said. */
function saidBy({ round }: Child): Said {
  const file = join(folder, `said-${round}`);
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  rmSync(file, { force: true });
  const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  const acknowledged = lines.filter((line) => /^[0-9a-f]{64} \d+ /.test(line)).map((line): Acknowledged => {
    const [txId = '', block = '', key = ''] = line.split(' ');
    return { txId, block: Number(block), key };
  });
  return { round, sent: new Set(lines.filter((line) => line.startsWith('> ')).map((line) => line.slice(2))), acknowledged };
}

async function kill({ process: child }: Child): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'close');
}

/** Milliseconds from starting a program to its first transaction being possible, with nothing else running. */
async function restartAlone(round: number): Promise<number> {
  const begun = performance.now();
  const child = start(round);
  await child.loaded;
  child.process.stdin.write('go\n');
  await child.ready;
  const elapsed = performance.now() - begun;
  await kill(child);
  return Math.round(elapsed);
}

const quantile = (values: readonly number[], share: number): number => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0;

describe('an embedded ledger that is killed', () => {
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it(`loses nothing acknowledged in ${ROUNDS} kills, invents nothing, restarts within 2 s and stays whole`, async () => {
    const [org, orderer] = [await createTestOrg('OrgK', systemClock), await createTestOrg('ORD-kill', systemClock)];
    const plan: KillPlan = { folder: join(folder, 'ledger'), root: org.ca.certificate, ordererRoot: orderer.ca.certificate, orderer: kept(await orderer.issue('orderer', 'orderer')), peer: kept(org.peer), client: kept(org.client) };
    writeFileSync(planFile, JSON.stringify(plan));
    const file = join(plan.folder, 'kill.sqlite');
    const restarts: number[] = [];
    let unchecked: Said[] = [];
    let [height, acknowledged, duringStart] = [0, 0, 0];
    const began = performance.now();
    let child = start(1);
    for (let round = 1; round <= ROUNDS; round++) {
      const next = start(round + 1);
      await child.loaded;
      child.process.stdin.write('go\n');
      // Some kills hit the start itself.
      const early = round % 5 === 0;
      if (early) await realScheduler.sleep(dice(120));
      else {
        restarts.push(await child.ready);
        // While it writes, what those before it were told is compared with what the file says.
        const faults = compareSaid(file, unchecked, height);
        expect({ lost: faults.lost, phantom: faults.phantom, half: faults.half }).toEqual({ lost: [], phantom: [], half: [] });
        height = faults.height;
        unchecked = [];
        await child.wrote(Math.floor(dice(ACKNOWLEDGED_MAX)));
        await realScheduler.sleep(dice(LATER_MS_MAX));
      }
      await kill(child);
      if (early && !child.text().includes('ready')) duringStart++;
      const said = saidBy(child);
      acknowledged += said.acknowledged.length;
      unchecked.push(said);
      if (round % CHECK_EVERY === 0) expect((await checkFolder({ folder: plan.folder })).findings).toEqual([]);
      child = next;
    }
    await kill(child);
    const last = compareSaid(file, unchecked, height);
    expect({ lost: last.lost, phantom: last.phantom, half: last.half }).toEqual({ lost: [], phantom: [], half: [] });
    const alone: number[] = [];
    for (let turn = 0; turn < 5; turn++) alone.push(await restartAlone(ROUNDS + 2 + turn));
    const { findings, channels } = await checkFolder({ folder: plan.folder });
    expect(findings).toEqual([]);
    const facts = { kills: ROUNDS, duringStart, acknowledged, blocks: channels[0]?.height, lost: 0, phantom: 0, restartAloneMs: alone, openMs: { p50: Math.round(quantile(restarts, 0.5)), p95: Math.round(quantile(restarts, 0.95)), most: Math.round(quantile(restarts, 1)) }, seconds: Math.round((performance.now() - began) / 1_000) };
    console.log(JSON.stringify(facts));
    expect(acknowledged).toBeGreaterThan(ROUNDS);
    expect(quantile(restarts, 0.95)).toBeLessThan(2_000);
    expect(quantile(alone, 0.5)).toBeLessThan(2_000);
  });
});
