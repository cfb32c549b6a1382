/**
 * A new member joins a running consortium (docs/moving.md): a vote on CON, channel updates signed by as many as the channels'
 * policies ask for, the newcomer's peer, the contracts it takes part in, and its first day. Nobody stops for it.
 */
import { toBase64url, utf8 } from '#base/bytes.ts';
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import type { Fetch } from '#base/ports.ts';
import { contractClient } from '#contracts/client.ts';
import { sha256 } from '#crypto/digest.ts';
import type { LedgerClient, LedgerSigner } from '#ledger/client.ts';
import type { Member } from '#model/con.ts';
import { instant, type ChannelName, type Digest, type OrgId } from '#model/ids.ts';
import { channelOrgs, CON, endorsementsNeeded, orgClass, channelsOf } from '#model/orgs.ts';
import { openDataUser } from '#org/data-user/open.ts';
import { openHospital } from '#org/hospital/open.ts';
import { openOrgIdentity, type KeptOrgIdentity } from '#org/identity.ts';
import type { Org } from '#org/types.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import type { DemoMember } from './members.ts';
import type { Seams } from './move.ts';

/** The administration of a ledger that a join needs. Twins: the embedded engine below; a Fabric network by its own programs. */
export interface JoinAdmin {
  /** Puts an organisation into a channel's configuration, signed by operators of its members. Throws LEDGER_CONFIG_REFUSED. */
  addOrganisation(change: { readonly channel: ChannelName; readonly mspId: OrgId; readonly rootCertificate: string; readonly peer: boolean; readonly signers: readonly LedgerSigner[] }): Promise<void>;
  createChannel(channel: ChannelName, orgs: readonly { readonly mspId: OrgId; readonly rootCertificate: string }[], peers: readonly OrgId[]): Promise<void>;
  /** Lets the organisation's peer take part in a channel. */
  joinPeer(identity: KeptOrgIdentity, channel: ChannelName): Promise<void>;
  /** Commits the contract's definition for the organisations that run a peer now. */
  deploy(channel: ChannelName, needed: number): Promise<void>;
  /** The newcomer's own way to the ledger. */
  clientOf(org: OrgId): LedgerClient;
}

export interface JoinOptions {
  readonly newcomer: DemoMember;
  /** The newcomer's folder; its keys are made here. */
  readonly folder: string;
  readonly admin: JoinAdmin;
  /** Present members: who votes and signs, and how they reach the ledger. */
  readonly members: readonly { readonly identity: KeptOrgIdentity; readonly client: LedgerClient }[];
  readonly host: (org: OrgId, handler: Fetch) => Promise<string>;
  readonly fetch: Fetch;
  readonly seams: Seams;
  readonly say?: (line: string) => void;
}

export interface Joined {
  readonly org: Org;
  readonly identity: KeptOrgIdentity;
  readonly channels: readonly ChannelName[];
  close(): Promise<void>;
}

const VOTE_DAYS = 7;
const DAY_MS = 86_400_000;

/** Resolves when the newcomer works. Run again after an interruption it goes on: each step looks first whether it is done. */
export async function joinMember(options: JoinOptions): Promise<Joined> {
  const { newcomer, folder, seams, say = () => undefined } = options;
  const keys = openSqliteKeyValueStore(`${folder}/keys.sqlite`);
  const identity = await openOrgIdentity({ org: newcomer.org, store: keys, clock: seams.clock });
  let handler: Fetch = async () => new Response(null, { status: 503, headers: { 'retry-after': '1' } });
  const url = await options.host(newcomer.org, (request) => handler(request));
  const member: Member = { org: newcomer.org, name: newcomer.name, rootCertificate: identity.ca.certificate, url, hpkePublicKey: toBase64url(identity.hpke.publicKey) };
  await admit(options, member);
  say(`${newcomer.org} is voted in`);
  const channels = await enterChannels(options, identity);
  say(`${newcomer.org} is on ${channels.join(', ')}`);
  const org = await openOrg(options, { identity, url });
  handler = org.fetch;
  await org.start();
  say(`${newcomer.org} works`);
  return {
    org, identity, channels,
    async close() {
      await org.close();
      await keys.close();
    },
  };
}

const digestOf = (member: Member): Digest => toBase64url(sha256(canonicalBytes(member as unknown as Json))) as Digest;

/** Proposed by the first member, voted on by all, until more than half said yes. */
async function admit({ members, seams }: JoinOptions, member: Member): Promise<void> {
  const con = members.map(({ identity, client }) => contractClient<'con'>(client, { channel: CON, signer: identity.operator }));
  const [first] = con;
  if (first === undefined || (await first.evaluate('getMembers', {})).members.some(({ org }) => org === member.org)) return;
  const digest = digestOf(member);
  const id = `join-${toBase64url(sha256(utf8(digest))).toLowerCase().replaceAll(/[^a-z0-9]/g, '').slice(0, 20)}`;
  const known = await first.evaluate('getProposal', { id }).catch(() => undefined);
  if (known === undefined) await first.submit('propose', { id, kind: 'member', digest, title: `${member.name} joins`, member, deadline: instant(seams.clock.now() + VOTE_DAYS * DAY_MS) });
  for (const [at, voter] of con.entries()) {
    const { state, votes } = await voter.evaluate('getProposal', { id });
    if (state !== 'open') return;
    if (!votes.some((vote) => vote.org === members[at]?.identity.org)) await voter.submit('vote', { id, choice: 'yes' });
  }
}

/** CON and what its kind takes part in; more than half of each channel's organisations sign. */
async function enterChannels({ admin, members, newcomer }: JoinOptions, identity: KeptOrgIdentity): Promise<readonly ChannelName[]> {
  const before = members.map((one) => one.identity.org);
  const after = [...before, newcomer.org];
  const rootOf = new Map([...members.map((one) => one.identity), identity].map((one) => [one.org, one.ca.certificate]));
  const entered: ChannelName[] = [];
  for (const channel of channelsOf(after)) {
    const { orgs, peers } = channelOrgs(channel, after);
    if (!orgs.includes(newcomer.org)) continue;
    const there = channelsOf(before).includes(channel);
    if (!there) await admin.createChannel(channel, orgs.map((mspId) => ({ mspId, rootCertificate: rootOf.get(mspId) as string })), peers);
    else await admin.addOrganisation({ channel, mspId: newcomer.org, rootCertificate: identity.ca.certificate, peer: peers.includes(newcomer.org), signers: signersOf(channel, members) });
    if (peers.includes(newcomer.org)) {
      await admin.joinPeer(identity, channel);
      await admin.deploy(channel, endorsementsNeeded(channel, peers));
    }
    entered.push(channel);
  }
  return entered;
}

/** Operators of just more than half of the channel's organisations. */
function signersOf(channel: ChannelName, members: JoinOptions['members']): readonly LedgerSigner[] {
  const { orgs } = channelOrgs(channel, members.map((one) => one.identity.org));
  const needed = Math.floor(orgs.length / 2) + 1;
  return members.filter((one) => orgs.includes(one.identity.org)).slice(0, needed).map((one) => one.identity.operator);
}

function openOrg({ folder, admin, fetch, seams, newcomer }: JoinOptions, { identity, url }: { readonly identity: KeptOrgIdentity; readonly url: string }): Promise<Org> {
  const deps = { ...seams, folder, identity, url, fetch, ledger: admin.clientOf(newcomer.org) };
  return orgClass(newcomer.org) === 'ho' ? openHospital(deps) : openDataUser(deps);
}
