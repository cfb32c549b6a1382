/**
 * Keeps a channel's time floor moving. Members claim the time by `setTimeFloor`; the contract takes the second latest
 * claim, so that none alone can push time on. Two claims a period are therefore enough, and a third member writes nothing.
 */
import { fromUtf8 } from '#base/bytes.ts';
import { isCoded } from '#base/errors.ts';
import type { Clock, Log, Random, Scheduler } from '#base/ports.ts';
import { compositeKey } from '#contracts/keys.ts';
import type { LedgerClient } from '#ledger/client.ts';
import { TimeFloorState } from '#model/hdc.ts';
import { instant, milliseconds } from '#model/ids.ts';
import { contractOf } from '#model/orgs.ts';
import { createTicker, type Ticker } from './ticker.ts';
import type { OrgIdentity } from './types.ts';
import type { Witness } from './witness/witness.ts';

const EVERY_SECONDS = 60;
const CLAIMS_NEEDED = 2;

export interface TimeFloorOptions {
  readonly identity: OrgIdentity;
  readonly ledger: LedgerClient;
  /** One per channel whose floor this member keeps; they know what was written last. */
  readonly witnesses: readonly Witness[];
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly log: Log;
  /** The floor lags at most about twice this behind real time. */
  readonly everySeconds?: number;
}

/** A ticker that claims the time on every channel where nobody did lately. */
export function createTimeFloor(options: TimeFloorOptions): Ticker & { tick(): Promise<void> } {
  const everySeconds = options.everySeconds ?? EVERY_SECONDS;
  const tick = async (): Promise<void> => {
    for (const witness of options.witnesses) await claim(options, witness, everySeconds * 1_000);
  };
  // Members start at random moments of the period, so that mostly the same two write.
  const delaySeconds = (everySeconds * (options.random.bytes(1)[0] as number)) / 256;
  return { ...createTicker({ name: 'time-floor', everySeconds, delaySeconds, scheduler: options.scheduler, log: options.log, work: tick }), tick };
}

async function claim({ identity, ledger, clock }: TimeFloorOptions, witness: Witness, everyMs: number): Promise<void> {
  const now = clock.now();
  const claims = witness.keysUnder({ namespace: contractOf(witness.channel), prefix: compositeKey(['time-claim']) });
  const recent = claims.filter((key) => now - (lastTime(witness, key) ?? 0) < everyMs);
  if (recent.length >= CLAIMS_NEEDED || recent.includes(compositeKey(['time-claim', identity.org]))) return;
  try {
    await ledger.submit({ channel: witness.channel, contract: contractOf(witness.channel), name: 'setTimeFloor', input: { at: instant(now) }, signer: identity.system });
  } catch (error) {
    // Another instance of this organisation was faster.
    if (!isCoded(error, 'TIME_FLOOR_BACK')) throw error;
  }
}

/** UTC milliseconds. */
function lastTime(witness: Witness, key: string): number | undefined {
  const value = witness.lastWrite({ namespace: contractOf(witness.channel), key })?.value;
  return value === undefined || value === null ? undefined : milliseconds(TimeFloorState.parse(JSON.parse(fromUtf8(value))).at);
}
