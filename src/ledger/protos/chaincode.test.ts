/** The chaincode protocol's tables against the official bindings: same bytes out, same meaning in. */
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { ledger, peer } from '@hyperledger/fabric-protos';
import { toHex } from '#base/bytes.ts';
import { ChaincodeMessage, chaincodeMessageType, GetHistoryForKey, GetStateByRange, PutState, PutStateMetadata, QueriedModification, QueriedRow, QueryMetadata, QueryResponse, QueryResponseMetadata, QueryStateId, StateKey, StateMetadataResult } from './chaincode.ts';

const text = fc.string({ unit: 'binary', maxLength: 30 });
const bytes = fc.uint8Array({ maxLength: 100 });
const count = fc.integer({ min: 0, max: 2 ** 31 - 1 });

/** Their bindings read our bytes and write them again. */
const again = (type: { deserializeBinary(bytes: Uint8Array): { serializeBinary(): Uint8Array } }, ours: Uint8Array): void => expect(toHex(type.deserializeBinary(ours).serializeBinary())).toBe(toHex(ours));

describe('messages between peer and contract', () => {
  it('have the numbers that Fabric gives them', () => {
    const theirs = peer.ChaincodeMessage.Type as unknown as Readonly<Record<string, number>>;
    for (const [name, number] of Object.entries(chaincodeMessageType)) expect([name, theirs[name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()]]).toEqual([name, number]);
  });

  it('are the same bytes, field by field', () => {
    fc.assert(fc.property(text, text, bytes, text, count, fc.boolean(), (key, collection, value, id, number, flag) => {
      const message = ChaincodeMessage.encode({ type: 5, timestamp: { seconds: number, nanos: 1 }, payload: value, txid: id, proposal: { proposalBytes: value, signature: value }, chaincodeEvent: { chaincodeId: id, txId: id, eventName: key, payload: value }, channelId: collection });
      again(peer.ChaincodeMessage, message);
      const theirs = peer.ChaincodeMessage.deserializeBinary(message);
      expect([theirs.getType(), theirs.getTxid(), theirs.getChannelId(), toHex(theirs.getPayload_asU8()), toHex(theirs.getProposal()?.getProposalBytes_asU8() ?? new Uint8Array(0)), theirs.getChaincodeEvent()?.getEventName()]).toEqual([5, id, collection, toHex(value), toHex(value), key]);
      const put = peer.PutState.deserializeBinary(PutState.encode({ key, value, collection }));
      expect([put.getKey(), toHex(put.getValue_asU8()), put.getCollection()]).toEqual([key, toHex(value), collection]);
      for (const type of [peer.GetState, peer.DelState, peer.GetStateMetadata, peer.PurgePrivateState]) {
        const read = type.deserializeBinary(StateKey.encode({ key, collection }));
        expect([read.getKey(), read.getCollection()]).toEqual([key, collection]);
      }
      const metadata = peer.PutStateMetadata.deserializeBinary(PutStateMetadata.encode({ key, collection, metadata: { metakey: id, value } }));
      expect([metadata.getKey(), metadata.getCollection(), metadata.getMetadata()?.getMetakey(), toHex(metadata.getMetadata()?.getValue_asU8() ?? new Uint8Array(0))]).toEqual([key, collection, id, toHex(value)]);
      const range = peer.GetStateByRange.deserializeBinary(GetStateByRange.encode({ startKey: key, endKey: id, collection, metadata: value }));
      expect([range.getStartkey(), range.getEndkey(), range.getCollection(), toHex(range.getMetadata_asU8())]).toEqual([key, id, collection, toHex(value)]);
      const response = peer.QueryResponse.deserializeBinary(QueryResponse.encode({ results: [{ resultBytes: value }, { resultBytes: new Uint8Array(0) }], hasMore: flag, id, metadata: value }));
      expect([response.getResultsList().map((result) => toHex(result.getResultbytes_asU8())), response.getHasMore(), response.getId(), toHex(response.getMetadata_asU8())]).toEqual([[toHex(value), ''], flag, id, toHex(value)]);
      const row = ledger.queryresult.KV.deserializeBinary(QueriedRow.encode({ namespace: id, key, value }));
      expect([row.getNamespace(), row.getKey(), toHex(row.getValue_asU8())]).toEqual([id, key, toHex(value)]);
      const change = ledger.queryresult.KeyModification.deserializeBinary(QueriedModification.encode({ txId: id, value, timestamp: { seconds: number, nanos: 7 }, isDelete: flag }));
      expect([change.getTxId(), toHex(change.getValue_asU8()), change.getTimestamp()?.getSeconds(), change.getIsDelete()]).toEqual([id, toHex(value), number, flag]);
      again(peer.QueryMetadata, QueryMetadata.encode({ pageSize: number, bookmark: key }));
      again(peer.QueryResponseMetadata, QueryResponseMetadata.encode({ fetchedRecordsCount: number, bookmark: key }));
      again(peer.GetHistoryForKey, GetHistoryForKey.encode({ key }));
      again(peer.QueryStateNext, QueryStateId.encode({ id }));
      again(peer.StateMetadataResult, StateMetadataResult.encode({ entries: [{ metakey: key, value }] }));
    }), { numRuns: 60 });
  });
});
