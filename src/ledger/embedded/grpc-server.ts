/** Fabric's Gateway and Deliver services over gRPC, so that unmodified Fabric clients work against the embedded ledger. */
import { createHash, createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { createSecureContext } from 'node:tls';
import { Metadata, Server, ServerCredentials, type handleUnaryCall, type ServerDuplexStream, type ServerWritableStream, type ServiceDefinition } from '@grpc/grpc-js';
import { equalBytes } from '#base/bytes.ts';
import { CodedError, isCoded } from '#base/errors.ts';
import { grpcMethods, MAX_MESSAGE, STATUS_TRAILER } from '../grpc-methods.ts';
import { encodeFault } from '../http-transport.ts';
import { DeliverResponse, DeliverResponseBytes, deliverStatus } from '../protos/gateway.ts';
import { readEnvelope } from '../transaction.ts';
import { GatewayFault, grpcCode, isGatewayFault, type GatewayTransport } from '../transport.ts';

export interface ServerTls {
  /** PEM, the certificate first, then those that issued it. */
  readonly certificate: string;
  readonly privateKey: string;
  /** PEM of the authorities whose clients may connect; absent: anybody may, and what they may do depends on their signatures alone. */
  readonly clientAuthorities?: string;
}

export interface GrpcServerOptions {
  readonly transport: GatewayTransport;
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  /** Without it the server speaks plaintext and takes only loopback addresses. */
  readonly tls?: ServerTls;
}

export interface GrpcServer {
  readonly port: number;
  close(): Promise<void>;
}

const same = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
const method = (path: string, { requestStream, responseStream }: { readonly requestStream: boolean; readonly responseStream: boolean }) => ({ path, requestStream, responseStream, requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same });
const unary = { requestStream: false, responseStream: false };
const bothWays = { requestStream: true, responseStream: true };

const gatewayService: ServiceDefinition = {
  evaluate: method(grpcMethods.evaluate, unary), endorse: method(grpcMethods.endorse, unary), submit: method(grpcMethods.submit, unary), commitStatus: method(grpcMethods.commitStatus, unary),
  chaincodeEvents: method(grpcMethods.chaincodeEvents, { requestStream: false, responseStream: true }),
};
const deliverService: ServiceDefinition = {
  deliver: method(grpcMethods.deliver, bothWays), deliverFiltered: method(grpcMethods.deliverFiltered, bothWays), deliverPrivate: method(grpcMethods.deliverPrivate, bothWays),
};

function statusOf(error: unknown): { readonly code: number; readonly details: string; readonly metadata: Metadata } {
  const fault = isGatewayFault(error) ? error : new GatewayFault(grpcCode.internal, 'the ledger failed inside');
  const metadata = new Metadata();
  // As in Fabric, the trailer comes only with what peers said; the rest is in code and message.
  if (fault.refusals.length > 0) metadata.set(STATUS_TRAILER, same(encodeFault(fault)));
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

type Deliver = (request: Uint8Array, signal: AbortSignal) => AsyncIterable<Uint8Array>;
type DeliverCall = ServerDuplexStream<Uint8Array, Uint8Array>;

/** The next request is read when the one before has ended well; any other status ends the stream, as in Fabric. */
async function* deliverAll(call: DeliverCall, { run, mutual, signal }: { readonly run: Deliver; readonly mutual: boolean; readonly signal: AbortSignal }): AsyncGenerator<Uint8Array> {
  // Leaving the loop must not destroy the call: its end is still to be written.
  for await (const request of call.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>) {
    if (mutual && !bound(call, request)) {
      yield DeliverResponse.encode({ status: deliverStatus.badRequest });
      return;
    }
    for await (const message of run(request, signal)) {
      yield message;
      const status = STATUS_TAG === message[0] ? DeliverResponseBytes.decode(message).status : undefined;
      if (status !== undefined && status !== deliverStatus.success) return;
    }
  }
}

/** Field 1, a varint: `status` comes alone. */
const STATUS_TAG = 0x08;

/** Under mutual TLS a seek names the hash of the client's TLS certificate, so that nobody replays it over a connection of his own. */
function bound(call: DeliverCall, request: Uint8Array): boolean {
  const certificate = call.getAuthContext().sslPeerCertificate;
  try {
    return certificate !== undefined && equalBytes(createHash('sha256').update(certificate.raw).digest(), readEnvelope(request).channelHeader.tlsCertHash);
  } catch (error) {
    if (isCoded(error, 'LEDGER_MALFORMED')) return false;
    throw error;
  }
}

function serveDeliver(run: Deliver, mutual: boolean) {
  return (call: DeliverCall): void => {
    const stop = new AbortController();
    call.on('error', () => stop.abort());
    void pour(call, deliverAll(call, { run, mutual, signal: stop.signal }), stop);
  };
}

/** Checks the pair before the port is opened. Throws LEDGER_TLS_INVALID. */
function credentialsOf(tls: ServerTls | undefined): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  const { certificate, privateKey, clientAuthorities } = tls;
  try {
    createPrivateKey(privateKey);
    createSecureContext({ cert: certificate, key: privateKey, ...(clientAuthorities === undefined ? {} : { ca: clientAuthorities }) });
  } catch (cause) {
    throw new CodedError('LEDGER_TLS_INVALID', 'The TLS certificate and key cannot be used.', { why: 'They are not PEM, or do not belong together.', next: 'Give the certificate (with its chain) and its private key, both as PEM.' }, { cause });
  }
  return ServerCredentials.createSsl(clientAuthorities === undefined ? null : Buffer.from(clientAuthorities), [{ cert_chain: Buffer.from(certificate), private_key: Buffer.from(privateKey) }], clientAuthorities !== undefined);
}

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);

/** Starts serving. Throws LEDGER_PORT when the address cannot be had, LEDGER_TLS_NEEDED for plaintext off loopback, LEDGER_TLS_INVALID. */
export async function serveGrpc({ transport, host, port, tls }: GrpcServerOptions): Promise<GrpcServer> {
  if (tls === undefined && !isLoopback(host)) throw new CodedError('LEDGER_TLS_NEEDED', `The ledger is not served in plaintext on ${host}.`, { next: 'Give a certificate and key, or serve on 127.0.0.1.', host });
  const credentials = credentialsOf(tls);
  const server = new Server({ 'grpc.max_receive_message_length': MAX_MESSAGE, 'grpc.max_send_message_length': MAX_MESSAGE });
  server.addService(gatewayService, {
    evaluate: serveUnary((request, signal) => transport.evaluate(request, signal)), endorse: serveUnary((request, signal) => transport.endorse(request, signal)), submit: serveUnary((request, signal) => transport.submit(request, signal)),
    commitStatus: serveUnary((request, signal) => transport.commitStatus(request, signal)),
    chaincodeEvents: (call: ServerWritableStream<Uint8Array, Uint8Array>) => {
      const stop = new AbortController();
      void pour(call, transport.chaincodeEvents(call.request, stop.signal), stop);
    },
  });
  const mutual = tls?.clientAuthorities !== undefined;
  const offered = ([name, run]: readonly [string, Deliver | undefined]) => (run === undefined ? [] : [[name, serveDeliver(run, mutual)] as const]);
  server.addService(deliverService, Object.fromEntries([['deliver', transport.deliver], ['deliverFiltered', transport.deliverFiltered], ['deliverPrivate', transport.deliverPrivate]].flatMap((one) => offered(one as [string, Deliver | undefined]))));
  const bound = await bind(server, { host, port, credentials });
  return { port: bound, close: () => closeServer(server) };
}

function bind(server: Server, { host, port, credentials }: { readonly host: string; readonly port: number; readonly credentials: ServerCredentials }): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`, credentials, (error, actual) => {
      if (error === null) resolve(actual);
      else reject(new CodedError('LEDGER_PORT', `The ledger cannot be served on ${host}:${port}.`, { why: 'The port is in use or may not be opened.', next: 'Choose another port.', host, port }, { cause: error }));
    });
  });
}

/** Streams never end by themselves: whoever is still there after the shutdown began is cut off. */
function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.tryShutdown(() => resolve());
    server.forceShutdown();
  });
}
