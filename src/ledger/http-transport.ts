/**
 * The gateway over HTTP, for browsers and for whoever cannot speak gRPC. The relay on the other side carries the same
 * signed bytes and can neither read more nor act for anybody. Streams are frames: 4 bytes of length, then the
 * message; empty frames only show that the stream lives.
 */
import { u32 } from '#base/bytes.ts';
import type { Fetch } from '#base/ports.ts';
import { ErrorDetail, RpcStatus } from './protos/gateway.ts';
import { GatewayFault, grpcCode, isGatewayFault, type GatewayTransport, type GrpcCode } from './transport.ts';

/** Path segment of each method below `/v1/gateway/`. */
export const gatewayPaths = { evaluate: 'evaluate', endorse: 'endorse', submit: 'submit', commitStatus: 'commit-status', chaincodeEvents: 'chaincode-events', deliver: 'deliver' } as const;
export const GATEWAY_PREFIX = '/v1/gateway/';
export const PROTOBUF = 'application/x-protobuf';
/** Frame length that says: what follows is the RpcStatus that ends the stream. */
export const FAULT_FRAME = 0xffffffff;

export interface HttpTransportParts {
  readonly baseUrl: string;
  readonly fetch: Fetch;
}

const DETAIL_TYPE = 'type.googleapis.com/gateway.ErrorDetail';

/** A fault as `google.rpc.Status` bytes. */
export function encodeFault(fault: GatewayFault): Uint8Array<ArrayBuffer> {
  return RpcStatus.encode({ code: fault.code, message: fault.message, details: fault.refusals.map((refusal) => ({ typeUrl: DETAIL_TYPE, value: ErrorDetail.encode(refusal) })) });
}

/** The fault inside `google.rpc.Status` bytes. */
export function decodeFault(bytes: Uint8Array): GatewayFault {
  const { code, message, details } = RpcStatus.decode(bytes);
  return new GatewayFault(code as GrpcCode, message, details.filter((detail) => detail.typeUrl === DETAIL_TYPE).map((detail) => ErrorDetail.decode(detail.value)));
}

async function post(parts: HttpTransportParts, path: string, { body, signal }: { readonly body: Uint8Array; readonly signal: AbortSignal | undefined }): Promise<Response> {
  let response: Response;
  try {
    response = await parts.fetch(new Request(new URL(GATEWAY_PREFIX + path, parts.baseUrl), { method: 'POST', headers: { 'content-type': PROTOBUF }, body: body as Uint8Array<ArrayBuffer>, ...(signal === undefined ? {} : { signal }) }));
  } catch (cause) {
    throw new GatewayFault(signal?.aborted === true ? grpcCode.cancelled : grpcCode.unavailable, 'the ledger relay did not answer', [], { cause });
  }
  if (response.ok) return response;
  throw await refusalOf(response);
}

async function refusalOf(response: Response): Promise<GatewayFault> {
  const body = new Uint8Array(await response.arrayBuffer());
  if (response.headers.get('content-type') === PROTOBUF) return decodeFault(body);
  return new GatewayFault(response.status >= 500 || response.status === 429 ? grpcCode.unavailable : grpcCode.failedPrecondition, `the ledger relay answered with HTTP status ${response.status}`);
}

async function unary(parts: HttpTransportParts, path: string, call: { readonly body: Uint8Array; readonly signal: AbortSignal | undefined }): Promise<Uint8Array> {
  const response = await post(parts, path, call);
  try {
    return new Uint8Array(await response.arrayBuffer());
  } catch (cause) {
    throw new GatewayFault(grpcCode.unavailable, 'the answer of the ledger relay broke off', [], { cause });
  }
}

/** Splits a byte stream into frames. */
async function* frames(source: ReadableStream<Uint8Array>): AsyncGenerator<{ readonly fault: boolean; readonly bytes: Uint8Array }> {
  const reader = source.getReader();
  let held: Uint8Array = new Uint8Array(0);
  const fill = async (wanted: number): Promise<boolean> => {
    while (held.length < wanted) {
      const { value, done } = await reader.read();
      if (done) return false;
      const joined = new Uint8Array(held.length + value.length);
      joined.set(held);
      joined.set(value, held.length);
      held = joined;
    }
    return true;
  };
  const take = (length: number): Uint8Array => {
    const part = held.subarray(0, length);
    held = held.subarray(length);
    return part;
  };
  const readLength = (): number => {
    const head = take(4);
    return new DataView(head.buffer, head.byteOffset).getUint32(0);
  };
  try {
    while (await fill(4)) {
      let length = readLength();
      const fault = length === FAULT_FRAME;
      if (fault) {
        if (!(await fill(4))) break;
        length = readLength();
      }
      if (!(await fill(length))) break;
      yield { fault, bytes: take(length) };
    }
    if (held.length > 0) throw new GatewayFault(grpcCode.unavailable, 'the stream of the ledger relay broke off');
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

async function* stream(parts: HttpTransportParts, path: string, call: { readonly body: Uint8Array; readonly signal: AbortSignal | undefined }): AsyncGenerator<Uint8Array> {
  const { body } = await post(parts, path, call);
  if (body === null) return;
  try {
    for await (const frame of frames(body)) {
      if (frame.fault) throw decodeFault(frame.bytes);
      if (frame.bytes.length > 0) yield frame.bytes;
    }
  } catch (cause) {
    if (isGatewayFault(cause)) throw cause;
    throw new GatewayFault(call.signal?.aborted === true ? grpcCode.cancelled : grpcCode.unavailable, 'the stream of the ledger relay broke off', [], { cause });
  }
}

/** A frame's head and body. */
export function frame(bytes: Uint8Array, fault = false): readonly Uint8Array[] {
  return fault ? [u32(FAULT_FRAME), u32(bytes.length), bytes] : [u32(bytes.length), bytes];
}

/** A transport over Fetch. */
export function createHttpTransport(parts: HttpTransportParts): GatewayTransport {
  return {
    evaluate: (body, signal) => unary(parts, gatewayPaths.evaluate, { body, signal }),
    endorse: (body, signal) => unary(parts, gatewayPaths.endorse, { body, signal }),
    submit: (body, signal) => unary(parts, gatewayPaths.submit, { body, signal }),
    commitStatus: (body, signal) => unary(parts, gatewayPaths.commitStatus, { body, signal }),
    chaincodeEvents: (body, signal) => stream(parts, gatewayPaths.chaincodeEvents, { body, signal }),
    deliver: (body, signal) => stream(parts, gatewayPaths.deliver, { body, signal }),
  };
}
