/** SQLite's refusals and the system's, in our words. Source of the numbers: https://www.sqlite.org/rescode.html */
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CodedError } from '#base/errors.ts';
import { folderError, storeError } from './store-error.ts';

const where = { channel: 'one', file: join(tmpdir(), 'one.sqlite') };
const sqlite = (errcode: number): Error => Object.assign(new Error('SQLite says no'), { code: 'ERR_SQLITE_ERROR', errcode });
const system = (code: string): Error => Object.assign(new Error(code), { code, syscall: 'open' });

describe('an error of a file', () => {
  it.each([
    ['a full disk', 13, 'LEDGER_DISK_FULL'],
    ['a damaged page', 11, 'LEDGER_CORRUPT'],
    ['no database', 26, 'LEDGER_CORRUPT'],
    ['a failed read', 266, 'LEDGER_STORAGE'],
    ['a failed write', 778, 'LEDGER_STORAGE'],
    ['a failed sync, which is no full disk whatever the disk says', 1034, 'LEDGER_STORAGE'],
    ['a failed sync of a folder', 1290, 'LEDGER_STORAGE'],
    ['a file that cannot be opened', 14, 'LEDGER_STORAGE'],
    ['a file that could only be opened for reading', 8, 'LEDGER_STORAGE'],
    ['the same when a lock cannot be had', 8 + (3 << 8), 'LEDGER_STORAGE'],
  ])('%s has its code, and names channel and file', (_name, errcode, code) => {
    expect(storeError(sqlite(errcode), where)).toMatchObject({ code, details: where });
  });

  it('that is none of these passes unchanged', () => {
    const [constraint, other, coded] = [sqlite(19), new TypeError('other'), new CodedError('LEDGER_CLOSED', 'Closed.')];
    for (const error of [constraint, other, coded]) expect(storeError(error, where)).toBe(error);
  });
});

describe('an error of a folder', () => {
  it.each([['EIO', 'LEDGER_STORAGE'], ['EACCES', 'LEDGER_STORAGE'], ['ENOSPC', 'LEDGER_DISK_FULL']])('%s has its code', (code, expected) => {
    expect(folderError(system(code), 'folder')).toMatchObject({ code: expected, details: { folder: 'folder', why: `${code} on open` } });
  });

  it('that is none passes unchanged', () => {
    const other = new TypeError('other');
    expect(folderError(other, 'folder')).toBe(other);
  });
});
