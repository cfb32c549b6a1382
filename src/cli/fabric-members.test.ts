/** A Fabric network for a pilot that grows up: planned with the pilot's keys, its first blocks pass the comparison that `ledger migrate` makes. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLog } from '#base/ports.ts';
import { readConfig } from '#ledger/fabric/outside-admin.ts';
import { writeNetworkFiles } from '#ledger/fabric/network-files.ts';
import { blockFile, type NetworkPlan } from '#ledger/fabric/network-plan.ts';
import { networkDown } from '#ledger/fabric/network-up.ts';
import { writeState } from '#ledger/fabric/network-state.ts';
import { Block, Envelope, Payload } from '#ledger/protos/common.ts';
import { ConfigEnvelope, type Config } from '#ledger/protos/config.ts';
import { OrgId, type ChannelName } from '#model/ids.ts';
import { channelOrgs, channelsOf } from '#model/orgs.ts';
import { checkLikeness } from '#org/move/likeness.ts';
import { openOrgIdentity } from '#org/identity.ts';
import { openLedgerOf } from '#sim/network.ts';
import { realScheduler, systemClock, systemRandom } from '#sim/seams.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { fabricMembers, takeKeys, writeFabricMembers } from './fabric-members.ts';
import { planNetwork } from './fabric-plan.ts';
import { makeStandIns } from './fabric-stand-in.test-kit.ts';
import { holdFolder, writeNetworkFile } from './folder.ts';
import { main } from './main.ts';

const TEMPLATES = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'fabric');
const seams = { clock: systemClock, random: systemRandom, scheduler: realScheduler, log: silentLog };
const root = mkdtempSync(join(tmpdir(), 'healthkeep-fabric-keys-'));
afterAll(async () => {
  // Started only where something that must be refused was not.
  for (const one of ['refused', 'pilot']) await networkDown({ folder: join(root, one), keep: true, scheduler: realScheduler });
  rmSync(root, { recursive: true, force: true });
});
const bin = join(root, 'bin');
makeStandIns(bin, 'v2.5.16');

/** Not the demo's members: one hospital more, one data user less. */
const MEMBERS = ['UO-people', 'HO-east', 'HO-north', 'DUO-helix', 'HO-west'].map((org) => OrgId.parse(org));
const pilot = join(root, 'pilot');
const folder = join(root, 'network');
let plan: NetworkPlan;
const embedded = new Map<ChannelName, Config>();
const planOf = (): Promise<NetworkPlan> => planNetwork({ folder, firstPort: 23_000, consensus: 'raft', conformance: false, members: fabricMembers(folder) });

/** Every file with its content, mode and time. */
function traceOf(path: string): readonly string[] {
  return (readdirSync(path, { recursive: true }) as string[]).sort().map((name) => {
    const facts = statSync(join(path, name));
    return `${name} ${facts.mode} ${facts.mtimeMs} ${facts.isFile() ? createHash('sha256').update(readFileSync(join(path, name))).digest('hex') : ''}`;
  });
}

beforeAll(async () => {
  const { ledger, close } = await openLedgerOf({ folder: pilot, ...seams }, MEMBERS.map((org) => ({ org, name: org })));
  writeNetworkFile(pilot, { version: 1, ledger: 'http://127.0.0.1:1', members: Object.fromEntries(MEMBERS.map((org) => [org, 'http://127.0.0.1:1'])), people: 0 });
  holdFolder(pilot).release();
  const transport = ledger.transport();
  for (const channel of channelsOf(MEMBERS)) {
    const org = channelOrgs(channel, MEMBERS).peers[0] as OrgId;
    const store = openSqliteKeyValueStore(join(pilot, 'orgs', org, 'keys.sqlite'));
    const { operator } = await openOrgIdentity({ org, store, clock: systemClock });
    embedded.set(channel, await readConfig({ channels: [], transportOf: () => transport, readerOf: () => { throw new Error('nobody reads blocks here'); }, ...seams }, channel, operator));
    await store.close();
  }
  await close();
  // Whatever the pilot's own mode is.
  chmodSync(join(pilot, 'orgs/HO-east/keys.sqlite'), 0o644);
}, 60_000);

describe('the keys of a pilot', () => {
  it('are copied, for their owner only, and the pilot is left as it was', async () => {
    const before = traceOf(pilot);
    mkdirSync(folder, { mode: 0o700 });
    await takeKeys({ from: pilot, folder });
    expect(traceOf(pilot)).toEqual(before);
    expect(fabricMembers(folder)).toEqual(MEMBERS);
    for (const org of [...MEMBERS, 'ORD-consortium']) expect(statSync(join(folder, 'orgs', org, 'keys.sqlite')).mode & 0o777, org).toBe(0o600);
    expect(readdirSync(folder).sort()).toEqual(['members.json', 'orgs']);
  });

  it('make first blocks that pass the comparison of ledger migrate on every channel', async () => {
    plan = await planOf();
    writeNetworkFiles(plan, { folder, templates: TEMPLATES }, seams);
    expect(plan.channels.map(({ name }) => name)).toEqual([...embedded.keys()]);
    expect(plan.channels).toHaveLength(6);
    for (const [channel, source] of embedded) expect(() => checkLikeness(channel, source, firstConfig(folder, channel)), channel).not.toThrow();
  });

  it('are the ones that sign: a network with keys of its own is refused by that comparison', async () => {
    const other = join(root, 'own-keys');
    writeNetworkFiles(await planNetwork({ folder: other, firstPort: 23_000, consensus: 'raft', conformance: false, members: MEMBERS }), { folder: other, templates: TEMPLATES }, seams);
    for (const [channel, source] of embedded) expect(() => checkLikeness(channel, source, firstConfig(other, channel)), channel).toThrow(expect.objectContaining({ code: 'MOVE_TARGET_OTHER', details: expect.objectContaining({ why: expect.stringContaining('another root certificate') }) }));
  });

  it('stand in MSP folders that OpenSSL accepts under the pilot\'s roots', async () => {
    for (const org of MEMBERS) {
      const store = openSqliteKeyValueStore(join(pilot, 'orgs', org, 'keys.sqlite'));
      const { ca, peerKey, operator, system } = await openOrgIdentity({ org, store, clock: systemClock });
      await store.close();
      const authority = join(root, 'authority.pem');
      writeFileSync(authority, ca.certificate);
      const at = join(folder, 'orgs', org);
      for (const [msp, certificate] of [['node/msp', peerKey.certificate], ['users/peer', peerKey.certificate], ['users/admin', operator.certificate], ['users/system', system.certificate]] as const) {
        const file = join(at, msp, 'signcerts/cert.pem');
        execFileSync('openssl', ['verify', '-x509_strict', '-CAfile', authority, file], { stdio: 'pipe' });
        expect(readFileSync(file, 'utf8'), `${org} ${msp}`).toBe(certificate);
        const key = join(at, msp, 'keystore/key.pem');
        expect(execFileSync('openssl', ['pkey', '-pubout', '-in', key], { encoding: 'utf8' })).toBe(execFileSync('openssl', ['x509', '-pubkey', '-noout', '-in', file], { encoding: 'utf8' }));
        expect(statSync(key).mode & 0o777).toBe(0o600);
      }
    }
  });

  it('are found again by a second start, with whoever joined since, and no others are put over them', async () => {
    writeState(folder, { version: 1, phase: 'failed', kind: 'any', processes: [] });
    await takeKeys({ from: pilot, folder });
    expect(JSON.stringify([...(await planOf()).organisations])).toBe(JSON.stringify([...plan.organisations]));
    writeFabricMembers(folder, [...MEMBERS, OrgId.parse('DUO-new')]);
    await takeKeys({ from: pilot, folder });
    expect(fabricMembers(folder)).toEqual([...MEMBERS, 'DUO-new']);
    const stranger = join(root, 'own-keys');
    writeState(stranger, { version: 1, phase: 'failed', kind: 'any', processes: [] });
    await expect(takeKeys({ from: pilot, folder: stranger })).rejects.toMatchObject({ code: 'FABRIC_KEYS_FROM', details: { why: expect.stringContaining('has no HO-north') } });
    writeFabricMembers(stranger, MEMBERS);
    await expect(takeKeys({ from: pilot, folder: stranger })).rejects.toMatchObject({ code: 'FABRIC_KEYS_FROM', details: { why: expect.stringContaining('another root of UO-people') } });
  });
});

describe('a pilot whose process was killed', () => {
  it('gives the keys too that its store had not folded in yet', async () => {
    const [torn, to] = [join(root, 'torn'), join(root, 'from-torn')];
    const store = openSqliteKeyValueStore(join(pilot, 'orgs/HO-west/keys.sqlite'));
    await store.write(new Map([['later/key', new Uint8Array([7])]]));
    cpSync(pilot, torn, { recursive: true, filter: (name) => !name.endsWith('-shm') });
    await store.close();
    expect(existsSync(join(torn, 'orgs/HO-west/keys.sqlite-wal'))).toBe(true);
    mkdirSync(to);
    await takeKeys({ from: torn, folder: to });
    const copy = openSqliteKeyValueStore(join(to, 'orgs/HO-west/keys.sqlite'));
    expect(await copy.get('later/key')).toEqual(new Uint8Array([7]));
    await copy.close();
  });
});

describe('fabric up --keys-from', () => {
  async function refused(from: string, to = join(root, 'refused')): Promise<Readonly<Record<string, string>>> {
    let err = '';
    const exit = await main(['fabric', 'up', '--folder', to, '--keys-from', from, '--port', '23200', '--json'], { out: () => undefined, err: (text) => (err += text), color: false }, { HOME: root, FABRIC_BIN: bin }, new AbortController().signal);
    expect(exit).toBe(3);
    return (JSON.parse(err.trim().split('\n').at(-1) as string) as { error: Readonly<Record<string, string>> }).error;
  }

  it('refuses a folder that is none, one that is in use, one without keys, and the pilot\'s own as the network\'s', async () => {
    expect(await refused(join(root, 'nowhere'))).toMatchObject({ code: 'FOLDER_NOT_A_NETWORK' });
    const hold = holdFolder(pilot);
    expect(await refused(pilot)).toMatchObject({ code: 'FOLDER_IN_USE' });
    hold.release();
    const hollow = join(root, 'hollow');
    mkdirSync(hollow);
    writeNetworkFile(hollow, { version: 1, ledger: 'http://127.0.0.1:1', members: Object.fromEntries(MEMBERS.map((org) => [org, 'http://127.0.0.1:1'])), people: 0 });
    expect(await refused(hollow)).toMatchObject({ code: 'FABRIC_KEYS_FROM', why: 'It has no root certificate and key of UO-people.' });
    expect(readdirSync(hollow)).toEqual(['network.json']);
    const before = readFileSync(join(pilot, 'network.json'), 'utf8');
    expect(await refused(pilot, pilot)).toMatchObject({ code: 'FOLDER_NOT_A_NETWORK' });
    expect([readFileSync(join(pilot, 'network.json'), 'utf8'), existsSync(join(pilot, 'state.json'))]).toEqual([before, false]);
    expect(existsSync(join(root, 'refused', 'state.json'))).toBe(false);
  });
});

/** The configuration in a channel's first block. */
function firstConfig(network: string, channel: string): Config {
  const [envelope] = Block.decode(readFileSync(blockFile(network, channel))).data?.data ?? [];
  return ConfigEnvelope.decode(Payload.decode(Envelope.decode(envelope as Uint8Array).payload).data).config as Config;
}
