/** Revocations that come by the channel: an owner's `revokeRelease` cuts transfers even when the keeper's address could not be reached. */
import { fromUtf8 } from '#base/bytes.ts';
import type { KeyValueStore, Log, Scheduler } from '#base/ports.ts';
import { utf8 } from '#base/bytes.ts';
import type { LedgerClient, LedgerSigner } from '#ledger/client.ts';
import { ledgerEvents } from '#model/events.ts';
import { GrantId, type ChannelName } from '#model/ids.ts';
import { contractOf } from '#model/orgs.ts';
import { z } from 'zod';
import { codeOf } from './background.ts';
import type { Grants } from './grants.ts';

const CURSOR = 'cursor/revocations';
const RETRY_MS = 500;
/** The cursor is only there to make starts short; every so many events are enough. */
const KEEP_EVERY = 200;
const GrantEvent = z.object({ grant: GrantId });

export interface RevocationDeps {
  readonly channel: ChannelName;
  readonly ledger: LedgerClient;
  readonly signer: LedgerSigner;
  readonly grants: Pick<Grants, 'revoke'>;
  readonly store: KeyValueStore;
  readonly scheduler: Scheduler;
  readonly log: Log;
}

/** Follows the channel's events until the signal aborts; a broken line is taken up again where it broke. */
export async function followRevocations(deps: RevocationDeps, signal: AbortSignal): Promise<void> {
  const kept = await deps.store.get(CURSOR);
  let next = kept === undefined ? 0 : Number(fromUtf8(kept));
  let unkept = 0;
  while (!signal.aborted) {
    try {
      for await (const event of deps.ledger.events({ channel: deps.channel, contract: contractOf(deps.channel), startBlock: next, signer: deps.signer, signal })) {
        if (event.name === ledgerEvents.hdc.revokeRelease) await deps.grants.revoke(GrantEvent.parse(JSON.parse(fromUtf8(event.payload))).grant);
        next = event.blockNumber;
        if (++unkept >= KEEP_EVERY) {
          await deps.store.write(new Map([[CURSOR, utf8(String(next))]]));
          unkept = 0;
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      deps.log('warn', 'revocations.interrupted', { code: codeOf(error), block: next });
    }
    await deps.scheduler.sleep(RETRY_MS, signal);
  }
}
