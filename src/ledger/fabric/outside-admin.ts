/**
 * The operators' part of a ledger that runs elsewhere: a Fabric network, or an embedded ledger in another process. It uses
 * what every member may use: `cscc` for the configuration in force, the Deliver service for blocks, and the Gateway's
 * Submit, which hands a signed configuration update to the orderers as it hands them a transaction.
 */
import { utf8 } from '#base/bytes.ts';
import { CodedError, isCoded } from '#base/errors.ts';
import type { Clock, Random, Scheduler } from '#base/ports.ts';
import type { ChainFacts, LedgerAdmin, MemberAddition } from '../admin.ts';
import type { LedgerClient, LedgerSigner } from '../client.ts';
import { checkDelivered } from '../embedded/chain-check.ts';
import { viewOf, type ChannelView } from '../embedded/channel-config.ts';
import { memberChange, revocationChange, type ConfigSets } from '../embedded/config-change.ts';
import { signUpdate } from '../embedded/config-update.ts';
import { errorOfFault } from '../fault-error.ts';
import { readBlock } from '../block.ts';
import { ChannelHeader, Envelope, Header, headerType, Payload, SignatureHeader } from '../protos/common.ts';
import { Config } from '../protos/config.ts';
import { DeliverResponseBytes, deliverStatus, EvaluateRequest, EvaluateResponse, SeekInfo, SubmitRequest } from '../protos/gateway.ts';
import { newProposal, serialiseIdentity, timestampOf, transactionId } from '../transaction.ts';
import { isGatewayFault, type GatewayTransport } from '../transport.ts';
import { memberGroup } from './fabric-genesis.ts';

export interface OutsideAdminOptions {
  readonly channels: readonly string[];
  /** The connection through which an organisation reaches a channel. */
  readonly transportOf: (channel: string, mspId: string) => GatewayTransport;
  /** Somebody who may read whole blocks of the channel (a peer or administrator of an organisation with a peer there), and its client. */
  readonly readerOf: (channel: string) => { readonly signer: LedgerSigner; readonly client: LedgerClient };
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
}

const APPLY_POLLS = 200;
const APPLY_PAUSE_MS = 100;
const ATTEMPTS = 5;

/** See `LedgerAdmin` for what each method promises. */
export function createOutsideAdmin(options: OutsideAdminOptions): LedgerAdmin {
  return {
    channels: () => options.channels,
    height: (channel) => heightOf(options, channel),
    verifyChain: (channel) => verifyChain(options, channel),
    updateCrl: ({ channel, mspId, crl, signer }) => changeConfig(options, { channel, signers: [signer], change: (view) => revocationChange(view, mspId, crl) }),
    addOrganisation: (change) => changeConfig(options, { channel: change.channel, signers: change.signers, change: (view) => additionTo(view, change) }),
  };
}

async function translating<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw isGatewayFault(error) ? errorOfFault(error) : error;
  }
}

/** The configuration in force, as a member's peer has it. */
export async function readConfig({ transportOf, clock, random }: OutsideAdminOptions, channel: string, signer: LedgerSigner): Promise<Config> {
  const { txId, bytes: proposalBytes } = newProposal({
    channel, contract: 'cscc', args: [utf8('GetChannelConfig'), utf8(channel)], creator: serialiseIdentity(signer.mspId, signer.certificate), nonce: random.bytes(24), timestamp: clock.now(),
  });
  const signature = await signer.sign(proposalBytes);
  const answer = await translating(() => transportOf(channel, signer.mspId).evaluate(EvaluateRequest.encode({ transactionId: txId, channelId: channel, proposedTransaction: { proposalBytes, signature } })));
  return Config.decode(EvaluateResponse.decode(answer).result?.payload ?? new Uint8Array(0));
}

function additionTo(view: ChannelView, { network, ...member }: MemberAddition): ConfigSets | undefined {
  const sets = memberChange(view, member);
  if (sets === undefined) return undefined;
  const { readSet, writeSet } = sets;
  const application = writeSet.groups.get('Application');
  const group = application?.groups.get(member.mspId);
  if (network === undefined || application === undefined || group === undefined) return { readSet, writeSet };
  const groups = new Map([...application.groups, [member.mspId, memberGroup(group, network)]]);
  return { readSet, writeSet: { ...writeSet, groups: new Map([['Application', { ...application, groups }]]) } };
}

export interface ConfigChange {
  readonly channel: string;
  /** Every signer signs; the first hands the update in. */
  readonly signers: readonly LedgerSigner[];
  /** What to change on the configuration in force; undefined when it is so already. */
  readonly change: (view: ChannelView) => ConfigSets | undefined;
}

/** Signs and submits a change and waits until it is in force. Another change in between means: once more, on the newer one. Throws LEDGER_CONFIG_REFUSED. */
export async function changeConfig(options: OutsideAdminOptions, { channel, signers, change }: ConfigChange): Promise<void> {
  const [first] = signers;
  if (first === undefined) throw new CodedError('LEDGER_CONFIG_REFUSED', 'Nobody signs the change of the channel configuration.', { next: 'Give the operators who sign.', channel });
  for (let attempt = 1; ; attempt++) {
    const before = await readConfig(options, channel, first);
    const sets = change(viewOf(before));
    if (sets === undefined) return;
    const update = await signUpdate({ ...sets, channel, signers, now: options.clock.now(), random: options.random });
    const { payload, signature } = Envelope.decode(update);
    try {
      await translating(() => options.transportOf(channel, first.mspId).submit(SubmitRequest.encode({ channelId: channel, preparedTransaction: { payload, signature } })));
      if (await applied(options, { channel, signer: first, sequence: before.sequence })) continue;
    } catch (error) {
      const overtaken = (await readConfig(options, channel, first)).sequence !== before.sequence;
      if (!overtaken || attempt === ATTEMPTS) throw refusal(error, channel);
      continue;
    }
    throw new CodedError('LEDGER_OUTCOME_UNKNOWN', 'The change of the configuration was sent, but did not show in time.', { next: 'Look at the configuration of the channel before sending it again.', channel });
  }
}

/** Fabric's orderer answers BAD_REQUEST with a sentence; the embedded ledger answers with our own error. */
function refusal(error: unknown, channel: string): unknown {
  if (!isCoded(error, 'LEDGER_ENDORSEMENT_FAILED')) return error;
  return new CodedError('LEDGER_CONFIG_REFUSED', 'The change of the channel configuration was refused.', { why: String(error.details['why'] ?? error.message), next: 'Sign it with operators of the organisations whose policy it touches, on the newest configuration.', channel }, { cause: error });
}

async function applied(options: OutsideAdminOptions, { channel, signer, sequence }: { readonly channel: string; readonly signer: LedgerSigner; readonly sequence: number }): Promise<boolean> {
  for (let poll = 0; poll < APPLY_POLLS; poll++) {
    if ((await readConfig(options, channel, signer)).sequence > sequence) return true;
    await options.scheduler.sleep(APPLY_PAUSE_MS);
  }
  return false;
}

/** The newest block tells the height. */
async function heightOf(options: OutsideAdminOptions, channel: string): Promise<number> {
  const { signer } = options.readerOf(channel);
  const creator = serialiseIdentity(signer.mspId, signer.certificate);
  const nonce = options.random.bytes(24);
  const channelHeader = ChannelHeader.encode({ type: headerType.deliverSeekInfo, timestamp: timestampOf(options.clock.now()), channelId: channel, txId: transactionId(nonce, creator) });
  const header = Header.decode(Header.encode({ channelHeader, signatureHeader: SignatureHeader.encode({ creator, nonce }) }));
  const payload = Payload.encode({ header, data: SeekInfo.encode({ start: { newest: {} }, stop: { newest: {} } }) });
  const request = Envelope.encode({ payload, signature: await signer.sign(payload) });
  return translating(async () => {
    for await (const answer of options.transportOf(channel, signer.mspId).deliver(request)) {
      const { status, block } = DeliverResponseBytes.decode(answer);
      if (status === undefined) return readBlock(block).number + 1;
      if (status === deliverStatus.forbidden) throw new CodedError('LEDGER_ACCESS_DENIED', 'The ledger does not give whole blocks to this certificate.', { next: "Use the organisation's peer or operator certificate.", channel });
      throw new CodedError('LEDGER_CHANNEL_UNKNOWN', 'There is no such channel on this ledger.', { why: `The ledger answered ${status}.`, next: 'Check the name of the channel and the address of the ledger.', channel });
    }
    throw new CodedError('LEDGER_STREAM_ENDED', 'The ledger ended the stream of blocks before the first one.', { next: 'Try again.', channel });
  });
}

/** All blocks are held in memory while they are checked: for a demo or a pilot, not for years of a busy channel. */
async function verifyChain(options: OutsideAdminOptions, channel: string): Promise<ChainFacts> {
  const height = await heightOf(options, channel);
  const { signer, client } = options.readerOf(channel);
  const stop = new AbortController();
  const blocks: Uint8Array[] = [];
  for await (const block of client.blocks({ channel, startBlock: 0, signer, signal: stop.signal })) {
    blocks.push(new Uint8Array(block.bytes));
    if (block.number + 1 >= height) break;
  }
  stop.abort();
  return checkDelivered(channel, blocks);
}
