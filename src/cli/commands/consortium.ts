/** `healthkeep consortium …`: votes on members, and the script by which a new one joins (docs/moving.md). */
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import { toBase64url, toHex } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import { contractClient, type ContractClient } from '#contracts/client.ts';
import { sha256 } from '#crypto/digest.ts';
import { createLedgerClient } from '#ledger/gateway-client.ts';
import { ProposalId } from '#model/con.ts';
import { instant, OrgId, type Digest } from '#model/ids.ts';
import { CON, orgClass } from '#model/orgs.ts';
import { embeddedJoinAdmin } from '#sim/join-embedded.ts';
import { joinMember } from '#sim/join.ts';
import { openLedgerOf, openNetwork } from '#sim/network.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import { createWire } from '#sim/wire.ts';
import type { Command, CommandContext, CommandResult, Option } from '../command.ts';
import { pathOf } from '../context.ts';
import { joinOnFabric } from '../fabric-join.ts';
import { holdFolder, makeFolder, readNetworkFile, writeNetworkFile, type NetworkFile } from '../folder.ts';
import { fileLog } from '../log.ts';
import { membersOf } from '../members.ts';
import { openWorld } from '../world.ts';

const FOLDER: Option = { type: 'string', value: 'DIR', summary: 'the network\'s folder', required: true };
const VOICE: Option = { type: 'string', value: 'ORG', summary: 'in whose name, such as HO-east', required: true };
const KINDS = ['suspension', 'reinstatement', 'removal'] as const;
const VOTE_DAYS = 7;
const DAY_MS = 86_400_000;

export const consortiumPropose: Command = {
  name: ['consortium', 'propose'],
  summary: 'Proposes to suspend, reinstate or remove a member; more than half of the members decide.',
  arguments: [{ name: 'KIND', summary: KINDS.join(', ') }, { name: 'MEMBER', summary: 'whom it is about' }],
  options: { folder: FOLDER, org: VOICE },
  examples: ['healthkeep consortium propose suspension HO-west --folder demo --org UO-people'],
  async run(context) {
    const kind = KINDS.find((one) => one === context.words[0]);
    if (kind === undefined) throw new CodedError('USAGE_ARGUMENT', `There is no vote of the kind "${String(context.words[0])}".`, { why: `They are: ${KINDS.join(', ')}. A new member is voted in by healthkeep consortium join.`, next: 'Run healthkeep consortium propose --help.' });
    const org = orgOf(context.words[1]);
    return inName(context, async (con) => {
      const id = ProposalId.parse(`${kind}-${toHex(systemRandom.bytes(6))}`);
      const { output } = await con.submit('propose', { id, kind, org, digest: digestOf({ id, kind, org }), title: `${kind} of ${org}`, deadline: instant(systemClock.now() + VOTE_DAYS * DAY_MS) });
      return { json: { id, ...output } as unknown as Json, text: [`Proposed as ${id}. Members vote with: healthkeep consortium vote ${id} yes --folder DIR --org ORG`] };
    });
  },
};

export const consortiumVote: Command = {
  name: ['consortium', 'vote'],
  summary: 'Votes on a proposal in an organisation\'s name.',
  arguments: [{ name: 'ID', summary: 'the proposal' }, { name: 'CHOICE', summary: 'yes or no' }],
  options: { folder: FOLDER, org: VOICE },
  examples: ['healthkeep consortium vote suspension-0a1b2c3d4e5f yes --folder demo --org HO-east'],
  async run(context) {
    const [id, choice] = [ProposalId.safeParse(context.words[0]), context.words[1]];
    if (!id.success || (choice !== 'yes' && choice !== 'no')) throw new CodedError('USAGE_ARGUMENT', 'A vote needs a proposal and yes or no.', { why: 'One of them is not right.', next: 'Run healthkeep consortium vote --help.' });
    return inName(context, async (con) => {
      const { output } = await con.submit('vote', { id: id.data, choice });
      return { json: output as unknown as Json, text: [`${id.data} is ${output.state}: ${output.votes.map((vote) => `${vote.org} ${vote.choice}`).join(', ')}`] };
    });
  },
};

export const consortiumJoin: Command = {
  name: ['consortium', 'join'],
  summary: 'Lets a hospital or data user join: vote on CON, signed channel updates, its peer, its contracts. The other organisations work on.',
  options: { folder: { ...FOLDER, summary: 'the network\'s folder, whose organisations this process runs meanwhile' }, org: { type: 'string', value: 'ORG', summary: 'the newcomer, such as HO-north', required: true }, name: { type: 'string', value: 'TEXT', summary: 'its name for people' }, network: { type: 'string', value: 'FILE', summary: 'the folder\'s ledger is the Fabric network of this description, which healthkeep fabric up started' } },
  examples: ['healthkeep consortium join --folder demo --org HO-north --name "North Hospital"', 'healthkeep consortium join --folder demo --org HO-north --network .healthkeep-fabric/network.json'],
  async run(context) {
    const org = orgOf(context.options['org']);
    if (orgClass(org) === 'uo') throw new CodedError('USAGE_ARGUMENT', `${org} is a user organisation.`, { why: 'Hospitals and data users join a consortium that has one.', next: 'Name one, such as HO-north.' });
    const path = pathOf(context, context.options['folder']);
    const file = readNetworkFile(path);
    if (file.members[org] !== undefined) throw new CodedError('MEMBER_EXISTS', `${org} is a member already.`, { why: 'It is in network.json.', next: 'Choose another id.' });
    const hold = holdFolder(makeFolder(path));
    if (!hold.held) throw new CodedError('FOLDER_IN_USE', 'Another process works in this folder.', { why: 'A demo or ledger runs on it.', next: 'Stop it first; organisations work in this process while the newcomer joins.' });
    try {
      const newcomer = { org, name: String(context.options['name'] ?? org) };
      return context.options['network'] === undefined ? await join(context, { path, file, newcomer }) : await joinThere(context, { path, file, newcomer });
    } finally {
      hold.release();
    }
  },
};

const digestOf = (value: Json): Digest => toBase64url(sha256(canonicalBytes(value))) as Digest;

/** @throws CodedError USAGE_ARGUMENT */
function orgOf(text: string | boolean | undefined): OrgId {
  const org = OrgId.safeParse(text);
  if (!org.success) throw new CodedError('USAGE_ARGUMENT', `"${String(text)}" is not the id of an organisation.`, { why: 'An id begins with UO-, HO- or DUO-.', next: 'Name one, such as HO-east.' });
  return org.data;
}

/** As an organisation's operator on CON. */
async function inName(context: CommandContext, work: (con: ContractClient<'con'>) => Promise<CommandResult>): Promise<CommandResult> {
  const org = orgOf(context.options['org']);
  const world = await openWorld(pathOf(context, context.options['folder']));
  try {
    return await work(contractClient<'con'>(world.ledger, { channel: CON, signer: (await world.identity(org)).operator }));
  } finally {
    await world.close();
  }
}

async function join(context: CommandContext, { path, file, newcomer }: { readonly path: string; readonly file: NetworkFile; readonly newcomer: { readonly org: OrgId; readonly name: string } }): Promise<CommandResult> {
  const seams = { clock: systemClock, random: systemRandom, scheduler: realScheduler, log: fileLog(path) };
  const from = systemClock.now();
  const wire = createWire();
  const url = nextUrl(file);
  const host = async (org: OrgId, handler: (request: Request) => Promise<Response>): Promise<string> => {
    const at = org === newcomer.org ? url : (file.members[org] as string);
    wire.attach(new URL(at).origin, handler);
    return at;
  };
  const opened = await openLedgerOf({ folder: path, ...seams }, membersOf(file));
  const connect = () => ({ ...opened.ledger.transport(), close: () => undefined });
  const network = await openNetwork({ folder: path, ...seams, members: membersOf(file), ledger: { connect, connectDevice: connect }, fetch: wire.fetch, host });
  try {
    const members = [...network.identities.values()].map((identity) => ({ identity, client: network.clientOf(identity.org) }));
    const client = createLedgerClient({ transport: opened.ledger.transport(), ...seams });
    const joined = await joinMember({ newcomer, folder: `${path}/orgs/${newcomer.org}`, admin: embeddedJoinAdmin(opened.ledger, client), members, host, fetch: wire.fetch, seams, say: (line) => context.streams.err(`${line}\n`) });
    await joined.close();
    writeNetworkFile(path, { ...file, members: { ...file.members, [newcomer.org]: url } });
    const seconds = Math.round(systemClock.now() - from) / 1_000;
    return { json: { org: newcomer.org, url, channels: [...joined.channels], seconds }, text: [`${newcomer.org} is a member, on ${joined.channels.join(', ')}, after ${seconds.toFixed(1)} s.`, `Run it with: healthkeep org run --folder DIR --org ${newcomer.org}`] };
  } finally {
    await network.close();
    await opened.close();
  }
}

/** On the Fabric network that carries the folder's organisations. They run in processes of their own, or not at all. */
async function joinThere(context: CommandContext, { path, file, newcomer }: { readonly path: string; readonly file: NetworkFile; readonly newcomer: { readonly org: OrgId; readonly name: string } }): Promise<CommandResult> {
  const url = nextUrl(file);
  const network = pathOf(context, context.options['network']);
  const channels = await joinOnFabric(context, { network, path, present: membersOf(file), newcomer, url });
  writeNetworkFile(path, { ...file, members: { ...file.members, [newcomer.org]: url } });
  return { json: { org: newcomer.org, url, channels: [...channels], network }, text: [`${newcomer.org} is a member, on ${channels.join(', ')}.`, `The network's description names its peer now: ${network}`] };
}

/** The port after the last one that is taken in the folder. */
function nextUrl({ ledger, members }: NetworkFile): string {
  const last = new URL([ledger, ...Object.values(members)].sort((left, right) => Number(new URL(left).port) - Number(new URL(right).port)).at(-1) as string);
  return `${last.protocol}//${last.hostname}:${Math.min(65_535, Number(last.port) + 1)}`;
}
