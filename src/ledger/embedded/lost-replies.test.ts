/** Replies get lost, clients give up: a write has one effect and one answer however often it is sent, and its fate can be learnt by its id. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { utf8 } from '#base/bytes.ts';
import { canonicalBytes } from '#base/canonical-json.ts';
import { silentLog } from '#base/ports.ts';
import { fakeClock, realScheduler, seededRandom } from '#sim/seams.ts';
import { readBlock } from '../block.ts';
import { probe, type Step } from '../conformance/probe.ts';
import { createTestOrg, type TestIdentity } from '../consortium.test-kit.ts';
import { createLedgerClient } from '../gateway-client.ts';
import { CommitStatusRequest, CommitStatusResponse, EndorseRequest, EndorseResponse, SignedCommitStatusRequest, SubmitRequest } from '../protos/gateway.ts';
import { newProposal, serialiseIdentity } from '../transaction.ts';
import { GatewayFault, grpcCode, type GatewayTransport } from '../transport.ts';
import { openEmbeddedLedger, type EmbeddedLedger } from './ledger.ts';
import type { PlantedBug } from './planted.ts';
import { dice } from './power-cut-states.test-kit.ts';

const start = Date.UTC(2026, 0, 5, 12);
const clock = fakeClock(start);
const folder = mkdtempSync(join(tmpdir(), 'healthkeep-replies-'));
const org = await createTestOrg('OrgA', clock);
const orderer = await createTestOrg('ORD-test', clock);
const ordererKey = await orderer.issue('orderer', 'orderer');
const random = seededRandom('replies');
let opened = 0;
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function open(planted: readonly PlantedBug[] = []): Promise<EmbeddedLedger> {
  const ledger = await openEmbeddedLedger({ folder, clock, random: seededRandom(`engine ${++opened}`), scheduler: realScheduler, log: silentLog, planted: new Set(planted), orderer: { ...ordererKey, rootCertificate: orderer.ca.certificate } });
  await ledger.createChannel({ name: 'one', orgs: [{ mspId: 'OrgA', rootCertificate: org.ca.certificate }], peers: ['OrgA'], needed: 1 });
  await ledger.attachPeer({ ...org.peer, channels: ['one'] });
  await ledger.deploy({ channel: 'one', name: 'probe', chaincode: probe, needed: 1 });
  return ledger;
}

interface Signed {
  readonly txId: string;
  /** SubmitRequest: what a client keeps until it knows the outcome. */
  readonly request: Uint8Array;
}

async function signed(transport: GatewayTransport, steps: readonly Step[], who: TestIdentity = org.client): Promise<Signed> {
  const { txId, bytes: proposalBytes } = newProposal({ channel: 'one', contract: 'probe', args: [utf8('run'), canonicalBytes(steps as never)], creator: serialiseIdentity(who.mspId, who.certificate), nonce: random.bytes(24), timestamp: start });
  const answer = EndorseResponse.decode(await transport.endorse(EndorseRequest.encode({ transactionId: txId, channelId: 'one', proposedTransaction: { proposalBytes, signature: await who.signer.sign(proposalBytes) } })));
  const payload = answer.preparedTransaction?.payload ?? new Uint8Array(0);
  return { txId, request: SubmitRequest.encode({ transactionId: txId, channelId: 'one', preparedTransaction: { payload, signature: await who.signer.sign(payload) } }) };
}

type Answer = { readonly result: number; readonly blockNumber: number };
const send = async (transport: GatewayTransport, { request }: Signed): Promise<Answer> => {
  if (transport.submitAndWait === undefined) throw new Error('the embedded gateway answers with the outcome');
  const { result, blockNumber } = CommitStatusResponse.decode(await transport.submitAndWait(request));
  return { result, blockNumber };
};

/** What the ledger says of an id, asked until another block is there: its place, or nothing. */
async function status(ledger: EmbeddedLedger, txId: string): Promise<Answer | undefined> {
  const request = CommitStatusRequest.encode({ transactionId: txId, channelId: 'one', identity: serialiseIdentity('OrgA', org.client.certificate) });
  const stop = new AbortController();
  const asked = ledger.transport().commitStatus(SignedCommitStatusRequest.encode({ request, signature: await org.client.signer.sign(request) }), stop.signal).then(CommitStatusResponse.decode, (error: unknown) => {
    if ((error as GatewayFault).code !== grpcCode.cancelled) throw error;
    return undefined;
  });
  await send(ledger.transport(), await signed(ledger.transport(), [['put', 'another', 'block']]));
  stop.abort();
  const found = await asked;
  return found === undefined ? undefined : { result: found.result, blockNumber: found.blockNumber };
}

async function validTransactions(ledger: EmbeddedLedger): Promise<string[]> {
  const client = createLedgerClient({ transport: ledger.transport(), clock, random: seededRandom('reader'), scheduler: realScheduler });
  const stop = new AbortController();
  const ids: string[] = [];
  for await (const block of client.blocks({ channel: 'one', startBlock: 0, signer: org.peer.signer, signal: stop.signal })) {
    for (const transaction of readBlock(block.bytes).transactions) if (transaction.code === 'VALID') ids.push(transaction.txId);
    if (block.number === ledger.height('one') - 1) stop.abort();
  }
  return ids;
}

describe('a write whose replies get lost', () => {
  it('has one effect and one answer, sent one to twenty times, in order or at once, before and after a restart', async () => {
    let ledger = await open();
    const roll = dice(7);
    const kept: { readonly signed: Signed; readonly answers: Answer[] }[] = [];
    const keys: string[] = [];
    await Promise.all(Array.from({ length: 8 }, async (_, writer) => {
      for (let turn = 0; turn < 12; turn++) {
        const key = `k.${writer}.${turn}`;
        const transport = ledger.transport();
        const transaction = await signed(transport, [['put', key, key], ['add', `count.${writer}`, 1]]);
        const answers: Answer[] = [];
        const once = async (): Promise<void> => void answers.push(await send(transport, transaction));
        const [times, atOnce] = [1 + Math.floor(roll() * 20), roll() < 0.5];
        // The reply to each but the last is lost: nobody looks at it before it is sent again.
        if (atOnce) await Promise.all(Array.from({ length: times }, once));
        else for (let time = 0; time < times; time++) await once();
        expect(answers).toHaveLength(times);
        kept.push({ signed: transaction, answers });
        keys.push(key);
      }
    }));
    await ledger.close();
    ledger = await open();
    for (const { signed: transaction, answers } of kept) answers.push(await send(ledger.transport(), transaction));
    for (const { answers } of kept) expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(kept.every(({ answers }) => answers[0]?.result === 0)).toBe(true);
    const client = createLedgerClient({ transport: ledger.transport(), clock, random: seededRandom('checker'), scheduler: realScheduler });
    const steps = [...keys.map((key) => ['history', key]), ...Array.from({ length: 8 }, (_, writer) => ['get', `count.${writer}`])];
    const found = (await client.evaluate({ channel: 'one', contract: 'probe', name: 'run', input: steps, signer: org.client.signer })) as unknown[];
    expect(found.slice(0, keys.length).map((entries) => (entries as unknown[]).length)).toEqual(keys.map(() => 1));
    expect(found.slice(keys.length)).toEqual(Array.from({ length: 8 }, () => '12'));
    const valid = await validTransactions(ledger);
    for (const { signed: { txId } } of kept) expect(valid.filter((id) => id === txId)).toHaveLength(1);
    await ledger.close();
  });

  it('is told its outcome by the client although the gateway\'s answers get lost', async () => {
    const ledger = await open();
    const inner = ledger.transport();
    const roll = dice(11);
    const lose = async <T>(work: () => Promise<T>): Promise<T> => {
      if (roll() < 0.2) throw new GatewayFault(grpcCode.unavailable, 'the connection broke before the request arrived');
      const answer = await work();
      if (roll() < 0.4) throw new GatewayFault(grpcCode.unavailable, 'the connection broke before the reply arrived');
      return answer;
    };
    const lossy: GatewayTransport = {
      evaluate: inner.evaluate, endorse: inner.endorse, chaincodeEvents: inner.chaincodeEvents, deliver: inner.deliver,
      submit: (request, signal) => inner.submit(request, signal).then((answer) => lose(async () => answer)), commitStatus: (request, signal) => lose(() => inner.commitStatus(request, signal)),
    };
    const client = createLedgerClient({ transport: lossy, clock, random: seededRandom('lossy'), scheduler: realScheduler });
    const outcomes = await Promise.all(Array.from({ length: 30 }, (_, turn) => client.submit({ channel: 'one', contract: 'probe', name: 'run', input: [['put', `lossy.${turn}`, 'x']], signer: org.client.signer }).catch((error: unknown) => error as { code: string; details: { txId: string } })));
    for (const outcome of outcomes) {
      // Told where it is; or told that this is not known, with the id to ask for, and then it can be learnt.
      if ('txId' in outcome) expect(await status(ledger, outcome.txId)).toEqual({ result: 0, blockNumber: outcome.blockNumber });
      else {
        expect(outcome.code).toBe('LEDGER_OUTCOME_UNKNOWN');
        expect(await status(ledger, outcome.details.txId)).toMatchObject({ result: 0 });
      }
    }
    expect(outcomes.filter((outcome) => 'txId' in outcome).length).toBeGreaterThan(20);
    await ledger.close();
  });
});

describe('a client that gives up', () => {
  it.each([
    ['before the endorsement', 'nothing'],
    ['with an endorsement in hand', 'endorsed'],
    ['when it has sent', 'sent'],
    ['when it has sent, and the ledger restarts', 'restarted'],
  ] as const)('%s learns by the id, within one block, whether it was committed', async (_name, stage) => {
    let ledger = await open();
    let fate: Signed = { txId: 'ab'.repeat(32), request: new Uint8Array(0) };
    if (stage !== 'nothing') fate = await signed(ledger.transport(), [['put', `gone.${stage}`, 'x']]);
    const answered = stage === 'sent' || stage === 'restarted' ? send(ledger.transport(), fate) : undefined;
    if (stage === 'restarted') {
      // Its reply is lost on the way; then the ledger goes.
      await answered;
      await ledger.close();
      ledger = await open();
    }
    const found = await status(ledger, fate.txId);
    if (answered === undefined) expect(found).toBeUndefined();
    else expect(found).toEqual(await answered);
    // Asking again gives the same; sending again, too.
    expect(await status(ledger, fate.txId)).toEqual(found);
    if (answered !== undefined) expect(await send(ledger.transport(), fate)).toEqual(found);
    await ledger.close();
  });

  it('and never sent is safe from others for good when its certificate has ended', async () => {
    const brief = await org.issue('brief', 'client', { days: 1 });
    const ledger = await open();
    const held = await signed(ledger.transport(), [['put', 'held', 'x']], brief);
    clock.advance(2 * 86_400_000);
    await expect(send(ledger.transport(), held)).rejects.toMatchObject({ code: expect.any(Number) });
    expect(await status(ledger, held.txId)).toBeUndefined();
    await ledger.close();
  });
});

describe('the proof of the proof', () => {
  it('a ledger that takes an id twice is found out', async () => {
    const ledger = await open(['no-duplicate-check']);
    const transaction = await signed(ledger.transport(), [['put', 'twice', 'x']]);
    const first = await send(ledger.transport(), transaction);
    expect(await send(ledger.transport(), transaction)).not.toEqual(first);
    await ledger.close();
  });
});
