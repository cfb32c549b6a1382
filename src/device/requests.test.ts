import { describe, expect, it } from 'vitest';
import { GrantId, instant, OrgId, SlotTag } from '#model/ids.ts';
import { requestState } from './requests.ts';
import type { AnswerPlan, Request, Slot } from './state.ts';

const NOW = Date.parse('2026-11-20T12:00:00.000Z');
const before = instant(NOW - 1);
const after = instant(NOW + 1);
const tag = SlotTag.parse('A'.repeat(43));

const base = {
  slot: tag, contact: GrantId.parse('A'.repeat(22)), duo: OrgId.parse('DUO-sunrise'), opening: { until: after }, phase: 'open',
  noticed: false, lookedAt: 0, revocation: 'none', withdrawal: 'none', reports: [],
} as unknown as Slot;
const asked = (answerBy: string): Request => ({ answerBy }) as Request;
const decided = (decision: AnswerPlan['decision'], stage: AnswerPlan['stage']): AnswerPlan => ({ decision, stage, parts: [] }) as unknown as AnswerPlan;

describe('the state of a request', () => {
  it.each<[string, Partial<Slot>, string]>([
    ['permission not on the channel yet', { phase: 'opening' }, 'sent'],
    ['permission on the channel, nobody asked', {}, 'sent'],
    ['nobody asked in time', { opening: { until: before } as Slot['opening'] }, 'expired'],
    ['permission refused by the channel', { phase: 'failed' }, 'failed'],
    ['asked, time left', { phase: 'invited', request: asked(after) }, 'waiting'],
    ['asked, the permission itself has ended but not the time to answer', { phase: 'invited', request: asked(after), opening: { until: before } as Slot['opening'] }, 'waiting'],
    ['asked, the time to answer is over', { phase: 'invited', request: asked(before) }, 'silent'],
    ['yes, not sent yet', { phase: 'invited', request: asked(after), answer: decided('all', 'deciding') }, 'answered'],
    ['yes, on the channel, the time to answer is over since', { phase: 'answered', request: asked(before), answer: decided('narrower', 'responded') }, 'answered'],
    ['no, not sent yet', { phase: 'invited', request: asked(after), answer: decided('no', 'deciding') }, 'refused'],
    ['no, on the channel', { phase: 'refused', request: asked(before), answer: decided('no', 'responded') }, 'refused'],
    ['yes, but it slept past the time to answer', { phase: 'invited', request: asked(before), answer: decided('all', 'lapsed') }, 'silent'],
    ['yes, refused by the channel', { phase: 'invited', request: asked(after), answer: decided('all', 'failed') }, 'failed'],
    ['answered by another device of the same person', { phase: 'answered', request: asked(before) }, 'answered'],
    ['refused by another device of the same person', { phase: 'refused', request: asked(before) }, 'refused'],
    ['taken back, not told to all yet', { phase: 'answered', answer: decided('all', 'responded'), revocation: 'wanted' }, 'revoked'],
    ['taken back', { phase: 'revoked', answer: decided('all', 'responded'), revocation: 'done' }, 'revoked'],
    ['permission withdrawn, not told yet', { withdrawal: 'wanted' }, 'withdrawn'],
    ['permission withdrawn after asking', { phase: 'withdrawn', request: asked(before), withdrawal: 'done' }, 'withdrawn'],
  ])('%s', (_, change, state) => {
    expect(requestState({ ...base, ...change }, NOW)).toBe(state);
  });
});
