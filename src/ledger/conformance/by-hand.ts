/** Transactions by hand: endorsed now, sent later or altered, so that a case decides what happens in between. */
import { seededRandom } from '#sim/seams.ts';
import type { Json } from '#base/canonical-json.ts';
import { fromUtf8, utf8 } from '#base/bytes.ts';
import { canonicalJson } from '#base/canonical-json.ts';
import { createHash } from 'node:crypto';
import type { LedgerSigner } from '../client.ts';
import { codeName, type ValidationCodeName } from '../codes.ts';
import { errorOfFault } from '../fault-error.ts';
import { Envelope } from '../protos/common.ts';
import { CommitStatusRequest, CommitStatusResponse, EndorseRequest, EndorseResponse, EvaluateRequest, EvaluateResponse, SignedCommitStatusRequest, SubmitRequest } from '../protos/gateway.ts';
import { newProposal, readAction, readEnvelope, serialiseIdentity } from '../transaction.ts';
import { isGatewayFault } from '../transport.ts';
import type { ChannelName, Harness, SignerName } from './harness.ts';
import type { Step } from './probe.ts';

const random = seededRandom(`by hand ${createHash('sha256').update(String(process.hrtime.bigint())).digest('hex')}`);

export interface Proposed {
  readonly txId: string;
  readonly bytes: Uint8Array;
  readonly signature: Uint8Array;
  readonly signer: LedgerSigner;
}

export interface Outcome {
  readonly code: ValidationCodeName;
  readonly blockNumber: number;
}

export interface Endorsed {
  readonly txId: string;
  readonly output: Json;
  /** Payload of the envelope, to be signed. */
  readonly payload: Uint8Array;
  /** Signs, sends and waits for the verdict. */
  commit(): Promise<Outcome>;
  /** Sends a payload with a signature; does not wait. */
  send(payload: Uint8Array, signature: Uint8Array): Promise<void>;
  /** Waits for the verdict, as the caller or as somebody else. */
  status(options?: { readonly signal?: AbortSignal; readonly as?: LedgerSigner }): Promise<Outcome>;
}

export interface CallByHand {
  readonly who: SignerName;
  readonly channel: ChannelName;
  readonly steps: readonly Step[];
  /** Somebody else than `who` says. */
  readonly signer?: LedgerSigner;
  readonly contract?: string;
  /** MSP ids whose peers shall endorse or evaluate, and no others. */
  readonly at?: readonly string[];
}

export interface ByHand {
  propose(call: CallByHand): Promise<Proposed>;
  /** What a gateway answers to these bytes and this signature. */
  endorse(call: CallByHand, proposed?: Proposed): Promise<Endorsed>;
  evaluate(call: CallByHand, proposed?: Proposed): Promise<Json>;
}

/** Faults as the client reports them. */
async function reported<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw isGatewayFault(error) ? errorOfFault(error) : error;
  }
}

const outputOf = (payload: Uint8Array): Json => (payload.length === 0 ? null : (JSON.parse(fromUtf8(payload)) as Json));

export function byHand(harness: Harness): ByHand {
  const propose: ByHand['propose'] = async ({ who, channel, steps, contract = 'probe', signer = harness.signers[who] }) => {
    const args = [utf8('run'), utf8(canonicalJson(steps as unknown as Json))];
    const { txId, bytes } = newProposal({ channel: harness.channel(channel), contract, args, creator: serialiseIdentity(signer.mspId, signer.certificate), nonce: random.bytes(24), timestamp: harness.now() });
    return { txId, bytes, signature: await signer.sign(bytes), signer };
  };
  return {
    propose,
    async endorse(call, given) {
      const { txId, bytes: proposalBytes, signature, signer } = given ?? (await propose(call));
      const transport = harness.transport(call.who, call.channel);
      const channelId = harness.channel(call.channel);
      const answer = await reported(transport.endorse(EndorseRequest.encode({ transactionId: txId, channelId, proposedTransaction: { proposalBytes, signature }, endorsingOrganizations: call.at ?? [] })));
      const payload = EndorseResponse.decode(answer).preparedTransaction?.payload ?? new Uint8Array(0);
      const send: Endorsed['send'] = async (bytes, signed) => void (await reported(transport.submit(SubmitRequest.encode({ transactionId: txId, channelId, preparedTransaction: { payload: bytes, signature: signed } }))));
      const status: Endorsed['status'] = async ({ signal, as = signer } = {}) => {
        const request = CommitStatusRequest.encode({ transactionId: txId, channelId, identity: serialiseIdentity(as.mspId, as.certificate) });
        const { result, blockNumber } = CommitStatusResponse.decode(await reported(transport.commitStatus(SignedCommitStatusRequest.encode({ request, signature: await as.sign(request) }), signal)));
        return { code: codeName(result), blockNumber };
      };
      const commit = async (): Promise<Outcome> => {
        await send(payload, await signer.sign(payload));
        return status();
      };
      const { response } = readAction(readEnvelope(Envelope.encode({ payload }))).action;
      return { txId, payload, output: outputOf(response?.payload ?? new Uint8Array(0)), commit, send, status };
    },
    async evaluate(call, given) {
      const { txId, bytes: proposalBytes, signature } = given ?? (await propose(call));
      const answer = await reported(harness.transport(call.who, call.channel).evaluate(EvaluateRequest.encode({ transactionId: txId, channelId: harness.channel(call.channel), proposedTransaction: { proposalBytes, signature }, targetOrganizations: call.at ?? [] })));
      return outputOf(EvaluateResponse.decode(answer).result?.payload ?? new Uint8Array(0));
    },
  };
}

