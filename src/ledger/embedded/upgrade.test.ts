/** Files of format 1, as the version before wrote them, under this one; dying on the way; formats from the future. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, describe, expect, it } from 'vitest';
import { openWriter } from './channel-file.ts';
import { openChannelStore } from './channel-store.ts';
import { replayChain } from './chain-check.ts';
import { mixedKeys, MIXED, openMixed, writeMixed } from './mixed-chain.test-kit.ts';

const folder = mkdtempSync(join(tmpdir(), 'healthkeep-upgrade-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const fixture = gunzipSync(readFileSync(new URL('./fixtures/format-1.sqlite.gz', import.meta.url)));
let files = 0;

function oldFile(): string {
  const file = join(folder, `${MIXED}-${++files}.sqlite`);
  writeFileSync(file, fixture);
  return file;
}

function read<T>(file: string, sql: string): T {
  const database = new DatabaseSync(file);
  try {
    return database.prepare(sql).get() as T;
  } finally {
    database.close();
  }
}
const formatOf = (file: string): number => read<{ user_version: number }>(file, 'PRAGMA user_version').user_version;

async function expectWhole(file: string): Promise<void> {
  const store = openChannelStore({ channel: MIXED, file, durable: true });
  expect(await replayChain(store, ':memory:')).toMatchObject({ blocks: 16, commitHash: 'f50e2329e48ffdbdc9f32aefdf7ee4af52225ac0c0990502a13bb3a99c06fc05' });
  store.close();
  expect(formatOf(file)).toBe(2);
  expect(read(file, 'SELECT count(*) AS digests, (SELECT count(*) FROM blocks) AS blocks FROM digests')).toEqual({ digests: 16, blocks: 16 });
}

describe('a channel file of format 1', () => {
  it('is what the version before wrote', () => {
    const file = oldFile();
    expect(formatOf(file)).toBe(1);
    expect(read(file, "SELECT count(*) AS tables FROM sqlite_schema WHERE name = 'digests'")).toEqual({ tables: 0 });
  });

  it('becomes format 2 when it is opened, with every block, state and verdict it had', async () => {
    const file = oldFile();
    await expectWhole(file);
    // Opening again changes nothing.
    await expectWhole(file);
  });

  it('is the old one or the new one after a process died at any step', async () => {
    const steps: string[] = [];
    const images: string[] = [];
    const file = oldFile();
    openWriter(file, true, (step) => {
      steps.push(step);
      // What another process would find now: every write that was handed to the system.
      const image = join(folder, `image-${steps.length}.sqlite`);
      copyFileSync(file, image);
      if (existsSync(`${file}-wal`)) copyFileSync(`${file}-wal`, `${image}-wal`);
      images.push(image);
    }).close();
    expect(steps).toEqual(['begun', 'table made', ...Array.from({ length: 16 }, (_, block) => `block ${block}`), 'format 2', 'committed']);
    for (const [at, image] of images.entries()) {
      expect(formatOf(image), steps[at]).toBe(steps[at] === 'committed' ? 2 : 1);
      await expectWhole(image);
    }
  });

  it.each(['begun', 'table made', 'block 7', 'format 2', 'committed'])('survives kill -9 after the step "%s"', async (step) => {
    const file = oldFile();
    const program = `import { openWriter } from ${JSON.stringify(fileURLToPath(new URL('./channel-file.ts', import.meta.url)))};
      openWriter(${JSON.stringify(file)}, true, (step) => { if (step === ${JSON.stringify(step)}) process.kill(process.pid, 'SIGKILL'); });`;
    const { signal, stderr } = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', '--input-type=module-typescript', '--eval', program], { encoding: 'utf8', cwd: fileURLToPath(new URL('.', import.meta.url)) });
    expect(`${signal} ${stderr}`).toBe('SIGKILL ');
    await expectWhole(file);
  });

  it('goes on working: a ledger on it takes transactions at once', async () => {
    const place = join(folder, 'ledger');
    const keys = await mixedKeys();
    const before = await openMixed(place, keys);
    await writeMixed(before, 10);
    const height = before.ledger.height(MIXED);
    await before.ledger.close();
    const database = new DatabaseSync(join(place, `${MIXED}.sqlite`));
    database.exec('DROP TABLE digests; PRAGMA user_version = 1');
    database.close();
    const after = await openMixed(place, keys);
    expect(after.ledger.height(MIXED)).toBe(height);
    await writeMixed(after, 10, { seed: 'after' });
    const { blocks } = await after.ledger.replay(MIXED);
    await after.ledger.close();
    expect(blocks).toBeGreaterThan(height);
    expect(read(join(place, `${MIXED}.sqlite`), 'SELECT count(*) AS digests FROM digests')).toEqual({ digests: blocks });
  });
});

describe('a channel file of a format to come', () => {
  it('is refused with both formats and the way out, and left as it was', async () => {
    const file = oldFile();
    await expectWhole(file);
    const database = new DatabaseSync(file);
    database.exec('PRAGMA user_version = 3');
    database.close();
    const before = readFileSync(file);
    expect(() => openChannelStore({ channel: MIXED, file, durable: true })).toThrow(expect.objectContaining({
      code: 'LEDGER_FILE_VERSION', message: 'The channel file has format 3; this program writes 2.', details: expect.objectContaining({ file, next: 'Run that version, or restore a backup that was made before the upgrade.' }),
    }));
    expect(readFileSync(file).equals(before)).toBe(true);
  });
});
