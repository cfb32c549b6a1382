/**
 * `healthkeep consortium join --network`, the command itself: Fabric's programs are stand-ins, and behind every peer's
 * address an embedded ledger answers as a Gateway with that peer's TLS key. What the stand-ins cannot do is done beforehand.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { toBase64url } from '#base/bytes.ts';
import { silentLog } from '#base/ports.ts';
import { contractClient } from '#contracts/client.ts';
import { serveGrpc, type GrpcServer } from '#ledger/embedded/grpc-server.ts';
import { readFabricNetwork } from '#ledger/fabric/network-file.ts';
import { writeNetworkFiles } from '#ledger/fabric/network-files.ts';
import { readState, writeState } from '#ledger/fabric/network-state.ts';
import { isAlive, stopProcesses } from '#ledger/fabric/node-processes.ts';
import { createLedgerClient } from '#ledger/gateway-client.ts';
import { OrgId, type Digest } from '#model/ids.ts';
import { STATE_FORMAT } from '#model/move.ts';
import { channelOrgs, CON, hdcOf, UIC } from '#model/orgs.ts';
import { openOrgIdentity, type KeptOrgIdentity } from '#org/identity.ts';
import { embeddedJoinAdmin } from '#sim/join-embedded.ts';
import { DEMO_MEMBERS } from '#sim/members.ts';
import { openLedgerOf, openNetwork } from '#sim/network.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { shareKeys } from './fabric-join.ts';
import { fabricMembers } from './fabric-members.ts';
import { planNetwork } from './fabric-plan.ts';
import { TEMPLATES } from './fabric-programs.ts';
import { answerWith, givenTo, makeStandIns, refuseOnce } from './fabric-stand-in.test-kit.ts';
import { readNetworkFile, writeNetworkFile } from './folder.ts';
import { main } from './main.ts';
import { networkFetch } from './network-fetch.ts';

const seams = { clock: systemClock, random: systemRandom, scheduler: realScheduler };
const root = mkdtempSync(join(tmpdir(), 'healthkeep-fabric-join-'));
const [bin, folder, state] = [join(root, 'bin'), join(root, 'network'), join(root, 'state')];
const NORTH = OrgId.parse('HO-north');
const NORTHS = hdcOf(NORTH);
const PRESENT = DEMO_MEMBERS.map(({ org }) => org);
const servers: GrpcServer[] = [];
const started = (): NonNullable<ReturnType<typeof readState>>['processes'] => (readState(folder)?.processes ?? []).filter(({ pid }) => pid !== process.pid);

afterAll(async () => {
  await stopProcesses(started(), realScheduler);
  await Promise.all(servers.map((server) => server.close()));
  rmSync(root, { recursive: true, force: true });
});

const identityOf = async (org: OrgId): Promise<KeptOrgIdentity> => {
  const store = openSqliteKeyValueStore(join(folder, 'orgs', org, 'keys.sqlite'));
  const identity = await openOrgIdentity({ org, store, clock: systemClock });
  await store.close();
  return identity;
};

async function joinBy(org: OrgId): Promise<{ readonly exit: number; readonly out: string; readonly err: string }> {
  let [out, err] = ['', ''];
  const exit = await main(['consortium', 'join', '--folder', state, '--org', org, '--name', 'North Hospital', '--network', join(folder, 'network.json'), '--json'], { out: (text) => (out += text), err: (text) => (err += text), color: false }, { ...process.env, HOME: root, FABRIC_BIN: bin }, new AbortController().signal);
  return { exit, out, err };
}

it('lets a hospital in, after a refused step too, and tells both descriptions', async () => {
  makeStandIns(bin, 'v2.5.16');
  writeNetworkFiles(await planNetwork({ folder, firstPort: 23_600, consensus: 'raft', conformance: false }), { folder, templates: TEMPLATES }, seams);
  const born = existsSync('/proc/self/stat') ? (readFileSync('/proc/self/stat', 'utf8').replace(/^.*\) /s, '').split(' ')[19] as string) : '';
  writeState(folder, { version: 1, phase: 'up', kind: 'version 2, raft, first port 23600', processes: [{ role: 'orderer 1', pid: process.pid, started: born, log: 'log' }] });
  await shareKeys(join(state, 'orgs', NORTH, 'keys.sqlite'), join(folder, 'orgs', NORTH, 'keys.sqlite'), NORTH);
  const { ledger, close } = await openLedgerOf({ folder: state, keys: folder, ...seams, log: silentLog }, DEMO_MEMBERS);
  const connect = () => ({ ...ledger.transport(), close: () => undefined });
  const network = await openNetwork({ folder: state, keys: folder, ...seams, log: silentLog, ledger: { connect, connectDevice: connect }, fetch: networkFetch, host: async (org) => `http://${org.toLowerCase()}.invalid` });
  await network.close();
  writeNetworkFile(state, { version: 1, ledger: 'http://127.0.0.1:1', members: Object.fromEntries(PRESENT.map((org) => [org, 'http://127.0.0.1:2'])), people: 0 });
  const client = createLedgerClient({ transport: ledger.transport(), ...seams });
  const [admin, north] = [embeddedJoinAdmin(ledger, client), await identityOf(NORTH)];
  const { orgs, peers } = channelOrgs(NORTHS, [...PRESENT, NORTH]);
  await admin.createChannel(NORTHS, await Promise.all(orgs.map(async (mspId) => ({ mspId, rootCertificate: (await identityOf(mspId)).ca.certificate }))), peers);
  await admin.joinPeer(north, NORTHS);
  await admin.deploy(NORTHS, 1);
  for (const { peer } of (await planNetwork({ folder, firstPort: 23_600, consensus: 'raft', conformance: false })).organisations) if (peer !== undefined) servers.push(await serveGrpc({ transport: ledger.transport(), host: '127.0.0.1', port: peer.port, tls: peer.tls }));
  answerWith(bin, 'querycommitted --channelID con ', { words: '{"sequence":1,"approvals":{"UO-people":true}}' });
  answerWith(bin, `querycommitted --channelID ${NORTHS} `, { words: 'Error: query failed with status: 404 - namespace hdc is not defined', exit: 1 });

  refuseOnce(bin, 'lifecycle chaincode commit', 'Error: access denied');
  expect(await joinBy(NORTH)).toMatchObject({ exit: 1, err: expect.stringMatching(/FABRIC_STEP_FAILED[\s\S]*run the same command again/) });
  expect(started()).toEqual([]);
  expect(readNetworkFile(state).members).not.toHaveProperty(NORTH);

  // The newcomer's peer is a stand-in that does not listen for clients; the embedded ledger does, where it would.
  const newcomers = (await planNetwork({ folder, firstPort: 23_600, consensus: 'raft', conformance: false, members: [...PRESENT, NORTH] })).organisations.find(({ mspId }) => mspId === NORTH)?.peer;
  const joining = joinBy(NORTH);
  await expect.poll(() => started().length, { timeout: 30_000, interval: 5 }).toBeGreaterThan(0);
  servers.push(await serveGrpc({ transport: ledger.transport(), host: '127.0.0.1', port: newcomers?.port as number, tls: newcomers?.tls as NonNullable<typeof newcomers>['tls'] }));
  const answer = await joining;
  expect(answer.exit, answer.err).toBe(0);
  expect(JSON.parse(answer.out)).toMatchObject({ org: NORTH, channels: [CON, NORTHS] });
  expect(started().filter(isAlive).map(({ role }) => role)).toEqual(['peer of HO-north', 'contract con of HO-north', 'contract hdc of HO-north']);
  expect(readNetworkFile(state).members).toHaveProperty(NORTH);
  expect(readFabricNetwork(join(folder, 'network.json')).organisations.find(({ mspId }) => mspId === NORTH)?.peer?.address).toBe(`127.0.0.1:${newcomers?.port}`);
  expect(givenTo(bin).filter(({ args }) => args.includes('commit')).map(({ args }) => [args[args.indexOf('--channelID') + 1], args[args.indexOf('--sequence') + 1]])).toEqual([['con', '2'], ['con', '2'], [NORTHS, '1']]);
  // It has a voice: the electorate of the next proposal counts six.
  const { members } = await contractClient<'con'>(client, { channel: CON, signer: north.operator }).evaluate('getMembers', {});
  expect(members.map(({ org, name }) => `${org} ${name}`)).toContain('HO-north North Hospital');
  expect(existsSync(join(state, 'orgs', NORTH, 'state.sqlite'))).toBe(true);

  // Once a channel's state comes from another ledger, a newcomer would lack what was before.
  const digest = toBase64url(new Uint8Array(32)) as Digest;
  const { operator } = await identityOf(PRESENT[0] as OrgId);
  await contractClient<'uic'>(client, { channel: UIC, signer: operator }).submit('beginImport', { source: { channel: UIC, height: 1, blockHash: digest, checkpoint: 'signed elsewhere' }, root: digest, keys: 0, format: STATE_FORMAT });
  const before = givenTo(bin).length;
  expect(await joinBy(OrgId.parse('HO-south'))).toMatchObject({ exit: 3, err: expect.stringMatching(/FABRIC_JOIN[\s\S]*blocks of uic from before/) });
  expect([givenTo(bin).length, fabricMembers(folder)]).toEqual([before, [...PRESENT, NORTH]]);
  await close();
}, 120_000);
