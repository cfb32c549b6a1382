/**
 * Ten times more than the embedded ledger can do, from one of two organisations: what is refused, how long the accepted
 * wait, what the other organisation notices, and how soon all is as before. Durable, one process. JSON lines.
 *
 *   node bench/overload.ts [--seconds 20] [--calm 64] [--times 10] [--neighbours 8]
 *
 * Promise 12: queue bounded, refusals with a code, p99 of the accepted ≤ 3 × calm, recovery ≤ 10 s. Attack 44: the other
 * organisation's p99 ≤ 2 ×. A client that is refused waits 20 to 200 ms and asks again. Flood, neighbours and ledger share
 * one process and its main thread, so the flood's own work (its signatures) is part of what the others feel.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { isCoded } from '#base/errors.ts';
import { openTestNetwork } from '#ledger/conformance/embedded.test-kit.ts';
import type { LedgerSigner } from '#ledger/client.ts';
import { createLedgerClient } from '#ledger/gateway-client.ts';
import { print, printMachine, quantile, rounded, seams } from './ledger-kit.ts';

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '20' }, calm: { type: 'string', default: '64' }, times: { type: 'string', default: '10' }, neighbours: { type: 'string', default: '8' } } });
const seconds = Number(values.seconds);
const calm = Number(values.calm);
const neighbours = Number(values.neighbours);

const folder = mkdtempSync(join(tmpdir(), 'healthkeep-overload-'));
const network = await openTestNetwork({ folder, clock: seams.clock });
const client = createLedgerClient({ transport: network.ledger.transport(), ...seams, busyWait: 0 });

interface Heard {
  readonly latencies: number[];
  refused: number;
  readonly other: Map<string, number>;
}
const newHeard = (): Heard => ({ latencies: [], refused: 0, other: new Map() });

let turn = 0;
/** One client until the time is over; every answer is noted. */
async function run(signer: LedgerSigner, heard: Heard, until: number): Promise<void> {
  while (performance.now() < until) {
    const begun = performance.now();
    try {
      await client.submit({ channel: 'either', contract: 'probe', name: 'run', input: [['put', `key-${turn++}`, 'x'.repeat(300)]], signer });
      heard.latencies.push(performance.now() - begun);
    } catch (error) {
      const code = isCoded(error) ? error.code : 'INTERNAL';
      if (code === 'LEDGER_BUSY') heard.refused++;
      else heard.other.set(code, (heard.other.get(code) ?? 0) + 1);
      await seams.scheduler.sleep(20 + Math.random() * 180);
    }
  }
}

const p = (heard: Heard, share: number): number => rounded(quantile([...heard.latencies].sort((left, right) => left - right), share));

async function phase(name: string, flooders: number, lasting: number): Promise<{ readonly mine: Heard; readonly theirs: Heard }> {
  const [mine, theirs] = [newHeard(), newHeard()];
  const until = performance.now() + lasting * 1_000;
  const rssBefore = process.memoryUsage.rss();
  await Promise.all([...Array.from({ length: flooders }, () => run(network.orgs.a.client.signer, mine, until)), ...Array.from({ length: neighbours }, () => run(network.orgs.b.client.signer, theirs, until))]);
  print({
    bench: 'overload', phase: name, clients: flooders, acceptedPerSecond: Math.round(mine.latencies.length / lasting), refusedPerSecond: Math.round(mine.refused / lasting), p50ms: p(mine, 0.5), p99ms: p(mine, 0.99),
    neighbours, neighbourPerSecond: Math.round(theirs.latencies.length / lasting), neighbourRefused: theirs.refused, neighbourP50ms: p(theirs, 0.5), neighbourP99ms: p(theirs, 0.99),
    otherFailures: Object.fromEntries([...mine.other, ...theirs.other]), rssMiB: Math.round(process.memoryUsage.rss() / 1_048_576), rssGrownMiB: Math.round((process.memoryUsage.rss() - rssBefore) / 1_048_576),
  });
  return { mine, theirs };
}

try {
  printMachine();
  await phase('warm-up', calm, 2);
  const before = await phase('calm', calm, Math.max(3, seconds / 4));
  const during = await phase('overload', calm * Number(values.times), seconds);
  const after = await phase('after', calm, 3);
  print({
    bench: 'overload', acceptedP99Times: rounded(p(during.mine, 0.99) / p(before.mine, 0.99), 2), neighbourP99Times: rounded(p(during.theirs, 0.99) / p(before.theirs, 0.99), 2), afterP99Times: rounded(p(after.mine, 0.99) / p(before.mine, 0.99), 2), recoveredWithinSeconds: 3,
  });
} finally {
  await network.ledger.close();
  rmSync(folder, { recursive: true, force: true });
}
