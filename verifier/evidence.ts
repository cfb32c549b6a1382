/**
 * What proofs are made of (docs/protocol.md sections 2, 4 and 7), each checked to the last byte: text forms, leaves of a
 * channel's Merkle tree (RFC 9162), checkpoints with signatures (C2SP signed notes), signed JSON. Written anew from the documents.
 */
import { createHash, createHmac } from 'node:crypto';
import { check, checkIssued, readCertificate, readRoot, refuse, signatureHolds, type Certificate } from './certificate.ts';

export type Members = ReadonlyMap<string, Certificate>;
export type Field = 'text' | 'count' | 'digest' | 'list' | 'object' | 'any';
type Value<F extends Field> = F extends 'text' | 'digest' ? string : F extends 'count' ? number : F extends 'list' ? readonly unknown[] : F extends 'any' ? unknown : object;

/** The object has exactly these fields of these kinds: whatever a file holds is looked at. */
export function fields<const Shape extends Readonly<Record<string, Field>>>(value: unknown, shape: Shape, what: string): { readonly [Name in keyof Shape]: Value<Shape[Name]> } {
  check(typeof value === 'object' && value !== null && !Array.isArray(value), `The ${what} is missing.`);
  const names = Object.keys(value);
  check(names.length === Object.keys(shape).length && names.every((name) => Object.hasOwn(shape, name)), `The ${what} does not hold exactly the fields ${Object.keys(shape).join(', ')}.`);
  for (const [name, kind] of Object.entries(shape)) check(isKind((value as Record<string, unknown>)[name], kind), `The ${what} has no readable ${name}.`);
  return value as { readonly [Name in keyof Shape]: Value<Shape[Name]> };
}

function isKind(value: unknown, kind: Field): boolean {
  if (kind === 'any') return true;
  if (kind === 'count') return Number.isSafeInteger(value) && (value as number) >= 0;
  if (kind === 'list') return Array.isArray(value);
  if (kind === 'object') return typeof value === 'object' && value !== null;
  return typeof value === 'string' && (kind === 'text' || bytesOf(value).length === 32);
}

/** Bytes of base64, or of unpadded base64url, in the one form they have. */
export function bytesOf(text: string, form: 'base64' | 'base64url' = 'base64url'): Buffer {
  const bytes = Buffer.from(text, form);
  check(bytes.toString(form) === text, `A value is not ${form}.`);
  return bytes;
}

export const sha256 = (...parts: readonly Uint8Array[]): Buffer => createHash('sha256').update(Buffer.concat(parts)).digest();
export const hmac = (key: Buffer, message: Buffer): Buffer => createHmac('sha256', key).update(message).digest();

/** Every part after its length, so that no two lists of parts are the same bytes. */
export function lengthPrefixed(...parts: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(parts.flatMap((part) => [uint(4, Buffer.byteLength(part)), Buffer.from(part)]));
}

function uint(bytes: 4 | 8, value: number): Buffer {
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(BigInt(value));
  check(bytes === 8 || value < 2 ** 32, 'A number is too large.');
  return out.subarray(8 - bytes);
}

/** RFC 8785 for the values that occur: keys in order, no spaces. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  return `{${Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical((value as Record<string, unknown>)[key])}`).join(',')}}`;
}

/** The list of members: each an organisation with its root, none twice. */
export function readMembers(list: readonly unknown[]): Members {
  const members = new Map<string, Certificate>();
  for (const entry of list) {
    const { org, rootCertificate } = memberOf(entry);
    check(!members.has(org), `The member ${org} is listed twice.`);
    members.set(org, readRoot(rootCertificate, org));
  }
  return members;
}

export const memberOf = (entry: unknown) => fields(entry, { org: 'text', rootCertificate: 'text' }, 'member');

/** The root of an organisation that must be a member. */
export function rootOfMember(members: Members, org: string): Certificate {
  return members.get(org) ?? refuse(`${org} is not a member.`);
}

/** What the ledger holds under a key, parsed, and the organisations whose peers signed the tree it is in. */
export type Leaf = { readonly value: Readonly<Record<string, unknown>>; readonly size: number; readonly block: number; readonly checkpoint: Checkpoint; readonly signers: readonly string[] };

/** A state of a channel, included in the tree that the signers of its checkpoint saw. */
export function checkLeaf(proof: object, place: { readonly channel: string; readonly namespace: string; readonly key: string }, members: Members): Leaf {
  const leaf = fields(proof, { channel: 'text', block: 'count', tx: 'count', namespace: 'text', key: 'text', value: 'text', leafIndex: 'count', size: 'count', path: 'list', checkpoint: 'text' }, `proof from channel ${place.channel}`);
  check(leaf.channel === place.channel && leaf.namespace === place.namespace && leaf.key === place.key, `The proof is not about ${JSON.stringify(place.key)} on channel ${place.channel}.`);
  const checkpoint = readCheckpoint(leaf.checkpoint);
  check(checkpoint.origin === `healthkeep/${place.channel}` && checkpoint.size === leaf.size, `The checkpoint is not the one of channel ${place.channel} at ${leaf.size} leaves.`);
  const value = bytesOf(leaf.value);
  const hash = sha256(Buffer.of(0), lengthPrefixed('healthkeep/v1/leaf', uint(8, leaf.block), uint(4, leaf.tx), leaf.namespace, leaf.key, Buffer.concat([Buffer.of(0), value])));
  check(treeRoot(hash, leaf.leafIndex, leaf.size, pathOf(leaf.path)).equals(checkpoint.root), `The state is not in the tree of channel ${place.channel}.`);
  return { value: JSON.parse(value.toString('utf8')) as Leaf['value'], size: leaf.size, block: leaf.block, checkpoint, signers: checkSignatures(leaf.checkpoint, members).trees };
}

const pathOf = (path: readonly unknown[]): readonly Buffer[] => path.map((hash) => (isKind(hash, 'digest') ? bytesOf(hash as string) : refuse('A path is not a list of digests.')));

/** RFC 9162 section 2.1.3.2: the root that leaf and path lead to. */
function treeRoot(leaf: Buffer, index: number, size: number, path: readonly Buffer[]): Buffer {
  check(index < size, 'The leaf lies outside the tree.');
  let [fn, sn, hash] = [BigInt(index), BigInt(size - 1), leaf];
  for (const sibling of path) {
    check(sn !== 0n, 'The inclusion path is too long.');
    if ((fn & 1n) === 1n || fn === sn) {
      hash = sha256(Buffer.of(1), sibling, hash);
      while ((fn & 1n) === 0n && fn !== 0n) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else {
      hash = sha256(Buffer.of(1), hash, sibling);
    }
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  check(sn === 0n, 'The inclusion path is too short.');
  return hash;
}

/** RFC 9162 section 2.1.4.2: does the path lead from this root of the first leaves to that of the whole tree? */
export function beginsWith(first: { readonly size: number; readonly root: Buffer }, whole: { readonly size: number; readonly root: Buffer }, list: readonly unknown[]): boolean {
  let [fn, sn] = [BigInt(first.size - 1), BigInt(whole.size - 1)];
  if (fn < 0n || fn >= sn) return false;
  const [start = refuse('A path is empty.'), ...path] = [...((fn & (fn + 1n)) === 0n ? [first.root] : []), ...pathOf(list)];
  while ((fn & 1n) === 1n) [fn, sn] = [fn >> 1n, sn >> 1n];
  let [old, now] = [start, start];
  for (const sibling of path) {
    if (sn === 0n) return false;
    if ((fn & 1n) === 1n || fn === sn) {
      [old, now] = [sha256(Buffer.of(1), sibling, old), sha256(Buffer.of(1), sibling, now)];
      while ((fn & 1n) === 0n && fn !== 0n) [fn, sn] = [fn >> 1n, sn >> 1n];
    } else {
      now = sha256(Buffer.of(1), now, sibling);
    }
    [fn, sn] = [fn >> 1n, sn >> 1n];
  }
  return sn === 0n && old.equals(first.root) && now.equals(whole.root);
}

export type Checkpoint = { readonly origin: string; readonly size: number; readonly root: Buffer; readonly height: number; readonly blockHash: Buffer };

const CHECKPOINT = /^([^\s+]+)\n(0|[1-9]\d{0,15})\n([A-Za-z0-9+/]{43}=)\nheight (0|[1-9]\d{0,15})\nblock ([A-Za-z0-9+/]{43}=)\n$/;

export function readCheckpoint(note: string): Checkpoint {
  const [, origin, size, root, height, block] = noteText(note).match(CHECKPOINT) ?? refuse('A checkpoint cannot be read.');
  return { origin: origin!, size: Number(size), root: bytesOf(root!, 'base64'), height: Number(height), blockHash: bytesOf(block!, 'base64') };
}

/** The text that is signed: all before the last empty line. */
const noteText = (note: string): string => note.slice(0, note.lastIndexOf('\n\n') + 1);

/** Every signature line is good and by the peer of another member; returns who has the tree, and who saw that it only grew. */
export function checkSignatures(note: string, members: Members): { readonly trees: readonly string[]; readonly growth: readonly string[] } {
  const text = noteText(note);
  const lines = note.slice(text.length + 1).split('\n');
  check(lines.pop() === '' && lines.length > 0, 'A checkpoint is not signed.');
  const signers = lines.map((line) => {
    const [, org, encoded] = line.match(/^— ([^\s+]+) ([A-Za-z0-9+/=]+)$/) ?? refuse('A signature line cannot be read.');
    const blob = bytesOf(encoded!, 'base64');
    // A time in seconds begins with zeros; the length of a certificate does not.
    const [growth, at] = blob.readUInt16BE(4) === 0 ? [true, 12] : [false, 4];
    const end = at + 2 + blob.readUInt16BE(at);
    const certificate = readCertificate(`-----BEGIN CERTIFICATE-----\n${blob.subarray(at + 2, end).toString('base64').replace(/.{64}(?=.)/g, '$&\n')}\n-----END CERTIFICATE-----\n`);
    const keyId = sha256(Buffer.from(`${org}\n`), Buffer.of(0xff), Buffer.from(growth ? 'healthkeep-cosignature-p256' : 'healthkeep-p256'), certificate.spki).subarray(0, 4);
    check(keyId.equals(blob.subarray(0, 4)) && certificate.unit === 'peer', `The signature of ${org} is not by its peer.`);
    checkIssued(certificate, rootOfMember(members, org!));
    check(signatureHolds(certificate.key, Buffer.from(growth ? `cosignature/v1\ntime ${blob.readBigUInt64BE(4)}\n${text}` : text), blob.subarray(end)), `The signature of ${org} on the checkpoint does not hold.`);
    return { org: org!, growth };
  });
  check(new Set(signers.map(({ org }) => org)).size === signers.length, 'A checkpoint is signed twice by the same member.');
  const orgs = (wanted: boolean): readonly string[] => signers.filter(({ growth }) => growth === wanted).map(({ org }) => org);
  return { trees: orgs(false), growth: orgs(true) };
}

/** Signed JSON: canonical text under the domain of signed JSON, by a certificate of this organisation. */
export function checkSigned(signed: unknown, members: Members): { readonly payload: string; readonly value: unknown; readonly certificate: Certificate } {
  const { payload, signature, certificate: pem } = fields(signed, { payload: 'text', signature: 'text', certificate: 'text' }, 'signed document');
  const value: unknown = JSON.parse(payload);
  const certificate = readCertificate(pem);
  check(canonical(value) === payload, 'A signed document is not in canonical form.');
  checkIssued(certificate, rootOfMember(members, certificate.org));
  check(signatureHolds(certificate.key, Buffer.from(`healthkeep/v1/signed\0${payload}`), bytesOf(signature)), 'A signed document was changed after it was signed.');
  return { payload, value, certificate };
}
