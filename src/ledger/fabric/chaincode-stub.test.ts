/** What of our port fabric-shim's stub is by itself. The compiler is the test; the assertions keep the lists honest. */
import type { ChaincodeStub } from 'fabric-shim';
import { describe, expect, it } from 'vitest';
import type { ContractStub } from '../stub.ts';
import { portOf } from './chaincode-stub.ts';

/** Calls whose answers `portOf` reshapes: their iterators are no async iterables, or parts of the answer may be missing. */
type Reshaped = 'getStateByRange' | 'getStateByRangeWithPagination' | 'getStateByPartialCompositeKey' | 'getStateByPartialCompositeKeyWithPagination' | 'getHistoryForKey' | 'getPrivateDataByRange' | 'getPrivateDataByPartialCompositeKey' | 'invokeChaincode';
type AsItIs = Omit<ContractStub, Reshaped>;

const fits: ChaincodeStub extends AsItIs ? true : false = true;
const names: ContractStub extends Pick<ContractStub, keyof ContractStub & keyof ChaincodeStub> ? true : false = true;

describe('fabric-shim as the contracts\' port', () => {
  it('has every call of the port, most of them as they are', () => {
    expect([fits, names]).toEqual([true, true]);
  });

  it.each([
    ['a range that is refused at once', (port: ContractStub) => port.getStateByRange('\u0000a', 'b')],
    ['a page of no rows', (port: ContractStub) => port.getStateByRangeWithPagination('a', 'b', 0)],
    ['a composite key without type', (port: ContractStub) => port.getStateByPartialCompositeKey('', [])],
    ['the history of an empty key', (port: ContractStub) => port.getHistoryForKey('')],
  ])('%s can be iterated, and then says why', async (_name, ask) => {
    // The shim is never asked: any call of it would throw.
    const port = portOf({} as ChaincodeStub);
    await expect(ask(port)).rejects.toThrow(/null character|pageSize|non-zero length|non-empty/);
    await expect((async () => {
      for await (const _row of ask(port)) break;
    })()).rejects.toThrow(/null character|pageSize|non-zero length|non-empty/);
  });
});
