/** A ledger and five organisations, each a process of its own on one folder, and people and data users who speak to them. */
import { connect, hash, signers } from '@hyperledger/fabric-gateway';
import { credentials, Client } from '@grpc/grpc-js';
import { createPrivateKey } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fromUtf8 } from '#base/bytes.ts';
import { syntheticPeople } from '#sim/people.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { deviceAt, finishedDemo, healthkeep, refusalOf, serve, valueOf, type Card, type Ran, type Serving } from './walk.test-kit.ts';

const scratch = mkdtempSync(join(tmpdir(), 'healthkeep-walk-'));
const demo = join(scratch, 'demo');
const ORGS = ['UO-people', 'HO-east', 'HO-west', 'DUO-sunrise', 'DUO-helix'] as const;
const SUNRISE = ['--json', '--folder', demo, '--org', 'DUO-sunrise'];
const EAST = ['--json', '--folder', demo, '--org', 'HO-east'];
const device = (person: string, command: string, ...words: readonly string[]): Promise<Ran> => healthkeep(['device', command, ...words, ...deviceAt(demo, person)]);
let grpc = '';
const serving: Serving[] = [];

beforeAll(async () => {
  await finishedDemo(demo, 4);
}, 120_000);
afterAll(async () => {
  for (const one of serving.reverse()) await one.stop();
  rmSync(scratch, { recursive: true, force: true });
}, 60_000);

describe('six processes on one folder', () => {
  it('come up: the ledger first, then each organisation', async () => {
    const ledger = await serve(['ledger', 'serve', '--json', '--folder', demo, '--grpc-port', '0'], /\n/);
    serving.push(ledger);
    const said = JSON.parse(ledger.out()) as { ledger: string; grpc: string; channels: readonly { channel: string; blocks: number }[] };
    expect(said.channels.map((one) => one.channel).sort()).toEqual(['con', 'drc', 'hdc-east', 'hdc-west', 'uic']);
    grpc = said.grpc;
    for (const org of ORGS) {
      const one = await serve(['org', 'run', '--json', '--folder', demo, '--org', org], /\n/);
      serving.push(one);
      expect(JSON.parse(one.out())).toMatchObject({ org });
    }
    expect(refusalOf(await healthkeep(['demo', '--once', '--json', '--folder', demo])).code).toBe('FOLDER_IN_USE');
    expect(refusalOf(await healthkeep(['ledger', 'serve', '--json', '--folder', demo])).code).toBe('FOLDER_IN_USE');
    const { findings } = valueOf<{ findings: readonly { check: string; state: string }[] }>(await healthkeep(['doctor', '--json', '--folder', demo]));
    expect(findings.filter((one) => one.state !== 'ok')).toEqual([]);
    expect(findings.filter((one) => one.check.includes(' answers at '))).toHaveLength(ORGS.length);
  }, 120_000);

  it('take in a new person, who is asked, answers and is paid', async () => {
    expect(valueOf(await device('zoe', 'enrol'))).toEqual({ enrolled: true });
    const bundle = syntheticPeople({ seed: 'walk', count: 1, hospitals: 1, visits: 1 })[0]?.bundles[0];
    const file = join(scratch, 'zoe.json');
    writeFileSync(file, bundle?.text ?? '');
    expect(valueOf<{ files: readonly object[] }>(await healthkeep(['ingest', file, ...EAST])).files[0]).toMatchObject({ accepted: bundle?.resources });
    valueOf(await device('zoe', 'link', '--org', 'HO-east', '--patient', bundle?.patient ?? ''));
    expect(valueOf(await device('zoe', 'sync'))).toEqual({ pending: [] });
    expect(valueOf<{ records: readonly unknown[] }>(await device('zoe', 'records')).records).toHaveLength(bundle?.resources ?? -1);
    const slot = valueOf<{ slots: readonly string[] }>(await device('zoe', 'permit', '--org', 'DUO-sunrise')).slots[0] as string;
    expect(valueOf<{ rows: readonly Card[] }>(await healthkeep(['request', 'permits', ...SUNRISE])).rows.find((row) => row.slot === slot)?.state).toBe('permitted');
    valueOf(await healthkeep(['request', 'invite', slot, ...SUNRISE]));
    expect(valueOf<{ requests: readonly Card[] }>(await device('zoe', 'requests')).requests.find((card) => card.slot === slot)?.state).toBe('waiting');
    const seen = valueOf<{ items: readonly { id: string }[] }>(await device('zoe', 'answer', slot, 'all', '--preview'));
    expect(valueOf<{ state: string }>(await device('zoe', 'answer', slot, 'all')).state).toBe('answered');
    const received = valueOf<{ items: readonly { record: string; good: boolean }[] }>(await healthkeep(['request', 'receive', slot, ...SUNRISE]));
    expect(received.items.map((item) => [item.record, item.good]).sort()).toEqual(seen.items.map((item) => [item.id, true]).sort());
    expect(valueOf<{ lines: readonly { slot: string }[] }>(await healthkeep(['settle', ...SUNRISE])).lines.map((line) => line.slot)).toEqual([slot]);
    expect(valueOf(await device('zoe', 'revoke', slot))).toEqual({ revoked: true });
    expect(valueOf<{ logs: readonly { lines: readonly { org: string }[] }[] }>(await device('zoe', 'log')).logs.flatMap((log) => log.lines).some((line) => line.org === 'DUO-sunrise')).toBe(true);
    expect(valueOf(await healthkeep(['tamper-check', ...EAST]))).toMatchObject({ changed: [], missing: [], extra: [] });
    expect(valueOf<{ channels: readonly unknown[] }>(await healthkeep(['ledger', 'inspect', '--json', '--folder', demo])).channels).toHaveLength(5);
  }, 120_000);

  it('the ledger answers an unmodified Fabric gateway client over gRPC', async () => {
    const keys = openSqliteKeyValueStore(join(demo, 'orgs', 'DUO-helix', 'keys.sqlite'));
    const [certificate, key] = [await keys.get('system/certificate'), await keys.get('system/key')];
    await keys.close();
    const client = new Client(grpc, credentials.createInsecure());
    const gateway = connect({
      client, hash: hash.sha256, identity: { mspId: 'DUO-helix', credentials: certificate as Uint8Array },
      signer: signers.newPrivateKeySigner(createPrivateKey({ key: Buffer.from(key as Uint8Array), format: 'der', type: 'pkcs8' })),
    });
    try {
      const answer = await gateway.getNetwork('drc').getContract('drc').evaluateTransaction('listTemplates', '{}');
      expect((JSON.parse(fromUtf8(answer)) as { templates: readonly unknown[] }).templates).toHaveLength(2);
    } finally {
      gateway.close();
      client.close();
    }
  }, 30_000);

  it('say it when one of them is gone, and go on when it is back', async () => {
    expect(await (serving[ORGS.indexOf('HO-east') + 1] as Serving).stop()).toBe(0);
    expect(refusalOf(await healthkeep(['tamper-check', ...EAST]))).toEqual({ exit: 5, code: 'ORG_UNREACHABLE', out: '' });
    const { findings } = valueOf<{ findings: readonly { check: string; state: string; next?: string }[] }>(await healthkeep(['doctor', '--json', '--folder', demo]), 3);
    expect(findings.filter((one) => one.state === 'fail').map((one) => one.check.split(' ')[0])).toEqual(['HO-east']);
    serving[ORGS.indexOf('HO-east') + 1] = await serve(['org', 'run', '--json', '--folder', demo, '--org', 'HO-east'], /\n/);
    expect(valueOf(await healthkeep(['tamper-check', ...EAST]))).toMatchObject({ changed: [], missing: [], extra: [] });
  }, 60_000);

  it('all end with 0 when asked to, and the folder is free again', async () => {
    expect(await Promise.all(serving.splice(0).reverse().map((one) => one.stop()))).toEqual([0, 0, 0, 0, 0, 0]);
    expect(valueOf<{ findings: readonly { state: string }[] }>(await healthkeep(['doctor', '--json', '--folder', demo])).findings.every((one) => one.state === 'ok')).toBe(true);
    // Whatever was tried on the folder, the story's promises still hold there: a new person's records, an erased record.
    const record = valueOf<{ records: readonly { id: string }[] }>(await device('1', 'records')).records[0]?.id ?? '';
    expect(valueOf(await device('1', 'erase', record, '--confirm', 'erase'))).toEqual({ erased: 1 });
    expect(valueOf<{ checks: readonly { held: boolean }[] }>(await healthkeep(['demo', '--once', '--json', '--people', '4', '--folder', demo])).checks.filter((one) => !one.held)).toEqual([]);
  }, 120_000);
});
