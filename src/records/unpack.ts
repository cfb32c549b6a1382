/** From received bytes to the bytes of a JSON text: gzip is inflated within bounds, other formats are named. */
import { concat, type Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';

export interface UnpackLimits {
  /** Bytes after inflating. */
  readonly bytes: number;
  /** Inflated bytes allowed per received byte beyond the first `freeBytes`: records compress to 1:20, repetitive ones to 1:100, bombs to 1:1000. */
  readonly ratio: number;
  /** More than one lookahead of the streams (128 KiB) gives at the ratio of honest text. */
  readonly freeBytes: number;
}

export const UNPACK_LIMITS: UnpackLimits = { bytes: 52_428_800, ratio: 200, freeBytes: 16_777_216 };

const PIECE_BYTES = 16_384;
/** Bytes that Node's streams take in before the first of them is inflated. */
const AHEAD_BYTES = 131_072;

/** What stands in front of every gzip member (RFC 1952 section 2.3.1). */
function isGzip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/**
 * The plain bytes of a file that may be gzipped. Memory stays below limit plus one chunk whatever the input.
 * Throws FILE_EMPTY, FILE_TOO_LARGE, GZIP_DAMAGED, GZIP_BOMB, FHIR_XML_UNSUPPORTED.
 */
export async function unpack(received: Uint8Array, limits: UnpackLimits = UNPACK_LIMITS): Promise<Bytes> {
  if (received.length > limits.bytes) throw tooLarge(limits.bytes);
  const plain = isGzip(received) ? await inflate(received, limits) : (received as Bytes);
  refuseOtherFormats(plain);
  return plain;
}

async function inflate(received: Uint8Array, limits: UnpackLimits): Promise<Bytes> {
  const chunks: Uint8Array[] = [];
  let total = 0;
  let fed = 0;
  // Fed in small pieces, so that a bomb shows its ratio after the first of them and not after the limit.
  const pieces = new ReadableStream<Bytes>({
    pull(controller) {
      const piece = received.subarray(fed, fed + PIECE_BYTES) as Bytes;
      fed += piece.length;
      if (piece.length === 0) controller.close();
      else controller.enqueue(piece);
    },
  });
  const reader = pieces.pipeThrough(new DecompressionStream('gzip')).getReader();
  try {
    for (;;) {
      const { done, value } = await nextChunk(reader);
      if (done) break;
      chunks.push(value);
      total += value.length;
      if (total > limits.bytes) throw tooLarge(limits.bytes);
      if (total > limits.freeBytes + Math.max(0, fed - AHEAD_BYTES) * limits.ratio) throw bomb(limits.ratio);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
  return concat(...chunks);
}

async function nextChunk(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<ReadableStreamReadResult<Uint8Array>> {
  try {
    return await reader.read();
  } catch (cause) {
    throw new CodedError('GZIP_DAMAGED', 'The gzip file is damaged or cut off.', { next: 'Transfer it again and compare its size with the original.' }, { cause });
  }
}

/** XML, ZIP and nothing at all are told apart from broken JSON, so that the message helps. */
function refuseOtherFormats(bytes: Uint8Array): void {
  let at = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  while (at < bytes.length && (bytes[at] as number) <= 0x20) at++;
  if (at === bytes.length) throw new CodedError('FILE_EMPTY', 'The file is empty.', { next: 'Export the bundle again.' });
  if (bytes[at] === 0x3c) throw new CodedError('FHIR_XML_UNSUPPORTED', 'The file is XML; healthkeep reads FHIR as JSON.', { next: 'Export it as JSON (application/fhir+json), or convert it with the FHIR validator: -convert -output bundle.json.' });
  if (bytes[0] === 0x50 && bytes[1] === 0x4b) throw new CodedError('FILE_FORMAT_UNKNOWN', 'The file is a ZIP archive.', { next: 'Unpack it and hand over the bundles one by one.' });
}

function tooLarge(limit: number): CodedError {
  return new CodedError('FILE_TOO_LARGE', `The file has more than ${limit} bytes unpacked.`, { limit, next: 'Split the bundle into several smaller ones.' });
}

function bomb(ratio: number): CodedError {
  return new CodedError('GZIP_BOMB', `The gzip file unpacks to more than ${ratio} times its size.`, { ratio, next: 'Hand over the bundle unpacked if it is genuine.' });
}
