/** Whom a certificate stands for: chain to a user organisation's root, role, validity, revocation. */
import { toBase64url } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { Clock } from '#base/ports.ts';
import { sha256 } from '#crypto/digest.ts';
import { readCertificate, verifyChain } from '#crypto/x509.ts';
import { Digest, OrgId } from '#model/ids.ts';
import type { Consortium } from '../consortium.ts';

export interface Person {
  /** The user organisation that vouches for the person. */
  readonly org: OrgId;
  /** Pairwise pseudonym. */
  readonly name: string;
  /** SHA-256 of the certificate's SubjectPublicKeyInfo. */
  readonly key: Digest;
}

export interface People {
  /** Throws SIGNATURE_INVALID for a certificate that is no person's, CERTIFICATE_REVOKED, REVOCATION_UNKNOWN. */
  person(certificate: string): Promise<Person>;
}

export function createPeople({ consortium, clock }: { readonly consortium: Pick<Consortium, 'findMember' | 'isRevoked'>; readonly clock: Clock }): People {
  return {
    async person(certificate) {
      const facts = readCertificate(certificate);
      const org = OrgId.safeParse(facts.org).data;
      const root = org?.startsWith('UO-') === true ? (await consortium.findMember(org))?.rootCertificate : undefined;
      const good = org !== undefined && root !== undefined && facts.attributes['hk.role'] === 'person' && (await verifyChain(certificate, root, clock.now()));
      if (!good) throw new CodedError('SIGNATURE_INVALID', 'The certificate is not a valid one of a person.');
      if (await consortium.isRevoked(org, facts.serialHex)) throw new CodedError('CERTIFICATE_REVOKED', 'The certificate was revoked.');
      return { org, name: facts.commonName, key: Digest.parse(toBase64url(sha256(facts.spki))) };
    },
  };
}
