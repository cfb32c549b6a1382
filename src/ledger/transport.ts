/**
 * How a client reaches a gateway. Every request and answer is the serialised message of Fabric's `gateway.proto` (blocks:
 * of the Deliver service), so the same signed bytes go through a function call, an HTTP relay or gRPC.
 */

/** gRPC status codes (https://grpc.io/docs/guides/status-codes/), as far as Fabric's gateway uses them. */
export const grpcCode = {
  ok: 0, cancelled: 1, unknown: 2, invalidArgument: 3, deadlineExceeded: 4, notFound: 5, alreadyExists: 6, permissionDenied: 7, resourceExhausted: 8,
  failedPrecondition: 9, aborted: 10, outOfRange: 11, unimplemented: 12, internal: 13, unavailable: 14, dataLoss: 15, unauthenticated: 16,
} as const;
export type GrpcCode = (typeof grpcCode)[keyof typeof grpcCode];

/** What one endorsing peer said (`gateway.ErrorDetail`). */
export interface PeerRefusal {
  readonly address: string;
  readonly mspId: string;
  readonly message: string;
}

/** A refusal in gRPC's words. The client turns it into a CodedError; nothing above the client sees it. */
export class GatewayFault extends Error {
  readonly code: GrpcCode;
  readonly refusals: readonly PeerRefusal[];

  constructor(code: GrpcCode, message: string, refusals: readonly PeerRefusal[] = [], options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'GatewayFault';
    this.code = code;
    this.refusals = refusals;
  }
}

export function isGatewayFault(error: unknown): error is GatewayFault {
  return error instanceof Error && error.name === 'GatewayFault';
}

/** All methods reject with GatewayFault. */
export interface GatewayTransport {
  /** EvaluateRequest → EvaluateResponse */
  evaluate(request: Uint8Array, signal?: AbortSignal): Promise<Uint8Array>;
  /** EndorseRequest → EndorseResponse */
  endorse(request: Uint8Array, signal?: AbortSignal): Promise<Uint8Array>;
  /** SubmitRequest → SubmitResponse. */
  submit(request: Uint8Array, signal?: AbortSignal): Promise<Uint8Array>;
  /** SignedCommitStatusRequest → CommitStatusResponse, once the transaction is in a durable block. */
  commitStatus(request: Uint8Array, signal?: AbortSignal): Promise<Uint8Array>;
  /**
   * SubmitRequest → CommitStatusResponse in one step, where the gateway is the ledger itself: the envelope's signature
   * already proves who asks. Saves a signature, a verification and a round trip; absent elsewhere.
   */
  submitAndWait?(request: Uint8Array, signal?: AbortSignal): Promise<Uint8Array>;
  /** SignedChaincodeEventsRequest → ChaincodeEventsResponse … */
  chaincodeEvents(request: Uint8Array, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** Envelope of a SeekInfo → peer.DeliverResponse … */
  deliver(request: Uint8Array, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** The same with filtered blocks: ids, verdicts and event names only. For Fabric's own clients; ours do not use it. */
  deliverFiltered?(request: Uint8Array, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** The same with the private data that the reader's organisation may see. For Fabric's own clients too. */
  deliverPrivate?(request: Uint8Array, signal?: AbortSignal): AsyncIterable<Uint8Array>;
}
