/** Our message tables against the official bindings of Fabric's protobuf files: same bytes out, same meaning in. */
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { common, gateway, ledger, msp, peer } from '@hyperledger/fabric-protos';
// @ts-expect-error the package has no types
import timestampPb from 'google-protobuf/google/protobuf/timestamp_pb.js';
import { toHex, utf8 } from '#base/bytes.ts';
import { Block, ChannelHeader, SerializedIdentity } from './protos/common.ts';
import { MspRole, SignaturePolicyEnvelope } from './protos/config.ts';
import { DeliverResponse, EndorseRequest, SeekInfo } from './protos/gateway.ts';
import { ChaincodeInvocationSpec, ChaincodeProposalPayload, ProposalResponse } from './protos/peer.ts';
import { HashedRWSet, KVRWSet, TxReadWriteSet } from './protos/rwset.ts';
import { bool, bytes, dict, int, list, message, optionalInt, str, strList, sub, uint } from './wire.ts';
import { genesisConfig } from './embedded/genesis.ts';
import { Config } from './protos/config.ts';

const bytesArbitrary = fc.uint8Array({ maxLength: 300 });
const text = fc.string({ unit: 'binary', maxLength: 40 });
const count = fc.integer({ min: 0, max: 2 ** 31 - 1 });

describe('messages', () => {
  it('channel headers', () => {
    fc.assert(fc.property(fc.record({ type: count, seconds: count, nanos: fc.integer({ min: 0, max: 999_999_999 }), channelId: text, txId: text, extension: bytesArbitrary }), (one) => {
      const theirs = new common.ChannelHeader();
      theirs.setType(one.type as never);
      theirs.setChannelId(one.channelId);
      theirs.setTxId(one.txId);
      theirs.setExtension$(one.extension);
      const time = new timestampPb.Timestamp();
      time.setSeconds(one.seconds);
      time.setNanos(one.nanos);
      theirs.setTimestamp(time);
      const ours = ChannelHeader.encode({ type: one.type, timestamp: { seconds: one.seconds, nanos: one.nanos }, channelId: one.channelId, txId: one.txId, extension: one.extension });
      expect(toHex(ours)).toBe(toHex(theirs.serializeBinary()));
      expect(ChannelHeader.decode(ours)).toMatchObject({ type: one.type, channelId: one.channelId, timestamp: { seconds: one.seconds, nanos: one.nanos } });
    }), { numRuns: 50 });
  });

  it('read and write sets', () => {
    const version = fc.option(fc.record({ blockNum: count, txNum: count }), { nil: undefined });
    const set = fc.record({
      reads: fc.array(fc.record({ key: text, version }), { maxLength: 5 }), writes: fc.array(fc.record({ key: text, isDelete: fc.boolean(), value: bytesArbitrary }), { maxLength: 5 }),
      ranges: fc.array(fc.record({ startKey: text, endKey: text, itrExhausted: fc.boolean(), keys: fc.array(text, { maxLength: 3 }) }), { maxLength: 2 }),
    });
    fc.assert(fc.property(set, ({ reads, writes, ranges }) => {
      const rangeQueriesInfo = ranges.map(({ keys, ...range }) => ({ ...range, rawReads: { kvReads: keys.map((key) => ({ key, version: undefined })) } }));
      const ours = KVRWSet.encode({ reads, writes, rangeQueriesInfo });
      const theirs = ledger.rwset.kvrwset.KVRWSet.deserializeBinary(ours);
      expect(theirs.getReadsList().map((read) => [read.getKey(), read.getVersion()?.getBlockNum(), read.getVersion()?.getTxNum()])).toEqual(reads.map((read) => [read.key, read.version?.blockNum, read.version?.txNum]));
      expect(theirs.getWritesList().map((write) => [write.getKey(), write.getIsDelete(), toHex(write.getValue_asU8())])).toEqual(writes.map((write) => [write.key, write.isDelete, toHex(write.value)]));
      expect(theirs.getRangeQueriesInfoList().map((range) => [range.getStartKey(), range.getEndKey(), range.getItrExhausted(), range.getRawReads()?.getKvReadsList().map((read) => read.getKey())])).toEqual(ranges.map((range) => [range.startKey, range.endKey, range.itrExhausted, range.keys]));
      expect(toHex(theirs.serializeBinary())).toBe(toHex(ours));
      expect(KVRWSet.decode(theirs.serializeBinary()).writes).toHaveLength(writes.length);
    }), { numRuns: 50 });
  });

  it('maps, oneofs, negative enums and nested lists', () => {
    const payload = ChaincodeProposalPayload.encode({ input: utf8('in'), transientMap: new Map([['b', utf8('2')], ['a', utf8('1')]]) });
    const map = peer.ChaincodeProposalPayload.deserializeBinary(payload).getTransientmapMap();
    expect([map.get('a'), map.get('b')].map((value) => Buffer.from(value as Uint8Array).toString())).toEqual(['1', '2']);
    expect([...ChaincodeProposalPayload.decode(payload).transientMap.keys()]).toEqual(['a', 'b']);

    const policy = SignaturePolicyEnvelope.encode({ rule: { nOutOf: { n: 1, rules: [{ signedBy: 0 }, { nOutOf: { n: 2, rules: [{ signedBy: 0 }, { signedBy: 1 }] } }] } }, identities: [{ principal: MspRole.encode({ mspIdentifier: 'A', role: 3 }) }] });
    const rules = common.SignaturePolicyEnvelope.deserializeBinary(policy).getRule()?.getNOutOf()?.getRulesList() ?? [];
    expect(rules.map((rule) => [rule.getTypeCase(), rule.getSignedBy(), rule.getNOutOf()?.getRulesList().length])).toEqual([[1, 0, undefined], [2, 0, 2]]);

    const status = new peer.DeliverResponse();
    status.setStatus(common.Status.FORBIDDEN);
    expect(DeliverResponse.decode(status.serializeBinary())).toMatchObject({ status: 403, block: undefined });
    const seek = SeekInfo.encode({ start: { oldest: {} }, stop: { specified: { number: Number.MAX_SAFE_INTEGER } } });
    expect(SeekInfo.decode(seek)).toMatchObject({ start: { oldest: {}, newest: undefined }, stop: { specified: { number: Number.MAX_SAFE_INTEGER } } });
  });

  it('requests and answers of the gateway', () => {
    const ours = EndorseRequest.encode({ transactionId: 'id', channelId: 'ch', proposedTransaction: { proposalBytes: utf8('p'), signature: utf8('s') }, endorsingOrganizations: ['A', 'B'] });
    const theirs = gateway.EndorseRequest.deserializeBinary(ours);
    expect([theirs.getTransactionId(), theirs.getChannelId(), theirs.getEndorsingOrganizationsList(), Buffer.from(theirs.getProposedTransaction()?.getSignature_asU8() ?? []).toString()]).toEqual(['id', 'ch', ['A', 'B'], 's']);
    expect(toHex(theirs.serializeBinary())).toBe(toHex(ours));
    const spec = ChaincodeInvocationSpec.encode({ chaincodeSpec: { type: 2, chaincodeId: { name: 'cc' }, input: { args: [utf8('a'), new Uint8Array(0), utf8('c')] } } });
    expect(peer.ChaincodeInvocationSpec.deserializeBinary(spec).getChaincodeSpec()?.getInput()?.getArgsList_asU8().map((arg) => arg.length)).toEqual([1, 0, 1]);
    const response = new peer.ProposalResponse();
    const body = new peer.Response();
    body.setStatus(-1);
    response.setResponse(body);
    expect(ProposalResponse.decode(response.serializeBinary()).response?.status).toBe(-1);
  });

  it('a whole configuration reads back through the official bindings', () => {
    const config = genesisConfig({ name: 'x', orgs: [{ mspId: 'A', rootCertificate: 'pem a' }, { mspId: 'B', rootCertificate: 'pem b' }], peers: ['A'], needed: 1 }, { mspId: 'O', rootCertificate: 'pem o' });
    const theirs = common.Config.deserializeBinary(Config.encode(config));
    const application = theirs.getChannelGroup()?.getGroupsMap().get('Application');
    expect(application?.getGroupsMap().toObject(false, () => '').map(([name]: [string, unknown]) => name)).toEqual(['A', 'B']);
    const value = application?.getGroupsMap().get('A')?.getValuesMap().get('MSP')?.getValue_asU8() ?? new Uint8Array(0);
    const mspConfig = msp.FabricMSPConfig.deserializeBinary(msp.MSPConfig.deserializeBinary(value).getConfig_asU8());
    expect([mspConfig.getName(), Buffer.from(mspConfig.getRootCertsList_asU8()[0] ?? []).toString(), mspConfig.getFabricNodeOus()?.getPeerOuIdentifier()?.getOrganizationalUnitIdentifier()]).toEqual(['A', 'pem a', 'peer']);
    const endorsement = application?.getPoliciesMap().get('Endorsement')?.getPolicy();
    expect(endorsement?.getType()).toBe(common.Policy.PolicyType.SIGNATURE);
    expect(toHex(Config.encode(Config.decode(Config.encode(config))))).toBe(toHex(Config.encode(config)));
  });
});

describe('the wire format', () => {
  const Inner = message({ a: uint(1), b: str(2) });
  const All = message({ n: uint(1), i: int(2), o: optionalInt(3), t: str(4), y: bytes(5), f: bool(6), m: sub(7, Inner), l: list(8, Inner), s: strList(9), d: dict(10, uint(2)) });
  const value = fc.record({
    n: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }), i: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), o: fc.option(fc.integer({ min: 0, max: 100 }), { nil: undefined }), t: text, y: bytesArbitrary, f: fc.boolean(),
    m: fc.option(fc.record({ a: count, b: text }), { nil: undefined }), l: fc.array(fc.record({ a: count, b: text }), { maxLength: 4 }), s: fc.array(text, { maxLength: 4 }), d: fc.dictionary(text, count, { maxKeys: 4 }).map((entries) => new Map(Object.entries(entries))),
  });

  it('round trips every kind of field', () => {
    fc.assert(fc.property(value, (one) => {
      const back = All.decode(All.encode(one));
      expect({ ...back, y: toHex(back.y) }).toEqual({ ...one, y: toHex(one.y) });
    }), { numRuns: 300 });
  });

  it('gives equal bytes for equal values, whatever the order of a map', () => {
    const left = All.encode({ d: new Map([['x', 1], ['a', 2]]) });
    expect(toHex(All.encode({ d: new Map([['a', 2], ['x', 1]]) }))).toBe(toHex(left));
  });

  it('skips fields it does not know', () => {
    const Wider = message({ n: uint(1), extra: str(40), more: bytes(41) });
    expect(All.decode(Wider.encode({ n: 7, extra: 'x', more: utf8('y') })).n).toBe(7);
  });

  it('ends in LEDGER_MALFORMED or a value, on any bytes, never otherwise', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
      for (const type of [All, Block, TxReadWriteSet, HashedRWSet, SerializedIdentity]) {
        try {
          type.decode(noise);
        } catch (error) {
          expect(error).toMatchObject({ code: 'LEDGER_MALFORMED' });
        }
      }
    }), { numRuns: 500 });
  });

  it.each([
    ['a field longer than the message', '2205616263'],
    ['a varint without end', '08ffffffffffffffffffff01'],
    ['a cut varint', '0880'],
    ['a string that is no UTF-8', '2202c328'],
    ['a wire type that does not exist', '0f'],
    ['bytes where a number should be', '0a0161'],
  ])('refuses %s', (_name, hex) => {
    expect(() => All.decode(Uint8Array.from(Buffer.from(hex, 'hex')))).toThrow(expect.objectContaining({ code: 'LEDGER_MALFORMED' }));
  });
});
