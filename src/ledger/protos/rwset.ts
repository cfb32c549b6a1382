/** Read/write sets (fabric-protos `ledger/rwset/rwset.proto` and `kv_rwset.proto`): what a simulation read and wants written. */
import { bool, bytes, bytesList, int, list, message, str, sub, uint, type Of } from '../wire.ts';

/** Height at which a key was last written; absent when the key did not exist. */
export const Version = message({ blockNum: uint(1), txNum: uint(2) });
export type Version = Of<typeof Version>;

export const KVRead = message({ key: str(1), version: sub(2, Version) });
export type KVRead = Of<typeof KVRead>;
export const QueryReads = message({ kvReads: list(1, KVRead) });
export const QueryReadsMerkleSummary = message({ maxDegree: uint(1), maxLevel: uint(2), maxLevelHashes: bytesList(3) });
export const RangeQueryInfo = message({
  startKey: str(1), endKey: str(2), itrExhausted: bool(3), rawReads: sub(4, QueryReads), readsMerkleHashes: sub(5, QueryReadsMerkleSummary),
});
export type RangeQueryInfo = Of<typeof RangeQueryInfo>;
export const KVWrite = message({ key: str(1), isDelete: bool(2), value: bytes(3) });
export type KVWrite = Of<typeof KVWrite>;
export const KVMetadataEntry = message({ name: str(1), value: bytes(2) });
export const KVMetadataWrite = message({ key: str(1), entries: list(2, KVMetadataEntry) });
export const KVRWSet = message({ reads: list(1, KVRead), rangeQueriesInfo: list(2, RangeQueryInfo), writes: list(3, KVWrite), metadataWrites: list(4, KVMetadataWrite) });
export type KVRWSet = Of<typeof KVRWSet>;

export const KVReadHash = message({ keyHash: bytes(1), version: sub(2, Version) });
export const KVWriteHash = message({ keyHash: bytes(1), isDelete: bool(2), valueHash: bytes(3), isPurge: bool(4) });
export const HashedRWSet = message({ hashedReads: list(1, KVReadHash), hashedWrites: list(2, KVWriteHash) });
export type HashedRWSet = Of<typeof HashedRWSet>;

export const CollectionHashedReadWriteSet = message({ collectionName: str(1), hashedRwset: bytes(2), pvtRwsetHash: bytes(3) });
export const NsReadWriteSet = message({ namespace: str(1), rwset: bytes(2), collectionHashedRwset: list(3, CollectionHashedReadWriteSet) });
/** `dataModel` 0 is KV, the only one there is. */
export const TxReadWriteSet = message({ dataModel: int(1), nsRwset: list(2, NsReadWriteSet) });

export const CollectionPvtReadWriteSet = message({ collectionName: str(1), rwset: bytes(2) });
export const NsPvtReadWriteSet = message({ namespace: str(1), collectionPvtRwset: list(2, CollectionPvtReadWriteSet) });
export const TxPvtReadWriteSet = message({ dataModel: int(1), nsPvtRwset: list(2, NsPvtReadWriteSet) });
export type TxPvtReadWriteSet = Of<typeof TxPvtReadWriteSet>;

/** Metadata name under which a key's own endorsement policy is kept. */
export const VALIDATION_PARAMETER = 'VALIDATION_PARAMETER';
