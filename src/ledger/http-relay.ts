/** Serves a gateway over HTTP: the counterpart of `http-transport.ts`, as a fetch function. It relays bytes and checks nothing but their size: the gateway checks signatures. */
import { concat } from '#base/bytes.ts';
import type { Fetch } from '#base/ports.ts';
import { encodeFault, frame, GATEWAY_PREFIX, gatewayPaths, PROTOBUF } from './http-transport.ts';
import { GatewayFault, grpcCode, isGatewayFault, type GatewayTransport, type GrpcCode } from './transport.ts';

/** A transaction of the largest size that the ledger takes, and its wrapping. */
const MAX_BODY = 11 * 1024 * 1024;

/** HTTP statuses by gRPC code (google.rpc.Code documents the mapping). */
const statuses: Readonly<Record<number, number>> = {
  [grpcCode.invalidArgument]: 400, [grpcCode.unauthenticated]: 401, [grpcCode.permissionDenied]: 403, [grpcCode.notFound]: 404, [grpcCode.aborted]: 409, [grpcCode.failedPrecondition]: 400,
  [grpcCode.resourceExhausted]: 429, [grpcCode.cancelled]: 499, [grpcCode.unimplemented]: 501, [grpcCode.unavailable]: 503, [grpcCode.deadlineExceeded]: 504,
};
const statusOf = (code: GrpcCode): number => statuses[code] ?? 500;

const asFault = (error: unknown): GatewayFault => (isGatewayFault(error) ? error : new GatewayFault(grpcCode.internal, 'the relay failed', [], { cause: error }));

const refuse = (fault: GatewayFault): Response => new Response(encodeFault(fault), { status: statusOf(fault.code), headers: { 'content-type': PROTOBUF, ...(fault.code === grpcCode.resourceExhausted ? { 'retry-after': '1' } : {}) } });

async function bodyOf(request: Request): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of request.body ?? []) {
    length += part.length;
    if (length > MAX_BODY) throw new GatewayFault(grpcCode.invalidArgument, JSON.stringify({ code: 'LEDGER_TOO_LARGE', message: 'The request is larger than the relay takes.', details: { limit: MAX_BODY } }));
    parts.push(part);
  }
  return concat(...parts);
}

/** Frames as they come. An empty frame goes first: it brings the headers to the client even when no block is due for hours. */
function streaming(source: AsyncIterable<Uint8Array>, stop: AbortController): Response {
  const iterator = source[Symbol.asyncIterator]();
  const send = (controller: ReadableStreamDefaultController<Uint8Array>, parts: readonly Uint8Array[]): void => controller.enqueue(concat(...parts));
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => send(controller, frame(new Uint8Array(0))),
    async pull(controller) {
      try {
        const { value, done } = await iterator.next();
        if (done === true) controller.close();
        else send(controller, frame(value));
      } catch (error) {
        send(controller, frame(encodeFault(asFault(error)), true));
        controller.close();
      }
    },
    async cancel() {
      stop.abort();
      await iterator.return?.();
    },
  }, { highWaterMark: 0 });
  return new Response(body, { headers: { 'content-type': 'application/octet-stream', 'cache-control': 'no-store' } });
}

/** The relay's handler. Answers `POST /v1/gateway/<method>`; anything else is 404 or 405. */
export function createHttpRelay({ transport }: { readonly transport: GatewayTransport }): Fetch {
  const unary: Readonly<Record<string, (body: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>>> = {
    [gatewayPaths.evaluate]: (body, signal) => transport.evaluate(body, signal),
    [gatewayPaths.endorse]: (body, signal) => transport.endorse(body, signal),
    [gatewayPaths.submit]: (body, signal) => transport.submit(body, signal),
    [gatewayPaths.commitStatus]: (body, signal) => transport.commitStatus(body, signal),
  };
  const streams: Readonly<Record<string, (body: Uint8Array, signal: AbortSignal) => AsyncIterable<Uint8Array>>> = {
    [gatewayPaths.chaincodeEvents]: (body, signal) => transport.chaincodeEvents(body, signal),
    [gatewayPaths.deliver]: (body, signal) => transport.deliver(body, signal),
  };
  return async (request) => {
    const { pathname } = new URL(request.url);
    const method = pathname.startsWith(GATEWAY_PREFIX) ? pathname.slice(GATEWAY_PREFIX.length) : '';
    const call = Object.hasOwn(unary, method) ? unary[method] : undefined;
    const open = Object.hasOwn(streams, method) ? streams[method] : undefined;
    if (call === undefined && open === undefined) return refuse(new GatewayFault(grpcCode.notFound, 'the relay has no such method'));
    if (request.method !== 'POST') return new Response(null, { status: 405, headers: { allow: 'POST' } });
    if (request.headers.get('content-type') !== PROTOBUF) return new Response(null, { status: 415, headers: { accept: PROTOBUF } });
    const stop = new AbortController();
    request.signal.addEventListener('abort', () => stop.abort(), { once: true });
    try {
      const body = await bodyOf(request);
      if (call !== undefined) return new Response((await call(body, stop.signal)) as Uint8Array<ArrayBuffer>, { headers: { 'content-type': PROTOBUF, 'cache-control': 'no-store' } });
      return streaming((open as NonNullable<typeof open>)(body, stop.signal), stop);
    } catch (error) {
      return refuse(asFault(error));
    }
  };
}
