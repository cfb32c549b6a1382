/**
 * What each transaction on a slot says in each phase, written by hand. Tests of the pure rules and of the contract on a
 * real ledger read the same table.
 */
import type { SlotPhase } from '../drc.ts';

export interface SlotCell {
  readonly transaction: string;
  /** `holder`: the certificate that opened the slot; `duo`: the data user it is for. Everybody else sees no slot. */
  readonly by: 'holder' | 'duo';
  readonly phase: SlotPhase | 'none';
  /** `allowed` or the code of the refusal. */
  readonly expected: string;
}

/** Right party × phase × transaction. `+` is allowed; the strangers' columns are the same word everywhere. */
const TABLE = `
transaction   by      none          open             withdrawn       invited          answered         refused          revoked
getSlot       holder  SLOT_UNKNOWN  +                +               +                +                +                +
getSlot       duo     SLOT_UNKNOWN  +                +               +                +                +                +
withdrawSlot  holder  SLOT_UNKNOWN  +                +               +                SLOT_SPENT       SLOT_SPENT       SLOT_SPENT
reportSlot    holder  SLOT_UNKNOWN  SLOT_UNINVITED   SLOT_UNINVITED  +                +                +                +
invite        duo     SLOT_UNKNOWN  +                SLOT_WITHDRAWN  SLOT_SPENT       SLOT_SPENT       SLOT_SPENT       SLOT_SPENT
respond       holder  SLOT_UNKNOWN  SLOT_UNINVITED   SLOT_WITHDRAWN  +                ANSWER_EXISTS    ANSWER_EXISTS    ANSWER_EXISTS
revokeGrant   holder  SLOT_UNKNOWN  SLOT_UNANSWERED  SLOT_UNANSWERED SLOT_UNANSWERED  +                SLOT_UNANSWERED  +
putReceipt    duo     SLOT_UNKNOWN  SLOT_UNANSWERED  SLOT_UNANSWERED SLOT_UNANSWERED  +                SLOT_UNANSWERED  +
putErasure    duo     SLOT_UNKNOWN  SLOT_UNANSWERED  SLOT_UNANSWERED SLOT_UNANSWERED  +                SLOT_UNANSWERED  +
`;

const [head, ...lines] = TABLE.trim().split('\n') as [string, ...string[]];
export const slotPhases = head.trim().split(/\s+/).slice(2) as (SlotPhase | 'none')[];
export const slotCells: readonly SlotCell[] = lines.flatMap((line) => {
  const [transaction, by, ...expected] = line.trim().split(/\s+/) as [string, SlotCell['by'], ...string[]];
  return slotPhases.map((phase, at) => ({ transaction, by, phase, expected: expected[at] === '+' ? 'allowed' : (expected[at] as string) }));
});
