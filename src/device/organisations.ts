/** Whom a device talks to: the signed network map, and clients for the organisations on it. */
import { canonicalJson } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import { createApiClient, type ApiClient } from '#api/client.ts';
import { readMap } from '#api/map.ts';
import { dataUserEndpoints, hospitalEndpoints, NetworkMap, userOrgEndpoints } from '#api/endpoints.ts';
import { verifySigned } from '#crypto/signed-json.ts';
import { readCertificate, verifyChain } from '#crypto/x509.ts';
import type { Json } from '#base/canonical-json.ts';
import type { LedgerSigner } from '#ledger/client.ts';
import type { Member } from '#model/con.ts';
import type { OrgId } from '#model/ids.ts';
import type { Context } from './context.ts';
import { requestSigner } from './signing.ts';
import { enrolments, maps, ONLY, type KeptMap } from './state.ts';
import { put } from './vault.ts';

/** The person's user organisation; signed calls name the signer. */
export function userOrg(context: Context, signer?: LedgerSigner): ApiClient<typeof userOrgEndpoints> {
  return createApiClient({ table: userOrgEndpoints, baseUrl: context.userOrgUrl, fetch: context.fetch, ...(signer === undefined ? {} : { sign: requestSigner(context, signer) }) });
}

/** A keeper's interface, with the pairwise signer of that keeper. */
export async function keeperApi(context: Context, keeper: OrgId, signer: LedgerSigner): Promise<ApiClient<typeof hospitalEndpoints>> {
  const { url } = await memberOf(context, keeper);
  return createApiClient({ table: hospitalEndpoints, baseUrl: url, fetch: context.fetch, sign: requestSigner(context, signer) });
}

/** A data user's interface, with the signer of one slot. */
export async function dataUserApi(context: Context, duo: OrgId, signer: LedgerSigner): Promise<ApiClient<typeof dataUserEndpoints>> {
  const { url } = await memberOf(context, duo);
  return createApiClient({ table: dataUserEndpoints, baseUrl: url, fetch: context.fetch, sign: requestSigner(context, signer) });
}

/** Fetches the map and keeps it when it is newer. Throws MAP_REFUSED for a map that is not the user organisation's, older than known, expired, or that changes a known root. */
export async function refreshMap(context: Context): Promise<NetworkMap> {
  const pinnedRoot = (await context.vault.get(enrolments, ONLY))?.root;
  if (pinnedRoot === undefined) throw new CodedError('DEVICE_NOT_ENROLLED', 'This device does not know whose map to believe.', { next: 'Enrol the device with a code from the user organisation.' });
  const signed = await userOrg(context).map({});
  const known = await context.vault.get(maps, ONLY);
  const knownRoots = new Map(Object.entries(known?.roots ?? {}) as [OrgId, string][]);
  const map = await readMap(signed, { pinnedRoot, lastVersion: known?.version ?? 0, now: context.clock.now(), knownRoots, crypto: { verifySigned, verifyChain, readCertificate } });
  if (known?.version === map.version && members(map) !== members(parsed(known))) throw new CodedError('MAP_REFUSED', 'The network map cannot be trusted.', { because: 'same-version', next: 'Ask the user organisation; nothing was changed.' });
  if (known?.signed.payload !== signed.payload) {
    const roots = { ...known?.roots, ...Object.fromEntries(map.members.map((member) => [member.org, member.rootCertificate])) };
    await context.vault.write(put(maps, ONLY, { signed, version: map.version, roots }));
  }
  return map;
}

/** The kept map, fetched when there is none. An expired one is still read: keys of members do not lapse because a phone slept. */
export async function networkMap(context: Context): Promise<NetworkMap> {
  const known = await context.vault.get(maps, ONLY);
  return known === undefined ? refreshMap(context) : parsed(known);
}

/** Members as last heard of, without asking anybody: for showing. */
export async function knownMembers(context: Context): Promise<readonly Member[]> {
  const known = await context.vault.get(maps, ONLY);
  return known === undefined ? [] : parsed(known).members;
}

/** A member by id. Throws ORG_UNKNOWN. */
export async function memberOf(context: Context, org: OrgId): Promise<Member> {
  const found = (await networkMap(context)).members.find((member) => member.org === org) ?? (await refreshMap(context)).members.find((member) => member.org === org);
  if (found === undefined) throw new CodedError('ORG_UNKNOWN', `${org} is not a member of the consortium.`, { next: 'Check the id of the organisation.', org });
  return found;
}

function parsed(known: KeptMap): NetworkMap {
  return NetworkMap.parse(JSON.parse(known.signed.payload));
}

function members(map: NetworkMap): string {
  return canonicalJson(map.members as unknown as Json);
}
