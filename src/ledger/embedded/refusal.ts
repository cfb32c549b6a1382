/**
 * Refusals with the codes and sentences of a Fabric peer's gateway (`internal/pkg/gateway`, `core/endorser`, release 2.5),
 * because clients know them. Where a peer keeps the reason in its log, ours follows the sentence after a colon.
 */
import { toHex } from '#base/bytes.ts';
import { GatewayFault, grpcCode, type GrpcCode, type PeerRefusal } from '../transport.ts';

/** Why the door stays shut: the organisation or its chain is unknown, the identity or signature is no good, its time is over, or its role is not enough. */
export interface Denial {
  readonly denied: 'unknown' | 'invalid' | 'expired' | 'policy';
  readonly mspId: string;
  readonly why: string;
}

export const addressOf = (mspId: string): string => `peer.${mspId.toLowerCase()}:7051`;
export const refusalOf = (mspId: string, message: string): PeerRefusal => ({ address: addressOf(mspId), mspId, message });

/** A fault that carries a coded error whole. */
export const codedFault = (code: GrpcCode, body: { readonly code: string; readonly message: string; readonly details?: Readonly<Record<string, unknown>> }): GatewayFault => new GatewayFault(code, JSON.stringify({ details: {}, ...body }));

/** The sentence of Fabric's access check over signed data, whatever failed inside it. */
export function policySentence(policy: string, why: string): string {
  const name = policy.split('/').at(-1) ?? policy;
  return `failed evaluating policy on signed data during check policy [${policy}]: [implicit policy evaluation failed - 0 sub-policies were satisfied, but this policy requires 1 of the '${name}' sub-policies to be satisfied]: ${why}`;
}

/** What a peer answers to a proposal of somebody it refuses. */
export function proposalSentence(denial: Denial, { channel, policy }: { readonly channel: string; readonly policy: string }): string {
  if (denial.denied === 'expired') return `proposal client identity expired: ${denial.why}`;
  if (denial.denied === 'policy') return policySentence(policy, denial.why);
  const who = denial.denied === 'unknown' ? 'creator org unknown, creator is malformed' : `creator org [${denial.mspId}]`;
  return `error validating proposal: access denied: channel [${channel}] ${who}: ${denial.why}`;
}

export const duplicateSentence = (txId: string, creator: Uint8Array): string => `duplicate transaction found [${txId}]. Creator [${toHex(creator)}]`;

export const evaluateFault = {
  unreadable: (why: string): GatewayFault => new GatewayFault(grpcCode.invalidArgument, `failed to unpack transaction proposal: ${why}`),
  noChannel: (channel: string): GatewayFault => new GatewayFault(grpcCode.unavailable, `failed to get config for channel [${channel}]: could not get last config for channel ${channel}`),
  noPeers: (contract: string, channel: string): GatewayFault => new GatewayFault(grpcCode.failedPrecondition, `no peers available to evaluate chaincode ${contract} in channel ${channel}`),
  /** The peer refused the caller: no other peer would think otherwise. */
  refused: (refusal: PeerRefusal): GatewayFault => new GatewayFault(grpcCode.failedPrecondition, `evaluate call to endorser returned error: ${refusal.message}`, [refusal]),
  /** A peer that answers nothing counts as gone; when none is left, this is said. */
  noneLeft: (refusal: PeerRefusal): GatewayFault => new GatewayFault(grpcCode.unavailable, 'failed to evaluate transaction, see attached details for more info', [refusal]),
  contract: (refusal: PeerRefusal): GatewayFault => new GatewayFault(grpcCode.unknown, `evaluate call to endorser returned error: ${refusal.message}`, [refusal]),
} as const;

export const endorseFault = {
  unreadable: (why: string): GatewayFault => new GatewayFault(grpcCode.invalidArgument, why),
  /** The gateway's discovery knows neither the channel nor the contract on it: the sentence is the same. */
  noMetadata: (contract: string, channel: string): GatewayFault => noPlan(`No metadata was found for chaincode ${contract} in channel ${channel}`),
  noCombination: (): GatewayFault => noPlan('no peer combination can satisfy the endorsement policy'),
  noOrgs: (orgs: readonly string[]): GatewayFault => new GatewayFault(grpcCode.unavailable, `failed to find any endorsing peers for org(s): ${orgs.join(', ')}`),
  first: (refusals: readonly PeerRefusal[]): GatewayFault => new GatewayFault(grpcCode.aborted, 'failed to endorse transaction, see attached details for more info', refusals),
  further: (refusals: readonly PeerRefusal[]): GatewayFault => new GatewayFault(grpcCode.aborted, 'failed to collect enough transaction endorsements, see attached details for more info', refusals),
} as const;

function noPlan(why: string): GatewayFault {
  return new GatewayFault(grpcCode.failedPrecondition, `no combination of peers can be derived which satisfy the endorsement policy: ${why}`);
}

/** What the orderer said to a transaction it did not take (`common.Status` names). */
export const ordererFault = (status: 'FORBIDDEN' | 'BAD_REQUEST', info: string): GatewayFault => new GatewayFault(grpcCode.aborted, `received unsuccessful response from orderer: status=${status}, info=${info}`);
