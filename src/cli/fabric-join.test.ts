/**
 * A hospital joins a Fabric network, with stand-ins for Fabric's programs: votes, configuration updates and the newcomer
 * itself run on an embedded ledger with the same keys, which takes every step after the stand-ins took it.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLog } from '#base/ports.ts';
import type { EmbeddedLedger } from '#ledger/embedded/ledger.ts';
import { openNetworkJoin, type NetworkJoin } from '#ledger/fabric/network-join.ts';
import { readFabricNetwork } from '#ledger/fabric/network-file.ts';
import { writeNetworkFiles } from '#ledger/fabric/network-files.ts';
import { blockFile, type NetworkPlan } from '#ledger/fabric/network-plan.ts';
import { readState, writeState } from '#ledger/fabric/network-state.ts';
import { isAlive, stopProcesses } from '#ledger/fabric/node-processes.ts';
import { createOutsideAdmin, readConfig } from '#ledger/fabric/outside-admin.ts';
import type { Programs } from '#ledger/fabric/programs.ts';
import { createLedgerClient } from '#ledger/gateway-client.ts';
import { AnchorPeers } from '#ledger/protos/config.ts';
import { OrgId, type ChannelName } from '#model/ids.ts';
import { CON, hdcOf } from '#model/orgs.ts';
import { openOrgIdentity, type KeptOrgIdentity } from '#org/identity.ts';
import { organisationsIn } from '#org/move/likeness.ts';
import { embeddedJoinAdmin } from '#sim/join-embedded.ts';
import { joinMember, type JoinAdmin } from '#sim/join.ts';
import { DEMO_MEMBERS } from '#sim/members.ts';
import { openLedgerOf, openNetwork } from '#sim/network.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { fabricJoinAdmin, shareKeys } from './fabric-join.ts';
import { fabricMembers, writeFabricMembers } from './fabric-members.ts';
import { planNetwork } from './fabric-plan.ts';
import { TEMPLATES } from './fabric-programs.ts';
import { answerWith, givenTo, makeStandIns, refuseOnce } from './fabric-stand-in.test-kit.ts';
import { writeNetworkFile } from './folder.ts';
import { main } from './main.ts';
import { networkFetch } from './network-fetch.ts';

const seams = { clock: systemClock, random: systemRandom, scheduler: realScheduler };
const root = mkdtempSync(join(tmpdir(), 'healthkeep-fabric-join-'));
const [bin, folder, state] = [join(root, 'bin'), join(root, 'network'), join(root, 'state')];
const NORTH = { org: OrgId.parse('HO-north'), name: 'North Hospital' };
const NORTHS = hdcOf(NORTH.org);
const PRESENT = DEMO_MEMBERS.map(({ org }) => org);
const KIND = 'version 2, raft, first port 23400';
/** This process stands for the network that is up. */
const here = { role: 'orderer 1', pid: process.pid, started: existsSync('/proc/self/stat') ? (readFileSync('/proc/self/stat', 'utf8').replace(/^.*\) /s, '').split(' ')[19] as string) : '', log: 'log' };
const planOf = (members: readonly OrgId[]): Promise<NetworkPlan> => planNetwork({ folder, firstPort: 23_400, consensus: 'raft', conformance: false, members });
const rolesOf = (): string[] => (readState(folder)?.processes ?? []).filter(isAlive).map(({ role }) => role);
const identities = new Map<OrgId, KeptOrgIdentity>();
let ledger: EmbeddedLedger;
let close: () => Promise<void>;
let plan: NetworkPlan;

const committedOn = (channel: string, sequence: number, ...approved: readonly string[]): void => answerWith(bin, `querycommitted --channelID ${channel} `, { words: JSON.stringify({ sequence, version: '1.0', approvals: Object.fromEntries([...PRESENT, NORTH.org].map((org) => [org, approved.includes(org)])) }) });

beforeAll(async () => {
  makeStandIns(bin, 'v2.5.16');
  writeNetworkFiles(await planOf(PRESENT), { folder, templates: TEMPLATES }, seams);
  writeState(folder, { version: 1, phase: 'up', kind: KIND, processes: [here] });
  for (const org of PRESENT) {
    const store = openSqliteKeyValueStore(join(folder, 'orgs', org, 'keys.sqlite'));
    identities.set(org, await openOrgIdentity({ org, store, clock: systemClock }));
    await store.close();
  }
  ({ ledger, close } = await openLedgerOf({ folder: state, keys: folder, ...seams, log: silentLog }, DEMO_MEMBERS));
  const connect = () => ({ ...ledger.transport(), close: () => undefined });
  const network = await openNetwork({ folder: state, keys: folder, ...seams, log: silentLog, ledger: { connect, connectDevice: connect }, fetch: networkFetch, host: async (org) => `http://${org.toLowerCase()}.invalid` });
  await network.close();
  writeNetworkFile(state, { version: 1, ledger: 'http://127.0.0.1:1', members: Object.fromEntries(PRESENT.map((org) => [org, 'http://127.0.0.1:2'])), people: 0 });
  await shareKeys(join(state, 'orgs', NORTH.org, 'keys.sqlite'), join(folder, 'orgs', NORTH.org, 'keys.sqlite'), NORTH.org);
  plan = await planOf([...PRESENT, NORTH.org]);
  committedOn('con', 3, ...PRESENT);
  answerWith(bin, `querycommitted --channelID ${NORTHS} `, { words: 'Error: query failed with status: 404 - namespace hdc is not defined', exit: 1 });
}, 60_000);
afterAll(async () => {
  await stopProcesses((readState(folder)?.processes ?? []).filter(({ pid }) => pid !== process.pid), realScheduler);
  await close();
  rmSync(root, { recursive: true, force: true });
});

const programs = Object.fromEntries(['peer', 'orderer', 'osnadmin'].map((name) => [name, join(bin, name)])) as Programs;
const openJoin = (signal = new AbortController().signal): Promise<NetworkJoin> => openNetworkJoin({
  folder, templates: TEMPLATES, plan, newcomer: NORTH.org, programs, announce: () => writeFabricMembers(folder, [...PRESENT, NORTH.org]), next: 'run the same command again',
  serve: () => ({ program: '/bin/sleep', args: ['300'], env: process.env }), env: process.env, fetch: networkFetch, say: () => undefined, signal, ...seams,
});

/** The Fabric twin, each of whose steps the embedded ledger takes too; its configuration updates go to that ledger by themselves. */
function both(steps: NetworkJoin): JoinAdmin {
  const client = createLedgerClient({ transport: ledger.transport(), ...seams });
  const outside = createOutsideAdmin({ channels: [], transportOf: () => ledger.transport(), readerOf: () => { throw new Error('nobody reads blocks here'); }, ...seams });
  const [fabric, embedded] = [fabricJoinAdmin({ plan, steps, ledger: outside, client }), embeddedJoinAdmin(ledger, client)];
  return {
    ...fabric,
    async createChannel(...parts) {
      await fabric.createChannel(...parts);
      if (!ledger.channels().includes(parts[0])) await embedded.createChannel(...parts);
    },
    async joinPeer(...parts) {
      await fabric.joinPeer(...parts);
      await embedded.joinPeer(...parts);
    },
    async deploy(...parts) {
      await fabric.deploy(...parts);
      await embedded.deploy(...parts);
    },
  };
}

async function joinNorth(steps: NetworkJoin): Promise<readonly ChannelName[]> {
  const client = createLedgerClient({ transport: ledger.transport(), ...seams });
  const members = [...identities.values()].map((identity) => ({ identity, client }));
  try {
    const joined = await joinMember({ newcomer: NORTH, folder: join(state, 'orgs', NORTH.org), admin: both(steps), members, host: async () => 'http://ho-north.invalid', fetch: networkFetch, seams: { ...seams, log: silentLog } });
    await joined.close();
    steps.finish();
    return joined.channels;
  } catch (error) {
    await steps.giveUp();
    throw error;
  }
}

/** Commands from `from` on: what, where, by whom. */
function stepsSince(from: number): string[] {
  return givenTo(bin).slice(from).map(({ program, args, mspId }) => {
    const channel = args.includes('--channelID') ? args[args.indexOf('--channelID') + 1] : (args.find((word) => word.endsWith('.block') || word.endsWith('.tgz')) ?? '').split('/').at(-1);
    const sequence = args.includes('--sequence') ? ` ${args[args.indexOf('--sequence') + 1]}` : '';
    return `${program} ${args.filter((word) => /^(node|channel|join|install|approveformyorg|commit|querycommitted)$/.test(word)).join(' ')} ${channel}${sequence}${mspId === undefined ? '' : ` ${mspId}`}`;
  });
}

describe('a hospital that joins a Fabric network', () => {
  const onCon = [
    `peer node  undefined`, 'peer channel join con.block HO-north', 'peer install con.tgz HO-north', 'peer querycommitted con UO-people',
    ...[...PRESENT, NORTH.org].map((org) => `peer approveformyorg con 4 ${org}`), 'peer commit con 4 UO-people',
  ];
  const onItsOwn = [
    ...[1, 2, 3].map(() => `osnadmin channel join ${NORTHS}`), `peer channel join ${NORTHS}.block HO-north`, 'peer install hdc.tgz HO-north', `peer querycommitted ${NORTHS} HO-north`,
    `peer approveformyorg ${NORTHS} 1 HO-north`,
  ];

  it('whose step is refused leaves no process, and a description that says nothing of it', async () => {
    const before = readFileSync(join(folder, 'network.json'), 'utf8');
    refuseOnce(bin, `approveformyorg -o 127.0.0.1:23400 --tls --cafile ${join(folder, 'orderers/1/tls/ca.crt')} --channelID ${NORTHS}`, 'Error: access denied');
    await expect(openJoin().then(joinNorth)).rejects.toMatchObject({ code: 'FABRIC_STEP_FAILED', details: { why: 'Error: access denied', next: expect.stringContaining('run the same command again') } });
    const done = stepsSince(0);
    expect(done.slice(1)).toEqual([...onCon.slice(1), ...onItsOwn]);
    expect(done[0]).toMatch(/^peer node/);
    expect(rolesOf()).toEqual(['orderer 1']);
    expect(readState(folder)).toMatchObject({ phase: 'up', kind: KIND, processes: [here] });
    expect(readFileSync(join(folder, 'network.json'), 'utf8')).toBe(before);
    expect(fabricMembers(folder)).toEqual([...PRESENT, NORTH.org]);
  }, 60_000);

  it('goes on where it was when it is asked again: no second sequence, the same first block', async () => {
    const block = readFileSync(blockFile(folder, NORTHS));
    const from = givenTo(bin).length;
    committedOn('con', 4, ...PRESENT, NORTH.org);
    expect(await joinNorth(await openJoin())).toEqual([CON, NORTHS]);
    expect(stepsSince(from).slice(1)).toEqual([...onCon.slice(1, 4), ...onItsOwn, `peer commit ${NORTHS} 1 HO-north`]);
    expect(readFileSync(blockFile(folder, NORTHS)).equals(block)).toBe(true);
    expect(rolesOf()).toEqual(['orderer 1', 'peer of HO-north', 'contract con of HO-north', 'contract hdc of HO-north']);
  }, 60_000);

  it('counts in the policies, stands in the channels with its anchor, and in the description with its peer', async () => {
    const commits = givenTo(bin).filter(({ args }) => args.includes('commit')).map(({ args }) => [args[args.indexOf('--channelID') + 1], args[args.indexOf('--signature-policy') + 1], args.filter((word) => word === '--peerAddresses').length]);
    expect(commits).toEqual([['con', "OutOf(4, 'UO-people.peer', 'HO-east.peer', 'HO-west.peer', 'DUO-sunrise.peer', 'DUO-helix.peer', 'HO-north.peer')", 6], [NORTHS, "OutOf(1, 'HO-north.peer')", 1]]);
    const { operator } = identities.get(PRESENT[0] as OrgId) as KeptOrgIdentity;
    const config = await readConfig({ channels: [], transportOf: () => ledger.transport(), readerOf: () => { throw new Error('nobody reads blocks here'); }, ...seams }, CON, operator);
    expect(organisationsIn(config).map(({ mspId, runsPeer }) => `${mspId} ${runsPeer}`)).toContain('HO-north true');
    const group = config.channelGroup?.groups.get('Application')?.groups.get(NORTH.org);
    expect(AnchorPeers.decode(group?.values.get('AnchorPeers')?.value as Uint8Array).anchorPeers).toEqual([{ host: '127.0.0.1', port: 23_510 }]);
    const description = readFabricNetwork(join(folder, 'network.json'));
    expect(description.channels.map(({ name, members }) => `${name} ${members.length}`)).toEqual(['con 6', 'uic 1', 'drc 3', 'hdc-east 2', 'hdc-west 2', 'hdc-north 2']);
    const north = description.organisations.find(({ mspId }) => mspId === NORTH.org);
    expect(north?.peer?.address).toBe('127.0.0.1:23510');
    const paths = [north?.rootCertificate, north?.peer?.tlsRootCertificate, ...Object.values(north?.users ?? {}).flatMap(({ certificate, key }) => [certificate, key])] as string[];
    expect(paths).toHaveLength(8);
    expect(paths.filter((path) => !existsSync(path) || (statSync(path).mode & 0o077) !== 0)).toEqual([]);
    expect(existsSync(join(folder, 'network.json.new'))).toBe(false);
  });

  it('whose join was killed finds its processes again and starts none twice', async () => {
    const pids = (readState(folder)?.processes ?? []).map(({ pid }) => pid);
    const from = givenTo(bin).length;
    const again = await openJoin();
    await again.joinPeer(CON);
    expect(stepsSince(from)).toEqual(onCon.slice(1, 3));
    process.kill(pids.at(-1) as number, 'SIGKILL');
    await expect.poll(rolesOf, { timeout: 5_000 }).not.toContain('contract hdc of HO-north');
    const third = await openJoin();
    await third.joinPeer(NORTHS);
    expect(rolesOf()).toContain('contract hdc of HO-north');
    await third.giveUp();
    // Only what this one started ends.
    expect(rolesOf()).toEqual(['orderer 1', 'peer of HO-north', 'contract con of HO-north']);
  }, 30_000);

  it('stops where it was told to, and does not read words for a definition', async () => {
    const stop = new AbortController();
    const steps = await openJoin(stop.signal);
    answerWith(bin, 'querycommitted --channelID con ', { words: 'Committed chaincode definition: none' });
    await expect(steps.deploy(CON, 4)).rejects.toMatchObject({ code: 'FABRIC_STEP_FAILED', message: expect.stringContaining('cannot be read') });
    stop.abort();
    const from = givenTo(bin).length;
    await expect(steps.createChannel(NORTHS)).rejects.toThrow();
    expect(givenTo(bin)).toHaveLength(from);
  });
});

describe('consortium join --network', () => {
  async function refused(network: string): Promise<string> {
    let err = '';
    await main(['consortium', 'join', '--folder', state, '--org', 'HO-south', '--network', network, '--json'], { out: () => undefined, err: (text) => (err += text), color: false }, { HOME: root, FABRIC_BIN: bin }, new AbortController().signal);
    return (JSON.parse(err.trim().split('\n').at(-1) as string) as { error: { code: string } }).error.code;
  }

  it('refuses what is no network of ours, one that does not run, and one of the suite, before anything is made', async () => {
    const network = join(folder, 'network.json');
    expect(await refused(join(root, 'nowhere.json'))).toBe('LEDGER_NETWORK_FILE');
    const known = readState(folder);
    writeState(folder, { version: 1, phase: 'up', kind: KIND, processes: [{ ...here, started: '1' }] });
    expect(await refused(network)).toBe('FABRIC_HALF_RUNNING');
    writeState(folder, { version: 1, phase: 'up', kind: `${KIND}, conformance`, processes: [here] });
    expect(await refused(network)).toBe('FABRIC_JOIN');
    writeState(folder, known as NonNullable<typeof known>);
    expect([existsSync(join(folder, 'orgs/HO-south')), existsSync(join(state, 'orgs/HO-south'))]).toEqual([false, false]);
  });

  it('lets nobody in with other keys than those it began with', async () => {
    const other = join(root, 'other/keys.sqlite');
    mkdirSync(join(root, 'other'));
    const store = openSqliteKeyValueStore(other);
    await openOrgIdentity({ org: NORTH.org, store, clock: systemClock });
    await store.close();
    await expect(shareKeys(other, join(folder, 'orgs', NORTH.org, 'keys.sqlite'), NORTH.org)).rejects.toMatchObject({ code: 'FABRIC_KEYS_FROM' });
  });
});
