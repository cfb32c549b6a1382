/** A channel's configuration as the engine uses it: who is a member, who may do what, who endorses. Derived from Fabric's configuration tree. */
import { CodedError } from '#base/errors.ts';
import { SerializedIdentity } from '../protos/common.ts';
import { Acls, FabricMspConfig, MspConfig, type Config, type ConfigGroup } from '../protos/config.ts';
import { createMsp, isRefusal, type Identity, type Msp, type Refusal } from './msp.ts';
import { holdsAt } from './policy.ts';

/** What an operator says when a channel is created. */
export interface ChannelConfig {
  /** Lower-case letters, digits, dots and dashes; begins with a letter; at most 249 characters (Fabric's rule). */
  readonly name: string;
  readonly orgs: readonly { readonly mspId: string; /** PEM. */ readonly rootCertificate: string }[];
  /** MSP ids of the organisations that run a peer, and so may endorse. */
  readonly peers: readonly string[];
  /** How many of them must endorse, unless a contract's definition says otherwise. */
  readonly needed: number;
}

export interface ChannelView {
  readonly config: Config;
  readonly group: ConfigGroup;
  /** Organisations whose peers may endorse, in configuration order. */
  readonly peers: readonly string[];
  readonly members: readonly string[];
  /** The identity of a serialised creator, or why it is none. */
  identify(serialised: Uint8Array): Identity | Refusal;
  /** May the identity use a resource (`peer/Propose`, `event/Block`, …)? */
  allows(resource: Resource, identity: Identity): boolean;
  /** Path of the policy that guards the resource. */
  policyOf(resource: Resource): string;
  /** Does a policy path hold for the signatories? */
  holds(path: string, identities: readonly Identity[]): boolean;
}

/** Fabric's default access rules (sampleconfig/configtx.yaml) for what the engine serves; a channel's ACLs override them. */
const defaultRules = {
  'peer/Propose': '/Channel/Application/Writers',
  'event/Block': '/Channel/Application/Readers',
  'event/FilteredBlock': '/Channel/Application/Readers',
  'gateway/CommitStatus': '/Channel/Application/Readers',
  'gateway/ChaincodeEvents': '/Channel/Application/Readers',
  'orderer/Broadcast': '/Channel/Writers',
} as const;
export type Resource = keyof typeof defaultRules;

/** Fabric's rule for channel names. Throws LEDGER_CHANNEL_INVALID. */
export function checkChannelConfig({ name, orgs, peers, needed }: ChannelConfig): void {
  const refuse = (why: string): never => {
    throw new CodedError('LEDGER_CHANNEL_INVALID', `The channel ${name} cannot be created.`, { why, next: 'Correct the channel configuration.', channel: name });
  };
  if (!/^[a-z][a-z0-9.-]{0,248}$/.test(name)) refuse('A channel name begins with a letter and holds lower-case letters, digits, dots and dashes, 249 at most.');
  if (new Set(orgs.map((org) => org.mspId)).size !== orgs.length) refuse('An organisation is listed twice.');
  if (peers.some((peer) => !orgs.some((org) => org.mspId === peer))) refuse('An organisation with a peer is not a member.');
  if (new Set(peers).size !== peers.length) refuse('A peer organisation is listed twice.');
  if (!Number.isSafeInteger(needed) || needed < 1 || needed > peers.length) refuse('The number of endorsements needed is not between one and the number of peer organisations.');
}

/** MSP definition inside an organisation's group. Throws LEDGER_MALFORMED. */
export function mspConfigOf(group: ConfigGroup): FabricMspConfig {
  const value = group.values.get('MSP');
  if (value === undefined) throw new CodedError('LEDGER_MALFORMED', 'An organisation of the channel configuration has no MSP definition.');
  return FabricMspConfig.decode(MspConfig.decode(value.value).config);
}

/** The configuration ready for use. Throws LEDGER_MALFORMED. */
export function viewOf(config: Config): ChannelView {
  const group = config.channelGroup;
  const application = group?.groups.get('Application');
  const orderer = group?.groups.get('Orderer');
  if (group === undefined || application === undefined || orderer === undefined) throw new CodedError('LEDGER_MALFORMED', 'The channel configuration lacks a group.');
  const msps = new Map<string, Msp>();
  for (const part of [...application.groups.values(), ...orderer.groups.values()]) {
    const msp = createMsp(mspConfigOf(part));
    msps.set(msp.id, msp);
  }
  const verdicts = new Map<string, boolean>();
  const acls = Acls.decode(application.values.get('ACLs')?.value ?? new Uint8Array(0)).acls;
  const policyOf = (resource: Resource): string => acls.get(resource)?.policyRef ?? defaultRules[resource];
  return {
    config, group, members: [...application.groups.keys()], peers: [...application.groups].filter(([, org]) => org.values.has('AnchorPeers')).map(([mspId]) => mspId),
    identify: (serialised) => {
      const { mspId, idBytes } = SerializedIdentity.decode(serialised);
      const msp = msps.get(mspId);
      return msp === undefined ? { refused: `${mspId === '' ? 'The creator' : mspId} is not a member of the channel.` } : msp.identify(idBytes);
    },
    allows: (resource, identity) => {
      // Roles and units decide, so one verdict serves all certificates that share them.
      const key = [resource, identity.mspId, ...identity.roles, ...identity.certificate.organizationalUnits].join('\0');
      const known = verdicts.get(key);
      if (known !== undefined) return known;
      const verdict = holdsAt(group, policyOf(resource), [identity]);
      verdicts.set(key, verdict);
      return verdict;
    },
    policyOf,
    holds: (path, identities) => holdsAt(group, path, identities),
  };
}

/** The identity, or an exception with its refusal. */
export function memberOf(view: ChannelView, serialised: Uint8Array): Identity {
  const answer = view.identify(serialised);
  if (isRefusal(answer)) throw new CodedError('LEDGER_ACCESS_DENIED', 'The ledger does not accept this certificate.', { why: answer.refused, next: 'Use a certificate of a member of the channel that is valid and not revoked.' });
  return answer;
}
