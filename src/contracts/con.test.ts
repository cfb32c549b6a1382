import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toBase64url, fromBase64url } from '#base/bytes.ts';
import { signNote, writeCheckpoint } from '#crypto/checkpoint.ts';
import type { Member } from '#model/con.ts';
import type { ChannelName, Digest, OrgId } from '#model/ids.ts';
import { fakeClock } from '#sim/seams.ts';
import { conClient, drcClient, type ContractClient } from './client.ts';
import { digestOfJson, foundConsortium, memberOf, refOf, templateOf, type Consortium } from './consortium.test-kit.ts';
import { codeOf, day, digestOf, EAST, INSURER, LAB, ORGS, PEOPLE, START_MS, startNetwork, WEST, type Network } from './network.test-kit.ts';

let network: Network;
let consortium: Consortium;
const as = (org: OrgId): ContractClient<'con'> => conClient(network.ledger, consortium.systemOf(org));

beforeAll(async () => {
  network = await startNetwork();
  const outsider = conClient(network.ledger, await network.signer(LAB, 'system'));
  expect(await codeOf(outsider.submit('found', { members: [memberOf(network, EAST)] }))).toBe('NOT_MEMBER');
  expect(await codeOf(outsider.submit('setTimeFloor', { at: day(1) }))).toBe('NOT_MEMBER');
  consortium = await foundConsortium(network);
});
afterAll(() => network.close());

describe('the consortium', () => {
  it('is founded once', async () => {
    expect(await codeOf(as(PEOPLE).submit('found', { members: [memberOf(network, PEOPLE)] }))).toBe('ALREADY_FOUNDED');
    const { version, members } = await as(EAST).evaluate('getMembers', {});
    expect(version).toBe(1);
    expect(members.map((member) => member.org)).toEqual([...ORGS].sort());
  });

  it('lets a member change its own address and key, never its id or root', async () => {
    await as(WEST).submit('updateMember', { name: 'West hospital', url: 'https://new.example/', hpkePublicKey: 'n'.repeat(40) });
    const { version, members } = await as(EAST).evaluate('getMembers', {});
    expect(version).toBe(2);
    expect(members.find((member) => member.org === WEST)).toEqual({ ...memberOf(network, WEST), name: 'West hospital', url: 'https://new.example/', hpkePublicKey: 'n'.repeat(40) });
    expect(await codeOf(as(WEST).submit('updateMember', { name: 'West', url: 'https://w.example', hpkePublicKey: 'n', org: EAST } as never))).toBe('INPUT_INVALID');
  });
});

describe('votes', () => {
  const proposal = (id: string, change: { deadline?: ReturnType<typeof day>; digest?: Digest } = {}) => ({ id, kind: 'algorithm' as const, digest: digestOf(id), title: 'An algorithm', deadline: day(9), ...change });

  it('need more than half of the members, one vote each', async () => {
    await as(PEOPLE).submit('propose', proposal('half'));
    const isAccepted = () => as(LAB).evaluate('isAccepted', { kind: 'algorithm', digest: digestOf('half') });
    await as(PEOPLE).submit('vote', { id: 'half', choice: 'yes' });
    expect(await codeOf(as(PEOPLE).submit('vote', { id: 'half', choice: 'yes' }))).toBe('VOTE_EXISTS');
    const operator = conClient(network.ledger, await network.signer(PEOPLE, 'operator'));
    expect(await codeOf(operator.submit('vote', { id: 'half', choice: 'no' }))).toBe('VOTE_EXISTS');
    await as(EAST).submit('vote', { id: 'half', choice: 'yes' });
    await as(WEST).submit('vote', { id: 'half', choice: 'no' });
    expect(await isAccepted()).toBe(false);
    expect((await as(LAB).submit('vote', { id: 'half', choice: 'yes' })).output.state).toBe('accepted');
    expect(await isAccepted()).toBe(true);
    expect(await codeOf(as(INSURER).submit('vote', { id: 'half', choice: 'no' }))).toBe('PROPOSAL_DECIDED');
    expect(await codeOf(as(INSURER).submit('propose', { ...proposal('again'), digest: digestOf('half') }))).toBe('PROPOSAL_DECIDED');
  });

  it('count every organisation that votes at the same moment', async () => {
    await as(EAST).submit('propose', proposal('crowd'));
    const votes = await Promise.all(ORGS.map((org) => codeOf(as(org).submit('vote', { id: 'crowd', choice: 'yes' }))));
    expect(votes.filter((code) => code === 'allowed')).toHaveLength(3);
    expect((await as(EAST).evaluate('getProposal', { id: 'crowd' })).votes).toHaveLength(3);
  });

  it('end at the deadline, by the floor and not by the claim', async () => {
    await as(LAB).submit('propose', proposal('late', { deadline: day(2) }));
    expect(await codeOf(as(LAB).submit('propose', proposal('late')))).toBe('PROPOSAL_EXISTS');
    expect(await codeOf(as(LAB).submit('propose', proposal('past', { deadline: day(0) })))).toBe('PROPOSAL_EXPIRED');
    await as(PEOPLE).submit('setTimeFloor', { at: day(1) });
    await as(EAST).submit('setTimeFloor', { at: day(3) });
    await as(LAB).submit('vote', { id: 'late', choice: 'yes' });
    await as(PEOPLE).submit('setTimeFloor', { at: day(3) });
    const backDated = conClient(network.clientAt(fakeClock(START_MS)), consortium.systemOf(WEST));
    expect(await codeOf(backDated.submit('vote', { id: 'late', choice: 'yes' }))).toBe('PROPOSAL_EXPIRED');
    expect((await as(WEST).evaluate('getProposal', { id: 'late' })).state).toBe('rejected');
  });

  it('admit members, who then vote on what is proposed after', async () => {
    const north: Member = { ...memberOf(network, EAST), org: 'HO-north' as OrgId, name: 'North' };
    const admission = { id: 'admit-north', kind: 'member' as const, digest: digestOfJson(north), title: 'Admit HO-north', member: north, deadline: day(9) };
    expect(await codeOf(as(EAST).submit('propose', { ...admission, digest: digestOf('another entry') }))).toBe('INPUT_INVALID');
    expect(await codeOf(as(EAST).submit('propose', { ...admission, id: 'admit-east', member: memberOf(network, EAST), digest: digestOfJson(memberOf(network, EAST)) }))).toBe('MEMBER_EXISTS');
    await as(EAST).submit('propose', admission);
    for (const org of [PEOPLE, EAST]) await as(org).submit('vote', { id: 'admit-north', choice: 'yes' });
    expect((await as(EAST).evaluate('getMembers', {})).members).toHaveLength(5);
    await as(LAB).submit('vote', { id: 'admit-north', choice: 'yes' });
    expect((await as(EAST).evaluate('getMembers', {})).members.find((member) => member.org === 'HO-north')).toEqual(north);
    expect((await as(EAST).submit('propose', proposal('after'))).output.electorate).toContain('HO-north');
  });
});

describe('a template', () => {
  it('is published only after CON accepted its very text', async () => {
    const template = templateOf('governed');
    const lab = drcClient(network.ledger, consortium.systemOf(LAB));
    expect(await codeOf(lab.submit('publishTemplate', { template }))).toBe('TEMPLATE_NOT_ACCEPTED');
    await as(LAB).submit('propose', { id: 'governed', kind: 'template', digest: refOf(template).digest, title: 'Governed', deadline: day(9) });
    for (const org of [PEOPLE, EAST, WEST, LAB]) await codeOf(as(org).submit('vote', { id: 'governed', choice: 'yes' }));
    expect(await codeOf(lab.submit('publishTemplate', { template: { ...template, retentionDays: 31 } }))).toBe('TEMPLATE_NOT_ACCEPTED');
    expect(await codeOf(drcClient(network.ledger, consortium.systemOf(INSURER)).submit('publishTemplate', { template }))).toBe('TEMPLATE_NOT_OWN');
    expect((await lab.submit('publishTemplate', { template })).output.digest).toBe(refOf(template).digest);
    expect(await codeOf(lab.submit('publishTemplate', { template }))).toBe('TEMPLATE_EXISTS');
    expect((await lab.evaluate('listTemplates', {})).templates.map((found) => found.template.id)).toEqual(['governed']);
  });
});

describe('checkpoints', () => {
  const hdc = 'hdc-east' as ChannelName;
  /** A checkpoint with a note of the crypto room, signed. */
  async function checkpoint(channel: ChannelName, size: number, root = digestOf(`root ${size}`)) {
    const facts = { channel, size, root, height: size, blockHash: digestOf(`block ${size}`) };
    const text = writeCheckpoint({ origin: `healthkeep/${channel}`, size, root: fromBase64url(root), height: size, blockHash: fromBase64url(facts.blockHash) });
    const signer = consortium.systemOf(EAST);
    return { ...facts, note: await signNote(text, { name: EAST, certificate: signer.certificate, sign: (message) => signer.sign(message) }) };
  }

  it('grow; a shorter one is behind, another root for a size is a fork', async () => {
    for (const size of [5, 9]) await as(EAST).submit('putCheckpoint', await checkpoint(hdc, size));
    await as(EAST).submit('putCheckpoint', await checkpoint(hdc, 9));
    expect(await codeOf(as(EAST).submit('putCheckpoint', await checkpoint(hdc, 7)))).toBe('CHECKPOINT_BEHIND');
    expect(await codeOf(as(EAST).submit('putCheckpoint', await checkpoint(hdc, 9, digestOf('other root'))))).toBe('CHECKPOINT_FORKED');
    expect(await codeOf(as(EAST).submit('putCheckpoint', await checkpoint(hdc, 5, digestOf('other root'))))).toBe('CHECKPOINT_FORKED');
    expect(await codeOf(as(EAST).submit('putCheckpoint', { ...(await checkpoint(hdc, 11)), size: 12 }))).toBe('CHECKPOINT_NOTE');
    expect(await codeOf(as(PEOPLE).submit('putCheckpoint', await checkpoint(hdc, 11)))).toBe('CHECKPOINT_NOT_PEER');
    expect(await codeOf(as(WEST).submit('putCheckpoint', await checkpoint(hdc, 11)))).toBe('CHECKPOINT_NOT_PEER');
    expect((await as(LAB).evaluate('getCheckpoint', { channel: hdc, org: EAST })).size).toBe(9);
  });

  it('are found by the smallest that covers a size', async () => {
    const find = async (size: number) => (await as(LAB).evaluate('findCheckpoint', { channel: hdc, org: EAST, size })).size;
    expect([await find(1), await find(5), await find(6), await find(9)]).toEqual([5, 5, 9, 9]);
    expect(await codeOf(find(10))).toBe('CHECKPOINT_UNKNOWN');
    expect(await codeOf(as(LAB).evaluate('findCheckpoint', { channel: hdc, org: WEST, size: 1 }))).toBe('CHECKPOINT_UNKNOWN');
    expect(await codeOf(as(LAB).evaluate('getCheckpoint', { channel: 'uic' as ChannelName, org: PEOPLE }))).toBe('CHECKPOINT_UNKNOWN');
  });

  it('of two members agree or show a fork', async () => {
    const drc = 'drc' as ChannelName;
    await as(LAB).submit('putCheckpoint', await checkpoint(drc, 4));
    expect(await codeOf(as(INSURER).submit('putCheckpoint', await checkpoint(drc, 4, digestOf('another history'))))).toBe('CHECKPOINT_FORKED');
    await as(INSURER).submit('putCheckpoint', await checkpoint(drc, 4));
    expect((await as(PEOPLE).evaluate('getCheckpoint', { channel: drc, org: INSURER })).root).toBe(digestOf('root 4'));
    expect(toBase64url(fromBase64url(digestOf('root 4')))).toBe(digestOf('root 4'));
  });
});
