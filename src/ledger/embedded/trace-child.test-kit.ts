/**
 * The process whose system calls are recorded (`trace.test-kit.ts`): a whole life of a ledger. Channels are made, eight
 * writers put public and private values, purge them and make events, a revocation list changes the configuration, the
 * write-ahead log is folded into the file again and again, a channel comes later, the ledger closes, opens and goes on, the process
 * dies, and a second one takes over.
 * What is acknowledged goes to standard output at once, one line each, with the one system call that a reader can see.
 */
import { mkdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fromBase64url, toBase64url } from '#base/bytes.ts';
import { isCoded } from '#base/errors.ts';
import { silentLog } from '#base/ports.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import { probe } from '../conformance/probe.ts';
import { createTestOrg, type TestIdentity } from '../consortium.test-kit.ts';
import { createLedgerClient } from '../gateway-client.ts';
import type { KeptKey } from './kill-child.test-kit.ts';
import { openEmbeddedLedger, type EmbeddedLedger } from './ledger.ts';
import { createNativeSigner } from './native-signer.ts';
import type { PlantedBug } from './planted.ts';

/** What the recorded process is to do, and the keys it does it with. */
export interface TracePlan {
  /** Does not exist before; its parent does. */
  readonly folder: string;
  readonly root: string;
  readonly ordererRoot: string;
  readonly crl: string;
  readonly orderer: KeptKey;
  readonly peer: KeptKey;
  readonly admin: KeptKey;
  readonly client: KeptKey;
  readonly planted: readonly PlantedBug[];
  readonly checkpointPages: number;
  readonly writers: number;
  /** Transactions of each writer, each time. */
  readonly turns: number;
  /** The long life, or writing to one channel only. */
  readonly life: 'whole' | 'writing';
}

export type TraceShape = Partial<Pick<TracePlan, 'planted' | 'checkpointPages' | 'writers' | 'turns' | 'life'>>;

const kept = ({ mspId, certificate, privateKeyPkcs8 }: TestIdentity): KeptKey => ({ mspId, certificate, privateKeyPkcs8: toBase64url(privateKeyPkcs8) });
const open = (key: KeptKey) => ({ ...key, privateKeyPkcs8: fromBase64url(key.privateKeyPkcs8) });

/** Writes a plan for a ledger at `folder`; its file lies beside the parent of that folder. Returns the file. */
export async function writePlan(folder: string, shape: TraceShape = {}): Promise<{ readonly file: string; readonly plan: TracePlan }> {
  const [org, orderer] = [await createTestOrg('OrgT', systemClock), await createTestOrg('ORD-trace', systemClock)];
  const lost = await org.issue('lost', 'client');
  const plan: TracePlan = {
    folder, root: org.ca.certificate, ordererRoot: orderer.ca.certificate, crl: await org.ca.issueCrl([{ certificate: lost.certificate, at: systemClock.now() }], systemClock.now()),
    orderer: kept(await orderer.issue('orderer', 'orderer')), peer: kept(org.peer), admin: kept(org.admin), client: kept(org.client), planted: [], checkpointPages: 80, writers: 8, turns: 4, life: 'whole', ...shape,
  };
  const parent = dirname(folder);
  mkdirSync(parent, { recursive: true });
  const file = join(dirname(parent), 'plan.json');
  writeFileSync(file, JSON.stringify(plan));
  return { file, plan };
}

/** Opens the plan's ledger without its bugs, as somebody who comes after a power cut does. */
export const openPlan = (plan: TracePlan, folder = plan.folder, planted: readonly PlantedBug[] = []): Promise<EmbeddedLedger> =>
  openEmbeddedLedger({ folder, clock: systemClock, random: systemRandom, scheduler: realScheduler, log: silentLog, orderer: { ...open(plan.orderer), rootCertificate: plan.ordererRoot }, checkpointPages: plan.checkpointPages, planted: new Set(planted) });

const say = (line: string): void => void writeSync(1, `${line}\n`);

/** Creates the channel with its peer and contract, or takes up the one that is there. */
export async function joinChannel(plan: TracePlan, ledger: EmbeddedLedger, name: string, tell = say): Promise<void> {
  await ledger.createChannel({ name, orgs: [{ mspId: plan.peer.mspId, rootCertificate: plan.root }], peers: [plan.peer.mspId], needed: 1 });
  tell(`channel ${name}`);
  await ledger.attachPeer({ ...open(plan.peer), channels: [name] });
  await ledger.deploy({ channel: name, name: 'probe', chaincode: probe, needed: 1, collections: [{ name: 'own', members: [plan.peer.mspId] }, { name: 'brief', members: [plan.peer.mspId], blockToLive: 2 }] });
  tell(`height ${name} ${ledger.height(name)}`);
}

async function write(plan: TracePlan, ledger: EmbeddedLedger, { round, channels }: { readonly round: string; readonly channels: readonly string[] }): Promise<void> {
  const client = createLedgerClient({ transport: ledger.transport(), clock: systemClock, random: systemRandom, scheduler: realScheduler });
  const signer = createNativeSigner(open(plan.client));
  await Promise.all(Array.from({ length: plan.writers }, async (_, writer) => {
    for (let turn = 0; turn < plan.turns; turn++) {
      const channel = channels[(writer + turn) % channels.length] as string;
      const key = `${round}.${writer}.${turn}`;
      const before = `${round}.${writer}.${turn - channels.length}`;
      const input = [['put', key, key.repeat(8)], ['add', `count.${writer}`, 1], ['putPrivate', 'own', key, key], ['putPrivate', 'brief', key, key], ['event', 'written', key], ...(turn % 3 === 2 ? [['purge', 'own', before], ['delete', before]] : [])];
      try {
        const { txId, blockNumber } = await client.submit({ channel, contract: 'probe', name: 'run', input, signer });
        say(`committed ${channel} ${blockNumber} ${txId} ${key}`);
      } catch (error) {
        // A disk that fails is refused with a code; what else goes wrong ends the process.
        if (!isCoded(error)) throw error;
        say(`refused ${channel} ${error.code} ${String(error.details.txId ?? '-')} ${key}`);
      }
    }
  }));
}

async function live(plan: TracePlan): Promise<void> {
  let ledger = await openPlan(plan, plan.folder, plan.planted);
  for (const name of ['one', 'two'] as const) await joinChannel(plan, ledger, name);
  await write(plan, ledger, { round: 'a', channels: ['one', 'two'] });
  await ledger.updateCrl({ channel: 'one', mspId: plan.peer.mspId, crl: plan.crl, signer: createNativeSigner(open(plan.admin)) });
  say(`height one ${ledger.height('one')}`);
  await joinChannel(plan, ledger, 'three');
  await write(plan, ledger, { round: 'b', channels: ['one', 'three'] });
  await ledger.close();
  say('closed');
  ledger = await openPlan(plan, plan.folder, plan.planted);
  for (const name of ['one', 'two', 'three']) await joinChannel(plan, ledger, name);
  await write(plan, ledger, { round: 'c', channels: ['one', 'two'] });
  // No second close: the process dies at work, and another comes after it.
}

async function liveOn(plan: TracePlan): Promise<void> {
  const ledger = await openPlan(plan, plan.folder, plan.planted);
  say('opened');
  for (const name of ['one', 'two', 'three']) await joinChannel(plan, ledger, name);
  await write(plan, ledger, { round: 'd', channels: ['one', 'three'] });
}

/** Alone on one channel, to the end of its turns. */
async function writeOnly(plan: TracePlan): Promise<void> {
  const ledger = await openPlan(plan, plan.folder, plan.planted);
  await joinChannel(plan, ledger, 'one');
  await write(plan, ledger, { round: 'a', channels: ['one'] });
  await ledger.close();
  say('closed');
}

const [, , planFile, part] = process.argv;
if (planFile?.endsWith('plan.json') === true && import.meta.main) {
  const plan = JSON.parse(readFileSync(planFile, 'utf8')) as TracePlan;
  try {
    await (plan.life === 'writing' ? writeOnly(plan) : part === 'second' ? liveOn(plan) : live(plan));
    say('done');
  } catch (error) {
    if (!isCoded(error)) throw error;
    say(`stopped ${error.code}`);
  }
  process.exit(0);
}
