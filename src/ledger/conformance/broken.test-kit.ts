/** Contracts that do not keep to the port, for a process of their own. */
import { CodedError } from '#base/errors.ts';
import type { Chaincode } from '../stub.ts';

/** Lets a coded error out. */
export const thrower: Chaincode = { Invoke: () => Promise.reject(new CodedError('PROBE_THREW', 'The contract let its exception out.', { next: 'Nothing.' })) };

/** Lets any other error out. */
export const crasher: Chaincode = { Invoke: () => Promise.reject(new Error('the contract broke')) };
