import { DatabaseSync } from 'node:sqlite';
import { describe, expect, it } from 'vitest';
import { schema } from './schema.ts';
import { sql } from './state-reader.ts';

/** Columns by which each index finds its rows; a search by the namespace alone walks through all its keys. */
const whole = /^SCAN (?!CONSTANT ROW)|^SEARCH (state|history|hashes|private|transactions) USING PRIMARY KEY \(namespace=\?\)$/;

describe('reading a channel', () => {
  const database = new DatabaseSync(':memory:');
  database.exec(`BEGIN; ${schema} COMMIT`);

  it.each(Object.entries(sql).filter(([name]) => name !== 'height' && name !== 'lastHash'))('%s walks through no whole table', (_, text) => {
    const plan = (database.prepare(`EXPLAIN QUERY PLAN ${text}`).all() as { detail: string }[]).map(({ detail }) => detail);
    expect(plan.filter((step) => whole.test(step))).toEqual([]);
  });
});
