import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, describe, expect, it } from 'vitest';
import { silentLog } from '#base/ports.ts';
import { fakeClock, realScheduler, seededRandom } from '#sim/seams.ts';
import { probe, type Step } from '../conformance/probe.ts';
import { createTestOrg, type TestIdentity, type TestOrg } from '../consortium.test-kit.ts';
import { createLedgerClient } from '../gateway-client.ts';
import type { LedgerClient } from '../client.ts';
import { openEmbeddedLedger, type EmbeddedLedger } from './ledger.ts';

const clock = fakeClock(Date.UTC(2026, 0, 5, 12));
const org: TestOrg = await createTestOrg('OrgA', clock);
const ordererOrg = await createTestOrg('ORD-test', clock);
const orderer: TestIdentity = await ordererOrg.issue('orderer', 'orderer');
const folders: string[] = [];
let seed = 0;

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'healthkeep-failure-'));
  folders.push(folder);
  return folder;
}
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

async function open(folder: string, maxBytesPerChannel?: number): Promise<EmbeddedLedger> {
  const ledger = await openEmbeddedLedger({
    folder, clock, random: seededRandom(`engine ${++seed}`), scheduler: realScheduler, log: silentLog, orderer: { ...orderer, rootCertificate: ordererOrg.ca.certificate }, ...(maxBytesPerChannel === undefined ? {} : { maxBytesPerChannel }),
  });
  try {
    await ledger.createChannel({ name: 'one', orgs: [{ mspId: 'OrgA', rootCertificate: org.ca.certificate }], peers: ['OrgA'], needed: 1 });
    await ledger.attachPeer({ ...org.peer, channels: ['one'] });
    await ledger.deploy({ channel: 'one', name: 'probe', chaincode: probe, needed: 1 });
    return ledger;
  } catch (error) {
    await ledger.close();
    throw error;
  }
}

const clientOf = (ledger: EmbeddedLedger): LedgerClient => createLedgerClient({ transport: ledger.transport(), clock, random: seededRandom(`client ${++seed}`), scheduler: realScheduler });
const run = (...steps: readonly Step[]) => ({ channel: 'one', contract: 'probe', name: 'run', input: steps as never, signer: org.client.signer });

describe('an embedded ledger over restarts', () => {
  it('goes on where it was: state, history, definitions, retries of the same set-up', async () => {
    const folder = newFolder();
    let ledger = await open(folder);
    await clientOf(ledger).submit(run(['put', 'kept', 'one'], ['putComposite', 'type', ['a'], 'x']));
    const height = ledger.height('one');
    await ledger.close();
    ledger = await open(folder);
    expect(ledger.height('one')).toBe(height);
    expect(ledger.channels()).toEqual(['one']);
    await clientOf(ledger).submit(run(['put', 'kept', 'two']));
    expect(await clientOf(ledger).evaluate(run(['history', 'kept'], ['partial', 'type', []]))).toEqual([[['two', false, 64], ['one', false, 64]], [['a', 'x']]]);
    expect(await ledger.verifyChain('one')).toMatchObject({ blocks: height + 1 });
    expect(await ledger.replay('one')).toMatchObject({ blocks: height + 1 });
    await ledger.close();
  });

  it('refuses a second opener, and lets it in when the first is gone', async () => {
    const folder = newFolder();
    const ledger = await open(folder);
    await expect(open(folder)).rejects.toMatchObject({ code: 'LEDGER_IN_USE' });
    await ledger.close();
    await (await open(folder)).close();
  });

  it('refuses to create a channel anew with another configuration', async () => {
    const ledger = await open(newFolder());
    await expect(ledger.createChannel({ name: 'one', orgs: [{ mspId: 'OrgB', rootCertificate: org.ca.certificate }], peers: ['OrgB'], needed: 1 })).rejects.toMatchObject({ code: 'LEDGER_CHANNEL_EXISTS' });
    await ledger.close();
  });

  it('leaves other files in its folder alone', async () => {
    const folder = newFolder();
    const other = new DatabaseSync(join(folder, 'keys.sqlite'));
    other.exec('CREATE TABLE keys (name TEXT)');
    other.close();
    const ledger = await open(folder);
    expect(ledger.channels()).toEqual(['one']);
    await expect(ledger.createChannel({ name: 'keys', orgs: [{ mspId: 'OrgA', rootCertificate: org.ca.certificate }], peers: ['OrgA'], needed: 1 })).rejects.toMatchObject({ code: 'LEDGER_FILE_VERSION' });
    await ledger.close();
  });

  it('refuses a file of a later format', async () => {
    const folder = newFolder();
    await (await open(folder)).close();
    const file = new DatabaseSync(join(folder, 'one.sqlite'));
    file.exec('PRAGMA user_version = 99');
    file.close();
    await expect(open(folder)).rejects.toMatchObject({ code: 'LEDGER_FILE_VERSION' });
  });
});

describe('a full disk', () => {
  it('refuses blocks with a code, goes on reading, loses nothing, and recovers', async () => {
    const folder = newFolder();
    let ledger = await open(folder, 400_000);
    const client = clientOf(ledger);
    let written = 0;
    const fill = async (): Promise<void> => {
      for (;;) {
        await client.submit(run(['putLong', `k${written}`, 20_000]));
        written++;
      }
    };
    await expect(fill()).rejects.toMatchObject({ code: 'LEDGER_DISK_FULL', details: { channel: 'one', file: expect.stringContaining('one.sqlite') } });
    expect(written).toBeGreaterThan(1);
    const height = ledger.height('one');
    expect(await client.evaluate(run(['length', 'k0'], ['length', `k${written}`]))).toEqual([20_000, 0]);
    await expect(client.submit(run(['putLong', 'again', 20_000]))).rejects.toMatchObject({ code: 'LEDGER_DISK_FULL' });
    expect(ledger.height('one')).toBe(height);
    await ledger.close();
    ledger = await open(folder);
    expect(await clientOf(ledger).submit(run(['putLong', 'again', 20_000]))).toMatchObject({ blockNumber: height });
    await ledger.replay('one');
    await ledger.close();
  });
});

describe('a damaged state file', () => {
  async function damaged(damage: (file: string) => void): Promise<string> {
    const folder = newFolder();
    const ledger = await open(folder);
    for (let turn = 0; turn < 30; turn++) await clientOf(ledger).submit(run(['putLong', `k${turn}`, 5_000]));
    await ledger.close();
    damage(join(folder, 'one.sqlite'));
    return folder;
  }
  const corrupt = { code: 'LEDGER_CORRUPT', details: { channel: 'one', file: expect.stringContaining('one.sqlite') } };
  const overwrite = (file: string, from: number, to: number): void => {
    const bytes = readFileSync(file);
    bytes.fill(0xa5, Math.floor(bytes.length * from), Math.floor(bytes.length * to));
    writeFileSync(file, bytes);
  };

  it.each([
    ['whose head is overwritten', (file: string) => overwrite(file, 0, 0.01)],
    ['that was cut in half', (file: string) => truncateSync(file, Math.floor(readFileSync(file).length / 2))],
    ['that is no database at all', (file: string) => writeFileSync(file, 'hello '.repeat(2_000))],
    ['whose pages are overwritten', (file: string) => overwrite(file, 0.02, 0.98)],
  ])('%s is named with its channel', async (_name, damage) => {
    await expect(open(await damaged(damage))).rejects.toMatchObject(corrupt);
  });

  it('whose blocks were exchanged is found by the chain check, which names the first bad block', async () => {
    const folder = await damaged((file) => {
      const database = new DatabaseSync(file);
      database.exec('UPDATE blocks SET bytes = (SELECT bytes FROM blocks WHERE number = 5) WHERE number = 7');
      database.close();
    });
    const ledger = await open(folder);
    await expect(ledger.verifyChain('one')).rejects.toMatchObject({ code: 'LEDGER_CHAIN_BROKEN', details: { channel: 'one', block: 7 } });
    await ledger.close();
  });

  it('whose state was changed by hand is found by replay', async () => {
    const folder = await damaged((file) => {
      const database = new DatabaseSync(file);
      database.exec("UPDATE state SET value = x'00' WHERE namespace = 'probe' AND key = CAST('k3' AS BLOB)");
      database.close();
    });
    const ledger = await open(folder);
    await ledger.verifyChain('one');
    await expect(ledger.replay('one')).rejects.toMatchObject({ code: 'LEDGER_STATE_DIFFERS', details: { channel: 'one', table: 'state' } });
    await ledger.close();
  });

  it('whose bytes flip inside a block is found by the chain check', async () => {
    const folder = await damaged((file) => {
      const database = new DatabaseSync(file);
      const { bytes } = database.prepare('SELECT bytes FROM blocks WHERE number = 9').get() as { bytes: Uint8Array };
      bytes[Math.floor(bytes.length / 2)] = (bytes[Math.floor(bytes.length / 2)] as number) ^ 1;
      database.prepare('UPDATE blocks SET bytes = ? WHERE number = 9').run(bytes);
      database.close();
    });
    const ledger = await open(folder);
    await expect(ledger.verifyChain('one')).rejects.toMatchObject({ code: 'LEDGER_CHAIN_BROKEN', details: { block: 9 } });
    await ledger.close();
  });
});
