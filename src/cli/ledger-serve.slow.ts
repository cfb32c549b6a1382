/** `healthkeep ledger serve` as a process of its own, and Fabric's own client, unmodified, as a member's program. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Client, credentials } from '@grpc/grpc-js';
import { connect, hash, type Gateway } from '@hyperledger/fabric-gateway';
import { canonicalJson } from '#base/canonical-json.ts';
import type { LedgerSigner } from '#ledger/client.ts';
import type { OrgId } from '#model/ids.ts';
import { openOrgIdentity, type KeptOrgIdentity } from '#org/identity.ts';
import { DEMO_MEMBERS } from '#sim/members.ts';
import { bringUp } from '#sim/move.test-kit.ts';
import { systemClock } from '#sim/seams.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { writeNetworkFile } from './folder.ts';
import { healthkeep, refusalOf, serve, type Serving } from './walk.test-kit.ts';

const scratch = mkdtempSync(join(tmpdir(), 'healthkeep-serve-'));
const folder = join(scratch, 'network');
const org = 'HO-east' as OrgId;
const closing: { close(): void }[] = [];
let identity: KeptOrgIdentity;
let serving: Serving | undefined;

beforeAll(async () => {
  await bringUp(folder);
  const nowhere = 'http://127.0.0.1:0';
  writeNetworkFile(folder, { version: 1, ledger: nowhere, members: Object.fromEntries(DEMO_MEMBERS.map((member) => [member.org, nowhere])) as never, people: 0 });
  const store = openSqliteKeyValueStore(join(folder, 'orgs', org, 'keys.sqlite'));
  identity = await openOrgIdentity({ org, store, clock: systemClock });
  await store.close();
}, 120_000);
afterAll(async () => {
  for (const one of closing) one.close();
  await serving?.stop();
  rmSync(scratch, { recursive: true, force: true });
});

it('plaintext beyond this machine is refused before anything is served', async () => {
  const refused = refusalOf(await healthkeep(['ledger', 'serve', '--json', '--folder', folder, '--port', '0', '--grpc-port', '0', '--grpc-host', '0.0.0.0']));
  expect(refused).toMatchObject({ exit: 3, code: 'LEDGER_TLS_NEEDED', out: '' });
}, 60_000);

it('a member\'s program evaluates, submits, listens and reads blocks over TLS', async () => {
  serving = await serve(['ledger', 'serve', '--json', '--folder', folder, '--port', '0', '--grpc-port', '0', '--tls'], /\n/);
  const { grpc, tlsRoot } = JSON.parse(serving.out()) as { grpc: string; tlsRoot: string };
  const client = new Client(grpc, credentials.createSsl(readFileSync(tlsRoot)), { 'grpc.ssl_target_name_override': 'localhost' });
  const enter = (signer: LedgerSigner): Gateway => {
    const gateway = connect({ client, identity: { mspId: signer.mspId, credentials: Buffer.from(signer.certificate) }, hash: hash.none, signer: (message) => signer.sign(message) });
    closing.unshift(gateway);
    return gateway;
  };
  closing.push(client);
  const contract = enter(identity.system).getNetwork('con').getContract('con');
  const { members } = JSON.parse(Buffer.from(await contract.evaluateTransaction('getMembers', '{}')).toString()) as { members: readonly { org: string; name: string; url: string; hpkePublicKey: string }[] };
  expect(members.map((member) => member.org).sort()).toEqual(DEMO_MEMBERS.map((member) => member.org).sort());
  const own = members.find((member) => member.org === org);
  await contract.submitTransaction('updateMember', canonicalJson({ name: 'East, renamed', url: own?.url ?? '', hpkePublicKey: own?.hpkePublicKey ?? '' }));
  expect(Buffer.from(await contract.evaluateTransaction('getMembers', '{}')).toString()).toContain('East, renamed');
  const blocks = await enter(identity.peer).getNetwork('con').getBlockEvents({ startBlock: 0n });
  for await (const block of blocks) {
    expect(block.getHeader()?.getNumber()).toBe(0);
    break;
  }
  blocks.close();
  await expect(enter(identity.system).getNetwork('hdc-west').getContract('hdc').evaluateTransaction('getAnchors', '{"ids":[]}')).rejects.toMatchObject({ code: 9, message: expect.stringContaining('access denied: channel [hdc-west] creator org unknown') });
}, 120_000);
