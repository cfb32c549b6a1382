/**
 * Checkpoints of a channel's tree as C2SP signed notes (https://c2sp.org/signed-note, https://c2sp.org/tlog-checkpoint).
 *
 * Our signatures are ECDSA P-256 with an X.509 certificate, a type C2SP has no byte for; its rule for such types is byte
 * 0xff and a longer name, here "healthkeep-p256". What a signature line holds after the name, in base64:
 * key id (4) ‖ certificate length (2, big-endian) ‖ certificate DER ‖ low-S DER signature over the note text, where
 * key id = SHA-256(name ‖ 0x0A ‖ 0xff ‖ "healthkeep-p256" ‖ SubjectPublicKeyInfo)[:4]. The certificate travels along because
 * a reader years later knows the organisation's root only.
 *
 * That signature says: "my own tree is this one". A member that cannot read the channel says less, and says it in another
 * form, after https://c2sp.org/tlog-cosignature: "this grew out of every checkpoint I signed before". Its line holds
 * key id (4) ‖ POSIX seconds (8, big-endian) ‖ certificate length (2) ‖ certificate DER ‖ signature over
 * "cosignature/v1\ntime <seconds>\n" ‖ note text; its type is 0xff ‖ "healthkeep-cosignature-p256".
 */
import { concat, equalBytes, u64, utf8, type Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import { sha256 } from './digest.ts';
import { verifyDer } from './keys.ts';
import { fromBase64, toBase64, toPem } from './pem.ts';
import { readCertificate, verifyChain } from './x509.ts';

export interface Checkpoint {
  /** `healthkeep/<channel>`. */
  readonly origin: string;
  readonly size: number;
  /** 32 bytes. */
  readonly root: Bytes;
  /** Blocks followed, and the header hash of the last of them. */
  readonly height: number;
  readonly blockHash: Bytes;
}

export interface NoteSignature {
  readonly name: string;
  /** PEM. */
  readonly certificate: string;
  /** Low-S DER over the note text, or over the co-signed message. */
  readonly signature: Bytes;
  /** POSIX seconds; present when the signer vouches for growth only. */
  readonly cosignedAt?: number;
}

export interface NoteSigner {
  readonly name: string;
  readonly certificate: string;
  readonly sign: (message: Uint8Array) => Promise<Uint8Array>;
  /** POSIX seconds: signs as a witness of growth, not as one that has the tree. */
  readonly cosignedAt?: number;
}

const TYPE = concat(Uint8Array.of(0xff), utf8('healthkeep-p256'));
const COSIGNATURE_TYPE = concat(Uint8Array.of(0xff), utf8('healthkeep-cosignature-p256'));
const TIME_BYTES = 8;
const KEY_ID_BYTES = 4;
/** C2SP demands that at least 16 are read; more than a consortium can have is noise. */
const SIGNATURES_MAX = 256;

/** The note text: what signatures cover, ending in a line break. Throws CHECKPOINT_INVALID for an origin with line breaks or digests of another length. */
export function writeCheckpoint(checkpoint: Checkpoint): string {
  const text = `${checkpoint.origin}\n${checkpoint.size}\n${toBase64(checkpoint.root)}\nheight ${checkpoint.height}\nblock ${toBase64(checkpoint.blockHash)}\n`;
  parseCheckpoint(text);
  return text;
}

/** What a note, signed or not, says; its signatures are not looked at. Throws CHECKPOINT_INVALID. */
export function parseCheckpoint(note: string): Checkpoint {
  const lines = noteText(note).split('\n');
  const [origin, sizeText, rootText, heightLine, blockLine, end] = lines;
  const size = decimal(sizeText);
  const root = fromBase64(rootText ?? '');
  const height = decimal(heightLine?.match(/^height (.*)$/)?.[1]);
  const blockHash = fromBase64(blockLine?.match(/^block (.*)$/)?.[1] ?? '');
  if (lines.length !== 6 || end !== '' || !origin || /[\p{Cc}\p{Z}+]/u.test(origin) || size === undefined || height === undefined || root?.length !== 32 || blockHash?.length !== 32) throw invalid();
  return { origin, size, root, height, blockHash };
}

/** The note with one more signature line; lines stand in the order of their names, and a name signs once. */
export async function signNote(note: string, signer: NoteSigner): Promise<string> {
  if (signer.name === '' || /[\p{Cc}\p{Z}+]/u.test(signer.name)) throw invalid();
  const text = noteText(note);
  const { der, spki } = readCertificate(signer.certificate);
  const signature = await signer.sign(signedMessage(text, signer.cosignedAt));
  const head = signer.cosignedAt === undefined ? keyId(signer.name, TYPE, spki) : concat(keyId(signer.name, COSIGNATURE_TYPE, spki), u64(signer.cosignedAt));
  const line = concat(head, Uint8Array.of(der.length >> 8, der.length & 0xff), der, signature);
  const lines = new Map(signatureLines(note));
  lines.set(signer.name, toBase64(line));
  return withLines(text, lines);
}

function signedMessage(text: string, cosignedAt: number | undefined): Bytes {
  return utf8(cosignedAt === undefined ? text : `cosignature/v1\ntime ${cosignedAt}\n${text}`);
}

/** One note with the signatures of all, for notes over the same text. Throws CHECKPOINT_INVALID when the texts differ. */
export function mergeNotes(first: string, ...others: readonly string[]): string {
  const text = noteText(first);
  const lines = new Map(signatureLines(first));
  for (const other of others) {
    if (noteText(other) !== text) throw invalid();
    for (const [name, line] of signatureLines(other)) if (!lines.has(name)) lines.set(name, line);
  }
  return withLines(text, lines);
}

/** The note with the lines of these names only: one that adds a line in another's name could otherwise stand in its way. Throws CHECKPOINT_INVALID. */
export function keepSignatures(note: string, names: readonly string[]): string {
  return withLines(noteText(note), new Map(signatureLines(note).filter(([name]) => names.includes(name))));
}

/** The signatures of our types that the note carries; lines of other types are passed over, as C2SP demands. None is verified. Throws CHECKPOINT_INVALID. */
export function noteSignatures(note: string): readonly NoteSignature[] {
  const found: NoteSignature[] = [];
  for (const [name, base64] of signatureLines(note)) {
    const line = fromBase64(base64);
    if (line === undefined) throw invalid();
    const signature = readLine(name, line, TYPE) ?? readLine(name, line, COSIGNATURE_TYPE);
    if (signature !== undefined) found.push(signature);
  }
  return found;
}

function readLine(name: string, line: Bytes, type: Bytes): NoteSignature | undefined {
  const at = KEY_ID_BYTES + (type === TYPE ? 0 : TIME_BYTES);
  const certificateBytes = ((line[at] ?? 0) << 8) | (line[at + 1] ?? 0);
  const der = line.slice(at + 2, at + 2 + certificateBytes);
  if (certificateBytes === 0 || der.length !== certificateBytes) return undefined;
  const certificate = toPem('CERTIFICATE', der);
  try {
    if (!equalBytes(keyId(name, type, readCertificate(certificate).spki), line.subarray(0, KEY_ID_BYTES))) return undefined;
  } catch {
    return undefined;
  }
  const signature = { name, certificate, signature: line.slice(at + 2 + certificateBytes) };
  if (type === TYPE) return signature;
  const cosignedAt = Number(new DataView(line.buffer, line.byteOffset).getBigUint64(KEY_ID_BYTES));
  return Number.isSafeInteger(cosignedAt) ? { ...signature, cosignedAt } : undefined;
}

/**
 * True when the organisation `name` signed the note, as one that has the tree, with a peer's certificate of its root. `at`
 * (UTC milliseconds) is when the certificate must have been valid; undefined leaves that out. Never throws.
 */
export async function verifyNoteSignature(note: string, signer: { readonly name: string; readonly rootCertificate: string; readonly at?: number | undefined }): Promise<boolean> {
  const signers = await noteSigners(note, [signer], signer.at);
  return signers.trees.includes(signer.name);
}

export interface NoteSigners {
  /** Organisations that say: my own tree is this one. */
  readonly trees: readonly string[];
  /** Organisations that say: it grew out of what I signed before. */
  readonly growth: readonly string[];
}

/** Whose signatures on the note are good, among these organisations. Never throws; an unreadable note has no signers. */
export async function noteSigners(note: string, among: readonly { readonly name: string; readonly rootCertificate: string }[], at?: number): Promise<NoteSigners> {
  const roots = new Map(among.map(({ name, rootCertificate }) => [name, rootCertificate]));
  const [trees, growth]: [string[], string[]] = [[], []];
  for (const signature of signaturesOrNone(note)) {
    const root = roots.get(signature.name);
    if (root !== undefined && (await isGood(noteText(note), signature, root, at))) (signature.cosignedAt === undefined ? trees : growth).push(signature.name);
  }
  return { trees, growth };
}

function signaturesOrNone(note: string): readonly NoteSignature[] {
  try {
    return noteSignatures(note);
  } catch {
    return [];
  }
}

async function isGood(text: string, { name, certificate, signature, cosignedAt }: NoteSignature, rootCertificate: string, at: number | undefined): Promise<boolean> {
  try {
    const facts = readCertificate(certificate);
    if (facts.org !== name || facts.organizationalUnit !== 'peer') return false;
    return (await verifyChain(certificate, rootCertificate, at)) && (await verifyDer(facts.spki, signedMessage(text, cosignedAt), signature));
  } catch {
    return false;
  }
}

/** The text before the last empty line, or all of an unsigned note. */
function noteText(note: string): string {
  const at = note.lastIndexOf('\n\n');
  return at === -1 ? note : note.slice(0, at + 1);
}

function signatureLines(note: string): readonly (readonly [string, string])[] {
  const at = note.lastIndexOf('\n\n');
  if (at === -1) return [];
  const lines = note.slice(at + 2).split('\n');
  if (lines.pop() !== '' || lines.length === 0 || lines.length > SIGNATURES_MAX) throw invalid();
  return lines.map((line) => {
    const [, name, base64] = line.match(/^— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})$/) ?? [];
    if (name === undefined || base64 === undefined) throw invalid();
    return [name, base64] as const;
  });
}

function withLines(text: string, lines: ReadonlyMap<string, string>): string {
  const sorted = [...lines].sort(([left], [right]) => (left < right ? -1 : 1));
  return `${text}\n${sorted.map(([name, line]) => `— ${name} ${line}\n`).join('')}`;
}

function keyId(name: string, type: Bytes, spki: Bytes): Bytes {
  return sha256(concat(utf8(`${name}\n`), type, spki)).slice(0, KEY_ID_BYTES);
}

function decimal(text: string | undefined): number | undefined {
  const value = text !== undefined && /^(0|[1-9]\d{0,15})$/.test(text) ? Number(text) : undefined;
  return value !== undefined && Number.isSafeInteger(value) ? value : undefined;
}

function invalid(): CodedError {
  return new CodedError('CHECKPOINT_INVALID', 'The checkpoint note cannot be read.');
}
