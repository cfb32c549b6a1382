import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { accessRow } from './access.ts';
import { ProposalState } from './con.ts';
import { SlotPhase } from './drc.ts';
import { ledgerEvents } from './events.ts';
import { AnchorState, OrderState } from './hdc.ts';
import { nextStates, protocolSteps, stepAllowed, type Step } from './steps.ts';

const tables = Object.entries(protocolSteps) as [keyof typeof protocolSteps, readonly Step[]][];
const states: Record<keyof typeof protocolSteps, readonly string[]> = {
  slot: SlotPhase.options,
  order: OrderState.unwrap().shape.state.options,
  record: AnchorState.unwrap().shape.erased.options,
  proposal: ProposalState.unwrap().shape.state.options,
};
/** How far along its life a state is: steps never lead back. */
const rank: Record<keyof typeof protocolSteps, Readonly<Record<string, number>>> = {
  slot: { none: 0, open: 1, invited: 2, withdrawn: 3, answered: 3, refused: 3, revoked: 4 },
  order: { none: 0, ordered: 1, released: 2, revoked: 3 },
  record: { none: 0, no: 1, ordered: 2, done: 3 },
  proposal: { none: 0, open: 1, accepted: 2, rejected: 2 },
};

describe.each(tables)('the steps of a %s', (name, table) => {
  it('belong to transactions that their callers may call and that say so', () => {
    for (const { step, by, channel, event } of table) {
      expect(accessRow(channel, step)?.by, `${step} by ${by}`).toContain(by);
      const events: Readonly<Record<string, string>> = ledgerEvents[channel];
      expect(events[step], step).toBe(event);
    }
  });

  it('reach every state of the schema from nothing, and no other', () => {
    const reached = new Set(['none']);
    for (let grown = true; grown; ) {
      const before = reached.size;
      for (const row of table) if (reached.has(row.from)) reached.add(row.to);
      grown = reached.size > before;
    }
    expect([...reached].sort()).toEqual(['none', ...states[name]].sort());
  });

  it('never lead back, along any walk', () => {
    const steps = [...new Set(table.map((row) => row.step))];
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom(...steps), fc.nat()), { maxLength: 30 }), (walk) => {
        let state = 'none';
        for (const [step, choice] of walk) {
          const next = nextStates(table, state, step);
          expect(stepAllowed(table, state, step)).toBe(next.length > 0);
          if (next.length === 0) continue;
          const to = next[choice % next.length] as string;
          expect(rank[name][to], `${state} -> ${to}`).toBeGreaterThanOrEqual(rank[name][state] as number);
          // Two states of one rank are two ends of life: no step leads from one to the other.
          if (rank[name][to] === rank[name][state]) expect(to).toBe(state);
          state = to;
        }
      }),
    );
  });
});

describe('revocation', () => {
  it('is possible from every state that lets data flow, and nothing flows after it', () => {
    for (const state of ['ordered', 'released']) expect(stepAllowed(protocolSteps.order, state, 'revokeRelease'), state).toBe(true);
    expect(stepAllowed(protocolSteps.order, 'revoked', 'recordRelease')).toBe(false);
    expect(stepAllowed(protocolSteps.slot, 'answered', 'revokeGrant')).toBe(true);
    for (const state of ['withdrawn', 'revoked', 'refused']) expect(stepAllowed(protocolSteps.slot, state, 'invite'), state).toBe(false);
  });
});
