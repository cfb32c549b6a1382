/** The signed network map: the members as CON has them, with a version that only grows, signed by the user organisation. */
import { NetworkMap } from '#api/endpoints.ts';
import { canonicalJson, type Json } from '#base/canonical-json.ts';
import { CodedError } from '#base/errors.ts';
import type { Clock, KeyValueStore } from '#base/ports.ts';
import { signJson } from '#crypto/signed-json.ts';
import type { LedgerSigner } from '#ledger/client.ts';
import type { Member } from '#model/con.ts';
import { instant, milliseconds } from '#model/ids.ts';
import { Signed } from '#model/messages.ts';
import type { Consortium } from '../consortium.ts';
import { commit, kept } from '../kept.ts';
import { createTurnstile } from '../turnstile.ts';

const DAY_MS = 86_400_000;
const VALID_DAYS = 7;
const RENEW_DAYS = 3;
const ONLY = 'now';

export interface MapPress {
  /** The present map. A new version is signed when a member changed or the last one is half-way to its end. Throws MAP_NOT_READY before the consortium is founded. */
  current(): Promise<Signed>;
}

export function createMapPress(options: { readonly store: KeyValueStore; readonly consortium: Consortium; readonly signer: LedgerSigner; readonly clock: Clock }): MapPress {
  const { store, consortium, signer, clock } = options;
  const maps = kept(store, 'map/', Signed);
  const turnstile = createTurnstile();

  return {
    current: () =>
      turnstile.run('map', async () => {
        const members = [...consortium.members()].sort((left, right) => (left.org < right.org ? -1 : 1));
        if (members.length === 0) throw new CodedError('MAP_NOT_READY', 'The members of the consortium are not known yet.');
        const last = await maps.get(ONLY);
        const before = last === undefined ? undefined : NetworkMap.parse(JSON.parse(last.payload));
        if (last !== undefined && before !== undefined && sameMembers(before.members, members) && milliseconds(before.expiresAt) - clock.now() > (VALID_DAYS - RENEW_DAYS) * DAY_MS) return last;
        const now = clock.now();
        const map: NetworkMap = { kind: 'map', version: (before?.version ?? 0) + 1, issuedAt: instant(now), expiresAt: instant(now + VALID_DAYS * DAY_MS), members };
        const signed = Signed.parse(await signJson(map as unknown as Json, signer));
        await commit(store, maps.put(ONLY, signed));
        return signed;
      }),
  };
}

function sameMembers(left: readonly Member[], right: readonly Member[]): boolean {
  return canonicalJson(left as unknown as Json) === canonicalJson(right as unknown as Json);
}
