/**
 * One chain, judged again by other versions of Node, in other languages and time zones, with every map and set walked in
 * another order: always the same roots. HEALTHKEEP_NODES names further programs, separated by the path delimiter;
 * HEALTHKEEP_REPLAYED the transactions of the chain.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { tmpdir } from 'node:os';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { changeMixedConfig, MIXED, mixedKeys, openMixed, writeMixed } from './mixed-chain.test-kit.ts';

const TRANSACTIONS = Number(process.env['HEALTHKEEP_REPLAYED'] ?? 1_200);
const folder = mkdtempSync(join(tmpdir(), 'healthkeep-replayed-'));
const file = join(folder, 'ledger', `${MIXED}.sqlite`);
const child = fileURLToPath(new URL('./replay-child.test-kit.ts', import.meta.url));

interface Replayed {
  readonly blocks: number;
  readonly transactions: number;
  readonly lastHash: string;
  readonly commitHash: string;
  readonly stateRoot: string;
  readonly node: string;
  readonly zone: string;
  readonly sorted: string;
}

async function replay(node: string, env: Readonly<Record<string, string>>, ...seed: readonly string[]): Promise<Replayed> {
  const { stdout } = await promisify(execFile)(node, ['--disable-warning=ExperimentalWarning', child, file, ...seed], { env: { ...process.env, ...env }, maxBuffer: 1_000_000 });
  return JSON.parse(stdout) as Replayed;
}

/** This Node, and whatever others the environment names. */
const programs = [process.execPath, ...(process.env['HEALTHKEEP_NODES'] ?? '').split(delimiter).filter((path) => path !== '')];
const places = [
  { LC_ALL: 'C', LANG: 'C', TZ: 'UTC' },
  { LC_ALL: 'tr_TR.UTF-8', LANG: 'tr_TR.UTF-8', TZ: 'Asia/Kathmandu' },
  { LC_ALL: 'de_DE.UTF-8', LANG: 'de_DE.UTF-8', TZ: 'America/St_Johns' },
] as const;

let expected: Pick<Replayed, 'blocks' | 'transactions' | 'lastHash' | 'commitHash'>;
let invalid = 0;
beforeAll(async () => {
  const keys = await mixedKeys();
  const mixed = await openMixed(join(folder, 'ledger'), keys);
  await writeMixed(mixed, TRANSACTIONS / 2, { width: 32 });
  await changeMixedConfig(mixed, keys);
  await writeMixed(mixed, TRANSACTIONS / 2, { width: 32, seed: 'second' });
  const { blocks, transactions, lastHash, commitHash } = await mixed.ledger.replay(MIXED);
  expected = { blocks, transactions, lastHash, commitHash };
  await mixed.ledger.close();
  const database = new DatabaseSync(file);
  invalid = (database.prepare('SELECT count(*) AS invalid FROM transactions WHERE code <> 0').get() as { invalid: number }).invalid;
  database.close();
}, 300_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a chain judged again', () => {
  it('has everything in it: invalid transactions too', () => {
    expect(expected.transactions).toBeGreaterThan(TRANSACTIONS * 0.9);
    expect(invalid).toBeGreaterThan(10);
  });

  it('gives the same roots whatever the Node, language, time zone and order of maps', async () => {
    const seen: Replayed[] = [];
    for (const [at, place] of places.entries()) {
      // Every program once plain, and in each place with another order.
      for (const program of programs) seen.push(await replay(program, place, ...(at === 0 ? [] : [String(at)])));
    }
    console.log(JSON.stringify({ transactions: expected.transactions, invalid, blocks: expected.blocks, nodes: [...new Set(seen.map(({ node }) => node))], zones: [...new Set(seen.map(({ zone }) => zone))], runs: seen.length, roots: new Set(seen.map(({ stateRoot, commitHash }) => `${stateRoot} ${commitHash}`)).size }));
    for (const one of seen) expect(one).toMatchObject(expected);
    expect(new Set(seen.map(({ stateRoot }) => stateRoot)).size).toBe(1);
    // The surroundings were really others.
    expect(new Set(seen.map(({ zone }) => zone)).size).toBe(3);
    expect(new Set(seen.map(({ sorted }) => sorted)).size).toBeGreaterThan(1);
  });
});
