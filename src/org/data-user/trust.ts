/** What the data user believes of others: members' roots from CON, revocations, and checkpoints as they stand on CON. */
import type { Clock } from '#base/ports.ts';
import { readCertificate, verifyChain } from '#crypto/x509.ts';
import type { CheckpointState } from '#model/con.ts';
import type { Consortium } from '../consortium.ts';
import type { CheckpointPlace } from './anchor-proof.ts';
import type { DrcCalls } from './drc-calls.ts';
import type { Trust } from './verify.ts';

export interface TrustDeps {
  readonly consortium: Consortium;
  readonly drc: DrcCalls;
  readonly clock: Clock;
}

export function createTrust({ consortium, drc, clock }: TrustDeps): Trust {
  // A checkpoint on CON never changes, so one that was found is not asked for again; many items share one.
  const found = new Map<string, CheckpointState>();
  const rootOf: Trust['rootOf'] = async (org) => (await consortium.findMember(org))?.rootCertificate;
  return {
    rootOf,
    async published(place: CheckpointPlace) {
      const name = `${place.channel} ${place.org} ${place.size}`;
      const state = found.get(name) ?? (await drc.checkpoint(place));
      if (state?.size !== place.size) return undefined;
      if (found.size > CHECKPOINTS_MAX) found.clear();
      found.set(name, state);
      return state;
    },
    async speaksFor(certificate, org) {
      const root = await rootOf(org);
      if (root === undefined || !(await verifyChain(certificate, root, clock.now()))) return false;
      const { attributes, organizationalUnit, serialHex } = readCertificate(certificate);
      return attributes['hk.role'] === 'system' && organizationalUnit === 'client' && !(await consortium.isRevoked(org, serialHex));
    },
  };
}

const CHECKPOINTS_MAX = 10_000;
