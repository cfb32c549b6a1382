/**
 * Is a grant still live? Its end is judged by the keeper's own clock; revocation by what the keeper was told, and by the
 * channel itself, asked again at least once a second while something is being sent: a lost event costs a second, not a leak.
 */
import { CodedError } from '#base/errors.ts';
import type { Clock } from '#base/ports.ts';
import { instant, type GrantId } from '#model/ids.ts';
import type { HdcChannel } from './channel.ts';
import type { GrantRow, Grants } from './grants.ts';

const ASK_EVERY_MS = 1_000;
const REMEMBERED_MAX = 10_000;

export interface Liveness {
  /** Throws GRANT_REVOKED, GRANT_EXPIRED; ledger codes when the channel cannot be asked: what cannot be confirmed is not sent. */
  check(row: GrantRow): Promise<void>;
}

export function createLiveness({ grants, hdc, clock }: { readonly grants: Grants; readonly hdc: HdcChannel; readonly clock: Clock }): Liveness {
  const confirmedAt = new Map<GrantId, number>();
  const confirm = async (grant: GrantId): Promise<void> => {
    const asked = clock.now();
    const { state } = await hdc.evaluate('getOrder', { grant });
    if (state === 'revoked') await grants.revoke(grant);
    confirmedAt.delete(grant);
    confirmedAt.set(grant, asked);
    if (confirmedAt.size > REMEMBERED_MAX) confirmedAt.delete(confirmedAt.keys().next().value as GrantId);
  };
  return {
    async check({ grant, until }) {
      const last = confirmedAt.get(grant);
      const now = clock.now();
      if (last === undefined || now < last || now - last >= ASK_EVERY_MS) await confirm(grant);
      if ((await grants.get(grant))?.state !== 'released') throw new CodedError('GRANT_REVOKED', 'The owner revoked this grant.', { grant });
      if (until <= instant(clock.now())) throw new CodedError('GRANT_EXPIRED', 'The grant has expired.', { grant });
    },
  };
}
