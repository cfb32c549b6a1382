/** What Fabric's own client can do with a transaction: every call of its API, signed online and step by step offline. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sign } from 'node:crypto';
import { common, gateway as protos, peer } from '@hyperledger/fabric-protos';
import { hash, type Gateway } from '@hyperledger/fabric-gateway';
import type { TestIdentity } from '../consortium.test-kit.ts';
import { withLowS } from '../low-s.ts';
import { keyOf, serveTestNetwork, signerOf, steps, text, type Served } from './fabric-client.test-kit.ts';

let served: Served;
let a: TestIdentity;
let b: TestIdentity;

beforeAll(async () => {
  served = await serveTestNetwork();
  a = served.network.orgs.a.client;
  b = served.network.orgs.b.client;
});
afterAll(() => served.close());

describe('online', () => {
  it('evaluates and submits, by both forms of the call', async () => {
    const contract = served.probe(a);
    expect(text(await contract.submitTransaction('run', steps(['put', 'short', '1']))).toString()).toBe('[null]');
    expect(text(await contract.submit('run', { arguments: [Buffer.from(steps(['add', 'short', 4]))] }))).toBe('[5]');
    expect(text(await contract.evaluateTransaction('run', steps(['get', 'short'])))).toBe('["5"]');
    expect(text(await contract.evaluate('run', { arguments: [steps(['get', 'short'])] }))).toBe('["5"]');
    expect([contract.getChaincodeName(), contract.getContractName()]).toEqual(['probe', undefined]);
  });

  it('a named contract inside the chaincode arrives with its name', async () => {
    const contract = served.channel(a).getContract('probe', 'inner');
    await expect(contract.evaluateTransaction('run', steps(['get', 'x']))).rejects.toMatchObject({ details: [{ message: expect.stringContaining('"name":"inner:run"') }] });
  });

  it('evaluation writes nothing', async () => {
    const height = served.network.ledger.height('solo');
    expect(text(await served.probe(a).evaluateTransaction('run', steps(['put', 'never', 'x'])))).toBe('[null]');
    expect(served.network.ledger.height('solo')).toBe(height);
  });

  it('submitAsync answers at once with the result, then with the status', async () => {
    const commit = await served.probe(a).submitAsync('run', { arguments: [steps(['put', 'async', 'x'], ['txId'])] });
    expect(JSON.parse(text(commit.getResult()))).toEqual([null, commit.getTransactionId()]);
    const status = await commit.getStatus();
    expect(status).toMatchObject({ successful: true, code: 0, transactionId: commit.getTransactionId() });
    expect(Number(status.blockNumber)).toBe(served.network.ledger.height('solo') - 1);
    expect(await commit.getStatus()).toEqual(status);
  });

  it('proposal, endorsed transaction and commit know their id and result', async () => {
    const proposal = served.probe(a).newProposal('run', { arguments: [steps(['put', 'flow', 'x'], ['txId'])] });
    const transaction = await proposal.endorse();
    expect(transaction.getTransactionId()).toBe(proposal.getTransactionId());
    expect(JSON.parse(text(transaction.getResult()))).toEqual([null, proposal.getTransactionId()]);
    const commit = await transaction.submit();
    expect(commit.getTransactionId()).toBe(proposal.getTransactionId());
    expect((await commit.getStatus()).successful).toBe(true);
  });

  it('transient data reaches the contract and no block', async () => {
    const contract = served.probe(a, 'either');
    const secret = 'transient-canary-51a0';
    expect(text(await contract.submit('run', { arguments: [steps(['putPrivate', 'mine', 'k', 'word'], ['transient', 'word'])], transientData: { word: secret }, endorsingOrganizations: ['OrgA'] }))).toBe(JSON.stringify([null, secret]));
    const blocks = await served.enter(served.network.orgs.a.peer).getNetwork('either').getBlockEvents({ startBlock: BigInt(served.network.ledger.height('either') - 1) });
    for await (const block of blocks) {
      const written = Buffer.from(block.serializeBinary()).toString('latin1');
      // The transaction's own result says it, because it was asked to; nothing else does.
      expect(written.split(secret)).toHaveLength(2);
      break;
    }
    blocks.close();
  });

  it('endorsing organisations are those that were named, no more and no less', async () => {
    const endorsers = async (channel: string, endorsingOrganizations?: string[]): Promise<string[]> => {
      const proposal = served.probe(a, channel).newProposal('run', { arguments: [steps(['put', 'who', 'x'])], ...(endorsingOrganizations === undefined ? {} : { endorsingOrganizations }) });
      const prepared = protos.PreparedTransaction.deserializeBinary((await proposal.endorse()).getBytes());
      const payload = common.Payload.deserializeBinary(prepared.getEnvelope()?.getPayload_asU8() ?? new Uint8Array(0));
      const [action] = peer.Transaction.deserializeBinary(payload.getData_asU8()).getActionsList();
      return peer.ChaincodeActionPayload.deserializeBinary(action?.getPayload_asU8() ?? new Uint8Array(0)).getAction()?.getEndorsementsList().map((one) => Buffer.from(one.getEndorser_asU8()).toString('latin1').slice(2, 6)) ?? [];
    };
    expect(await endorsers('either')).toEqual(['OrgA']);
    expect(await endorsers('either', ['OrgB'])).toEqual(['OrgB']);
    expect((await endorsers('either', ['OrgA', 'OrgB'])).sort()).toEqual(['OrgA', 'OrgB']);
    expect((await endorsers('pair')).sort()).toEqual(['OrgA', 'OrgB']);
    expect(await endorsers('pair', ['OrgB'])).toEqual(['OrgB']);
  });

  it('a target organisation answers an evaluation: only members have the private value', async () => {
    const contract = served.probe(a, 'either');
    await contract.submit('run', { arguments: [steps(['putPrivate', 'mine', 'target', 'word'])], transientData: { word: 'for A' }, endorsingOrganizations: ['OrgA'] });
    expect(text(await contract.evaluate('run', { arguments: [steps(['getPrivate', 'mine', 'target'])], endorsingOrganizations: ['OrgA'] }))).toBe('["for A"]');
    await expect(contract.evaluate('run', { arguments: [steps(['getPrivate', 'mine', 'target'])], endorsingOrganizations: ['OrgB'] })).rejects.toMatchObject({ code: 2, details: [{ mspId: 'OrgB', message: expect.stringContaining('private data matching public hash version is not available') }] });
  });

  it('other hash and signer: the message itself is signed by Node', async () => {
    const native = served.enter(a, { hash: hash.none, signer: (message) => Promise.resolve(withLowS(sign('sha256', message, keyOf(a)))) });
    expect(text(await native.getNetwork('solo').getContract('probe').submitTransaction('run', steps(['put', 'native', 'x'])))).toBe('[null]');
  });

  it('several clients of several organisations share one connection', async () => {
    const answers = await Promise.all([a, b].flatMap((who) => [1, 2, 3].map((n) => served.probe(who, 'either').submitTransaction('run', steps(['put', `shared-${who.mspId}-${n}`, 'x'], ['caller'])))));
    expect(answers.map((answer) => (JSON.parse(text(answer)) as string[][])[1]?.[0])).toEqual(['OrgA', 'OrgA', 'OrgA', 'OrgB', 'OrgB', 'OrgB']);
  });

  it('closing the gateway leaves the connection to others', async () => {
    const gateway = served.enter(a);
    await gateway.getNetwork('solo').getContract('probe').evaluateTransaction('run', steps(['get', 'x']));
    gateway.close();
    expect(text(await served.probe(a).evaluateTransaction('run', steps(['txId'])))).toHaveLength(68);
    expect(text(gateway.getIdentity().credentials)).toBe(a.certificate);
  });
});

describe('offline signing', () => {
  /** A gateway that cannot sign, and the keyholder elsewhere, who sees digests only. */
  let gateway: Gateway;
  let keyholder: (digest: Uint8Array) => Promise<Uint8Array>;
  beforeAll(() => {
    gateway = served.enter(a, { signer: undefined as never });
    keyholder = signerOf(a);
  });

  it('needs a signer only where one is used', async () => {
    await expect(gateway.getNetwork('solo').getContract('probe').evaluateTransaction('run', steps(['get', 'x']))).rejects.toThrow();
  });

  it('every step of a submission is signed away from the gateway and built anew from its bytes', async () => {
    const unsigned = gateway.getNetwork('solo').getContract('probe').newProposal('run', { arguments: [steps(['put', 'offline', 'signed'])] });
    const proposal = gateway.newSignedProposal(unsigned.getBytes(), await keyholder(unsigned.getDigest()));
    expect(proposal.getTransactionId()).toBe(unsigned.getTransactionId());
    const endorsed = await proposal.endorse();
    const transaction = gateway.newSignedTransaction(endorsed.getBytes(), await keyholder(endorsed.getDigest()));
    expect(text(transaction.getResult())).toBe('[null]');
    const sent = await transaction.submit();
    const commit = gateway.newSignedCommit(sent.getBytes(), await keyholder(sent.getDigest()));
    expect(await commit.getStatus()).toMatchObject({ successful: true, transactionId: unsigned.getTransactionId() });
    expect(text(await served.probe(a).evaluateTransaction('run', steps(['get', 'offline'])))).toBe('["signed"]');
  });

  it('and of an evaluation', async () => {
    const unsigned = gateway.getNetwork('solo').getContract('probe').newProposal('run', { arguments: [steps(['get', 'offline'])] });
    expect(text(await gateway.newSignedProposal(unsigned.getBytes(), await keyholder(unsigned.getDigest())).evaluate())).toBe('["signed"]');
  });

  it('bytes of every step can be carried elsewhere and signed there by a gateway with a key', async () => {
    const elsewhere = served.enter(a);
    const proposal = elsewhere.newProposal(gateway.getNetwork('solo').getContract('probe').newProposal('run', { arguments: [steps(['put', 'carried', 'x'])] }).getBytes());
    const transaction = elsewhere.newTransaction((await proposal.endorse()).getBytes());
    const commit = elsewhere.newCommit((await transaction.submit()).getBytes());
    expect((await commit.getStatus()).code).toBe(0);
  });

  it.each<readonly [string, (digest: Uint8Array) => Promise<Uint8Array>, number]>([
    ['another member\'s key', (digest) => signerOf(served.network.orgs.a.admin)(digest), 10],
    ['nothing at all', () => Promise.resolve(new Uint8Array([0])), 10],
  ])('a proposal signed with %s is refused by the peer', async (_name, wrong, code) => {
    const unsigned = gateway.getNetwork('solo').getContract('probe').newProposal('run', { arguments: [steps(['put', 'forged', 'x'])] });
    const forged = gateway.newSignedProposal(unsigned.getBytes(), await wrong(unsigned.getDigest()));
    await expect(forged.endorse()).rejects.toMatchObject({ name: 'EndorseError', code, transactionId: unsigned.getTransactionId(), details: [{ mspId: 'OrgA', message: expect.stringContaining('error validating proposal: access denied: channel [solo] creator org [OrgA]') }] });
  });

  it('a transaction signed with another key is refused by the orderer, a question by the peer', async () => {
    const proposal = served.probe(a).newProposal('run', { arguments: [steps(['put', 'forged', 'x'])] });
    const endorsed = await proposal.endorse();
    const other = signerOf(served.network.orgs.a.admin);
    await expect(gateway.newSignedTransaction(endorsed.getBytes(), await other(endorsed.getDigest())).submit()).rejects.toMatchObject({ name: 'SubmitError', code: 10, transactionId: proposal.getTransactionId(), message: expect.stringContaining('received unsuccessful response from orderer: status=FORBIDDEN') });
    const sent = await endorsed.submit();
    await expect(gateway.newSignedCommit(sent.getBytes(), await other(sent.getDigest())).getStatus()).rejects.toMatchObject({ name: 'CommitStatusError', code: 7, transactionId: proposal.getTransactionId() });
    expect((await sent.getStatus()).successful).toBe(true);
  });
});
