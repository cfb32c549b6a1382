/** Who can call: organisation classes, roles, channels and who is a member of which. */
import { z } from 'zod';
import { OrgId, type CallerId, type ChannelName, type Digest } from './ids.ts';

/** uo: user organisation. ho: health organisation. duo: data user organisation. */
export const OrgClass = z.enum(['uo', 'ho', 'duo']);
export type OrgClass = z.infer<typeof OrgClass>;

export function orgClass(org: OrgId): OrgClass {
  return OrgClass.parse(org.slice(0, org.indexOf('-')).toLowerCase());
}

/**
 * The role attribute (`hk.role` in the certificate's attribute extension). `person` exists only in a user organisation,
 * `system` is an organisation's own process, `staff` a named employee, `operator` an administrator. The role is
 * believed only inside the MSP that issued it, so no organisation can mint a person of another.
 */
export const Role = z.enum(['person', 'system', 'staff', 'operator']);
export type Role = z.infer<typeof Role>;

/** The caller of a transaction, read from its certificate by the contract. */
export interface Caller {
  readonly org: OrgId;
  readonly class: OrgClass;
  readonly role: Role;
  /** Subject common name: random per certificate, the pairwise pseudonym for pairwise certificates. */
  readonly name: string;
  readonly id: CallerId;
  /** SHA-256 of the certificate's SubjectPublicKeyInfo: the key itself, which only its holder can use, whatever name an authority puts beside it. */
  readonly key: Digest;
}

/** A pairwise certificate is renewed for the same key in its last days: keepers know an owner by the key. */
export const PAIRWISE_RENEW_DAYS = 30;

/**
 * Persons' certificates begin with the UTC month in which they are issued and one-time ones are used in that month, so that
 * validity tells nobody on a channel who enrolled or asked together. UTC milliseconds in and out.
 */
export function validityMonth(at: number): number {
  const day = new Date(at);
  return Date.UTC(day.getUTCFullYear(), day.getUTCMonth(), 1);
}

export const ChannelKind = z.enum(['uic', 'hdc', 'drc', 'con']);
export type ChannelKind = z.infer<typeof ChannelKind>;

export const UIC = 'uic' as ChannelName;
export const DRC = 'drc' as ChannelName;
export const CON = 'con' as ChannelName;

/** The channel of one health organisation: `HO-east` keeps `hdc-east`. */
export function hdcOf(keeper: OrgId): ChannelName {
  return `hdc-${keeper.slice(keeper.indexOf('-') + 1)}` as ChannelName;
}

export function channelKind(channel: ChannelName): ChannelKind {
  return ChannelKind.parse(channel.split('-')[0]);
}

/** Contract name = channel kind: the chaincode deployed on the channel. */
export function contractOf(channel: ChannelName): ChannelKind {
  return channelKind(channel);
}

/**
 * Organisations of a channel and, of those, the ones that run a peer on it (architecture.md section 1): the user
 * organisation's people use HDC and DRC, its peers are on neither.
 */
export function channelOrgs(channel: ChannelName, members: readonly OrgId[]): { readonly orgs: readonly OrgId[]; readonly peers: readonly OrgId[] } {
  const of = (...classes: readonly OrgClass[]): OrgId[] => members.filter((org) => classes.includes(orgClass(org)));
  switch (channelKind(channel)) {
    case 'uic':
      return { orgs: of('uo'), peers: of('uo') };
    case 'drc':
      return { orgs: of('uo', 'duo'), peers: of('duo') };
    case 'con':
      return { orgs: [...members], peers: [...members] };
    case 'hdc': {
      const keepers = members.filter((org) => orgClass(org) === 'ho' && hdcOf(org) === channel);
      return { orgs: [...of('uo'), ...keepers], peers: keepers };
    }
  }
}

/** Every channel of a consortium. CON first: contracts on other channels read it. */
export function channelsOf(members: readonly OrgId[]): readonly ChannelName[] {
  return [CON, UIC, DRC, ...members.filter((org) => orgClass(org) === 'ho').map(hdcOf)];
}

/** How many peers' organisations must endorse a transaction of the channel: one on UIC and HDC, a majority elsewhere. */
export function endorsementsNeeded(channel: ChannelName, peers: readonly OrgId[]): number {
  const kind = channelKind(channel);
  return kind === 'uic' || kind === 'hdc' ? 1 : Math.floor(peers.length / 2) + 1;
}

export const parseOrgId = (text: string): OrgId => OrgId.parse(text);
