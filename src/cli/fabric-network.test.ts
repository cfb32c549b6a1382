/** What `fabric up` and `down` say when they cannot: every refusal has its code, its reason and a way on, and leaves nothing behind. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { makeStandIns } from './fabric-stand-in.test-kit.ts';
import { main } from './main.ts';

const root = mkdtempSync(join(tmpdir(), 'healthkeep-fabric-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const bin = join(root, 'bin');
makeStandIns(bin, 'v2.5.16');
const empty = join(root, 'empty');
mkdirSync(empty);

interface Answer {
  readonly exit: number;
  readonly out: string;
  readonly error: { readonly code: string; readonly what: string; readonly why: string; readonly next: string } | undefined;
}

async function fabric(words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Answer> {
  let [out, err] = ['', ''];
  const exit = await main(['fabric', ...words, '--json'], { out: (text) => (out += text), err: (text) => (err += text), color: false }, { HOME: root, ...env }, new AbortController().signal);
  const last = err.trim().split('\n').at(-1) ?? '';
  return { exit, out, error: last.startsWith('{') ? (JSON.parse(last) as { error: Answer['error'] }).error : undefined };
}

describe('fabric up', () => {
  const folder = join(root, 'network');

  it('says which program FABRIC_BIN lacks', async () => {
    expect(await fabric(['up', '--folder', folder], { FABRIC_BIN: empty })).toMatchObject({ exit: 3, error: { code: 'FABRIC_PROGRAM_MISSING', what: 'FABRIC_BIN has no peer, no orderer, no osnadmin.', next: expect.stringContaining('github.com/hyperledger/fabric/releases') } });
    expect(existsSync(folder)).toBe(false);
  });

  it('says where to get the programs when there is no Go either', async () => {
    expect(await fabric(['up', '--folder', folder], { PATH: empty })).toMatchObject({ exit: 3, error: { code: 'FABRIC_PROGRAM_MISSING', why: expect.stringContaining('no Go'), next: expect.stringMatching(/v2\.5\.16 .*releases.*FABRIC_BIN.*Go 1\.26\.4/) } });
  });

  it('prints the command and the commit when go install is refused', async () => {
    const go = join(root, 'go-bin');
    mkdirSync(go);
    writeFileSync(join(go, 'go'), '#!/bin/sh\necho "go: module lookup disabled" >&2\nexit 1\n', { mode: 0o755 });
    expect(await fabric(['up', '--folder', folder], { PATH: go })).toMatchObject({ exit: 3, error: { code: 'FABRIC_INSTALL_FAILED', what: expect.stringContaining('f871cf92a026'), why: expect.stringMatching(/GOBIN=.* go install github\.com\/hyperledger\/fabric\/cmd\/peer@v1\.4\.0-rc1\.0\.20260617221605-f871cf92a026 .*module lookup disabled/), next: expect.stringContaining('releases') } });
    expect(await fabric(['up', '--folder', folder, '--version', '3'], { PATH: go })).toMatchObject({ error: { what: expect.stringContaining('94590aa4332b') } });
    expect(existsSync(folder)).toBe(false);
  });

  it('refuses programs of another version', async () => {
    const old = join(root, 'old');
    makeStandIns(old, 'v1.4.12');
    expect(await fabric(['up', '--folder', folder], { FABRIC_BIN: old })).toMatchObject({ exit: 3, error: { code: 'FABRIC_PROGRAM_VERSION', why: expect.stringContaining('v1.4.12') } });
    expect(await fabric(['up', '--folder', folder, '--version', '3'], { FABRIC_BIN: bin })).toMatchObject({ exit: 3, error: { code: 'FABRIC_PROGRAM_VERSION', why: expect.stringContaining('v2.5.16; 3 is needed') } });
  });

  it('names the taken port and who wanted it, and starts nothing', async () => {
    const server = createServer().listen(22_061, '127.0.0.1');
    await new Promise((done) => server.once('listening', done));
    try {
      expect(await fabric(['up', '--folder', folder, '--port', '22000'], { FABRIC_BIN: bin })).toMatchObject({ exit: 3, error: { code: 'FABRIC_PORT_TAKEN', what: 'Port 22061 on 127.0.0.1 is wanted for the peer of UO-people (chaincode) and cannot be had.', next: expect.stringContaining('--port') } });
    } finally {
      server.close();
    }
    expect(existsSync(join(folder, 'state.json'))).toBe(false);
    expect(existsSync(join(bin, 'given.jsonl'))).toBe(false);
  });

  it('knows its options', async () => {
    for (const words of [['--bft'], ['--version', '4'], ['--port', '80'], ['--port', '65500']]) expect(await fabric(['up', '--folder', folder, ...words]), words.join(' ')).toMatchObject({ exit: 2, error: { code: 'USAGE_OPTION' } });
  });

  it('does not take a folder with other things in it', async () => {
    const other = join(root, 'other');
    mkdirSync(other);
    writeFileSync(join(other, 'thesis.txt'), 'mine');
    expect(await fabric(['up', '--folder', other], { FABRIC_BIN: bin })).toMatchObject({ exit: 3, error: { code: 'FOLDER_NOT_A_NETWORK' } });
    expect(await fabric(['down', '--folder', other])).toMatchObject({ exit: 0, out: expect.stringContaining('"network":false') });
    expect(readdirSync(other)).toEqual(['thesis.txt']);
  });
});

describe('a network that does not run as it should', () => {
  const folder = join(root, 'half');
  const kind = 'version 2, raft, first port 22200';
  const alive = { role: 'orderer 1', pid: process.pid, started: existsSync('/proc/self/stat') ? (readFileSync('/proc/self/stat', 'utf8').replace(/^.*\) /s, '').split(' ')[19] as string) : '', log: 'log' };
  const dead = { role: 'peer of HO-east', pid: process.pid, started: '1', log: 'log' };
  const keep = (state: object): void => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'state.json'), JSON.stringify(state));
  };
  const up = () => fabric(['up', '--folder', folder, '--port', '22200'], { FABRIC_BIN: bin });

  it.each([
    ['half of it is dead', { version: 1, phase: 'up', kind, processes: [alive, dead] }, /Of 2 processes 1 run; missing: peer of HO-east/],
    ['its start was not finished', { version: 1, phase: 'starting', kind, processes: [alive] }, /not finished/],
    ['another one is wanted', { version: 1, phase: 'up', kind: 'version 3, bft, first port 22200', processes: [alive] }, /started as version 3, bft/],
  ])('is named when %s', async (_name, state, why) => {
    keep(state);
    expect(await up()).toMatchObject({ exit: 3, error: { code: 'FABRIC_HALF_RUNNING', why: expect.stringMatching(why), next: expect.stringContaining('fabric down') } });
  });

  it('is left alone when all of it runs', async () => {
    keep({ version: 1, phase: 'up', kind, processes: [alive] });
    expect(await up()).toMatchObject({ exit: 0, out: expect.stringContaining('"running"') });
  });

  it('is not guessed at when its state is damaged', async () => {
    for (const text of ['{', '{"version":1,"phase":"up","kind":"x","processes":[{"role":"a","pid":1,"started":"","log":""}]}']) {
      writeFileSync(join(folder, 'state.json'), text);
      expect(await up()).toMatchObject({ exit: 3, error: { code: 'FABRIC_STATE' } });
      expect(await fabric(['down', '--folder', folder])).toMatchObject({ exit: 3, error: { code: 'FABRIC_STATE' } });
    }
  });

  it('goes down without touching a process that merely has an old number', async () => {
    keep({ version: 1, phase: 'up', kind, processes: [dead] });
    expect(await fabric(['down', '--folder', folder])).toMatchObject({ exit: 0, out: expect.stringContaining('"stopped":0') });
    expect(existsSync(folder)).toBe(false);
    expect(await fabric(['down', '--folder', folder])).toMatchObject({ exit: 0, out: expect.stringContaining('"network":false') });
  });
});
