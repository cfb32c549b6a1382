/** What the gateway refuses at the door, and what a block marks invalid: forged, stale, foreign and replayed requests, one row each. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPrivateKey, sign } from 'node:crypto';
import { utf8 } from '#base/bytes.ts';
import { canonicalBytes } from '#base/canonical-json.ts';
import { fakeClock, seededRandom, type SettableClock } from '#sim/seams.ts';
import { codeName } from '../codes.ts';
import { openTestNetwork, type TestNetwork } from '../conformance/embedded.test-kit.ts';
import { createTestOrg, type TestIdentity } from '../consortium.test-kit.ts';
import { derElements, derUnsigned, derWrite } from '../der.ts';
import { rawFromDer } from '../low-s.ts';
import { ChannelHeader, Header, Payload } from '../protos/common.ts';
import { CommitStatusRequest, CommitStatusResponse, EndorseRequest, EndorseResponse, EvaluateRequest, SignedCommitStatusRequest, SubmitRequest } from '../protos/gateway.ts';
import { ChaincodeAction, ChaincodeActionPayload, ChaincodeProposalPayload, Proposal, ProposalResponsePayload, Transaction } from '../protos/peer.ts';
import { HashedRWSet, KVRWSet, TxReadWriteSet } from '../protos/rwset.ts';
import { newProposal, serialiseIdentity } from '../transaction.ts';
import { grpcCode, type GatewayTransport } from '../transport.ts';
import type { Of } from '../wire.ts';

const N = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551');

const start = Date.UTC(2026, 0, 5, 12);
const clock: SettableClock = fakeClock(start);
const random = seededRandom('door');
let network: TestNetwork;
let transport: GatewayTransport;
let a: TestIdentity;
let foreign: TestIdentity;
let expired: TestIdentity;
let noUnit: TestIdentity;
let twoFaced: TestIdentity;

beforeAll(async () => {
  network = await openTestNetwork({ clock });
  transport = network.ledger.transport();
  const { orgs } = network;
  a = orgs.a.client;
  const stranger = await createTestOrg('OrgA', clock);
  foreign = stranger.client;
  expired = await orgs.a.issue('short', 'client', { days: 2 });
  noUnit = await orgs.a.issue('nobody', 'visitor');
  twoFaced = { ...orgs.b.client, mspId: 'OrgA' };
});
afterAll(() => network.ledger.close());

const derSign = (identity: TestIdentity, message: Uint8Array): Promise<Uint8Array> => identity.signer.sign(message);

interface Draft {
  readonly who?: TestIdentity;
  readonly channel?: string;
  readonly steps?: unknown;
  readonly timestamp?: number;
  readonly header?: (header: Of<typeof ChannelHeader>) => Partial<Of<typeof ChannelHeader>>;
  readonly nonce?: Uint8Array;
}

async function proposal({ who = a, channel = 'solo', steps = [['put', 'door', 'x']], timestamp = clock.now(), header, nonce = random.bytes(24) }: Draft = {}): Promise<{ txId: string; proposalBytes: Uint8Array; signature: Uint8Array }> {
  const made = newProposal({ channel, contract: 'probe', args: [utf8('run'), canonicalBytes(steps as never)], creator: serialiseIdentity(who.mspId, who.certificate), nonce, timestamp });
  let proposalBytes = made.bytes;
  if (header !== undefined) {
    const parts = Proposal.decode(proposalBytes);
    const outer = Header.decode(parts.header);
    const before = ChannelHeader.decode(outer.channelHeader);
    proposalBytes = Proposal.encode({ ...parts, header: Header.encode({ ...outer, channelHeader: ChannelHeader.encode({ ...before, ...header(before) }) }) });
  }
  return { txId: made.txId, proposalBytes, signature: await derSign(who, proposalBytes) };
}

const evaluate = (proposedTransaction: { proposalBytes: Uint8Array; signature: Uint8Array }) => transport.evaluate(EvaluateRequest.encode({ proposedTransaction }));

/** The same signature with S in the upper half: valid ECDSA, but a second form of it. */
function highS(signature: Uint8Array): Uint8Array {
  const { r, s } = rawFromDer(signature) as { r: Uint8Array; s: Uint8Array };
  let value = 0n;
  for (const byte of s) value = value * 256n + BigInt(byte);
  const high = (N - value).toString(16).padStart(64, '0');
  return derWrite(0x30, derUnsigned(r), derUnsigned(Uint8Array.from(Buffer.from(high, 'hex'))));
}

describe('the door', () => {
  it('lets a right proposal in', async () => {
    await expect(evaluate(await proposal())).resolves.toBeInstanceOf(Uint8Array);
  });

  it.each<readonly [string, () => Promise<{ proposalBytes: Uint8Array; signature: Uint8Array }>, number]>([
    ['a signature by another key', async () => ({ ...(await proposal()), signature: await derSign(network.orgs.a.admin, (await proposal()).proposalBytes) }), grpcCode.failedPrecondition],
    ['a signature over other bytes', async () => ({ ...(await proposal()), signature: (await proposal()).signature }), grpcCode.failedPrecondition],
    ['a signature with high S', async () => { const made = await proposal(); return { ...made, signature: highS(made.signature) }; }, grpcCode.failedPrecondition],
    ['no signature', async () => ({ ...(await proposal()), signature: new Uint8Array(0) }), grpcCode.failedPrecondition],
    ['bytes that are no signature', async () => ({ ...(await proposal()), signature: utf8('signature') }), grpcCode.failedPrecondition],
    ['a certificate of another root that calls itself the same', () => proposal({ who: foreign }), grpcCode.failedPrecondition],
    ['a certificate under another organisation\'s name', () => proposal({ who: twoFaced }), grpcCode.failedPrecondition],
    ['a certificate without a role', () => proposal({ who: noUnit }), grpcCode.failedPrecondition],
    ['the authority itself', async () => { const key = await network.orgs.a.ca.privateKeyPkcs8(); const ca: TestIdentity = { ...a, certificate: network.orgs.a.ca.certificate, signer: { ...a.signer, sign: async (message) => sign('sha256', message, createPrivateKey({ key: Buffer.from(key), format: 'der', type: 'pkcs8' })) } }; return proposal({ who: ca }); }, grpcCode.failedPrecondition],
    ['an organisation that is no member', () => proposal({ who: network.orgs.c.client }), grpcCode.failedPrecondition],
    ['a certificate that is no certificate', () => proposal({ who: { ...a, certificate: '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n' } }), grpcCode.failedPrecondition],
    ['a transaction id that is not its hash', () => proposal({ header: () => ({ txId: '00'.repeat(32) }) }), grpcCode.failedPrecondition],
    ['an epoch', () => proposal({ header: () => ({ epoch: 1 }) }), grpcCode.failedPrecondition],
    ['another header type', () => proposal({ header: () => ({ type: 1 }) }), grpcCode.failedPrecondition],
    ['another contract in the header than in the call', () => proposal({ header: () => ({ extension: utf8('\u0012\u0006\u0012\u0004none') }) }), grpcCode.failedPrecondition],
    ['an unknown channel', () => proposal({ channel: 'nowhere' }), grpcCode.unavailable],
    ['a channel of others', () => proposal({ channel: 'theirs' }), grpcCode.failedPrecondition],
    ['bytes that are no proposal', async () => ({ proposalBytes: utf8('hello'), signature: new Uint8Array(70) }), grpcCode.invalidArgument],
  ])('refuses %s', async (_name, make, code) => {
    await expect(evaluate(await make())).rejects.toMatchObject({ name: 'GatewayFault', code });
  });

  it('refuses an expired certificate, by its own clock', async () => {
    await expect(evaluate(await proposal({ who: expired }))).resolves.toBeDefined();
    clock.advance(3 * 86_400_000);
    await expect(evaluate(await proposal({ who: expired }))).rejects.toMatchObject({ code: grpcCode.unavailable, refusals: [{ message: expect.stringContaining('proposal client identity expired') }] });
    await expect(evaluate(await proposal({ who: expired, timestamp: start }))).rejects.toMatchObject({ code: grpcCode.unavailable });
    await expect(evaluate(await proposal())).resolves.toBeDefined();
  });

  it('keeps commit status to those who may read', async () => {
    const { txId } = await commit();
    const ask = async (who: TestIdentity, forged = false): Promise<unknown> => {
      const request = CommitStatusRequest.encode({ transactionId: txId, channelId: 'solo', identity: serialiseIdentity(who.mspId, who.certificate) });
      return CommitStatusResponse.decode(await transport.commitStatus(SignedCommitStatusRequest.encode({ request, signature: await derSign(forged ? network.orgs.b.client : who, request) })));
    };
    expect(await ask(a)).toMatchObject({ result: 0 });
    await expect(ask(network.orgs.b.client)).rejects.toMatchObject({ code: grpcCode.permissionDenied });
    await expect(ask(a, true)).rejects.toMatchObject({ code: grpcCode.permissionDenied });
  });

  it('gives up waiting for a status when the client does', async () => {
    const request = CommitStatusRequest.encode({ transactionId: 'ff'.repeat(32), channelId: 'solo', identity: serialiseIdentity(a.mspId, a.certificate) });
    const stop = new AbortController();
    const asked = transport.commitStatus(SignedCommitStatusRequest.encode({ request, signature: await derSign(a, request) }), stop.signal);
    stop.abort();
    await expect(asked).rejects.toMatchObject({ code: grpcCode.cancelled });
  });
});

async function endorsed(draft: Draft = {}): Promise<{ txId: string; payload: Uint8Array }> {
  const { txId, ...proposedTransaction } = await proposal(draft);
  const answer = EndorseResponse.decode(await transport.endorse(EndorseRequest.encode({ proposedTransaction })));
  return { txId, payload: answer.preparedTransaction?.payload ?? new Uint8Array(0) };
}

async function send(payload: Uint8Array, { who = a, signature }: { who?: TestIdentity; signature?: Uint8Array } = {}): Promise<string> {
  const answer = await (transport as Required<GatewayTransport>).submitAndWait(SubmitRequest.encode({ preparedTransaction: { payload, signature: signature ?? (await derSign(who, payload)) } }));
  return codeName(CommitStatusResponse.decode(answer).result);
}

async function commit(draft: Draft = {}): Promise<{ txId: string; code: string }> {
  const { txId, payload } = await endorsed(draft);
  return { txId, code: await send(payload) };
}

type ActionPayload = Of<typeof ChaincodeActionPayload>;

/** The payload with its one action changed. */
function altered(payload: Uint8Array, change: (action: ActionPayload) => ActionPayload): Uint8Array {
  const outer = Payload.decode(payload);
  const [action] = Transaction.decode(outer.data).actions;
  const data = Transaction.encode({ actions: [{ header: action?.header ?? new Uint8Array(0), payload: ChaincodeActionPayload.encode(change(ChaincodeActionPayload.decode(action?.payload ?? new Uint8Array(0)))) }] });
  return Payload.encode({ ...outer, data });
}

const endorsements = (action: ActionPayload) => action.action?.endorsements ?? [];
const withEndorsements = (action: ActionPayload, list: ReturnType<typeof endorsements>): ActionPayload => ({ ...action, action: { proposalResponsePayload: action.action?.proposalResponsePayload ?? new Uint8Array(0), endorsements: list } });

function withResponse(action: ActionPayload, change: (response: Of<typeof ChaincodeAction>) => Partial<Of<typeof ChaincodeAction>>): ActionPayload {
  const response = ProposalResponsePayload.decode(action.action?.proposalResponsePayload ?? new Uint8Array(0));
  const extension = ChaincodeAction.decode(response.extension);
  return { ...action, action: { proposalResponsePayload: ProposalResponsePayload.encode({ ...response, extension: ChaincodeAction.encode({ ...extension, ...change(extension) }) }), endorsements: endorsements(action) } };
}

/** Endorses a changed response with a key of one's own. */
async function reEndorsed(payload: Uint8Array, who: TestIdentity): Promise<Uint8Array> {
  const action = ChaincodeActionPayload.decode(Transaction.decode(Payload.decode(payload).data).actions[0]?.payload ?? new Uint8Array(0));
  const body = action.action?.proposalResponsePayload ?? new Uint8Array(0);
  const endorser = serialiseIdentity(who.mspId, who.certificate);
  const signature = await derSign(who, Buffer.concat([body, endorser]));
  return altered(payload, (before) => withEndorsements(before, [{ endorser, signature }]));
}

const definitionWrites = (): Uint8Array => TxReadWriteSet.encode({ nsRwset: [{ namespace: '_lifecycle', rwset: KVRWSet.encode({ writes: [{ key: 'namespaces/fields/probe/Sequence', value: utf8('x') }] }) }] });
const privateWrites = (): Uint8Array => TxReadWriteSet.encode({ nsRwset: [{ namespace: 'probe', collectionHashedRwset: [{ collectionName: 'none', hashedRwset: HashedRWSet.encode({ hashedWrites: [{ keyHash: new Uint8Array(32), valueHash: new Uint8Array(32) }] }) }] }] });

describe('a block', () => {
  it('takes a right transaction', async () => expect((await commit()).code).toBe('VALID'));

  it.each<readonly [string, Draft, (payload: Uint8Array) => Uint8Array | Promise<Uint8Array>, string]>([
    ['without endorsements', {}, (payload) => altered(payload, (action) => withEndorsements(action, [])), 'ENDORSEMENT_POLICY_FAILURE'],
    ['with one of two endorsements needed', { channel: 'pair' }, (payload) => altered(payload, (action) => withEndorsements(action, endorsements(action).slice(0, 1))), 'ENDORSEMENT_POLICY_FAILURE'],
    ['with one endorsement twice', { channel: 'pair' }, (payload) => altered(payload, (action) => withEndorsements(action, [endorsements(action)[0], endorsements(action)[0]] as never)), 'ENDORSEMENT_POLICY_FAILURE'],
    ['endorsed by a client', {}, (payload) => reEndorsed(payload, network.orgs.a.client), 'ENDORSEMENT_POLICY_FAILURE'],
    ['endorsed by an administrator', {}, (payload) => reEndorsed(payload, network.orgs.a.admin), 'ENDORSEMENT_POLICY_FAILURE'],
    ['endorsed by a peer of no member', {}, (payload) => reEndorsed(payload, network.orgs.c.peer), 'ENDORSEMENT_POLICY_FAILURE'],
    ['endorsed by a peer of a false root', {}, (payload) => reEndorsed(payload, { ...foreign, mspId: 'OrgA' }), 'ENDORSEMENT_POLICY_FAILURE'],
    ['whose write set was changed', {}, (payload) => altered(payload, (action) => withResponse(action, ({ results }) => ({ results: Uint8Array.from(results).fill(0x79, results.length - 1) }))), 'ENDORSEMENT_POLICY_FAILURE'],
    ['whose event was changed', { steps: [['event', 'e', 'x']] }, (payload) => altered(payload, (action) => withResponse(action, () => ({ events: new Uint8Array(0) }))), 'ENDORSEMENT_POLICY_FAILURE'],
    ['whose response names another contract', {}, (payload) => altered(payload, (action) => withResponse(action, () => ({ chaincodeId: { path: '', name: 'helper', version: '1.0' } }))), 'INVALID_CHAINCODE'],
    ['whose arguments were changed', {}, (payload) => altered(payload, (action) => ({ ...action, chaincodeProposalPayload: ChaincodeProposalPayload.encode({ input: utf8('') }) })), 'INVALID_ENDORSER_TRANSACTION'],
    ['that carries transient data', {}, (payload) => altered(payload, (action) => ({ ...action, chaincodeProposalPayload: ChaincodeProposalPayload.encode({ ...ChaincodeProposalPayload.decode(action.chaincodeProposalPayload), transientMap: new Map([['secret', utf8('x')]]) }) })), 'VALID'],
    ['whose read/write set is garbage', {}, async (payload) => reEndorsed(altered(payload, (action) => withResponse(action, () => ({ results: utf8('garbage') }))), network.orgs.a.peer), 'BAD_RWSET'],
    ['that writes definitions of contracts', {}, (payload) => reEndorsed(altered(payload, (action) => withResponse(action, () => ({ results: definitionWrites() }))), network.orgs.a.peer), 'ILLEGAL_WRITESET'],
    ['that writes into a contract nobody defined', {}, (payload) => reEndorsed(altered(payload, (action) => withResponse(action, () => ({ results: TxReadWriteSet.encode({ nsRwset: [{ namespace: 'nobody', rwset: KVRWSet.encode({ writes: [{ key: 'k', value: utf8('x') }] }) }] }) }))), network.orgs.a.peer), 'INVALID_CHAINCODE'],
    ['of another version of the contract', {}, (payload) => reEndorsed(altered(payload, (action) => withResponse(action, () => ({ chaincodeId: { path: '', name: 'probe', version: '0.9' } }))), network.orgs.a.peer), 'EXPIRED_CHAINCODE'],
    ['that claims a private value without its collection', {}, (payload) => reEndorsed(altered(payload, (action) => withResponse(action, () => ({ results: privateWrites() }))), network.orgs.a.peer), 'INVALID_WRITESET'],
    ['with two actions', {}, (payload) => { const outer = Payload.decode(payload); const { actions } = Transaction.decode(outer.data); return Payload.encode({ ...outer, data: Transaction.encode({ actions: [...actions, ...actions] }) }); }, 'INVALID_ENDORSER_TRANSACTION'],
    ['with no action', {}, (payload) => Payload.encode({ ...Payload.decode(payload), data: new Uint8Array(0) }), 'INVALID_ENDORSER_TRANSACTION'],
  ])('marks a transaction %s', async (_name, draft, change, expected) => {
    const { payload } = await endorsed({ steps: [['put', `row-${_name}`, 'x']], ...draft });
    expect(await send(await change(payload))).toBe(expected);
  });

  it('marks a transaction whose id is not its hash', async () => {
    const { payload } = await endorsed();
    const outer = Payload.decode(payload);
    const header = outer.header as Of<typeof Header>;
    const channelHeader = ChannelHeader.encode({ ...ChannelHeader.decode(header.channelHeader), txId: 'ab'.repeat(32) });
    expect(await send(Payload.encode({ ...outer, header: { ...header, channelHeader } }))).toBe('BAD_PROPOSAL_TXID');
  });

  it('is not bothered with envelopes of which the creator\'s signature is wrong', async () => {
    const { payload } = await endorsed();
    const forbidden = { code: grpcCode.aborted, message: expect.stringContaining('received unsuccessful response from orderer: status=FORBIDDEN') };
    await expect(send(payload, { signature: new Uint8Array(70) })).rejects.toMatchObject(forbidden);
    await expect(send(payload, { who: network.orgs.a.admin })).rejects.toMatchObject(forbidden);
    await expect(send(payload, { signature: highS(await derSign(a, payload)) })).rejects.toMatchObject(forbidden);
  });

  it('nor with what is no envelope, too large, or no transaction', async () => {
    await expect(transport.submit(utf8('hello'))).rejects.toMatchObject({ code: grpcCode.invalidArgument });
    await expect(transport.submit(new Uint8Array(0))).rejects.toMatchObject({ code: grpcCode.invalidArgument });
    await expect(send(new Uint8Array(11 * 1024 * 1024).fill(1))).rejects.toMatchObject({ code: grpcCode.aborted, message: expect.stringContaining('exceeds maximum allowed 10485760 bytes') });
    const { payload } = await endorsed();
    const outer = Payload.decode(payload);
    const header = outer.header as Of<typeof Header>;
    const channelHeader = ChannelHeader.encode({ ...ChannelHeader.decode(header.channelHeader), type: 2 });
    await expect(send(Payload.encode({ ...outer, header: { ...header, channelHeader } }))).rejects.toMatchObject({ code: grpcCode.invalidArgument });
  });

  it('takes a transaction once: the same envelope again changes nothing and reads as the first did', async () => {
    const { txId, payload } = await endorsed({ steps: [['add', 'once', 1]] });
    const signature = await derSign(a, payload);
    expect(await send(payload, { signature })).toBe('VALID');
    const height = network.ledger.height('solo');
    expect(await send(payload, { signature })).toBe('VALID');
    expect(network.ledger.height('solo')).toBe(height + 1);
    expect(await send(payload)).toBe('VALID');
    const again = await proposal({ steps: [['get', 'once']] });
    expect(Buffer.from(await evaluate(again)).toString()).toContain('["1"]');
    expect(txId).toHaveLength(64);
  });

  it('and the same proposal is not endorsed again', async () => {
    const made = await proposal();
    const first = EndorseResponse.decode(await transport.endorse(EndorseRequest.encode({ proposedTransaction: made })));
    await send(first.preparedTransaction?.payload ?? new Uint8Array(0));
    await expect(transport.endorse(EndorseRequest.encode({ proposedTransaction: made }))).rejects.toMatchObject({ code: grpcCode.aborted, refusals: [{ message: expect.stringContaining('duplicate transaction found') }] });
  });

  it('decides between two transactions that read the same, and sees phantoms and blind writes', async () => {
    await commit({ steps: [['put', 'mvcc', '0'], ['put', 'ph.1', 'x']] });
    const [one, two, blind] = [await endorsed({ steps: [['add', 'mvcc', 1]] }), await endorsed({ steps: [['add', 'mvcc', 1]] }), await endorsed({ steps: [['put', 'mvcc', '9']] })];
    expect([await send(one.payload), await send(two.payload), await send(blind.payload)]).toEqual(['VALID', 'MVCC_READ_CONFLICT', 'VALID']);
    const [range, inside, outside] = [await endorsed({ steps: [['rangeKeys', 'ph.', 'ph.~'], ['put', 'seen', 'x']] }), await endorsed({ steps: [['put', 'ph.2', 'x']] }), await endorsed({ steps: [['rangeKeys', 'pi.', 'pi.~'], ['put', 'seen2', 'x']] })];
    expect([await send(inside.payload), await send(range.payload), await send(outside.payload)]).toEqual(['VALID', 'PHANTOM_READ_CONFLICT', 'VALID']);
    const [gone, deletion] = [await endorsed({ steps: [['rangeKeys', 'ph.', 'ph.~'], ['put', 'seen', 'x']] }), await endorsed({ steps: [['delete', 'ph.1']] })];
    expect([await send(deletion.payload), await send(gone.payload)]).toEqual(['VALID', 'PHANTOM_READ_CONFLICT']);
  });

  it('protects a range only as far as it was read', async () => {
    await commit({ steps: Array.from({ length: 120 }, (_, index) => ['put', `half.${String(index).padStart(3, '0')}`, 'x']) });
    const [first, early, late] = [await endorsed({ steps: [['rangeFirst', 'half.', 'half.~', 5], ['put', 'a1', 'x']] }), await endorsed({ steps: [['put', 'half.0005', 'x']] }), await endorsed({ steps: [['put', 'half.110', 'y']] })];
    expect([await send(late.payload), await send(first.payload), await send(early.payload)]).toEqual(['VALID', 'VALID', 'VALID']);
    const [second, inner] = [await endorsed({ steps: [['rangeFirst', 'half.', 'half.~', 5], ['put', 'a2', 'x']] }), await endorsed({ steps: [['put', 'half.0042', 'x']] })];
    expect([await send(inner.payload), await send(second.payload)]).toEqual(['VALID', 'PHANTOM_READ_CONFLICT']);
  });

  it('judges in one block as it would in many', async () => {
    await commit({ steps: [['put', 'same', '0']] });
    const payloads = await Promise.all(Array.from({ length: 6 }, () => endorsed({ steps: [['add', 'same', 1]] })));
    const codes = await Promise.all(payloads.map(({ payload }) => send(payload)));
    expect(codes.filter((code) => code === 'VALID')).toHaveLength(1);
    expect(codes.filter((code) => code === 'MVCC_READ_CONFLICT')).toHaveLength(5);
  });

  it('gives the same verdicts and state when everything is judged again', async () => {
    for (const channel of network.ledger.channels()) {
      await network.ledger.verifyChain(channel);
      await network.ledger.replay(channel);
    }
  });
});

it('DER of our own signatures is minimal', async () => {
  for (let turn = 0; turn < 50; turn++) {
    const signature = await derSign(a, random.bytes(10));
    const [r, s] = derElements((derElements(signature)[0] as { content: Uint8Array }).content);
    for (const integer of [r, s]) expect(integer?.content[0] === 0 && ((integer?.content[1] ?? 0) & 0x80) === 0).toBe(false);
  }
});
