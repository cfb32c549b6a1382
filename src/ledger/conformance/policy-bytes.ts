/** A key's endorsement policy as fabric-shim's KeyEndorsementPolicy writes it: all of the organisations' peers. */
import { MspRole, mspRole, principalKind, SignaturePolicyEnvelope } from '../protos/config.ts';

export function peerPolicyBytes(mspIds: readonly string[]): Uint8Array {
  return SignaturePolicyEnvelope.encode({
    rule: { nOutOf: { n: mspIds.length, rules: mspIds.map((_, index) => ({ signedBy: index })) } },
    identities: mspIds.map((mspIdentifier) => ({ principalClassification: principalKind.role, principal: MspRole.encode({ mspIdentifier, role: mspRole.peer }) })),
  });
}
