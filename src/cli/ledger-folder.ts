/** Where the ledger of a folder lies, for commands that read its files without starting it. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CodedError } from '#base/errors.ts';

/** The folder itself when it holds channels, otherwise `ledger` in it. @throws CodedError FOLDER_NOT_A_NETWORK */
export function ledgerFolderOf(path: string): string {
  const found = [path, join(path, 'ledger')].find((folder) => existsSync(join(folder, 'channels.txt')) || existsSync(join(folder, 'ledger.lock')));
  if (found === undefined) throw new CodedError('FOLDER_NOT_A_NETWORK', 'The folder holds no ledger.', { why: 'Neither it nor a folder "ledger" in it has channels.', next: 'Name the folder of a network or of its ledger.' });
  return found;
}
