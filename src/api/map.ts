/** Reading the signed network map: the one page by which a device knows organisations, so it is believed only when everything fits. */
import type { Json } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import type { Member } from '#model/con.ts';
import { milliseconds, type OrgId } from '#model/ids.ts';
import type { Signed } from '#model/messages.ts';
import { NetworkMap } from './endpoints.ts';

/** The functions of crypto/ that reading needs; passed in, because this room knows no keys. */
export interface MapCrypto {
  verifySigned(signed: Signed): Promise<{ readonly value: Json; readonly certificate: string }>;
  verifyChain(certificate: string, root: string, at: number | undefined): Promise<boolean>;
  readCertificate(certificate: string): { readonly org: string; readonly attributes: Readonly<Record<string, string>> };
}

export interface MapTrust {
  /** Root certificate of the user organisation, from enrolment (PEM). */
  readonly pinnedRoot: string;
  /** Version of the last map read; 0 when there was none. */
  readonly lastVersion: number;
  /** UTC milliseconds. */
  readonly now: number;
  /** Roots seen before: a member never changes its root, so another one is somebody else. */
  readonly knownRoots?: ReadonlyMap<OrgId, string>;
  readonly crypto: MapCrypto;
}

/** Throws MAP_REFUSED with the reason in `details.because`. */
export async function readMap(signed: Signed, trust: MapTrust): Promise<NetworkMap> {
  const { crypto, now } = trust;
  const { value, certificate } = await crypto.verifySigned(signed).catch((): never => refuse('signature'));
  if (!(await crypto.verifyChain(certificate, trust.pinnedRoot, now))) refuse('signer');
  const signer = crypto.readCertificate(certificate);
  if (signer.attributes['hk.role'] !== 'system') refuse('signer');
  const map = NetworkMap.safeParse(value).data ?? refuse('shape');
  if (milliseconds(map.expiresAt) <= now) refuse('expired');
  if (map.version < trust.lastVersion) refuse('rolled-back');
  if (new Set(map.members.map((member) => member.org)).size !== map.members.length) refuse('doubled-member');
  if (map.members.find((member) => member.org === signer.org)?.rootCertificate !== trust.pinnedRoot) refuse('root-changed');
  if (map.members.some((member) => rootChanged(member, trust.knownRoots))) refuse('root-changed');
  return map;
}

function rootChanged(member: Member, known: ReadonlyMap<OrgId, string> | undefined): boolean {
  const before = known?.get(member.org);
  return before !== undefined && before !== member.rootCertificate;
}

function refuse(because: string): never {
  throw new CodedError('MAP_REFUSED', 'The network map cannot be trusted.', { because, next: 'Ask the user organisation; nothing was changed.' });
}
