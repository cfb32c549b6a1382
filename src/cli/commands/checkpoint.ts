/** `healthkeep checkpoint …`: what a person's device has seen of every channel, and the proof where two histories were shown. */
import type { Json } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import { fromUtf8 } from '#base/bytes.ts';
import type { CheckpointView, Compared } from '#device/checkpoints.ts';
import type { Command, CommandResult } from '../command.ts';
import { pathOf } from '../context.ts';
import { readInput, writeOutput } from '../files.ts';
import { table } from '../output.ts';
import { DEVICE_OPTIONS, withDevice } from '../person.ts';

const FORK_FILE = 'the file to write';

/** A fork is an error of the ledger, said after what was found; its code is the exit code. */
function forksOf(views: readonly CheckpointView[]): CodedError[] {
  return views.flatMap(({ channel, problem }) => (problem === undefined ? [] : [new CodedError(problem, `The channel ${channel} is left alone.`)]));
}

export const checkpointShow: Command = {
  name: ['checkpoint', 'show'],
  summary: 'Exchanges checkpoints with members, then shows the newest of every channel and who signed it.',
  options: DEVICE_OPTIONS,
  examples: ['healthkeep checkpoint show --folder demo/people/1', 'healthkeep checkpoint show --folder demo/people/1 --json'],
  run: (context) =>
    withDevice(context, false, async ({ device }): Promise<CommandResult> => {
      await device.watch();
      const views = await device.checkpoints();
      const rows = views.map(({ channel, leaves, blocks, trees, growth, problem, fork }) => [channel, String(leaves), String(blocks), trees.join(' '), growth.join(' '), problem ?? (fork === undefined ? 'sound' : `sound; ${fork.convicted.join(' ')} signed two histories`)]);
      return {
        json: views.map(({ fork, note: _, ...view }) => ({ ...view, ...(fork === undefined ? {} : { convicted: fork.convicted }) })) as unknown as Json,
        text: views.length === 0 ? ['No checkpoint has been signed by enough members yet.'] : table([['channel', 'leaves', 'blocks', 'signed by (own tree)', 'growth seen by', ''], ...rows]),
        errors: forksOf(views),
      };
    }),
};

const SENTENCES: Readonly<Record<Compared, string>> = {
  pinned: 'It is newer, grew out of the one kept here, and is kept now.',
  fits: 'It lies on the line of the one kept here.',
  ignored: 'No member that runs the channel signed it: it says nothing.',
  unproven: 'Nobody could show how it and the one kept here hang together.',
  fork: 'It and the one kept here cannot both be true. Write the proof with healthkeep checkpoint evidence.',
};

export const checkpointCompare: Command = {
  name: ['checkpoint', 'compare'],
  summary: 'Holds a checkpoint that somebody else was shown against the one this device keeps.',
  arguments: [{ name: 'FILE', summary: 'the checkpoint note' }],
  options: DEVICE_OPTIONS,
  examples: ['healthkeep checkpoint compare note.txt --folder demo/people/1'],
  run: (context) =>
    withDevice(context, false, async ({ device }): Promise<CommandResult> => {
      const compared = await device.compareCheckpoint(fromUtf8(readInput(pathOf(context, context.words[0]))));
      const error = compared === 'fork' ? [new CodedError('CHECKPOINT_FORKED', SENTENCES.fork)] : compared === 'unproven' ? [new CodedError('CHECKPOINT_UNPROVEN', SENTENCES.unproven)] : compared === 'ignored' ? [new CodedError('CHECKPOINT_INVALID', SENTENCES.ignored)] : [];
      return { json: { compared }, text: error.length === 0 ? [SENTENCES[compared]] : [], errors: error };
    }),
};

export const checkpointEvidence: Command = {
  name: ['checkpoint', 'evidence'],
  summary: 'Writes the proof that two histories of a channel were shown: anybody can check it offline.',
  arguments: [{ name: 'CHANNEL', summary: 'the channel, such as drc' }, { name: 'FILE', summary: FORK_FILE }],
  options: DEVICE_OPTIONS,
  examples: ['healthkeep checkpoint evidence drc fork.json --folder demo/people/1', 'healthkeep proof verify fork.json --genesis genesis.json'],
  run: (context) =>
    withDevice(context, false, async ({ device }): Promise<CommandResult> => {
      const [channel, file] = context.words as [string, string];
      const found = (await device.checkpoints()).find((view) => view.channel === channel)?.fork;
      if (found === undefined) throw new CodedError('FORK_NONE', 'This device has seen one history of that channel only.', { next: 'List the channels with healthkeep checkpoint show.' });
      writeOutput(pathOf(context, file), `${JSON.stringify(found.evidence, null, 2)}\n`);
      return { json: { channel, convicted: found.convicted as unknown as Json, written: true }, text: ['Written. Check it offline: node verifier/verify.ts fork.json --genesis genesis.json'] };
    }),
};

export const checkpointNote: Command = {
  name: ['checkpoint', 'note'],
  summary: 'Writes the newest checkpoint of a channel, for somebody else to compare.',
  arguments: [{ name: 'CHANNEL', summary: 'the channel, such as drc' }, { name: 'FILE', summary: FORK_FILE }],
  options: DEVICE_OPTIONS,
  examples: ['healthkeep checkpoint note drc note.txt --folder demo/people/1'],
  run: (context) =>
    withDevice(context, false, async ({ device }): Promise<CommandResult> => {
      const [channel, file] = context.words as [string, string];
      const found = (await device.checkpoints()).find((view) => view.channel === channel);
      if (found === undefined) throw new CodedError('CHECKPOINT_UNKNOWN', 'This device keeps no checkpoint of that channel.', { next: 'List the channels with healthkeep checkpoint show.' });
      writeOutput(pathOf(context, file), found.note);
      return { json: { channel, leaves: found.leaves, written: true }, text: ['Written.'] };
    }),
};
