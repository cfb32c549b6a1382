/**
 * What the doorman remembers of the certificates it issued. This is what the certificate authority itself knows (docs/privacy.md):
 * which enrolment asked for which names, and nothing of who a person is; the enrolment code came from outside.
 */
import { toBase64url, type Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { Clock, KeyValueStore } from '#base/ports.ts';
import { sha256 } from '#crypto/digest.ts';
import { readCertificate, readCsr, type CertificateAuthority } from '#crypto/x509.ts';
import { CallerId } from '#model/ids.ts';
import { PAIRWISE_RENEW_DAYS, validityMonth } from '#model/orgs.ts';
import { z } from 'zod';
import { commit, kept, type Change } from '../kept.ts';

export const CertificateUse = z.enum(['enrolment', 'pairwise', 'one-time']);
export type CertificateUse = z.infer<typeof CertificateUse>;

const CertificateRow = z
  .strictObject({
    use: CertificateUse,
    /** Fingerprint of the enrolment certificate that asked; its own for an enrolment. */
    enrolment: CallerId,
    name: z.string(),
    serialHex: z.string(),
    /** UTC milliseconds. */
    notAfter: z.int(),
    pem: z.string(),
    /** For good: the key gets no other certificate, also when the list has forgotten the expired one. */
    revoked: z.literal(true).optional(),
  })
  .readonly();
export type CertificateRow = z.infer<typeof CertificateRow>;

/** A wish checked as far as it can be without the store. */
interface Wish {
  readonly name: string;
  readonly spki: Bytes;
  readonly keyDigest: string;
  readonly use: CertificateUse;
  /** Undefined for an enrolment, which is its own. */
  readonly enrolment: CallerId | undefined;
}

export interface Issued {
  readonly fingerprint: CallerId;
  readonly row: CertificateRow;
}

export interface Certificates {
  get(fingerprint: CallerId): Promise<CertificateRow | undefined>;
  /** Every certificate an enrolment asked for, itself included. */
  of(enrolment: CallerId): Promise<readonly CallerId[]>;
  markRevoked(fingerprints: readonly CallerId[]): Promise<void>;
  /**
   * A certificate for the key and name of the request; the same one when it was asked for before, also when it is revoked. A pairwise
   * one in its last days is renewed for the same key. `extra` is written with it.
   * Throws CSR_INVALID, CSR_NAME_TAKEN.
   */
  issue(wish: { readonly csr: string; readonly use: CertificateUse; readonly enrolment?: CallerId; readonly extra?: (issued: Issued) => readonly Change[] }): Promise<Issued>;
}

const DAY_MS = 86_400_000;

/** Random names only: 16 bytes as base64url. Whoever puts a person's name there is refused, because certificates are seen by whole channels. */
const NAME = /^[A-Za-z0-9_-]{22}$/;

export function openCertificates(options: { readonly store: KeyValueStore; readonly ca: CertificateAuthority; readonly clock: Clock; readonly days: number }): Certificates {
  const { store, ca, clock, days } = options;
  // Fabric judges a chain at the moment its leaf begins, so none may begin before the root.
  const rootFrom = readCertificate(ca.certificate).notBefore;
  const rows = kept(store, 'doorman/certificate/', CertificateRow);
  const keys = kept(store, 'doorman/key/', z.strictObject({ certificate: CallerId }));
  const names = kept(store, 'doorman/name/', z.strictObject({ enrolment: CallerId, use: CertificateUse }));
  const owned = kept(store, 'doorman/owned/', z.strictObject({}));

  const checkName = async (wish: Wish): Promise<void> => {
    const taken = await names.get(wish.name);
    // A pairwise name may be certified again for a new key of the same person; any other name belongs to one key.
    const renewal = taken?.use === 'pairwise' && wish.use === 'pairwise' && taken.enrolment === wish.enrolment;
    if (taken !== undefined && !renewal) throw new CodedError('CSR_NAME_TAKEN', 'The name in the certificate request belongs to another certificate.');
  };

  return {
    get: (fingerprint) => rows.get(fingerprint),
    async of(enrolment) {
      const found = await owned.list({ prefix: `${enrolment}/` });
      return found.map(([id]) => CallerId.parse(id.slice(enrolment.length + 1)));
    },
    async markRevoked(fingerprints) {
      const found = await Promise.all(fingerprints.map(async (fingerprint) => [fingerprint, await rows.get(fingerprint)] as const));
      await commit(store, ...found.flatMap(([fingerprint, row]) => (row === undefined ? [] : [rows.put(fingerprint, { ...row, revoked: true as const })])));
    },
    async issue({ csr, use, enrolment, extra }) {
      const wish = await readWish(csr, use, enrolment);
      const before = await keys.get(wish.keyDigest);
      const known = before === undefined ? undefined : await rows.get(before.certificate);
      if (before !== undefined && known !== undefined) {
        if (known.use !== use || known.name !== wish.name || (enrolment !== undefined && known.enrolment !== enrolment)) throw keyReused();
        const renewFrom = known.notAfter - (use === 'pairwise' ? PAIRWISE_RENEW_DAYS * DAY_MS : 0);
        if (known.revoked === true || clock.now() < renewFrom) return { fingerprint: before.certificate, row: known };
      } else await checkName(wish);
      const pem = await ca.issue({ commonName: wish.name, organizationalUnit: 'client', attributes: { 'hk.role': 'person' }, publicKey: wish.spki, notBefore: Math.max(validityMonth(clock.now()), rootFrom), days });
      const facts = readCertificate(pem);
      const fingerprint = CallerId.parse(toBase64url(facts.fingerprint));
      const row: CertificateRow = { use, enrolment: enrolment ?? fingerprint, name: wish.name, serialHex: facts.serialHex, notAfter: facts.notAfter, pem };
      const issued = { fingerprint, row };
      const changes = [rows.put(fingerprint, row), keys.put(wish.keyDigest, { certificate: fingerprint }), names.put(wish.name, { enrolment: row.enrolment, use }), owned.put(`${row.enrolment}/${fingerprint}`, {})];
      await commit(store, ...changes, ...(extra?.(issued) ?? []));
      return issued;
    },
  };
}

async function readWish(csr: string, use: CertificateUse, enrolment: CallerId | undefined): Promise<Wish> {
  const { commonName, publicKeySpki } = await readCsr(csr);
  if (!NAME.test(commonName)) throw new CodedError('CSR_INVALID', 'The name in the certificate request is not 16 random bytes as base64url.', { next: 'Make a request whose common name is 22 base64url characters.' });
  return { name: commonName, spki: publicKeySpki, keyDigest: toBase64url(sha256(publicKeySpki)), use, enrolment };
}

function keyReused(): CodedError {
  return new CodedError('CSR_INVALID', 'The key of the certificate request is used by another certificate.', { why: 'One key under two names would link them.', next: 'Make a new key for each certificate.' });
}
