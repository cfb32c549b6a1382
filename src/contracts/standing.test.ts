/** A member loses its voice by vote, gets it back or leaves; its entry stays, so that its patients still find it (15.3). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OrgId } from '#model/ids.ts';
import { conClient, type ContractClient } from './client.ts';
import { digestOfJson, foundConsortium, type Consortium } from './consortium.test-kit.ts';
import { codeOf, day, digestOf, EAST, INSURER, LAB, ORGS, PEOPLE, startNetwork, WEST, type Network } from './network.test-kit.ts';

let network: Network;
let consortium: Consortium;
let votes = 0;
const as = (org: OrgId): ContractClient<'con'> => conClient(network.ledger, consortium.systemOf(org));
type Kind = 'suspension' | 'reinstatement' | 'removal';
const about = (kind: Kind, org: OrgId, id = `vote-${++votes}`) => ({ id, kind, org, digest: digestOfJson({ id, kind, org }), title: `About ${org}`, deadline: day(9) });

async function decide(kind: Kind, org: OrgId, voters: readonly OrgId[]): Promise<void> {
  const proposal = about(kind, org);
  await as(PEOPLE).submit('propose', proposal);
  for (const voter of voters) await as(voter).submit('vote', { id: proposal.id, choice: 'yes' });
}

const standings = async () => (await as(PEOPLE).evaluate('getMembers', {})).standings;

beforeAll(async () => {
  network = await startNetwork();
  consortium = await foundConsortium(network);
});
afterAll(() => network.close());

describe('a member\'s voice', () => {
  it('is voted on by id, kind and organisation, and only where it can change', async () => {
    const good = about('suspension', WEST);
    expect(await codeOf(as(PEOPLE).submit('propose', { ...good, digest: digestOf('else') }))).toBe('INPUT_INVALID');
    const { org: _, ...without } = good;
    expect(await codeOf(as(PEOPLE).submit('propose', without))).toBe('INPUT_INVALID');
    expect(await codeOf(as(PEOPLE).submit('propose', { ...good, kind: 'template' }))).toBe('INPUT_INVALID');
    expect(await codeOf(as(PEOPLE).submit('propose', about('suspension', 'HO-nobody' as OrgId)))).toBe('NOT_MEMBER');
    expect(await codeOf(as(PEOPLE).submit('propose', about('reinstatement', WEST)))).toBe('PROPOSAL_DECIDED');
  });

  it('is lost by more than half, from that height on; nobody else is touched, and the entry stays', async () => {
    const old = about('suspension', INSURER);
    await as(WEST).submit('propose', old);
    await decide('suspension', WEST, [PEOPLE, EAST]);
    expect(await standings()).toEqual([]);
    expect(await codeOf(as(WEST).submit('setTimeFloor', { at: day(1) }))).toBe('allowed');
    await decide('suspension', WEST, [PEOPLE, EAST, LAB]);
    expect(await standings()).toEqual([{ org: WEST, standing: 'suspended' }]);
    const member = (await as(EAST).evaluate('getMembers', {})).members.find(({ org }) => org === WEST);
    expect(member?.url).toBe(`https://${WEST.toLowerCase()}.example/`);
    const silent: readonly Promise<unknown>[] = [
      as(WEST).submit('setTimeFloor', { at: day(2) }),
      as(WEST).submit('propose', about('suspension', EAST)),
      as(WEST).submit('vote', { id: old.id, choice: 'yes' }),
      as(WEST).submit('updateMember', { name: 'West', url: 'https://west.example/', hpkePublicKey: 'k'.repeat(40) }),
      as(WEST).submit('putCheckpoint', { channel: 'hdc-west' as never, size: 1, root: digestOf('r'), height: 1, blockHash: digestOf('b'), note: 'n' }),
    ];
    for (const call of silent) expect(await codeOf(call)).toBe('MEMBER_SILENT');
    expect(await codeOf(as(EAST).submit('setTimeFloor', { at: day(2) }))).toBe('allowed');
    const next = about('removal', INSURER);
    expect((await as(LAB).submit('propose', next)).output.electorate).toEqual(ORGS.filter((org) => org !== WEST).sort());
  });

  it('comes back by vote, and not by an old one after leaving', async () => {
    await decide('reinstatement', WEST, [PEOPLE, EAST, LAB]);
    expect(await standings()).toEqual([]);
    expect(await codeOf(as(WEST).submit('setTimeFloor', { at: day(3) }))).toBe('allowed');
    await decide('suspension', WEST, [PEOPLE, EAST, LAB]);
    const late = about('reinstatement', WEST);
    await as(PEOPLE).submit('propose', late);
    await decide('removal', WEST, [PEOPLE, EAST, LAB]);
    expect(await standings()).toEqual([{ org: WEST, standing: 'left' }]);
    for (const org of [PEOPLE, EAST, LAB]) await codeOf(as(org).submit('vote', { id: late.id, choice: 'yes' }));
    expect(await standings()).toEqual([{ org: WEST, standing: 'left' }]);
    expect((await as(EAST).evaluate('getMembers', {})).members.map(({ org }) => org)).toContain(WEST);
    await network.embedded.replay('con');
  });
});
