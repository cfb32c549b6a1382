/**
 * Ingest to anchored: resources per second through the hospital's whole pipeline (read, validate, seal, store, anchor,
 * durable), as a ratio to the bare cost of its cryptographic primitives and syncs, and memory over time. JSON lines.
 *
 *   node bench/ingest.ts [--resources 20000] [--per-bundle 200] [--at-once 4]
 */
import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { sealWith } from '#crypto/aead.ts';
import { encryptBody } from '#crypto/cobblestone.ts';
import { commit } from '#crypto/commitment.ts';
import { hmacSha256, sha256 } from '#crypto/digest.ts';
import { generateHpkeKeyPair, sealTo } from '#crypto/hpke.ts';
import { generateSigningKey, signLowS } from '#crypto/keys.ts';
import { openTestNetwork, bundleOf } from '#org/hospital/hospital.test-kit.ts';
import { systemRandom } from '#sim/seams.ts';

const { values } = parseArgs({ options: { resources: { type: 'string', default: '20000' }, 'per-bundle': { type: 'string', default: '200' }, 'at-once': { type: 'string', default: '4' } } });
const resources = Number(values.resources);
const perBundle = Number(values['per-bundle']);
const atOnce = Number(values['at-once']);
const print = (line: Readonly<Record<string, unknown>>): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
const rssMiB = (): number => Math.round(process.memoryUsage().rss / 1_048_576);
/** Live JavaScript memory; exact when the process was started with --expose-gc. */
const heapMiB = (): number => {
  (globalThis as { gc?: () => void }).gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return Math.round((heapUsed + external) / 1_048_576);
};

/** Seconds one resource costs if nothing but its cryptography and its share of the syncs were done. */
async function bareSeconds(bytes: Uint8Array): Promise<{ readonly crypto: number; readonly sync: number }> {
  const rounds = 1_000;
  const key = systemRandom.bytes(32);
  const { privateKey } = await generateSigningKey();
  const one = async (): Promise<void> => {
    const digest = sha256(bytes);
    hmacSha256(key, bytes);
    const commitment = commit({ verificationKey: key, domain: 'bench', contentDigest: digest, metadata: { record: 'r' } });
    await signLowS(privateKey, commitment);
    await encryptBody({ key, context: commitment, plaintext: bytes, random: systemRandom });
    await sealWith(key, systemRandom.bytes(64), commitment, systemRandom);
    await sealWith(key, systemRandom.bytes(1_000), commitment, systemRandom);
  };
  for (let at = 0; at < 200; at++) await one();
  const started = performance.now();
  for (let at = 0; at < rounds; at++) await one();
  const perRecord = (performance.now() - started) / 1_000 / rounds;
  const vault = await generateHpkeKeyPair();
  const sealing = performance.now();
  for (let at = 0; at < 50; at++) await sealTo({ recipientPublicKey: vault.publicKey, info: key, aad: key, plaintext: key });
  const perDelivery = (performance.now() - sealing) / 1_000 / 50;
  // Per bundle: bodies, rows, block, anchored mark.
  return { crypto: perRecord + perDelivery / perBundle, sync: (4 * syncSeconds()) / perBundle };
}

function syncSeconds(): number {
  const folder = mkdtempSync(join(tmpdir(), 'healthkeep-sync-'));
  const file = openSync(join(folder, 'file'), 'w');
  const started = performance.now();
  for (let at = 0; at < 50; at++) {
    writeSync(file, new Uint8Array(4_096));
    fsyncSync(file);
  }
  const seconds = (performance.now() - started) / 1_000 / 50;
  closeSync(file);
  rmSync(folder, { recursive: true });
  return seconds;
}

const network = await openTestNetwork();
const { hospital } = network.keeper;
await hospital.ingest(bundleOf('warm-up', 200));
print({ kind: 'start', resources, perBundle, atOnce, rssMiB: rssMiB() });

let next = 0;
let done = 0;
let printed = 0;
let cpuBefore = process.cpuUsage();
const bundles = Math.ceil(resources / perBundle);
const started = performance.now();
const worker = async (): Promise<void> => {
  while (next < bundles) {
    const report = await hospital.ingest(bundleOf(`patient-${next++}`, perBundle - 1));
    done += report.accepted;
    if (done - printed >= resources / 20) {
      const { user, system } = process.cpuUsage(cpuBefore);
      const cpuMicroseconds = Math.round((user + system) / (done - printed));
      printed = done;
      cpuBefore = process.cpuUsage();
      print({ kind: 'progress', resources: done, seconds: round((performance.now() - started) / 1_000), perSecond: Math.round(done / ((performance.now() - started) / 1_000)), cpuMicroseconds, rssMiB: rssMiB(), heapMiB: heapMiB() });
    }
  }
};
await Promise.all(Array.from({ length: atOnce }, worker));
const seconds = (performance.now() - started) / 1_000;
const sample = Buffer.from(bundleOf('sample', 1).subarray(200));
const bare = await bareSeconds(sample);
const checking = performance.now();
const check = await hospital.tamperCheck();
const checkSeconds = (performance.now() - checking) / 1_000;
const restarting = performance.now();
await network.restart();
const restartSeconds = (performance.now() - restarting) / 1_000;
print({
  kind: 'result', resources: done, seconds: round(seconds), perSecond: Math.round(done / seconds), microsecondsPerResource: Math.round((seconds / done) * 1e6),
  bareMicroseconds: { crypto: Math.round(bare.crypto * 1e6), sync: Math.round(bare.sync * 1e6) }, ratioToBare: round(seconds / done / (bare.crypto + bare.sync)), rssMiB: rssMiB(),
  tamperCheck: { checked: check.checked, findings: check.changed.length + check.missing.length + check.extra.length, perSecond: Math.round(check.checked / checkSeconds) },
  restartSeconds: round(restartSeconds),
});
await network.close();

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
