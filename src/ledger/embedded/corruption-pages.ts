/** Damage that SQLite itself can see: pages, trees, indexes, and the text of the tables' definitions. */
import { DatabaseSync } from 'node:sqlite';
import type { Note } from './corruption-rows.ts';
import { digestTable, schema } from './schema.ts';

const FINDINGS_MAX = 20;
/** Words of SQLite's integrity check that name a page: `Tree 5 page 12 cell 3`, `Page 7: never used`. */
const PAGE = /\bpage (\d+)/i;

/** SQLite's own check of every page, row and index entry. False: something is wrong. */
export function checkPages(database: DatabaseSync, note: Note): boolean {
  const { page_size: size } = database.prepare('PRAGMA page_size').get() as { page_size: number };
  const lines = (database.prepare(`PRAGMA integrity_check(${FINDINGS_MAX})`).all() as unknown as { integrity_check: string }[]).map((row) => row.integrity_check);
  const wrong = lines.filter((line) => line !== 'ok');
  for (const line of wrong) {
    const page = PAGE.exec(line)?.[1];
    note.finding(page === undefined ? 'the file' : `page ${page}, bytes ${(Number(page) - 1) * size} to ${Number(page) * size - 1}`, `SQLite says: ${line.replaceAll('\n', ' ')}.`);
  }
  return wrong.length === 0;
}

/** The tables must be the ones this program makes: their text is stored in the file and can be damaged as any row. */
export function checkSchema(database: DatabaseSync, format: number, note: Note): boolean {
  const fresh = new DatabaseSync(':memory:');
  try {
    fresh.exec(format === 1 ? schema.replace(digestTable, '') : schema);
    const right = definitionsOf(fresh);
    const found = definitionsOf(database);
    const wrong = [...new Set([...right.keys(), ...found.keys()])].filter((name) => right.get(name) !== found.get(name)).sort();
    for (const name of wrong) note.finding(`definition of ${name}`, found.has(name) ? 'It is not the one this program makes.' : 'It is missing.');
    return wrong.length === 0;
  } finally {
    fresh.close();
  }
}

function definitionsOf(database: DatabaseSync): ReadonlyMap<string, string> {
  const rows = database.prepare('SELECT type, name, tbl_name, sql FROM sqlite_schema').all() as unknown as { type: string; name: string; tbl_name: string; sql: string | null }[];
  return new Map(rows.map(({ type, name, tbl_name: table, sql }) => [name, `${type} ${table} ${sql ?? ''}`]));
}
