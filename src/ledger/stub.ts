/**
 * The port below: what a contract sees. A structural subset of fabric-shim's `ChaincodeStub` (Fabric 2.5), so that the
 * same contract runs in the embedded ledger and as chaincode-as-a-service. Semantics are Fabric's: reads see committed
 * state only (own writes are not visible), a missing key reads as zero bytes, writing zero bytes deletes, ranges are
 * `[start, end)` in UTF-8 byte order.
 */

export interface StateEntry {
  readonly key: string;
  readonly value: Uint8Array;
}

export interface KeyModification {
  readonly txId: string;
  readonly value: Uint8Array;
  readonly isDelete: boolean;
  readonly timestamp: { readonly seconds: { toNumber(): number } | number; readonly nanos: number };
}

/** Both an async iterable and, as in Fabric, an explicit iterator. */
export interface QueryIterator<T> extends AsyncIterable<T> {
  next(): Promise<{ readonly value: T; readonly done?: boolean }>;
  close(): Promise<void>;
}

export interface QueryPage<T> {
  readonly iterator: QueryIterator<T>;
  readonly metadata: { readonly fetchedRecordsCount: number; readonly bookmark: string };
}

export interface ContractStub {
  getFunctionAndParameters(): { readonly fcn: string; readonly params: string[] };
  getTxID(): string;
  getChannelID(): string;
  /** MSP id and PEM certificate bytes of the caller. */
  getCreator(): { readonly mspid: string; readonly idBytes: Uint8Array };
  getTransient(): Map<string, Uint8Array>;
  /** The client's claim; never trust it alone. */
  getTxTimestamp(): { readonly seconds: { toNumber(): number } | number; readonly nanos: number };
  getState(key: string): Promise<Uint8Array>;
  putState(key: string, value: Uint8Array): Promise<void>;
  deleteState(key: string): Promise<void>;
  setStateValidationParameter(key: string, policy: Uint8Array): Promise<void>;
  getStateValidationParameter(key: string): Promise<Uint8Array>;
  getStateByRange(startKey: string, endKey: string): Promise<QueryIterator<StateEntry>> & AsyncIterable<StateEntry>;
  getStateByRangeWithPagination(startKey: string, endKey: string, pageSize: number, bookmark?: string): Promise<QueryPage<StateEntry>> & AsyncIterable<StateEntry>;
  getStateByPartialCompositeKey(objectType: string, attributes: string[]): Promise<QueryIterator<StateEntry>> & AsyncIterable<StateEntry>;
  getStateByPartialCompositeKeyWithPagination(objectType: string, attributes: string[], pageSize: number, bookmark?: string): Promise<QueryPage<StateEntry>> & AsyncIterable<StateEntry>;
  getHistoryForKey(key: string): Promise<QueryIterator<KeyModification>> & AsyncIterable<KeyModification>;
  createCompositeKey(objectType: string, attributes: string[]): string;
  splitCompositeKey(key: string): { readonly objectType: string; readonly attributes: string[] };
  getPrivateData(collection: string, key: string): Promise<Uint8Array>;
  getPrivateDataHash(collection: string, key: string): Promise<Uint8Array>;
  putPrivateData(collection: string, key: string, value: Uint8Array): Promise<void>;
  deletePrivateData(collection: string, key: string): Promise<void>;
  purgePrivateData(collection: string, key: string): Promise<void>;
  getPrivateDataByRange(collection: string, startKey: string, endKey: string): Promise<QueryIterator<StateEntry>> & AsyncIterable<StateEntry>;
  getPrivateDataByPartialCompositeKey(collection: string, objectType: string, attributes: string[]): Promise<QueryIterator<StateEntry>> & AsyncIterable<StateEntry>;
  setPrivateDataValidationParameter(collection: string, key: string, policy: Uint8Array): Promise<void>;
  getPrivateDataValidationParameter(collection: string, key: string): Promise<Uint8Array>;
  setEvent(name: string, payload: Uint8Array): void;
  /** Same channel: shares the transaction. Other channel: read only. */
  invokeChaincode(chaincodeName: string, args: string[], channel: string): Promise<{ readonly status: number; readonly message: string; readonly payload: Uint8Array }>;
}

export interface ContractResponse {
  readonly status: number;
  readonly message: string;
  readonly payload: Uint8Array;
}

/** A contract as Fabric's low-level chaincode interface sees it: one function, so only its table decides what is callable. */
export interface Chaincode {
  Invoke(stub: ContractStub): Promise<ContractResponse>;
}
