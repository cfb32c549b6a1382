/**
 * The consortium channel. Keys: (`directory`), (`member`, org), (`standing`, org), (`proposal`, id), (`accepted`, kind, digest),
 * (`checkpoint`, channel, org) for the newest size, (`checkpoint-root`, channel, size), and the plain keys of contracts/keys.ts
 * for every checkpoint. The rules are model/rules/con.ts.
 */
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import type { ContractStub } from '#ledger/stub.ts';
import type { CheckpointState, Member, ProposalState, Standing } from '#model/con.ts';
import type { TimeFloorState } from '#model/hdc.ts';
import type { ChannelName, Digest, OrgId } from '#model/ids.ts';
import { decideCheckpoint, decideFound, decideMember, decidePropose, decideStanding, decideVoiceProposal, decideVote, mayFollow, outcomeOf, proposalAt, standingAfter } from '#model/rules/con.ts';
import { codedRefusal, enforce, refuse } from '#model/rules/verdict.ts';
import { canonicalDigest } from './digest.ts';
import { checkpointKey } from './keys.ts';
import { moveRuns } from './move.ts';
import { DONE } from './outputs.ts';
import { deleteState, orderedNumber, parseState, readState, rowsUnder, writeState, type Key } from './state.ts';
import { defineContract, TIME_FLOOR } from './table.ts';
import { setTimeFloor } from './time-floor.ts';

const DIRECTORY: Key = ['directory'];

interface Directory {
  readonly version: number;
}

async function membersOf(stub: ContractStub): Promise<readonly Member[]> {
  const members: Member[] = [];
  for await (const row of rowsUnder<Member>(stub, ['member'])) members.push(row.value);
  return members;
}

async function memberIds(stub: ContractStub): Promise<readonly OrgId[]> {
  return (await membersOf(stub)).map((member) => member.org);
}

interface StandingState {
  readonly standing: Standing;
}

async function standingOf(stub: ContractStub, org: OrgId): Promise<Standing | undefined> {
  return (await readState<StandingState>(stub, ['standing', org]))?.standing;
}

/** Suspended members and those that left are heard no more. */
async function checkHeard(stub: ContractStub, org: OrgId): Promise<void> {
  enforce(decideStanding(await standingOf(stub, org)));
}

/** Those who are heard: who votes from now on, and whose majority counts. */
async function voicesOf(stub: ContractStub): Promise<readonly OrgId[]> {
  const silent = new Set<string>();
  for await (const row of rowsUnder<StandingState>(stub, ['standing'])) silent.add(row.attributes[0] as string);
  return (await memberIds(stub)).filter((org) => !silent.has(org));
}

/** Every change of the directory counts its version up, so that maps of the network can be told apart. */
async function writeMembers(stub: ContractStub, members: readonly Member[]): Promise<void> {
  const directory = await readState<Directory>(stub, DIRECTORY);
  for (const member of members) await writeState(stub, ['member', member.org], member as unknown as Json);
  await writeState(stub, DIRECTORY, { version: (directory?.version ?? 0) + 1 });
}

async function writeStanding(stub: ContractStub, org: OrgId, standing: Standing | undefined): Promise<void> {
  if (standing === undefined) await deleteState(stub, ['standing', org]);
  else await writeState(stub, ['standing', org], { standing });
  await writeMembers(stub, []);
}

const proposalOf = (stub: ContractStub, id: string): Promise<ProposalState | undefined> => readState(stub, ['proposal', id]);

async function checkpointAt(stub: ContractStub, place: { readonly channel: ChannelName; readonly org: OrgId; readonly size: number }): Promise<CheckpointState | undefined> {
  const bytes = await stub.getState(checkpointKey(place));
  return bytes.length === 0 ? undefined : parseState<CheckpointState>(bytes);
}

export const conContract = defineContract('con', {
  async found({ stub, caller }, { members }) {
    const founded = (await readState(stub, DIRECTORY)) !== undefined;
    enforce(decideFound({ members, caller: caller.org, founded }));
    await writeMembers(stub, members);
    return { output: DONE, event: { members: members.map((member) => member.org) } };
  },

  async getMembers({ stub }) {
    const directory = await readState<Directory>(stub, DIRECTORY);
    const standings: { readonly org: OrgId; readonly standing: Standing }[] = [];
    for await (const row of rowsUnder<StandingState>(stub, ['standing'])) standings.push({ org: row.attributes[0] as OrgId, standing: row.value.standing });
    return { output: { version: directory?.version ?? 0, members: await membersOf(stub), standings } };
  },

  async updateMember({ stub, caller }, change) {
    await checkHeard(stub, caller.org);
    const member = await readState<Member>(stub, ['member', caller.org]);
    enforce(decideMember(caller.org, member === undefined ? [] : [member.org]));
    await writeMembers(stub, [{ ...(member as Member), ...change }]);
    return { output: DONE, event: { org: caller.org } };
  },

  async propose({ stub, caller, now }, { id, kind, digest, title, member, org, deadline }) {
    await checkHeard(stub, caller.org);
    const members = await memberIds(stub);
    const memberDigest = member === undefined ? undefined : await canonicalDigest(member as unknown as Json);
    const idTaken = (await proposalOf(stub, id)) !== undefined;
    const accepted = (await readState(stub, ['accepted', kind, digest])) !== undefined;
    enforce(decidePropose({ caller: caller.org, kind, member, memberDigest, digest, deadline, members, idTaken, accepted, now: await now() }));
    const expected = org === undefined ? undefined : await canonicalDigest({ id, kind, org });
    enforce(decideVoiceProposal({ kind, org, digest, expected, members, standing: org === undefined ? undefined : await standingOf(stub, org) }));
    const proposal: ProposalState = { kind, digest, title, ...(member === undefined ? {} : { member }), ...(org === undefined ? {} : { org }), deadline, by: caller.org, electorate: await voicesOf(stub), votes: [], state: 'open' };
    await writeState(stub, ['proposal', id], proposal as unknown as Json);
    return { output: proposal, event: { id, kind, digest } };
  },

  async vote({ stub, caller, now }, { id, choice }) {
    await checkHeard(stub, caller.org);
    const existing = await proposalOf(stub, id);
    const at = await now();
    enforce(decideVote({ caller: caller.org, proposal: existing, now: at }));
    const voted = { ...(existing as ProposalState), votes: [...(existing as ProposalState).votes, { org: caller.org, choice, at }] };
    const proposal: ProposalState = { ...voted, state: outcomeOf(voted) };
    await writeState(stub, ['proposal', id], proposal as unknown as Json);
    if (proposal.state === 'accepted') {
      await writeState(stub, ['accepted', proposal.kind, proposal.digest], { id });
      if (proposal.member !== undefined) await writeMembers(stub, [proposal.member]);
      if (proposal.org !== undefined && mayFollow(proposal.kind, await standingOf(stub, proposal.org))) await writeStanding(stub, proposal.org, standingAfter(proposal.kind));
    }
    return { output: proposal, event: { id, org: caller.org, state: proposal.state } };
  },

  async getProposal({ stub }, { id }) {
    const proposal = await proposalOf(stub, id);
    if (proposal === undefined) throw codedRefusal(refuse('PROPOSAL_UNKNOWN'));
    const floor = await readState<TimeFloorState>(stub, TIME_FLOOR);
    return { output: proposalAt(proposal, floor?.at) };
  },

  async isAccepted({ stub }, { kind, digest }) {
    return { output: (await readState(stub, ['accepted', kind, digest])) !== undefined };
  },

  async putCheckpoint({ stub, caller }, input) {
    await checkHeard(stub, caller.org);
    const checkpoint: CheckpointState = { ...input, org: caller.org };
    const { channel, size, root, height } = checkpoint;
    const latest = await readState<{ readonly size: number; readonly height: number }>(stub, ['checkpoint', channel, caller.org]);
    const known = await readState<{ readonly root: Digest }>(stub, ['checkpoint-root', channel, orderedNumber(size)]);
    enforce(decideCheckpoint({ caller: caller.org, checkpoint, members: await memberIds(stub), latest, knownRoot: known?.root }));
    if (latest?.size !== size || latest.height !== height) {
      await stub.putState(checkpointKey({ channel, org: caller.org, size }), canonicalBytes(checkpoint as unknown as Json));
      await writeState(stub, ['checkpoint', channel, caller.org], { size, height });
    }
    if (known === undefined) await writeState(stub, ['checkpoint-root', channel, orderedNumber(size)], { root, org: caller.org });
    return { output: DONE, event: { channel, org: caller.org, size } };
  },

  async getCheckpoint({ stub }, { channel, org }) {
    const latest = await readState<{ readonly size: number }>(stub, ['checkpoint', channel, org]);
    const output = latest === undefined ? undefined : await checkpointAt(stub, { channel, org, size: latest.size });
    if (output === undefined) throw codedRefusal(refuse('CHECKPOINT_UNKNOWN'));
    return { output };
  },

  async findCheckpoint({ stub }, { channel, org, size }) {
    const from = checkpointKey({ channel, org, size });
    const end = checkpointKey({ channel, org, size: Number.MAX_SAFE_INTEGER });
    for await (const entry of stub.getStateByRange(from, end)) return { output: parseState<CheckpointState>(entry.value) };
    throw codedRefusal(refuse('CHECKPOINT_UNKNOWN'));
  },

  async setTimeFloor(tx, input) {
    await checkHeard(tx.stub, tx.caller.org);
    enforce(decideMember(tx.caller.org, await memberIds(tx.stub)));
    return setTimeFloor(tx, input);
  },

  ...moveRuns('con'),
});
