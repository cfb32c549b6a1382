/** Fabric's Gateway and Deliver services over gRPC, so that unmodified Fabric clients work against the embedded ledger. */
import { once } from 'node:events';
import { Metadata, Server, ServerCredentials, type handleUnaryCall, type ServerDuplexStream, type ServerWritableStream, type ServiceDefinition } from '@grpc/grpc-js';
import { CodedError } from '#base/errors.ts';
import { grpcMethods, MAX_MESSAGE, STATUS_TRAILER } from '../grpc-methods.ts';
import { encodeFault } from '../http-transport.ts';
import { GatewayFault, grpcCode, isGatewayFault, type GatewayTransport } from '../transport.ts';

export interface GrpcServerOptions {
  readonly transport: GatewayTransport;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** PEM. Without it the server speaks plaintext and takes only loopback addresses. */
  readonly tls?: { readonly certificate: string; readonly privateKey: string };
}

export interface GrpcServer {
  readonly port: number;
  close(): Promise<void>;
}

const same = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
const method = (path: string, { requestStream, responseStream }: { readonly requestStream: boolean; readonly responseStream: boolean }) => ({ path, requestStream, responseStream, requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same });
const unary = { requestStream: false, responseStream: false };

const gatewayService: ServiceDefinition = {
  evaluate: method(grpcMethods.evaluate, unary), endorse: method(grpcMethods.endorse, unary), submit: method(grpcMethods.submit, unary), commitStatus: method(grpcMethods.commitStatus, unary),
  chaincodeEvents: method(grpcMethods.chaincodeEvents, { requestStream: false, responseStream: true }),
};
const deliverService: ServiceDefinition = {
  deliver: method(grpcMethods.deliver, { requestStream: true, responseStream: true }), deliverFiltered: method(grpcMethods.deliverFiltered, { requestStream: true, responseStream: true }),
};

function statusOf(error: unknown): { readonly code: number; readonly details: string; readonly metadata: Metadata } {
  const fault = isGatewayFault(error) ? error : new GatewayFault(grpcCode.internal, 'the ledger failed inside');
  const metadata = new Metadata();
  metadata.set(STATUS_TRAILER, same(encodeFault(fault)));
  return { code: fault.code, details: fault.message, metadata };
}

function serveUnary(run: (request: Uint8Array, signal: AbortSignal) => Promise<Uint8Array>): handleUnaryCall<Uint8Array, Uint8Array> {
  return (call, answer) => {
    const stop = new AbortController();
    call.on('cancelled', () => stop.abort());
    run(call.request, stop.signal).then((response) => answer(null, response), (error: unknown) => answer(statusOf(error)));
  };
}

type Stream = ServerWritableStream<Uint8Array, Uint8Array> | ServerDuplexStream<Uint8Array, Uint8Array>;

/** Writes no faster than the client reads. */
async function pour(call: Stream, source: AsyncIterable<Uint8Array>, stop: AbortController): Promise<void> {
  call.on('cancelled', () => stop.abort());
  try {
    for await (const message of source) {
      if (stop.signal.aborted) break;
      if (!call.write(message)) await once(call, 'drain', { signal: stop.signal });
    }
    call.end();
  } catch (error) {
    // grpc-js turns an 'error' event into the status of the call.
    if (!stop.signal.aborted) call.emit('error', statusOf(error));
  }
}

function serveDeliver(run: (request: Uint8Array, signal: AbortSignal) => AsyncIterable<Uint8Array>) {
  return (call: ServerDuplexStream<Uint8Array, Uint8Array>): void => {
    const stop = new AbortController();
    // One seek per stream, as Fabric's clients do; a later one would end the first.
    call.once('data', (request: Uint8Array) => void pour(call, run(request, stop.signal), stop));
    call.on('end', () => stop.abort());
    call.on('error', () => stop.abort());
  };
}

/** Starts serving. Throws LEDGER_PORT when the address cannot be had, LEDGER_TLS_NEEDED for plaintext off loopback. */
export async function serveGrpc({ transport, host, port, tls }: GrpcServerOptions): Promise<GrpcServer> {
  if (tls === undefined && !['127.0.0.1', '::1', 'localhost'].includes(host)) throw new CodedError('LEDGER_TLS_NEEDED', `The ledger is not served in plaintext on ${host}.`, { next: 'Give a certificate and key, or serve on 127.0.0.1.', host });
  const server = new Server({ 'grpc.max_receive_message_length': MAX_MESSAGE, 'grpc.max_send_message_length': MAX_MESSAGE });
  server.addService(gatewayService, {
    evaluate: serveUnary((request, signal) => transport.evaluate(request, signal)), endorse: serveUnary((request, signal) => transport.endorse(request, signal)), submit: serveUnary((request, signal) => transport.submit(request, signal)),
    commitStatus: serveUnary((request, signal) => transport.commitStatus(request, signal)),
    chaincodeEvents: (call: ServerWritableStream<Uint8Array, Uint8Array>) => {
      const stop = new AbortController();
      void pour(call, transport.chaincodeEvents(call.request, stop.signal), stop);
    },
  });
  const filtered = transport.deliverFiltered?.bind(transport);
  server.addService(deliverService, {
    deliver: serveDeliver((request, signal) => transport.deliver(request, signal)),
    ...(filtered === undefined ? {} : { deliverFiltered: serveDeliver((request, signal) => filtered(request, signal)) }),
  });
  const credentials = tls === undefined ? ServerCredentials.createInsecure() : ServerCredentials.createSsl(null, [{ cert_chain: Buffer.from(tls.certificate), private_key: Buffer.from(tls.privateKey) }]);
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`, credentials, (error, actual) => {
      if (error === null) resolve(actual);
      else reject(new CodedError('LEDGER_PORT', `The ledger cannot be served on ${host}:${port}.`, { why: 'The port is in use or may not be opened.', next: 'Choose another port.', host, port }, { cause: error }));
    });
  });
  return { port: bound, close: () => closeServer(server) };
}

/** Streams never end by themselves: whoever is still there after the shutdown began is cut off. */
function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.tryShutdown(() => resolve());
    server.forceShutdown();
  });
}
