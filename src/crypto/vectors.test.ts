/** Our own vectors (vectors/README.md), made by another implementation in another language, and published ones where the data folder is at hand. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import * as hpke from 'hpke';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex, type Bytes } from '#base/bytes.ts';
import { verifyConsistency, verifyInclusion } from './merkle.ts';
import { ownVectors, type Vectors } from './own-vectors.test-kit.ts';
import { fromBase64 } from './pem.ts';

const VECTORS = join(import.meta.dirname, '../../vectors');
const own = (name: string): Vectors => JSON.parse(readFileSync(join(VECTORS, name), 'utf8')) as Vectors;

describe('own vectors', () => {
  it.each(ownVectors)('$file: $name', ({ file, run }) => run(own(file)));

  it('are all run', () => {
    expect(new Set(ownVectors.map(({ file }) => file))).toEqual(new Set(readdirSync(VECTORS).filter((name) => name.endsWith('.json'))));
  });
});

const DATA = process.env['HEALTHKEEP_DATA'] ?? '../shared/data';
const unzipped = (path: string): readonly Vectors[] => JSON.parse(gunzipSync(readFileSync(join(DATA, path))).toString()) as readonly Vectors[];

const KEMS = { 0x0010: hpke.KEM_DHKEM_P256_HKDF_SHA256, 0x0020: hpke.KEM_DHKEM_X25519_HKDF_SHA256 } as const;
const AEADS = { 1: hpke.AEAD_AES_128_GCM, 2: hpke.AEAD_AES_256_GCM } as const;

async function checkHpkeVector(vector: Vectors): Promise<void> {
  const suite = new hpke.CipherSuite(KEMS[vector['kem_id'] as keyof typeof KEMS], hpke.KDF_HKDF_SHA256, AEADS[vector['aead_id'] as keyof typeof AEADS]);
  const pair = await suite.DeriveKeyPair(fromHex(vector['ikmR']), true);
  expect(toHex(await suite.SerializePublicKey(pair.publicKey))).toBe(vector['pkRm']);
  const psk = vector['mode'] === 1 ? { psk: fromHex(vector['psk']), pskId: fromHex(vector['psk_id']) } : {};
  const open = async (enc: Uint8Array) => suite.SetupRecipient(pair, enc, { info: fromHex(vector['info']), ...psk });
  const context = await open(fromHex(vector['enc']));
  for (const { aad, ct, pt } of vector['encryptions'] as readonly Vectors[]) expect(toHex(await context.Open(fromHex(ct!), fromHex(aad!)))).toBe(pt);
  for (const { exporter_context, L, exported_value } of vector['exports'] as readonly Vectors[]) expect(toHex(await context.Export(fromHex(exporter_context!), Number(L)))).toBe(exported_value);
  const first = (vector['encryptions'] as readonly Vectors[])[0] as Vectors;
  const flipped = (hex: string): Uint8Array => Uint8Array.from(fromHex(hex), (byte, at) => (at === 0 ? byte ^ 1 : byte));
  await expect((await open(fromHex(vector['enc']))).Open(flipped(first['ct']), fromHex(first['aad']))).rejects.toThrow();
  await expect((await open(fromHex(vector['enc']))).Open(fromHex(first['ct']), flipped(first['aad']))).rejects.toThrow();
  await expect(open(Uint8Array.from(fromHex(vector['enc']), (byte, at) => (at === 8 ? byte ^ 1 : byte))).then((other) => other.Open(fromHex(first['ct']), fromHex(first['aad'])))).rejects.toThrow();
}

describe('the HPKE library on RFC 9180', () => {
  it('opens appendix A.1.1 (X25519, HKDF-SHA256, AES-128-GCM, base)', async () => {
    await checkHpkeVector({
      mode: 0, kem_id: 0x0020, aead_id: 1, info: '4f6465206f6e2061204772656369616e2055726e', ikmR: '6db9df30aa07dd42ee5e8181afdb977e538f5e1fec8a06223f33f7013e525037',
      pkRm: '3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d', enc: '37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431',
      encryptions: [{ aad: '436f756e742d30', ct: 'f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a96d8770ac83d07bea87e13c512a', pt: '4265617574792069732074727574682c20747275746820626561757479' }],
      exports: [],
    });
  });

  it.skipIf(!existsSync(join(DATA, 'hpke')))('opens all published vectors of base and PSK mode', async () => {
    const vectors = unzipped('hpke/rfc9180-aes-gcm.json.gz').filter((vector) => vector['mode'] < 2);
    expect(vectors).toHaveLength(8);
    for (const vector of vectors) await checkHpkeVector(vector);
  }, 60_000);
});

describe.skipIf(!existsSync(join(DATA, 'crypto/merkle')))('published Merkle proofs', () => {
  const hash = (text: string | null): Bytes => fromBase64(text ?? '') ?? new Uint8Array(0);

  it('inclusion: 98 cases answer as they should', () => {
    for (const { leafIdx, treeSize, root, leafHash: leaf, proof, wantErr, desc } of unzipped('crypto/merkle/inclusion.json.gz')) {
      expect(verifyInclusion({ leaf: hash(leaf), index: leafIdx, size: treeSize, path: (proof ?? []).map(hash), root: hash(root) }), desc).toBe(!wantErr);
    }
  });

  it('consistency: 98 cases answer as they should', () => {
    for (const { size1, size2, root1, root2, proof, wantErr, desc, path } of unzipped('crypto/merkle/consistency.json.gz')) {
      expect(verifyConsistency({ size1, size2, root1: hash(root1), root2: hash(root2), path: (proof ?? []).map(hash) }), `${path} ${desc}`).toBe(!wantErr);
    }
  });
});
