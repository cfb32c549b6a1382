/** Serialised blocks of a channel from any height and then live, for as long as their reader is admitted. */
import { CodedError } from '#base/errors.ts';
import { SeekPosition } from '../protos/gateway.ts';
import type { Of } from '../wire.ts';
import { GatewayFault, grpcCode } from '../transport.ts';
import type { Channel } from './channel.ts';
import type { Resource } from './channel-config.ts';
import { closing, type GatewayParts } from './door.ts';
import { isRefusal } from './msp.ts';

export interface Range {
  readonly start: number;
  /** Last block, inclusive; Infinity: go on live. */
  readonly stop: number;
  /** Fail instead of waiting for a block that is not there. */
  readonly failIfMissing: boolean;
}

export interface Reader {
  readonly creator: Uint8Array;
  readonly resource: Resource;
}

export type Position = Of<typeof SeekPosition>;

/** Resolves at the next block, at close or when the signal aborts. */
function nextBlock(channel: Channel, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stop();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const stop = channel.watch(done);
    if (signal?.aborted === true || channel.closed) done();
    else signal?.addEventListener('abort', done, { once: true });
  });
}

/** Membership is asked again whenever the channel's configuration changes, the end of the certificate at every block. */
export async function* blocks(parts: GatewayParts, channel: Channel, { range, reader, signal }: { readonly range: Range; readonly reader: Reader; readonly signal: AbortSignal | undefined }): AsyncGenerator<Uint8Array> {
  let { view } = channel;
  for (let number = range.start; number <= range.stop; number++) {
    while (number >= channel.height) {
      if (range.failIfMissing) throw new GatewayFault(grpcCode.notFound, `block ${number} is not there`);
      await nextBlock(channel, signal);
      if (signal?.aborted === true) return;
      if (channel.closed) throw closing();
    }
    if (view !== channel.view) {
      view = channel.view;
      const identity = view.identify(reader.creator);
      if (isRefusal(identity) || !view.allows(reader.resource, identity)) throw new GatewayFault(grpcCode.permissionDenied, 'access denied: the reader is no longer admitted');
    }
    const identity = view.identify(reader.creator);
    if (!isRefusal(identity) && parts.clock.now() > identity.certificate.notAfter) throw new GatewayFault(grpcCode.permissionDenied, 'access denied: client identity expired');
    const bytes = channel.store.head.block(number);
    if (bytes === undefined) throw new CodedError('LEDGER_CORRUPT', `Block ${number} of channel ${channel.name} is missing.`, { channel: channel.name, file: channel.store.file });
    yield bytes;
    if (signal?.aborted === true) return;
    if (channel.closed) throw closing();
  }
}

/** First block of a seek. */
export function startOf(channel: Channel, position: Position | undefined): number {
  if (position?.oldest !== undefined) return 0;
  if (position?.specified !== undefined) return position.specified.number;
  if (position?.newest !== undefined) return Math.max(0, channel.height - 1);
  return channel.height;
}

/** Last block of a seek that begins at `start`. */
export function stopOf(channel: Channel, position: Position | undefined, start: number): number {
  if (position?.specified !== undefined) return position.specified.number;
  if (position?.newest !== undefined) return Math.max(start, channel.height - 1);
  return position?.oldest === undefined ? Number.POSITIVE_INFINITY : start;
}
