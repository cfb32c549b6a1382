/** Folders to damage, and an oracle that shares nothing with the check: every row of every table as text. */
import { closeSync, copyFileSync, mkdirSync, openSync, readdirSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { nativeHash } from './hash.ts';
import { checkFolder, type FolderFacts } from './corruption.ts';
import { changeMixedConfig, MIXED, mixedKeys, openMixed, writeMixed } from './mixed-chain.test-kit.ts';

/** A ledger that was closed, and beside it (`<folder>-killed`) what it looked like while it ran: a file and a log with blocks. */
export async function makeFolders(folder: string): Promise<{ readonly closed: string; readonly killed: string }> {
  const [closed, killed] = [join(folder, 'closed'), join(folder, 'killed')];
  mkdirSync(killed);
  const keys = await mixedKeys();
  const first = await openMixed(closed, keys);
  await writeMixed(first, 16, { width: 4 });
  await changeMixedConfig(first, keys);
  await first.ledger.close();
  const second = await openMixed(closed, keys);
  await writeMixed(second, 16, { width: 2, seed: 'second' });
  for (const name of readdirSync(closed)) copyFileSync(join(closed, name), join(killed, name));
  await second.ledger.close();
  return { closed, killed };
}

/** Every stored value of a channel's file. */
export function contentOf(folder: string): string {
  const database = new DatabaseSync(join(folder, `${MIXED}.sqlite`), { readOnly: true });
  try {
    const tables = database.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY name").all() as { name: string; sql: string }[];
    const rows = tables.map(({ name, sql }) => [sql, ...database.prepare(`SELECT * FROM "${name}"`).all().map((row) => JSON.stringify(Object.values(row).map((value) => (value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value)))).sort()]);
    const pragmas = ['application_id', 'user_version'].map((name) => JSON.stringify(database.prepare(`PRAGMA ${name}`).get()));
    return Buffer.from(nativeHash(Buffer.from(JSON.stringify([rows, pragmas])))).toString('hex');
  } finally {
    database.close();
  }
}

export interface Flip {
  readonly name: string;
  readonly bit: number;
}

/** Turns one bit of a file over; the returned function turns it back. */
export function flipBit(folder: string, { name, bit }: Flip): () => void {
  const place = join(folder, name);
  const turn = (): void => {
    const handle = openSync(place, 'r+');
    try {
      const byte = new Uint8Array(1);
      readSync(handle, byte, 0, 1, bit >> 3);
      byte[0] = (byte[0] as number) ^ (1 << (bit & 7));
      writeSync(handle, byte, 0, 1, bit >> 3);
    } finally {
      closeSync(handle);
    }
  };
  turn();
  return turn;
}

/** Bits of a file. */
export const bitsOf = (folder: string, name: string): number => statSync(join(folder, name)).size * 8;

/** A check that found something, remarks that were not there before included. */
export function noticed(facts: FolderFacts, before: FolderFacts): string | undefined {
  const known = new Set(before.remarks.map((one) => JSON.stringify(one)));
  const [first] = [...facts.findings, ...facts.remarks.filter((one) => !known.has(JSON.stringify(one)))];
  return first === undefined ? undefined : `${first.file}, ${first.place}: ${first.what}`;
}

export interface FlipCount {
  readonly flips: number;
  readonly noticed: number;
  /** Not noticed, and every stored value still reads as before. */
  readonly empty: number;
  /** Not noticed although something stored reads otherwise. */
  readonly missed: readonly Flip[];
  /** How often each kind of place was named. */
  readonly places: Readonly<Record<string, number>>;
}

/** Flips bits one after the other and asks the check each time. */
export async function countFlips(folder: string, flips: readonly Flip[]): Promise<FlipCount> {
  const before = await checkFolder({ folder });
  const content = contentOf(folder);
  const missed: Flip[] = [];
  const places: Record<string, number> = {};
  let found = 0;
  let empty = 0;
  for (const flip of flips) {
    const back = flipBit(folder, flip);
    try {
      const seen = noticed(await checkFolder({ folder }), before);
      if (seen !== undefined) {
        found++;
        const kind = seen.replace(/^.*?, /, '').replace(/:.*/s, '').replace(/\d+/g, 'N').replace(/key hash .*/, '…').trim();
        places[kind] = (places[kind] ?? 0) + 1;
      } else if (contentOf(folder) === content) empty++;
      else missed.push(flip);
    } finally {
      back();
    }
  }
  return { flips: flips.length, noticed: found, empty, missed, places };
}
