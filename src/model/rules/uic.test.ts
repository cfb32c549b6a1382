import { describe, expect, it } from 'vitest';
import { decidePutEntry } from './uic.ts';

describe('an index entry', () => {
  it.each([
    [false, false, 'allowed'],
    [true, false, 'ENTRY_EXISTS'],
    [false, true, 'CERTIFICATE_REUSED'],
    [true, true, 'ENTRY_EXISTS'],
  ])('tag taken %s, certificate used %s: %s', (tagTaken, certificateUsed, expected) => {
    const verdict = decidePutEntry({ tagTaken, certificateUsed });
    expect(verdict.allow ? 'allowed' : verdict.because).toBe(expected);
  });
});
