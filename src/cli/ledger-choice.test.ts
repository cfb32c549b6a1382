import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { main } from './main.ts';

const folder = mkdtempSync(join(tmpdir(), 'healthkeep-choice-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function refused(...words: readonly string[]): Promise<{ readonly exit: number; readonly error: { readonly code: string; readonly why: string; readonly next: string } }> {
  let told = '';
  const exit = await main(['demo', '--once', '--json', '--folder', join(folder, 'story'), ...words], { out: () => undefined, err: (text) => (told += text), color: false }, {}, new AbortController().signal);
  return { exit, ...(JSON.parse(told.trim().split('\n').at(-1) as string) as { error: { code: string; why: string; next: string } }) };
}

describe('the ledger of a demo', () => {
  it('is one of three, and a near miss is named', async () => {
    expect(await refused('--ledger', 'fabrik')).toMatchObject({ exit: 2, error: { code: 'USAGE_OPTION', next: 'Did you mean --ledger fabric?' } });
  });

  it('is not Fabric where no network was started', async () => {
    expect(await refused('--ledger', 'fabric', '--network', join(folder, 'network.json'))).toMatchObject({ exit: 3, error: { code: 'LEDGER_NETWORK_FILE', next: expect.stringContaining('Start the network') } });
  });

  it('is not a Fabric network of other organisations', async () => {
    const file = join(folder, 'network.json');
    writeFileSync(file, JSON.stringify({ version: 1, organisations: [{ mspId: 'HO-other', rootCertificate: 'x', users: {} }], orderers: [], channels: [] }));
    expect(await refused('--ledger', 'fabric', '--network', file)).toMatchObject({ exit: 3, error: { code: 'LEDGER_NETWORK_FILE', why: expect.stringContaining('no such organisation') } });
  });

  it('is not a Fabric network whose keys are elsewhere', async () => {
    const file = join(folder, 'network.json');
    const organisations = ['UO-people', 'HO-east', 'HO-west', 'DUO-sunrise', 'DUO-helix'].map((mspId) => ({ mspId, rootCertificate: 'root.pem', peer: { address: '127.0.0.1:1' }, users: {} }));
    writeFileSync(file, JSON.stringify({ version: 1, organisations, orderers: [], channels: [] }));
    expect(await refused('--ledger', 'fabric', '--network', file)).toMatchObject({ exit: 3, error: { code: 'LEDGER_NETWORK_FILE', why: expect.stringContaining('keys are not beside') } });
  });
});
