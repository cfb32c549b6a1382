/**
 * Who sends a request: HTTP Message Signatures (RFC 9421) over method, address and body digest (RFC 9530), with the
 * caller's certificate in `client-cert` (RFC 9440) or, for mailboxes, its bare key in `healthkeep-key`.
 * Chain, revocation and whether the nonce was seen before are the receiver's questions.
 */
import { equalBytes, fromBase64url, toBase64url, utf8, type Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { Clock, Random } from '#base/ports.ts';
import { readCertificate } from './x509.ts';
import { sha256 } from './digest.ts';
import { verifyDer } from './keys.ts';
import { fromBase64, toBase64, toPem } from './pem.ts';
import { derOf, rsOf } from './signature.ts';

/** How far the caller's clock may be off, in seconds. */
export const CREATED_TOLERANCE_SECONDS = 300;

const LABEL = 'healthkeep';
const NONCE_BYTES = 16;

export interface RequestSigner {
  /** PEM. */
  readonly certificate: string;
  /** Low-S DER over SHA-256 of the message. */
  sign(message: Uint8Array): Promise<Uint8Array>;
}

export interface VerifiedRequest {
  /** PEM. */
  readonly certificate: string;
  readonly nonce: string;
  /** UTC seconds. */
  readonly created: number;
}

export interface VerifiedMailboxRequest {
  /** SHA-256 of the key, base64url. */
  readonly handle: string;
  /** SubjectPublicKeyInfo DER. */
  readonly publicKey: Bytes;
  readonly nonce: string;
  readonly created: number;
}

interface Seams {
  readonly clock: Clock;
  readonly random: Random;
}

/** A signed copy of the request; its body is read whole. */
export async function signRequest(request: Request, { certificate, sign, clock, random }: RequestSigner & Seams): Promise<Request> {
  const { der, fingerprint } = readCertificate(certificate);
  return signed(request, { credential: ['client-cert', `:${toBase64(der)}:`], keyId: toBase64url(fingerprint), sign, clock, random });
}

/** A copy signed with a mailbox key, whose digest is the mailbox's handle. */
export async function signMailboxRequest(request: Request, { publicKey, sign, clock, random }: { readonly publicKey: Bytes; readonly sign: RequestSigner['sign'] } & Seams): Promise<Request> {
  return signed(request, { credential: ['healthkeep-key', toBase64url(publicKey)], keyId: toBase64url(sha256(publicKey)), sign, clock, random });
}

/**
 * Checks signature, body digest and age. `body` is the body as received, undefined when there is none. Throws
 * REQUEST_UNSIGNED, REQUEST_SIGNATURE_INVALID, REQUEST_STALE.
 */
export async function verifyRequest(request: Request, body: Uint8Array | undefined, { clock }: { readonly clock: Clock }): Promise<VerifiedRequest> {
  const der = fromBase64(request.headers.get('client-cert')?.match(/^:(.*):$/)?.[1] ?? '');
  if (der === undefined || der.length === 0) throw unsigned();
  const certificate = toPem('CERTIFICATE', der);
  let facts;
  try {
    facts = readCertificate(certificate);
  } catch {
    throw unsigned();
  }
  const { nonce, created } = await verified(request, { body, clock, keyId: facts.fingerprint, spki: facts.spki });
  return { certificate, nonce, created };
}

/** The same for a mailbox key. */
export async function verifyMailboxRequest(request: Request, body: Uint8Array | undefined, { clock }: { readonly clock: Clock }): Promise<VerifiedMailboxRequest> {
  const publicKey = base64urlHeader(request, 'healthkeep-key');
  const handle = sha256(publicKey);
  const { nonce, created } = await verified(request, { body, clock, keyId: handle, spki: publicKey });
  return { handle: toBase64url(handle), publicKey, nonce, created };
}

async function signed(request: Request, input: { readonly credential: readonly [string, string]; readonly keyId: string; readonly sign: RequestSigner['sign'] } & Seams): Promise<Request> {
  const body = request.body === null ? undefined : new Uint8Array(await request.clone().arrayBuffer());
  const headers = new Headers(request.headers);
  headers.set(...input.credential);
  if (body !== undefined) headers.set('content-digest', contentDigest(body));
  const covered = body === undefined ? COVERED : [...COVERED, 'content-digest'];
  const parameters = `(${covered.map((name) => `"${name}"`).join(' ')});created=${Math.floor(input.clock.now() / 1_000)};nonce="${toBase64url(input.random.bytes(NONCE_BYTES))}";alg="ecdsa-p256-sha256";keyid="${input.keyId}"`;
  const der = await input.sign(signatureBase(request, { covered, parameters, digest: headers.get('content-digest') }));
  const rs = rsOf(der);
  if (rs === undefined) throw new CodedError('KEY_INVALID', 'The key does not make P-256 signatures.');
  headers.set('signature-input', `${LABEL}=${parameters}`);
  headers.set('signature', `${LABEL}=:${toBase64(rs)}:`);
  return new Request(request, { headers, ...(body === undefined ? {} : { body }) });
}

async function verified(
  request: Request,
  { body, clock, keyId, spki }: { readonly body: Uint8Array | undefined; readonly clock: Clock; readonly keyId: Bytes; readonly spki: Bytes },
): Promise<{ readonly nonce: string; readonly created: number }> {
  const input = parseInput(request.headers.get('signature-input'));
  const rs = fromBase64(request.headers.get('signature')?.match(/^healthkeep=:(.*):$/)?.[1] ?? '');
  if (rs?.length !== 64) throw unsigned();
  if (Math.abs(clock.now() / 1_000 - input.created) > CREATED_TOLERANCE_SECONDS) throw new CodedError('REQUEST_STALE', 'The request was signed too long ago or in the future.', { created: input.created });
  const digest = request.headers.get('content-digest');
  const hasBody = body !== undefined && body.length > 0;
  const bodyCovered = input.covered.includes('content-digest');
  if ((hasBody || digest !== null) && !bodyCovered) throw refused();
  if (bodyCovered && digest !== contentDigest(body ?? new Uint8Array(0))) throw refused();
  if (input.keyId !== toBase64url(keyId)) throw refused();
  const base = signatureBase(request, { covered: input.covered, parameters: input.parameters, digest });
  if (!(await verifyDer(spki, base, derOf(rs)))) throw refused();
  return { nonce: input.nonce, created: input.created };
}

const COVERED: readonly string[] = ['@method', '@target-uri'];

/** RFC 9421 section 2.5. */
function signatureBase(request: Request, { covered, parameters, digest }: { readonly covered: readonly string[]; readonly parameters: string; readonly digest: string | null }): Bytes {
  const values: Readonly<Record<string, string | null>> = { '@method': request.method, '@target-uri': request.url.replace(/#.*$/, ''), 'content-digest': digest };
  return utf8(`${covered.map((name) => `"${name}": ${values[name]}\n`).join('')}"@signature-params": ${parameters}`);
}

/** RFC 9530 with SHA-256. */
function contentDigest(body: Uint8Array): string {
  return `sha-256=:${toBase64(sha256(body))}:`;
}

interface SignatureInput {
  readonly covered: readonly string[];
  readonly parameters: string;
  readonly created: number;
  readonly nonce: string;
  readonly keyId: string;
}

/** Our form of Signature-Input only: the components in this order, each parameter exactly once, no others. */
const INPUT = /^healthkeep=(\(("@method" "@target-uri"(?: "content-digest")?)\);created=(\d{1,12});nonce="([A-Za-z0-9_-]{16,64})";alg="ecdsa-p256-sha256";keyid="([A-Za-z0-9_-]{43})")$/;

function parseInput(header: string | null): SignatureInput {
  const [, parameters, components, created, nonce, keyId] = header?.match(INPUT) ?? [];
  if (parameters === undefined || components === undefined || nonce === undefined || keyId === undefined) throw unsigned();
  return { covered: components.replaceAll('"', '').split(' '), parameters, created: Number(created), nonce, keyId };
}

function base64urlHeader(request: Request, name: string): Bytes {
  try {
    const bytes = fromBase64url(request.headers.get(name) ?? '');
    if (bytes.length > 0 && equalBytes(bytes.subarray(0, 1), Uint8Array.of(0x30))) return bytes;
  } catch {
    // Unreadable is the same as absent.
  }
  throw unsigned();
}

function unsigned(): CodedError {
  return new CodedError('REQUEST_UNSIGNED', 'The request carries no signature that can be read.');
}

function refused(): CodedError {
  return new CodedError('REQUEST_SIGNATURE_INVALID', 'The request is not what its caller signed.');
}
