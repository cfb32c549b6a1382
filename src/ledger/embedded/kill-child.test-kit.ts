/** The process that `kill.slow.ts` kills: eight writers on one ledger; what they send and what is acknowledged are lines of a file. */
import { once } from 'node:events';
import { openSync, readFileSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fromBase64url } from '#base/bytes.ts';
import { silentLog } from '#base/ports.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import { createLedgerClient } from '../gateway-client.ts';
import { probe } from '../conformance/probe.ts';
import { openEmbeddedLedger, type EmbeddedLedger } from './ledger.ts';
import { createNativeSigner } from './native-signer.ts';

export interface KeptKey {
  readonly mspId: string;
  readonly certificate: string;
  readonly privateKeyPkcs8: string;
}

/** What parent and child share: keys, and where the ledger lives. */
export interface KillPlan {
  readonly folder: string;
  readonly root: string;
  readonly ordererRoot: string;
  readonly orderer: KeptKey;
  readonly peer: KeptKey;
  readonly client: KeptKey;
}

const open = (key: KeptKey) => ({ ...key, privateKeyPkcs8: fromBase64url(key.privateKeyPkcs8) });

/** Opens the plan's ledger, new or old. */
export async function openPlanned(plan: KillPlan): Promise<EmbeddedLedger> {
  const ledger = await openEmbeddedLedger({ folder: plan.folder, clock: systemClock, random: systemRandom, scheduler: realScheduler, log: silentLog, orderer: { ...open(plan.orderer), rootCertificate: plan.ordererRoot } });
  await ledger.createChannel({ name: 'kill', orgs: [{ mspId: plan.peer.mspId, rootCertificate: plan.root }], peers: [plan.peer.mspId], needed: 1 });
  await ledger.attachPeer({ ...open(plan.peer), channels: ['kill'] });
  await ledger.deploy({ channel: 'kill', name: 'probe', chaincode: probe, needed: 1, collections: [{ name: 'own', members: [plan.peer.mspId] }] });
  return ledger;
}

/**
 * Loads everything, says so, and opens the ledger when told to: the next process waits beside the one that is killed. Then
 * one line per transaction before it is submitted (`> key`) and one when it was acknowledged (`txId block key`), written to
 * `said-ROUND` beside the plan: the system keeps what a process wrote to a file, a pipe that nobody empties is no record.
 */
async function write(plan: KillPlan, { round, folder }: { readonly round: string; readonly folder: string }): Promise<void> {
  const said = openSync(join(folder, `said-${round}`), 'a');
  const signer = createNativeSigner(open(plan.client));
  process.stdout.write('loaded\n');
  await once(process.stdin, 'data');
  process.stdin.destroy();
  const begun = performance.now();
  const ledger = await openPlanned(plan);
  const client = createLedgerClient({ transport: ledger.transport(), clock: systemClock, random: systemRandom, scheduler: realScheduler });
  process.stdout.write(`ready ${Math.round(performance.now() - begun)}\n`);
  await Promise.all(Array.from({ length: 8 }, async (_, writer) => {
    for (let turn = 0; ; turn++) {
      const key = `${round}.${writer}.${turn}`;
      const input = [['put', key, key], ['add', `count.${writer}`, 1], ['putPrivate', 'own', key, key], ['event', 'written', key]];
      writeSync(said, `> ${key}\n`);
      const { txId, blockNumber } = await client.submit({ channel: 'kill', contract: 'probe', name: 'run', input, signer });
      writeSync(said, `${txId} ${blockNumber} ${key}\n`);
      process.stdout.write('+\n');
    }
  }));
}

const [, , planFile, round] = process.argv;
if (planFile?.endsWith('plan.json') === true) await write(JSON.parse(readFileSync(planFile, 'utf8')) as KillPlan, { round: round ?? '0', folder: dirname(planFile) });
