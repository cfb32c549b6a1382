/** `healthkeep ledger backup`: a copy of a ledger that may be running. */
import type { Json } from '#base/canonical-json.ts';
import { backupFolder } from '#ledger/embedded/backup.ts';
import { systemClock } from '#sim/seams.ts';
import type { Command } from '../command.ts';
import { pathOf } from '../context.ts';
import { ledgerFolderOf } from '../ledger-folder.ts';
import { table } from '../output.ts';

export const ledgerBackup: Command = {
  name: ['ledger', 'backup'],
  summary: 'Copies a ledger into a new folder while it may go on writing: one height per channel, with a manifest of digests.',
  options: {
    folder: { type: 'string', value: 'DIR', summary: 'the folder of a network or of its ledger', required: true },
    to: { type: 'string', value: 'DIR', summary: 'a new or empty folder', required: true },
    blocks: { type: 'boolean', summary: 'blocks only, without private values: to hand to another member' },
  },
  examples: ['healthkeep ledger backup --folder demo --to backups/monday', 'healthkeep ledger backup --folder demo --to blocks --blocks'],
  async run(context) {
    const { channels, madeAt } = await backupFolder({
      folder: ledgerFolderOf(pathOf(context, context.options['folder'])), to: pathOf(context, context.options['to']), clock: systemClock, blocksOnly: context.options['blocks'] === true,
    });
    return { json: { madeAt, channels } as unknown as Json, text: table([['file', 'blocks', 'bytes', 'SHA-256'], ...channels.map((one) => [one.file, String(one.height), String(one.bytes), one.sha256])]) };
  },
};
