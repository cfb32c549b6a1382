/** One check for each rule that a planted bug breaks. Each lives with a ledger that has the given bugs and says what it found wrong, or nothing. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fromBase64url } from '#base/bytes.ts';
import { isCoded } from '#base/errors.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import { readBlock } from '../block.ts';
import type { LedgerClient, LedgerSigner } from '../client.ts';
import { createTestOrg } from '../consortium.test-kit.ts';
import { createLedgerClient } from '../gateway-client.ts';
import { CommitStatusResponse } from '../protos/gateway.ts';
import type { GatewayTransport } from '../transport.ts';
import { openChannelStore } from './channel-store.ts';
import { liveWithFault } from './io-errors.test-kit.ts';
import type { EmbeddedLedger } from './ledger.ts';
import { createNativeSigner } from './native-signer.ts';
import type { PlantedBug } from './planted.ts';
import { referenceOf, survey } from './power-cut-check.test-kit.ts';
import { createDisk } from './power-cut-disk.test-kit.ts';
import { syncOrder } from './sync-order.test-kit.ts';
import { joinChannel, openPlan, writePlan, type TracePlan } from './trace-child.test-kit.ts';
import type { Operation } from './trace-reader.test-kit.ts';
import { fastFolder, record } from './trace.test-kit.ts';
import { newBatch } from './update-batch.ts';

export type Check = (planted: readonly PlantedBug[]) => Promise<string | undefined>;

interface Living {
  readonly plan: TracePlan;
  readonly ledger: EmbeddedLedger;
  readonly client: LedgerClient;
  readonly signer: LedgerSigner;
  submit(steps: readonly unknown[], timestamp?: number): Promise<{ readonly txId: string; readonly blockNumber: number }>;
}

const clientOver = (transport: GatewayTransport): LedgerClient => createLedgerClient({ transport, clock: systemClock, random: systemRandom, scheduler: realScheduler });

/** A ledger of its own in this process, with one channel. */
async function living<T>(planted: readonly PlantedBug[], work: (life: Living) => Promise<T>): Promise<T> {
  const home = fastFolder('planted');
  const { plan } = await writePlan(join(home, 'root', 'ledger'));
  const ledger = await openPlan(plan, plan.folder, planted);
  try {
    await joinChannel(plan, ledger, 'one', () => undefined);
    const client = clientOver(ledger.transport());
    const signer = createNativeSigner({ ...plan.client, privateKeyPkcs8: fromBase64url(plan.client.privateKeyPkcs8) });
    const submit: Living['submit'] = (input, timestamp) => client.submit({ channel: 'one', contract: 'probe', name: 'run', input: input as never, signer, ...(timestamp === undefined ? {} : { timestamp }) });
    return await work({ plan, ledger, client, signer, submit });
  } finally {
    await ledger.close();
    rmSync(home, { recursive: true, force: true });
  }
}

const codeOf = (error: unknown): string => (isCoded(error) ? error.code : String(error));
const codeFrom = (work: Promise<unknown>): Promise<string | undefined> => work.then(() => undefined, codeOf);

/** Eight at a time: their keys fall as the block goes on. */
const eightAtOnce = (submit: Living['submit'], steps: (turn: number) => readonly unknown[]): Promise<unknown> => Promise.all(Array.from({ length: 8 }, (_, turn) => submit(steps(turn))));

export const replayAgrees: Check = (planted) => living(planted, async ({ ledger, submit }) => {
  for (let round = 0; round < 3; round++) await eightAtOnce(submit, (turn) => [['put', `${9 - turn}.${round}`, 'x']]);
  return codeFrom(ledger.replay('one'));
});

export const nothingIsLostBetweenReaders: Check = (planted) => living(planted, async ({ client, signer, submit }) => {
  for (let round = 0; round < 5; round++) await eightAtOnce(submit, () => [['add', 'counter', 1]]);
  const [count] = (await client.evaluate({ channel: 'one', contract: 'probe', name: 'run', input: [['get', 'counter']], signer })) as [string];
  return count === '40' ? undefined : `forty increments gave ${count}`;
});

export const oneEffect: Check = (planted) => living(planted, async ({ ledger, signer }) => {
  const transport = ledger.transport();
  let sent: Uint8Array | undefined;
  const keeping: GatewayTransport = { ...transport, submitAndWait: (request) => {
    sent = request;
    return transport.submitAndWait?.(request) as Promise<Uint8Array>;
  } };
  const { blockNumber } = await clientOver(keeping).submit({ channel: 'one', contract: 'probe', name: 'run', input: [['put', 'twice', 'x']], signer });
  const again = CommitStatusResponse.decode((await transport.submitAndWait?.(sent as Uint8Array)) as Uint8Array);
  return again.blockNumber === blockNumber ? undefined : `sent again, it was committed again: in ${blockNumber} and ${again.blockNumber}`;
});

export const revocationHoldsAtOnce: Check = (planted) => living(planted, async ({ plan, ledger, client }) => {
  const org = await createTestOrg('OrgT', systemClock);
  const revoked = await org.issue('victim', 'client');
  await ledger.createChannel({ name: 'two', orgs: [{ mspId: 'OrgT', rootCertificate: org.ca.certificate }], peers: ['OrgT'], needed: 1 });
  await ledger.attachPeer({ ...org.peer, channels: ['two'] });
  await ledger.deploy({ channel: 'two', name: 'probe', chaincode: (await import('../conformance/probe.ts')).probe, needed: 1 });
  await ledger.updateCrl({ channel: 'two', mspId: plan.peer.mspId, crl: await org.ca.issueCrl([{ certificate: revoked.certificate, at: systemClock.now() }], systemClock.now()), signer: org.admin.signer });
  const code = await codeFrom(client.evaluate({ channel: 'two', contract: 'probe', name: 'run', input: [['get', 'x']], signer: revoked.signer }));
  return code === 'LEDGER_ACCESS_DENIED' ? undefined : `somebody revoked was let in (${String(code)})`;
});

export const clientsClocksGiveNoRank: Check = (planted) => living(planted, async ({ ledger, client, plan, submit }) => {
  const now = systemClock.now();
  const ranks = new Map<string, number>();
  // The later it is sent, the earlier it claims to be.
  await Promise.all(Array.from({ length: 12 }, async (_, turn) => {
    const { txId } = await submit([['put', `rank.${turn}`, 'x']], now - turn * 2_000);
    ranks.set(txId, turn);
  }));
  const stop = new AbortController();
  const signer = createNativeSigner({ ...plan.peer, privateKeyPkcs8: fromBase64url(plan.peer.privateKeyPkcs8) });
  let [sorted, pairs] = [0, 0];
  for await (const block of client.blocks({ channel: 'one', startBlock: 0, signer, signal: stop.signal })) {
    const order = readBlock(block.bytes).transactions.map(({ txId }) => ranks.get(txId)).filter((rank) => rank !== undefined);
    for (let index = 1; index < order.length; index++) {
      pairs++;
      if ((order[index] as number) < (order[index - 1] as number)) sorted++;
    }
    if (block.number === ledger.height('one') - 1) stop.abort();
  }
  return pairs > 3 && sorted === pairs ? `in ${pairs} pairs the earlier claim came first` : undefined;
});

export const changedBlocksAreFound: Check = async (planted) => living([], async ({ plan, ledger, submit }) => {
  for (let turn = 0; turn < 3; turn++) await submit([['put', `k${turn}`, 'x']]);
  await ledger.close();
  const database = new DatabaseSync(join(plan.folder, 'one.sqlite'));
  database.exec('UPDATE blocks SET bytes = (SELECT bytes FROM blocks WHERE number = 2) WHERE number = 3');
  database.close();
  const again = await openPlan(plan, plan.folder, planted);
  try {
    const code = await codeFrom(again.verifyChain('one'));
    return code === 'LEDGER_CHAIN_BROKEN' ? undefined : `a block that was exchanged passed (${String(code)})`;
  } finally {
    await again.close();
  }
});

export const numbersOnlyRise: Check = async (planted) => {
  const home = fastFolder('planted');
  const store = openChannelStore({ channel: 'one', file: join(home, 'one.sqlite'), durable: true, planted: new Set(planted) });
  const block = (number: number) => ({ number, hash: new Uint8Array(32), bytes: new Uint8Array([number]), commitHash: new Uint8Array(32), transactions: [], batch: newBatch(), lifetimes: new Map() });
  try {
    for (const number of [0, 1, 2]) store.append(block(number));
    let refused: string | undefined;
    try {
      store.append(block(1));
    } catch (error) {
      refused = codeOf(error);
    }
    return refused === 'LEDGER_CHAIN_BROKEN' && store.head.height() === 3 ? undefined : `block 1 came after block 2 (${String(refused)})`;
  } finally {
    store.close();
    rmSync(home, { recursive: true, force: true });
  }
};

const short = { life: 'writing', turns: 3, checkpointPages: 60 } as const;

export const powerCutsLoseNothing: Check = async (planted) => {
  const home = fastFolder('planted');
  try {
    const recording = await record({ home, shape: { ...short, planted } });
    const operations = recording.operations();
    const looking = { plan: recording.plan, root: recording.root, scratch: join(home, 'scratch') };
    const { reference, violations } = await referenceOf(operations, looking);
    if (violations[0] !== undefined) return violations[0].why;
    const { violations: found } = await survey(operations, { ...looking, reference, count: 250, seed: 5, part: 0, parts: 1, wholeEvery: 100, enough: 1 });
    return found[0]?.why;
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
};

export const acknowledgementsFollowSyncs: Check = async (planted) => {
  const home = fastFolder('planted');
  try {
    const recording = await record({ home, bytes: false, shape: { ...short, planted } });
    return syncOrder(recording.operations()).early[0];
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
};

export const failedWritesAreNotAcknowledged: Check = async (planted) => {
  // One of these hits a page of the log that a commit writes.
  for (const when of [140, 190, 240]) {
    const { wrong } = await liveWithFault({ call: 'pwrite64', error: 'EIO', when }, { ...short, planted });
    if (wrong !== undefined) return wrong;
  }
  return undefined;
};

export const failedSyncsStopTheChannel: Check = async (planted) => {
  const home = fastFolder('planted');
  try {
    for (const when of [16, 18]) {
      const recording = await record({ home, shape: { ...short, checkpointPages: 4_000, planted }, options: ['-e', `inject=fsync:error=EIO:when=${when}`] });
      const found = wentOn(recording.operations());
      if (found !== undefined) return found;
      rmSync(recording.root, { recursive: true, force: true });
    }
    return undefined;
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
};

/** An acknowledgement of a channel after a commit of it could not be synced. */
function wentOn(operations: readonly Operation[]): string | undefined {
  const disk = createDisk();
  let failed: string | undefined;
  for (const [at, operation] of operations.entries()) {
    if (operation.kind === 'sync-failed' && operation.path.endsWith('one.sqlite-wal') && (disk.names.get(operation.path)?.pending.length ?? 0) > 1) failed = operation.path;
    if (failed !== undefined && operation.kind === 'say' && operation.line.startsWith('committed one ')) return `call ${at}, after a failed sync: ${operation.line}`;
    disk.apply(operation, at);
  }
  return undefined;
}
