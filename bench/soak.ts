/**
 * Long runs of the embedded ledger: memory over many transactions, then a replay of them all. JSON lines.
 *
 *   node --expose-gc bench/soak.ts [--transactions 1000000] [--clients 64] [--keys 20000] [--folder DIR] [--replays 0]
 *
 * Keys come again, so that state stays as large as a working channel's and only blocks, index and history grow. `slope` is
 * the least-squares change of resident memory per 100,000 transactions over the last half of the run. With --folder the
 * channel is kept, for replays by other versions of Node.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { silentLog } from '#base/ports.ts';
import { createTestOrg } from '#ledger/consortium.test-kit.ts';
import { openEmbeddedLedger } from '#ledger/embedded/ledger.ts';
import { createLedgerClient } from '#ledger/gateway-client.ts';
import type { Chaincode } from '#ledger/stub.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';

const { values } = parseArgs({ options: { transactions: { type: 'string', default: '1000000' }, clients: { type: 'string', default: '64' }, keys: { type: 'string', default: '20000' }, folder: { type: 'string' }, replays: { type: 'string', default: '0' } } });
const wanted = Number(values.transactions);
const keys = Number(values.keys);
const SAMPLES = 100;
const print = (line: Readonly<Record<string, unknown>>): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
const mebibytes = (bytes: number): number => Math.round(bytes / 104_857.6) / 10;

const payload = new Uint8Array(100).fill(120);
const contract: Chaincode = {
  async Invoke(stub) {
    const { params } = stub.getFunctionAndParameters();
    await stub.putState((JSON.parse(params[0] ?? '{}') as { key: string }).key, payload);
    return { status: 200, message: '', payload: new Uint8Array(0) };
  },
};

interface Sample {
  readonly transactions: number;
  readonly rss: number;
}

/** Bytes per transaction by least squares. */
function slopeOf(samples: readonly Sample[]): number {
  const mean = (of: (sample: Sample) => number): number => samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
  const [x, y] = [mean((sample) => sample.transactions), mean((sample) => sample.rss)];
  const spread = samples.reduce((sum, sample) => sum + (sample.transactions - x) ** 2, 0);
  return samples.reduce((sum, sample) => sum + (sample.transactions - x) * (sample.rss - y), 0) / spread;
}

const folder = values.folder ?? mkdtempSync(join(tmpdir(), 'healthkeep-soak-'));
const org = await createTestOrg('Org', systemClock);
const orderer = await createTestOrg('ORD-soak', systemClock);
const ledger = await openEmbeddedLedger({ folder, clock: systemClock, random: systemRandom, scheduler: realScheduler, log: silentLog, orderer: { ...(await orderer.issue('orderer', 'orderer')), rootCertificate: orderer.ca.certificate } });
try {
  await ledger.createChannel({ name: 'soak', orgs: [{ mspId: 'Org', rootCertificate: org.ca.certificate }], peers: ['Org'], needed: 1 });
  await ledger.attachPeer({ ...org.peer, channels: ['soak'] });
  await ledger.deploy({ channel: 'soak', name: 'soak', chaincode: contract, needed: 1 });
  const client = createLedgerClient({ transport: ledger.transport(), clock: systemClock, random: systemRandom, scheduler: realScheduler });
  const samples: Sample[] = [];
  const start = performance.now();
  let begun = 0;
  let done = 0;
  await Promise.all(Array.from({ length: Number(values.clients) }, async () => {
    while (begun < wanted) {
      await client.submit({ channel: 'soak', contract: 'soak', name: 'put', input: { key: `key-${begun++ % keys}` }, signer: org.client.signer });
      if (++done % Math.ceil(wanted / SAMPLES) !== 0) continue;
      globalThis.gc?.();
      const { rss, heapUsed } = process.memoryUsage();
      samples.push({ transactions: done, rss });
      print({ bench: 'soak', transactions: done, rssMebibytes: mebibytes(rss), heapMebibytes: mebibytes(heapUsed), seconds: Math.round((performance.now() - start) / 1_000) });
    }
  }));
  const half = samples.slice(Math.floor(samples.length / 2));
  print({
    bench: 'soak', transactions: done, seconds: Math.round((performance.now() - start) / 1_000), fileMebibytes: mebibytes(statSync(join(folder, 'soak.sqlite')).size), mostMebibytes: mebibytes(Math.max(...samples.map((sample) => sample.rss))),
    slopeKibibytesPer100000: Math.round((slopeOf(half) * 100_000) / 1_024),
  });
  for (let turn = 0; turn < Number(values.replays); turn++) {
    const from = performance.now();
    print({ bench: 'replay', ...(await ledger.replay('soak')), seconds: Math.round((performance.now() - from) / 1_000) });
  }
} finally {
  await ledger.close();
  if (values.folder === undefined) rmSync(folder, { recursive: true, force: true });
}
