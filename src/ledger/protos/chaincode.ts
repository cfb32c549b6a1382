/** What a peer and a contract in another process say to each other (fabric-protos `peer/chaincode_shim.proto`, `ledger/queryresult/kv_query_result.proto`). */
import { Timestamp } from './common.ts';
import { ChaincodeEventMessage, SignedProposal } from './peer.ts';
import { bool, bytes, int, list, message, str, sub, type Of } from '../wire.ts';

/** `ChaincodeMessage.Type` */
export const chaincodeMessageType = {
  register: 1, registered: 2, init: 3, ready: 4, transaction: 5, completed: 6, error: 7, getState: 8, putState: 9, delState: 10, invokeChaincode: 11, response: 13, getStateByRange: 14, getQueryResult: 15, queryStateNext: 16,
  queryStateClose: 17, keepalive: 18, getHistoryForKey: 19, getStateMetadata: 20, putStateMetadata: 21, getPrivateDataHash: 22, purgePrivateData: 23,
} as const;

/** The message both directions carry; `payload` is one of the messages below, or text for an error. */
export const ChaincodeMessage = message({ type: int(1), timestamp: sub(2, Timestamp), payload: bytes(3), txid: str(4), proposal: sub(5, SignedProposal), chaincodeEvent: sub(6, ChaincodeEventMessage), channelId: str(7) });
export type ChaincodeMessage = Of<typeof ChaincodeMessage>;

/** GetState, DelState, GetStateMetadata, GetPrivateDataHash and PurgePrivateState have the same two fields. An empty collection is public state. */
export const StateKey = message({ key: str(1), collection: str(2) });
export const PutState = message({ key: str(1), value: bytes(2), collection: str(3) });
export const StateMetadata = message({ metakey: str(1), value: bytes(2) });
export const PutStateMetadata = message({ key: str(1), collection: str(3), metadata: sub(4, StateMetadata) });
export const StateMetadataResult = message({ entries: list(1, StateMetadata) });
export const GetStateByRange = message({ startKey: str(1), endKey: str(2), collection: str(3), metadata: bytes(4) });
export const QueryMetadata = message({ pageSize: int(1), bookmark: str(2) });
export const GetHistoryForKey = message({ key: str(1) });
/** QueryStateNext and QueryStateClose. */
export const QueryStateId = message({ id: str(1) });
export const QueryResultBytes = message({ resultBytes: bytes(1) });
export const QueryResponse = message({ results: list(1, QueryResultBytes), hasMore: bool(2), id: str(3), metadata: bytes(4) });
export const QueryResponseMetadata = message({ fetchedRecordsCount: int(1), bookmark: str(2) });

/** `queryresult.KV` */
export const QueriedRow = message({ namespace: str(1), key: str(2), value: bytes(3) });
/** `queryresult.KeyModification` */
export const QueriedModification = message({ txId: str(1), value: bytes(2), timestamp: sub(3, Timestamp), isDelete: bool(4) });
