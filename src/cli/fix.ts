/** `npm run fix`: writes what is derived from the tables: docs/transactions.md. */
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transactionsMarkdown } from '#contracts/markdown.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
writeFileSync(join(root, 'docs', 'transactions.md'), transactionsMarkdown());
process.stderr.write('Wrote docs/transactions.md\n');
