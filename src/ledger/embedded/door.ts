/** Who may come in: signature, membership, life of the certificate and the channel's access rules, before anything runs. */
import type { Clock } from '#base/ports.ts';
import { isCoded } from '#base/errors.ts';
import { SerializedIdentity } from '../protos/common.ts';
import { GatewayFault, grpcCode } from '../transport.ts';
import type { Channel, CommittedTransaction } from './channel.ts';
import type { Resource } from './channel-config.ts';
import { isRefusal, type Identity, type Refusal } from './msp.ts';
import { verifyNative } from './native-signer.ts';
import { policySentence, type Denial } from './refusal.ts';

export interface GatewayParts {
  channelOf(name: string): Channel | undefined;
  /** Orders and commits a signed update of a channel's configuration. */
  updateConfig(channel: Channel, update: Uint8Array): Promise<CommittedTransaction>;
  readonly clock: Clock;
}

export interface Claim {
  readonly creator: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
  readonly resource: Resource;
}

export const isDenial = (answer: Identity | Denial): answer is Denial => 'denied' in answer;

export const closing = (): GatewayFault => new GatewayFault(grpcCode.unavailable, 'the ledger is closing');

/** Who signed `message`, when they may use the resource. */
export async function admit(parts: GatewayParts, channel: Channel, claim: Claim): Promise<Identity | Denial> {
  const identity = identify(channel, claim.creator);
  if (isRefusal(identity)) return refusedIdentity(claim.creator, identity, channel);
  const { mspId, certificate } = identity;
  const now = parts.clock.now();
  if (now > certificate.notAfter) return { denied: 'expired', mspId, why: `the certificate ended at ${new Date(certificate.notAfter).toISOString()}` };
  if (now < certificate.notBefore) return { denied: 'invalid', mspId, why: `the certificate begins at ${new Date(certificate.notBefore).toISOString()}` };
  if (!(await verifyNative(identity.key, claim.message, claim.signature))) return { denied: 'invalid', mspId, why: 'the signature is invalid' };
  if (!channel.view.allows(claim.resource, identity)) return { denied: 'policy', mspId, why: 'access denied: the role of the certificate is not enough' };
  return identity;
}

function identify(channel: Channel, creator: Uint8Array): Identity | Refusal {
  try {
    return channel.view.identify(creator);
  } catch (error) {
    if (isCoded(error, 'LEDGER_MALFORMED')) return { refused: 'The creator cannot be decoded.' };
    throw error;
  }
}

/** Fabric tells a certificate that its MSP cannot place from one that it knows and does not accept (revoked, no role). */
function refusedIdentity(creator: Uint8Array, { refused }: Refusal, channel: Channel): Denial {
  const mspId = claimedMsp(creator);
  const placed = channel.view.members.includes(mspId) && /revoked|must carry exactly one|begins outside/.test(refused);
  return { denied: placed ? 'invalid' : 'unknown', mspId, why: refused };
}

/** The organisation that a creator names; empty when it cannot be read. */
export function claimedMsp(creator: Uint8Array): string {
  try {
    return SerializedIdentity.decode(creator).mspId;
  } catch (error) {
    if (isCoded(error, 'LEDGER_MALFORMED')) return '';
    throw error;
  }
}

/** The channel for whoever signs a request about it. Faults with PERMISSION_DENIED: a peer tells nobody which channels there are. */
export function requireChannel(parts: GatewayParts, name: string): Channel {
  const channel = parts.channelOf(name);
  if (channel === undefined) throw new GatewayFault(grpcCode.permissionDenied, `Failed to get policy manager for channel [${name}]`);
  if (channel.closed) throw closing();
  return channel;
}

/** The caller of a status, event or block request. Faults with PERMISSION_DENIED otherwise. */
export async function authenticate(parts: GatewayParts, channel: Channel, claim: Claim): Promise<Identity> {
  const answer = await admit(parts, channel, claim);
  if (isDenial(answer)) throw new GatewayFault(grpcCode.permissionDenied, policySentence(channel.view.policyOf(claim.resource), answer.why));
  return answer;
}
