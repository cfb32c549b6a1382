/** The gateway over gRPC: of a Fabric peer, or of an embedded ledger in another process. */
import { Client, credentials, Metadata, type CallOptions, type ClientReadableStream, type ServiceError } from '@grpc/grpc-js';
import { grpcMethods, MAX_MESSAGE, STATUS_TRAILER } from '../grpc-methods.ts';
import { decodeFault } from '../http-transport.ts';
import { GatewayFault, grpcCode, isGatewayFault, type GatewayTransport, type GrpcCode } from '../transport.ts';

export interface GrpcTransportOptions {
  /** `host:port` */
  readonly address: string;
  /** PEM of the authority of the server's TLS certificate; absent: plaintext. */
  readonly tlsRootCertificate?: string;
  /** Name in the server's certificate, where it is not the host's. */
  readonly serverName?: string;
  /** PEM, where the server asks its clients for a TLS certificate. */
  readonly clientTls?: { readonly certificate: string; readonly privateKey: string };
}

export interface GrpcTransport extends GatewayTransport {
  close(): void;
}

const same = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
const keep = (bytes: Buffer): Uint8Array => bytes;

function faultOf(error: unknown): GatewayFault {
  if (isGatewayFault(error)) return error;
  const { code, details, metadata } = error as Partial<ServiceError>;
  const [trailer] = metadata?.get(STATUS_TRAILER) ?? [];
  if (trailer instanceof Uint8Array) {
    const fault = decodeFault(trailer);
    return new GatewayFault((code ?? fault.code) as GrpcCode, fault.message === '' ? (details ?? '') : fault.message, fault.refusals, { cause: error });
  }
  return new GatewayFault((code ?? grpcCode.unknown) as GrpcCode, details ?? 'the call failed', [], { cause: error });
}

function call(client: Client, path: string, { request, signal }: { readonly request: Uint8Array; readonly signal: AbortSignal | undefined }): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const running = client.makeUnaryRequest(path, same, keep, request, (error, answer) => {
      signal?.removeEventListener('abort', cancel);
      if (error !== null) reject(faultOf(error));
      else resolve(answer ?? new Uint8Array(0));
    });
    const cancel = (): void => running.cancel();
    if (signal?.aborted === true) cancel();
    else signal?.addEventListener('abort', cancel, { once: true });
  });
}

async function* read(stream: ClientReadableStream<Uint8Array>, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  const cancel = (): void => stream.cancel();
  if (signal?.aborted === true) cancel();
  else signal?.addEventListener('abort', cancel, { once: true });
  try {
    for await (const message of stream) yield message as Uint8Array;
  } catch (error) {
    throw faultOf(error);
  } finally {
    signal?.removeEventListener('abort', cancel);
    stream.cancel();
  }
}

/** Opens a connection of its own, shared with no other transport; gRPC dials, and dials again, by itself. */
export function createGrpcTransport({ address, tlsRootCertificate, serverName, clientTls }: GrpcTransportOptions): GrpcTransport {
  const options = { 'grpc.use_local_subchannel_pool': 1, 'grpc.max_receive_message_length': MAX_MESSAGE, 'grpc.max_send_message_length': MAX_MESSAGE, ...(serverName === undefined ? {} : { 'grpc.ssl_target_name_override': serverName }) };
  const pem = (text: string | undefined): Buffer | null => (text === undefined ? null : Buffer.from(text));
  const client = new Client(address, tlsRootCertificate === undefined ? credentials.createInsecure() : credentials.createSsl(pem(tlsRootCertificate), pem(clientTls?.privateKey), pem(clientTls?.certificate)), options);
  const unary = (path: string) => (request: Uint8Array, signal?: AbortSignal) => call(client, path, { request, signal });
  const seek = (path: string) => (request: Uint8Array, signal?: AbortSignal) => {
    const stream = client.makeBidiStreamRequest(path, same, keep, new Metadata(), {} satisfies CallOptions);
    stream.write(request);
    return read(stream as unknown as ClientReadableStream<Uint8Array>, signal);
  };
  return {
    evaluate: unary(grpcMethods.evaluate), endorse: unary(grpcMethods.endorse), submit: unary(grpcMethods.submit), commitStatus: unary(grpcMethods.commitStatus),
    chaincodeEvents: (request, signal) => read(client.makeServerStreamRequest(grpcMethods.chaincodeEvents, same, keep, request), signal),
    deliver: seek(grpcMethods.deliver), deliverFiltered: seek(grpcMethods.deliverFiltered), deliverPrivate: seek(grpcMethods.deliverPrivate),
    close: () => client.close(),
  };
}
