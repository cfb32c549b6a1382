import { mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { killRepeatedly, lostFrom, LYING_STORES, run } from './kill.test-kit.ts';

const folder = mkdtempSync(join(tmpdir(), 'healthkeep-kill-test-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a killed process', () => {
  it('loses nothing acknowledged and tells the same story in the end', async () => {
    const report = await killRepeatedly({ kills: 5, killsPerFolder: 5, people: [1], seed: 'ordinary' });
    expect(report.faults).toEqual([]);
    expect(report).toMatchObject({ kills: 5, completions: 1 });
    expect(report.acknowledged).toBeGreaterThan(15);
    expect(report.restartMs.count).toBeGreaterThan(3);
  });

  it('that acknowledges before it commits is found out', async () => {
    const killed = await run({ folder: join(folder, 'lying'), people: 2, killAt: { phase: 'People enrol on their own devices and show their code at the desk.', afterMs: 0 }, preload: LYING_STORES });
    expect(killed.exit).toBeUndefined();
    expect(lostFrom(join(folder, 'lying'), killed.acknowledged).filter((what) => what.includes('.json of '))).not.toEqual([]);
  });

  it('whose ledger was not on the disk when it said so is found out', async () => {
    const at = join(folder, 'unsynced');
    const killed = await run({ folder: at, people: 2, killAt: { phase: 'People say who may ask.', afterMs: 0 } });
    expect(killed.exit).toBeUndefined();
    expect(lostFrom(at, killed.acknowledged)).toEqual([]);
    const log = join(at, 'ledger', 'hdc-east.sqlite-wal');
    truncateSync(log, Math.floor(statSync(log).size / 2));
    expect(lostFrom(at, killed.acknowledged).filter((what) => what.startsWith('hdc-east '))).not.toEqual([]);
  });
});
