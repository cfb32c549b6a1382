/** `setTimeFloor`, the same on every channel: each organisation's claim, and the floor that follows from all of them. */
import type { Json } from '#base/canonical-json.ts';
import type { TimeFloorState } from '#model/hdc.ts';
import type { Instant, OrgId } from '#model/ids.ts';
import { decideTimeFloor, effectiveFloor } from '#model/rules/time.ts';
import { enforce } from '#model/rules/verdict.ts';
import { DONE } from './outputs.ts';
import { readState, rowsUnder, writeState } from './state.ts';
import { TIME_FLOOR, type Transaction } from './table.ts';

/** Writes the caller's organisation's claim under (`time-claim`, org) and the floor under (`time-floor`). Throws TIME_FLOOR_BACK. */
export async function setTimeFloor({ stub, caller }: Transaction, { at }: { readonly at: Instant }): Promise<{ readonly output: typeof DONE; readonly event: Json }> {
  const claims = new Map<OrgId, Instant>();
  for await (const row of rowsUnder<TimeFloorState>(stub, ['time-claim'])) claims.set(row.attributes[0] as OrgId, row.value.at);
  enforce(decideTimeFloor({ at, ownClaim: claims.get(caller.org) }));
  claims.set(caller.org, at);
  const previous = await readState<TimeFloorState>(stub, TIME_FLOOR);
  const floor = effectiveFloor(previous?.at, claims) ?? at;
  await writeState(stub, ['time-claim', caller.org], { at });
  if (floor !== previous?.at) await writeState(stub, TIME_FLOOR, { at: floor });
  return { output: DONE, event: { at: floor } };
}
