/** Every command on a finished demo: first with no process serving it, then a few against one that does. */
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { judgeBlock, type Judgement } from '#ledger/embedded/fabric-judge.test-kit.ts';
import { syntheticPeople } from '#sim/people.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { deviceAt, finishedDemo, healthkeep, refusalOf, runNode, serve, valueOf, VERIFIER, type Card, type Ran } from './walk.test-kit.ts';

interface Records {
  readonly records: readonly { readonly id: string; readonly keeper: string; readonly seal: string; readonly resourceType: string }[];
}
interface Board {
  readonly rows: readonly { readonly slot: string; readonly state: string; readonly items?: number; readonly verified?: number }[];
}
interface Statement {
  readonly number: number;
  readonly total: string;
  readonly lines: readonly { readonly slot: string; readonly items: number }[];
}
interface Compared {
  readonly checked: number;
  readonly changed: readonly string[];
  readonly missing: readonly string[];
  readonly extra: readonly string[];
}
interface Findings {
  readonly findings: readonly { readonly check: string; readonly state: string; readonly why?: string; readonly next?: string }[];
}

const scratch = mkdtempSync(join(tmpdir(), 'healthkeep-walk-'));
const demo = join(scratch, 'demo');
const SUNRISE = ['--json', '--folder', demo, '--org', 'DUO-sunrise'];
const EAST = ['--json', '--folder', demo, '--org', 'HO-east'];
const PASSPHRASE = { HEALTHKEEP_PASSPHRASE: 'six plain words for a test' };
const device = (person: string, command: string, ...words: readonly string[]): Promise<Ran> => healthkeep(['device', command, ...words, ...deviceAt(demo, person)], PASSPHRASE);
const recordsOf = async (person: string): Promise<Records['records']> => valueOf<Records>(await device(person, 'records')).records;
let blocks: Readonly<Record<string, number>>;

beforeAll(async () => {
  const summary = await finishedDemo(demo, 4);
  expect(summary.checks.filter((one) => !one.held)).toEqual([]);
  blocks = summary.blocks;
}, 60_000);
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** The four steps every request takes, up to the card that waits for its owner. */
async function asked(person: string): Promise<string> {
  const { slots } = valueOf<{ slots: readonly string[] }>(await device(person, 'permit', '--org', 'DUO-sunrise', '--times', '1'));
  const slot = slots[0] as string;
  expect(valueOf<Board>(await healthkeep(['request', 'permits', ...SUNRISE])).rows.find((row) => row.slot === slot)?.state).toBe('permitted');
  expect(valueOf(await healthkeep(['request', 'invite', slot, '--message', 'Please', ...SUNRISE]))).toEqual({ slot, invited: true });
  expect(valueOf<{ requests: readonly Card[] }>(await device(person, 'requests')).requests.find((card) => card.slot === slot)).toMatchObject({ state: 'waiting', requester: 'DUO-sunrise' });
  return slot;
}

describe('with no process serving the folder', () => {
  it('a new person enrols, is linked, gets records and asks for a permit of their own', async () => {
    expect(valueOf(await device('zoe', 'enrol'))).toEqual({ enrolled: true });
    expect(valueOf(await device('zoe', 'enrol'))).toEqual({ enrolled: true });
    expect(valueOf<Records>(await device('zoe', 'records')).records).toEqual([]);
    const bundle = syntheticPeople({ seed: 'walk', count: 1, hospitals: 1, visits: 1 })[0]?.bundles[0];
    const file = join(scratch, 'zoe.json');
    writeFileSync(file, bundle?.text ?? '');
    const taken = valueOf<{ files: readonly { read: number; accepted: number; refused: readonly unknown[] }[] }>(await healthkeep(['ingest', file, ...EAST]));
    expect(taken.files).toEqual([{ file: 'zoe.json', read: bundle?.resources, accepted: bundle?.resources, duplicates: 0, refused: [] }]);
    expect(valueOf<{ files: readonly unknown[] }>(await healthkeep(['ingest', file, ...EAST])).files[0]).toMatchObject({ duplicates: bundle?.resources });
    expect(valueOf<{ link: object }>(await device('zoe', 'link', '--org', 'HO-west')).link).toMatchObject({ certificate: expect.any(String) });
    expect(valueOf<{ subject: string }>(await device('zoe', 'link', '--org', 'HO-east', '--patient', bundle?.patient ?? '')).subject).toMatch(/^[\w-]{20,}$/);
    expect(valueOf(await device('zoe', 'sync'))).toEqual({ pending: [] });
    const records = await recordsOf('zoe');
    expect(records.length).toBe(bundle?.resources);
    expect(new Set(records.map((one) => `${one.keeper} ${one.seal}`))).toEqual(new Set(['HO-east sealed']));
    const opened = valueOf<{ text: string }>(await device('zoe', 'records', records[0]?.id ?? ''));
    expect(bundle?.text).toContain(opened.text);
  }, 30_000);

  it('a permit becomes an invitation, an answer, a package, a receipt, a statement, and is revoked', async () => {
    const slot = await asked('1');
    const seen = valueOf<{ items: readonly { id: string; bytes: string }[]; totalBytes: number }>(await device('1', 'answer', slot, 'all', '--preview'));
    expect(seen.totalBytes).toBe(seen.items.reduce((sum, item) => sum + Buffer.byteLength(item.bytes), 0));
    expect(valueOf<{ requests: readonly Card[] }>(await device('1', 'requests')).requests.find((card) => card.slot === slot)?.state).toBe('waiting');
    const less = seen.items.slice(0, 2).map((item) => item.id);
    expect(valueOf<{ state: string }>(await device('1', 'answer', slot, 'narrower', `--items=${less.join(',')}`))).toMatchObject({ slot, state: 'answered' });
    const received = valueOf<{ items: readonly { record: string; good: boolean }[] }>(await healthkeep(['request', 'receive', slot, ...SUNRISE]));
    expect(received.items.map((item) => [item.record, item.good]).sort()).toEqual(less.map((id) => [id, true]).sort());
    expect(valueOf<Board>(await healthkeep(['request', 'receipts', ...SUNRISE])).rows.find((row) => row.slot === slot)).toMatchObject({ state: 'received', verified: 2 });
    const statement = valueOf<Statement>(await healthkeep(['settle', ...SUNRISE]));
    expect(statement).toMatchObject({ number: 2, lines: [{ slot, items: 2 }] });
    expect(valueOf<Statement>(await healthkeep(['settle', '--number', '2', ...SUNRISE]))).toEqual(statement);
    expect(refusalOf(await healthkeep(['settle', ...SUNRISE]))).toEqual({ exit: 4, code: 'NOTHING_TO_SETTLE', out: '' });
    expect(valueOf(await device('1', 'revoke', slot))).toEqual({ revoked: true });
    expect(valueOf<{ requests: readonly Card[] }>(await device('1', 'requests')).requests.find((card) => card.slot === slot)?.state).toBe('revoked');
    const { logs } = valueOf<{ logs: readonly { keeper: string; lines: readonly { org: string }[] }[] }>(await device('1', 'log'));
    expect(logs.flatMap((log) => log.lines).some((line) => line.org === 'DUO-sunrise')).toBe(true);
  }, 40_000);

  it('a refusal releases nothing', async () => {
    const slot = await asked('2');
    expect(valueOf<{ state: string }>(await device('2', 'answer', slot, 'no')).state).toBe('refused');
    expect(refusalOf(await healthkeep(['request', 'receive', slot, ...SUNRISE])).exit).toBe(4);
  }, 30_000);

  it('an export restores a device, and one record is erased only when meant', async () => {
    const file = join(scratch, 'zoe.export.json');
    const { digest } = valueOf<{ digest: string }>(await device('zoe', 'export', file));
    expect(refusalOf(await device('zoe', 'export', file))).toEqual({ exit: 2, code: 'OUTPUT_NOT_WRITABLE', out: '' });
    expect(refusalOf(await device('nobody', 'import', join(scratch, 'nowhere.json')))).toEqual({ exit: 2, code: 'INPUT_UNREADABLE', out: '' });
    expect(existsSync(join(demo, 'people', 'nobody'))).toBe(false);
    expect(valueOf(await device('zoe-again', 'import', file))).toEqual({ digest });
    expect(await recordsOf('zoe-again')).toEqual(await recordsOf('zoe'));
    expect((await healthkeep(['device', 'import', file, ...deviceAt(demo, 'wrong')], { HEALTHKEEP_PASSPHRASE: 'another' })).code).not.toBe(0);
    const record = (await recordsOf('zoe'))[0]?.id ?? '';
    expect(refusalOf(await device('zoe', 'erase', record))).toMatchObject({ exit: 2, code: 'USAGE_OPTION' });
    expect(valueOf(await device('zoe', 'erase', record, '--confirm', 'erase'))).toEqual({ erased: 1 });
    expect(valueOf<Compared>(await healthkeep(['tamper-check', ...EAST]))).toMatchObject({ changed: [], missing: [], extra: [] });
  }, 30_000);

  it('a byte changed in three stored bodies names exactly those records', async () => {
    const bodies = join(demo, 'orgs', 'HO-east', 'bodies', 'small.sqlite');
    const ids = change(bodies);
    const text = await healthkeep(['tamper-check', ...EAST.filter((word) => word !== '--json')]);
    expect([text.code, text.out.split('\n').filter((line) => line.startsWith('changed'))]).toEqual([6, ids.map((id) => `changed  ${id}`)]);
    const found = valueOf<Compared>(await healthkeep(['tamper-check', ...EAST]), 6);
    expect({ changed: [...found.changed].sort(), missing: found.missing, extra: found.extra }).toEqual({ changed: ids, missing: [], extra: [] });
    change(bodies);
    expect(valueOf<Compared>(await healthkeep(['tamper-check', ...EAST]))).toEqual({ ...found, changed: [] });
  }, 30_000);

  it('a proof convinces the stand-alone verifier, an altered one does not', async () => {
    const [proof, genesis, altered] = ['proof.json', 'genesis.json', 'altered.json'].map((name) => join(scratch, name)) as [string, string, string];
    const record = (await recordsOf('1'))[0]?.id ?? '';
    expect(valueOf(await healthkeep(['proof', 'make', record, proof, '--genesis', genesis, ...deviceAt(demo, '1')]))).toEqual({ record, written: true });
    expect(refusalOf(await healthkeep(['proof', 'make', record, join(scratch, 'nowhere', 'proof.json'), ...deviceAt(demo, '1')]))).toEqual({ exit: 2, code: 'OUTPUT_NOT_WRITABLE', out: '' });
    const alone = await runNode([`${VERIFIER}verify.ts`, proof, '--genesis', genesis]);
    expect([alone.code, alone.out.trimEnd().split('\n').at(-1)]).toEqual([0, 'Holds.']);
    const through = valueOf<{ holds: boolean; steps: readonly string[] }>(await healthkeep(['proof', 'verify', proof, '--genesis', genesis, '--json']));
    expect([through.holds, through.steps]).toEqual([true, alone.out.trimEnd().split('\n')]);
    const file = JSON.parse(readFileSync(proof, 'utf8')) as { record: { resourceType: string } };
    writeFileSync(altered, JSON.stringify({ ...file, record: { ...file.record, resourceType: 'Basic' } }));
    expect((await runNode([`${VERIFIER}verify.ts`, altered, '--genesis', genesis])).code).toBe(6);
    expect(valueOf<{ holds: boolean }>(await healthkeep(['proof', 'verify', altered, '--genesis', genesis, '--json']), 6).holds).toBe(false);
  }, 30_000);

  it('every block of every channel is written as a Fabric block, and a judge that knows only Fabric\'s messages agrees with what is shown', async () => {
    const folder = join(scratch, 'blocks');
    await inspect('--blocks', folder, '--json');
    const files = readdirSync(folder).sort();
    for (const channel of Object.keys(blocks)) {
      const shown = valueOf<{ blocks: readonly { headerHash: string; dataHash: string; previousHashRight: boolean | null; dataHashRight: boolean; ordererSignatures: readonly { right: boolean }[]; transactions: readonly { txId: string; code: string; creatorSignature: { right: boolean } | null; endorsements: readonly { mspId: string; right: boolean }[] }[] }[] }>(await inspect(channel, '--json')).blocks;
      const raw = files.filter((file) => file.startsWith(`${channel}-`)).map((file) => readFileSync(join(folder, file)));
      const judged: Judgement[] = [];
      for (const bytes of raw) judged.push(judgeBlock(bytes, judged.at(-1)?.headerHash));
      expect(judged.flatMap((one) => one.problems)).toEqual([]);
      expect(judged.length).toBeGreaterThan(2);
      expect(shown.slice(0, judged.length).map((one) => [one.headerHash, one.dataHash, ...one.transactions.map((each) => [each.txId, ...each.endorsements.map(({ mspId }) => mspId)])])).toEqual(judged.map((one) => [one.headerHash.toString('hex'), one.dataHash.toString('hex'), ...one.transactions.map((each) => [each.txId, ...each.endorsers])]));
      expect(shown.every((one) => one.dataHashRight && one.previousHashRight !== false && [...one.ordererSignatures, ...one.transactions.flatMap((each) => [...each.endorsements, ...(each.creatorSignature === null ? [] : [each.creatorSignature])])].every(({ right }) => right))).toBe(true);
    }
  }, 40_000);

  it('the ledger is shown as channels, blocks, transactions, and as lines the independent settlement reads', async () => {
    const { channels } = valueOf<{ channels: readonly { channel: string; blocks: number; invalid: number }[] }>(await inspect('--json'));
    expect(channels.map((one) => one.channel).sort()).toEqual(Object.keys(blocks).sort());
    expect(channels.filter((one) => one.blocks < (blocks[one.channel] ?? Infinity))).toEqual([]);
    // Two members may write a checkpoint or a time floor at the same moment; the later one is marked and tries again.
    expect(channels.filter((one) => one.invalid > 0 && one.channel !== 'con' && one.channel !== 'drc')).toEqual([]);
    const drc = valueOf<{ channel: string; blocks: readonly { number: number; transactions: readonly { function: string | null }[] }[] }>(await inspect('drc', '--json'));
    expect(drc.blocks.map((block) => block.number)).toEqual(drc.blocks.map((_, at) => at));
    const invited = drc.blocks.find((block) => block.transactions.some((one) => one.function === 'invite'));
    expect(valueOf(await inspect('drc', String(invited?.number), '--json'))).toEqual(invited);
    expect((await inspect('drc', String(invited?.number))).out).toContain('invite  VALID');
    const lines = (await inspect('drc', '--lines')).out;
    expect(lines.trimEnd().split('\n').map((line) => JSON.parse(line) as unknown)).toEqual(drc.blocks);
    const settled = await runNode([`${VERIFIER}settle.ts`], lines);
    expect(settled.code).toBe(0);
    const bill = settled.out.trimEnd().split('\n').map((line) => JSON.parse(line) as { duo: string; statements: readonly { stated: string; agrees: boolean; total: string }[] }).find((one) => one.duo === 'DUO-sunrise');
    expect(bill?.statements.map((one) => one.agrees)).toEqual([true, true]);
    for (const [at, one] of (bill?.statements ?? []).entries()) expect(valueOf<Statement>(await healthkeep(['settle', '--number', String(at + 1), ...SUNRISE])).total).toBe(one.total);
  }, 40_000);

  it('the doctor finds nothing wrong, then each of three planted faults', async () => {
    expect(states(valueOf(await doctor(demo)))).toEqual(['ok']);
    expect(states(valueOf(await healthkeep(['doctor', '--json'])))).toEqual(['ok']);
    const torn = copyOf('torn');
    const file = join(torn, 'orgs', 'HO-west', 'state.sqlite');
    const bytes = readFileSync(file);
    writeFileSync(file, bytes.fill(0x5a, 100, Math.min(bytes.length, 8_192)));
    expect(faults(valueOf(await doctor(torn), 3))).toEqual(['the file orgs/HO-west/state.sqlite']);
    const keyless = copyOf('keyless');
    const keys = openSqliteKeyValueStore(join(keyless, 'orgs', 'HO-east', 'keys.sqlite'));
    await keys.write(new Map([['staff/certificate', undefined]]));
    await keys.close();
    expect(faults(valueOf(await doctor(keyless), 3))).toEqual(['staff certificate of HO-east']);
    const nameless = copyOf('nameless');
    writeFileSync(join(nameless, 'network.json'), '{"version":1,');
    expect(faults(valueOf(await doctor(nameless), 3))).toEqual(['the folder']);
    for (const folder of [torn, keyless, nameless]) expect(valueOf<Findings>(await doctor(folder), 3).findings.filter((one) => one.state === 'fail').every((one) => Boolean(one.why) && Boolean(one.next))).toBe(true);
  }, 30_000);
});

describe('with a process serving the folder', () => {
  it('the same commands speak to it over HTTP, and end it leaves the folder to the next', async () => {
    const serving = await serve(['demo', '--no-story', '--folder', demo, '--port', '0'], /Ctrl-C/);
    try {
      expect(refusalOf(await healthkeep(['demo', '--once', '--json', '--folder', demo]))).toEqual({ exit: 3, code: 'FOLDER_IN_USE', out: '' });
      const slot = await asked('3');
      expect(valueOf<{ state: string }>(await device('3', 'answer', slot, 'all')).state).toBe('answered');
      expect(valueOf<{ items: readonly { good: boolean }[] }>(await healthkeep(['request', 'receive', slot, ...SUNRISE])).items.every((item) => item.good)).toBe(true);
      expect(valueOf<Compared>(await healthkeep(['tamper-check', ...EAST]))).toMatchObject({ changed: [], missing: [], extra: [] });
      expect(valueOf<{ channels: readonly unknown[] }>(await inspect('--json')).channels).toHaveLength(5);
      expect(faults(valueOf(await doctor(demo)))).toEqual([]);
    } finally {
      expect(await serving.stop()).toBe(0);
    }
    expect(valueOf<Statement>(await healthkeep(['settle', ...SUNRISE])).number).toBe(3);
    expect(faults(valueOf(await doctor(demo)))).toEqual([]);
  }, 60_000);

  it('reset deletes the folder, and nothing else', async () => {
    const other = copyOf('other');
    expect(valueOf(await healthkeep(['demo', 'reset', '--json', '--folder', other]))).toEqual({ deleted: true });
    expect([existsSync(other), existsSync(demo)]).toEqual([false, true]);
    expect(refusalOf(await healthkeep(['demo', 'reset', '--json', '--folder', scratch])).code).toBe('FOLDER_NOT_A_NETWORK');
  });
});

const inspect = (...words: readonly string[]): Promise<Ran> => healthkeep(['ledger', 'inspect', ...words, '--folder', demo]);
const doctor = (folder: string): Promise<Ran> => healthkeep(['doctor', '--json', '--folder', folder]);
const states = ({ findings }: Findings): string[] => [...new Set(findings.map((one) => one.state))];
const faults = ({ findings }: Findings): string[] => findings.filter((one) => one.state === 'fail').map((one) => one.check);

function copyOf(name: string): string {
  const folder = join(scratch, name);
  cpSync(demo, folder, { recursive: true });
  return folder;
}

/** Flips one bit in the middle of the same three bodies; a second call puts them right. Gives their ids. */
function change(file: string): string[] {
  const database = new DatabaseSync(file);
  try {
    const rows = database.prepare('SELECT id, bytes FROM body ORDER BY id LIMIT 3').all() as { id: string; bytes: Uint8Array }[];
    for (const { id, bytes } of rows) {
      const at = bytes.length >> 1;
      bytes[at] = (bytes[at] as number) ^ 1;
      database.prepare('UPDATE body SET bytes = ? WHERE id = ?').run(bytes, id);
    }
    return rows.map(({ id }) => id).sort();
  } finally {
    database.close();
  }
}
