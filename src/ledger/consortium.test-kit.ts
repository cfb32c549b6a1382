/** Organisations with real certificates for the tests of this room, and a small contract that uses every call of the stub. */
import { createAuthority, type CertificateAuthority } from '#crypto/x509.ts';
import { exportPrivateKey, generateSigningKey } from '#crypto/keys.ts';
import type { Clock } from '#base/ports.ts';
import type { LedgerSigner } from './client.ts';
import { createNativeSigner } from './embedded/native-signer.ts';

export interface TestIdentity {
  readonly mspId: string;
  readonly certificate: string;
  readonly privateKeyPkcs8: Uint8Array;
  readonly signer: LedgerSigner;
}

export interface TestOrg {
  readonly mspId: string;
  readonly ca: CertificateAuthority;
  readonly peer: TestIdentity;
  readonly admin: TestIdentity;
  readonly client: TestIdentity;
  issue(commonName: string, organizationalUnit: string, options?: { readonly days?: number; readonly attributes?: Readonly<Record<string, string>> }): Promise<TestIdentity>;
}

/** An organisation with a root, a peer, an administrator and a client. */
export async function createTestOrg(mspId: string, clock: Clock): Promise<TestOrg> {
  const ca = await createAuthority({ org: mspId, commonName: `${mspId} root`, clock });
  const issue: TestOrg['issue'] = async (commonName, organizationalUnit, { days = 365, attributes = {} } = {}) => {
    const pair = await generateSigningKey();
    const certificate = await ca.issue({ commonName, organizationalUnit, attributes, publicKey: pair.publicKey, notBefore: clock.now(), days });
    const privateKeyPkcs8 = await exportPrivateKey(pair.privateKey);
    return { mspId, certificate, privateKeyPkcs8, signer: createNativeSigner({ mspId, certificate, privateKeyPkcs8 }) };
  };
  return { mspId, ca, issue, peer: await issue('peer', 'peer'), admin: await issue('operator', 'admin'), client: await issue('system', 'client', { attributes: { 'test.role': 'system' } }) };
}
