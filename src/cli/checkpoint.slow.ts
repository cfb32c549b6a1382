/** `healthkeep checkpoint …` on a finished demo: what a person is shown, and the proof of a member's lie. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseCheckpoint, signNote, writeCheckpoint } from '#crypto/checkpoint.ts';
import { OrgId } from '#model/ids.ts';
import { openOrgIdentity } from '#org/identity.ts';
import { systemClock } from '#sim/seams.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { deviceAt, finishedDemo, healthkeep, refusalOf, runNode, valueOf, VERIFIER, type Ran } from './walk.test-kit.ts';

const scratch = mkdtempSync(join(tmpdir(), 'healthkeep-checkpoint-'));
const demo = join(scratch, 'demo');
const file = (name: string): string => join(scratch, name);
const checkpoint = (...words: readonly string[]): Promise<Ran> => healthkeep(['checkpoint', ...words, ...deviceAt(demo, '1')]);

beforeAll(async () => {
  await finishedDemo(demo, 2);
}, 120_000);
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('healthkeep checkpoint', () => {
  it('shows, writes, compares, and proves a lie to outsiders', async () => {
    const views = valueOf<readonly { readonly channel: string; readonly trees: readonly string[]; readonly growth: readonly string[]; readonly problem?: string }[]>(await checkpoint('show'));
    expect(views.map(({ channel }) => channel)).toEqual(['con', 'drc', 'hdc-east', 'hdc-west', 'uic']);
    // Four of five members: more than half even without one that lies.
    for (const { trees, growth, problem } of views) expect([trees.length + growth.length >= 4, problem]).toEqual([true, undefined]);
    expect(valueOf(await checkpoint('note', 'drc', file('note.txt')))).toMatchObject({ channel: 'drc', written: true });
    expect(valueOf(await checkpoint('compare', file('note.txt')))).toEqual({ compared: 'fits' });
    expect(refusalOf(await checkpoint('evidence', 'drc', file('fork.json')))).toMatchObject({ exit: 2, code: 'FORK_NONE' });

    const store = openSqliteKeyValueStore(`${demo}/orgs/DUO-sunrise/keys.sqlite`);
    const { org, peer } = await openOrgIdentity({ org: OrgId.parse('DUO-sunrise'), store, clock: systemClock });
    await store.close();
    const told = parseCheckpoint(readFileSync(file('note.txt'), 'utf8'));
    const lie = await signNote(writeCheckpoint({ ...told, root: new Uint8Array(32) }), { name: org, certificate: peer.certificate, sign: (message) => peer.sign(message) });
    writeFileSync(file('lie.txt'), lie);
    const found = await checkpoint('compare', file('lie.txt'));
    expect([found.code, JSON.parse(found.err).error.code]).toEqual([6, 'CHECKPOINT_FORKED']);
    expect(valueOf(await checkpoint('evidence', 'drc', file('fork.json')))).toEqual({ channel: 'drc', convicted: ['DUO-sunrise'], written: true });
    const { members } = JSON.parse(readFileSync(file('fork.json'), 'utf8'));
    writeFileSync(file('genesis.json'), JSON.stringify({ kind: 'healthkeep-genesis', version: 1, members }));
    const verified = await runNode([join(VERIFIER, 'verify.ts'), file('fork.json'), '--genesis', file('genesis.json')]);
    expect([verified.code, verified.out.includes('Signed both: DUO-sunrise.')]).toEqual([0, true]);
    // One member lied and is named; the ledger goes on.
    const after = valueOf<readonly { readonly channel: string; readonly convicted?: readonly string[]; readonly problem?: string }[]>(await checkpoint('show'));
    expect(after.find(({ channel }) => channel === 'drc')).toMatchObject({ convicted: ['DUO-sunrise'] });
    expect(after.find(({ channel }) => channel === 'drc')?.problem).toBeUndefined();
  }, 120_000);
});
