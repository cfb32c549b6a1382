/** `healthkeep ledger verify`: is every byte that a ledger stores what was written? */
import type { Json } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import { holdLedger } from '#ledger/embedded/backup.ts';
import { checkFolder, type FolderFacts, type Finding } from '#ledger/embedded/corruption.ts';
import type { Command } from '../command.ts';
import { pathOf } from '../context.ts';
import { ledgerFolderOf } from '../ledger-folder.ts';
import { table } from '../output.ts';

export const ledgerVerify: Command = {
  name: ['ledger', 'verify'],
  summary: 'Checks a ledger\'s folder as a whole: files, blocks, chain, state judged again, private values; names what is damaged.',
  options: { folder: { type: 'string', value: 'DIR', summary: 'the folder of a network or of its ledger; a process may have it open', required: true } },
  examples: ['healthkeep ledger verify --folder demo', 'healthkeep ledger verify --folder demo --json'],
  async run(context) {
    const folder = ledgerFolderOf(pathOf(context, context.options['folder']));
    const { live, release } = holdLedger(folder);
    try {
      const facts = await checkFolder({ folder, live });
      const [first] = facts.findings;
      return {
        json: { live, ...facts } as unknown as Json,
        text: factLines(facts),
        errors: first === undefined ? [] : [new CodedError('LEDGER_DAMAGED', `The ledger is damaged: ${first.file}, ${first.place}.`, { why: first.what, next: 'Restore a backup (healthkeep ledger restore), or rebuild the state from blocks (healthkeep ledger restore --blocks).' })],
      };
    } finally {
      release();
    }
  },
};

const lineOf = (kind: string) => ({ file, place, what }: Finding): readonly string[] => [kind, file, place, what];

/** What a check found, for people. */
export function factLines({ channels, findings, remarks }: FolderFacts): string[] {
  const rows = [['channel', 'blocks', 'transactions', 'commit hash'], ...channels.map((one) => [one.channel, String(one.height), String(one.transactions), one.commitHash])];
  return [...(channels.length === 0 ? [] : table(rows)), ...table([...findings.map(lineOf('damaged')), ...remarks.map(lineOf('remark'))]), findings.length === 0 ? 'Everything is what was written.' : `${findings.length} findings.`];
}
