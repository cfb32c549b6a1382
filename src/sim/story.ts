/** The whole story on a network: processes A, B and C of flows.md, restartable at any point, and the summary at its end. */
import type { KeyValueStore } from '#base/ports.ts';
import type { Network, NetworkOptions } from './network.ts';
import type { StoryPlan } from './plan.ts';
import { answerAll, receiveAll, revokeAfter, revokeBefore, settleAll } from './story/answer.ts';
import { agreeTemplates, inviteAll, permitAll } from './story/ask.ts';
import { enrolAll, ingestAll, syncAll } from './story/collect.ts';
import { createStage, type Person } from './story/stage.ts';
import { summarize, type Recompute, type Summary } from './story/summary.ts';

export type { Check, Recompute, Summary } from './story/summary.ts';

export interface StoryOptions {
  readonly network: Network;
  readonly networkOptions: NetworkOptions;
  readonly plan: StoryPlan;
  /** The story's own memory: what was shown, sent, acknowledged. */
  readonly memory: KeyValueStore;
  readonly say: (line: string) => void;
  readonly recompute: Recompute;
  /** Index entries wait so long at random; short in a demo, hours in life. */
  readonly indexDelay?: { readonly minMs: number; readonly maxMs: number };
}

export interface Played {
  readonly summary: Summary;
  readonly people: readonly Person[];
}

const DEMO_DELAY = { minMs: 0, maxMs: 300 } as const;

/** Plays everything that is not done yet and judges the whole. */
export async function playStory(options: StoryOptions): Promise<Played> {
  const stage = createStage({ network: options.network, networkOptions: options.networkOptions, plan: options.plan, store: options.memory, say: options.say, indexDelay: options.indexDelay ?? DEMO_DELAY });
  const seconds: Record<string, number> = {};
  const act = async <T>(name: string, words: string, run: () => Promise<T>): Promise<T> => {
    options.say(words);
    const from = stage.options.clock.now();
    const result = await run();
    seconds[name] = (seconds[name] ?? 0) + Math.round(stage.options.clock.now() - from) / 1_000;
    return result;
  };
  const reports = await act('ingest', 'Hospitals take in records, encrypt each one and anchor it.', () => ingestAll(stage));
  const people = await act('enrol', 'People enrol on their own devices and show their code at the desk.', () => enrolAll(stage, reports));
  await act('index', 'Devices read, verify and index their records.', () => syncAll(stage, people));
  const templates = await act('templates', 'Data users propose templates; the consortium votes.', () => agreeTemplates(stage));
  await act('permits', 'People say who may ask.', () => permitAll(stage, people, templates));
  const refusals = await act('invitations', 'Data users ask, and try what they may not.', () => inviteAll(stage, templates));
  await act('answers', 'People decide: all, less, no, or nothing.', () => answerAll(stage, people));
  await act('revocations', 'Some take their word back before anything left.', () => revokeBefore(stage, people));
  await act('deliveries', 'Packages are fetched, opened and verified item by item.', () => receiveAll(stage));
  await act('settlement', 'Receipts are settled from the ledger.', () => settleAll(stage));
  await act('erasures', 'Some take their word back afterwards; the data user erases.', () => revokeAfter(stage, people));
  await act('index', 'Devices read what happened to them.', () => syncAll(stage, people));
  const summary = await act('checks', 'Everything is read back and checked.', () => summarize(stage, { people, reports, refusals, recompute: options.recompute, seconds }));
  return { summary, people };
}

