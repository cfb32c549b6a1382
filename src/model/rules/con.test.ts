import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CheckpointState, Member, ProposalState } from '../con.ts';
import type { ChannelName, Digest, Instant, OrgId } from '../ids.ts';
import { decideCheckpoint, decideFound, decideMember, decidePropose, decideVote, noteHead, outcomeOf, proposalAt, runsPeer } from './con.ts';
import type { Verdict } from './verdict.ts';

const digest = (name: string): Digest => name.padEnd(43, '0') as Digest;
const day = (number: number): Instant => `2026-01-${String(number).padStart(2, '0')}T00:00:00.000Z` as Instant;
const said = (verdict: Verdict): string => (verdict.allow ? 'allowed' : verdict.because);
const [people, east, west, lab, insurer] = ['UO-people', 'HO-east', 'HO-west', 'DUO-lab', 'DUO-insurer'] as OrgId[] as [OrgId, OrgId, OrgId, OrgId, OrgId];
const members = [people, east, lab];
const member = (org: OrgId): Member => ({ org, name: 'A name', rootCertificate: '-----BEGIN CERTIFICATE-----', url: 'https://a.example', hpkePublicKey: 'k' });

describe('the founding', () => {
  it.each([
    ['by a founder', { members: [member(people), member(east)], caller: people, founded: false }, 'allowed'],
    ['a second time', { members: [member(people)], caller: people, founded: true }, 'ALREADY_FOUNDED'],
    ['by an outsider', { members: [member(people)], caller: east, founded: false }, 'NOT_MEMBER'],
    ['with one organisation twice', { members: [member(people), member(people)], caller: people, founded: false }, 'INPUT_INVALID'],
  ])('%s', (_name, given, expected) => expect(said(decideFound(given))).toBe(expected));
  it('makes members', () => expect([said(decideMember(people, members)), said(decideMember(west, members))]).toEqual(['allowed', 'NOT_MEMBER']));
});

describe('a proposal', () => {
  const question = { caller: people, kind: 'template' as const, member: undefined, memberDigest: undefined, digest: digest('t'), deadline: day(9), members, idTaken: false, accepted: false, now: day(1) };
  const admission = { ...question, kind: 'member' as const, member: member(west), memberDigest: digest('m'), digest: digest('m') };
  it.each([
    ['of a template', question, 'allowed'],
    ['of an algorithm', { ...question, kind: 'algorithm' as const }, 'allowed'],
    ['of a member', admission, 'allowed'],
    ['by an outsider', { ...question, caller: west }, 'NOT_MEMBER'],
    ['under a taken id', { ...question, idTaken: true }, 'PROPOSAL_EXISTS'],
    ['with its deadline past', { ...question, deadline: day(1) }, 'PROPOSAL_EXPIRED'],
    ['of a member, without the member', { ...admission, member: undefined }, 'INPUT_INVALID'],
    ['of a template, with a member', { ...question, member: member(west) }, 'INPUT_INVALID'],
    ['of a member, with another digest', { ...admission, digest: digest('other') }, 'INPUT_INVALID'],
    ['of one who is a member', { ...admission, member: member(east) }, 'MEMBER_EXISTS'],
    ['of what is accepted', { ...question, accepted: true }, 'PROPOSAL_DECIDED'],
  ])('%s', (_name, given, expected) => expect(said(decidePropose(given))).toBe(expected));
});

describe('a vote', () => {
  const open: ProposalState = { kind: 'template', digest: digest('t'), title: 'A template', deadline: day(9), by: people, electorate: members, votes: [], state: 'open' };
  const yes = (org: OrgId) => ({ org, choice: 'yes' as const, at: day(2) });
  const no = (org: OrgId) => ({ org, choice: 'no' as const, at: day(2) });
  it.each([
    ['by an elector', { caller: east, proposal: open, now: day(2) }, 'allowed'],
    ['by the proposer', { caller: people, proposal: open, now: day(2) }, 'allowed'],
    ['on nothing', { caller: east, proposal: undefined, now: day(2) }, 'PROPOSAL_UNKNOWN'],
    ['by one admitted later', { caller: west, proposal: open, now: day(2) }, 'NOT_ELECTOR'],
    ['a second time', { caller: east, proposal: { ...open, votes: [yes(east)] }, now: day(2) }, 'VOTE_EXISTS'],
    ['a second time, the other way', { caller: east, proposal: { ...open, votes: [no(east)] }, now: day(2) }, 'VOTE_EXISTS'],
    ['on what is accepted', { caller: east, proposal: { ...open, state: 'accepted' as const }, now: day(2) }, 'PROPOSAL_DECIDED'],
    ['on what is rejected', { caller: east, proposal: { ...open, state: 'rejected' as const }, now: day(2) }, 'PROPOSAL_DECIDED'],
    ['at the deadline', { caller: east, proposal: open, now: day(9) }, 'PROPOSAL_EXPIRED'],
  ])('%s', (_name, given, expected) => expect(said(decideVote(given))).toBe(expected));

  it.each([
    ['nobody of three', [], 'open'],
    ['one yes of three', [yes(people)], 'open'],
    ['two yes of three', [yes(people), yes(east)], 'accepted'],
    ['two no of three', [no(people), no(east)], 'rejected'],
    ['one each of three', [yes(people), no(east)], 'open'],
  ])('%s leaves it %s', (_name, votes, expected) => expect(outcomeOf({ electorate: members, votes })).toBe(expected));

  it.each([
    ['half of four is no majority', 4, 2, 0, 'open'],
    ['three of four', 4, 3, 0, 'accepted'],
    ['two against of four end it', 4, 0, 2, 'rejected'],
    ['one of one', 1, 1, 0, 'accepted'],
    ['one of two', 2, 1, 0, 'open'],
    ['one against of two ends it', 2, 0, 1, 'rejected'],
  ] as const)('%s', (_name, size, yesCount, noCount, expected) => {
    const electorate = Array.from({ length: size }, (_, at) => `HO-h${at}` as OrgId);
    const votes = electorate.slice(0, yesCount + noCount).map((org, at) => (at < yesCount ? yes(org) : no(org)));
    expect(outcomeOf({ electorate, votes })).toBe(expected);
  });

  it('is decided once and for good, in whatever order votes come', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 9 }), (choices) => {
        const electorate = choices.map((_, at) => `HO-h${at}` as OrgId);
        const votes = choices.map((choice, at) => (choice ? yes : no)(electorate[at] as OrgId));
        const states = votes.map((_, at) => outcomeOf({ electorate, votes: votes.slice(0, at + 1) }));
        const decidedAt = states.findIndex((state) => state !== 'open');
        expect(new Set(states.slice(decidedAt)).size).toBe(1);
        expect(states.at(-1)).toBe(choices.filter(Boolean).length * 2 > choices.length ? 'accepted' : 'rejected');
      }),
    );
  });

  it('that stayed open past its deadline reads as rejected, by the floor only', () => {
    expect(proposalAt(open, undefined).state).toBe('open');
    expect(proposalAt(open, day(8)).state).toBe('open');
    expect(proposalAt(open, day(9)).state).toBe('rejected');
    expect(proposalAt({ ...open, state: 'accepted' }, day(9)).state).toBe('accepted');
  });
});

describe('a checkpoint', () => {
  const facts = { channel: 'hdc-east' as ChannelName, org: east, size: 10, root: digest('root'), height: 5, blockHash: digest('block') };
  const checkpoint: CheckpointState = { ...facts, note: `${noteHead(facts)}— HO-east signature\n` };
  const question = { caller: east, checkpoint, members, latest: undefined, knownRoot: undefined };
  it.each([
    ['the first', question, 'allowed'],
    ['a longer one', { ...question, latest: { size: 9, height: 5 } }, 'allowed'],
    ['the same again', { ...question, latest: { size: 10, height: 5 }, knownRoot: digest('root') }, 'allowed'],
    ['a shorter one', { ...question, latest: { size: 11, height: 6 } }, 'CHECKPOINT_BEHIND'],
    ['one of a lower block', { ...question, latest: { size: 10, height: 6 } }, 'CHECKPOINT_BEHIND'],
    ['another root for a size', { ...question, knownRoot: digest('other') }, 'CHECKPOINT_FORKED'],
    ['another root for an older size', { ...question, latest: { size: 11, height: 6 }, knownRoot: digest('other') }, 'CHECKPOINT_FORKED'],
    ['by an outsider', { ...question, caller: west }, 'NOT_MEMBER'],
    ['by a member without a peer there', { ...question, caller: lab }, 'CHECKPOINT_NOT_PEER'],
    ['by the user organisation on a keeper\'s channel', { ...question, caller: people }, 'CHECKPOINT_NOT_PEER'],
    ['whose note says another size', { ...question, checkpoint: { ...checkpoint, size: 11 } }, 'CHECKPOINT_NOTE'],
    ['whose note says another channel', { ...question, checkpoint: { ...checkpoint, note: checkpoint.note.replace('hdc-east', 'hdc-west') } }, 'CHECKPOINT_NOTE'],
    ['whose note says another block', { ...question, checkpoint: { ...checkpoint, blockHash: digest('other') } }, 'CHECKPOINT_NOTE'],
  ])('%s', (_name, given, expected) => expect(said(decideCheckpoint(given))).toBe(expected));

  it.each([
    ['uic', people, true], ['uic', east, false], ['hdc-east', east, true], ['hdc-east', people, false], ['hdc-east', west, false],
    ['drc', lab, true], ['drc', insurer, true], ['drc', people, false], ['con', people, true], ['con', lab, true], ['other', people, false],
  ] as const)('on %s %s runs a peer: %s', (channel, org, expected) => expect(runsPeer(org, channel as ChannelName, [people, east, west, lab, insurer])).toBe(expected));
});
