/** `healthkeep ledger restore`: a ledger's folder out of a backup or out of blocks, checked before it is there. */
import { join } from 'node:path';
import type { Json } from '#base/canonical-json.ts';
import { restoreFolder } from '#ledger/embedded/backup.ts';
import { rebuildFolder } from '#ledger/embedded/rebuild.ts';
import { CodedError } from '#base/errors.ts';
import { existsSync } from 'node:fs';
import type { Command } from '../command.ts';
import { pathOf } from '../context.ts';
import { factLines } from './ledger-verify.ts';

export const ledgerRestore: Command = {
  name: ['ledger', 'restore'],
  summary: 'Makes the ledger of a folder from a backup, or with --blocks from blocks alone; everything is checked before it gets its place.',
  options: {
    from: { type: 'string', value: 'DIR', summary: 'a backup; with --blocks also a damaged ledger folder or one with CHANNEL.blocks files', required: true },
    folder: { type: 'string', value: 'DIR', summary: 'the network\'s folder: the ledger goes to DIR/ledger, which must be new or empty', required: true },
    blocks: { type: 'boolean', summary: 'rebuild state from blocks; private values that are not there are counted' },
  },
  examples: ['healthkeep ledger restore --from backups/monday --folder demo', 'healthkeep ledger restore --from damaged --folder demo --blocks'],
  async run(context) {
    const from = pathOf(context, context.options['from']);
    if (!existsSync(from)) throw new CodedError('INPUT_UNREADABLE', 'The folder to restore from is not there.', { why: 'The system knows no such folder.', next: 'Check the name.' });
    const to = join(pathOf(context, context.options['folder']), 'ledger');
    const facts = await (context.options['blocks'] === true ? rebuildFolder : restoreFolder)({ from, to });
    const [first] = facts.findings;
    return {
      json: facts as unknown as Json,
      text: factLines(facts),
      errors: first === undefined ? [] : [new CodedError('LEDGER_DAMAGED', `What was rebuilt is damaged: ${first.file}, ${first.place}.`, { why: first.what, next: 'Use the blocks of another member.' })],
    };
  },
};
