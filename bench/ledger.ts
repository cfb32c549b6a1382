/**
 * The embedded ledger: durable transactions per second and latency of closed-loop clients in this process, each signing its
 * own proposals and waiting for the durable block. JSON lines.
 *
 *   node bench/ledger.ts [--clients 1,16,64,256] [--seconds 5] [--endorsers 1] [--kind put|real]
 *
 * `put` writes one key of 300 bytes; `real` reads 2 keys, writes 3 (1 KB) and sets an event. `ofBare` is the rate as a
 * share of what the machine can do of one P-256 signature and one verification, on all its threads.
 */
import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { availableParallelism, tmpdir } from 'node:os';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { silentLog } from '#base/ports.ts';
import { createTestOrg, type TestOrg } from '#ledger/consortium.test-kit.ts';
import { openEmbeddedLedger } from '#ledger/embedded/ledger.ts';
import { createLedgerClient } from '#ledger/gateway-client.ts';
import type { Chaincode } from '#ledger/stub.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';

const { values } = parseArgs({ options: { clients: { type: 'string', default: '1,16,64,256' }, seconds: { type: 'string', default: '5' }, endorsers: { type: 'string', default: '1' }, kind: { type: 'string', default: 'put' } } });
const seconds = Number(values.seconds);
const endorsers = Number(values.endorsers);
const print = (line: Readonly<Record<string, unknown>>): void => void process.stdout.write(`${JSON.stringify(line)}\n`);

/** One signature and its verification, as many at once as there are threads; pairs per second. */
async function barePairs(): Promise<number> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const message = Buffer.alloc(1_000, 7);
  const pair = () => new Promise<void>((resolve, reject) => {
    sign('sha256', message, privateKey, (failure, signature) => {
      if (failure) return reject(failure);
      verify('sha256', message, publicKey, signature, (error, right) => (error || !right ? reject(error ?? new Error('wrong')) : resolve()));
    });
  });
  let done = 0;
  const start = performance.now();
  await Promise.all(Array.from({ length: 16 }, async () => {
    while (performance.now() - start < 1_500) {
      await pair();
      done++;
    }
  }));
  return (done * 1_000) / (performance.now() - start);
}

const payload = new Uint8Array(300).fill(120);
const value = new Uint8Array(340).fill(121);
const contract: Chaincode = {
  async Invoke(stub) {
    const { fcn, params } = stub.getFunctionAndParameters();
    const { key } = JSON.parse(params[0] ?? '{}') as { key: string };
    if (fcn === 'put') await stub.putState(key, payload);
    else {
      await stub.getState(`${key}.a`);
      await stub.getState(`${key}.b`);
      for (const part of ['a', 'b', 'c']) await stub.putState(`${key}.${part}`, value);
      stub.setEvent('done', payload.subarray(0, 32));
    }
    return { status: 200, message: '', payload: new Uint8Array(0) };
  },
};

const quantile = (sorted: readonly number[], share: number): number => Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0) * 10) / 10;

const folder = mkdtempSync(join(tmpdir(), 'healthkeep-bench-'));
const orgs: TestOrg[] = [];
for (let index = 0; index < endorsers; index++) orgs.push(await createTestOrg(`Org${index}`, systemClock));
const orderer = await createTestOrg('ORD-bench', systemClock);
const ledger = await openEmbeddedLedger({ folder, clock: systemClock, random: systemRandom, scheduler: realScheduler, log: silentLog, orderer: { ...(await orderer.issue('orderer', 'orderer')), rootCertificate: orderer.ca.certificate } });
await ledger.createChannel({ name: 'bench', orgs: orgs.map((org) => ({ mspId: org.mspId, rootCertificate: org.ca.certificate })), peers: orgs.map((org) => org.mspId), needed: endorsers });
for (const org of orgs) await ledger.attachPeer({ ...org.peer, channels: ['bench'] });
await ledger.deploy({ channel: 'bench', name: 'bench', chaincode: contract, needed: endorsers });
const client = createLedgerClient({ transport: ledger.transport(), clock: systemClock, random: systemRandom, scheduler: realScheduler });
const { signer } = (orgs[0] as TestOrg).client;

async function round(clients: number, bare: number): Promise<void> {
  const latencies: number[] = [];
  const blocksBefore = ledger.height('bench');
  const cpuBefore = process.cpuUsage();
  const mainBefore = process.threadCpuUsage();
  const start = performance.now();
  let turn = 0;
  await Promise.all(Array.from({ length: clients }, async () => {
    while (performance.now() - start < seconds * 1_000) {
      const begun = performance.now();
      await client.submit({ channel: 'bench', contract: 'bench', name: values.kind, input: { key: `${clients}-${turn++}` }, signer });
      latencies.push(performance.now() - begun);
    }
  }));
  const elapsed = performance.now() - start;
  const cpu = process.cpuUsage(cpuBefore);
  const main = process.threadCpuUsage(mainBefore);
  const perSecond = (latencies.length * 1_000) / elapsed;
  latencies.sort((left, right) => left - right);
  print({
    bench: 'ledger', kind: values.kind, endorsers, clients, transactions: latencies.length, perSecond: Math.round(perSecond), p50ms: quantile(latencies, 0.5), p95ms: quantile(latencies, 0.95), p99ms: quantile(latencies, 0.99),
    perBlock: Math.round((latencies.length / (ledger.height('bench') - blocksBefore)) * 10) / 10, cpuMicroseconds: Math.round((cpu.user + cpu.system) / latencies.length), mainThreadMicroseconds: Math.round((main.user + main.system) / latencies.length), ofBare: Math.round((perSecond / bare) * 1_000) / 1_000,
  });
}

try {
  const bare = await barePairs();
  print({ bench: 'bare P-256 sign and verify', perSecond: Math.round(bare), threads: availableParallelism() });
  await round(64, bare);
  for (const clients of values.clients.split(',').map(Number)) await round(clients, bare);
  const begun = performance.now();
  const { transactions } = await ledger.verifyChain('bench');
  print({ bench: 'verifyChain', transactions, seconds: Math.round(performance.now() - begun) / 1_000 });
} finally {
  await ledger.close();
  rmSync(folder, { recursive: true, force: true });
}
