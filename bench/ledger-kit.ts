/** What the benchmarks of the ledger share: one durable ledger with a channel `bench`, closed-loop clients, and how figures are printed. */
import { availableParallelism, loadavg } from 'node:os';
import { silentLog } from '#base/ports.ts';
import { createTestOrg, type TestIdentity } from '#ledger/consortium.test-kit.ts';
import { openEmbeddedLedger, type EmbeddedLedger } from '#ledger/embedded/ledger.ts';
import type { Chaincode } from '#ledger/stub.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';

export const print = (line: Readonly<Record<string, unknown>>): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
/** First line of every run: figures from a loaded machine are to be read as such. */
export const printMachine = (): void => print({ machine: { node: process.version, threads: availableParallelism(), loadAverage: loadavg().map((load) => Math.round(load * 10) / 10) } });
export const rounded = (value: number, digits = 1): number => Math.round(value * 10 ** digits) / 10 ** digits;
export const seams = { clock: systemClock, random: systemRandom, scheduler: realScheduler };

/** Value at a share of a sorted list. */
export const quantile = (sorted: readonly number[], share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;

export interface Round {
  readonly transactions: number;
  readonly perSecond: number;
  readonly p50ms: number;
  readonly p95ms: number;
  readonly p99ms: number;
}

/** Runs `once` in as many closed loops as there are clients; each waits for its answer before it asks again. */
export async function closedLoop(clients: number, seconds: number, once: (client: number, turn: number) => Promise<unknown>): Promise<Round> {
  const latencies: number[] = [];
  const start = performance.now();
  await Promise.all(Array.from({ length: clients }, async (_, client) => {
    for (let turn = 0; performance.now() - start < seconds * 1_000; turn++) {
      const begun = performance.now();
      await once(client, turn);
      latencies.push(performance.now() - begun);
    }
  }));
  const elapsed = performance.now() - start;
  latencies.sort((left, right) => left - right);
  const at = (share: number): number => rounded(quantile(latencies, share));
  return { transactions: latencies.length, perSecond: Math.round((latencies.length * 1_000) / elapsed), p50ms: at(0.5), p95ms: at(0.95), p99ms: at(0.99) };
}

export interface BenchLedger {
  readonly ledger: EmbeddedLedger;
  /** A client of the only organisation. */
  readonly identity: TestIdentity;
}

/** A durable ledger in a folder with one organisation, its peer, and the contract under the name `bench` on the channel `bench`. */
export async function openBenchLedger(folder: string, chaincode: Chaincode): Promise<BenchLedger> {
  const org = await createTestOrg('Org0', systemClock);
  const orderer = await createTestOrg('ORD-bench', systemClock);
  const ledger = await openEmbeddedLedger({ folder, ...seams, log: silentLog, orderer: { ...(await orderer.issue('orderer', 'orderer')), rootCertificate: orderer.ca.certificate } });
  await ledger.createChannel({ name: 'bench', orgs: [{ mspId: org.mspId, rootCertificate: org.ca.certificate }], peers: [org.mspId], needed: 1 });
  await ledger.attachPeer({ ...org.peer, channels: ['bench'] });
  await ledger.deploy({ channel: 'bench', name: 'bench', chaincode, needed: 1 });
  return { ledger, identity: org.client };
}
