/**
 * Changes of a channel's configuration, by Fabric's rules (`common/configtx/update.go`): a signed update names the
 * versions it read and the elements it writes; each changed element asks for its own modification policy.
 */
import { concat, equalBytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { Random } from '#base/ports.ts';
import type { LedgerSigner } from '../client.ts';
import { ChannelHeader, Envelope, headerType, Payload, SignatureHeader } from '../protos/common.ts';
import { Config, ConfigEnvelope, ConfigGroup, ConfigUpdate, ConfigUpdateEnvelope, ConfigValue, Policy, type ConfigPolicy } from '../protos/config.ts';
import { readEnvelope, serialiseIdentity, timestampOf, transactionId } from '../transaction.ts';
import { viewOf, type ChannelView } from './channel-config.ts';
import { isRefusal, type Identity } from './msp.ts';
import { verifyNativeSync } from './native-signer.ts';
import { holds, holdsAt } from './policy.ts';
import { isLowS } from '../low-s.ts';

const refuse = (why: string, channel = ''): CodedError => new CodedError('LEDGER_CONFIG_REFUSED', 'The change of the channel configuration was refused.', { why, next: 'Sign it with operators of the organisations whose policy it touches, on the newest configuration.', channel });

interface Scope {
  /** The whole tree before the change, for absolute policy paths. */
  readonly root: ConfigGroup;
  readonly signatories: readonly Identity[];
}

interface Element {
  readonly version: number;
  readonly modPolicy: string;
}

/** A modification policy is a name in the element's group, or an absolute path. */
function mayModify(element: Element, group: ConfigGroup, { root, signatories }: Scope): boolean {
  return element.modPolicy.startsWith('/') ? holdsAt(root, element.modPolicy, signatories) : holds(group, element.modPolicy, signatories);
}

function checkReadSet(read: ConfigGroup, current: ConfigGroup | undefined, path: string): void {
  if (current === undefined || read.version !== current.version) throw refuse(`The update was written on another version of ${path}.`);
  for (const kind of ['values', 'policies'] as const) {
    for (const [name, element] of read[kind]) if (current[kind].get(name)?.version !== element.version) throw refuse(`The update was written on another version of ${path}/${name}.`);
  }
  for (const [name, group] of read.groups) checkReadSet(group, current.groups.get(name), `${path}/${name}`);
}

/** The changed members of one kind. Members that are not mentioned stay, unless the group itself changes: then it is its members. */
function mergeMembers<T extends Element>(current: ReadonlyMap<string, T>, written: ReadonlyMap<string, T>, { groupChanges, check }: { readonly groupChanges: boolean; readonly check: (before: T, name: string) => void }): Map<string, T> {
  const merged = new Map(groupChanges ? [] : current);
  for (const [name, element] of written) {
    const before = current.get(name);
    if (before === undefined) {
      if (!groupChanges || element.version !== 0) throw refuse(`The new element ${name} does not begin at version 0 in a changed group.`);
      merged.set(name, element);
    } else if (element.version === before.version) merged.set(name, before);
    else if (element.version === before.version + 1) {
      check(before, name);
      merged.set(name, element);
    } else throw refuse(`The version of ${name} is not the next one.`);
  }
  return merged;
}

function mergeGroup(current: ConfigGroup, written: ConfigGroup, { path, scope }: { readonly path: string; readonly scope: Scope }): ConfigGroup {
  const groupChanges = written.version === current.version + 1;
  if (!groupChanges && written.version !== current.version) throw refuse(`The version of ${path} is not the next one.`);
  if (groupChanges && !mayModify(current, current, scope)) throw refuse(`The signatures do not satisfy the policy of ${path}.`);
  const check = (before: Element, name: string): void => {
    if (!mayModify(before, current, scope)) throw refuse(`The signatures do not satisfy the policy of ${path}/${name}.`);
  };
  const values = mergeMembers<ConfigValue>(current.values, written.values, { groupChanges, check });
  const policies = mergeMembers<ConfigPolicy>(current.policies, written.policies, { groupChanges, check });
  const groups = new Map<string, ConfigGroup>(groupChanges ? [] : current.groups);
  for (const [name, group] of written.groups) {
    const before = current.groups.get(name);
    if (before !== undefined) groups.set(name, mergeGroup(before, group, { path: `${path}/${name}`, scope }));
    else if (groupChanges && group.version === 0) groups.set(name, group);
    else throw refuse(`The new group ${name} does not begin at version 0 in a changed group.`);
  }
  return { version: written.version, groups, values, policies, modPolicy: groupChanges ? written.modPolicy : current.modPolicy };
}

/** The configuration after a signed update envelope. Throws LEDGER_CONFIG_REFUSED. */
export function applyUpdate(view: ChannelView, update: Uint8Array, channel: string): Config {
  const outer = readEnvelope(update);
  if (outer.channelHeader.type !== headerType.configUpdate || outer.channelHeader.channelId !== channel) throw refuse('The envelope is not a configuration update of this channel.', channel);
  const signed = ConfigUpdateEnvelope.decode(outer.data);
  const { channelId, readSet, writeSet } = ConfigUpdate.decode(signed.configUpdate);
  if (channelId !== channel || readSet === undefined || writeSet === undefined) throw refuse('The update names another channel or lacks a part.', channel);
  const signatories = signed.signatures.map(({ signatureHeader, signature }) => {
    const { creator } = SignatureHeader.decode(signatureHeader);
    return signatory(view, creator, { message: concat(signatureHeader, signed.configUpdate), signature });
  }).filter((identity) => identity !== undefined);
  if (signatory(view, outer.signatureHeader.creator, { message: outer.envelope.payload, signature: outer.envelope.signature }) === undefined) throw refuse('The envelope is not signed by a member.', channel);
  checkReadSet(readSet, view.group, 'Channel');
  const channelGroup = mergeGroup(view.group, writeSet, { path: 'Channel', scope: { root: view.group, signatories } });
  if (equalBytes(ConfigGroup.encode(channelGroup), ConfigGroup.encode(view.group))) throw refuse('The update changes nothing.', channel);
  const config: Config = { sequence: view.config.sequence + 1, channelGroup };
  viewOf(config);
  return config;
}

function signatory(view: ChannelView, creator: Uint8Array, { message, signature }: { readonly message: Uint8Array; readonly signature: Uint8Array }): Identity | undefined {
  const identity = view.identify(creator);
  if (isRefusal(identity) || !isLowS(signature) || !verifyNativeSync(identity.key, message, signature)) return undefined;
  return identity;
}

/** Is the configuration transaction what its own update makes of the configuration in force? Throws LEDGER_CONFIG_REFUSED. */
export function checkConfigTransaction(view: ChannelView, envelope: Uint8Array, channel: string): Config {
  const outer = readEnvelope(envelope);
  const { config, lastUpdate } = ConfigEnvelope.decode(outer.data);
  if (config === undefined || lastUpdate === undefined) throw refuse('The configuration transaction lacks its update.', channel);
  const orderer = signatory(view, outer.signatureHeader.creator, { message: outer.envelope.payload, signature: outer.envelope.signature });
  if (orderer === undefined || !view.holds('/Channel/Orderer/Writers', [orderer])) throw refuse('The configuration transaction is not signed by the orderer.', channel);
  const expected = applyUpdate(view, Envelope.encode(lastUpdate), channel);
  if (!equalBytes(Config.encode(config), Config.encode(expected))) throw refuse('The configuration is not what its update makes of the one before.', channel);
  return expected;
}

export interface UpdateParts {
  readonly channel: string;
  readonly readSet: ConfigGroup;
  readonly writeSet: ConfigGroup;
  readonly signers: readonly LedgerSigner[];
  readonly now: number;
  readonly random: Random;
}

/** A signed update envelope: every signer signs the change, the first also hands it in. */
export async function signUpdate({ channel, readSet, writeSet, signers, now, random }: UpdateParts): Promise<Uint8Array> {
  const [first] = signers;
  if (first === undefined) throw refuse('Nobody signs the update.', channel);
  const configUpdate = ConfigUpdate.encode({ channelId: channel, readSet, writeSet });
  const signatures = await Promise.all(signers.map(async (signer) => {
    const signatureHeader = SignatureHeader.encode({ creator: serialiseIdentity(signer.mspId, signer.certificate), nonce: random.bytes(24) });
    return { signatureHeader, signature: await signer.sign(concat(signatureHeader, configUpdate)) };
  }));
  const creator = serialiseIdentity(first.mspId, first.certificate);
  const nonce = random.bytes(24);
  const channelHeader = ChannelHeader.encode({ type: headerType.configUpdate, timestamp: timestampOf(now), channelId: channel, txId: transactionId(nonce, creator) });
  const payload = Payload.encode({ header: { channelHeader, signatureHeader: SignatureHeader.encode({ creator, nonce }) }, data: ConfigUpdateEnvelope.encode({ configUpdate, signatures }) });
  return Envelope.encode({ payload, signature: await first.sign(payload) });
}

/** A group with its version alone: how a read set and an untouched part of a write set name it. */
export const bare = (group: ConfigGroup, parts: Partial<ConfigGroup> = {}): ConfigGroup => ({ version: group.version, groups: new Map(), values: new Map(), policies: new Map(), modPolicy: group.modPolicy, ...parts });

/** Value of the next version. */
export const nextValue = (before: ConfigValue, value: Uint8Array): ConfigValue => ({ version: before.version + 1, value, modPolicy: before.modPolicy });

/** Policy of the next version. */
export const nextPolicy = (before: ConfigPolicy, policy: { readonly type: number; readonly value: Uint8Array }): ConfigPolicy => ({ version: before.version + 1, policy: Policy.decode(Policy.encode(policy)), modPolicy: before.modPolicy });
