/** What a killed process was told against what its ledger's file says, read by SQL beside the process that came after it. */
import type { DatabaseSync } from 'node:sqlite';
import { readBlock } from '../block.ts';
import { openReader } from './channel-file.ts';

export interface Acknowledged {
  readonly txId: string;
  readonly block: number;
  readonly key: string;
}

/** What one process said before it died. */
export interface Said {
  readonly round: number;
  readonly sent: ReadonlySet<string>;
  readonly acknowledged: readonly Acknowledged[];
}

export interface KillFaults {
  /** Acknowledged and not there, or in another block, or without its values. */
  readonly lost: readonly string[];
  /** There and sent by nobody. */
  readonly phantom: readonly string[];
  /** Blocks of which only a part is there. */
  readonly half: readonly string[];
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

interface Row {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly block: number;
  readonly tx: number;
}

/** Rows of a table by key, for the keys of one round. */
function rowsOf(database: DatabaseSync, table: 'state' | 'private', round: number): ReadonlyMap<string, Row> {
  const rows = database.prepare(`SELECT key, value, block, tx FROM ${table} WHERE namespace = 'probe' AND key >= ? AND key < ?`).all(Buffer.from(`${round}.`), Buffer.from(`${round}/`)) as unknown as Row[];
  return new Map(rows.map((row) => [textOf(row.key), row]));
}

/** Compares everything that the rounds said; blocks are looked at from `fromBlock` on. Returns the height too. */
export function compareSaid(file: string, rounds: readonly Said[], fromBlock: number): KillFaults & { readonly height: number } {
  const database = openReader(file, true);
  try {
    const lost: string[] = [];
    const phantom: string[] = [];
    const verdict = database.prepare('SELECT block, code FROM transactions WHERE tx_id = ?');
    for (const { round, sent, acknowledged } of rounds) {
      const [state, own] = [rowsOf(database, 'state', round), rowsOf(database, 'private', round)];
      for (const { txId, block, key } of acknowledged) {
        const found = verdict.get(txId) as { block: number; code: number } | undefined;
        const values = [state.get(key), own.get(key)].map((row) => (row === undefined || row.block !== block ? '' : textOf(row.value)));
        if (found?.block !== block || found.code !== 0 || values.some((value) => value !== key)) lost.push(`${key} ${txId}`);
      }
      for (const key of new Set([...state.keys(), ...own.keys()])) if (!sent.has(key)) phantom.push(key);
    }
    return { lost, phantom, ...halfBlocks(database, fromBlock) };
  } finally {
    database.close();
  }
}

/** Every valid transaction of a block has its index row, its state and its private value; and nothing is of a block that is not there. */
function halfBlocks(database: DatabaseSync, fromBlock: number): { readonly half: string[]; readonly height: number } {
  const half: string[] = [];
  const verdict = database.prepare('SELECT block, tx, code FROM transactions WHERE tx_id = ?');
  const written = database.prepare("SELECT block, tx FROM state WHERE namespace = 'probe' AND key = ?");
  let height = fromBlock;
  for (const { number, bytes } of database.prepare('SELECT number, bytes FROM blocks WHERE number >= ? ORDER BY number').iterate(fromBlock) as Iterable<{ number: number; bytes: Uint8Array }>) {
    height = number + 1;
    readBlock(bytes).transactions.forEach(({ txId, code, writes }, tx) => {
      if (txId === '' || number === 0) return;
      const found = verdict.get(txId) as { block: number; tx: number; code: number } | undefined;
      if (found?.block !== number || found.tx !== tx) half.push(`block ${number}, transaction ${tx}: not in the index`);
      const own = code === 'VALID' ? writes.filter(({ namespace, key }) => namespace === 'probe' && /^\d+\.\d+\.\d+$/.test(key)) : [];
      for (const { key } of own) {
        const row = written.get(Buffer.from(key)) as { block: number; tx: number } | undefined;
        if (row?.block !== number || row.tx !== tx) half.push(`block ${number}, transaction ${tx}: not in the state`);
      }
    });
  }
  for (const table of ['state', 'private', 'hashes', 'history', 'transactions', 'digests']) {
    const { late } = database.prepare(`SELECT count(*) AS late FROM ${table} WHERE block >= ?`).get(height) as { late: number };
    if (late > 0) half.push(`${table}: ${late} rows of blocks that are not there`);
  }
  return { half, height };
}
