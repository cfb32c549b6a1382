/**
 * Brings a channel's file of an older format to the present one, in one durable transaction: a process that dies on the way
 * leaves the old file. There is no way back; a copy made before is (docs/operating.md).
 */
import type { DatabaseSync } from 'node:sqlite';
import { digestOf } from './block-digest.ts';
import { digestTable, SCHEMA_VERSION } from './schema.ts';

/** Called with the name of every step done, before the next begins: for tests that die there. */
export type OnStep = (step: string) => void;

type Upgrade = (database: DatabaseSync, onStep: OnStep) => void;

/** Entry n brings format n to n + 1. */
const upgrades: Readonly<Record<number, Upgrade>> = { 1: writeDigests };

/** @throws what SQLite throws; then nothing was changed. */
export function upgradeFile(database: DatabaseSync, from: number, onStep: OnStep = () => undefined): void {
  database.exec('BEGIN IMMEDIATE');
  try {
    onStep('begun');
    for (let version = from; version < SCHEMA_VERSION; version++) {
      upgrades[version]?.(database, onStep);
      database.exec(`PRAGMA user_version = ${version + 1}`);
      onStep(`format ${version + 1}`);
    }
    database.exec('COMMIT');
    onStep('committed');
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK');
    throw error;
  }
}

function writeDigests(database: DatabaseSync, onStep: OnStep): void {
  database.exec(digestTable);
  onStep('table made');
  const insert = database.prepare('INSERT INTO digests VALUES (?, ?)');
  const facts = new Map((database.prepare('SELECT name, value FROM facts').all() as unknown as { name: string; value: Uint8Array }[]).map(({ name, value }) => [name, value]));
  for (const { number, bytes } of database.prepare('SELECT number, bytes FROM blocks ORDER BY number').iterate() as Iterable<{ number: number; bytes: Uint8Array }>) {
    insert.run(number, digestOf(number === 0 ? { bytes, facts } : { bytes }));
    onStep(`block ${number}`);
  }
}
