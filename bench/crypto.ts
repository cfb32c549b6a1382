/**
 * What the primitives cost on this machine, one thread: `node bench/crypto.ts [--milliseconds 400] [--json]`.
 * The last rows are what a hospital pays per record and per delivery at ingest (docs/protocol.md section 2), database and ledger not included.
 */
import { parseArgs } from 'node:util';
import { sealTo, openFrom, generateHpkeKeyPair } from '#crypto/hpke.ts';
import { openWith, sealWith } from '#crypto/aead.ts';
import { decryptBody, encryptBody } from '#crypto/cobblestone.ts';
import { commit, statement } from '#crypto/commitment.ts';
import { hkdfSha256, hmacSha256, sha256 } from '#crypto/digest.ts';
import { signRequest, verifyRequest } from '#crypto/http-signature.ts';
import { generateSigningKey, signLowS, spki, verifyDer } from '#crypto/keys.ts';
import { appendLeaf, inclusionPath, leafHash, memoryNodes, rootAt, verifyInclusion } from '#crypto/merkle.ts';
import { createAuthority, createCsr, readCertificate, readCsr } from '#crypto/x509.ts';
import { concat, utf8 } from '#base/bytes.ts';

const { values } = parseArgs({ options: { milliseconds: { type: 'string', default: '400' }, json: { type: 'boolean', default: false } } });
const budgetMs = Number(values.milliseconds);
const random = { bytes: (length: number) => crypto.getRandomValues(new Uint8Array(length)) };
const clock = { now: () => Date.now() };

interface Row {
  readonly name: string;
  readonly perSecond: number;
  readonly microseconds: number;
  readonly cpuMicroseconds: number;
}
const rows: Row[] = [];

async function measure(name: string, run: (turn: number) => unknown): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await run(turn);
  const cpuBefore = process.cpuUsage();
  const start = performance.now();
  let turns = 0;
  let elapsed = 0;
  for (; elapsed < budgetMs; elapsed = performance.now() - start) for (let batch = 0; batch < 10; batch++, turns++) await run(turns);
  const cpu = process.cpuUsage(cpuBefore);
  rows.push({ name, perSecond: (turns / elapsed) * 1_000, microseconds: (elapsed * 1_000) / turns, cpuMicroseconds: (cpu.user + cpu.system) / turns });
}

const keys = await generateSigningKey();
const key = random.bytes(32);
const record = random.bytes(1_024);
const sealed = await sealWith(key, record, utf8('aad'), random);
const context = utf8('healthkeep/v1/record|HO-east|AAAAAAAAAAAAAAAAAAAAAA');
const body = await encryptBody({ key, context, plaintext: record, random });
const large = new Uint8Array(1 << 20).map((_, at) => at * 31);
const largeBody = await encryptBody({ key, context, plaintext: large, random });
const publicSpki = await spki(keys.publicKey);
const signature = await signLowS(keys.privateKey, record);
const hpke = await generateHpkeKeyPair();
const wrap = { recipientPublicKey: hpke.publicKey, info: utf8('healthkeep/v1/bench'), aad: utf8('record'), plaintext: random.bytes(64) };
const envelope = await sealTo(wrap);
const ca = await createAuthority({ org: 'HO-bench', commonName: 'bench root', clock });
const certificate = await ca.issue({ commonName: 'bench', organizationalUnit: 'client', attributes: { 'hk.role': 'system' }, publicKey: keys.publicKey, notBefore: clock.now(), days: 30 });
const signer = { certificate, sign: (message: Uint8Array) => signLowS(keys.privateKey, message), clock, random };
const csr = await createCsr({ commonName: 'bench', keyPair: keys });
const nodes = memoryNodes();
let size = 0;
for (; size < 100_000; ) size = appendLeaf(nodes, size, leafHash(utf8(String(size))));
const root = rootAt(nodes, size);

await measure('SHA-256, 1 KiB', () => sha256(record));
await measure('HMAC-SHA-256, 1 KiB', () => hmacSha256(key, record));
await measure('HKDF-SHA-256, 32 bytes', () => hkdfSha256(key, context, 32));
await measure('AES-256-GCM seal, 1 KiB', () => sealWith(key, record, context, random));
await measure('AES-256-GCM open, 1 KiB', () => openWith(key, sealed, utf8('aad')));
await measure('P-256 key pair', () => generateSigningKey());
await measure('P-256 sign (low-S DER)', () => signLowS(keys.privateKey, record));
await measure('P-256 verify', () => verifyDer(publicSpki, record, signature));
await measure('Cobblestone-256 encrypt, 1 KiB', () => encryptBody({ key, context, plaintext: record, random }));
await measure('Cobblestone-256 decrypt, 1 KiB', () => decryptBody({ key, context, ciphertext: body }));
await measure('Cobblestone-256 encrypt, 1 MiB', () => encryptBody({ key, context, plaintext: large, random }));
await measure('Cobblestone-256 decrypt, 1 MiB', () => decryptBody({ key, context, ciphertext: largeBody }));
await measure('HPKE X-Wing seal, 64 bytes', () => sealTo(wrap));
await measure('HPKE X-Wing open, 64 bytes', () => openFrom({ ...wrap, privateKey: hpke.privateKey, envelope }));
await measure('certificate request: make', () => createCsr({ commonName: 'bench', keyPair: keys }));
await measure('certificate request: check', () => readCsr(csr));
await measure('certificate: issue', () => ca.issue({ commonName: 'bench', organizationalUnit: 'client', attributes: { 'hk.role': 'person' }, publicKey: publicSpki, notBefore: clock.now(), days: 30 }));
await measure('certificate: read (not cached)', (turn) => readCertificate(`${certificate}${'\n'.repeat(turn % 20_000)}`));
await measure('HTTP request: sign', () => signRequest(new Request('http://bench.example/v1/x', { method: 'POST', body: record }), signer));
const signedRequest = await signRequest(new Request('http://bench.example/v1/x', { method: 'POST', body: record }), signer);
await measure('HTTP request: verify', () => verifyRequest(signedRequest, record, { clock }));
await measure('Merkle: append a leaf', (turn) => (size = appendLeaf(nodes, size, leafHash(utf8(String(turn))))));
await measure('Merkle: prove and verify in 100,000', (turn) => {
  const index = turn % 100_000;
  verifyInclusion({ leaf: nodes.get(0, index) as Uint8Array, index, size: 100_000, path: inclusionPath(nodes, index, 100_000), root });
});
await measure('INGEST: one record of 1 KiB', async () => {
  const [dataKey, verificationKey] = [random.bytes(32), random.bytes(32)];
  const contentDigest = sha256(record);
  const commitment = commit({ verificationKey, domain: 'healthkeep/v1/commitment', contentDigest, metadata: { class: 'clinical', keeper: 'HO-east', record: 'AAAAAAAAAAAAAAAAAAAAAA', resourceType: 'Observation', subject: 'AAAAAAAAAAAAAAAAAAAAAA' } });
  await signLowS(keys.privateKey, statement('healthkeep/v1/anchor', 'HO-east', 'AAAAAAAAAAAAAAAAAAAAAA', 'AAAAAAAAAAAAAAAAAAAAAA', commitment));
  await encryptBody({ key: dataKey, context, plaintext: record, random });
  await sealWith(key, concat(dataKey, verificationKey), context, random);
  await sealWith(key, record.subarray(0, 700), context, random);
});
await measure('INGEST: one delivery (two envelopes)', () => Promise.all([sealTo(wrap), sealTo(wrap)]));

if (values.json) console.log(JSON.stringify(rows));
else for (const row of rows) console.log(`${row.name.padEnd(38)} ${Math.round(row.perSecond).toLocaleString('en').padStart(10)}/s ${row.microseconds.toFixed(1).padStart(9)} µs ${row.cpuMicroseconds.toFixed(1).padStart(9)} µs CPU`);
