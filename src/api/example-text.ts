/**
 * A text that fits a regular expression: the first alternative, few repetitions, the first character of each class. It reads the few constructs that our schemas use and refuses others, so that no example is wrong in silence.
 */
import { assert } from '#base/errors.ts';

/** Throws INTERNAL_INVARIANT for a construct it does not read. */
export function exampleText(pattern: string): string {
  const reader = new PatternReader(pattern);
  const text = reader.alternatives();
  assert(reader.atEnd() && new RegExp(pattern, 'u').test(text), `an example of the pattern ${pattern}`);
  return text;
}

const CLASSES: Readonly<Record<string, string>> = { d: '0', w: 'a', s: ' ', S: 'x', D: 'x' };

/** Four characters of base64url are whole bytes, so that an example of `*` decodes. */
const QUANTIFIERS: Readonly<Record<string, number>> = { '*': 4, '+': 4, '?': 0 };

class PatternReader {
  readonly #pattern: string;
  #at = 0;

  constructor(pattern: string) {
    this.#pattern = pattern;
  }

  atEnd(): boolean {
    return this.#at === this.#pattern.length;
  }

  /** One alternative is taken; the others are read over. */
  alternatives(): string {
    const first = this.#sequence();
    while (this.#peek() === '|') {
      this.#next();
      this.#sequence();
    }
    return first;
  }

  #sequence(): string {
    let text = '';
    while (!this.atEnd() && this.#peek() !== '|' && this.#peek() !== ')') {
      const atom = this.#atom();
      text += atom.repeat(this.#times());
    }
    return text;
  }

  #atom(): string {
    const one = this.#next();
    switch (one) {
      case '^':
      case '$':
        return '';
      case '.':
        return 'x';
      case '[':
        return this.#class();
      case '(':
        return this.#group();
      case '\\':
        return this.#escaped();
      default:
        return one;
    }
  }

  #group(): string {
    if (this.#peek() === '?') {
      this.#next();
      assert(this.#next() === ':', 'groups in schemas are plain or non-capturing');
    }
    const text = this.alternatives();
    assert(this.#next() === ')', 'a group ends');
    return text;
  }

  /** The first character of a class; classes in our schemas are not negated. */
  #class(): string {
    assert(this.#peek() !== '^', 'classes in schemas are not negated');
    const one = this.#next();
    const first = one === '\\' ? this.#escaped() : one;
    while (this.#peek() !== ']') if (this.#next() === '\\') this.#next();
    this.#next();
    return first;
  }

  #escaped(): string {
    const one = this.#next();
    return CLASSES[one] ?? one;
  }

  /** How often the atom before stands in the example; 1 without a quantifier. */
  #times(): number {
    const one = this.#peek();
    const times = one === undefined ? undefined : QUANTIFIERS[one];
    if (times !== undefined) {
      this.#next();
      return times;
    }
    if (one !== '{') return 1;
    const end = this.#pattern.indexOf('}', this.#at);
    const fewest = Number(this.#pattern.slice(this.#at + 1, end).split(',')[0]);
    this.#at = end + 1;
    return fewest;
  }

  #peek(): string | undefined {
    return this.#pattern[this.#at];
  }

  #next(): string {
    return this.#pattern[this.#at++] ?? '';
  }
}
