import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { main } from './main.ts';
import { parseCommand, type Command } from './command.ts';

const command: Command = {
  name: ['try'], summary: 'Tries.', arguments: [{ name: 'ID', summary: 'an id' }], examples: [],
  options: { items: { type: 'string', summary: 'ids' }, 'a-name-of-twenty-chars': { type: 'boolean', summary: 'as long as an id' } },
  run: async () => undefined,
};
const id = fc.constantFrom(22, 43).chain((length) => fc.stringMatching(new RegExp(`^(-[A-Za-z0-9_]|--|[A-Za-z0-9_-]{2})[A-Za-z0-9_-]{${length - 2}}$`)));

describe('words that every object knows', () => {
  it.each([['constructor'], ['toString'], ['__proto__'], ['device', 'constructor']])('are no commands: %s %s', async (...argv) => {
    let err = '';
    expect(await main(argv.filter((word) => typeof word === 'string'), { out: () => undefined, err: (text) => (err += text), color: false }, {}, new AbortController().signal)).toBe(2);
    expect(err).toContain('USAGE_COMMAND');
  });

  it.each(['--constructor', '--toString', '--__proto__'])('are no options: %s', (word) => {
    expect(() => parseCommand(command, ['x', word])).toThrow(expect.objectContaining({ code: 'USAGE_OPTION', message: `There is no option ${word}.` }));
  });
});

describe('ids on a command line', () => {
  it('are words and values whatever character they begin with', () => {
    fc.assert(fc.property(id, fc.array(id, { minLength: 1, maxLength: 3 }), (word, ids) => {
      const items = ids.join(',');
      for (const argv of [[word, '--items', items], ['--items', items, word], [`--items=${items}`, word]]) {
        expect(parseCommand(command, argv)).toEqual({ options: { items }, words: [word] });
      }
    }));
  });

  it('do not hide options: known ones of that length, unknown ones of another', () => {
    expect(parseCommand(command, ['x', '--a-name-of-twenty-chars'])).toEqual({ options: { 'a-name-of-twenty-chars': true }, words: ['x'] });
    expect(() => parseCommand(command, ['x', '--itens', 'y'])).toThrow(expect.objectContaining({ code: 'USAGE_OPTION' }));
    expect(() => parseCommand(command, ['x', '-e'])).toThrow(expect.objectContaining({ code: 'USAGE_OPTION' }));
  });
});
