/**
 * Membership (Fabric's MSP): which certificates an organisation vouches for, and in which role. Chain and role depend on
 * the certificate alone and are remembered; revocation and expiry are asked each time.
 */
import type { KeyObject } from 'node:crypto';
import { equalBytes, toHex } from '#base/bytes.ts';
import { isCoded } from '#base/errors.ts';
import { ECDSA_SHA256, parseCertificate, parseRevocationList, type CertificateFields } from '../certificate.ts';
import { mspRole, type FabricMspConfig } from '../protos/config.ts';
import { publicKeyOf, verifyNativeSync } from './native-signer.ts';

export interface Identity {
  readonly mspId: string;
  readonly certificate: CertificateFields;
  readonly key: KeyObject;
  readonly roles: ReadonlySet<number>;
  /** The same for the same certificate of the same organisation. */
  readonly id: string;
}

/** Why an identity is not one of the organisation's; the sentence goes into the error. */
export interface Refusal {
  readonly refused: string;
}

export interface Msp {
  readonly id: string;
  /** The certificate's identity, or why it is none: wrong chain, wrong role, revoked. Expiry is not looked at here. */
  identify(certificatePem: Uint8Array): Identity | Refusal;
}

export const isRefusal = (answer: Identity | Refusal): answer is Refusal => 'refused' in answer;

interface Root {
  readonly certificate: CertificateFields;
  readonly key: KeyObject;
  readonly revoked: ReadonlySet<string>;
}

const REMEMBERED = 20_000;
/** Chain checks by root fingerprint and certificate; the same for every channel and every configuration. */
const memory = new Map<string, Identity | Refusal>();

function remember(key: string, answer: Identity | Refusal): Identity | Refusal {
  if (memory.size >= REMEMBERED) memory.delete(memory.keys().next().value as string);
  memory.set(key, answer);
  return answer;
}

/** Roles by organisational unit (Fabric's NodeOUs): exactly one of the four, and MEMBER for all. */
function rolesOf(units: readonly string[]): ReadonlySet<number> | undefined {
  const byUnit: Readonly<Record<string, number>> = { client: mspRole.client, peer: mspRole.peer, admin: mspRole.admin, orderer: mspRole.orderer };
  const roles = [...new Set(units)].map((unit) => byUnit[unit]).filter((role) => role !== undefined);
  return roles.length === 1 ? new Set([mspRole.member, roles[0] as number]) : undefined;
}

function judge(mspId: string, root: Root, certificate: CertificateFields): Identity | Refusal {
  if (certificate.isAuthority) return { refused: 'A certificate authority cannot act as an identity.' };
  if (certificate.signatureAlgorithm !== ECDSA_SHA256 || !verifyNativeSync(root.key, certificate.signedPart, certificate.signature)) return { refused: `The certificate was not issued by the root of ${mspId}.` };
  if (certificate.notBefore < root.certificate.notBefore || certificate.notBefore > root.certificate.notAfter) return { refused: 'The certificate begins outside the life of its root.' };
  const roles = rolesOf(certificate.organizationalUnits);
  if (roles === undefined) return { refused: 'The certificate must carry exactly one of the organisational units client, peer, admin, orderer.' };
  const key = publicKeyOf(certificate.spki);
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') return { refused: 'The key of the certificate is not P-256.' };
  return { mspId, certificate, key, roles, id: `${mspId}\0${toHex(certificate.fingerprint)}` };
}

function findRoot(roots: readonly Root[], certificate: CertificateFields): Root | undefined {
  return roots.find((root) => equalBytes(root.certificate.subject, certificate.issuer) && (certificate.authorityKeyId === '' || root.certificate.subjectKeyId === '' || root.certificate.subjectKeyId === certificate.authorityKeyId));
}

function rootOf(pem: Uint8Array, lists: FabricMspConfig['revocationList']): Root {
  const certificate = parseCertificate(pem);
  const key = publicKeyOf(certificate.spki);
  const revoked = new Set<string>();
  for (const text of lists) {
    const list = parseRevocationList(text);
    const ours = equalBytes(list.issuer, certificate.subject) && list.signatureAlgorithm === ECDSA_SHA256 && verifyNativeSync(key, list.signedPart, list.signature);
    if (ours) for (const serial of list.revoked) revoked.add(serial);
  }
  return { certificate, key, revoked };
}

/** Where a PEM certificate's signature ends: 16 characters of chance that tell certificates apart. */
const TAIL = { from: -52, to: -36 } as const;
const RECENT = 256;

/** Answers for whole byte strings, found by a short piece of them and then compared in full: cheaper than a key of a kilobyte. */
function createRecent<T>(): { get(bytes: Buffer): T | undefined; set(bytes: Buffer, answer: T): void } {
  const entries = new Map<string, { readonly bytes: Buffer; readonly answer: T }>();
  const pieceOf = (bytes: Buffer): string => bytes.toString('latin1', Math.max(0, bytes.length + TAIL.from), Math.max(0, bytes.length + TAIL.to));
  return {
    get: (bytes) => {
      const entry = entries.get(pieceOf(bytes));
      return entry?.bytes.equals(bytes) === true ? entry.answer : undefined;
    },
    set: (bytes, answer) => {
      if (entries.size >= RECENT) entries.delete(entries.keys().next().value as string);
      entries.set(pieceOf(bytes), { bytes: Buffer.from(bytes), answer });
    },
  };
}

/** An organisation's MSP from its definition in the channel configuration. Throws LEDGER_MALFORMED. */
export function createMsp(config: FabricMspConfig): Msp {
  const roots = config.rootCerts.map((pem) => rootOf(pem, config.revocationList));
  const recent = createRecent<Identity | Refusal>();
  const fingerprints = roots.map((root) => toHex(root.certificate.fingerprint)).join();
  const chain = (pem: Uint8Array): Identity | Refusal => {
    const text = Buffer.from(pem.buffer, pem.byteOffset, pem.length);
    const known = recent.get(text);
    if (known !== undefined) return known;
    const answer = remembered(text);
    recent.set(text, answer);
    return answer;
  };
  const remembered = (pem: Buffer): Identity | Refusal => {
    const memo = `${config.name}\0${fingerprints}\0${pem.toString('latin1')}`;
    const known = memory.get(memo);
    if (known !== undefined) return known;
    try {
      const certificate = parseCertificate(pem);
      const root = findRoot(roots, certificate);
      return remember(memo, root === undefined ? { refused: `The certificate was not issued by the root of ${config.name}.` } : judge(config.name, root, certificate));
    } catch (error) {
      if (isCoded(error)) return remember(memo, { refused: `The certificate cannot be read: ${error.message}` });
      throw error;
    }
  };
  return {
    id: config.name,
    identify: (pem) => {
      const answer = chain(pem);
      if (isRefusal(answer)) return answer;
      const root = findRoot(roots, answer.certificate);
      return root?.revoked.has(answer.certificate.serialHex) ? { refused: 'The certificate has been revoked.' } : answer;
    },
  };
}
