/**
 * Streaming stored ciphertext: constant memory, ranges (RFC 9110 section 14), and a live look at the grant before every
 * chunk. A revoked or expired grant cuts the stream in the middle, whoever said so first: the signed request or the channel.
 */
import { CodedError } from '#base/errors.ts';
import type { Bytes } from '#base/bytes.ts';
import type { BlobStore } from '#store/ports.ts';

/** Bytes looked at and sent at once. */
export const PIECE_BYTES = 65_536;

export interface ByteRange {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

/** The range a request asks for, the whole when it asks for none or for something we do not serve. Throws RANGE_NOT_SATISFIABLE. */
export function rangeOf(header: string | null, size: number): ByteRange | undefined {
  const match = header === null ? null : /^bytes=(?:(\d{1,15})-(\d{1,15})?|-(\d{1,15}))$/.exec(header.trim());
  if (match === null) return undefined;
  const [, first, last, suffix] = match;
  const start = first !== undefined ? Number(first) : Math.max(0, size - Number(suffix));
  const end = first !== undefined && last !== undefined ? Math.min(size, Number(last) + 1) : size;
  // RFC 9110 section 14.1.1: a range that ends before it starts is malformed and passed over.
  if (first !== undefined && last !== undefined && Number(last) < Number(first)) return undefined;
  if (start >= size || end <= start) throw new CodedError('RANGE_NOT_SATISFIABLE', 'The range lies outside the record.', { size });
  return { start, end };
}

export interface Transfer {
  readonly record: string;
  readonly size: number;
  readonly range: ByteRange | undefined;
  readonly bodies: Pick<BlobStore, 'read'>;
  /** Asked before every piece; throws when the transfer must stop. */
  readonly live?: () => Promise<void>;
  /** Tells when the transfer must stop although nobody reads; returns how to stop watching. */
  readonly watch?: (cut: (because: CodedError) => void) => () => void;
  /** Called once: sent whole, or cut. */
  readonly ended?: (how: 'sent' | 'cut' | 'left', because?: CodedError) => void;
  readonly signal?: AbortSignal;
}

/** 200 with the whole body or 206 with the range; the stream errors when the transfer is cut. */
export function transferResponse(transfer: Transfer): Response {
  const { size, range, record } = transfer;
  const headers: Record<string, string> = {
    'content-type': 'application/octet-stream',
    'accept-ranges': 'bytes',
    etag: `"${record}"`,
    'content-length': String(range === undefined ? size : range.end - range.start),
    ...(range === undefined ? {} : { 'content-range': `bytes ${range.start}-${range.end - 1}/${size}` }),
  };
  return new Response(transferStream(transfer), { status: range === undefined ? 200 : 206, headers });
}

function transferStream(transfer: Transfer): ReadableStream<Uint8Array> {
  const { bodies, record, size } = transfer;
  const { start, end } = transfer.range ?? { start: 0, end: size };
  let at = start;
  let over = false;
  let unwatch: () => void = () => undefined;
  const finish = (how: 'sent' | 'cut' | 'left', because?: CodedError): void => {
    if (over) return;
    over = true;
    unwatch();
    transfer.ended?.(how, because);
  };
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const cut = (because: CodedError): void => {
          if (over) return;
          finish('cut', because);
          controller.error(because);
        };
        unwatch = transfer.watch?.(cut) ?? unwatch;
        transfer.signal?.addEventListener('abort', () => finish('left'), { once: true });
        // Erroring discards what is queued, so nothing leaves after the cut.
        if (over) unwatch();
      },
      async pull(controller) {
        try {
          await transfer.live?.();
          const piece: Bytes = await bodies.read(record, at, Math.min(end, at + PIECE_BYTES));
          if (over) return;
          at += piece.length;
          controller.enqueue(piece);
        } catch (error) {
          if (over) return;
          const because = error instanceof CodedError ? error : new CodedError('INTERNAL', 'The transfer stopped.', {}, { cause: error });
          finish('cut', because);
          controller.error(because);
          return;
        }
        if (at >= end) {
          finish('sent');
          controller.close();
        }
      },
      cancel: () => finish('left'),
    },
    { highWaterMark: 0 },
  );
}
