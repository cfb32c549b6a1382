/** Which peers must endorse: enough for the contract's policy and for the policies of the keys that are written. */
import { SignaturePolicyEnvelope } from '../protos/config.ts';
import type { Channel } from './channel.ts';
import { LIFECYCLE } from './lifecycle.ts';
import { isRefusal, type Identity } from './msp.ts';
import { satisfies } from './policy.ts';
import type { Peer } from './peer.ts';
import { endorseFault } from './refusal.ts';

export interface Plan {
  readonly first: Peer;
  readonly others: readonly Peer[];
}

export interface PlanInput {
  readonly channel: Channel;
  readonly contract: string;
  /** Public keys that the first peer's run writes. */
  readonly written: ReadonlyMap<string, readonly string[]>;
  readonly first: Peer;
  readonly peers: readonly Peer[];
}

/** The smallest row of peers, beginning with the first, that satisfies everything. Faults with FAILED_PRECONDITION when there is none. */
export function endorsementPlan({ channel, contract, written, first, peers }: PlanInput): Plan {
  const rest = peers.filter((peer) => peer !== first);
  const demands = demandsOf(channel, contract, written);
  const chosen: Peer[] = [];
  const enough = (demand: (identities: readonly Identity[]) => boolean, extra: readonly Peer[]): boolean => demand(identitiesOf(channel, [first, ...chosen, ...extra]));
  for (const demand of demands) {
    while (!enough(demand, [])) {
      const left = rest.filter((peer) => !chosen.includes(peer));
      const next = left.find((peer) => enough(demand, [peer])) ?? left.find((peer) => helps(demand, channel, [first, ...chosen], peer)) ?? left[0];
      if (next === undefined) throw endorseFault.noCombination();
      chosen.push(next);
    }
  }
  return { first, others: chosen };
}

type Demand = (identities: readonly Identity[]) => boolean;

/** With all peers but this one the demand fails: then it is needed. */
function helps(demand: Demand, channel: Channel, have: readonly Peer[], candidate: Peer): boolean {
  const all = [...channel.peers.values()];
  return !have.includes(candidate) && !demand(identitiesOf(channel, all.filter((peer) => peer !== candidate)));
}

function identitiesOf(channel: Channel, peers: readonly Peer[]): Identity[] {
  return peers.map((peer) => channel.view.identify(peer.serialised)).filter((answer): answer is Identity => !isRefusal(answer));
}

function demandsOf(channel: Channel, contract: string, written: PlanInput['written']): Demand[] {
  if (contract === LIFECYCLE) return [(identities) => channel.view.holds('/Channel/Application/LifecycleEndorsement', identities)];
  const demands: Demand[] = [];
  const own = channel.definition(contract);
  if (own !== undefined) demands.push((identities) => satisfies(own.policy, identities));
  for (const [namespace, keys] of written) {
    const definition = namespace === contract ? undefined : channel.definition(namespace);
    if (definition !== undefined && keys.length > 0) demands.push((identities) => satisfies(definition.policy, identities));
    if (!channel.store.head.hasKeyPolicies(namespace)) continue;
    for (const key of keys) {
      const policy = channel.store.head.get(namespace, key)?.policy;
      if (policy === null || policy === undefined || policy.length === 0) continue;
      const envelope = SignaturePolicyEnvelope.decode(policy);
      demands.push((identities) => satisfies(envelope, identities));
    }
  }
  return demands;
}
