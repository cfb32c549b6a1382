/**
 * Certificates as the verifier believes them: X.509 (RFC 5280) in strict DER, P-256 keys, low-S signatures, issued directly by
 * the root of the organisation they name. Nothing here is shared with src/: a mistake there must not hide here.
 */
import { createHash, createPublicKey, verify, type KeyObject } from 'node:crypto';

/** `unit` is Fabric's NodeOU, `role` the `hk.role` of Fabric's attribute extension. */
export type Certificate = Readonly<Record<'pem' | 'org' | 'commonName' | 'unit' | 'role' | 'fingerprint', string> & Record<'spki' | 'issuer' | 'subject' | 'signed' | 'signature', Buffer> & { authority: boolean; key: KeyObject }>;

/** Throws what is wrong, in words for the reader; the verifier turns every throw into a refusal. */
export function refuse(why: string): never { throw new Error(why); }
export function check(holds: boolean, why: string): asserts holds { if (!holds) refuse(why); }

const HALF_ORDER = 0x7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8n;

/** ECDSA P-256 with SHA-256; the signature is DER of r and s, and s is the smaller of its two possible values. */
export function signatureHolds(key: KeyObject, message: Buffer, signature: Buffer): boolean {
  const [r, s, ...more] = inside(signature, 0x30);
  if (r === undefined || s === undefined || more.length > 0) return false;
  const numbers = [r, s].map((part) => {
    check(part.tag === 0x02 && part.content.length > 0 && part.content.length <= 33 && part.content[0]! < 0x80, 'A signature is not written as it must be.');
    check(part.content.length === 1 || part.content[0] !== 0 || part.content[1]! >= 0x80, 'A signature is not written as it must be.');
    return BigInt(`0x${part.content.toString('hex')}`);
  });
  return numbers[1]! <= HALF_ORDER && verify('sha256', message, key, signature);
}

/** PEM in the one form it is written in, and the facts of the certificate. */
export function readCertificate(pem: string): Certificate {
  const body = pem.match(/^-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=\n]+)-----END CERTIFICATE-----\n$/)?.[1] ?? refuse('A certificate is not in PEM form.');
  const der = Buffer.from(body.replaceAll('\n', ''), 'base64');
  check(der.toString('base64').replace(/.{64}(?=.)/g, '$&\n') === body.slice(0, -1), 'A certificate is not in PEM form.');
  const [content, algorithm, signature] = exactly(3, inside(der, 0x30));
  const parts = inside(content!.bytes, 0x30);
  const [issuer, , subject, key] = [parts[3]!, parts[4]!, parts[5]!, parts[6]!];
  check(parts.length === 8 && algorithm!.bytes.toString('hex') === ECDSA_SHA256 && parts[2]!.bytes.equals(algorithm!.bytes) && signature!.tag === 0x03 && signature!.content[0] === 0, 'A certificate is not signed with ECDSA and SHA-256.');
  check(key.bytes.length === 91 && key.bytes.toString('hex').startsWith(P256), 'A certificate is not about a P-256 key.');
  const extensions = readExtensions(parts[7]!);
  return {
    pem,
    org: nameOf(subject, '55040a'),
    commonName: nameOf(subject, '550403'),
    unit: nameOf(subject, '55040b'),
    role: roleOf(extensions.get('2a03040506070801')),
    authority: (extensions.get('551d13')?.toString('hex') ?? '').startsWith('30060101ff') && ((extensions.get('551d0f')?.[3] ?? 0) & 0x04) !== 0,
    key: createPublicKey({ key: key.bytes, format: 'der', type: 'spki' }),
    fingerprint: createHash('sha256').update(der).digest('base64url'),
    spki: key.bytes,
    issuer: issuer.bytes,
    subject: subject.bytes,
    signed: content!.bytes,
    signature: signature!.content.subarray(1),
  };
}

/** The root certificate of an organisation, signed by itself. */
export function readRoot(pem: string, org: string): Certificate {
  const root = readCertificate(pem);
  check(root.authority && root.issuer.equals(root.subject) && root.org === org && signatureHolds(root.key, root.signed, root.signature), `The root certificate of ${org} is not a root certificate of ${org}.`);
  return root;
}

/** The certificate speaks for the root's organisation. Validity in time is not asked: proofs outlive certificates. */
export function checkIssued(certificate: Certificate, root: Certificate): void {
  const named = !certificate.authority && certificate.org === root.org && certificate.issuer.equals(root.subject);
  check(named && signatureHolds(root.key, certificate.signed, certificate.signature), `A certificate was not issued by the root of ${root.org}.`);
}

const ECDSA_SHA256 = '300a06082a8648ce3d040302';
const P256 = '3059301306072a8648ce3d020106082a8648ce3d03010703420004';

type Element = { readonly tag: number; readonly content: Buffer; readonly bytes: Buffer };

/** The elements inside the one element these bytes are. */
function inside(bytes: Buffer, tag: number): readonly Element[] {
  const [element] = exactly(1, elements(bytes));
  check(element!.tag === tag, 'A certificate is not written in DER.');
  return elements(element!.content);
}

function elements(bytes: Buffer): readonly Element[] {
  const found: Element[] = [];
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at + 1] ?? refuse('A certificate ends too early.');
    const digits = first < 0x80 ? 0 : first & 0x7f;
    check(first !== 0x80 && digits <= 3 && at + 2 + digits <= bytes.length, 'A certificate is not written in DER.');
    const length = digits === 0 ? first : bytes.readUIntBE(at + 2, digits);
    // One length has one form: the shortest.
    check(digits === 0 || (length >= 0x80 && bytes[at + 2] !== 0), 'A certificate is not written in DER.');
    const end = at + 2 + digits + length;
    check(end <= bytes.length, 'A certificate ends too early.');
    found.push({ tag: bytes[at]!, content: bytes.subarray(at + 2 + digits, end), bytes: bytes.subarray(at, end) });
    at = end;
  }
  return found;
}

function exactly(count: number, list: readonly Element[]): readonly Element[] {
  return list.length === count ? list : refuse('A certificate holds something unexpected.');
}

/** The one value of an attribute in a name; empty when it is absent. */
function nameOf(name: Element, attribute: string): string {
  const values = inside(name.bytes, 0x30).flatMap((set) => {
    const [pair] = exactly(1, inside(set.bytes, 0x31));
    const [type, value] = exactly(2, inside(pair!.bytes, 0x30));
    return type!.content.toString('hex') === attribute ? [value!.content.toString('utf8')] : [];
  });
  check(values.length <= 1, 'A certificate holds a name twice.');
  return values[0] ?? '';
}

/** Values by object identifier (hexadecimal). */
function readExtensions(element: Element): ReadonlyMap<string, Buffer> {
  const [list] = exactly(1, inside(element.bytes, 0xa3));
  const found = new Map<string, Buffer>();
  for (const extension of inside(list!.bytes, 0x30)) {
    const parts = inside(extension.bytes, 0x30);
    const key = parts[0]!.content.toString('hex');
    check(!found.has(key), 'A certificate holds an extension twice.');
    found.set(key, parts.at(-1)!.content);
  }
  return found;
}

function roleOf(value: Buffer | undefined): string {
  if (value === undefined) return '';
  const { attrs } = JSON.parse(value.toString('utf8')) as { readonly attrs: Readonly<Record<string, unknown>> };
  return String(attrs['hk.role'] ?? '');
}
