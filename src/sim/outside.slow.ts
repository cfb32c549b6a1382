/** The ledger judged by programs in another language: Fabric's Java client over TLS, and Fabric's Java protobuf classes over every block of every channel. */
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { common } from '@hyperledger/fabric-protos';
import { factsOf } from '#cli/commands/ledger-inspect.ts';
import { writeNetworkFile } from '#cli/folder.ts';
import { healthkeep, valueOf } from '#cli/walk.test-kit.ts';
import { channels, createRunner, type ChannelName } from '#ledger/conformance/harness.ts';
import type { Step } from '#ledger/conformance/probe.ts';
import { openTestNetwork, type TestNetwork } from '#ledger/conformance/embedded.test-kit.ts';
import { createTestOrg } from '#ledger/consortium.test-kit.ts';
import { examineBlock } from '#ledger/embedded/block-report.ts';
import { keyOf, serveTestNetwork, steps } from '#ledger/embedded/fabric-client.test-kit.ts';
import { serveGrpc } from '#ledger/embedded/grpc-server.ts';
import { DEMO_MEMBERS } from './members.ts';
import { bringUp } from './move.test-kit.ts';
import { buildOutside, missingPrograms, runProgram, writeWorld } from './outside.test-kit.ts';
import { systemClock } from './seams.ts';

const missing = missingPrograms();
const folder = mkdtempSync(join(tmpdir(), 'healthkeep-outside-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

if (missing.length > 0) {
  it('Java and Maven are here, or their absence is told', () => {
    console.warn(`NOT RUN: the checks by Fabric's Java client and classes need ${missing.join(', ')}.`);
    expect(process.env['HEALTHKEEP_REQUIRE_JAVA'], `these programs are needed and missing: ${missing.join(', ')}`).not.toBe('1');
  });
} else {
  let classPath: string;
  const java = (program: string, argument: string) => runProgram('java', ['-cp', classPath, `outside.${program}`, argument]);
  beforeAll(async () => {
    classPath = await buildOutside(folder);
  }, 240_000);

  it('Fabric\'s Java client finds everything as on a peer', async () => {
    const network = await openTestNetwork({ clock: systemClock });
    const site = await createTestOrg('site', systemClock);
    const server = await serveGrpc({ transport: network.ledger.transport(), host: '127.0.0.1', port: 0, tls: { certificate: site.peer.certificate, privateKey: keyOf(site.peer).export({ format: 'pem', type: 'pkcs8' }) as string } });
    try {
      const { a, c } = network.orgs;
      const world = join(folder, 'world');
      writeWorld(world, { address: `127.0.0.1:${server.port}`, serverName: 'peer', tlsRoot: site.ca.certificate, identities: { client: a.client, peer: a.peer, outsider: c.client } });
      const { code, lines } = await java('ClientCheck', world);
      console.info(lines.join('\n'));
      expect(lines.filter((line) => line.startsWith('FAIL'))).toEqual([]);
      expect([code, lines.at(-1)]).toEqual([0, '17 passed, 0 failed']);
    } finally {
      await server.close();
      await network.ledger.close();
    }
  }, 120_000);

  describe('Fabric\'s Java classes', () => {
    const blocks = join(folder, 'blocks');
    beforeAll(async () => {
      mkdirSync(blocks);
      await everyVerdict(blocks);
    }, 60_000);

    it('agree with every hash, signature and verdict of channels where everything happens', async () => {
      const { code, lines } = await java('BlockCheck', blocks);
      console.info(lines.join('\n'));
      expect(lines.filter((line) => line.startsWith('FAIL'))).toEqual([]);
      expect([code, lines.at(-1)]).toEqual([0, `${channels.length} passed, 0 failed`]);
    }, 60_000);

    it('see a verdict, a hash and a shown fact that was changed', async () => {
      const forged = join(folder, 'forged');
      mkdirSync(forged);
      const last = (name: string, change: (block: common.Block) => void): void => {
        for (let number = 0; number < 3; number++) {
          const block = common.Block.deserializeBinary(readFileSync(join(blocks, `solo-${String(number).padStart(6, '0')}.block`)));
          if (number === 2) change(block);
          writeFileSync(join(forged, `${name}-${String(number).padStart(6, '0')}.block`), block.serializeBinary());
        }
      };
      last('verdict', (block) => block.getMetadata()?.setMetadataList((block.getMetadata()?.getMetadataList_asU8() ?? []).map((slot, index) => (index === common.BlockMetadataIndex.TRANSACTIONS_FILTER ? new Uint8Array([11]) : slot))));
      last('hash', (block) => block.getHeader()?.setDataHash(Buffer.alloc(32)));
      last('shown', () => undefined);
      const shown = JSON.parse(readFileSync(join(blocks, 'solo.json'), 'utf8')) as { blocks: { headerHash: string }[] };
      writeFileSync(join(forged, 'shown.json'), JSON.stringify({ blocks: shown.blocks.slice(0, 3).map((one, number) => (number === 1 ? { ...one, headerHash: '00' } : one)) }));
      const { code, lines } = await java('BlockCheck', forged);
      const told = lines.filter((line) => line.startsWith('FAIL'));
      expect([code, told.length]).toEqual([1, 3]);
      expect(told.join('\n')).toMatch(/is marked MVCC_READ_CONFLICT, should be VALID/);
      expect(told.join('\n')).toMatch(/block 2: data hash/);
      expect(told.join('\n')).toMatch(/block 1: the command shows other hashes/);
    }, 60_000);

    it('agree with what healthkeep ledger inspect says of the network\'s own channels, of every kind', async () => {
      const [network, raw] = [join(folder, 'network'), join(folder, 'raw')];
      await bringUp(network);
      writeNetworkFile(network, { version: 1, ledger: 'http://127.0.0.1:1', members: Object.fromEntries(DEMO_MEMBERS.map(({ org }) => [org, 'http://127.0.0.1:1'])) as never, people: 0 });
      const { channels: list } = valueOf<{ channels: readonly { channel: string }[] }>(await healthkeep(['ledger', 'inspect', '--json', '--folder', network]));
      for (const { channel } of list) {
        const shown = await healthkeep(['ledger', 'inspect', channel, '--json', '--blocks', raw, '--folder', network]);
        writeFileSync(join(raw, `${channel}.json`), shown.out);
      }
      const { code, lines } = await java('BlockCheck', raw);
      console.info(lines.join('\n'));
      expect([code, lines.at(-1)]).toEqual([0, `${list.length} passed, 0 failed`]);
      expect(list.length).toBeGreaterThanOrEqual(5);
    }, 120_000);
  });
}

/** Channels with every verdict that honest and dishonest clients can bring about, as raw blocks and as our command shows them. */
async function everyVerdict(out: string): Promise<void> {
  const served = await serveTestNetwork();
  const { network } = served;
  const l = createRunner(network.harness(network.ledger.transport()));
  const endorse = (channel: string, list: readonly Step[], options: Record<string, unknown> = {}) => served.probe(network.orgs.a.client, channel).newProposal('run', { arguments: [steps(...list)], ...options }).endorse();
  try {
    await l.submit('a', 'solo', [['put', 'k', 'x'], ['event', 'e', 'payload'], ['put', 'ghost.0', 'x']]);
    const [one, two] = [await endorse('solo', [['add', 'count', 1]]), await endorse('solo', [['add', 'count', 1]])];
    const [range, inside] = [await endorse('solo', [['rangeKeys', 'ghost.', 'ghost.~'], ['put', 'seen', 'x']]), await endorse('solo', [['put', 'ghost.1', 'x']])];
    for (const transaction of [one, two, one, inside, range]) await (await transaction.submit()).getStatus();
    await (await (await endorse('pair', [['put', 'half', 'x']], { endorsingOrganizations: ['OrgA'] })).submit()).getStatus();
    for (const channel of ['pair', 'either'] as const) {
      await l.submit('a', channel, [['put', 'owned', 'x'], ['setPolicy', 'owned', ['OrgB']]]);
      await l.submit('a', channel, [['put', 'owned', 'y']]);
      await l.submit('a', channel, [['putPrivate', 'both', 'secret', 'word']], { word: 'quiet' });
      await l.submit('a', channel, [['purge', 'both', 'secret']]);
    }
    await (await (await endorse('either', [['put', 'owned', 'z']], { endorsingOrganizations: ['OrgA'] })).submit()).getStatus();
    await Promise.all(Array.from({ length: 20 }, (_, index) => l.submit('a', 'either', [['put', `many-${index}`, 'x'], ['get', 'owned']])));
    const victim = await network.orgs.a.issue('victim', 'client');
    const crl = await network.orgs.a.ca.issueCrl([{ certificate: victim.certificate, at: systemClock.now() }], systemClock.now());
    await network.ledger.updateCrl({ channel: 'pair', mspId: 'OrgA', crl, signer: network.orgs.a.admin.signer });
    await l.submit('a', 'pair', [['delete', 'owned']]);
    for (const channel of channels) await writeChannel(network, channel, out);
  } finally {
    await served.close();
  }
}

async function writeChannel(network: TestNetwork, channel: ChannelName, out: string): Promise<void> {
  const { client } = network.harness(network.ledger.transport());
  const stop = new AbortController();
  const facts: unknown[] = [];
  let before: Uint8Array | undefined;
  for await (const { number, bytes } of client.blocks({ channel, startBlock: 0, signer: network.orgs[channel === 'theirs' ? 'b' : 'a'].peer.signer, signal: stop.signal })) {
    writeFileSync(join(out, `${channel}-${String(number).padStart(6, '0')}.block`), bytes);
    const report = examineBlock(bytes, before);
    before = report.headerHash;
    facts.push(factsOf(report));
    if (number === network.ledger.height(channel) - 1) break;
  }
  stop.abort();
  writeFileSync(join(out, `${channel}.json`), JSON.stringify({ channel, blocks: facts }));
}
