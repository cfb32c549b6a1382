/** The operator of the embedded ledger lies, with its real files: two histories, one for each client (attack 7). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CON, DRC, hdcOf, UIC } from '#model/orgs.ts';
import { verifyFile } from '../../verifier/verify.ts';
import { createForge, openPerson, type Copy, type Forge, type Person } from './fork.test-kit.ts';
import { DEMO_MEMBERS, EAST, WEST } from './members.ts';

const CHANNELS = [CON, UIC, DRC, hdcOf(EAST.org), hdcOf(WEST.org)];
let forge: Forge;
let first: Copy;
let [zoe, yan] = [] as unknown as [Person, Person];
let genesis: string;

beforeAll(async () => {
  forge = createForge();
  first = await forge.open(forge.fresh());
  zoe = await openPerson('zoe', first, forge.clock);
  yan = await openPerson('yan', first, forge.clock);
  genesis = JSON.stringify({ kind: 'healthkeep-genesis', version: 1, members: DEMO_MEMBERS.map(({ org }) => ({ org, rootCertificate: first.network.identities.get(org)!.ca.certificate })) });
}, 120_000);
afterAll(() => forge.close());

const heights = async ({ device }: Person): Promise<Readonly<Record<string, number>>> => Object.fromEntries((await device.checkpoints()).map(({ channel, blocks }) => [channel, blocks]));

describe('an operator of the ledger that tells two histories', () => {
  it('is found out by either client at its next contact with the other history, and proven to outsiders', async () => {
    for (const channel of CHANNELS) await first.grow(channel);
    await first.publish();
    for (const person of [zoe, yan]) {
      expect(await person.device.watch()).toEqual([]);
      expect(Object.keys(await heights(person)).sort()).toEqual([...CHANNELS].sort());
    }
    await first.close();
    const other = forge.copy(first.folder);
    const [one, two] = [await forge.open(first.folder), await forge.open(other)];
    zoe.served(one);
    yan.served(two);
    const before = await heights(zoe);
    for (const copy of [one, two]) {
      for (const channel of CHANNELS) await copy.grow(channel);
      await copy.publish();
    }
    // Each of them sees a sound ledger that grows: the members' own keys signed both histories.
    for (const person of [zoe, yan]) {
      expect(await person.device.watch()).toEqual([]);
      for (const channel of CHANNELS) expect((await heights(person))[channel], channel).toBeGreaterThan(before[channel] as number);
    }
    // One contact with one member that was shown the other history.
    zoe.served(two, [one.network.userOrg.org]);
    expect(await zoe.device.watch()).toContain('LEDGER_FORKED');
    const views = await zoe.device.checkpoints();
    for (const { channel, problem, fork } of views) {
      expect(problem, channel).toBe('LEDGER_FORKED');
      const verdict = verifyFile({ file: JSON.stringify(fork?.evidence), genesis });
      expect(verdict.refusal, channel).toBeUndefined();
      expect(verdict.steps.at(-1), channel).toMatch(/^Signed both: /);
      expect(fork?.convicted.length, channel).toBeGreaterThan(0);
    }
    // The member that was met has proofs too: of every channel where its own history was the longer one.
    expect((await two.org(two.network.userOrg.org).exchange.forks.list()).length).toBeGreaterThan(0);
    // The device stays away from it, also after a restart, and still takes back what it gave.
    const again = await zoe.restarted();
    await expect(again.templates()).rejects.toMatchObject({ code: 'LEDGER_FORKED' });
    expect((await again.checkpoints()).every(({ problem }) => problem === 'LEDGER_FORKED')).toBe(true);
    expect((await again.sync()).problems.map(({ code }) => code)).toContain('LEDGER_FORKED');
    await Promise.all([one.close(), two.close()]);
  }, 120_000);
});
