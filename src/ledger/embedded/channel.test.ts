import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { utf8 } from '#base/bytes.ts';
import { silentLog } from '#base/ports.ts';
import { fakeClock, realScheduler, seededRandom } from '#sim/seams.ts';
import { validationCode } from '../codes.ts';
import { createTestOrg } from '../consortium.test-kit.ts';
import { Channel } from './channel.ts';
import { openChannelStore } from './channel-store.ts';
import { openEmbeddedLedger } from './ledger.ts';
import { createPeer } from './peer.ts';
import type { Prepared } from './prepared.ts';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

async function openChannel(): Promise<Channel> {
  const folder = mkdtempSync(join(tmpdir(), 'healthkeep-channel-'));
  folders.push(folder);
  const clock = fakeClock(Date.UTC(2026, 0, 5, 12));
  const [org, ordererOrg] = [await createTestOrg('OrgA', clock), await createTestOrg('ORD-test', clock)];
  const orderer = await ordererOrg.issue('orderer', 'orderer');
  const parts = { clock, random: seededRandom('channel'), scheduler: realScheduler, log: silentLog };
  const ledger = await openEmbeddedLedger({ ...parts, folder, orderer: { ...orderer, rootCertificate: ordererOrg.ca.certificate } });
  await ledger.createChannel({ name: 'one', orgs: [{ mspId: 'OrgA', rootCertificate: org.ca.certificate }], peers: ['OrgA'], needed: 1 });
  await ledger.close();
  return new Channel({ ...parts, store: openChannelStore({ channel: 'one', file: join(folder, 'one.sqlite'), durable: false }), orderer: createPeer(orderer) });
}

/** What is in no state valid still takes its place in a block. */
const invalid = (txId: string): Prepared => ({ bytes: utf8(txId), txId, type: 3, code: validationCode.BAD_PAYLOAD, why: '', sets: [], sequence: 0, endorsers: [] });

describe('a channel', () => {
  it('starts the next block for a transaction that comes in the very moment the last one ended', async () => {
    const channel = await openChannel();
    for (let turn = 0; turn < 20; turn++) {
      await channel.submit(invalid(`first ${turn}`));
      // No pause between the answer and the next submission.
      const second = channel.submit(invalid(`second ${turn}`));
      const late = realScheduler.sleep(2_000).then(() => 'never came');
      expect(await Promise.race([second, late])).toMatchObject({ code: validationCode.BAD_PAYLOAD });
    }
    expect(channel.height).toBe(41);
    await channel.close();
  });

  it('finishes what is queued before it closes, and takes nothing more', async () => {
    const channel = await openChannel();
    const queued = Array.from({ length: 5 }, (_, index) => channel.submit(invalid(`t${index}`)));
    const closing = channel.close();
    await expect(channel.submit(invalid('late'))).rejects.toMatchObject({ code: 'LEDGER_CLOSED' });
    await closing;
    expect((await Promise.all(queued)).map(({ block }) => block)).toEqual([1, 1, 1, 1, 1]);
  });
});
