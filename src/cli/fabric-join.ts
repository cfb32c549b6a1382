/** A member joins a Fabric network that `healthkeep fabric up` started: the twin of the embedded engine's administration (docs/moving.md). */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { equalBytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { LedgerAdmin } from '#ledger/admin.ts';
import type { LedgerClient } from '#ledger/client.ts';
import { createGrpcTransport, type GrpcTransport } from '#ledger/fabric/grpc-transport.ts';
import { readFabricNetwork } from '#ledger/fabric/network-file.ts';
import { openNetworkJoin, runningState, type NetworkJoin } from '#ledger/fabric/network-join.ts';
import { HOST, type NetworkPlan, type PlannedPeer } from '#ledger/fabric/network-plan.ts';
import { findPrograms } from '#ledger/fabric/programs.ts';
import { createLedgerClient } from '#ledger/gateway-client.ts';
import type { OrgId } from '#model/ids.ts';
import { channelsOf } from '#model/orgs.ts';
import { openOrgIdentity, type KeptOrgIdentity } from '#org/identity.ts';
import { beforeOf } from '#org/move/before.ts';
import { joinMember, type Joined, type JoinAdmin } from '#sim/join.ts';
import type { DemoMember } from '#sim/members.ts';
import { openOutsideLedger, type NetworkLedger } from '#sim/outside-ledger.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import type { CommandContext } from './command.ts';
import { fabricMembers, writeFabricMembers } from './fabric-members.ts';
import { MEMBERS_MAX, planNetwork, type FabricChoice } from './fabric-plan.ts';
import { cacheOf, serveContract, TEMPLATES } from './fabric-programs.ts';
import { fileLog } from './log.ts';
import { networkFetch } from './network-fetch.ts';

const seams = { clock: systemClock, random: systemRandom, scheduler: realScheduler };

/** `JoinAdmin` of a Fabric network on this machine. Configurations change through `ledger`, all else by Fabric's own commands. */
export function fabricJoinAdmin({ plan, steps, ledger, client }: { readonly plan: NetworkPlan; readonly steps: NetworkJoin; readonly ledger: Pick<LedgerAdmin, 'addOrganisation'>; readonly client: LedgerClient }): JoinAdmin {
  const network = (mspId: OrgId, runsPeer: boolean): { readonly tlsRootCertificate: string; readonly peer?: { readonly host: string; readonly port: number } } => {
    const { tlsRootCertificate, peer } = plannedOf(plan, mspId);
    return { tlsRootCertificate, ...(runsPeer ? { peer: { host: HOST, port: peer.port } } : {}) };
  };
  return {
    clientOf: () => client,
    addOrganisation: (change) => ledger.addOrganisation({ ...change, network: network(change.mspId, change.peer) }),
    createChannel: (channel) => steps.createChannel(channel),
    joinPeer: (_, channel) => steps.joinPeer(channel),
    deploy: (channel, needed) => steps.deploy(channel, needed),
  };
}

function plannedOf(plan: NetworkPlan, mspId: OrgId): { readonly tlsRootCertificate: string; readonly peer: PlannedPeer } {
  const org = plan.organisations.find((one) => one.mspId === mspId);
  if (org?.peer === undefined) throw new CodedError('FABRIC_JOIN', `${mspId} has no peer in the plan of the network.`, { why: 'Whoever joins runs one.', next: 'Name a hospital or a data user.' });
  return { tlsRootCertificate: org.tlsRootCertificate, peer: org.peer };
}

/** How the network was started, from its state file. Throws FABRIC_JOIN. */
function startedAs(kind: string): Pick<FabricChoice, 'consensus' | 'firstPort'> & { readonly major: '2' | '3' } {
  const [, major, consensus, firstPort] = /^version ([23]), (raft|bft), first port (\d+)$/.exec(kind) ?? [];
  if (firstPort === undefined) throw new CodedError('FABRIC_JOIN', 'The Fabric network is one of the conformance suite.', { why: `It was started as ${kind}, and the suite's organisations have the ports after the members'.`, next: 'Start one without --conformance.' });
  return { major: major as '2' | '3', consensus: consensus as 'raft' | 'bft', firstPort: Number(firstPort) };
}

export interface FabricJoin {
  /** The network's description; its folder holds the network. */
  readonly network: string;
  /** Folder of the organisations' state, whose `orgs/ID` becomes the newcomer's. Held by the caller. */
  readonly path: string;
  readonly present: readonly DemoMember[];
  readonly newcomer: DemoMember;
  readonly url: string;
}

/** Throws FABRIC_*, LEDGER_*. What a join that failed had started is stopped; done again, it goes on. */
export async function joinOnFabric(context: CommandContext, wish: FabricJoin): Promise<Joined['channels']> {
  const { network, newcomer, present } = wish;
  const file = readFabricNetwork(network);
  const folder = dirname(network);
  const { major, ...choice } = startedAs(runningState(folder, newcomer.org).kind);
  const say = (line: string): void => context.streams.err(`${line}\n`);
  const programs = findPrograms({ major, env: context.env, cache: cacheOf(context), say });
  const members = withNewcomer(fabricMembers(folder), newcomer.org);
  await shareKeys(`${wish.path}/orgs/${newcomer.org}/keys.sqlite`, join(folder, 'orgs', newcomer.org, 'keys.sqlite'), newcomer.org);
  const plan = await planNetwork({ folder, ...choice, conformance: false, members });
  const identities = await identitiesOf(folder, present);
  const connect = (org: OrgId): GrpcTransport => {
    const peer = file.organisations.find(({ mspId }) => mspId === org)?.peer;
    if (peer === undefined) throw new CodedError('LEDGER_NETWORK_FILE', `The Fabric network has no peer of ${org}.`, { next: 'Name the network that carries this folder.', file: network });
    return createGrpcTransport({ address: peer.address, ...(peer.tlsRootCertificate === undefined ? {} : { tlsRootCertificate: readFileSync(peer.tlsRootCertificate, 'utf8') }), ...(peer.serverName === undefined ? {} : { serverName: peer.serverName }) });
  };
  const ledger = openOutsideLedger({ doors: { connect, connectDevice: connect }, identities, ...seams });
  const { peer, tlsRootCertificate } = plannedOf(plan, newcomer.org);
  const own = createGrpcTransport({ address: `${HOST}:${peer.port}`, tlsRootCertificate, serverName: 'localhost' });
  try {
    await refuseMoved(ledger, identities);
    const steps = await openNetworkJoin({
      folder, templates: TEMPLATES, plan, newcomer: newcomer.org, programs, announce: () => writeFabricMembers(folder, members), next: 'run the same command again, it goes on where it was',
      serve: serveContract(context.env), env: context.env, fetch: networkFetch, say, signal: context.signal, ...seams,
    });
    return await joined(context, { wish, steps, say, ledger, identities, admin: fabricJoinAdmin({ plan, steps, ledger: ledger.admin, client: createLedgerClient({ transport: own, ...seams }) }) });
  } finally {
    own.close();
    await ledger.close();
  }
}

interface Script {
  readonly wish: FabricJoin;
  readonly steps: NetworkJoin;
  readonly say: (line: string) => void;
  readonly ledger: NetworkLedger;
  readonly identities: ReadonlyMap<OrgId, KeptOrgIdentity>;
  readonly admin: JoinAdmin;
}

async function joined({ signal }: CommandContext, { wish, steps, say, ledger, identities, admin }: Script): Promise<Joined['channels']> {
  const { path, newcomer, url } = wish;
  const members = [...identities.values()].map((identity) => ({ identity, client: ledger.clientOf(identity.org) }));
  try {
    const done = await joinMember({ newcomer, folder: `${path}/orgs/${newcomer.org}`, admin, members, host: async () => url, fetch: networkFetch, seams: { ...seams, log: fileLog(path) }, say });
    await done.close();
    steps.finish();
    return done.channels;
  } catch (error) {
    await steps.giveUp();
    if (!signal.aborted) throw error;
    throw new CodedError('FABRIC_INTERRUPTED', 'The joining of a member was interrupted.', { why: 'What had been started was stopped again.', next: 'Run the same command again, it goes on where it was.' }, { cause: error });
  }
}

function withNewcomer(members: readonly OrgId[], org: OrgId): readonly OrgId[] {
  if (members.includes(org)) return members;
  if (members.length < MEMBERS_MAX) return [...members, org];
  throw new CodedError('FABRIC_JOIN', 'The Fabric network has no ports left.', { why: `A network on one machine has ports for ${MEMBERS_MAX} members.`, next: 'Set up a network of several machines.' });
}

/** A newcomer has no blocks from before the move, so its tree of a channel would be another one than everybody else's. */
async function refuseMoved(ledger: NetworkLedger, identities: ReadonlyMap<OrgId, KeptOrgIdentity>): Promise<void> {
  const [moved] = (await beforeOf((org) => ledger.clientOf(org), channelsOf([...identities.keys()]), identities)).keys();
  if (moved !== undefined) throw new CodedError('FABRIC_JOIN', 'The state of this network came from another ledger.', { why: `A newcomer does not have the blocks of ${moved} from before, and would count it differently.`, next: 'Let members join before the move: healthkeep consortium join on the embedded ledger.' });
}

async function identitiesOf(folder: string, present: readonly DemoMember[]): Promise<ReadonlyMap<OrgId, KeptOrgIdentity>> {
  const identities = new Map<OrgId, KeptOrgIdentity>();
  for (const { org } of present) {
    const file = join(folder, 'orgs', org, 'keys.sqlite');
    if (!existsSync(file)) throw new CodedError('LEDGER_NETWORK_FILE', `The Fabric network cannot carry ${org}.`, { why: "The organisation's keys are not beside the description.", next: 'Name the network that carries this folder.', file });
    const store = openSqliteKeyValueStore(file);
    try {
      identities.set(org, await openOrgIdentity({ org, store, clock: systemClock }));
    } finally {
      await store.close();
    }
  }
  return identities;
}

/** The newcomer has the same keys in its own folder and in the network's, wherever they were made first. Throws FABRIC_KEYS_FROM when both have some and they differ. */
export async function shareKeys(own: string, network: string, org: OrgId): Promise<void> {
  for (const file of [own, network]) mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const [here, there] = [openSqliteKeyValueStore(own), openSqliteKeyValueStore(network)];
  try {
    const [mine, known] = [await here.get('root/certificate'), await there.get('root/certificate')];
    if (mine !== undefined && known !== undefined && !equalBytes(mine, known)) throw new CodedError('FABRIC_KEYS_FROM', `The Fabric network knows another root of ${org}.`, { why: 'The keys in the folder are not those with which it began to join.', next: `Choose another id, or use the folder in which ${org} began to join.` });
    if (known !== undefined) await here.write(new Map(await there.list('')));
    await openOrgIdentity({ org, store: here, clock: systemClock });
    await there.write(new Map(await here.list('')));
  } finally {
    await here.close();
    await there.close();
  }
}
