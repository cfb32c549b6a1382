import { describe, expect, it } from 'vitest';
import { assert, CodedError, isCoded } from './errors.ts';
import { codeOf } from './code-of.test-kit.ts';

describe('coded errors', () => {
  it('carry code, sentence and details on the wire, and nothing of their cause', () => {
    const error = new CodedError('SLOT_SPENT', 'The slot was used.', { next: 'Ask for another.', slot: 'abc' }, { cause: new Error('CANARY') });
    expect(JSON.parse(JSON.stringify(error))).toEqual({ code: 'SLOT_SPENT', message: 'The slot was used.', details: { next: 'Ask for another.', slot: 'abc' } });
    expect((error.cause as Error).message).toBe('CANARY');
  });

  it('are told from other errors, by code when asked', () => {
    const error = new CodedError('A_CODE', 'What happened.');
    expect([isCoded(error), isCoded(error, 'A_CODE'), isCoded(error, 'B_CODE'), isCoded(new Error('A_CODE')), isCoded({ name: 'CodedError', code: 'A_CODE' }), isCoded(undefined)]).toEqual([true, true, false, false, false, false]);
  });

  it('assert stops at a broken invariant only', () => {
    expect(codeOf(() => assert(true, 'one is one'))).toBe('nothing thrown');
    expect(codeOf(() => assert(0, 'zero is true'))).toBe('INTERNAL_INVARIANT');
  });
});
