/** Who calls: the identity in a transaction, as a contract sees it. The twin of Fabric's ClientIdentity, without its cost per call. */
import { fromUtf8 } from '#base/bytes.ts';
import { parseCertificate } from './certificate.ts';
import { sha256 } from './sha256.ts';
import type { ContractStub } from './stub.ts';

export interface CallerIdentity {
  readonly mspId: string;
  readonly commonName: string;
  /** The first OU of the subject: `client`, `peer` or `admin`. */
  readonly organizationalUnit: string;
  /** Fabric's attributes (extension 1.2.3.4.5.6.7.8.1). */
  readonly attributes: Readonly<Record<string, string>>;
  /** SHA-256 of the certificate's DER. */
  readonly fingerprint: Uint8Array;
  /** SHA-256 of the SubjectPublicKeyInfo's DER: the same for every certificate of one key. */
  readonly keyDigest: Uint8Array;
}

const REMEMBERED = 5_000;
const memory = new Map<string, CallerIdentity>();

/** The caller of a transaction. The peer has checked signature, chain and revocation before the contract runs. */
export function callerIdentity(stub: Pick<ContractStub, 'getCreator'>): CallerIdentity {
  const { mspid, idBytes } = stub.getCreator();
  return identityOf(mspid, fromUtf8(idBytes));
}

/** The same facts from an MSP id and a PEM certificate. Throws LEDGER_MALFORMED. */
export function identityOf(mspId: string, certificate: string): CallerIdentity {
  const key = `${mspId}\n${certificate}`;
  const known = memory.get(key);
  if (known !== undefined) return known;
  const fields = parseCertificate(certificate);
  const identity: CallerIdentity = {
    mspId, commonName: fields.commonName, organizationalUnit: fields.organizationalUnits[0] ?? '', attributes: fields.attributes, fingerprint: fields.fingerprint,
    keyDigest: sha256(fields.spki),
  };
  if (memory.size >= REMEMBERED) memory.delete(memory.keys().next().value as string);
  memory.set(key, identity);
  return identity;
}
