/** The Gateway and Deliver services' messages (fabric-protos `gateway/gateway.proto`, `orderer/ab.proto`, `peer/events.proto`). */
import { Block, Envelope } from './common.ts';
import { ChaincodeEventMessage, Response, SignedProposal } from './peer.ts';
import { TxPvtReadWriteSet } from './rwset.ts';
import { bytes, int, list, message, optionalInt, str, strList, sub, uint } from '../wire.ts';

export const EvaluateRequest = message({ transactionId: str(1), channelId: str(2), proposedTransaction: sub(3, SignedProposal), targetOrganizations: strList(4) });
export const EvaluateResponse = message({ result: sub(1, Response) });
export const EndorseRequest = message({ transactionId: str(1), channelId: str(2), proposedTransaction: sub(3, SignedProposal), endorsingOrganizations: strList(4) });
export const EndorseResponse = message({ preparedTransaction: sub(1, Envelope) });
export const SubmitRequest = message({ transactionId: str(1), channelId: str(2), preparedTransaction: sub(3, Envelope) });
export const CommitStatusRequest = message({ transactionId: str(1), channelId: str(2), identity: bytes(3) });
export const SignedCommitStatusRequest = message({ request: bytes(1), signature: bytes(2) });
export const CommitStatusResponse = message({ result: int(1), blockNumber: uint(2) });

const Nothing = message({});
const SeekSpecified = message({ number: uint(1) });
/** A oneof: exactly one member is set. */
export const SeekPosition = message({ newest: sub(1, Nothing), oldest: sub(2, Nothing), specified: sub(3, SeekSpecified), nextCommit: sub(4, Nothing) });
/** `behavior` 0 waits for blocks that do not exist yet, 1 fails on them. */
export const SeekInfo = message({ start: sub(1, SeekPosition), stop: sub(2, SeekPosition), behavior: int(3), errorResponse: int(4), contentType: int(5) });

export const ChaincodeEventsRequest = message({ channelId: str(1), chaincodeId: str(2), identity: bytes(3), startPosition: sub(4, SeekPosition), afterTransactionId: str(5) });
export const SignedChaincodeEventsRequest = message({ request: bytes(1), signature: bytes(2) });
export const ChaincodeEventsResponse = message({ events: list(1, ChaincodeEventMessage), blockNumber: uint(2) });
export const ErrorDetail = message({ address: str(1), mspId: str(2), message: str(3) });

const FilteredChaincodeAction = message({ chaincodeEvent: sub(1, ChaincodeEventMessage) });
const FilteredTransactionActions = message({ chaincodeActions: list(1, FilteredChaincodeAction) });
const FilteredTransaction = message({ txId: str(1), type: int(2), txValidationCode: int(3), transactionActions: sub(4, FilteredTransactionActions) });
/** A block without contents: what Fabric gives to members that may not read whole blocks. */
export const FilteredBlock = message({ channelId: str(1), number: uint(2), filteredTransactions: list(4, FilteredTransaction) });

/** `peer.DeliverResponse`: a status ends the stream, otherwise one block. */
export const DeliverResponse = message({ status: optionalInt(1), block: sub(2, Block), filteredBlock: sub(3, FilteredBlock) });
/** The same message with the block left as its bytes, so that a block is decoded by whoever wants its parts. */
export const DeliverResponseBytes = message({ status: optionalInt(1), block: bytes(2) });
/** An entry of `map<uint64, rwset.TxPvtReadWriteSet>`: what a transaction of the block wrote privately. */
const PrivateEntry = message({ key: uint(1), value: sub(2, TxPvtReadWriteSet) });
/** `peer.BlockAndPrivateData` inside its DeliverResponse; the block as its bytes. */
export const PrivateDeliverResponse = message({ status: optionalInt(1), blockAndPrivateData: sub(4, message({ block: bytes(1), privateDataMap: list(2, PrivateEntry) })) });
/** `common.Status` */
export const deliverStatus = { success: 200, badRequest: 400, forbidden: 403, notFound: 404, serviceUnavailable: 503 } as const;

/** `google.rpc.Status`, as gRPC carries it in the trailer `grpc-status-details-bin`. */
const Any = message({ typeUrl: str(1), value: bytes(2) });
export const RpcStatus = message({ code: int(1), message: str(2), details: list(3, Any) });
