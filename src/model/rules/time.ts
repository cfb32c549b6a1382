/**
 * Time on a channel. A transaction's timestamp is its client's claim, so expiry is judged by the later of that claim
 * and the channel's time floor: a back-dated claim cannot revive what the floor has passed.
 */
import type { Instant, OrgId } from '../ids.ts';
import { ALLOW, refuse, type Verdict } from './verdict.ts';

/** The later of two instants. */
export function later(left: Instant, right: Instant): Instant {
  return left > right ? left : right;
}

/** An organisation's claim only moves on. */
export function decideTimeFloor({ at, ownClaim }: { readonly at: Instant; readonly ownClaim: Instant | undefined }): Verdict {
  return ownClaim === undefined || at > ownClaim ? ALLOW : refuse('TIME_FLOOR_BACK');
}

/**
 * The channel's floor from every organisation's latest claim: the second latest, so that no single organisation can
 * push all permits into the past; the only one, while there is only one. It never moves back.
 */
export function effectiveFloor(previous: Instant | undefined, claims: ReadonlyMap<OrgId, Instant>): Instant | undefined {
  const sorted = [...claims.values()].sort().reverse();
  const agreed = sorted[1] ?? sorted[0];
  if (agreed === undefined) return previous;
  return previous === undefined ? agreed : later(previous, agreed);
}
