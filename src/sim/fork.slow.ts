/** The operator of the embedded ledger lies, with its real files: an older copy, and one without the members' memory (attack 7). */
import { cpSync, readdirSync, rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseCheckpoint } from '#crypto/checkpoint.ts';
import type { CheckpointView } from '#device/checkpoints.ts';
import { CON, DRC, hdcOf, UIC } from '#model/orgs.ts';
import { verifyFile } from '../../verifier/verify.ts';
import { createForge, openPerson, type Copy, type Forge, type Person } from './fork.test-kit.ts';
import { DEMO_MEMBERS, EAST, INSURER, WEST } from './members.ts';

const CHANNELS = [CON, UIC, DRC, hdcOf(EAST.org), hdcOf(WEST.org)];
let forge: Forge;
let first: Copy;
let uma: Person;
let genesis: string;

beforeAll(async () => {
  forge = createForge();
  first = await forge.open(forge.fresh());
  uma = await openPerson('uma', first, forge.clock);
  genesis = JSON.stringify({ kind: 'healthkeep-genesis', version: 1, members: DEMO_MEMBERS.map(({ org }) => ({ org, rootCertificate: first.network.identities.get(org)!.ca.certificate })) });
  for (const channel of CHANNELS) await first.grow(channel);
  await first.publish();
  await first.close();
}, 120_000);
afterAll(() => forge.close());

describe('an operator of the ledger that puts it back', () => {
  it('is found out when it goes back to an older copy, before and after that grew again', async () => {
    const folder = forge.copy(first.folder);
    const old = forge.copy(folder);
    const now = await forge.open(folder);
    uma.served(now);
    for (const channel of CHANNELS) await now.grow(channel);
    await now.publish();
    await uma.device.sync();
    expect(await uma.device.watch()).toEqual([]);
    await now.close();
    const back = await forge.open(old);
    uma.served(back);
    expect(await uma.device.watch()).toContain('LEDGER_ROLLED_BACK');
    await expect(uma.device.templates()).rejects.toMatchObject({ code: 'LEDGER_ROLLED_BACK' });
    for (let turn = 0; turn < 3; turn++) for (const channel of CHANNELS) await back.grow(channel);
    await back.publish();
    expect(await uma.device.watch()).toContain('LEDGER_FORKED');
    const [{ fork }] = (await uma.device.checkpoints()).filter(({ channel }) => channel === DRC) as [CheckpointView];
    expect(verifyFile({ file: JSON.stringify(fork?.evidence), genesis }).refusal).toBeUndefined();
    await back.close();
  }, 120_000);

  it('gets no signature of members whose own memory it does not have', async () => {
    // Only the ledger is put back to an older copy; the organisations keep what is theirs.
    const folder = forge.copy(first.folder);
    const old = forge.copy(folder);
    const now = await forge.open(folder);
    for (const channel of CHANNELS) await now.grow(channel);
    await now.publish();
    const note = (await now.org(INSURER.org).exchange.notes.newest(DRC)) as string;
    await now.close();
    rmSync(`${folder}/ledger`, { recursive: true });
    cpSync(`${old}/ledger`, `${folder}/ledger`, { recursive: true });
    // Their trees can be had again from the ledger, so a liar would remove them as well.
    for (const { org } of DEMO_MEMBERS) for (const file of readdirSync(`${folder}/orgs/${org}`)) if (file.includes('tree')) rmSync(`${folder}/orgs/${org}/${file}`);
    const back = await forge.open(folder);
    for (let turn = 0; turn < 3; turn++) for (const channel of CHANNELS) await back.grow(channel);
    await back.publish().catch(() => undefined);
    for (const { org } of DEMO_MEMBERS) {
      const newest = (await back.org(org).exchange.notes.newest(DRC)) as string;
      expect(parseCheckpoint(newest), org).toEqual(parseCheckpoint(note));
    }
    expect(back.events()).toContain('witness.forked');
    await back.close();
  }, 120_000);
});
