/**
 * The error classes of Fabric's own client: code, sentence and details as from a real peer (release 2.5: `internal/pkg/gateway`,
 * `core/endorser/msgvalidation.go`, `core/handlers/auth/filter`, `orderer/common`), one row per refusal.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InterceptingCall, type Interceptor } from '@grpc/grpc-js';
import { common, gateway as protos, peer } from '@hyperledger/fabric-protos';
import { CommitError, CommitStatusError, EndorseError, GatewayError, type Contract, type Proposal } from '@hyperledger/fabric-gateway';
import type { Step } from '../conformance/probe.ts';
import { createTestOrg, type TestIdentity } from '../consortium.test-kit.ts';
import { serialiseIdentity } from '../transaction.ts';
import { serveTestNetwork, steps, text, type Served } from './fabric-client.test-kit.ts';

let served: Served;
let a: TestIdentity;
const extra: Record<string, TestIdentity> = {};

beforeAll(async () => {
  served = await serveTestNetwork();
  const { orgs, ledger } = served.network;
  a = orgs.a.client;
  extra['revoked'] = await orgs.a.issue('revoked', 'client');
  extra['short'] = await orgs.a.issue('short', 'client', { days: 1 });
  extra['roleless'] = await orgs.a.issue('visitor', 'visitor');
  extra['foreign'] = (await createTestOrg('OrgA', served.clock)).client;
  extra['outsider'] = orgs.c.client;
  const crl = await orgs.a.ca.issueCrl([{ certificate: extra['revoked'].certificate, at: served.clock.now() }], served.clock.now());
  await ledger.updateCrl({ channel: 'solo', mspId: 'OrgA', crl, signer: orgs.a.admin.signer });
});
afterAll(() => served.close());

const who = (name: string): TestIdentity => (name === '' ? a : (extra[name] as TestIdentity));
const contractOf = (name: string, channel = 'solo', contract = 'probe'): Contract => served.channel(who(name), channel).getContract(contract);

async function errorOf(work: () => Promise<unknown>): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    return error;
  }
  throw new Error('it was not refused');
}

interface Row {
  readonly rule: string;
  readonly identity?: string;
  readonly channel?: string;
  readonly contract?: string;
  readonly call?: readonly [string, ...string[]];
  readonly options?: Record<string, unknown>;
  readonly evaluate: readonly [code: number, message: string, detail?: string];
  readonly endorse: readonly [code: number, message: string, detail?: string];
}

const AT = { address: 'peer.orga:7051', mspId: 'OrgA' };
const viaPeer = (detail: string) => ({ evaluate: [9, `evaluate call to endorser returned error: ${detail}`, detail], endorse: [10, 'failed to endorse transaction, see attached details for more info', detail] }) as const;
const run = (...list: readonly Step[]): readonly [string, ...string[]] => ['run', steps(...list)];

const rows: readonly Row[] = [
  { rule: 'the contract refuses', call: run(['crash']), evaluate: [2, 'evaluate call to endorser returned error: chaincode response 500, the probe broke', 'chaincode response 500, the probe broke'], endorse: [10, 'failed to endorse transaction, see attached details for more info', 'chaincode response 500, the probe broke'] },
  { rule: 'the contract answers with another status', call: ['status', '404'], evaluate: [2, 'evaluate call to endorser returned error: chaincode response 404, as you wish', 'chaincode response 404, as you wish'], endorse: [10, 'failed to endorse transaction, see attached details for more info', 'chaincode response 404, as you wish'] },
  { rule: 'the channel is unknown', channel: 'nowhere', evaluate: [14, 'failed to get config for channel [nowhere]: could not get last config for channel nowhere'], endorse: [9, 'no combination of peers can be derived which satisfy the endorsement policy: No metadata was found for chaincode probe in channel nowhere'] },
  { rule: 'the contract is unknown', contract: 'nothing', evaluate: [9, 'no peers available to evaluate chaincode nothing in channel solo'], endorse: [9, 'no combination of peers can be derived which satisfy the endorsement policy: No metadata was found for chaincode nothing in channel solo'] },
  { rule: 'the named organisation has no peer here', options: { endorsingOrganizations: ['OrgB'] }, evaluate: [9, 'no peers available to evaluate chaincode probe in channel solo'], endorse: [14, 'failed to find any endorsing peers for org(s): OrgB'] },
  { rule: 'several named organisations have none', options: { endorsingOrganizations: ['OrgX', 'OrgB'] }, evaluate: [9, 'no peers available to evaluate chaincode probe in channel solo'], endorse: [14, 'failed to find any endorsing peers for org(s): OrgX, OrgB'] },
  { rule: 'the organisation is no member', identity: 'outsider', ...viaPeer('error validating proposal: access denied: channel [solo] creator org unknown, creator is malformed') },
  { rule: 'the root is another of the same name', identity: 'foreign', ...viaPeer('error validating proposal: access denied: channel [solo] creator org unknown, creator is malformed') },
  { rule: 'the certificate is revoked', identity: 'revoked', ...viaPeer('error validating proposal: access denied: channel [solo] creator org [OrgA]') },
  { rule: 'the certificate has no role', identity: 'roleless', ...viaPeer('error validating proposal: access denied: channel [solo] creator org [OrgA]') },
];

describe.each(rows)('when $rule', (row) => {
  const refused = async (kind: 'evaluate' | 'submit'): Promise<unknown> => {
    const [name, ...args] = row.call ?? run(['put', 'refused', 'x']);
    return errorOf(() => contractOf(row.identity ?? '', row.channel, row.contract)[kind](name, { arguments: args, ...row.options }));
  };

  it('evaluation fails as on a peer', async () => {
    const [code, message, detail] = row.evaluate;
    const error = await refused('evaluate');
    expect(error).toBeInstanceOf(GatewayError);
    expect(error).toMatchObject({ name: 'GatewayError', code, message: expect.stringContaining(message), details: detail === undefined ? [] : [{ ...AT, message: expect.stringContaining(detail) }] });
  });

  it('endorsement fails as on a peer', async () => {
    const [code, message, detail] = row.endorse;
    const error = await refused('submit');
    expect(error).toBeInstanceOf(EndorseError);
    expect(error).toMatchObject({ name: 'EndorseError', code, transactionId: expect.stringMatching(/^[0-9a-f]{64}$/), message: expect.stringContaining(message), details: detail === undefined ? [] : [{ ...AT, message: expect.stringContaining(detail) }] });
  });
});

describe('an expired certificate', () => {
  it('is refused at every door, by the ledger\'s clock', async () => {
    const contract = contractOf('short');
    const endorsed = await contract.newProposal('run', { arguments: [steps(['put', 'late', 'x'])] }).endorse();
    const sent = await (await contract.newProposal('run', { arguments: [steps(['put', 'early', 'x'])] }).endorse()).submit();
    served.clock.stepMs = 2 * 86_400_000;
    try {
      expect(await errorOf(() => contract.evaluateTransaction('run', steps(['get', 'x'])))).toMatchObject({ name: 'GatewayError', code: 14, message: expect.stringContaining('failed to evaluate transaction, see attached details for more info'), details: [{ ...AT, message: expect.stringContaining('proposal client identity expired') }] });
      expect(await errorOf(() => contract.submitTransaction('run', steps(['put', 'x', 'x'])))).toMatchObject({ name: 'EndorseError', code: 10, details: [{ ...AT, message: expect.stringContaining('proposal client identity expired') }] });
      expect(await errorOf(() => endorsed.submit())).toMatchObject({ name: 'SubmitError', code: 10, message: expect.stringContaining('received unsuccessful response from orderer: status=BAD_REQUEST, info=broadcast client identity expired') });
      expect(await errorOf(() => sent.getStatus())).toMatchObject({ name: 'CommitStatusError', code: 7 });
    } finally {
      served.clock.stepMs = 0;
    }
  });
});

/** The bytes of a proposal after a change of its channel header, signed anew. */
async function altered(change: (header: common.ChannelHeader) => void): Promise<Proposal> {
  const gateway = served.enter(a);
  const proposed = protos.ProposedTransaction.deserializeBinary(contractOf('').newProposal('run', { arguments: [steps(['put', 'altered', 'x'])] }).getBytes());
  const signed = proposed.getProposal() ?? new peer.SignedProposal();
  const proposal = peer.Proposal.deserializeBinary(signed.getProposalBytes_asU8());
  const header = common.Header.deserializeBinary(proposal.getHeader_asU8());
  const channelHeader = common.ChannelHeader.deserializeBinary(header.getChannelHeader_asU8());
  change(channelHeader);
  header.setChannelHeader(channelHeader.serializeBinary());
  proposal.setHeader(header.serializeBinary());
  signed.setProposalBytes(proposal.serializeBinary());
  return gateway.newProposal(proposed.serializeBinary());
}

describe('a malformed proposal', () => {
  const outer = 'error validating proposal: ';
  it.each<readonly [string, (header: common.ChannelHeader) => void, string]>([
    ['another header type', (header) => header.setType(common.HeaderType.CONFIG_UPDATE), `${outer}invalid header type`],
    ['an epoch', (header) => header.setEpoch(3), `${outer}epoch is non-zero`],
    ['an id that is not its hash', (header) => header.setTxId('00'.repeat(32)), `${outer}incorrectly computed txid '${'00'.repeat(32)}' -- expected '`],
  ])('with %s is refused by the peer', async (_name, change, detail) => {
    const proposal = await altered(change);
    expect(await errorOf(() => proposal.evaluate())).toMatchObject({ name: 'GatewayError', code: 9, message: expect.stringContaining(`evaluate call to endorser returned error: ${detail}`), details: [{ ...AT, message: expect.stringContaining(detail) }] });
    expect(await errorOf(() => proposal.endorse())).toMatchObject({ name: 'EndorseError', code: 10, details: [{ ...AT, message: expect.stringContaining(detail) }] });
  });

  it.each<readonly [string, Uint8Array, string, string]>([
    ['bytes that are none', Buffer.from('hello'), 'failed to unpack transaction proposal: error unmarshalling Proposal', 'error unmarshalling Proposal'],
    ['no bytes', new Uint8Array(0), 'failed to unpack transaction proposal: a signed proposal is required', 'the proposed transaction must contain a signed proposal'],
  ])('of %s is told at once', async (_name, bytes, evaluated, endorsed) => {
    const proposed = new protos.ProposedTransaction();
    const signed = new peer.SignedProposal();
    signed.setProposalBytes(bytes);
    signed.setSignature(Buffer.from('signature'));
    proposed.setProposal(signed);
    const call = (method: string, request: protos.EvaluateRequest | protos.EndorseRequest) => new Promise((resolve, reject) => {
      request.setProposedTransaction(signed);
      served.client.makeUnaryRequest(method, (one: typeof request) => Buffer.from(one.serializeBinary()), (answer: Buffer) => answer, request, (error, answer) => (error === null ? resolve(answer) : reject(error)));
    });
    expect(await errorOf(() => call('/gateway.Gateway/Evaluate', new protos.EvaluateRequest()))).toMatchObject({ code: 3, details: expect.stringContaining(evaluated) });
    expect(await errorOf(() => call('/gateway.Gateway/Endorse', new protos.EndorseRequest()))).toMatchObject({ code: 3, details: expect.stringContaining(endorsed) });
  });

  it.each<readonly [string, string, () => Uint8Array, number, string]>([
    ['a submission without transaction', 'Submit', () => new protos.SubmitRequest().serializeBinary(), 3, 'a prepared transaction is required'],
    ['a submission without signature', 'Submit', () => { const request = new protos.SubmitRequest(); request.setPreparedTransaction(new common.Envelope()); return request.serializeBinary(); }, 3, 'prepared transaction must be signed'],
    ['a submission that is no envelope', 'Submit', () => { const request = new protos.SubmitRequest(); const envelope = new common.Envelope(); envelope.setPayload(Buffer.from('hello')); envelope.setSignature(Buffer.from('x')); request.setPreparedTransaction(envelope); return request.serializeBinary(); }, 10, 'received unsuccessful response from orderer: status=BAD_REQUEST'],
    ['a question without content', 'CommitStatus', () => new protos.SignedCommitStatusRequest().serializeBinary(), 3, 'a commit status request is required'],
    ['a question without identity', 'CommitStatus', () => { const request = new protos.SignedCommitStatusRequest(); const inner = new protos.CommitStatusRequest(); inner.setChannelId('solo'); request.setRequest(inner.serializeBinary()); return request.serializeBinary(); }, 3, 'no identity provided'],
    ['a question without channel', 'CommitStatus', () => { const request = new protos.SignedCommitStatusRequest(); const inner = new protos.CommitStatusRequest(); inner.setIdentity(Buffer.from('x')); inner.setTransactionId('x'); request.setRequest(inner.serializeBinary()); return request.serializeBinary(); }, 3, 'no channel ID provided'],
    ['a question without id', 'CommitStatus', () => { const request = new protos.SignedCommitStatusRequest(); const inner = new protos.CommitStatusRequest(); inner.setIdentity(Buffer.from('x')); inner.setChannelId('solo'); request.setRequest(inner.serializeBinary()); return request.serializeBinary(); }, 3, 'transaction ID should not be empty'],
    ['a method that is not there', 'Prophesy', () => new Uint8Array(0), 12, ''],
    ['a message that is not protobuf', 'Evaluate', () => Buffer.from('hello'), 3, ''],
  ])('%s is refused', async (_name, method, bytes, code, message) => {
    const call = () => new Promise((resolve, reject) => {
      served.client.makeUnaryRequest(`/gateway.Gateway/${method}`, (one: Uint8Array) => Buffer.from(one), (answer: Buffer) => answer, bytes(), (error, answer) => (error === null ? resolve(answer) : reject(error)));
    });
    expect(await errorOf(call)).toMatchObject({ code, details: expect.stringContaining(message) });
  });
});

describe('a transaction that its block marks', () => {
  const together = async (list: readonly (readonly Step[])[], channel = 'solo') => Promise.all(list.map((one) => contractOf('', channel).newProposal('run', { arguments: [steps(...one)] }).endorse()));
  const outcomes = async (transactions: Awaited<ReturnType<typeof together>>): Promise<number[]> => {
    const codes: number[] = [];
    for (const transaction of transactions) codes.push((await (await transaction.submit()).getStatus()).code);
    return codes;
  };

  it('VALID, MVCC_READ_CONFLICT', async () => {
    await contractOf('').submitTransaction('run', steps(['put', 'mvcc', '0']));
    expect(await outcomes(await together([[['add', 'mvcc', 1]], [['add', 'mvcc', 1]]]))).toEqual([0, 11]);
  });

  it('PHANTOM_READ_CONFLICT', async () => {
    expect(await outcomes(await together([[['put', 'ghost.1', 'x']], [['rangeKeys', 'ghost.', 'ghost.~'], ['put', 'seen', 'x']]]))).toEqual([0, 12]);
  });

  it('ENDORSEMENT_POLICY_FAILURE is a CommitError of submit, with code and id', async () => {
    const error = await errorOf(() => contractOf('', 'pair').submit('run', { arguments: [steps(['put', 'half', 'x'])], endorsingOrganizations: ['OrgA'] }));
    expect(error).toBeInstanceOf(CommitError);
    expect(error).toMatchObject({ name: 'CommitError', code: peer.TxValidationCode.ENDORSEMENT_POLICY_FAILURE, transactionId: expect.stringMatching(/^[0-9a-f]{64}$/) });
  });

  it('MVCC_READ_CONFLICT is one, too', async () => {
    const attempts = await Promise.allSettled(Array.from({ length: 8 }, () => contractOf('').submitTransaction('run', steps(['add', 'crowd', 1]))));
    const refused = attempts.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
    expect(refused.length).toBeGreaterThan(0);
    for (const error of refused) {
      expect(error).toBeInstanceOf(CommitError);
      expect(error).toMatchObject({ code: 11 });
    }
    expect(text(await contractOf('').evaluateTransaction('run', steps(['get', 'crowd'])))).toBe(`["${8 - refused.length}"]`);
  });

  it('organisations that disagree never come that far', async () => {
    const error = await errorOf(() => contractOf('', 'pair').submitTransaction('run', steps(['disagree', 'k'])));
    expect(error).toMatchObject({ name: 'EndorseError', code: 10, message: expect.stringContaining('failed to collect enough transaction endorsements, see attached details for more info'), details: [{ address: 'peer.orgb:7051', mspId: 'OrgB', message: 'ProposalResponsePayloads do not match' }] });
  });

  it('nor does what both named organisations refuse', async () => {
    const error = await errorOf(() => contractOf('', 'pair').submit('run', { arguments: [steps(['crash'])], endorsingOrganizations: ['OrgA', 'OrgB'] }));
    expect(error).toMatchObject({ name: 'EndorseError', code: 10, message: expect.stringContaining('failed to collect enough'), details: ['OrgA', 'OrgB'].map((mspId) => ({ mspId, message: 'chaincode response 500, the probe broke' })) });
  });
});

describe('the same again', () => {
  it('a proposal whose transaction is in a block is not run again', async () => {
    const proposal = contractOf('').newProposal('run', { arguments: [steps(['put', 'once', 'x'])] });
    await (await (await proposal.endorse()).submit()).getStatus();
    const detail = `duplicate transaction found [${proposal.getTransactionId()}]. Creator [`;
    expect(await errorOf(() => proposal.endorse())).toMatchObject({ name: 'EndorseError', code: 10, details: [{ ...AT, message: expect.stringContaining(detail) }] });
    expect(await errorOf(() => proposal.evaluate())).toMatchObject({ name: 'GatewayError', code: 9, details: [{ ...AT, message: expect.stringContaining(detail) }] });
  });

  it('a transaction sent twice is in two blocks and counts once', async () => {
    const transaction = await contractOf('').newProposal('run', { arguments: [steps(['add', 'twice', 1])] }).endorse();
    const first = await (await transaction.submit()).getStatus();
    const height = served.network.ledger.height('solo');
    const second = await (await transaction.submit()).getStatus();
    expect(second).toEqual(first);
    expect(served.network.ledger.height('solo')).toBe(height + 1);
    expect(text(await contractOf('').evaluateTransaction('run', steps(['get', 'twice'])))).toBe('["1"]');
    const blocks = await served.enter(served.network.orgs.a.peer).getNetwork('solo').getFilteredBlockEvents({ startBlock: BigInt(height) });
    for await (const block of blocks) {
      expect(block.getFilteredTransactionsList().map((one) => one.getTxValidationCode())).toEqual([peer.TxValidationCode.DUPLICATE_TXID]);
      break;
    }
    blocks.close();
  });
});

describe('time and size', () => {
  it.each<readonly [string, (contract: Contract) => Promise<unknown>, string]>([
    ['evaluate', (contract) => contract.evaluateTransaction('run', steps(['get', 'x'])), 'GatewayError'],
    ['endorse', (contract) => contract.newProposal('run', { arguments: [steps(['put', 'x', 'x'])] }).endorse(), 'EndorseError'],
  ])('%s past its deadline is DEADLINE_EXCEEDED', async (_name, call, name) => {
    const late = () => ({ deadline: Date.now() - 1 });
    const contract = served.enter(a, { evaluateOptions: late, endorseOptions: late }).getNetwork('solo').getContract('probe');
    expect(await errorOf(() => call(contract))).toMatchObject({ name, code: 4, details: [] });
  });

  it('submit and status past their deadline, which may be given with the call', async () => {
    const transaction = await contractOf('').newProposal('run', { arguments: [steps(['put', 'x', 'x'])] }).endorse();
    const submitted = await errorOf(() => transaction.submit({ deadline: Date.now() - 1 }));
    expect(submitted).toMatchObject({ name: 'SubmitError', code: 4, transactionId: transaction.getTransactionId() });
    const commit = await transaction.submit();
    const status = await errorOf(() => commit.getStatus({ deadline: Date.now() - 1 }));
    expect(status).toBeInstanceOf(CommitStatusError);
    expect(status).toMatchObject({ code: 4, transactionId: transaction.getTransactionId() });
  });

  it('the status of a transaction that never comes is waited for until the deadline', async () => {
    const gateway = served.enter(a);
    const inner = new protos.CommitStatusRequest();
    inner.setChannelId('solo');
    inner.setTransactionId('ab'.repeat(32));
    inner.setIdentity(serialiseIdentity(a.mspId, a.certificate));
    const unsigned = new protos.SignedCommitStatusRequest();
    unsigned.setRequest(inner.serializeBinary());
    expect(await errorOf(() => gateway.newCommit(unsigned.serializeBinary()).getStatus({ deadline: Date.now() + 300 }))).toMatchObject({ name: 'CommitStatusError', code: 4, transactionId: 'ab'.repeat(32) });
  });

  it('a cancelled call is CANCELLED', async () => {
    // CallOptions has no signal: gRPC's way to cancel is the call itself, which an interceptor holds.
    const cancel: Interceptor = (options, next) => {
      const call = new InterceptingCall(next(options));
      setTimeout(() => call.cancelWithStatus(1, 'the user left'), 1);
      return call;
    };
    const hanging = () => new Promise<never>(() => undefined);
    const contract = served.enter(a, { evaluateOptions: () => ({ interceptors: [cancel] }) }).getNetwork('solo').getContract('probe');
    const calls = Array.from({ length: 20 }, () => errorOf(() => Promise.race([contract.evaluateTransaction('run', steps(['range', '', ''])), hanging()])).catch(() => undefined));
    const errors = (await Promise.all(calls.map((call) => Promise.race([call, new Promise((resolve) => setTimeout(() => resolve(undefined), 2_000))])))).filter((one) => one !== undefined);
    expect(errors.length).toBeGreaterThan(0);
    for (const error of errors) expect(error).toMatchObject({ name: 'GatewayError', code: 1 });
  });

  it('an answer larger than the client takes is RESOURCE_EXHAUSTED, and the ledger goes on', async () => {
    expect(await errorOf(() => contractOf('').submitTransaction('run', steps(['putLong', 'large', 5 * 1024 * 1024])))).toMatchObject({ name: 'EndorseError', code: 8 });
    expect(text(await contractOf('').evaluateTransaction('run', steps(['txId'])))).toHaveLength(68);
  });

  it('a transaction larger than a block may hold is refused by the orderer', async () => {
    const envelope = new common.Envelope();
    envelope.setPayload(Buffer.alloc(10 * 1024 * 1024));
    envelope.setSignature(Buffer.from('x'));
    const request = new protos.SubmitRequest();
    request.setPreparedTransaction(envelope);
    const call = () => new Promise((resolve, reject) => {
      served.client.makeUnaryRequest('/gateway.Gateway/Submit', (one: Uint8Array) => Buffer.from(one), (answer: Buffer) => answer, request.serializeBinary(), (error, answer) => (error === null ? resolve(answer) : reject(error)));
    });
    expect(await errorOf(call)).toMatchObject({ code: 10, details: 'received unsuccessful response from orderer: status=BAD_REQUEST, info=message payload is 10485761 bytes and exceeds maximum allowed 10485760 bytes' });
  });

  it('a message larger than a peer takes is RESOURCE_EXHAUSTED', async () => {
    const call = () => new Promise((resolve, reject) => {
      served.client.makeUnaryRequest('/gateway.Gateway/Submit', (one: Uint8Array) => one as Buffer, (answer: Buffer) => answer, Buffer.alloc(100 * 1024 * 1024 + 1), (error, answer) => (error === null ? resolve(answer) : reject(error)));
    });
    expect(await errorOf(call)).toMatchObject({ code: 8 });
  });
});

it('questions about a channel are for its members', async () => {
  const sent = await (await contractOf('').newProposal('run', { arguments: [steps(['put', 'asked', 'x'])] }).endorse()).submit();
  const question = protos.SignedCommitStatusRequest.deserializeBinary(sent.getBytes());
  const inner = protos.CommitStatusRequest.deserializeBinary(question.getRequest_asU8());
  const ask = async (change: (request: protos.CommitStatusRequest) => void, identity = a): Promise<unknown> => {
    const request = protos.CommitStatusRequest.deserializeBinary(inner.serializeBinary());
    change(request);
    const unsigned = new protos.SignedCommitStatusRequest();
    unsigned.setRequest(request.serializeBinary());
    return errorOf(() => served.enter(identity).newCommit(unsigned.serializeBinary()).getStatus());
  };
  expect(await ask((request) => request.setChannelId('nowhere'))).toMatchObject({ name: 'CommitStatusError', code: 7, message: expect.stringContaining('Failed to get policy manager for channel [nowhere]') });
  expect(await ask(() => undefined, served.network.orgs.b.client)).toMatchObject({ name: 'CommitStatusError', code: 7, message: expect.stringContaining('failed evaluating policy on signed data during check policy [/Channel/Application/Readers]') });
});
