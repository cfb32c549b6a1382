/**
 * The doorman: turns a one-time code and a request made on the device into a certificate, gives the pairwise and one-time
 * certificates a person asks for later, and revokes. Keys never come here, and no name ever should.
 */
import type { userOrgEndpoints } from '#api/endpoints.ts';
import type { Handlers } from '#api/handlers.ts';
import type { HttpCaller } from '#api/caller.ts';
import { equalBytes, toBase64url, utf8 } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { Clock, KeyValueStore, Random } from '#base/ports.ts';
import { sha256 } from '#crypto/digest.ts';
import { readCertificate, readCsr, type CertificateAuthority } from '#crypto/x509.ts';
import { CallerId, instant } from '#model/ids.ts';
import { z } from 'zod';
import { commit, kept } from '../kept.ts';
import type { Metrics } from '../metrics.ts';
import { createTurnstile } from '../turnstile.ts';
import type { CertificateRow, Certificates, CertificateUse, Issued } from './certificates.ts';
import type { Revocations } from './revocations.ts';

export interface DoormanOptions {
  readonly store: KeyValueStore;
  readonly ca: CertificateAuthority;
  readonly certificates: Certificates;
  readonly revocations: Revocations;
  readonly clock: Clock;
  readonly random: Random;
  readonly metrics: Metrics;
}

type Doorman = Pick<Handlers<typeof userOrgEndpoints>, 'inviteCode' | 'enrol' | 'certificates' | 'revoke' | 'crl'>;

const CODE_DAYS = 7;
const DAY_MS = 86_400_000;
/** Crockford's base32: no letter that is mistaken for a digit when a code is read aloud. */
const CODE_ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const CODE_LETTERS = 26;

/** Only the digest of a code is kept; it becomes an enrolment once. */
const CodeRow = z.strictObject({ expiresAt: z.int(), enrolment: CallerId.optional() }).readonly();

export function createDoorman(options: DoormanOptions): Doorman {
  const { store, ca, clock, random, certificates, revocations, metrics } = options;
  const codes = kept(store, 'doorman/code/', CodeRow);
  const turnstile = createTurnstile();
  /** Names and keys must stay unique, so requests are taken one at a time. */
  const alone = <T>(work: () => Promise<T>): Promise<T> => turnstile.run('issue', work);

  const issue = async (csr: string, use: CertificateUse, enrolment: CallerId): Promise<string> => {
    const { row } = await certificates.issue({ csr, use, enrolment });
    refuseRevoked(revocations, row);
    metrics.count('healthkeep_certificates_asked_total', { use });
    return row.pem;
  };

  return {
    async inviteCode() {
      const code = newCode(random);
      const expiresAt = clock.now() + CODE_DAYS * DAY_MS;
      await commit(store, codes.put(codeId(code), { expiresAt }));
      metrics.count('healthkeep_enrolment_codes_total');
      return { code, expiresAt: instant(expiresAt) };
    },
    enrol: ({ body }) =>
      alone(async () => {
        const id = codeId(body.code);
        const code = await codes.get(id);
        if (code === undefined || (code.enrolment === undefined && code.expiresAt < clock.now())) throw codeUnknown();
        const spend = (issued: Issued) => [codes.put(id, { ...code, enrolment: issued.fingerprint })];
        const row = code.enrolment === undefined ? (await certificates.issue({ csr: body.csr, use: 'enrolment', extra: spend })).row : await spentOn(certificates, code.enrolment, body.csr);
        refuseRevoked(revocations, row);
        metrics.count('healthkeep_certificates_asked_total', { use: 'enrolment' });
        return { certificate: row.pem, root: ca.certificate };
      }),
    certificates: ({ body, caller }) =>
      alone(async () => {
        const enrolment = await enrolmentOf(certificates, caller);
        const issued: string[] = [];
        for (const csr of body.csrs) issued.push(await issue(csr, body.use, enrolment));
        return { certificates: issued };
      }),
    revoke: ({ body, caller }) =>
      alone(async () => {
        const wanted = await revocable(certificates, body.fingerprints, caller);
        await certificates.markRevoked([...wanted.keys()]);
        await revocations.revoke([...wanted.values()]);
        metrics.count('healthkeep_certificates_revoked_total', {}, wanted.size);
        return { revoked: wanted.size };
      }),
    crl({ headers }) {
      const { pem, etag } = revocations.current();
      if (headers.get('if-none-match') === etag) return new Response(null, { status: 304, headers: { etag } });
      return new Response(pem, { headers: { 'content-type': 'text/plain; charset=utf-8', etag } });
    },
  };
}

/** The certificate a code was spent on, for the key it was spent on: the answer may have been lost. For any other key the code is nothing. */
async function spentOn(certificates: Certificates, enrolment: CallerId, csr: string): Promise<CertificateRow> {
  const row = await certificates.get(enrolment);
  const { publicKeySpki } = await readCsr(csr);
  if (row === undefined || !equalBytes(readCertificate(row.pem).spki, publicKeySpki)) throw codeUnknown();
  return row;
}

/** The enrolment behind a caller. Pairwise and one-time certificates may not ask: that would show them to belong together. */
async function enrolmentOf(certificates: Certificates, caller: HttpCaller): Promise<CallerId> {
  const row = await certificates.get(caller.id);
  if (row?.use !== 'enrolment') throw new CodedError('CALLER_REFUSED', 'Only an enrolment certificate may ask for this.', { next: 'Sign the request with the enrolment certificate.' });
  return caller.id;
}

/** What the caller may revoke of what it named. Others' certificates are passed over as if they did not exist. An enrolment takes all of its certificates along. */
async function revocable(certificates: Certificates, fingerprints: readonly CallerId[], caller: HttpCaller): Promise<ReadonlyMap<CallerId, CertificateRow>> {
  const own = caller.role === 'person' ? await enrolmentOf(certificates, caller) : undefined;
  const found = new Map<CallerId, CertificateRow>();
  for (const fingerprint of fingerprints) {
    const row = await certificates.get(fingerprint);
    if (row === undefined || (own !== undefined && row.enrolment !== own)) continue;
    const all = row.use === 'enrolment' ? await certificates.of(fingerprint) : [fingerprint];
    for (const one of all) {
      const each = await certificates.get(one);
      if (each !== undefined) found.set(one, each);
    }
  }
  return found;
}

function refuseRevoked(revocations: Revocations, { serialHex, revoked }: CertificateRow): void {
  if (revoked === true || revocations.isRevoked(serialHex)) throw new CodedError('CERTIFICATE_REVOKED', 'The certificate of this key was revoked.', { next: 'Make a new key and ask again.' });
}

function newCode(random: Random): string {
  const letters = [...random.bytes(CODE_LETTERS)].map((byte) => CODE_ALPHABET[byte % 32]);
  return letters.join('').replace(/(.{5})(?=.)/g, '$1-');
}

/** Codes are typed by people: case, spaces and dashes do not count, and O, I, L are read as digits. */
function codeId(code: string): string {
  const plain = code.toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1');
  return toBase64url(sha256(utf8(`healthkeep/v1/code ${plain}`)));
}

/** One answer for unknown, expired and spent: a guesser learns nothing. */
function codeUnknown(): CodedError {
  return new CodedError('ENROLMENT_CODE_UNKNOWN', 'The enrolment code is not known, has expired, or was used.');
}
