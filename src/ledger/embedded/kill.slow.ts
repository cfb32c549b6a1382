/** `kill -9` at random moments under eight writers: what was acknowledged is in the chain, the chain is whole, the restart is quick. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { toBase64url } from '#base/bytes.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import { readBlock } from '../block.ts';
import { createTestOrg, type TestIdentity } from '../consortium.test-kit.ts';
import { createLedgerClient } from '../gateway-client.ts';
import { openPlanned, type KeptKey, type KillPlan } from './kill-child.test-kit.ts';

const ROUNDS = 200;
const folder = mkdtempSync(join(tmpdir(), 'healthkeep-kill-'));
const planFile = join(folder, 'plan.json');
const kept = ({ mspId, certificate, privateKeyPkcs8 }: TestIdentity): KeptKey => ({ mspId, certificate, privateKeyPkcs8: toBase64url(privateKeyPkcs8) });

interface Acknowledged {
  readonly txId: string;
  readonly blockNumber: number;
  readonly key: string;
}

/** Lets a child write for a while, kills it, and tells what it had been acknowledged. */
async function writeAndKill(round: number, milliseconds: number): Promise<Acknowledged[]> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', fileURLToPath(new URL('./kill-child.test-kit.ts', import.meta.url)), planFile, String(round)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  const ready = new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (part: Buffer) => {
      text += part.toString();
      if (text.includes('ready\n')) resolve();
    });
    child.on('exit', () => reject(new Error('the child ended by itself')));
  });
  // Some kills hit the start itself.
  if (round % 5 !== 0) await ready;
  else ready.catch(() => undefined);
  await realScheduler.sleep(milliseconds);
  child.kill('SIGKILL');
  await once(child, 'close');
  // A line that was cut off was not read by anybody.
  return text.slice(0, text.lastIndexOf('\n') + 1).split('\n').filter((line) => line.split(' ').length === 3).map((line) => {
    const [txId = '', blockNumber = '', key = ''] = line.split(' ');
    return { txId, blockNumber: Number(blockNumber), key };
  });
}

describe('an embedded ledger that is killed', () => {
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it(`loses nothing acknowledged in ${ROUNDS} kills, restarts within 2 s and stays whole`, async () => {
    const [org, orderer] = [await createTestOrg('OrgK', systemClock), await createTestOrg('ORD-kill', systemClock)];
    const plan: KillPlan = { folder: join(folder, 'ledger'), root: org.ca.certificate, ordererRoot: orderer.ca.certificate, orderer: kept(await orderer.issue('orderer', 'orderer')), peer: kept(org.peer), client: kept(org.client) };
    writeFileSync(planFile, JSON.stringify(plan));
    let total = 0;
    let slowest = 0;
    for (let round = 1; round <= ROUNDS; round++) {
      const [dice = 0] = systemRandom.bytes(1);
      const acknowledged = await writeAndKill(round, 5 + (dice / 255) * 600);
      total += acknowledged.length;
      const begun = performance.now();
      const ledger = await openPlanned(plan);
      slowest = Math.max(slowest, performance.now() - begun);
      const client = createLedgerClient({ transport: ledger.transport(), clock: systemClock, random: systemRandom, scheduler: realScheduler });
      const found = new Map<string, number>();
      const from = Math.min(ledger.height('kill') - 1, ...acknowledged.map((one) => one.blockNumber));
      const stop = new AbortController();
      for await (const block of client.blocks({ channel: 'kill', startBlock: from, signer: org.peer.signer, signal: stop.signal })) {
        for (const transaction of readBlock(block.bytes).transactions) if (transaction.code === 'VALID') found.set(transaction.txId, block.number);
        if (block.number === ledger.height('kill') - 1) stop.abort();
      }
      expect(acknowledged.filter(({ txId, blockNumber }) => found.get(txId) !== blockNumber)).toEqual([]);
      const keys = acknowledged.slice(-5).map(({ key }) => key);
      const answers = await client.evaluate({ channel: 'kill', contract: 'probe', name: 'run', input: keys.flatMap((key) => [['get', key], ['getPrivate', 'own', key]]), signer: org.client.signer });
      expect(answers).toEqual(keys.flatMap((key) => [key, key]));
      if (round % 10 === 0) await ledger.verifyChain('kill');
      await ledger.close();
    }
    const ledger = await openPlanned(plan);
    const replayed = await ledger.replay('kill');
    expect(replayed.blocks).toBe(ledger.height('kill'));
    await ledger.close();
    expect(total).toBeGreaterThan(ROUNDS);
    expect(slowest).toBeLessThan(2_000);
  });
});
