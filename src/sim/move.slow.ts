/** A network outgrows its ledger: it lives, moves over gRPC to an empty one, and lives on. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toBase64url, fromBase64url } from '#base/bytes.ts';
import { contractClient } from '#contracts/client.ts';
import { archiveFile, checkArchive } from '#ledger/embedded/archive.ts';
import type { ChannelName, OrgId } from '#model/ids.ts';
import { channelsOf, CON, hdcOf } from '#model/orgs.ts';
import { EAST } from './members.ts';
import { moveLedger, settleAll } from './move.ts';
import { live, openBoth, seams, takeTarget } from './move.test-kit.ts';

const folder = mkdtempSync(join(tmpdir(), 'healthkeep-move-'));
const next = mkdtempSync(join(tmpdir(), 'healthkeep-move-next-'));
const archive = join(folder, 'archive');
afterAll(() => [folder, next].forEach((one) => rmSync(one, { recursive: true, force: true })));

describe('a network that moves', () => {
  beforeAll(async () => void (await live(folder, 3)), 60_000);

  it('has the same roots on both sides', async () => {
    const both = await openBoth(folder, next);
    try {
      const { identities, source, target, ledger, other } = both;
      const moved = await moveLedger({ identities, source, target, archive, tablesOf: (channel, leaveOut) => ledger.stateRoot(channel, leaveOut), progress: () => undefined });
      expect(moved.every((one) => one.keys > 0)).toBe(true);
      for (const channel of channelsOf([...identities.keys()])) {
        const skip = (key: string): boolean => key === '\u0000move\u0000';
        expect(toBase64url((await other.stateRoot(channel, skip)).root), channel).toBe(toBase64url((await ledger.stateRoot(channel, skip)).root));
        await other.replay(channel);
      }
    } finally {
      await both.close();
    }
  }, 60_000);

  it('lives on: old records check and prove, new people ask, release and settle', async () => {
    const both = await openBoth(folder, next);
    const settled = await settleAll({ identities: both.identities, target: both.target, folder, archive, seams });
    expect(settled).toBeGreaterThan(0);
    await both.close();
    takeTarget(folder, next);
    const summary = await live(folder, 4, async (network) => {
      for (const hospital of network.hospitals.values()) expect(await hospital.tamperCheck()).toMatchObject({ changed: [], missing: [], extra: [] });
    });
    expect(summary.checks.filter((one) => !one.held)).toEqual([]);
    expect(summary.people).toBe(4);
  }, 60_000);
});
