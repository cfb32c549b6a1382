import { mkdtempSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '#base/ports.ts';
import { fakeClock, realScheduler, seededRandom } from '#sim/seams.ts';
import { createTestOrg } from '../consortium.test-kit.ts';
import { openEmbeddedLedger, type EmbeddedLedger } from './ledger.ts';

describe('a channel that was here before', () => {
  const clock = fakeClock(Date.UTC(2026, 0, 5, 12));
  let folder: string;
  let open: () => Promise<EmbeddedLedger>;
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'healthkeep-channels-'));
    const org = await createTestOrg('HO-a', clock);
    const orderer = await createTestOrg('ORD-consortium', clock);
    const key = await orderer.issue('orderer', 'orderer');
    open = async () => {
      const ledger = await openEmbeddedLedger({ folder, clock, random: seededRandom('channels'), scheduler: realScheduler, log: silentLog, orderer: { ...key, rootCertificate: orderer.ca.certificate } });
      for (const name of ['hdc-a', 'hdc-b']) await ledger.createChannel({ name, orgs: [{ mspId: 'HO-a', rootCertificate: org.ca.certificate }], peers: ['HO-a'], needed: 1 });
      return ledger;
    };
    await (await open()).close();
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('is there again', async () => {
    const ledger = await open();
    expect(ledger.channels()).toEqual(['hdc-a', 'hdc-b']);
    await ledger.close();
  });

  it.each([
    ['gone', (file: string) => rmSync(file)],
    ['empty', (file: string) => truncateSync(file)],
  ])('and whose file is %s is missed, not begun again at block 0', async (_, take) => {
    take(join(folder, 'hdc-b.sqlite'));
    for (let times = 0; times < 2; times++) await expect(open()).rejects.toMatchObject({ code: 'LEDGER_MISSING', details: { channel: 'hdc-b' } });
  });
});
