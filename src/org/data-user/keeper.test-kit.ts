/** A keeper for tests, made of the real cryptography: anchors in a real tree, signed checkpoints, manifests, wrapped keys, bodies over HTTP. */
import { concat, fromBase64url, toBase64url, utf8, type Bytes } from '#base/bytes.ts';
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import type { Clock, Fetch, Random } from '#base/ports.ts';
import type { LeafProof } from '#api/endpoints.ts';
import { signNote, writeCheckpoint } from '#crypto/checkpoint.ts';
import { encryptBody } from '#crypto/cobblestone.ts';
import { commit } from '#crypto/commitment.ts';
import { sha256 } from '#crypto/digest.ts';
import { sealTo } from '#crypto/hpke.ts';
import { generateSigningKey } from '#crypto/keys.ts';
import { appendLeaf, encodeLeaf, inclusionPath, leafHash, memoryNodes, rootAt } from '#crypto/merkle.ts';
import { signJson } from '#crypto/signed-json.ts';
import { createAuthority, readCertificate, verifyChain, type CertificateAuthority } from '#crypto/x509.ts';
import { anchorKey } from '#contracts/keys.ts';
import { createSigner } from '#ledger/signer.ts';
import type { LedgerSigner } from '#ledger/client.ts';
import type { CheckpointState } from '#model/con.ts';
import type { Anchor } from '#model/hdc.ts';
import type { ChannelName, Digest, GrantId, Instant, OrgId, RecordId, SlotTag, SubjectId } from '#model/ids.ts';
import type { ReleasedItem, ReleaseManifest, Signed } from '#model/messages.ts';
import { hdcOf } from '#model/orgs.ts';
import type { Purpose } from '#model/template.ts';
import { anchorStatement, bodyContext, COMMITMENT_DOMAIN, releaseBinding } from '#model/bindings.ts';
import type { Trust } from './verify.ts';

export interface TestRecord {
  readonly id: RecordId;
  readonly subject: SubjectId;
  readonly resourceType: string;
  readonly bytes: Bytes;
  readonly dataKey: Bytes;
  readonly verificationKey: Bytes;
  readonly ciphertext: Bytes;
  readonly commitment: Bytes;
  readonly anchor: Anchor;
}

export interface TestRelease {
  readonly grant: GrantId;
  readonly slot: SlotTag;
  readonly recipient: OrgId;
  readonly recipientPublicKey: Bytes;
  readonly purpose: Purpose;
  readonly eraseAt: Instant;
}

export interface TestKeeper {
  readonly org: OrgId;
  readonly ca: CertificateAuthority;
  readonly system: LedgerSigner;
  readonly peer: LedgerSigner;
  record(resourceType: string, content: string, subject: SubjectId): Promise<TestRecord>;
  /** Inclusion of the records' anchors in a tree of these and a few strangers' leaves, signed by the keeper's peer. */
  prove(records: readonly TestRecord[], strangers?: number): Promise<{ readonly proofs: readonly LeafProof[]; readonly checkpoint: CheckpointState }>;
  item(record: TestRecord, release: TestRelease): Promise<ReleasedItem>;
  manifest(release: TestRelease, subject: SubjectId, items: readonly ReleasedItem[], change?: Partial<ReleaseManifest>): Promise<Signed>;
}

export interface KitSeams {
  readonly clock: Clock;
  readonly random: Random;
}

export const BLOCK = 3;
export const id16 = (random: Random): string => toBase64url(random.bytes(16));
export const id32 = (random: Random): string => toBase64url(random.bytes(32));

export async function makeSigner(ca: CertificateAuthority, unit: 'client' | 'peer', role: string | undefined, clock: Clock): Promise<LedgerSigner> {
  const pair = await generateSigningKey();
  const certificate = await ca.issue({ commonName: `${unit}.${ca.org}`, organizationalUnit: unit, attributes: role === undefined ? {} : { 'hk.role': role }, publicKey: pair.publicKey, notBefore: clock.now(), days: 30 });
  return createSigner({ mspId: ca.org, certificate, privateKey: pair.privateKey });
}

/** A member of the consortium that is not in it yet: its keys are its own. */
export async function makeKeeper(org: OrgId, seams: KitSeams): Promise<TestKeeper> {
  const ca = await createAuthority({ org, commonName: `${org} root`, clock: seams.clock });
  return keeperWith({ org, ca, system: await makeSigner(ca, 'client', 'system', seams.clock), peer: await makeSigner(ca, 'peer', undefined, seams.clock) }, seams);
}

/** A keeper of the test with an organisation's own keys. */
export function keeperWith({ org, ca, system, peer }: Pick<TestKeeper, 'org' | 'ca' | 'system' | 'peer'>, { random }: Pick<KitSeams, 'random'>): TestKeeper {
  return {
    org, ca, system, peer,
    record: (resourceType, content, subject) => makeRecord({ org, system, random, resourceType, subject, bytes: utf8(content) }),
    prove: (records, strangers = 3) => prove({ org, peer }, records, strangers),
    async item(record, release) {
      const plaintext = concat(record.dataKey, record.verificationKey);
      const wrapped = await sealTo({ recipientPublicKey: release.recipientPublicKey, ...releaseBinding(release, record.id), plaintext });
      return {
        id: record.id, resourceType: record.resourceType, cipherBytes: record.ciphertext.length, plainBytes: record.bytes.length, wrappedKeys: toBase64url(wrapped),
        commitment: toBase64url(record.commitment) as Digest, signature: record.anchor.signature, txId: 'tx', blockNumber: BLOCK,
      };
    },
    async manifest(release, subject, items, change = {}) {
      const { grant, slot, recipient, purpose, eraseAt } = release;
      const recipientKeyDigest = toBase64url(sha256(release.recipientPublicKey)) as Digest;
      const manifest = { kind: 'manifest', grant, slot, keeper: org, recipient, recipientKeyDigest, purpose, subject, releasedAt: eraseAt, eraseAt, items, ...change };
      return (await signJson(manifest as unknown as Json, system)) as Signed;
    },
  };
}

async function makeRecord(parts: { readonly org: OrgId; readonly system: LedgerSigner; readonly random: Random; readonly resourceType: string; readonly subject: SubjectId; readonly bytes: Bytes }): Promise<TestRecord> {
  const { org, random, subject, bytes, resourceType } = parts;
  const id = id16(random) as RecordId;
  const dataKey = random.bytes(32);
  const verificationKey = random.bytes(32);
  const ciphertext = await encryptBody({ key: dataKey, context: bodyContext(org, id), plaintext: bytes, random });
  const metadata = { keeper: org, record: id, subject, resourceType, class: 'clinical' };
  const commitment = commit({ verificationKey, domain: COMMITMENT_DOMAIN, contentDigest: sha256(bytes), metadata });
  const signature = toBase64url(await parts.system.sign(anchorStatement({ keeper: org, record: id, subject, commitment })));
  const anchor = { id, subject, commitment: toBase64url(commitment), signature, class: 'clinical' } as Anchor;
  return { id, subject, resourceType, bytes, dataKey, verificationKey, ciphertext, commitment, anchor };
}

async function prove({ org, peer }: Pick<TestKeeper, 'org' | 'peer'>, records: readonly TestRecord[], strangers: number): Promise<{ readonly proofs: readonly LeafProof[]; readonly checkpoint: CheckpointState }> {
  const channel = hdcOf(org);
  const leaves = [
    ...Array.from({ length: strangers }, (_, tx) => ({ block: 1, tx, namespace: 'hdc', key: `stranger ${tx}`, value: utf8('anything') })),
    ...records.map(({ id, anchor: { id: _, ...anchor } }, tx) => ({ block: BLOCK, tx, namespace: 'hdc', key: anchorKey(id), value: canonicalBytes({ ...anchor, erased: 'no' }) })),
  ];
  const nodes = memoryNodes();
  leaves.forEach((leaf, at) => appendLeaf(nodes, at, leafHash(encodeLeaf(leaf))));
  const size = leaves.length;
  const root = rootAt(nodes, size);
  const blockHash = sha256(utf8('block'));
  const note = await signNote(writeCheckpoint({ origin: `healthkeep/${channel}`, size, root, height: strangers + 1, blockHash }), { name: org, certificate: peer.certificate, sign: (message) => peer.sign(message) });
  const proofs = records.map((_, at): LeafProof => {
    const leafIndex = strangers + at;
    const leaf = leaves[leafIndex] as (typeof leaves)[number];
    return { channel, block: leaf.block, tx: leaf.tx, namespace: leaf.namespace, key: leaf.key, value: toBase64url(leaf.value), leafIndex, size, path: inclusionPath(nodes, leafIndex, size).map((hash) => toBase64url(hash) as Digest), checkpoint: note };
  });
  return { proofs, checkpoint: { channel: channel as ChannelName, org, size, root: toBase64url(root) as Digest, height: strangers + 1, blockHash: toBase64url(blockHash) as Digest, note } };
}

/** Believes these keepers' roots and these checkpoints on CON. */
export function trustIn(keepers: readonly TestKeeper[], checkpoints: readonly CheckpointState[], clock: Clock): Trust {
  const rootOf = async (org: OrgId): Promise<string | undefined> => keepers.find((keeper) => keeper.org === org)?.ca.certificate;
  return {
    rootOf,
    published: async ({ channel, org, size }) => checkpoints.find((one) => one.channel === channel && one.org === org && one.size === size),
    async speaksFor(certificate, org) {
      const root = await rootOf(org);
      return root !== undefined && (await verifyChain(certificate, root, clock.now())) && readCertificate(certificate).attributes['hk.role'] === 'system';
    },
  };
}

/** What a keeper has to serve for one grant. */
export interface Served {
  readonly grant: GrantId;
  readonly ticket: Digest;
  readonly manifest: Signed;
  readonly proofs: readonly LeafProof[];
  readonly bodies: ReadonlyMap<RecordId, Bytes>;
}

/** The keeper's HTTP side: serves bytes, honours Range, looks at nothing but the ticket. */
export function serve(parts: readonly Served[], asked: { path: string; range: string | null }[] = []): Fetch {
  return async (request) => {
    const { pathname } = new URL(request.url);
    asked.push({ path: pathname, range: request.headers.get('range') });
    const [, , , grant, kind, record] = pathname.split('/');
    const part = parts.find((one) => one.grant === grant);
    if (part === undefined || request.headers.get('healthkeep-ticket') !== part.ticket) return problem(404, 'GRANT_UNKNOWN');
    if (kind === 'manifest') return Response.json(part.manifest);
    if (kind === 'proofs') return Response.json({ proofs: part.proofs });
    const body = part.bodies.get(record as RecordId);
    if (body === undefined) return problem(410, 'RECORD_ERASED');
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.get('range') ?? '')?.[1] ?? 0);
    if (from === 0) return new Response(body);
    return new Response(body.slice(from), { status: 206, headers: { 'content-range': `bytes ${from}-${body.length - 1}/${body.length}` } });
  };
}

export function problem(status: number, code: string): Response {
  return new Response(JSON.stringify({ type: 'about:blank', status, code, title: code, detail: code, next: '', retry: false, traceId: '0' }), { status, headers: { 'content-type': 'application/problem+json' } });
}

/** Breaks a share of the answers in the middle of their body, and some before they begin. */
export function flaky(inner: Fetch, share: number, random: Random): Fetch {
  const chance = (): number => ((random.bytes(2)[0] as number) * 256 + (random.bytes(2)[1] as number)) / 65_536;
  return async (request) => {
    if (chance() >= share) return inner(request);
    if (chance() < 0.2) throw new TypeError('connection refused');
    const response = await inner(request);
    const body = new Uint8Array(await response.arrayBuffer());
    const cut = Math.floor(body.length * chance());
    const broken = new ReadableStream<Uint8Array>({
      start(controller) {
        if (cut > 0) controller.enqueue(body.slice(0, cut));
        // A line may break with an error or just end; both happen.
        if (chance() < 0.5) controller.error(new TypeError('terminated'));
        else controller.close();
      },
    });
    return new Response(broken, { status: response.status, headers: response.headers });
  };
}

