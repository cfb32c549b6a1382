import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { transactionsMarkdown } from './markdown.ts';

const page = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'docs', 'transactions.md');

describe('docs/transactions.md', () => {
  it('says what the tables say (npm run fix writes it)', () => {
    expect(readFileSync(page, 'utf8')).toBe(transactionsMarkdown());
  });
});
