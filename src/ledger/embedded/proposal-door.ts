/** From the bytes of a signed proposal to a caller who may run it: what a peer checks before it calls the contract. */
import { isCoded } from '#base/errors.ts';
import { headerType } from '../protos/common.ts';
import type { SignedProposal } from '../protos/peer.ts';
import { readProposal, transactionId, type ProposalFacts } from '../transaction.ts';
import type { GatewayFault } from '../transport.ts';
import type { Channel } from './channel.ts';
import { admit, claimedMsp, isDenial, type GatewayParts } from './door.ts';
import { nativeHash } from './hash.ts';
import type { Identity } from './msp.ts';
import type { Peer } from './peer.ts';
import { duplicateSentence, proposalSentence } from './refusal.ts';

export interface Opened {
  readonly channel: Channel;
  readonly proposal: ProposalFacts;
  readonly creator: Identity;
}

/** What every peer asked would say; `gone` as one that does not answer at all. */
export interface ProposalRefusal {
  readonly refused: string;
  readonly gone: boolean;
}

export const isProposalRefusal = (answer: Opened | ProposalRefusal): answer is ProposalRefusal => 'refused' in answer;

/** The parts of a signed proposal, or the fault that `unreadable` makes of it. */
export function openBytes(signed: SignedProposal | undefined, { missing, unreadable }: { readonly missing: string; readonly unreadable: (why: string) => GatewayFault }): ProposalFacts {
  if (signed === undefined || signed.proposalBytes.length === 0) throw unreadable(missing);
  let proposal: ProposalFacts;
  try {
    proposal = readProposal(signed.proposalBytes);
  } catch (error) {
    if (isCoded(error, 'LEDGER_MALFORMED')) throw unreadable(`error unmarshalling Proposal: ${error.message}`);
    throw error;
  }
  const { channelId } = proposal.channelHeader;
  if (channelId === '') throw unreadable('no channel id provided');
  if (proposal.contract === '') throw unreadable(`no chaincode name is provided, channel id [${channelId}]`);
  return proposal;
}

/** Header, transaction id, identity, signature, access rule and whether the id was used: in a peer's order. */
export async function openProposal(parts: GatewayParts, channel: Channel, { proposal, signed }: { readonly proposal: ProposalFacts; readonly signed: SignedProposal }): Promise<Opened | ProposalRefusal> {
  const wrong = headerFault(proposal);
  if (wrong !== undefined) return { refused: `error validating proposal: ${wrong}`, gone: false };
  const answer = await admit(parts, channel, { creator: proposal.signatureHeader.creator, message: signed.proposalBytes, signature: signed.signature, resource: 'peer/Propose' });
  if (isDenial(answer)) return { refused: proposalSentence(answer, { channel: channel.name, policy: channel.view.policyOf('peer/Propose') }), gone: answer.denied === 'expired' };
  const { txId } = proposal.channelHeader;
  if (channel.store.head.transaction(txId) !== undefined) return { refused: duplicateSentence(txId, proposal.signatureHeader.creator), gone: false };
  return { channel, proposal, creator: answer };
}

/** In whose queue a proposal waits until its signature is checked: that of the member it names, or the one of all strangers. */
export function claimedOrg(channel: Channel, { signatureHeader }: ProposalFacts): string {
  const mspId = claimedMsp(signatureHeader.creator);
  return channel.view.members.includes(mspId) ? mspId : '';
}

function headerFault({ channelHeader, signatureHeader, contract, headerContract }: ProposalFacts): string | undefined {
  if (channelHeader.type !== headerType.endorserTransaction) return `invalid header type ${channelHeader.type}`;
  if (channelHeader.epoch !== 0) return 'epoch is non-zero';
  if (signatureHeader.nonce.length === 0) return 'nonce is empty';
  if (signatureHeader.creator.length === 0) return 'creator is empty';
  const expected = transactionId(signatureHeader.nonce, signatureHeader.creator, nativeHash);
  if (channelHeader.txId !== expected) return `incorrectly computed txid '${channelHeader.txId}' -- expected '${expected}'`;
  // A peer runs what the header names and its gateway asks peers for what the input names; here both must be one.
  return contract === headerContract ? undefined : `the header names the chaincode ${headerContract}, the input ${contract}`;
}

/** Peers that may answer, those of `first` (an organisation) before the others; of `wanted` organisations, if any are named. */
export function candidates(channel: Channel, first: string, wanted: readonly string[]): Peer[] {
  const all = [...channel.peers.values()].filter((peer) => (wanted.length === 0 ? channel.view.peers.includes(peer.mspId) : wanted.includes(peer.mspId)));
  return [...all.filter((peer) => peer.mspId === first), ...all.filter((peer) => peer.mspId !== first)];
}
