/** Certificates (RFC 5280) as facts. P-256 with ECDSA-SHA-256 only; anything else in a healthkeep network is a mistake. */
import { compareBytes, fromHex, fromUtf8, toHex, type Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import { boundedCache } from './cache.ts';
import { TAG, contentOf, contextTag, inside, oid, readBitString, readDer, readInteger, readTime, type Der } from './der.ts';
import { sha256 } from './digest.ts';
import { fromPem } from './pem.ts';
import { isLowS } from './signature.ts';

export interface CertificateFacts {
  /** Subject CN. */
  readonly commonName: string;
  /** Subject O: the organisation's id. */
  readonly org: string;
  /** Subject OU; empty for a root. */
  readonly organizationalUnit: string;
  /** Fabric's attribute extension; empty when absent. */
  readonly attributes: Readonly<Record<string, string>>;
  /** UTC milliseconds, both ends included. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** Lower case, no leading zeros. */
  readonly serialHex: string;
  /** SubjectPublicKeyInfo DER. */
  readonly spki: Bytes;
  /** SHA-256 of the DER bytes. */
  readonly fingerprint: Bytes;
  readonly der: Bytes;
  /** Hexadecimal; empty when the extension is absent. */
  readonly subjectKeyId: string;
  readonly issuerKeyId: string;
  /** Names as DER, to be compared byte by byte. */
  readonly issuerName: Bytes;
  readonly subjectName: Bytes;
  /** CA in basic constraints and allowed to sign certificates. */
  readonly isAuthority: boolean;
  /** What the issuer signed, and its low-S DER signature. */
  readonly signedBytes: Bytes;
  readonly signature: Bytes;
}

export const OID = {
  ecdsaSha256: oid('1.2.840.10045.4.3.2'),
  commonName: oid('2.5.4.3'),
  organization: oid('2.5.4.10'),
  organizationalUnit: oid('2.5.4.11'),
  subjectKeyId: oid('2.5.29.14'),
  keyUsage: oid('2.5.29.15'),
  basicConstraints: oid('2.5.29.19'),
  crlNumber: oid('2.5.29.20'),
  authorityKeyId: oid('2.5.29.35'),
  attributes: oid('1.2.3.4.5.6.7.8.1'),
} as const;

const UNDERSTOOD = new Set(Object.values(OID).map((known) => toHex(known)));

/** Written into TLS certificates for others to read; nothing here judges by them, so a critical one is not understood. */
export const TLS_OID = { subjectAltName: oid('2.5.29.17'), extendedKeyUsage: oid('2.5.29.37'), serverAuth: oid('1.3.6.1.5.5.7.3.1'), clientAuth: oid('1.3.6.1.5.5.7.3.2') } as const;

/** Bits of the first byte of the key usage extension. */
export const KEY_USAGE = { digitalSignature: 0x80, certificateSign: 0x04, crlSign: 0x02 } as const;

const known = boundedCache<CertificateFacts>(8_192);

/** What a certificate says. It proves nothing yet: see `verifyChain`. Throws CERTIFICATE_INVALID. Results are cached. */
export function readCertificate(pem: string): CertificateFacts {
  return known.of(pem, () => {
    try {
      const bytes = fromPem('CERTIFICATE', pem);
      if (bytes !== undefined) return factsOf(bytes);
    } catch (cause) {
      throw new CodedError('CERTIFICATE_INVALID', 'The certificate cannot be read.', {}, { cause });
    }
    throw new CodedError('CERTIFICATE_INVALID', 'The text is not one certificate in PEM form.');
  });
}

/** Content and low-S DER signature of what X.509 calls SIGNED. Throws DER_INVALID, SIGNATURE_INVALID. */
export function readSigned(bytes: Uint8Array): { readonly content: Der; readonly signature: Bytes } {
  const [content, algorithm, signature, ...more] = inside(readDer(bytes));
  const value = readBitString(signature).slice();
  const [algorithmOid, ...parameters] = inside(algorithm);
  if (content === undefined || more.length > 0 || !isOid(algorithmOid, OID.ecdsaSha256) || parameters.length > 0 || !isLowS(value)) {
    throw new CodedError('SIGNATURE_INVALID', 'The signature is not a low-S ECDSA signature over SHA-256.');
  }
  return { content, signature: value };
}

/** Text values by attribute of a Name; each attribute at most once. Throws DER_INVALID, CERTIFICATE_INVALID. */
export function readName(name: Der | undefined): (attribute: Bytes) => string {
  const values = new Map<string, string>();
  for (const set of inside(name)) {
    for (const pair of inside(set, TAG.set)) {
      const [attribute, value] = inside(pair);
      const key = toHex(attribute?.bytes ?? new Uint8Array(0));
      if (value === undefined || (value.tag !== TAG.utf8String && value.tag !== TAG.printableString)) throw new CodedError('CERTIFICATE_INVALID', 'A name holds something that is not text.');
      // A second CN or O could name somebody else to another reader. Several OUs are Fabric CA's custom; the first is the NodeOU.
      if (values.has(key) && key !== toHex(OID.organizationalUnit)) throw new CodedError('CERTIFICATE_INVALID', 'A name holds an attribute twice.');
      if (!values.has(key)) values.set(key, fromUtf8(value.content));
    }
  }
  return (attribute) => values.get(toHex(attribute)) ?? '';
}

export function isOid(element: Der | undefined, wanted: Bytes): boolean {
  return element !== undefined && compareBytes(element.bytes, wanted) === 0;
}

function factsOf(bytes: Bytes): CertificateFacts {
  const { content, signature } = readSigned(bytes);
  const [version, serial, algorithm, issuer, validity, subject, publicKey, ...rest] = inside(content);
  if (readInteger(inside(version, contextTag(0))[0]) !== '2' || !isOid(inside(algorithm)[0], OID.ecdsaSha256)) throw new CodedError('CERTIFICATE_INVALID', 'The certificate is not X.509 version 3 with ECDSA.');
  const [notBefore, notAfter] = inside(validity);
  const name = readName(subject);
  const extensions = readExtensions(rest);
  const spki = p256Key(publicKey);
  if (notBefore === undefined || notAfter === undefined || issuer === undefined || subject === undefined) throw new CodedError('CERTIFICATE_INVALID', 'The certificate is incomplete.');
  return {
    commonName: name(OID.commonName),
    org: name(OID.organization),
    organizationalUnit: name(OID.organizationalUnit),
    attributes: attributesOf(extensions(OID.attributes)),
    notBefore: readTime(notBefore),
    notAfter: readTime(notAfter),
    serialHex: readInteger(serial),
    spki: spki.slice(),
    fingerprint: sha256(bytes),
    der: bytes,
    subjectKeyId: toHex(optional(extensions(OID.subjectKeyId), (value) => contentOf(readDer(value), TAG.octetString))),
    issuerKeyId: toHex(optional(extensions(OID.authorityKeyId), (value) => inside(readDer(value)).find((element) => element.tag === 0x80)?.content)),
    issuerName: issuer.bytes.slice(),
    subjectName: subject.bytes.slice(),
    isAuthority: isCertificateAuthority(extensions),
    signedBytes: content.bytes.slice(),
    signature,
  };
}

type Extensions = (wanted: Bytes) => Bytes | undefined;

/** Extension values by OID. A critical one that is not understood must be refused (RFC 5280 section 4.2). */
function readExtensions(rest: readonly Der[]): Extensions {
  const values = new Map<string, Bytes>();
  for (const extension of rest.length === 0 ? [] : inside(inside(rest.at(-1), contextTag(3))[0])) {
    const parts = inside(extension);
    const key = toHex(parts[0]?.bytes ?? new Uint8Array(0));
    const critical = parts.length === 3 && contentOf(parts[1], TAG.boolean)[0] === 0xff;
    if (values.has(key) || (critical && !UNDERSTOOD.has(key))) throw new CodedError('CERTIFICATE_INVALID', 'The certificate holds an extension twice or a critical one that is not understood.');
    values.set(key, contentOf(parts.at(-1), TAG.octetString));
  }
  return (wanted) => values.get(toHex(wanted));
}

function isCertificateAuthority(extensions: Extensions): boolean {
  const constraints = extensions(OID.basicConstraints);
  const usage = extensions(OID.keyUsage);
  if (constraints === undefined || usage === undefined) return false;
  const [ca] = inside(readDer(constraints));
  const [, bits = 0] = contentOf(readDer(usage), TAG.bitString);
  return ca?.tag === TAG.boolean && ca.content[0] === 0xff && (bits & KEY_USAGE.certificateSign) !== 0;
}

function attributesOf(value: Bytes | undefined): Readonly<Record<string, string>> {
  if (value === undefined) return {};
  const { attrs } = JSON.parse(fromUtf8(value)) as { readonly attrs: Readonly<Record<string, unknown>> };
  const entries = Object.entries(attrs);
  if (entries.some(([, text]) => typeof text !== 'string')) throw new CodedError('CERTIFICATE_INVALID', 'An attribute is not text.');
  return Object.fromEntries(entries) as Record<string, string>;
}

/** What every P-256 SubjectPublicKeyInfo with an uncompressed point begins with (RFC 5480). */
const P256_PREFIX = fromHex('3059301306072a8648ce3d020106082a8648ce3d03010703420004');

/** True for SubjectPublicKeyInfo of an uncompressed P-256 point; whether the point is on the curve shows when the key is used. */
export function isP256Spki(bytes: Uint8Array): boolean {
  return bytes.length === 91 && compareBytes(bytes.subarray(0, P256_PREFIX.length), P256_PREFIX) === 0;
}

function p256Key(element: Der | undefined): Bytes {
  if (element === undefined || !isP256Spki(element.bytes)) throw new CodedError('CERTIFICATE_INVALID', 'The certified key is not P-256.');
  return element.bytes;
}

function optional(value: Bytes | undefined, read: (value: Bytes) => Bytes | undefined): Bytes {
  return (value === undefined ? undefined : read(value)) ?? new Uint8Array(0);
}
