/**
 * How the embedded ledger grows: start time, memory, reads and writes on a channel of 0, 1 and 10 million keys. JSON lines.
 *
 *   node bench/ledger-size.ts [--keys 0,1000000,10000000] [--minutes 20] [--seconds 3] [--value-bytes 100] [--order rising|scattered]
 *
 * Keys come into the ledger the ordinary way, as transactions of 1,000 writes each; when the minutes are over, the rest is
 * not written and the line says how many there are. They are written in rising order, or scattered as record ids are:
 * then every key dirties pages of its own, and the disk decides. Reads are scattered in both. Every measurement is made by
 * a fresh process on the folder: from its start to the first answer, then reads by evaluation and durable writes.
 * Start is bound by reading (nothing grows with the keys but the depth of SQLite's trees); reads by signatures, and by the
 * disk once the file no longer fits into the machine's page cache; filling by SQLite's scattered pages.
 */
import { fork } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { silentLog } from '#base/ports.ts';
import { createTestOrg } from '#ledger/consortium.test-kit.ts';
import { createNativeSigner } from '#ledger/embedded/native-signer.ts';
import { openEmbeddedLedger, type EmbeddedLedger } from '#ledger/embedded/ledger.ts';
import { createLedgerClient } from '#ledger/gateway-client.ts';
import type { LedgerClient, LedgerSigner } from '#ledger/client.ts';
import type { Chaincode } from '#ledger/stub.ts';
import { closedLoop, print, printMachine, rounded, seams } from './ledger-kit.ts';

const { values } = parseArgs({ options: { keys: { type: 'string', default: '0,1000000,10000000' }, minutes: { type: 'string', default: '20' }, seconds: { type: 'string', default: '3' }, 'value-bytes': { type: 'string', default: '100' }, order: { type: 'string', default: 'rising' } } });
const KEYS_PER_TRANSACTION = 1_000;
const FILLERS = 12;
const IDENTITIES = 'identities.json';

interface Saved {
  readonly mspId: string;
  readonly certificate: string;
  readonly privateKeyPkcs8: string;
  readonly rootCertificate: string;
}
type Identities = Readonly<Record<'orderer' | 'peer' | 'client', Saved>>;

interface Work {
  readonly folder: string;
  /** Fill from this key on … */
  readonly from: number;
  /** … up to this one (not included); the same: only measure. */
  readonly to: number;
  readonly until: number;
  readonly seconds: number;
  readonly valueBytes: number;
  readonly order: string;
  readonly started: number;
}

/** The same every time. Scattered: multiplication by an odd number permutes the residues of 2^40. */
function keyOf(index: number, order: string): string {
  const place = order === 'scattered' ? (BigInt(index) * 0x9e3779b97f4a7c15n) & 0xff_ffff_ffffn : BigInt(index);
  return place.toString(32).padStart(8, '0');
}

const contract: Chaincode = {
  async Invoke(stub) {
    const { fcn, params } = stub.getFunctionAndParameters();
    const { from = 0, count = 0, bytes = 0, key = '', order = '' } = JSON.parse(params[0] ?? '{}') as { from?: number; count?: number; bytes?: number; key?: string; order?: string };
    const value = new Uint8Array(bytes).fill(120);
    if (fcn === 'fill') for (let index = from; index < from + count; index++) await stub.putState(keyOf(index, order), value);
    if (fcn === 'put') await stub.putState(key, value);
    const payload = fcn === 'get' ? new TextEncoder().encode(String((await stub.getState(key)).length)) : new Uint8Array(0);
    return { status: 200, message: '', payload };
  },
};

async function makeIdentities(folder: string): Promise<void> {
  const [org, orderer] = await Promise.all([createTestOrg('Org0', seams.clock), createTestOrg('ORD-bench', seams.clock)]);
  const saved = ({ mspId, certificate, privateKeyPkcs8 }: { mspId: string; certificate: string; privateKeyPkcs8: Uint8Array }, rootCertificate: string): Saved => ({ mspId, certificate, privateKeyPkcs8: Buffer.from(privateKeyPkcs8).toString('base64'), rootCertificate });
  const all: Identities = { orderer: saved(await orderer.issue('orderer', 'orderer'), orderer.ca.certificate), peer: saved(org.peer, org.ca.certificate), client: saved(org.client, org.ca.certificate) };
  writeFileSync(join(folder, IDENTITIES), JSON.stringify(all), { mode: 0o600 });
}

const withKey = (saved: Saved): Omit<Saved, 'privateKeyPkcs8'> & { privateKeyPkcs8: Uint8Array } => ({ ...saved, privateKeyPkcs8: Buffer.from(saved.privateKeyPkcs8, 'base64') });

interface Opened {
  readonly ledger: EmbeddedLedger;
  readonly client: LedgerClient;
  readonly signer: LedgerSigner;
}

async function open(folder: string): Promise<Opened> {
  const { orderer, peer, client } = JSON.parse(readFileSync(join(folder, IDENTITIES), 'utf8')) as Identities;
  const ledger = await openEmbeddedLedger({ folder: join(folder, 'ledger'), ...seams, log: silentLog, orderer: withKey(orderer) });
  await ledger.createChannel({ name: 'bench', orgs: [{ mspId: peer.mspId, rootCertificate: peer.rootCertificate }], peers: [peer.mspId], needed: 1 });
  await ledger.attachPeer({ ...withKey(peer), channels: ['bench'] });
  await ledger.deploy({ channel: 'bench', name: 'bench', chaincode: contract, needed: 1 });
  return { ledger, client: createLedgerClient({ transport: ledger.transport(), ...seams }), signer: createNativeSigner(withKey(client)) };
}

const rssMiB = (): number => Math.round(process.memoryUsage.rss() / 1_048_576);

/** Number of the first key that was not written. */
async function fill({ client, signer }: Opened, { from, to, until, valueBytes, order }: Work): Promise<number> {
  let next = from;
  await Promise.all(Array.from({ length: FILLERS }, async () => {
    while (next < to && Date.now() < until) {
      const start = next;
      const count = Math.min(KEYS_PER_TRANSACTION, to - start);
      next += count;
      await client.submit({ channel: 'bench', contract: 'bench', name: 'fill', input: { from: start, count, bytes: valueBytes, order }, signer });
    }
  }));
  return next;
}

async function measure({ client, signer }: Opened, { from, seconds, valueBytes, order }: Work): Promise<object> {
  const get = (index: number): Promise<unknown> => client.evaluate({ channel: 'bench', contract: 'bench', name: 'get', input: { key: keyOf(index, order) }, signer });
  const random = (): number => Math.floor(Math.random() * Math.max(1, from));
  if (from > 0 && (await get(from - 1)) !== valueBytes) throw new Error('the last key is not what was written');
  const reads: Record<string, object> = {};
  for (const clients of [1, 16, 64]) {
    const { perSecond, p50ms, p95ms } = await closedLoop(clients, seconds, () => get(random()));
    reads[clients] = { perSecond, p50ms, p95ms };
  }
  const run = process.pid.toString(36);
  const { perSecond, p50ms, p95ms } = await closedLoop(64, seconds, (one, turn) => client.submit({ channel: 'bench', contract: 'bench', name: 'put', input: { key: `${run}-${one}-${turn}`, bytes: 300 }, signer }));
  return { evaluateByClients: reads, put64: { perSecond, p50ms, p95ms } };
}

async function child(work: Work): Promise<void> {
  const begun = performance.now();
  const opened = await open(work.folder);
  const openMs = performance.now() - begun;
  if (work.to > work.from) {
    const from = await fill(opened, work);
    await opened.ledger.close();
    process.send?.({ filled: from, seconds: rounded((performance.now() - begun) / 1_000), rssMiB: rssMiB() });
  } else {
    await opened.client.evaluate({ channel: 'bench', contract: 'bench', name: 'get', input: { key: keyOf(0, work.order) }, signer: opened.signer });
    const startMs = Date.now() - work.started;
    const started = { startMs, openMs: Math.round(openMs), rssMiBAtStart: rssMiB() };
    const figures = await measure(opened, work);
    await opened.ledger.close();
    process.send?.({ ...started, ...figures, rssMiBAfter: rssMiB() });
  }
  process.disconnect?.();
}

const inChild = <T>(work: Omit<Work, 'started'>): Promise<T> => new Promise((resolve, reject) => {
  const started = Date.now();
  const forked = fork(import.meta.filename, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], execArgv: ['--disable-warning=ExperimentalWarning'] });
  let answer: T | undefined;
  forked.on('message', (message) => {
    answer = message as T;
  });
  forked.on('exit', () => (answer === undefined ? reject(new Error('a process of the benchmark ended early')) : resolve(answer)));
  forked.send({ ...work, started });
});

const sizeMiB = (folder: string): number => Math.round(readdirSync(folder).reduce((sum, file) => sum + statSync(join(folder, file)).size, 0) / 1_048_576);

interface Filled {
  readonly filled: number;
  readonly seconds: number;
  readonly rssMiB: number;
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'healthkeep-size-'));
  printMachine();
  try {
    await makeIdentities(folder);
    const common = { folder, until: Date.now() + Number(values.minutes) * 60_000, seconds: Number(values.seconds), valueBytes: Number(values['value-bytes']), order: values.order };
    let have = 0;
    for (const wanted of values.keys.split(',').map(Number)) {
      if (wanted > have) {
        const { filled, seconds, rssMiB: rss } = await inChild<Filled>({ ...common, from: have, to: wanted });
        print({ bench: 'ledger-size fill', order: values.order, from: have, keys: filled, seconds, keysPerSecond: Math.round((filled - have) / seconds), rssMiB: rss });
        have = filled;
      }
      const figures = await inChild<object>({ ...common, from: have, to: have });
      print({ bench: 'ledger-size', keys: have, wanted, folderMiB: sizeMiB(join(folder, 'ledger')), ...figures });
      if (have < wanted) break;
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.send === undefined) await main();
else process.once('message', (work) => void child(work as Work));
