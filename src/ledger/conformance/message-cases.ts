/** Messages that are not what they should be: wrong signatures, altered, cut or repeated envelopes, foreign identities, too much of anything. */
import { expect } from 'vitest';
import { ChaincodeAction, ChaincodeActionPayload, Proposal, ProposalResponsePayload, Transaction } from '../protos/peer.ts';
import { ChannelHeader, Header, Payload } from '../protos/common.ts';
import type { Case } from './case.ts';
import type { CallByHand, Endorsed } from './by-hand.ts';
import type { Runner } from './harness.ts';

const ledgerCode = { code: expect.stringMatching(/^LEDGER_/) };
const denied = { code: 'LEDGER_ACCESS_DENIED' };
const put = (l: Runner, key = l.key()): CallByHand => ({ who: 'a', channel: 'solo', steps: [['put', key, 'x']] });

/** A copy with one bit turned. */
const turned = (bytes: Uint8Array, at = bytes.length - 1): Uint8Array => bytes.map((byte, index) => (index === at ? byte ^ 1 : byte));

/** The endorsed transaction with another answer in it; its endorsements are left as they are. */
function altered({ payload }: Endorsed, change: (action: ReturnType<typeof ChaincodeAction.decode>) => ReturnType<typeof ChaincodeAction.decode>): Uint8Array {
  const outer = Payload.decode(payload);
  const [first] = Transaction.decode(outer.data).actions;
  const action = ChaincodeActionPayload.decode(first?.payload ?? new Uint8Array(0));
  const response = ProposalResponsePayload.decode(action.action?.proposalResponsePayload ?? new Uint8Array(0));
  const proposalResponsePayload = ProposalResponsePayload.encode({ ...response, extension: ChaincodeAction.encode(change(ChaincodeAction.decode(response.extension))) });
  const data = Transaction.encode({ actions: [{ header: first?.header ?? new Uint8Array(0), payload: ChaincodeActionPayload.encode({ ...action, action: { endorsements: action.action?.endorsements ?? [], proposalResponsePayload } }) }] });
  return Payload.encode({ ...outer, data });
}

/** A proposal whose header says something else than it was made with, signed as it now is. */
async function reheaded(l: Runner, call: CallByHand, change: (header: ReturnType<typeof ChannelHeader.decode>) => ReturnType<typeof ChannelHeader.decode>): Promise<Awaited<ReturnType<Runner['hand']['propose']>>> {
  const proposed = await l.hand.propose(call);
  const proposal = Proposal.decode(proposed.bytes);
  const header = Header.decode(proposal.header);
  const bytes = Proposal.encode({ ...proposal, header: Header.encode({ ...header, channelHeader: ChannelHeader.encode(change(ChannelHeader.decode(header.channelHeader))) }) });
  return { ...proposed, bytes, signature: await proposed.signer.sign(bytes) };
}

export const messageCases: readonly Case[] = [
  {
    rule: 'a proposal whose signature is wrong is refused', fabric: 'source',
    run: async (l) => {
      const proposed = await l.hand.propose(put(l));
      const other = await l.signers.a.sign(turned(proposed.bytes));
      await expect(l.hand.endorse(put(l), { ...proposed, signature: other })).rejects.toMatchObject(denied);
      await expect(l.hand.evaluate(put(l), { ...proposed, signature: other })).rejects.toMatchObject(denied);
    },
  },
  { rule: 'and one without any', fabric: 'source', run: async (l) => { const proposed = await l.hand.propose(put(l)); await expect(l.hand.endorse(put(l), { ...proposed, signature: new Uint8Array(0) })).rejects.toMatchObject(ledgerCode); } },
  { rule: 'and one signed by somebody else', fabric: 'source', run: async (l) => { const proposed = await l.hand.propose(put(l)); await expect(l.hand.endorse(put(l), { ...proposed, signature: await l.signers.adminA.sign(proposed.bytes) })).rejects.toMatchObject(denied); } },
  { rule: 'a certificate of one organisation under the name of another is refused', fabric: 'observed', run: async (l) => expect(l.hand.evaluate({ ...put(l), signer: { ...l.signers.b, mspId: l.msp.a } })).rejects.toMatchObject(denied) },
  { rule: 'an organisation that nobody knows is refused', fabric: 'observed', run: async (l) => expect(l.hand.evaluate({ ...put(l), signer: { ...l.signers.a, mspId: 'NobodyMSP' } })).rejects.toMatchObject(denied) },
  { rule: 'a caller whose certificate is none is refused', fabric: 'source', run: async (l) => expect(l.hand.evaluate({ ...put(l), signer: { ...l.signers.a, certificate: 'no certificate' } })).rejects.toMatchObject(ledgerCode) },
  { rule: 'a transaction id that is not made of nonce and caller is refused', fabric: 'source', run: async (l) => { const call = put(l); await expect(l.hand.endorse(call, await reheaded(l, call, (header) => ({ ...header, txId: 'f'.repeat(64) })))).rejects.toMatchObject(ledgerCode); } },
  { rule: 'a header of another type than a transaction is refused', fabric: 'source', run: async (l) => { const call = put(l); await expect(l.hand.endorse(call, await reheaded(l, call, (header) => ({ ...header, type: 2 })))).rejects.toMatchObject(ledgerCode); } },
  { rule: 'a header that names a channel which is not there is refused', fabric: 'source', run: async (l) => { const call = put(l); await expect(l.hand.endorse(call, await reheaded(l, call, (header) => ({ ...header, channelId: 'nowhere' })))).rejects.toMatchObject(ledgerCode); } },
  { rule: 'a header that names another contract than is called is refused', fabric: 'source', run: async (l) => { const call = put(l); const helper = await l.hand.propose({ ...call, contract: 'helper' }); const extension = ChannelHeader.decode(Header.decode(Proposal.decode(helper.bytes).header).channelHeader).extension; await expect(l.hand.endorse(call, await reheaded(l, call, (header) => ({ ...header, extension })))).rejects.toMatchObject(ledgerCode); } },
  {
    rule: 'a proposal that is cut off, or noise, is refused without harm', fabric: 'source',
    run: async (l) => {
      const call = put(l);
      const proposed = await l.hand.propose(call);
      for (const bytes of [proposed.bytes.subarray(0, proposed.bytes.length - 7), proposed.bytes.subarray(0, 9), new Uint8Array(0), new Uint8Array(64).fill(0xff)]) await expect(l.hand.endorse(call, { ...proposed, bytes, signature: await proposed.signer.sign(bytes) })).rejects.toMatchObject(ledgerCode);
      expect(await l.evaluate('a', 'solo', [['get', l.key()]])).toEqual(['']);
    },
  },
  {
    rule: 'an envelope signed by nobody, or by somebody else, is not ordered', fabric: 'source',
    run: async (l) => {
      const key = l.key();
      const endorsed = await l.hand.endorse(put(l, key));
      await expect(endorsed.send(endorsed.payload, new Uint8Array(0))).rejects.toMatchObject(ledgerCode);
      await expect(endorsed.send(endorsed.payload, await l.signers.b.sign(endorsed.payload))).rejects.toMatchObject(ledgerCode);
      expect(await l.evaluate('a', 'solo', [['get', key]])).toEqual(['']);
    },
  },
  { rule: 'an envelope changed after it was signed is not ordered', fabric: 'source', run: async (l) => { const endorsed = await l.hand.endorse(put(l)); await expect(endorsed.send(turned(endorsed.payload), await l.signers.a.sign(endorsed.payload))).rejects.toMatchObject(ledgerCode); } },
  { rule: 'an envelope that is cut off is not ordered', fabric: 'source', run: async (l) => { const endorsed = await l.hand.endorse(put(l)); const cut = endorsed.payload.subarray(0, 40); await expect(endorsed.send(cut, await l.signers.a.sign(cut))).rejects.toMatchObject(ledgerCode); } },
  {
    rule: 'a result changed after it was endorsed, and signed anew by its caller, is judged invalid', fabric: 'source',
    run: async (l) => {
      const key = l.key();
      const endorsed = await l.hand.endorse(put(l, key));
      const payload = altered(endorsed, (action) => ({ ...action, response: { status: 200, message: 'forged', payload: new Uint8Array(0) } }));
      await endorsed.send(payload, await l.signers.a.sign(payload));
      expect((await endorsed.status()).code).toBe('ENDORSEMENT_POLICY_FAILURE');
      expect(await l.evaluate('a', 'solo', [['get', key]])).toEqual(['']);
    },
  },
  {
    rule: 'the same envelope sent again changes nothing, and its status stays that of the first', fabric: 'observed',
    run: async (l) => {
      const key = l.key('again');
      const endorsed = await l.hand.endorse({ who: 'a', channel: 'solo', steps: [['put', key, 'once'], ['event', key, 'once']] });
      const signature = await l.signers.a.sign(endorsed.payload);
      await endorsed.send(endorsed.payload, signature);
      const first = await endorsed.status();
      await endorsed.send(endorsed.payload, signature).catch((error: unknown) => expect(error).toMatchObject(ledgerCode));
      await l.submit('a', 'solo', [['put', l.key(), 'after']]);
      expect([first.code, await endorsed.status()]).toEqual(['VALID', first]);
      expect(await l.evaluate('a', 'solo', [['history', key]])).toEqual([[['once', false, 64]]]);
    },
  },
  {
    rule: 'a proposal that was committed is not endorsed again', fabric: 'observed',
    run: async (l) => {
      const call = put(l);
      const proposed = await l.hand.propose(call);
      await (await l.hand.endorse(call, proposed)).commit();
      await expect(l.hand.endorse(call, proposed)).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED', details: { why: expect.stringContaining('duplicate transaction found') } });
    },
  },
  { rule: 'the status of a transaction that never came is waited for until the caller gives up', fabric: 'documented', run: async (l) => { const endorsed = await l.hand.endorse(put(l)); await expect(endorsed.status({ signal: AbortSignal.timeout(150) })).rejects.toMatchObject(ledgerCode); } },
  {
    rule: 'an organisation may be asked by name, and one that is not on the channel may not', fabric: 'source',
    run: async (l) => {
      const key = l.key();
      await l.submit('a', 'either', [['put', key, 'x']]);
      expect(await l.sees('b', 'either', [['get', key]], ['x'])).toEqual(['x']);
      expect(await l.hand.evaluate({ who: 'a', channel: 'either', steps: [['get', key]], at: [l.msp.b] })).toEqual(['x']);
      await expect(l.hand.endorse({ who: 'a', channel: 'either', steps: [['put', key, 'y']], at: [l.msp.c] })).rejects.toMatchObject(ledgerCode);
    },
  },
  { rule: 'a transaction larger than a block may be is refused', fabric: 'documented', run: async (l) => expect(l.submit('a', 'solo', [['putLong', l.key(), 11 * 1024 * 1024]])).rejects.toMatchObject(ledgerCode) },
  { rule: 'an answer of status 300 commits, one of 400 does not', fabric: 'source', run: async (l) => { const call = { channel: l.channel('solo'), contract: 'probe', name: 'status', signer: l.signers.a }; expect(await l.client.submit({ ...call, input: 302 })).toMatchObject({ output: null }); await expect(l.client.submit({ ...call, input: 400 })).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED' }); } },
  { rule: 'what a contract says when it refuses arrives letter by letter', fabric: 'observed', run: async (l) => expect(l.evaluate('a', 'solo', [['fail', 'Größe ✓ "quoted" \\ 😀']])).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED', details: { why: expect.stringContaining('Größe ✓ "quoted" \\ 😀') } }) },
  { rule: 'what a caller says arrives letter by letter', fabric: 'observed', run: async (l) => expect(await l.evaluate('a', 'solo', [['echo', 'Größe ✓\u0000\u2028 😀']])).toEqual(['Größe ✓\u0000\u2028 😀']) },
  { rule: 'transient values are bytes, and those that are not there are none', fabric: 'observed', run: async (l) => expect(await l.evaluate('a', 'solo', [['transient', 'x'], ['transient', 'y']], { x: 'ü\u0000' })).toEqual(['ü\u0000', '']) },
];
