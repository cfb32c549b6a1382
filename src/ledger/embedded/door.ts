/** Who may come in: signature, membership, life of the certificate and the channel's access rules, before anything runs. */
import type { Clock } from '#base/ports.ts';
import { GatewayFault, grpcCode, type GrpcCode } from '../transport.ts';
import type { Channel, CommittedTransaction } from './channel.ts';
import type { Resource } from './channel-config.ts';
import { isRefusal, type Identity } from './msp.ts';
import { verifyNative } from './native-signer.ts';

export interface GatewayParts {
  channelOf(name: string): Channel | undefined;
  /** Orders and commits a signed update of a channel's configuration. */
  updateConfig(channel: Channel, update: Uint8Array): Promise<CommittedTransaction>;
  readonly clock: Clock;
}

/** A fault that carries a coded error whole. */
export const codedFault = (code: GrpcCode, body: { readonly code: string; readonly message: string; readonly details?: Readonly<Record<string, unknown>> }): GatewayFault => new GatewayFault(code, JSON.stringify({ details: {}, ...body }));

/** The channel, or a fault. */
export function requireChannel(parts: GatewayParts, name: string): Channel {
  const channel = parts.channelOf(name);
  if (channel === undefined) throw codedFault(grpcCode.failedPrecondition, { code: 'LEDGER_CHANNEL_UNKNOWN', message: 'There is no such channel on this ledger.', details: { channel: name, next: 'Check the name of the channel and the address of the ledger.' } });
  if (channel.closed) throw new GatewayFault(grpcCode.unavailable, 'the ledger is closing');
  return channel;
}

/** The refusal of a caller, in Fabric's words. */
export const denied = (why: string): GatewayFault => new GatewayFault(grpcCode.permissionDenied, `access denied: ${why}`);

/** Who signed `message`, when they may use the resource. Faults with PERMISSION_DENIED otherwise. */
export async function authenticate(parts: GatewayParts, channel: Channel, request: { readonly creator: Uint8Array; readonly message: Uint8Array; readonly signature: Uint8Array; readonly resource: Resource }): Promise<Identity> {
  const identity = channel.view.identify(request.creator);
  if (isRefusal(identity)) throw denied(`channel [${channel.name}] creator org unknown, creator is malformed, or certificate refused: ${identity.refused}`);
  const now = parts.clock.now();
  if (now > identity.certificate.notAfter) throw denied(`client identity expired: the certificate ended at ${identity.certificate.notAfter}, it is ${now}`);
  if (now < identity.certificate.notBefore) throw denied(`client identity is not valid yet: the certificate begins at ${identity.certificate.notBefore}, it is ${now}`);
  if (!channel.view.allows(request.resource, identity)) throw denied(`the policy for [${request.resource}] on channel [${channel.name}] is not satisfied by this role`);
  if (!(await verifyNative(identity.key, request.message, request.signature))) throw denied(`channel [${channel.name}] the signature is invalid`);
  return identity;
}

