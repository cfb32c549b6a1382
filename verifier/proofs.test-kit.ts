/** Proof files made by the program's own crypto room, for the verifier to be tested with. The verifier itself imports nothing of this. */
import { fromBase64url, toBase64url, utf8, type Bytes } from '#base/bytes.ts';
import { canonicalBytes, canonicalJson, type Json } from '#base/canonical-json.ts';
import { mergeNotes, signNote, writeCheckpoint } from '#crypto/checkpoint.ts';
import { commit, saltedDigest, saltedList, statement } from '#crypto/commitment.ts';
import { sha256 } from '#crypto/digest.ts';
import { generateSigningKey, signLowS } from '#crypto/keys.ts';
import { appendLeaf, consistencyPath, encodeLeaf, inclusionPath, leafHash, memoryNodes, rootAt, type MerkleNodes } from '#crypto/merkle.ts';
import { signJson } from '#crypto/signed-json.ts';
import { createAuthority, type CertificateAuthority } from '#crypto/x509.ts';

export const START = Date.UTC(2026, 10, 20, 12);
const clock = { now: () => START };

export interface Party {
  readonly certificate: string;
  readonly sign: (message: Uint8Array) => Promise<Bytes>;
}

export interface MadeMember {
  readonly org: string;
  readonly ca: CertificateAuthority;
  readonly system: Party;
  readonly peer: Party;
}

export async function makeParty(ca: CertificateAuthority, subject: { readonly commonName: string; readonly organizationalUnit: string; readonly role: string }): Promise<Party> {
  const keys = await generateSigningKey();
  const certificate = await ca.issue({ ...subject, attributes: { 'hk.role': subject.role }, publicKey: keys.publicKey, notBefore: START, days: 365 });
  return { certificate, sign: (message) => signLowS(keys.privateKey, message) };
}

export async function makeMember(org: string): Promise<MadeMember> {
  const ca = await createAuthority({ org, commonName: `${org} root`, clock });
  const system = await makeParty(ca, { commonName: 'system', organizationalUnit: 'client', role: 'system' });
  const peer = await makeParty(ca, { commonName: 'peer0', organizationalUnit: 'peer', role: 'system' });
  return { org, ca, system, peer };
}

export interface MadeWorld {
  readonly members: readonly MadeMember[];
  readonly person: Party;
  readonly list: readonly { readonly org: string; readonly rootCertificate: string }[];
  readonly genesis: string;
}

export const PAIRWISE_ID = toBase64url(new Uint8Array(16).fill(9));

export async function makeWorld(): Promise<MadeWorld> {
  const members = await Promise.all(['DUO-care', 'DUO-lab', 'HO-east', 'UO-people'].map(makeMember));
  const person = await makeParty(memberOf(members, 'UO-people').ca, { commonName: PAIRWISE_ID, organizationalUnit: 'client', role: 'person' });
  const list = members.map(({ org, ca }) => ({ org, rootCertificate: ca.certificate }));
  return { members, person, list, genesis: JSON.stringify({ kind: 'healthkeep-genesis', version: 1, members: list }) };
}

export function memberOf(members: readonly MadeMember[], org: string): MadeMember {
  const member = members.find((known) => known.org === org);
  if (member === undefined) throw new Error(`no member ${org}`);
  return member;
}

const fill = (byte: number, length = 32): string => toBase64url(new Uint8Array(length).fill(byte));

export interface LeafPlace {
  readonly channel: string;
  readonly namespace: string;
  readonly key: string;
}

/** A state in a tree of `size` leaves, under a checkpoint signed by these members. */
export async function makeLeaf(place: LeafPlace, value: Json, tree: { readonly index: number; readonly size: number; readonly signers: readonly MadeMember[] }) {
  const leaf = { block: 7, tx: 3, namespace: place.namespace, key: place.key, value: canonicalBytes(value) };
  const nodes = memoryNodes();
  for (let at = 0, size = 0; at < tree.size; at++) size = appendLeaf(nodes, size, leafHash(at === tree.index ? encodeLeaf(leaf) : utf8(`another leaf ${at}`)));
  const text = writeCheckpoint({ origin: `healthkeep/${place.channel}`, size: tree.size, root: rootAt(nodes, tree.size), height: 9, blockHash: sha256(utf8('block 8')) });
  const [first = text, ...more] = await Promise.all(tree.signers.map(({ org, peer }) => signNote(text, { name: org, ...peer })));
  return {
    channel: place.channel, block: leaf.block, tx: leaf.tx, namespace: leaf.namespace, key: leaf.key, value: toBase64url(leaf.value), leafIndex: tree.index, size: tree.size,
    path: inclusionPath(nodes, tree.index, tree.size).map(toBase64url), checkpoint: mergeNotes(first, ...more), root: rootAt(nodes, tree.size),
  };
}

function withoutRoot<Leaf extends { readonly root: Bytes }>({ root: _, ...leaf }: Leaf): Omit<Leaf, 'root'> {
  return leaf;
}

export const RECORD = utf8('{"resourceType":"Observation","id":"hba1c"}');

/** A proof file that holds. */
export async function makeProof(world: MadeWorld, options: { readonly index?: number; readonly size?: number; readonly cosigners?: readonly string[] } = {}) {
  const keeper = memberOf(world.members, 'HO-east');
  const { index = 11, size = 21 } = options;
  const metadata = { keeper: keeper.org, record: fill(1, 16), subject: fill(2, 16), resourceType: 'Observation', class: 'clinical' };
  const verificationKey = new Uint8Array(32).fill(3);
  const contentDigest = sha256(RECORD);
  const commitment = commit({ verificationKey, domain: 'healthkeep/v1/commitment', contentDigest, metadata });
  const signature = toBase64url(await keeper.system.sign(statement('healthkeep/v1/anchor', keeper.org, metadata.record, metadata.subject, commitment)));
  const { record: id, ...described } = metadata;
  const record = { id, ...described, contentDigest: toBase64url(contentDigest), verificationKey: toBase64url(verificationKey), commitment: toBase64url(commitment), signature, certificate: keeper.system.certificate };
  const state = { subject: metadata.subject, commitment: record.commitment, signature, class: 'clinical', erased: 'no' };
  const anchor = await makeLeaf({ channel: 'hdc-east', namespace: 'hdc', key: `\0anchor\0${id}\0` }, state, { index, size, signers: [keeper] });
  const published = { channel: 'hdc-east', org: keeper.org, size, root: toBase64url(anchor.root), height: 9, blockHash: toBase64url(sha256(utf8('block 8'))), note: anchor.checkpoint };
  const signers = (options.cosigners ?? ['HO-east', 'DUO-care']).map((org) => memberOf(world.members, org));
  const pinned = await makeLeaf({ channel: 'con', namespace: 'con', key: `checkpoint/hdc-east/HO-east/${String(size).padStart(16, '0')}` }, published, { index: 5, size: 13, signers });
  return { kind: 'healthkeep-proof', version: 1, record, anchor: withoutRoot(anchor), pinned: withoutRoot(pinned), members: world.list };
}

/** A consent receipt that holds, with one grant per keeper, or a refusal. */
export async function makeConsent(world: MadeWorld, keepers: readonly string[] = ['HO-east', 'HO-west'], signer: Party = world.person) {
  const slot = fill(4);
  const template = { id: 'diabetes-study', version: 1, digest: fill(5) };
  const [until, eraseAt] = ['2026-11-27T12:00:00.000Z', '2027-11-20T12:00:00.000Z'];
  const recipientPublicKey = fill(6, 1_216);
  const recipientKeyDigest = toBase64url(sha256(fromBase64url(recipientPublicKey)));
  const grants = await Promise.all(
    keepers.map(async (keeper, at) => {
      const grant = {
        kind: 'grant', id: fill(10 + at, 16), keeper, owner: PAIRWISE_ID, subject: fill(2, 16), slot, recipient: 'DUO-care', recipientKeyDigest, recipientPublicKey,
        purpose: 'research', template, items: [fill(1, 16)], issuedAt: '2026-11-20T12:00:00.000Z', until, eraseAt, salt: fill(20 + at),
      };
      return { signed: await signJson(grant, signer), salt: fromBase64url(grant.salt) };
    }),
  );
  const refused = grants.length === 0;
  const digests = grants.map(({ signed, salt }) => toBase64url(saltedDigest(salt, utf8(signed.payload))));
  const salt = refused ? fill(0) : fill(8);
  const answer = {
    decision: refused ? 'no' : 'all', grantCommitment: refused ? fill(0) : toBase64url(saltedList(fromBase64url(salt), digests)), recipientKeyDigest: refused ? fill(0) : recipientKeyDigest,
    until, eraseAt, sealed: 'AAAA', at: '2026-11-20T12:00:01.000Z',
  };
  const state = { owner: fill(7), duo: 'DUO-care', templates: [template], phase: refused ? 'refused' : 'answered', invitation: { template, sealed: 'AAAA', answerBy: until, at: until }, answer, reports: [] };
  const signers = ['DUO-care', 'DUO-lab'].map((org) => memberOf(world.members, org));
  const drc = await makeLeaf({ channel: 'drc', namespace: 'drc', key: `\0slot\0${slot}\0` }, state, { index: 0, size: 6, signers });
  return { kind: 'healthkeep-consent-receipt', version: 1, grants: grants.map(({ signed }) => signed), opening: { salt, digests }, drc: withoutRoot(drc), members: world.list };
}

/** A tree whose leaves after the ninth belong to one of two histories, and its checkpoint at a size. */
function historyOf(name: string): { readonly nodes: MerkleNodes; readonly text: (size: number, blocks?: number) => string } {
  const nodes = memoryNodes();
  for (let size = 0; size < 40; ) size = appendLeaf(nodes, size, leafHash(utf8(size < 9 ? `leaf ${size}` : `${name} ${size}`)));
  return { nodes, text: (size, blocks = size) => writeCheckpoint({ origin: 'healthkeep/drc', size, root: rootAt(nodes, size), height: blocks, blockHash: sha256(utf8(`${blocks < 9 ? '' : name} block ${blocks}`)) }) };
}

export interface ForkWish {
  /** Leaves of the note of the one history and of the other. */
  readonly sizes?: readonly [number, number];
  readonly blocks?: readonly [number | undefined, number | undefined];
  /** Who signs each as having the tree, and who as having seen it grow. */
  readonly trees?: readonly [readonly string[], readonly string[]];
  readonly growth?: readonly string[];
  /** Both notes of one history: no fork at all. */
  readonly honest?: boolean;
}

/** Two histories of DRC that one member signed. */
export async function makeFork(world: MadeWorld, wish: ForkWish = {}) {
  const { sizes = [12, 20], blocks = [undefined, undefined], trees = [['DUO-lab'], ['DUO-lab']], growth = [] } = wish;
  const histories = [historyOf(wish.honest === true ? 'other' : 'one'), historyOf('other')] as const;
  const notes = await Promise.all(
    histories.map(async ({ text }, at) => {
      let note = text(sizes[at] as number, blocks[at]);
      for (const org of trees[at] ?? []) note = await signNote(note, { name: org, ...memberOf(world.members, org).peer });
      for (const org of growth) note = await signNote(note, { name: org, ...memberOf(world.members, org).peer, cosignedAt: START / 1_000 });
      return note;
    }),
  );
  const { nodes } = histories[1];
  const beginning = sizes[0] < sizes[1] ? { root: toBase64url(rootAt(nodes, sizes[0])), path: consistencyPath(nodes, sizes[0], sizes[1]).map(toBase64url) } : null;
  return { kind: 'healthkeep-fork', version: 1, notes, beginning, members: world.list };
}

export const fileText = (file: unknown): string => canonicalJson(file as Json);
