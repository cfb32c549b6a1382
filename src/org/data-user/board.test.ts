import { describe, expect, it } from 'vitest';
import { GrantId, instant, MailboxHandle, OrgId, SlotTag, TemplateId, type Digest } from '#model/ids.ts';
import { slotSteps } from '#model/steps.ts';
import { progress } from './slots.ts';
import { boardRow, boardState, type BoardState, type SlotFacts } from './board.ts';

const NOW = Date.UTC(2027, 2, 10);
const before = instant(NOW - 1_000);
const after = instant(NOW + 1_000);
const digest = 'D'.repeat(43) as Digest;
const template = { id: TemplateId.parse('labs'), version: 1, digest };

const open: SlotFacts = { owner: digest as never, duo: OrgId.parse('DUO-insurer'), templates: [template], notBefore: before, until: after, phase: 'open', reports: [] };
const invited: SlotFacts = { ...open, phase: 'invited', invitation: { template, answerBy: after, at: before } };
const answer = { decision: 'all' as const, grantCommitment: digest, recipientKeyDigest: digest, until: after, eraseAt: after, at: before };
const answered: SlotFacts = { ...invited, phase: 'answered', answer };
const receipt = { packageDigest: digest, delivered: 3, verified: 2, keepers: [], at: before };
const erasure = { reason: 'due' as const, receiptDigest: digest, at: before };

const table: readonly (readonly [what: string, facts: SlotFacts, state: BoardState])[] = [
  ['a permit', open, 'permitted'],
  ['a permit whose time has passed', { ...open, until: before }, 'permitted'],
  ['a withdrawn permit', { ...open, phase: 'withdrawn' }, 'withdrawn'],
  ['an invitation withdrawn unanswered', { ...invited, phase: 'withdrawn' }, 'withdrawn'],
  ['an invitation in time', invited, 'sent'],
  ['an invitation that nobody answered', { ...invited, invitation: { template, answerBy: before, at: before } }, 'silent'],
  ['a no', { ...invited, phase: 'refused', answer: { ...answer, decision: 'no' } }, 'refused'],
  ['a yes', answered, 'answered'],
  ['a yes after its invitation\'s time', { ...answered, invitation: { template, answerBy: before, at: before } }, 'answered'],
  ['a received package', { ...answered, receipt }, 'received'],
  ['a grant taken back', { ...answered, phase: 'revoked' }, 'revoked'],
  ['a grant taken back after receipt', { ...answered, phase: 'revoked', receipt }, 'revoked'],
  ['an erased package', { ...answered, receipt, erasure }, 'erased'],
  ['an erased package of a grant taken back', { ...answered, phase: 'revoked', receipt, erasure }, 'erased'],
];

describe('a slot\'s progress', () => {
  it('grows with every step of the protocol, so that an older state is known as older', () => {
    for (const { from, to } of slotSteps) {
      if (from === 'none' || from === to) continue;
      expect(progress({ ...open, phase: from }), `${from} to ${to}`).toBeLessThan(progress({ ...open, phase: to }));
    }
    expect(progress(answered)).toBeLessThan(progress({ ...answered, receipt } as never));
    expect(progress({ ...answered, receipt } as never)).toBeLessThan(progress({ ...answered, receipt, erasure } as never));
    expect(progress(answered as never)).toBeLessThan(progress({ ...answered, reports: ['pressure'] } as never));
  });
});

describe('the board', () => {
  it.each(table)('shows %s', (_, facts, state) => {
    expect(boardState(facts, NOW)).toBe(state);
  });

  it('has a state for every phase that the protocol knows', () => {
    const phases = new Set(slotSteps.map((step) => step.to));
    for (const phase of phases) expect(table.some(([, facts]) => facts.phase === phase), phase).toBe(true);
  });

  it('says nothing of a grant in the row of a no', () => {
    const capability = { kind: 'slot' as const, contact: GrantId.parse('C'.repeat(22)), ordinal: 1, quota: 3, hpkePublicKey: 'AA', mailbox: MailboxHandle.parse(digest) };
    const row = boardRow({ slot: SlotTag.parse(digest), facts: { ...invited, phase: 'refused', answer: { ...answer, decision: 'no' } }, capability }, NOW);
    expect(row).toEqual({ slot: digest, contact: capability.contact, ordinal: 1, quota: 3, state: 'refused', template, until: open.until });
  });
});
