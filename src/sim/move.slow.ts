/** A network outgrows its ledger: it lives, moves over gRPC to an empty one, and lives on. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toBase64url } from '#base/bytes.ts';
import { main } from '#cli/main.ts';
import type { RecordId } from '#model/ids.ts';
import { channelsOf } from '#model/orgs.ts';
import { moveLedger, settleAll } from './move.ts';
import { live, openBoth, seams, takeTarget } from './move.test-kit.ts';
import type { Network } from './network.ts';

const folder = mkdtempSync(join(tmpdir(), 'healthkeep-move-'));
const next = mkdtempSync(join(tmpdir(), 'healthkeep-move-next-'));
const archive = join(folder, 'archive');
afterAll(() => [folder, next].forEach((one) => rmSync(one, { recursive: true, force: true })));

/** The first person's oldest record, and the file that proves it, as outsiders get it. */
async function prove(network: Network, name: string, wanted?: RecordId): Promise<RecordId> {
  const { device, close } = await network.openDevice('1', { minMs: 0, maxMs: 10 });
  const record = wanted ?? ((await device.records())[0]?.id as RecordId);
  writeFileSync(join(folder, `${name}.json`), JSON.stringify(await device.proofOf(record)));
  await close();
  const members = [...network.identities.values()].map(({ org, ca }) => ({ org, rootCertificate: ca.certificate }));
  writeFileSync(join(folder, 'genesis.json'), JSON.stringify({ kind: 'healthkeep-genesis', version: 1, members }));
  return record;
}

async function holds(name: string): Promise<string> {
  let told = '';
  const streams = { out: (text: string) => void (told += text), err: (text: string) => void (told += text), color: false };
  const code = await main(['proof', 'verify', join(folder, `${name}.json`), '--genesis', join(folder, 'genesis.json')], streams, {}, new AbortController().signal);
  return code === 0 ? 'holds' : told;
}

describe('a network that moves', () => {
  let record: RecordId;
  beforeAll(async () => void (await live(folder, 3, async (network) => void (record = await prove(network, 'before')))), 90_000);

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
      await prove(network, 'after', record);
    });
    expect(await holds('before')).toBe('holds');
    expect(await holds('after')).toBe('holds');
    expect(summary.checks.filter((one) => !one.held)).toEqual([]);
    expect(summary.people).toBe(4);
  }, 120_000);
});
