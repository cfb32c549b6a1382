/** One command: a row of words, options, examples and what it runs. Help, parsing and suggestions are derived. */
import { parseArgs } from 'node:util';
import { CodedError } from '#base/errors.ts';
import type { Json } from '#base/canonical-json.ts';
import type { Streams } from './output.ts';

export interface Option {
  readonly type: 'string' | 'boolean';
  readonly summary: string;
  /** What stands for the value in help: DIR, FILE, N. */
  readonly value?: string;
  readonly required?: boolean;
}

export interface CommandContext {
  readonly streams: Streams;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly options: Readonly<Record<string, string | boolean | undefined>>;
  readonly words: readonly string[];
  readonly json: boolean;
  readonly signal: AbortSignal;
}

export interface CommandResult {
  readonly json: Json;
  readonly text: readonly string[];
  readonly exit?: number;
  /** What is wrong with what was found: said after the result, and its code is the exit code. */
  readonly errors?: readonly CodedError[];
}

export interface Command {
  /** Words after `healthkeep`, for example ['device', 'enrol']. */
  readonly name: readonly string[];
  readonly summary: string;
  readonly arguments?: readonly { readonly name: string; readonly summary: string; readonly optional?: boolean; readonly many?: boolean }[];
  readonly options: Readonly<Record<string, Option>>;
  readonly examples: readonly string[];
  /** Undefined when the command has printed what there is to print. */
  readonly run: (context: CommandContext) => Promise<CommandResult | undefined>;
}

const COMMON: Readonly<Record<string, Option>> = {
  json: { type: 'boolean', summary: 'print one JSON value' },
  help: { type: 'boolean', summary: 'show this help' },
};

/** Parses the words after the command's name. Throws USAGE_OPTION, USAGE_ARGUMENT with a suggestion. */
export function parseCommand(command: Command, argv: readonly string[]): { readonly options: Record<string, string | boolean | undefined>; readonly words: string[] } {
  const all: Record<string, Option> = { ...command.options, ...COMMON };
  for (const word of argv) {
    if (word === '--') break;
    const name = isIds(word, all) ? undefined : /^--([^=]+)/.exec(word)?.[1];
    if (name !== undefined && !Object.hasOwn(all, name)) {
      const near = nearest(name, Object.keys(all));
      throw new CodedError('USAGE_OPTION', `There is no option --${name}.`, { why: `healthkeep ${command.name.join(' ')} does not know it.`, next: near === undefined ? `Run healthkeep ${command.name.join(' ')} --help.` : `Did you mean --${near}?` });
    }
  }
  let parsed;
  try {
    parsed = parseArgs({ args: argv.map((word) => (isIds(word, all) ? `${SHIELD}${word}` : word)), options: Object.fromEntries(Object.entries(all).map(([name, option]) => [name, { type: option.type }])), allowPositionals: true, strict: true });
  } catch (cause) {
    throw new CodedError('USAGE_OPTION', 'The options could not be read.', { why: (cause as Error).message.split('\n')[0] ?? '', next: `Run healthkeep ${command.name.join(' ')} --help.` }, { cause });
  }
  const bare = <T>(value: T): T => (typeof value === 'string' && value.startsWith(SHIELD) ? value.slice(SHIELD.length) as T : value);
  const options = Object.fromEntries(Object.entries(parsed.values as Record<string, string | boolean | undefined>).map(([name, value]) => [name, bare(value)]));
  const words = parsed.positionals.map(bare);
  if (options['help'] !== true) checkPresence(command, options, words);
  return { options, words };
}

/** Stands before an id while the words are parsed; no word of a command line can hold it. */
const SHIELD = '\u0000';
const IDS = /^-[A-Za-z0-9_-]*(,[A-Za-z0-9_-]+)*$/;

/** Ids are base64url of 22 or 43 characters: one in 64 begins with a hyphen and is no option all the same. */
function isIds(word: string, options: Readonly<Record<string, Option>>): boolean {
  return IDS.test(word) && word.split(',').every((id) => id.length === 22 || id.length === 43) && !Object.hasOwn(options, word.slice(2));
}

function checkPresence(command: Command, options: Readonly<Record<string, string | boolean | undefined>>, words: readonly string[]): void {
  const help = `Run healthkeep ${command.name.join(' ')} --help.`;
  for (const [name, option] of Object.entries(command.options)) {
    if (option.required === true && options[name] === undefined) throw new CodedError('USAGE_OPTION', `The option --${name} is missing.`, { why: option.summary, next: help });
  }
  const expected = command.arguments ?? [];
  const missing = expected.find((argument, at) => argument.optional !== true && words[at] === undefined);
  if (missing !== undefined) throw new CodedError('USAGE_ARGUMENT', `The argument ${missing.name} is missing.`, { why: missing.summary, next: help });
  if (words.length > expected.length && expected.at(-1)?.many !== true) throw new CodedError('USAGE_ARGUMENT', `There are more words than healthkeep ${command.name.join(' ')} takes.`, { why: `It takes ${expected.length}.`, next: help });
}

/** Help that leads with examples. */
export function helpOf(command: Command): string[] {
  const words = (command.arguments ?? []).map((argument) => (argument.optional === true ? `[${argument.name}]` : argument.name)).join(' ');
  const options = Object.entries({ ...command.options, ...COMMON });
  const lines = [`${command.summary}`, '', 'Examples', ...command.examples.map((example) => `  ${example}`), '', 'Usage', `  healthkeep ${command.name.join(' ')}${words === '' ? '' : ` ${words}`} [options]`];
  if ((command.arguments ?? []).length > 0) lines.push('', 'Arguments', ...(command.arguments ?? []).map((argument) => `  ${argument.name.padEnd(20)} ${argument.summary}`));
  lines.push('', 'Options', ...options.map(([name, option]) => `  ${`--${name}${option.type === 'string' ? ` ${option.value ?? 'TEXT'}` : ''}`.padEnd(20)} ${option.summary}${option.required === true ? ' (required)' : ''}`));
  return lines;
}

/** Help of a group of commands, each with its summary and first example. */
export function groupHelp(commands: readonly Command[]): string[] {
  const names = commands.map((command) => command.name.join(' '));
  const width = Math.max(...names.map((name) => name.length));
  return ['Examples', ...commands.map((command) => `  ${command.examples[0] ?? ''}`), '', 'Commands', ...commands.map((command, at) => `  ${(names[at] as string).padEnd(width)}  ${command.summary}`), '', `Run healthkeep ${names[0]} --help for the options of one.`];
}

/** The nearest of the known words, if it is near enough to be meant. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  const ranked = known.map((candidate) => ({ candidate, distance: editDistance(word, candidate) })).sort((left, right) => left.distance - right.distance);
  const best = ranked[0];
  return best !== undefined && best.distance <= Math.max(1, Math.floor(best.candidate.length / 3)) ? best.candidate : undefined;
}

/** Insertions, deletions, changes and swaps of neighbours (optimal string alignment). */
function editDistance(left: string, right: string): number {
  const rows: number[][] = [Array.from({ length: right.length + 1 }, (_, at) => at)];
  const at = (i: number, j: number): number => rows[i]?.[j] as number;
  for (let i = 1; i <= left.length; i++) {
    rows[i] = [i];
    for (let j = 1; j <= right.length; j++) {
      const changed = at(i - 1, j - 1) + (left[i - 1] === right[j - 1] ? 0 : 1);
      const swapped = i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1] ? at(i - 2, j - 2) + 1 : Infinity;
      (rows[i] as number[])[j] = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, changed, swapped);
    }
  }
  return at(left.length, right.length);
}
