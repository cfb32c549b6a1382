/**
 * Certificates (RFC 5280) as Fabric's MSP reads them: P-256, low-S signatures, subject CN/OU/O, attributes as raw JSON
 * in extension 1.2.3.4.5.6.7.8.1. Serial numbers are random and validity counts whole UTC days, so that a
 * certificate says nothing about when or in which order it was asked for.
 */
import { equalBytes, fromHex, toHex, u64, utf8, type Bytes } from '#base/bytes.ts';
import { canonicalBytes } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import type { Clock, Random } from '#base/ports.ts';
import { boundedCache } from './cache.ts';
import { KEY_USAGE, OID, TLS_OID, isP256Spki, readCertificate, readName, readSigned, type CertificateFacts } from './certificate.ts';
import { TAG, bitString, contextTag, der, inside, integer, readInteger, readTime, sequence, time } from './der.ts';
import { exportPrivateKey, generateSigningKey, importPrivateKey, importPublicKey, signLowS, spki } from './keys.ts';
import { fromPem, toPem } from './pem.ts';
import { primitives } from './primitives.ts';

export { readCertificate } from './certificate.ts';
export type { CertificateFacts } from './certificate.ts';

export interface CertificateRequest {
  readonly commonName: string;
  /** Fabric's NodeOU: `client`, `peer`, `admin` or `orderer`. */
  readonly organizationalUnit: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** A public key or its SubjectPublicKeyInfo bytes. */
  readonly publicKey: CryptoKey | Uint8Array;
  /** UTC milliseconds; rounded down to a whole day. */
  readonly notBefore: number;
  readonly days: number;
  /** For TLS: the names and IPv4 addresses under which its holder is reached. The certificate then serves servers and clients. */
  readonly hosts?: readonly string[];
}

export type Revocation = { readonly serialHex: string; readonly at: number } | { readonly certificate: string; readonly at: number };

/** The root of one organisation. Its private key never leaves this object but by `privateKeyPkcs8`. */
export interface CertificateAuthority {
  readonly org: string;
  /** PEM. */
  readonly certificate: string;
  /** A certificate in PEM. Throws KEY_INVALID for an unreadable key. */
  issue(request: CertificateRequest): Promise<string>;
  /** The revocation list in PEM, valid for 30 days from `at` (UTC milliseconds). */
  issueCrl(revoked: readonly Revocation[], at: number): Promise<string>;
  privateKeyPkcs8(): Promise<Bytes>;
}

export interface RevocationList {
  /** Issuer name as DER. */
  readonly issuerName: Bytes;
  /** UTC milliseconds. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  /** Serial numbers as in `CertificateFacts.serialHex`, with the time of revocation. */
  readonly revoked: ReadonlyMap<string, number>;
  readonly signedBytes: Bytes;
  readonly signature: Bytes;
}

const DAY_MS = 86_400_000;
const CRL_DAYS = 30;
const ROOT_DAYS = 3_653;
const ALGORITHM = sequence(OID.ecdsaSha256);
const CRITICAL = der(TAG.boolean, Uint8Array.of(0xff));
const VERSION_3 = der(contextTag(0), integer(Uint8Array.of(2)));
const systemRandom: Random = { bytes: (length) => crypto.getRandomValues(new Uint8Array(length)) };

/** A new root with a new key, valid for ten years unless said otherwise. */
export async function createAuthority(input: {
  readonly org: string;
  readonly commonName: string;
  readonly clock: Clock;
  readonly random?: Random;
  readonly validDays?: number;
}): Promise<CertificateAuthority> {
  const random = input.random ?? systemRandom;
  const keys = await generateSigningKey();
  const publicSpki = await spki(keys.publicKey);
  const name = distinguishedName({ commonName: input.commonName, org: input.org });
  const certificate = await signedPem('CERTIFICATE', keys.privateKey, [
    VERSION_3,
    serialNumber(random),
    ALGORITHM,
    name,
    validity(input.clock.now(), input.validDays ?? ROOT_DAYS),
    name,
    publicSpki,
    extensions(3, [
      extension(OID.basicConstraints, sequence(CRITICAL, integer(Uint8Array.of(0))), { critical: true }),
      keyUsage(KEY_USAGE.digitalSignature | KEY_USAGE.certificateSign | KEY_USAGE.crlSign),
      subjectKeyId(publicSpki),
    ]),
  ]);
  return authority({ org: input.org, certificate, privateKey: keys.privateKey, random });
}

/** A root that was saved. Throws CERTIFICATE_INVALID or KEY_INVALID when the parts cannot be read or do not belong together. */
export async function openAuthority(input: { readonly org: string; readonly certificatePem: string; readonly privateKeyPkcs8: Bytes; readonly random?: Random }): Promise<CertificateAuthority> {
  const facts = readCertificate(input.certificatePem);
  const privateKey = await importPrivateKey(input.privateKeyPkcs8, { extractable: true });
  const probe = utf8('healthkeep/v1/authority-probe');
  const fits = await primitives.ecdsaVerify(facts.spki, probe, await primitives.ecdsaSign(privateKey, probe));
  if (!facts.isAuthority || facts.org !== input.org) throw new CodedError('CERTIFICATE_INVALID', 'The certificate is not the root of this organisation.', { org: input.org });
  if (!fits) throw new CodedError('KEY_INVALID', 'The private key is not the one of the root certificate.', { org: input.org });
  return authority({ org: input.org, certificate: input.certificatePem, privateKey, random: input.random ?? systemRandom });
}

function authority({ org, certificate, privateKey, random }: { readonly org: string; readonly certificate: string; readonly privateKey: CryptoKey; readonly random: Random }): CertificateAuthority {
  const root = readCertificate(certificate);
  const authorityKeyId = extension(OID.authorityKeyId, sequence(der(0x80, fromHex(root.subjectKeyId))));
  return {
    org,
    certificate,
    privateKeyPkcs8: () => exportPrivateKey(privateKey),
    async issue(request) {
      const publicSpki = await p256Spki(request.publicKey);
      return signedPem('CERTIFICATE', privateKey, [
        VERSION_3,
        serialNumber(random),
        ALGORITHM,
        root.subjectName,
        validity(request.notBefore, request.days),
        distinguishedName({ commonName: request.commonName, organizationalUnit: request.organizationalUnit, org }),
        publicSpki,
        extensions(3, [
          extension(OID.basicConstraints, sequence(), { critical: true }),
          keyUsage(KEY_USAGE.digitalSignature),
          subjectKeyId(publicSpki),
          authorityKeyId,
          // Fabric's attribute extension: the value is raw JSON, not DER.
          extension(OID.attributes, canonicalBytes({ attrs: request.attributes })),
          ...(request.hosts === undefined ? [] : tlsExtensions(request.hosts)),
        ]),
      ]);
    },
    async issueCrl(revoked, at) {
      const entries = revoked.map((entry) => {
        const serialHex = 'serialHex' in entry ? entry.serialHex : readCertificate(entry.certificate).serialHex;
        return sequence(integer(fromHex(serialHex.padStart(Math.ceil(serialHex.length / 2) * 2, '0'))), time(entry.at));
      });
      // OpenSSL and Fabric read the label X509 CRL only. The number is the second of issue: later lists have higher numbers.
      return signedPem('X509 CRL', privateKey, [
        integer(Uint8Array.of(1)),
        ALGORITHM,
        root.subjectName,
        time(at),
        time(at + CRL_DAYS * DAY_MS),
        ...(entries.length === 0 ? [] : [sequence(...entries)]),
        extensions(0, [authorityKeyId, extension(OID.crlNumber, integer(u64(Math.floor(at / 1_000))))]),
      ]);
    },
  };
}

/** A certificate request (PKCS #10, RFC 2986) in PEM, signed with the key it asks for. */
export async function createCsr(input: { readonly commonName: string; readonly keyPair: CryptoKeyPair }): Promise<string> {
  const name = distinguishedName({ commonName: input.commonName });
  return signedPem('CERTIFICATE REQUEST', input.keyPair.privateKey, [integer(Uint8Array.of(0)), name, await spki(input.keyPair.publicKey), der(contextTag(0))]);
}

/** What a request asks for, after its own signature was checked. Throws CSR_INVALID. */
export async function readCsr(pem: string): Promise<{ readonly commonName: string; readonly publicKeySpki: Bytes }> {
  try {
    const { content, signature } = readSigned(fromPem('CERTIFICATE REQUEST', pem) ?? new Uint8Array(0));
    const [version, subject, publicKey] = inside(content);
    const commonName = readName(subject)(OID.commonName);
    if (readInteger(version) === '0' && commonName !== '' && publicKey !== undefined && (await primitives.ecdsaVerify(publicKey.bytes, content.bytes, signature))) {
      return { commonName, publicKeySpki: publicKey.bytes.slice() };
    }
  } catch {
    // Whatever was unreadable, the answer is the same.
  }
  throw new CodedError('CSR_INVALID', 'The certificate request is not valid.');
}

const knownLinks = boundedCache<Promise<boolean>>(16_384);

/**
 * True when the certificate was issued by this root, is no authority itself, and both are valid at `at` (UTC
 * milliseconds; `undefined` leaves validity out, for proofs older than their certificates). Revocation is the caller's
 * question. Never throws.
 */
export async function verifyChain(pem: string, rootPem: string, at: number | undefined): Promise<boolean> {
  try {
    const leaf = readCertificate(pem);
    const root = readCertificate(rootPem);
    if (leaf.isAuthority || !root.isAuthority || leaf.issuerKeyId === '' || leaf.issuerKeyId !== root.subjectKeyId) return false;
    if (at !== undefined && (!validAt(leaf, at) || !validAt(root, at))) return false;
    if (!equalBytes(leaf.issuerName, root.subjectName) || !equalBytes(root.issuerName, root.subjectName)) return false;
    // A root speaks for its own organisation only.
    if (leaf.org !== root.org) return false;
    return (await issuedBy(root, root)) && (await issuedBy(leaf, root));
  } catch {
    return false;
  }
}

/** What a revocation list says. Throws CRL_INVALID. */
export function readCrl(pem: string): RevocationList {
  try {
    const { content, signature } = readSigned(fromPem('X509 CRL', pem) ?? new Uint8Array(0));
    const [version, , issuer, thisUpdate, nextUpdate, entries] = inside(content);
    if (readInteger(version) === '1' && issuer !== undefined && thisUpdate !== undefined && nextUpdate !== undefined) {
      const revoked = new Map(
        (entries?.tag === TAG.sequence ? inside(entries) : []).map((entry) => {
          const [serial, at] = inside(entry);
          return [readInteger(serial), at === undefined ? 0 : readTime(at)] as const;
        }),
      );
      return { issuerName: issuer.bytes, thisUpdate: readTime(thisUpdate), nextUpdate: readTime(nextUpdate), revoked, signedBytes: content.bytes, signature };
    }
  } catch (cause) {
    throw new CodedError('CRL_INVALID', 'The revocation list cannot be read.', {}, { cause });
  }
  throw new CodedError('CRL_INVALID', 'The revocation list is incomplete.');
}

/** True when the list was signed by this root. Never throws. */
export async function verifyCrl(pem: string, rootPem: string): Promise<boolean> {
  try {
    const list = readCrl(pem);
    const root = readCertificate(rootPem);
    return root.isAuthority && equalBytes(list.issuerName, root.subjectName) && (await primitives.ecdsaVerify(root.spki, list.signedBytes, list.signature));
  } catch {
    return false;
  }
}

/** Remembered, because the same certificates come with every request. */
function issuedBy(certificate: CertificateFacts, root: CertificateFacts): Promise<boolean> {
  return knownLinks.of(`${toHex(certificate.fingerprint)} ${toHex(root.fingerprint)}`, async () => primitives.ecdsaVerify(root.spki, certificate.signedBytes, certificate.signature));
}

function validAt(facts: CertificateFacts, at: number): boolean {
  return at >= facts.notBefore && at <= facts.notAfter;
}

/** SIGNED content: sequence(content, algorithm, signature). */
async function signedPem(label: string, privateKey: CryptoKey, parts: readonly Uint8Array[]): Promise<string> {
  const content = sequence(...parts);
  return toPem(label, sequence(content, ALGORITHM, bitString(await signLowS(privateKey, content))));
}

function validity(notBeforeMs: number, days: number): Bytes {
  const first = Math.floor(notBeforeMs / DAY_MS) * DAY_MS;
  return sequence(time(first), time(first + days * DAY_MS));
}

function distinguishedName(parts: { readonly commonName: string; readonly organizationalUnit?: string; readonly org?: string }): Bytes {
  const attribute = (type: Bytes, text: string): Bytes => der(TAG.set, sequence(type, der(TAG.utf8String, utf8(text))));
  return sequence(
    attribute(OID.commonName, parts.commonName),
    ...(parts.organizationalUnit === undefined ? [] : [attribute(OID.organizationalUnit, parts.organizationalUnit)]),
    ...(parts.org === undefined ? [] : [attribute(OID.organization, parts.org)]),
  );
}

/** 128 random bits but for the sign and a leading one, so that all have the same length (RFC 5280 section 4.1.2.2 allows 20 bytes). */
function serialNumber(random: Random): Bytes {
  const bytes = random.bytes(16).slice();
  bytes[0] = ((bytes[0] as number) & 0x7f) | 0x40;
  return integer(bytes);
}

function extension(type: Bytes, value: Uint8Array, options: { readonly critical?: boolean } = {}): Bytes {
  return sequence(type, ...(options.critical === true ? [CRITICAL] : []), der(TAG.octetString, value));
}

function extensions(tag: number, list: readonly Bytes[]): Bytes {
  return der(contextTag(tag), sequence(...list));
}

/** Subject alternative names (RFC 5280 section 4.2.1.6: [2] DNS name, [7] IP address) and the two TLS purposes. */
function tlsExtensions(hosts: readonly string[]): Bytes[] {
  const names = hosts.map((host) => (/^\d+(\.\d+){3}$/.test(host) ? der(0x87, Uint8Array.from(host.split('.'), Number)) : der(0x82, utf8(host))));
  return [extension(TLS_OID.subjectAltName, sequence(...names)), extension(TLS_OID.extendedKeyUsage, sequence(TLS_OID.serverAuth, TLS_OID.clientAuth))];
}

function keyUsage(bits: number): Bytes {
  let unused = 0;
  while (((bits >> unused) & 1) === 0) unused++;
  return extension(OID.keyUsage, der(TAG.bitString, Uint8Array.of(unused, bits)), { critical: true });
}

/** RFC 7093 section 2 method 1: the leftmost 160 bits of SHA-256 of the key bits, the last 65 bytes of the key's DER. */
function subjectKeyId(publicSpki: Bytes): Bytes {
  return extension(OID.subjectKeyId, der(TAG.octetString, primitives.sha256(publicSpki.subarray(publicSpki.length - 65)).subarray(0, 20)));
}

/** The import checks that the point is on the curve, the prefix that it is written in the one form readers accept. */
async function p256Spki(publicKey: CryptoKey | Uint8Array): Promise<Bytes> {
  if (!(publicKey instanceof Uint8Array)) return spki(publicKey);
  await importPublicKey(publicKey as Bytes);
  if (!isP256Spki(publicKey)) throw new CodedError('KEY_INVALID', 'The key to certify is not an uncompressed P-256 point.');
  return publicKey as Bytes;
}
