/** The harness for Fabric networks, tried on the embedded ledger served over TLS: the suite reads everything it needs from a description on disk, keys and certificates included. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportPrivateKey, generateSigningKey } from '#crypto/keys.ts';
import { describe, expect, it } from 'vitest';
import { systemClock } from '#sim/seams.ts';
import { createTestOrg, type TestIdentity, type TestOrg } from '../consortium.test-kit.ts';
import { serveGrpc } from '../embedded/grpc-server.ts';
import type { FabricNetworkFile } from '../fabric/network-file.ts';
import { conformance } from './suite.ts';
import { openFabricHarness } from './fabric.test-kit.ts';
import { openTestNetwork, type TestNetwork } from './embedded.test-kit.ts';
import { channels } from './harness.ts';

const DAY_MS = 86_400_000;
const pem = (label: string, bytes: Uint8Array): string => `-----BEGIN ${label}-----\n${Buffer.from(bytes).toString('base64').replace(/(.{64})/g, '$1\n').trimEnd()}\n-----END ${label}-----\n`;

/** Writes an identity's two files; paths relative to the folder. */
function keep(folder: string, org: string, name: string, { certificate, privateKeyPkcs8 }: Pick<TestIdentity, 'certificate' | 'privateKeyPkcs8'>): { certificate: string; key: string } {
  mkdirSync(join(folder, org), { recursive: true });
  writeFileSync(join(folder, org, `${name}.pem`), certificate);
  writeFileSync(join(folder, org, `${name}.key.pem`), pem('PRIVATE KEY', privateKeyPkcs8), { mode: 0o600 });
  return { certificate: `${org}/${name}.pem`, key: `${org}/${name}.key.pem` };
}

async function expiredOf(org: TestOrg): Promise<Pick<TestIdentity, 'certificate' | 'privateKeyPkcs8'>> {
  const pair = await generateSigningKey();
  return { certificate: await org.ca.issue({ commonName: 'late', organizationalUnit: 'client', attributes: {}, publicKey: pair.publicKey, notBefore: systemClock.now() - 10 * DAY_MS, days: 9 }), privateKeyPkcs8: await exportPrivateKey(pair.privateKey) };
}

async function describeNetwork(folder: string, { network, site, port }: { readonly network: TestNetwork; readonly site: TestOrg; readonly port: number }): Promise<string> {
  const { a, b, c } = network.orgs;
  writeFileSync(join(folder, 'tls-root.pem'), site.ca.certificate);
  const organisations = [a, b, c].map((org) => {
    const users = { system: keep(folder, org.mspId, 'system', org.client), admin: keep(folder, org.mspId, 'admin', org.admin), peer: keep(folder, org.mspId, 'peer', org.peer) };
    writeFileSync(join(folder, org.mspId, 'root.pem'), org.ca.certificate);
    return { mspId: org.mspId, rootCertificate: `${org.mspId}/root.pem`, peer: { address: `127.0.0.1:${port}`, tlsRootCertificate: 'tls-root.pem', serverName: 'peer' }, users };
  });
  Object.assign(organisations[0]?.users ?? {}, { expired: keep(folder, a.mspId, 'expired', await expiredOf(a)) });
  const members = { solo: [a], pair: [a, b], either: [a, b], theirs: [b] };
  const file: FabricNetworkFile = { version: 1, organisations, orderers: [], channels: channels.map((name) => ({ name, members: members[name].map(({ mspId }) => mspId), contracts: ['probe', 'helper'] })) };
  const path = join(folder, 'network.json');
  writeFileSync(path, JSON.stringify(file, undefined, 2));
  return path;
}

conformance('the embedded ledger over TLS, from a network\'s description', async () => {
  const network = await openTestNetwork({ clock: systemClock });
  const site = await createTestOrg('site', systemClock);
  const server = await serveGrpc({ transport: network.ledger.transport(), host: '127.0.0.1', port: 0, tls: { certificate: site.peer.certificate, privateKey: pem('PRIVATE KEY', site.peer.privateKeyPkcs8) } });
  const folder = mkdtempSync(join(tmpdir(), 'healthkeep-network-'));
  const { harness, close } = openFabricHarness(await describeNetwork(folder, { network, site, port: server.port }));
  return {
    harness,
    close: async () => {
      await close();
      await server.close();
      await network.ledger.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}, { abilities: ['expiry'] });

describe('a description that does not fit the suite', () => {
  it('is refused with what it lacks', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'healthkeep-network-'));
    const path = join(folder, 'network.json');
    writeFileSync(path, JSON.stringify({ version: 1, organisations: [], orderers: [], channels: [{ name: 'solo', members: [], contracts: ['probe'] }] }));
    expect(() => openFabricHarness(path)).toThrow(expect.objectContaining({ code: 'LEDGER_NETWORK_FILE', details: expect.objectContaining({ why: 'The contract helper is not on channel solo.' }) }));
    rmSync(folder, { recursive: true, force: true });
  });
});
