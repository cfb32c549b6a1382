/** A hospital leaves the consortium: it is heard no more, and its patients still reach, check, prove and take along their records (15.3). */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { contractClient } from '#contracts/client.ts';
import { digestOfJson } from '#contracts/consortium.test-kit.ts';
import { instant, type OrgId } from '#model/ids.ts';
import { CON } from '#model/orgs.ts';
import type { KeptOrgIdentity } from '#org/identity.ts';
import { EAST, WEST } from './members.ts';
import { live } from './move.test-kit.ts';
import type { Network } from './network.ts';
import { systemClock } from './seams.ts';

const folder = mkdtempSync(join(tmpdir(), 'healthkeep-leave-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function remove(network: Network, org: OrgId): Promise<void> {
  const con = (of: OrgId) => contractClient<'con'>(network.clientOf(of), { channel: CON, signer: (network.identities.get(of) as KeptOrgIdentity).operator });
  const voters = network.members.map((member) => member.org).filter((one) => one !== org);
  const subject = { id: 'leave', kind: 'removal', org } as const;
  await con(voters[0] as OrgId).submit('propose', { ...subject, digest: digestOfJson(subject), title: 'It leaves', deadline: instant(systemClock.now() + 86_400_000) });
  for (const voter of voters.slice(0, 3)) await con(voter).submit('vote', { id: subject.id, choice: 'yes' });
}

it('a leaver\'s patients keep their records', async () => {
  await live(folder, 2, async (network) => {
    await remove(network, WEST.org);
    const identity = (org: OrgId): KeptOrgIdentity => network.identities.get(org) as KeptOrgIdentity;
    const late = (org: OrgId) => contractClient<'con'>(network.clientOf(org), { channel: CON, signer: identity(org).system }).submit('propose', { id: `late-${org.toLowerCase()}`, kind: 'algorithm', digest: digestOfJson(org), title: 'A late word', deadline: instant(systemClock.now() + 86_400_000) });
    await expect(late(WEST.org)).rejects.toMatchObject({ code: 'MEMBER_SILENT' });
    await late(EAST.org);
    const { device, close } = await network.openDevice('1', { minMs: 0, maxMs: 10 });
    await device.sync();
    expect(await device.reconcile()).toEqual([]);
    const theirs = (await device.records()).filter((record) => record.keeper === WEST.org);
    expect(theirs.length).toBeGreaterThan(0);
    expect(JSON.stringify(await device.proofOf(theirs[0]?.id as never))).toContain('hdc-west');
    expect(new TextDecoder().decode(await device.exportAll())).toContain(theirs[0]?.id as string);
    await close();
    expect(await network.hospitals.get(WEST.org)?.tamperCheck()).toMatchObject({ changed: [], missing: [], extra: [] });
  });
}, 120_000);
