import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { silentLog } from '#base/ports.ts';
import { codeOf } from '#contracts/network.test-kit.ts';
import { freePort } from '#ledger/conformance/external.test-kit.ts';
import { createLedgerClient } from '#ledger/gateway-client.ts';
import type { OrgId } from '#model/ids.ts';
import { openOrgIdentity } from '#org/identity.ts';
import { openLedgerOf } from '#sim/network.ts';
import { DEMO_MEMBERS } from '#sim/members.ts';
import { realScheduler, seededRandom, systemClock, systemRandom } from '#sim/seams.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { readContractPrograms } from './contract-programs.ts';

const folder = mkdtempSync(join(tmpdir(), 'healthkeep-programs-'));
const file = join(folder, 'contracts.json');
const read = (content: string) => {
  writeFileSync(file, content);
  return readContractPrograms(file, { scheduler: realScheduler, log: silentLog, pathOf: (path) => join(folder, path) });
};
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('contracts in processes of their own', () => {
  it.each([
    ['no JSON', '{', 'JSON'],
    ['a contract that there is not', '{"abc": {"address": "127.0.0.1:1"}}', 'abc'],
    ['an address without port', '{"hdc": {"address": "localhost"}}', 'hdc.address'],
    ['no object', '[]', 'expected object'],
  ])('a file with %s is refused, and says where', (_name, content, why) => {
    expect(() => read(content)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', details: expect.objectContaining({ why: expect.stringContaining(why) }) }));
  });

  it('a certificate that is not there is named', () => {
    expect(() => read('{"hdc": {"address": "127.0.0.1:1", "tlsRoot": "nowhere.pem"}}')).toThrow(expect.objectContaining({ code: 'INPUT_UNREADABLE' }));
  });

  it('take the place of the ledger\'s own, the others stay', async () => {
    const programs = read(JSON.stringify({ uic: { address: `127.0.0.1:${await freePort()}` } }));
    const seams = { clock: systemClock, random: systemRandom, scheduler: realScheduler };
    const { ledger, close } = await openLedgerOf({ folder, log: silentLog, ...seams, contracts: programs.contracts }, DEMO_MEMBERS);
    const org = DEMO_MEMBERS.map((member) => member.org).find((name) => name.startsWith('UO')) as OrgId;
    const store = openSqliteKeyValueStore(`${folder}/orgs/${org}/keys.sqlite`);
    const { operator } = await openOrgIdentity({ org, store, clock: systemClock });
    const client = createLedgerClient({ transport: ledger.transport(), ...seams, random: seededRandom('programs') });
    const ask = (channel: string, name: string) => codeOf(client.evaluate({ channel, contract: channel, name, input: {}, signer: operator }));
    // Nobody listens there: that shows who was asked.
    expect(await ask('uic', 'listEntries')).toBe('LEDGER_CONTRACT_UNREACHABLE');
    expect(await ask('con', 'getMembers')).not.toBe('LEDGER_CONTRACT_UNREACHABLE');
    programs.close();
    await store.close();
    await close();
  });
});
