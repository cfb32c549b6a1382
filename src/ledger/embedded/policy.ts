/** Fabric's policies: signature policies (N out of …, by MSP role or unit) and implicit meta policies over a configuration tree. */
import { equalBytes } from '#base/bytes.ts';
import { parseCertificate } from '../certificate.ts';
import { SerializedIdentity } from '../protos/common.ts';
import {
  ImplicitMetaPolicy, metaRule, mspRole, MspRole, OrganizationUnit, policyType, principalKind, SignaturePolicyEnvelope, type ConfigGroup, type MspPrincipal, type SignaturePolicy,
} from '../protos/config.ts';
import type { Identity } from './msp.ts';

/** A policy asks for signatures by one role of one organisation per entry. */
export function rolePolicy(needed: number, principals: readonly { readonly mspId: string; readonly role: number }[]): SignaturePolicyEnvelope {
  return {
    version: 0,
    rule: { signedBy: undefined, nOutOf: { n: needed, rules: principals.map((_, index) => ({ signedBy: index, nOutOf: undefined })) } },
    identities: principals.map(({ mspId, role }) => ({ principalClassification: principalKind.role, principal: MspRole.encode({ mspIdentifier: mspId, role }) })),
  };
}

/** `needed` of the organisations' peers must endorse. */
export function peerPolicy(needed: number, mspIds: readonly string[]): SignaturePolicyEnvelope {
  return rolePolicy(needed, mspIds.map((mspId) => ({ mspId, role: mspRole.peer })));
}

type Test = (identity: Identity) => boolean;
/** Principals are decoded once; policies live as long as the configuration or definition they are part of. */
const tests = new WeakMap<MspPrincipal, Test>();

function matches(principal: MspPrincipal, identity: Identity): boolean {
  let test = tests.get(principal);
  if (test === undefined) tests.set(principal, (test = testOf(principal)));
  return test(identity);
}

function testOf(principal: MspPrincipal): Test {
  if (principal.principalClassification === principalKind.role) {
    const { mspIdentifier, role } = MspRole.decode(principal.principal);
    return (identity) => identity.mspId === mspIdentifier && identity.roles.has(role);
  }
  if (principal.principalClassification === principalKind.organizationUnit) {
    const { mspIdentifier, organizationalUnitIdentifier } = OrganizationUnit.decode(principal.principal);
    return (identity) => identity.mspId === mspIdentifier && identity.certificate.organizationalUnits.includes(organizationalUnitIdentifier);
  }
  if (principal.principalClassification === principalKind.identity) {
    const { mspId, idBytes } = SerializedIdentity.decode(principal.principal);
    const { fingerprint } = parseCertificate(idBytes);
    return (identity) => identity.mspId === mspId && equalBytes(identity.certificate.fingerprint, fingerprint);
  }
  return () => false;
}

/** Distinct certificates only: signing twice counts once. */
function distinct(identities: readonly Identity[]): Identity[] {
  return identities.length < 2 ? [...identities] : [...new Map(identities.map((identity) => [identity.id, identity])).values()];
}

/** As Fabric's cauthdsl: each identity satisfies at most one leaf; a rule that fails gives its identities back. */
function evaluate(rule: SignaturePolicy, principals: readonly MspPrincipal[], identities: readonly Identity[], used: boolean[]): boolean {
  if (rule.nOutOf === undefined) {
    const principal = principals[rule.signedBy ?? -1];
    if (principal === undefined) return false;
    const index = identities.findIndex((identity, at) => used[at] !== true && matches(principal, identity));
    if (index < 0) return false;
    used[index] = true;
    return true;
  }
  let held = 0;
  for (const part of rule.nOutOf.rules) {
    const attempt = [...used];
    if (!evaluate(part, principals, identities, attempt)) continue;
    held++;
    used.splice(0, used.length, ...attempt);
  }
  return held >= rule.nOutOf.n;
}

/** Do the identities, whose signatures are known to be right, satisfy the policy? */
export function satisfies(policy: SignaturePolicyEnvelope, identities: readonly Identity[]): boolean {
  return policy.rule !== undefined && evaluate(policy.rule, policy.identities, distinct(identities), []);
}

/** MSP ids that a policy names, in its order. */
export function organisationsOf(policy: SignaturePolicyEnvelope): string[] {
  const names = policy.identities.map((principal) => (principal.principalClassification === principalKind.role ? MspRole.decode(principal.principal).mspIdentifier : OrganizationUnit.decode(principal.principal).mspIdentifier));
  return [...new Set(names)];
}

/** Does a named policy of a configuration group hold? A policy that is not there refuses. */
export function holds(group: ConfigGroup, name: string, identities: readonly Identity[]): boolean {
  const policy = group.policies.get(name)?.policy;
  if (policy === undefined) return false;
  if (policy.type === policyType.signature) return satisfies(SignaturePolicyEnvelope.decode(policy.value), identities);
  if (policy.type !== policyType.implicitMeta) return false;
  const meta = ImplicitMetaPolicy.decode(policy.value);
  const parts = [...group.groups.values()];
  const held = parts.filter((part) => holds(part, meta.subPolicy, identities)).length;
  if (meta.rule === metaRule.any) return held > 0 || parts.length === 0;
  if (meta.rule === metaRule.all) return held === parts.length;
  return held > Math.floor(parts.length / 2) || parts.length === 0;
}

/** Does the policy at an absolute path (`/Channel/Application/Writers`) hold? */
export function holdsAt(channelGroup: ConfigGroup, path: string, identities: readonly Identity[]): boolean {
  const [, root, ...steps] = path.split('/');
  const name = steps.pop();
  if (root !== 'Channel' || name === undefined) return false;
  let group: ConfigGroup | undefined = channelGroup;
  for (const step of steps) group = group?.groups.get(step);
  return group !== undefined && holds(group, name, identities);
}
