/**
 * The keys of one organisation: its root, its system, operator and peer keys, its HPKE key. Made once, then kept in its
 * own store; nothing of it is ever sent.
 */
import { fromUtf8, utf8, type Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { Clock, KeyValueStore } from '#base/ports.ts';
import { generateHpkeKeyPair, type HpkeKeyPair } from '#crypto/hpke.ts';
import { exportPrivateKey, generateSigningKey, importPrivateKey } from '#crypto/keys.ts';
import { createAuthority, openAuthority, readCertificate, type CertificateAuthority } from '#crypto/x509.ts';
import { createSigner } from '#ledger/signer.ts';
import type { LedgerSigner } from '#ledger/client.ts';
import type { OrgId } from '#model/ids.ts';
import type { Role } from '#model/orgs.ts';
import type { OrgIdentity } from './types.ts';

const CERTIFICATE_DAYS = 365;

/** One key with its certificate, as it is kept. */
export interface KeptIdentity {
  readonly certificate: string;
  readonly privateKeyPkcs8: Bytes;
  readonly signer: LedgerSigner;
}

/** Everything an organisation signs with. `peerKey` is what a ledger engine needs to endorse in its name. */
export interface KeptOrgIdentity extends OrgIdentity {
  readonly operator: LedgerSigner;
  readonly staff: LedgerSigner;
  readonly peerKey: KeptIdentity;
}

interface KeyWish {
  readonly name: string;
  readonly unit: 'client' | 'peer' | 'admin' | 'orderer';
  readonly role?: Role;
  readonly hosts?: readonly string[];
  readonly attributes?: Readonly<Record<string, string>>;
  readonly commonName?: string;
}

/**
 * Opens the organisation's keys, making those that do not exist yet.
 * @throws CodedError ORG_CERTIFICATE_EXPIRED when a kept certificate is past its end.
 */
export async function openOrgIdentity(options: { readonly org: OrgId; readonly store: KeyValueStore; readonly clock: Clock }): Promise<KeptOrgIdentity> {
  const { org, store } = options;
  const ca = await openRoot(options.org, options.store, { clock: options.clock });
  const keep = (wish: KeyWish): Promise<KeptIdentity> => openKey({ ...options, ca, wish });
  const system = await keep({ name: 'system', unit: 'client', role: 'system' });
  const operator = await keep({ name: 'operator', unit: 'admin', role: 'operator' });
  const staff = await keep({ name: 'staff', unit: 'client', role: 'staff' });
  const peerKey = await keep({ name: 'peer', unit: 'peer' });
  const hpke = await openHpke(store);
  return { org, ca, system: system.signer, operator: operator.signer, staff: staff.signer, peer: peerKey.signer, peerKey, hpke };
}

/** The ordering organisation of an embedded ledger: a root and one orderer key. */
export async function openOrdererIdentity(options: { readonly mspId: string; readonly store: KeyValueStore; readonly clock: Clock }): Promise<KeptIdentity & { readonly mspId: string; readonly rootCertificate: string }> {
  const ca = await openRoot(options.mspId, options.store, { clock: options.clock });
  const orderer = await openKey({ org: options.mspId, store: options.store, clock: options.clock, ca, wish: { name: 'orderer', unit: 'orderer' } });
  return { ...orderer, mspId: options.mspId, rootCertificate: ca.certificate };
}

/** One more key of an organisation, such as a further orderer's, under a name of its own. */
export async function openMemberIdentity(options: { readonly org: string; readonly name: string; readonly unit: 'client' | 'peer' | 'admin' | 'orderer'; readonly attributes?: Readonly<Record<string, string>>; readonly commonName?: string; readonly store: KeyValueStore; readonly clock: Clock }): Promise<KeptIdentity & { readonly rootCertificate: string }> {
  const { org, store, clock, name, unit, attributes, commonName } = options;
  const ca = await openRoot(org, store, { clock });
  return { ...(await openKey({ org, store, clock, ca, wish: { name, unit, ...(attributes === undefined ? {} : { attributes }), ...(commonName === undefined ? {} : { commonName }) } })), rootCertificate: ca.certificate };
}

export interface TlsIdentity {
  /** PEM of the authority that clients trust. */
  readonly rootCertificate: string;
  /** PEM. */
  readonly certificate: string;
  readonly privateKeyPkcs8: Bytes;
}

/** A TLS certificate under a name (`tls-peer`, …) from the organisation's TLS root, which is another than the root of its members. Made anew when the hosts change. */
export async function openTlsIdentity(options: { readonly org: string; readonly name: string; readonly hosts: readonly string[]; readonly store: KeyValueStore; readonly clock: Clock }): Promise<TlsIdentity> {
  const { org, store, clock, hosts } = options;
  const ca = await openRoot(org, store, { clock, name: 'tls-root' });
  const wish: KeyWish = { name: options.name, unit: 'client', hosts };
  const kept = await store.get(`${wish.name}/hosts`);
  if (kept === undefined || fromUtf8(kept) !== hosts.join()) await store.write(new Map([[`${wish.name}/certificate`, undefined], [`${wish.name}/key`, undefined], [`${wish.name}/hosts`, utf8(hosts.join())]]));
  const { certificate, privateKeyPkcs8 } = await openKey({ org, store, clock, ca, wish });
  return { rootCertificate: ca.certificate, certificate, privateKeyPkcs8 };
}

async function openRoot(org: string, store: KeyValueStore, { clock, name = 'root' }: { readonly clock: Clock; readonly name?: 'root' | 'tls-root' }): Promise<CertificateAuthority> {
  const certificate = await store.get(`${name}/certificate`);
  const key = await store.get(`${name}/key`);
  if (certificate !== undefined && key !== undefined) return openAuthority({ org, certificatePem: fromUtf8(certificate), privateKeyPkcs8: key });
  const ca = await createAuthority({ org, commonName: `${org} ${name.replace('-', ' ')}`, clock });
  await store.write(new Map([[`${name}/certificate`, utf8(ca.certificate)], [`${name}/key`, await ca.privateKeyPkcs8()]]));
  return ca;
}

async function openKey(options: { readonly org: string; readonly store: KeyValueStore; readonly clock: Clock; readonly ca: CertificateAuthority; readonly wish: KeyWish }): Promise<KeptIdentity> {
  const { org, store, clock, ca, wish } = options;
  const kept = { certificate: await store.get(`${wish.name}/certificate`), key: await store.get(`${wish.name}/key`) };
  if (kept.certificate !== undefined && kept.key !== undefined) {
    const certificate = fromUtf8(kept.certificate);
    if (readCertificate(certificate).notAfter < clock.now()) {
      throw new CodedError('ORG_CERTIFICATE_EXPIRED', `The ${wish.name} certificate of ${org} has expired.`, { why: 'Certificates of an organisation last a year.', next: 'Renew it with the organisation\'s root and start again.', org });
    }
    return identityOf(org, certificate, kept.key);
  }
  const pair = await generateSigningKey();
  const privateKeyPkcs8 = await exportPrivateKey(pair.privateKey);
  const certificate = await ca.issue({
    commonName: wish.commonName ?? `${wish.name}.${org}`,
    organizationalUnit: wish.unit,
    attributes: { ...wish.attributes, ...(wish.role === undefined ? {} : { 'hk.role': wish.role }) },
    publicKey: pair.publicKey,
    notBefore: clock.now(),
    days: CERTIFICATE_DAYS,
    ...(wish.hosts === undefined ? {} : { hosts: wish.hosts }),
  });
  await store.write(new Map([[`${wish.name}/certificate`, utf8(certificate)], [`${wish.name}/key`, privateKeyPkcs8]]));
  return identityOf(org, certificate, privateKeyPkcs8);
}

async function identityOf(mspId: string, certificate: string, privateKeyPkcs8: Bytes): Promise<KeptIdentity> {
  const privateKey = await importPrivateKey(privateKeyPkcs8);
  return { certificate, privateKeyPkcs8, signer: createSigner({ mspId, certificate, privateKey }) };
}

async function openHpke(store: KeyValueStore): Promise<HpkeKeyPair> {
  const publicKey = await store.get('hpke/public');
  const privateKey = await store.get('hpke/private');
  if (publicKey !== undefined && privateKey !== undefined) return { publicKey, privateKey };
  const pair = await generateHpkeKeyPair();
  await store.write(new Map([['hpke/public', pair.publicKey], ['hpke/private', pair.privateKey]]));
  return pair;
}
