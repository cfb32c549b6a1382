/** `healthkeep chaincode serve` as a process of its own, behind mutual TLS, with a ledger's peers dialling in. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLog } from '#base/ports.ts';
import { uicClient } from '#contracts/client.ts';
import { codeOf, digestOf, idOf, PEOPLE, sealedOf, startNetwork, type Network } from '#contracts/network.test-kit.ts';
import { freePort, PACKAGE_ID } from '#ledger/conformance/external.test-kit.ts';
import { createTestOrg, type TestIdentity, type TestOrg } from '#ledger/consortium.test-kit.ts';
import { externalChaincode, type ExternalChaincode } from '#ledger/embedded/external-chaincode.ts';
import type { ExternalTls } from '#ledger/embedded/external-stream.ts';
import type { IndexTag } from '#model/ids.ts';
import { INDEX_ENTRY_BYTES } from '#model/messages.ts';
import { realScheduler, systemClock } from '#sim/seams.ts';
import { main } from './main.ts';

const pemKey = ({ privateKeyPkcs8 }: TestIdentity): string => `-----BEGIN PRIVATE KEY-----\n${Buffer.from(privateKeyPkcs8).toString('base64')}\n-----END PRIVATE KEY-----\n`;
const folder = mkdtempSync(join(tmpdir(), 'healthkeep-chaincode-'));
const file = (name: string, content: string): string => {
  const path = join(folder, name);
  writeFileSync(path, content, { mode: 0o600 });
  return path;
};

let site: TestOrg;
let network: Network;
let serving: ChildProcess;
let address: string;
const attached: ExternalChaincode[] = [];

async function attach(tls: ExternalTls): Promise<void> {
  const chaincode = externalChaincode({ address, packageId: PACKAGE_ID, tls, scheduler: realScheduler, log: silentLog });
  attached.push(chaincode);
  await network.embedded.deploy({ channel: 'uic', name: 'uic', chaincode, needed: 1 });
}

const put = async (): Promise<string> => codeOf(uicClient(network.ledger, await network.signer(PEOPLE, 'person')).submit('putEntry', { tag: digestOf(idOf(`tag ${attached.length}`)) as unknown as IndexTag, sealed: sealedOf(INDEX_ENTRY_BYTES) }));

beforeAll(async () => {
  site = await createTestOrg('site', systemClock);
  network = await startNetwork();
  address = `127.0.0.1:${await freePort()}`;
  const tls = ['--tls-certificate', file('server.pem', site.peer.certificate), '--tls-key', file('server.key.pem', pemKey(site.peer)), '--tls-client-root', file('root.pem', site.ca.certificate)];
  serving = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', fileURLToPath(new URL('./main.ts', import.meta.url)), 'chaincode', 'serve', '--channel-kind', 'uic', '--address', address, '--json', ...tls], { stdio: ['ignore', 'pipe', 'ignore'], env: { ...process.env, CORE_CHAINCODE_ID: PACKAGE_ID } });
  const [line] = (await once(serving.stdout ?? process.stdin, 'data')) as [Buffer];
  expect(JSON.parse(line.toString())).toEqual({ kind: 'uic', address, id: PACKAGE_ID });
});

afterAll(async () => {
  for (const contract of attached) contract.close();
  await network.close();
  serving.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

describe('healthkeep chaincode serve', () => {
  it('serves a contract to peers that show their certificate', async () => {
    await attach({ rootCertificate: site.ca.certificate, serverName: 'peer', certificate: site.client.certificate, privateKey: pemKey(site.client) });
    expect(await put()).toBe('allowed');
  });

  it('serves nobody who shows none, or one of another authority', async () => {
    await attach({ rootCertificate: site.ca.certificate, serverName: 'peer' });
    expect(await put()).toBe('LEDGER_CONTRACT_UNREACHABLE');
    const stranger = await createTestOrg('stranger', systemClock);
    await attach({ rootCertificate: site.ca.certificate, serverName: 'peer', certificate: stranger.client.certificate, privateKey: pemKey(stranger.client) });
    expect(await put()).toBe('LEDGER_CONTRACT_UNREACHABLE');
  });

  it('is not talked to where it shows the certificate of another authority', async () => {
    const stranger = await createTestOrg('stranger', systemClock);
    await attach({ rootCertificate: stranger.ca.certificate, serverName: 'peer', certificate: site.client.certificate, privateKey: pemKey(site.client) });
    expect(await put()).toBe('LEDGER_CONTRACT_UNREACHABLE');
  });

  it('ends in order when it is told to', async () => {
    serving.kill('SIGTERM');
    expect(await once(serving, 'exit')).toEqual([0, null]);
  });

  it.each([
    [['--channel-kind', 'xyz', '--address', 'x:1', '--id', PACKAGE_ID], 'USAGE_OPTION'],
    [['--channel-kind', 'uic', '--id', PACKAGE_ID], 'USAGE_OPTION'],
    [['--channel-kind', 'uic', '--address', 'x:1', '--id', PACKAGE_ID, '--tls-key', 'x'], 'USAGE_OPTION'],
    [['--channel-kind', 'uic', '--address', 'x:1', '--id', 'uic'], 'LEDGER_CHAINCODE_ID'],
  ])('says what is wrong with %j', async (words, code) => {
    let err = '';
    await main(['chaincode', 'serve', ...words, '--json'], { out: () => undefined, err: (text) => (err += text), color: false }, {}, new AbortController().signal);
    expect(err).toContain(code);
  });
});
