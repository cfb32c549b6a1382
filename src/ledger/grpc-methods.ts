/** Names of Fabric's services on the wire. Messages stay bytes here: who serves or calls decodes them. */

export const grpcMethods = {
  evaluate: '/gateway.Gateway/Evaluate',
  endorse: '/gateway.Gateway/Endorse',
  submit: '/gateway.Gateway/Submit',
  commitStatus: '/gateway.Gateway/CommitStatus',
  chaincodeEvents: '/gateway.Gateway/ChaincodeEvents',
  deliver: '/protos.Deliver/Deliver',
  deliverFiltered: '/protos.Deliver/DeliverFiltered',
  deliverPrivate: '/protos.Deliver/DeliverWithPrivateData',
} as const;

/** Trailer that carries `google.rpc.Status`. */
export const STATUS_TRAILER = 'grpc-status-details-bin';
/** What a Fabric peer takes and sends: endorsement answers repeat arguments and write sets, and are larger than gRPC's own 4 MB. */
export const MAX_MESSAGE = 100 * 1024 * 1024;
