/**
 * Our own vectors (vectors/README.md) as cases that run anywhere: under vitest in Node, and in a page. Each is given its
 * file's content and throws when this program and the vectors disagree.
 */
import { fromBase64url, fromHex, toBase64url, toHex, utf8, type Bytes } from '#base/bytes.ts';
import { canonicalJson, type Json } from '#base/canonical-json.ts';
import { noteSignatures, noteSigners, parseCheckpoint, verifyNoteSignature, writeCheckpoint } from './checkpoint.ts';
import { decryptBody, encryptBody } from './cobblestone.ts';
import { commit, saltedDigest, saltedList, statement } from './commitment.ts';
import { deriveKey, epochKey, numbered, pseudonym } from './derive.ts';
import { sha256 } from './digest.ts';
import { compareNotes } from './growth.ts';
import { openFrom } from './hpke.ts';
import { verifyRequest } from './http-signature.ts';
import { importPrivateKey, signLowS, verifyDer } from './keys.ts';
import { appendLeaf, consistencyPath, encodeLeaf, inclusionPath, leafHash, memoryNodes, rootAt, verifyConsistency, verifyInclusion } from './merkle.ts';
import { verifySigned } from './signed-json.ts';
import { openAuthority, readCertificate, readCrl, readCsr, verifyChain, verifyCrl } from './x509.ts';

/** Plain JSON of known shape. */
export type Vectors = Record<string, any>;

export interface VectorCase {
  readonly file: string;
  readonly name: string;
  readonly run: (vectors: Vectors) => Promise<void>;
}

const base64url = (value: Bytes): string => toBase64url(value);

export const ownVectors: readonly VectorCase[] = [
  {
    file: 'cobblestone-256.json',
    name: 'Cobblestone-256: same ciphertext for the same salt, and back',
    async run(vectors) {
      for (const { key, context, plaintextBytes, plaintextFirst, salt, ciphertext, ciphertextBytes, ciphertextSha256 } of vectors['cases']) {
        const plaintext = Uint8Array.from({ length: plaintextBytes }, (_, at) => (7 * at + plaintextFirst) % 251);
        const bodyKey = { key: fromHex(key), context: fromHex(context) };
        const made = await encryptBody({ ...bodyKey, plaintext, random: { bytes: () => fromHex(salt) } });
        same([made.length, toHex(sha256(made))], [ciphertextBytes, ciphertextSha256]);
        if (ciphertext !== undefined) same(toHex(made), ciphertext);
        same(await decryptBody({ ...bodyKey, ciphertext: made }), plaintext);
      }
    },
  },
  {
    file: 'hpke-envelope.json',
    name: 'HPKE envelopes open',
    async run(vectors) {
      for (const { privateKey, info, aad, plaintext, envelope, envelopeBytes } of vectors['cases']) {
        same(fromBase64url(envelope).length, envelopeBytes);
        const opened = await openFrom({ privateKey: fromBase64url(privateKey), info: fromBase64url(info), aad: fromBase64url(aad), envelope: fromBase64url(envelope) });
        same(base64url(opened), plaintext);
      }
    },
  },
  {
    file: 'commitments.json',
    name: 'commitments, statements and grant digests',
    async run(vectors) {
      const { records, grantDigests, grantLists } = vectors;
      for (const { verificationKey, content, contentDigest, metadata, commitment, anchorStatement } of records) {
        same(base64url(sha256(utf8(content))), contentDigest);
        const made = commit({ verificationKey: fromBase64url(verificationKey), domain: 'healthkeep/v1/commitment', contentDigest: fromBase64url(contentDigest), metadata });
        same(base64url(made), commitment);
        same(base64url(statement('healthkeep/v1/anchor', metadata.keeper, metadata.record, metadata.subject, made)), anchorStatement);
      }
      for (const { salt, payload, digest } of grantDigests) same(base64url(saltedDigest(fromBase64url(salt), utf8(payload))), digest);
      for (const { salt, digests, commitment } of grantLists) same(base64url(saltedList(fromBase64url(salt), digests)), commitment);
    },
  },
  {
    file: 'derived-keys.json',
    name: 'what a device derives',
    async run(vectors) {
      const { rootSecret, uses, index, pairwiseIds } = vectors;
      const root = fromBase64url(rootSecret);
      for (const [use, key] of Object.entries(uses)) same(base64url(deriveKey(root, use, 32)), key);
      for (const { epoch, n, tag, key } of index) {
        const epochs = epochKey(deriveKey(root, 'index', 32), epoch);
        same([base64url(numbered(epochs, 'healthkeep/v1/uic-tag', n)), base64url(numbered(epochs, 'healthkeep/v1/uic-key', n))], [tag, key]);
      }
      for (const [org, id] of Object.entries(pairwiseIds)) same(pseudonym(deriveKey(root, 'pairwise', 32), 'healthkeep/v1/pairwise', org), id);
    },
  },
  {
    file: 'channel-tree.json',
    name: 'the tree of a channel',
    async run(vectors) {
      const { leaves, leafHashes, roots, inclusion, consistency } = vectors;
      const nodes = memoryNodes();
      const hashes = leaves.map((leaf: Vectors) => leafHash(encodeLeaf({ ...(leaf as { block: number; tx: number; namespace: string; key: string }), value: leaf['value'] === null ? null : fromBase64url(leaf['value']) })));
      same(hashes.map(base64url), leafHashes);
      hashes.forEach((hash: Bytes, size: number) => appendLeaf(nodes, size, hash));
      same(roots.map((_: string, size: number) => base64url(rootAt(nodes, size))), roots);
      for (const { index, size, path } of inclusion) {
        same(inclusionPath(nodes, index, size).map(base64url), path);
        same(verifyInclusion({ leaf: hashes[index], index, size, path: path.map(fromBase64url), root: fromBase64url(roots[size]) }), true);
      }
      for (const { size1, size2, path } of consistency) {
        same(consistencyPath(nodes, size1, size2).map(base64url), path);
        same(verifyConsistency({ size1, size2, root1: fromBase64url(roots[size1]), root2: fromBase64url(roots[size2]), path: path.map(fromBase64url) }), true);
      }
    },
  },
  {
    file: 'signed.json',
    name: 'certificates, revocation list and request of another library',
    async run(vectors) {
      const { root, rootPrivateKey, validAt, system, peer, crl, csr, csrCommonName } = vectors;
      const at = Date.parse(validAt);
      const { commonName, organizationalUnit, org, attributes, serialHex, fingerprint } = readCertificate(system.certificate);
      same({ commonName, organizationalUnit, org, attributes, serialHex, fingerprint: base64url(fingerprint) }, {
        commonName: system.commonName, organizationalUnit: system.organizationalUnit, org: system.org, attributes: system.attributes, serialHex: system.serialHex, fingerprint: system.fingerprint,
      });
      same(await verifyChain(system.certificate, root, at), true);
      same(await verifyChain(peer.certificate, root, at), true);
      same(await verifyChain(system.certificate, root, Date.parse('2026-11-19T23:59:59.999Z')), false);
      same(await verifyCrl(crl, root), true);
      same([...readCrl(crl).revoked], [[system.serialHex, Date.parse('2026-11-20T00:00:00Z')]]);
      same((await readCsr(csr)).commonName, csrCommonName);
      const ca = await openAuthority({ org, certificatePem: root, privateKeyPkcs8: fromBase64url(rootPrivateKey) });
      same(await verifyCrl(await ca.issueCrl([], at), root), true);
    },
  },
  {
    file: 'signed.json',
    name: 'signed JSON, a checkpoint and a request',
    async run(vectors) {
      const { root, validAt, system, json, checkpoint, request } = vectors;
      same((await verifySigned(json)).value, JSON.parse(json.payload));
      const { origin, size, height } = checkpoint;
      same(writeCheckpoint({ origin, size, height, root: fromBase64url(checkpoint.root), blockHash: fromBase64url(checkpoint.blockHash) }), checkpoint.text);
      same(base64url(parseCheckpoint(checkpoint.note).root), checkpoint.root);
      same(await verifyNoteSignature(checkpoint.note, { name: 'HO-east', rootCertificate: root, at: Date.parse(validAt) }), true);
      const received = new Request(request.url, { method: request.method, headers: request.headers, body: request.body });
      same(await verifyRequest(received, utf8(request.body), { clock: { now: () => request.created * 1_000 } }), { certificate: system.certificate, nonce: request.nonce, created: request.created });
      const key = await importPrivateKey(fromBase64url(system.privateKey));
      same(await verifyDer(readCertificate(system.certificate).spki, utf8('x'), await signLowS(key, utf8('x'))), true);
    },
  },
  {
    file: 'checkpoints.json',
    name: 'checkpoints, co-signatures, growth and forks',
    async run(vectors) {
      const { members, validAt, checkpoint, note, signedBy, cosignedBy, cosignedAt, growth, forks, noForks } = vectors;
      const { origin, size, height, text } = checkpoint;
      same(writeCheckpoint({ origin, size, height, root: fromBase64url(checkpoint.root), blockHash: fromBase64url(checkpoint.blockHash) }), text);
      const among = members.map(({ org, rootCertificate }: Vectors) => ({ name: org, rootCertificate }));
      const signers = await noteSigners(note, among, Date.parse(validAt));
      same([signers.trees, signers.growth], [[signedBy], [cosignedBy]]);
      same(noteSignatures(note).find(({ name }) => name === cosignedBy)?.cosignedAt, cosignedAt);
      for (const { size1, size2, root1, root2, path } of growth) same(verifyConsistency({ size1, size2, root1: fromBase64url(root1), root2: fromBase64url(root2), path: path.map(fromBase64url) }), true);
      const verdictOf = async ({ notes, beginning }: Vectors): Promise<string> =>
        (await compareNotes(notes[0], notes[1], async function* () {
          if (beginning !== null) yield { root: fromBase64url(beginning.root), path: beginning.path.map(fromBase64url) };
        })).verdict;
      for (const { evidence, signedBoth } of forks) {
        same(await verdictOf(evidence), 'fork');
        const [one, other] = await Promise.all(evidence.notes.map((signed: string) => noteSigners(signed, among)));
        same([...one.trees, ...one.growth].filter((org: string) => [...other.trees, ...other.growth].includes(org)), signedBoth);
      }
      // Whichever note is given first, the program sees the fork; a proof in a file has the shorter one first.
      const told = await Promise.all(noForks.map(verdictOf));
      same(told, ['longer', 'unproven', 'same', 'fork', 'unproven']);
    },
  },
];

function same(found: unknown, expected: unknown): void {
  const [left, right] = [textOf(found), textOf(expected)];
  if (left !== right) throw new Error(`found ${left.slice(0, 200)}, expected ${right.slice(0, 200)}`);
}

function textOf(value: unknown): string {
  return value instanceof Uint8Array ? `bytes ${toHex(value as Bytes)}` : canonicalJson(value as Json);
}
