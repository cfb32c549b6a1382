/** The start and stop of a Fabric network, with stand-ins for Fabric's programs and our own contract servers: what would be asked of the real ones. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { realScheduler } from '#sim/seams.ts';
import { networkDown } from '#ledger/fabric/network-up.ts';
import { readState } from '#ledger/fabric/network-state.ts';
import { isAlive } from '#ledger/fabric/node-processes.ts';
import { givenTo, makeStandIns, refuseOnce } from './fabric-stand-in.test-kit.ts';
import { main } from './main.ts';

const root = mkdtempSync(join(tmpdir(), 'healthkeep-fabric-'));
const folder = join(root, 'network');
const bin = join(root, 'bin');
makeStandIns(bin, 'v2.5.16');
afterAll(async () => {
  await networkDown({ folder, keep: false, scheduler: realScheduler });
  rmSync(root, { recursive: true, force: true });
});

async function fabric(...words: readonly string[]): Promise<{ readonly exit: number; readonly out: string; readonly err: string }> {
  let [out, err] = ['', ''];
  const exit = await main(['fabric', ...words, '--folder', folder, '--json'], { out: (text) => (out += text), err: (text) => (err += text), color: false }, { ...process.env, FABRIC_BIN: bin, HOME: root }, new AbortController().signal);
  return { exit, out, err };
}
const up = () => fabric('up', '--port', '22400');
const running = (): string[] => (readState(folder)?.processes ?? []).filter(isAlive).map(({ role }) => role);

describe('fabric up', () => {
  it('starts orderers, channels, peers, contracts and definitions in this order, and tries again what is soon over', async () => {
    refuseOnce(bin, 'approveformyorg', 'Error: proposal failed: SERVICE_UNAVAILABLE -- no Raft leader');
    const answer = await up();
    expect(answer.exit, answer.err).toBe(0);
    expect(JSON.parse(answer.out)).toMatchObject({ how: 'fresh' });
    const given = givenTo(bin).map(({ program, args, mspId }) => `${program} ${args.filter((word) => /^[a-z]+$/.test(word)).slice(0, 3).join(' ')}${mspId === undefined ? '' : ` by ${mspId}`}`);
    const steps = given.filter((line, index) => line !== given[index - 1]);
    expect(given.filter((line) => line.startsWith('osnadmin'))).toHaveLength(15);
    expect(steps.slice(0, 3)).toEqual(['orderer ', 'osnadmin channel join con', 'osnadmin channel join uic']);
    expect(given.filter((line) => line === 'peer node start')).toHaveLength(5);
    const joined = givenTo(bin).filter(({ args }) => args[0] === 'channel' && args[2] === '-b').map(({ args, mspId }) => `${mspId} ${(args[3] as string).split('/').at(-1)}`);
    expect(joined.sort()).toEqual(['DUO-helix con.block', 'DUO-helix drc.block', 'DUO-sunrise con.block', 'DUO-sunrise drc.block', 'HO-east con.block', 'HO-east hdc-east.block', 'HO-west con.block', 'HO-west hdc-west.block', 'UO-people con.block', 'UO-people uic.block']);
    expect(givenTo(bin).filter(({ args }) => args.includes('approveformyorg'))).toHaveLength(11);
    const commits = givenTo(bin).filter(({ args }) => args.includes('commit'));
    expect(commits.map(({ args }) => [args[args.indexOf('--channelID') + 1], args[args.indexOf('--signature-policy') + 1], args.filter((word) => word === '--peerAddresses').length])).toEqual([
      ['con', "OutOf(3, 'UO-people.peer', 'HO-east.peer', 'HO-west.peer', 'DUO-sunrise.peer', 'DUO-helix.peer')", 5], ['uic', "OutOf(1, 'UO-people.peer')", 1], ['drc', "OutOf(2, 'DUO-sunrise.peer', 'DUO-helix.peer')", 2], ['hdc-east', "OutOf(1, 'HO-east.peer')", 1], ['hdc-west', "OutOf(1, 'HO-west.peer')", 1],
    ]);
    expect(running()).toHaveLength(3 + 5 + 10);
    expect(readFileSync(join(folder, 'orgs/HO-east/contract-hdc.log'), 'utf8')).toContain('hdc_1.0:27688ad5');
  }, 120_000);

  it('done twice changes nothing; after a crash of one it says so; down leaves nothing', async () => {
    const before = givenTo(bin).length;
    expect(JSON.parse((await up()).out)).toMatchObject({ how: 'running' });
    expect(givenTo(bin)).toHaveLength(before);
    const pids = (readState(folder)?.processes ?? []).map(({ pid }) => pid);
    process.kill(pids[4] as number, 'SIGKILL');
    await expect.poll(() => running().length, { timeout: 5_000 }).toBe(17);
    expect(await up()).toMatchObject({ exit: 3, err: expect.stringMatching(/FABRIC_HALF_RUNNING.*17 run; missing: peer of HO-east/) });
    expect(JSON.parse((await fabric('down', '--keep')).out)).toMatchObject({ stopped: 17 });
    expect(running()).toEqual([]);
  }, 60_000);

  it('goes on from kept data without making channels again', async () => {
    const before = givenTo(bin).length;
    expect(JSON.parse((await up()).out)).toMatchObject({ how: 'restarted' });
    expect(givenTo(bin).slice(before).filter(({ program, args }) => program === 'osnadmin' || args[0] === 'lifecycle')).toEqual([]);
    expect(running()).toHaveLength(18);
    await fabric('down', '--keep');
  }, 60_000);

  it('names the node that ended, with its last words, and stops the rest', async () => {
    writeFileSync(join(folder, 'orgs/HO-west/node/die'), '');
    const answer = await up();
    expect(answer).toMatchObject({ exit: 1, err: expect.stringMatching(/FABRIC_PROCESS_ENDED.*peer of HO-west ended/) });
    expect(answer.err).toContain('cannot read its ledger');
    expect(running()).toEqual([]);
    expect(JSON.parse((await fabric('down')).out)).toMatchObject({ stopped: 0, network: true });
    expect(existsSync(folder)).toBe(false);
  }, 60_000);
});
