/** Private values: how long they live, and that nothing of them is left when they end. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fakeClock, realScheduler, seededRandom } from '#sim/seams.ts';
import { utf8 } from '#base/bytes.ts';
import { silentLog } from '#base/ports.ts';
import { probe, type Step } from '../conformance/probe.ts';
import { createTestOrg, type TestOrg } from '../consortium.test-kit.ts';
import { createLedgerClient } from '../gateway-client.ts';
import type { LedgerClient } from '../client.ts';
import { openEmbeddedLedger, type EmbeddedLedger } from './ledger.ts';

const clock = fakeClock(Date.UTC(2026, 0, 5, 12));
const folder = mkdtempSync(join(tmpdir(), 'healthkeep-private-'));
let org: TestOrg;
let ledger: EmbeddedLedger;
let client: LedgerClient;

beforeAll(async () => {
  org = await createTestOrg('OrgA', clock);
  const orderer = await createTestOrg('ORD-test', clock);
  ledger = await openEmbeddedLedger({ folder, clock, random: seededRandom('private'), scheduler: realScheduler, log: silentLog, orderer: { ...(await orderer.issue('orderer', 'orderer')), rootCertificate: orderer.ca.certificate } });
  await ledger.createChannel({ name: 'one', orgs: [{ mspId: 'OrgA', rootCertificate: org.ca.certificate }], peers: ['OrgA'], needed: 1 });
  await ledger.attachPeer({ ...org.peer, channels: ['one'] });
  await ledger.deploy({ channel: 'one', name: 'probe', chaincode: probe, needed: 1, collections: [{ name: 'short', members: ['OrgA'], blockToLive: 2 }, { name: 'long', members: ['OrgA'] }] });
  client = createLedgerClient({ transport: ledger.transport(), clock, random: seededRandom('private client'), scheduler: realScheduler });
});
afterAll(async () => {
  await ledger.close();
  rmSync(folder, { recursive: true, force: true });
});

const run = (...steps: readonly Step[]) => ({ channel: 'one', contract: 'probe', name: 'run', input: steps as never, signer: org.client.signer, transient: new Map([['secret', utf8(canary)]]) });
const canary = 'CANARY-purged-value-7f3a';
const onDisk = (text: string): string[] => readdirSync(folder).filter((file) => readFileSync(join(folder, file)).includes(text));

describe('private values', () => {
  it('live for as many blocks as their collection says', async () => {
    await client.submit(run(['putPrivate', 'short', 'k', 'brief'], ['putPrivate', 'long', 'k', 'lasting']));
    for (let block = 1; block <= 2; block++) {
      await client.submit(run(['put', `tick${block}`, 'x']));
      expect(await client.evaluate(run(['getPrivate', 'short', 'k']))).toEqual(['brief']);
    }
    await client.submit(run(['put', 'tick3', 'x']));
    expect(await client.evaluate(run(['getPrivate', 'short', 'k'], ['privateHash', 'short', 'k'], ['getPrivate', 'long', 'k']))).toEqual(['', '', 'lasting']);
    await ledger.replay('one');
  });

  it('are overwritten on the disk when they are purged', async () => {
    await client.submit(run(['putPrivate', 'long', 'secret', 'secret']));
    expect(await client.evaluate(run(['getPrivate', 'long', 'secret']))).toEqual([canary]);
    expect(onDisk(canary)).not.toEqual([]);
    await client.submit(run(['purge', 'long', 'secret']));
    await ledger.close();
    expect(onDisk(canary)).toEqual([]);
  });
});
