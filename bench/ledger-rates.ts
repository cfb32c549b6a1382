/**
 * What else the embedded ledger does in a second: records anchored in batches through the health data channel's contract,
 * evaluations, and events heard live and replayed. Durable, one process, our own client. JSON lines.
 *
 *   node bench/ledger-rates.ts [--seconds 4] [--batch 1,20,100,500] [--clients 1,16,64] [--events 5000]
 *
 * Anchoring is bound by the contract (each anchor is checked, read and written) and, for single records, by signatures;
 * evaluation by the two signatures per call (the client makes one, the ledger checks it); live events by the transactions
 * that set them, replayed ones by decoding blocks.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { toBase64url } from '#base/bytes.ts';
import type { Json } from '#base/canonical-json.ts';
import { EAST, startNetwork } from '#contracts/network.test-kit.ts';
import { systemRandom } from '#sim/seams.ts';
import { createLedgerClient } from '#ledger/gateway-client.ts';
import { probe } from '#ledger/conformance/probe.ts';
import { closedLoop, openBenchLedger, print, printMachine, rounded, seams } from './ledger-kit.ts';

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '4' }, batch: { type: 'string', default: '1,20,100,500' }, clients: { type: 'string', default: '1,16,64' }, events: { type: 'string', default: '5000' } } });
const seconds = Number(values.seconds);
const ANCHORING_CLIENTS = 4;

/** Microseconds of CPU per piece of work. */
async function withCpu<T>(pieces: (result: T) => number, work: () => Promise<T>): Promise<T & { readonly cpuMicroseconds: number }> {
  const before = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(before);
  return { ...result, cpuMicroseconds: rounded((user + system) / pieces(result)) };
}

async function anchoring(folder: string): Promise<void> {
  const network = await startNetwork(folder);
  try {
    const signer = await network.signer(EAST, 'system');
    const text = (bytes: number): string => toBase64url(systemRandom.bytes(bytes));
    const subject = text(16);
    const anchor = (): Json => ({ id: text(16), subject, commitment: text(32), signature: text(70), class: 'clinical' });
    for (const size of values.batch.split(',').map(Number)) {
      const submit = () => network.ledger.submit({ channel: 'hdc-east', contract: 'hdc', name: 'anchorRecords', input: { anchors: Array.from({ length: size }, anchor) }, signer });
      await closedLoop(ANCHORING_CLIENTS, 0.5, submit);
      const { transactions, perSecond, p50ms, p95ms, cpuMicroseconds } = await withCpu((round) => round.transactions * size, () => closedLoop(ANCHORING_CLIENTS, seconds, submit));
      print({ bench: 'anchor', batch: size, clients: ANCHORING_CLIENTS, records: transactions * size, recordsPerSecond: perSecond * size, p50ms, p95ms, cpuMicrosecondsPerRecord: cpuMicroseconds });
    }
  } finally {
    await network.close();
  }
}

async function evaluationAndEvents(folder: string): Promise<void> {
  const { ledger, identity } = await openBenchLedger(folder, probe);
  const client = createLedgerClient({ transport: ledger.transport(), ...seams });
  const { signer } = identity;
  const call = (steps: Json) => ({ channel: 'bench', contract: 'bench', name: 'run', input: steps, signer });
  try {
    for (let at = 0; at < 500; at++) await client.submit(call([['put', `key-${at}`, 'x'.repeat(300)]]));
    for (const clients of values.clients.split(',').map(Number)) {
      const evaluate = (one: number, turn: number) => client.evaluate(call([['get', `key-${(one * 31 + turn) % 500}`]]));
      await closedLoop(clients, 0.5, evaluate);
      print({ bench: 'evaluate', clients, ...(await withCpu((round) => round.transactions, () => closedLoop(clients, seconds, evaluate))) });
    }
    const wanted = Number(values.events);
    const from = ledger.height('bench');
    const stop = new AbortController();
    const hear = async (name: string): Promise<void> => {
      const begun = performance.now();
      let heard = 0;
      for await (const event of client.events({ channel: 'bench', contract: 'bench', startBlock: from, signer, signal: stop.signal })) {
        if (event.name === 'bench' && ++heard === wanted) break;
      }
      print({ bench: 'events', how: name, events: heard, perSecond: Math.round((heard * 1_000) / (performance.now() - begun)) });
    };
    const live = hear('live, as fast as 64 clients make them');
    let sent = 0;
    await Promise.all(Array.from({ length: 64 }, async () => {
      for (let at = sent++; at < wanted; at = sent++) await client.submit(call([['put', `event-${at}`, 'x'], ['event', 'bench', 'y'.repeat(100)]]));
    }));
    await live;
    await hear('replayed from a block');
    stop.abort();
  } finally {
    await ledger.close();
  }
}

printMachine();
for (const work of [anchoring, evaluationAndEvents]) {
  const folder = mkdtempSync(join(tmpdir(), 'healthkeep-rates-'));
  try {
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
