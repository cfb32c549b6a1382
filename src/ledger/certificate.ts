/** What an MSP reads from X.509 certificates and revocation lists (RFC 5280). Parsing only: trust is decided in `embedded/msp.ts`. */
import { fromUtf8, toHex, utf8, type Bytes } from '#base/bytes.ts';
import { derElements, derOne, derTag, derTime, oidText, pemToDer, type DerElement } from './der.ts';
import { sha256 } from './sha256.ts';
import { CodedError } from '#base/errors.ts';

export interface CertificateFields {
  readonly der: Bytes;
  /** The part under the issuer's signature. */
  readonly signedPart: Uint8Array;
  readonly signature: Uint8Array;
  readonly signatureAlgorithm: string;
  readonly serialHex: string;
  /** Whole DER names, for comparison. */
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly commonName: string;
  readonly org: string;
  readonly organizationalUnits: readonly string[];
  readonly notBefore: number;
  readonly notAfter: number;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  readonly isAuthority: boolean;
  readonly subjectKeyId: string;
  readonly authorityKeyId: string;
  /** Fabric's attribute extension 1.2.3.4.5.6.7.8.1: raw JSON `{"attrs":{…}}`. */
  readonly attributes: Readonly<Record<string, string>>;
  /** SHA-256 of the DER. */
  readonly fingerprint: Bytes;
}

const oid = { commonName: '2.5.4.3', organization: '2.5.4.10', organizationalUnit: '2.5.4.11', basicConstraints: '2.5.29.19', subjectKeyId: '2.5.29.14', authorityKeyId: '2.5.29.35', attributes: '1.2.3.4.5.6.7.8.1' };
/** ecdsa-with-SHA256 */
export const ECDSA_SHA256 = '1.2.840.10045.4.3.2';

const at = (elements: readonly DerElement[], index: number): DerElement => {
  const element = elements[index];
  if (element === undefined) throw new CodedError('LEDGER_MALFORMED', 'The certificate lacks a part.');
  return element;
};

function nameParts(name: DerElement): Map<string, string[]> {
  const parts = new Map<string, string[]>();
  for (const set of derElements(name.content)) {
    for (const pair of derElements(set.content)) {
      const [type, value] = derElements(pair.content);
      if (type === undefined || value === undefined) continue;
      const key = oidText(type.content);
      parts.set(key, [...(parts.get(key) ?? []), fromUtf8(value.content)]);
    }
  }
  return parts;
}

function extensionsOf(parts: readonly DerElement[]): Map<string, Uint8Array> {
  const out = new Map<string, Uint8Array>();
  const wrapper = parts.find((part) => part.tag === 0xa3);
  if (wrapper === undefined) return out;
  for (const extension of derElements(derOne(wrapper.content, derTag.sequence).content)) {
    const fields = derElements(extension.content);
    const value = fields.find((field) => field.tag === derTag.octetString);
    if (value !== undefined) out.set(oidText(at(fields, 0).content), value.content);
  }
  return out;
}

function attributesOf(raw: Uint8Array | undefined): Record<string, string> {
  if (raw === undefined) return {};
  try {
    const parsed = JSON.parse(fromUtf8(raw)) as { attrs?: Record<string, unknown> };
    const attributes: Record<string, string> = {};
    for (const [name, value] of Object.entries(parsed.attrs ?? {})) if (typeof value === 'string') attributes[name] = value;
    return attributes;
  } catch (cause) {
    throw new CodedError('LEDGER_MALFORMED', 'The attribute extension of the certificate is not the JSON that Fabric expects.', {}, { cause });
  }
}

function keyIdOf(raw: Uint8Array | undefined, tag: number): string {
  if (raw === undefined) return '';
  if (tag === derTag.octetString) return toHex(derOne(raw, derTag.octetString).content);
  const keyId = derElements(derOne(raw, derTag.sequence).content).find((part) => part.tag === 0x80);
  return keyId === undefined ? '' : toHex(keyId.content);
}

/** BIT STRING content without its count of unused bits. */
const bits = (element: DerElement): Uint8Array => element.content.subarray(1);

/** Fields of a PEM certificate. Throws LEDGER_MALFORMED. */
export function parseCertificate(pem: string | Uint8Array): CertificateFields {
  const der = pemToDer(typeof pem === 'string' ? pem : fromUtf8(pem), 'CERTIFICATE');
  const [tbs, algorithm, signature] = derElements(derOne(der, derTag.sequence).content);
  if (tbs === undefined || algorithm === undefined || signature === undefined) throw new CodedError('LEDGER_MALFORMED', 'The certificate lacks a part.');
  const parts = derElements(tbs.content).filter((part) => part.tag !== 0xa0);
  const [serial, , issuer, validity, subject, spki] = parts;
  if (serial === undefined || issuer === undefined || validity === undefined || subject === undefined || spki === undefined) throw new CodedError('LEDGER_MALFORMED', 'The certificate lacks a part.');
  const names = nameParts(subject);
  const times = derElements(validity.content);
  const extensions = extensionsOf(parts);
  const constraints = extensions.get(oid.basicConstraints);
  return {
    der, signedPart: tbs.whole, signature: bits(signature), signatureAlgorithm: oidText(at(derElements(algorithm.content), 0).content),
    serialHex: serialText(serial), issuer: issuer.whole, subject: subject.whole,
    commonName: names.get(oid.commonName)?.[0] ?? '', org: names.get(oid.organization)?.[0] ?? '', organizationalUnits: names.get(oid.organizationalUnit) ?? [],
    notBefore: derTime(at(times, 0)), notAfter: derTime(at(times, 1)), spki: spki.whole,
    isAuthority: constraints !== undefined && derElements(derOne(constraints, derTag.sequence).content).some((part) => part.tag === 0x01 && part.content[0] === 0xff),
    subjectKeyId: keyIdOf(extensions.get(oid.subjectKeyId), derTag.octetString), authorityKeyId: keyIdOf(extensions.get(oid.authorityKeyId), derTag.sequence),
    attributes: attributesOf(extensions.get(oid.attributes)), fingerprint: sha256(der),
  };
}

const serialText = (serial: DerElement): string => toHex(serial.content).replace(/^(00)+(?=.)/, '');

export interface RevocationList {
  readonly signedPart: Uint8Array;
  readonly signature: Uint8Array;
  readonly signatureAlgorithm: string;
  readonly issuer: Uint8Array;
  readonly authorityKeyId: string;
  /** Serial numbers, lower-case hexadecimal without leading zero bytes. */
  readonly revoked: ReadonlySet<string>;
}

/** Fields of a PEM revocation list (label `X509 CRL`). Throws LEDGER_MALFORMED. */
export function parseRevocationList(pem: string | Uint8Array): RevocationList {
  const der = pemToDer(typeof pem === 'string' ? pem : fromUtf8(pem), 'X509 CRL');
  const [tbs, algorithm, signature] = derElements(derOne(der, derTag.sequence).content);
  if (tbs === undefined || algorithm === undefined || signature === undefined) throw new CodedError('LEDGER_MALFORMED', 'The revocation list lacks a part.');
  // TBSCertList: version?, signature, issuer, thisUpdate, nextUpdate?, revokedCertificates?, [0] extensions?
  const parts = derElements(tbs.content).filter((part) => part.tag !== derTag.integer);
  const issuer = at(parts, 1);
  const entries = parts.slice(2).find((part) => part.tag === derTag.sequence);
  const revoked = new Set<string>();
  for (const entry of entries === undefined ? [] : derElements(entries.content)) revoked.add(serialText(at(derElements(entry.content), 0)));
  const wrapper = parts.find((part) => part.tag === 0xa0);
  const extensions = wrapper === undefined ? new Map<string, Uint8Array>() : extensionsOf([{ ...wrapper, tag: 0xa3 }]);
  return {
    signedPart: tbs.whole, signature: bits(signature), signatureAlgorithm: oidText(at(derElements(algorithm.content), 0).content),
    issuer: issuer.whole, authorityKeyId: keyIdOf(extensions.get(oid.authorityKeyId), derTag.sequence), revoked,
  };
}

/** PEM text as the bytes that travel in a SerializedIdentity. */
export const pemBytes = (pem: string): Bytes => utf8(pem);
