/** The peer's side of the chaincode protocol held against a second shim that we did not write: a contract over Fabric's Java shim (`fabric/java-contract`). */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Json } from '#base/canonical-json.ts';
import { realScheduler } from '#sim/seams.ts';
import type { Committed } from '../client.ts';
import type { ExternalChaincode } from '../embedded/external-chaincode.ts';
import { openTestNetwork, type TestNetwork } from './embedded.test-kit.ts';
import { external, freePort, PACKAGE_ID } from './external.test-kit.ts';
import { createRunner, type ChannelName, type Runner } from './harness.ts';

const PROJECT = fileURLToPath(new URL('../../../fabric/java-contract/', import.meta.url));
const missing = ['java', 'javac', 'mvn'].filter((program) => spawnSync(program, [program === 'mvn' ? '--version' : '-version'], { stdio: 'ignore' }).status !== 0);

function must(program: string, args: readonly string[]): boolean {
  return spawnSync(program, args, { cwd: PROJECT, stdio: 'ignore', timeout: 200_000 }).status === 0;
}

/** Libraries from Maven's cache, else from its registry; then the compiler. Returns the class path. */
function build(folder: string): string {
  const [libraries, classes] = [join(folder, 'lib'), join(folder, 'classes')];
  const fetch = (...options: readonly string[]): boolean => must('mvn', ['-q', '-B', ...options, 'dependency:copy-dependencies', `-DoutputDirectory=${libraries}`]);
  if (!fetch('-o') && !fetch()) throw new Error('Maven could not fetch the libraries of fabric/java-contract.');
  mkdirSync(classes, { recursive: true });
  if (!must('javac', ['-d', classes, '-cp', join(libraries, '*'), 'src/main/java/probe/Main.java'])) throw new Error('fabric/java-contract does not compile.');
  return `${classes}:${join(libraries, '*')}`;
}

if (missing.length > 0) {
  it('Java and Maven are here, or their absence is told', () => {
    console.warn(`NOT RUN: the contract over Fabric's Java shim needs ${missing.join(', ')}.`);
    expect(process.env['HEALTHKEEP_REQUIRE_JAVA'], `these programs are needed and missing: ${missing.join(', ')}`).not.toBe('1');
  });
} else {
  const folder = mkdtempSync(join(tmpdir(), 'healthkeep-java-'));
  let java: ChildProcess;
  let network: TestNetwork;
  let l: Runner;
  const attached: ExternalChaincode[] = [];

  const call = (channel: ChannelName, name: string, words: readonly string[]) => ({ channel: l.channel(channel), contract: 'probe', name, input: words.join('|'), signer: l.signers.a });
  const submit = (channel: ChannelName, name: string, ...words: string[]): Promise<Committed> => l.client.submit(call(channel, name, words));
  const evaluate = (channel: ChannelName, name: string, ...words: string[]): Promise<Json> => l.client.evaluate(call(channel, name, words));

  beforeAll(async () => {
    const classPath = build(folder);
    const port = await freePort();
    java = spawn('java', ['-cp', classPath, 'probe.Main', PACKAGE_ID, String(port)], { stdio: 'ignore', env: { ...process.env, CORE_PEER_LOCALMSPID: 'OrgA' } });
    network = await openTestNetwork({
      chaincode: (name) => {
        const contract = external(`127.0.0.1:${port}`);
        attached.push(contract);
        return name === 'probe' ? contract : { Invoke: async () => ({ status: 200, message: '', payload: new TextEncoder().encode('"helped"') }) };
      },
    });
    l = createRunner(network.harness(network.ledger.transport()));
    // Calls fail at once while nobody listens there yet.
    for (let tries = 0; tries < 100; tries++) {
      if (await evaluate('solo', 'get', 'x').then(() => true, () => false)) break;
      await realScheduler.sleep(200);
    }
  }, 300_000);

  afterAll(async () => {
    for (const contract of attached) contract.close();
    await network.ledger.close();
    java.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  describe('a contract over Fabric\'s Java shim, behind the embedded ledger', () => {
    it('reads, writes and deletes', async () => {
      await submit('solo', 'put', 'a', 'Größe ✓');
      expect(await evaluate('solo', 'get', 'a')).toBe('Größe ✓');
      await submit('solo', 'delete', 'a');
      expect(await evaluate('solo', 'history', 'a')).toEqual([['', true], ['Größe ✓', false]]);
    });

    it('reads ranges beyond one fetch, pages and composite keys', async () => {
      for (let at = 0; at < 130; at++) await submit('solo', 'put', `r${String(at).padStart(3, '0')}`, String(at));
      expect(await evaluate('solo', 'range', 'r', 'r~')).toHaveLength(130);
      expect(await evaluate('solo', 'page', 'r', 'r~', 'r128')).toEqual([['r128', 'r129'], 2, '']);
      for (const name of ['2', '1']) await submit('solo', 'putComposite', 'type', name, `v${name}`);
      expect(await evaluate('solo', 'partial', 'type')).toEqual(['v1', 'v2']);
    });

    it('keeps private values, and purges them', async () => {
      await submit('either', 'putPrivate', 'mine', 'secret', 'value');
      expect([await evaluate('either', 'getPrivate', 'mine', 'secret'), await evaluate('either', 'privateHash', 'mine', 'secret')]).toEqual(['value', 32]);
      await submit('either', 'purge', 'mine', 'secret');
      expect(await evaluate('either', 'privateHash', 'mine', 'secret')).toBe(0);
    });

    it('sets a key\'s policy, sees its caller and calls another contract', async () => {
      await submit('solo', 'put', 'guarded', 'x');
      await submit('solo', 'setPolicy', 'guarded', 'not a policy');
      expect(await evaluate('solo', 'policy', 'guarded')).toBe(12);
      expect(await evaluate('solo', 'caller', '')).toBe(`OrgA solo 64 ${l.now()}`);
      expect(await evaluate('solo', 'invoke', 'helper', '[]')).toBe('"helped"');
    });

    it('tells events, and refuses in its own words', async () => {
      const { blockNumber } = await submit('solo', 'event', 'named', 'payload');
      for await (const event of l.client.events({ channel: 'solo', contract: 'probe', startBlock: blockNumber, signer: l.signers.a })) {
        expect([event.name, Buffer.from(event.payload).toString()]).toEqual(['named', 'payload']);
        break;
      }
      await expect(submit('solo', 'refuse', '')).rejects.toMatchObject({ code: 'LEDGER_ENDORSEMENT_FAILED', details: { why: expect.stringContaining('the Java contract refuses: ü') } });
    });
  });
}
