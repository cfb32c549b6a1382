/** The commands on a ledger's files, in a process of their own where that matters, against a ledger that this process has open and writes to. */
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { flipBit } from '#ledger/embedded/corruption.test-kit.ts';
import { MIXED, mixedKeys, openMixed, writeMixed, type MixedLedger } from '#ledger/embedded/mixed-chain.test-kit.ts';
import { healthkeep, MAIN, refusalOf, runNode, valueOf, type Ran } from './walk.test-kit.ts';

const scratch = mkdtempSync(join(tmpdir(), 'healthkeep-files-'));
const network = join(scratch, 'network');
const backup = join(scratch, 'backup');
const keys = await mixedKeys();
let live: MixedLedger;
beforeAll(async () => {
  live = await openMixed(join(network, 'ledger'), keys);
  await writeMixed(live, 20);
});
afterAll(async () => {
  await live.ledger.close();
  rmSync(scratch, { recursive: true, force: true });
});

/** In a process of its own. */
const apart = (...words: readonly string[]): Promise<Ran> => runNode([MAIN, ...words]);

interface Facts {
  readonly live: boolean;
  readonly channels: readonly { readonly height: number; readonly commitHash: string }[];
  readonly findings: readonly { readonly file: string; readonly place: string }[];
}

describe('a ledger that runs', () => {
  it('is checked by another process', async () => {
    const facts = valueOf<Facts>(await apart('ledger', 'verify', '--json', '--folder', network));
    expect(facts).toMatchObject({ live: true, findings: [], channels: [{ height: live.ledger.height(MIXED) }] });
  });

  it('is backed up by another process while it writes, and restored to a folder of its own', async () => {
    const writing = writeMixed(live, 60, { seed: 'load' });
    const made = valueOf<Facts>(await apart('ledger', 'backup', '--json', '--folder', network, '--to', backup));
    await writing;
    const restored = valueOf<Facts>(await healthkeep(['ledger', 'restore', '--json', '--from', backup, '--folder', join(scratch, 'restored')]));
    expect(restored.channels).toMatchObject([{ height: made.channels[0]?.height, commitHash: made.channels[0]?.commitHash }]);
    const again = await openMixed(join(scratch, 'restored', 'ledger'), keys);
    expect(again.ledger.height(MIXED)).toBe(made.channels[0]?.height);
    await again.ledger.close();
  });

  it('cannot be restored over', async () => {
    expect(refusalOf(await healthkeep(['ledger', 'restore', '--json', '--from', backup, '--folder', network]))).toMatchObject({ code: 'LEDGER_BACKUP_REFUSED' });
  });
});

describe('damage', () => {
  it('in a ledger that is closed is named, with the exit code of integrity; its state can be rebuilt', async () => {
    const damaged = join(scratch, 'damaged');
    cpSync(backup, join(damaged, 'ledger'), { recursive: true });
    writeFileSync(join(damaged, 'ledger', 'channels.txt'), `${MIXED}\n`);
    flipBit(join(damaged, 'ledger'), { name: `${MIXED}.sqlite`, bit: 61 * 8 });
    const found = await healthkeep(['ledger', 'verify', '--json', '--folder', damaged]);
    expect(refusalOf(found)).toMatchObject({ exit: 6, code: 'LEDGER_DAMAGED' });
    expect(found.err).toContain(`${MIXED}.sqlite, bytes 60 to 63`);
    expect(readdirSync(damaged)).toEqual(['ledger']);
    const blocks = join(scratch, 'blocks');
    valueOf(await healthkeep(['ledger', 'backup', '--json', '--blocks', '--folder', network, '--to', blocks]));
    const rebuilt = valueOf<Facts>(await healthkeep(['ledger', 'restore', '--json', '--blocks', '--from', blocks, '--folder', join(scratch, 'rebuilt')]));
    expect(rebuilt).toMatchObject({ findings: [], channels: [{ height: live.ledger.height(MIXED) }] });
  });

  it('in a backup is refused by name, and nothing is left', async () => {
    const bad = join(scratch, 'bad');
    cpSync(backup, bad, { recursive: true });
    flipBit(bad, { name: `${MIXED}.sqlite`, bit: 900_000 });
    const refused = await healthkeep(['ledger', 'restore', '--json', '--from', bad, '--folder', join(scratch, 'none')]);
    expect(refusalOf(refused)).toMatchObject({ exit: 6, code: 'LEDGER_BACKUP_DAMAGED' });
    expect(refused.err).toContain(`${MIXED}.sqlite`);
    expect(existsSync(join(scratch, 'none', 'ledger'))).toBe(false);
  });

  it.each([
    [['ledger', 'verify', '--json', '--folder', scratch], 'FOLDER_NOT_A_NETWORK'],
    [['ledger', 'backup', '--json', '--folder', scratch, '--to', join(scratch, 'x')], 'FOLDER_NOT_A_NETWORK'],
    [['ledger', 'restore', '--json', '--from', join(scratch, 'nowhere'), '--folder', scratch], 'INPUT_UNREADABLE'],
    [['ledger', 'restore', '--json', '--from', network, '--folder', scratch], 'LEDGER_BACKUP_DAMAGED'],
  ])('%j is refused with %s', async (words, code) => {
    expect(refusalOf(await healthkeep(words))).toMatchObject({ code });
  });
});
