/** The changes of configuration that organisations make: a new revocation list, a new member, a member less. */
import { equalBytes, utf8 } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import { parseRevocationList } from '../certificate.ts';
import { SignaturePolicyEnvelope, mspRole, MspConfig, FabricMspConfig, type ConfigGroup, type ConfigPolicy } from '../protos/config.ts';
import type { ChannelView } from './channel-config.ts';
import { mspConfigOf } from './channel-config.ts';
import { bare, nextPolicy, nextValue } from './config-update.ts';
import { lifecyclePolicy, organisationGroup } from './genesis.ts';
import { organisationsOf, rolePolicy } from './policy.ts';

export interface ConfigSets {
  readonly readSet: ConfigGroup;
  readonly writeSet: ConfigGroup;
}

function sectionOf(view: ChannelView, mspId: string): { readonly name: string; readonly section: ConfigGroup; readonly group: ConfigGroup } {
  for (const name of ['Application', 'Orderer']) {
    const section = view.group.groups.get(name);
    const group = section?.groups.get(mspId);
    if (section !== undefined && group !== undefined) return { name, section, group };
  }
  throw new CodedError('LEDGER_CONFIG_REFUSED', `${mspId} is not a member of the channel.`, { next: 'Name a member of the channel.' });
}

/** Read and write set that replace an organisation's revocation lists of one issuer; undefined when nothing changes. */
export function revocationChange(view: ChannelView, mspId: string, crl: string): ConfigSets | undefined {
  const { name, section, group } = sectionOf(view, mspId);
  const value = group.values.get('MSP');
  if (value === undefined) throw new CodedError('LEDGER_MALFORMED', 'An organisation of the channel configuration has no MSP definition.');
  const fresh = utf8(crl);
  const issuer = parseRevocationList(fresh).issuer;
  const config = mspConfigOf(group);
  if (config.revocationList.some((list) => equalBytes(list, fresh))) return undefined;
  const revocationList = [...config.revocationList.filter((list) => !equalBytes(parseRevocationList(list).issuer, issuer)), fresh];
  const changed = nextValue(value, MspConfig.encode({ type: 0, config: FabricMspConfig.encode({ ...config, revocationList }) }));
  const within = (org: ConfigGroup): ConfigGroup => bare(view.group, { groups: new Map([[name, bare(section, { groups: new Map([[mspId, org]]) })]]) });
  return { readSet: within(bare(group)), writeSet: within(bare(group, { values: new Map([['MSP', changed]]) })) };
}

export interface NewMember {
  readonly mspId: string;
  /** PEM. */
  readonly rootCertificate: string;
  /** Does it run a peer that may endorse? */
  readonly peer: boolean;
}

/** Read and write set that add an organisation; with a peer, it also counts in the endorsement policies. Undefined when it is in with this root. */
export function memberChange(view: ChannelView, member: NewMember): ConfigSets | undefined {
  const application = view.group.groups.get('Application') as ConfigGroup;
  const present = application.groups.get(member.mspId);
  if (present !== undefined && mspConfigOf(present).rootCerts.some((root) => equalBytes(root, utf8(member.rootCertificate)))) return undefined;
  if (present !== undefined) throw new CodedError('LEDGER_CONFIG_REFUSED', `${member.mspId} is a member of the channel already, with another root.`, { next: 'Choose another id, or remove that one first.' });
  const groups = new Map([...application.groups].map(([name, group]) => [name, bare(group)]));
  groups.set(member.mspId, organisationGroup(member.mspId, member.rootCertificate, member.peer));
  const policies = new Map(application.policies);
  if (member.peer) {
    const peers = [...view.peers, member.mspId];
    const endorsement = policies.get('Endorsement') as ConfigPolicy;
    const before = SignaturePolicyEnvelope.decode(endorsement.policy?.value ?? new Uint8Array(0));
    const needed = before.rule?.nOutOf?.n ?? 1;
    const wider = rolePolicy(needed, [...organisationsOf(before), member.mspId].map((mspId) => ({ mspId, role: mspRole.peer })));
    policies.set('Endorsement', nextPolicy(endorsement, { type: endorsement.policy?.type ?? 1, value: SignaturePolicyEnvelope.encode(wider) }));
    policies.set('LifecycleEndorsement', nextPolicy(policies.get('LifecycleEndorsement') as ConfigPolicy, lifecyclePolicy(peers).policy as { type: number; value: Uint8Array }));
  }
  const writeApplication: ConfigGroup = { version: application.version + 1, groups, values: application.values, policies, modPolicy: application.modPolicy };
  const within = (group: ConfigGroup): ConfigGroup => bare(view.group, { groups: new Map([['Application', group]]) });
  return { readSet: within(bare(application)), writeSet: within(writeApplication) };
}

/** Read and write set that take an organisation out, and its peer out of the endorsement policies. Undefined when it is not in. */
export function removalChange(view: ChannelView, mspId: string): ConfigSets | undefined {
  const application = view.group.groups.get('Application') as ConfigGroup;
  if (!application.groups.has(mspId)) return undefined;
  const peers = view.peers.filter((peer) => peer !== mspId);
  if (peers.length === 0) throw new CodedError('LEDGER_CONFIG_REFUSED', `${mspId} runs the last peer of the channel.`, { next: 'A channel without peers can neither be written nor read; leave it as it is.' });
  const groups = new Map([...application.groups].filter(([name]) => name !== mspId).map(([name, group]) => [name, bare(group)]));
  const policies = new Map(application.policies);
  if (view.peers.includes(mspId)) {
    const endorsement = policies.get('Endorsement') as ConfigPolicy;
    const before = SignaturePolicyEnvelope.decode(endorsement.policy?.value ?? new Uint8Array(0));
    const left = organisationsOf(before).filter((name) => name !== mspId);
    const narrower = rolePolicy(Math.min(before.rule?.nOutOf?.n ?? 1, left.length), left.map((name) => ({ mspId: name, role: mspRole.peer })));
    policies.set('Endorsement', nextPolicy(endorsement, { type: endorsement.policy?.type ?? 1, value: SignaturePolicyEnvelope.encode(narrower) }));
    policies.set('LifecycleEndorsement', nextPolicy(policies.get('LifecycleEndorsement') as ConfigPolicy, lifecyclePolicy(peers).policy as { type: number; value: Uint8Array }));
  }
  const writeApplication: ConfigGroup = { version: application.version + 1, groups, values: application.values, policies, modPolicy: application.modPolicy };
  const within = (group: ConfigGroup): ConfigGroup => bare(view.group, { groups: new Map([['Application', group]]) });
  return { readSet: within(bare(application)), writeSet: within(writeApplication) };
}
