/** One synchronisation: finish what was begun, read what came, check it, index it, look at the requests. Each step stands alone; one that fails is named and tried again next time. */
import { CodedError } from '#base/errors.ts';
import type { SlotTag } from '#model/ids.ts';
import { finishAnswers } from './answers.ts';
import { watchCheckpoints } from './checkpoints.ts';
import type { Context } from './context.ts';
import { readDeliveries } from './deliveries.ts';
import { enrolmentSigner, finishEnrolment } from './enrolment.ts';
import { finishErasures } from './erasures.ts';
import { pendingEntries, queueEntries, writeEntries } from './index.ts';
import { finishLinks } from './links.ts';
import { readLinkMailbox, readSlotMailbox } from './mailboxes.ts';
import { refreshMap } from './organisations.ts';
import { openSlots } from './permits.ts';
import { codeOf } from './persistence.ts';
import { placedRecords } from './records.ts';
import { answerUnfinished, mayChange, readSlots, requestState } from './requests.ts';
import { confirmRevocations } from './revocation-receipts.ts';
import { finishRevocations } from './revocations.ts';
import { deliveries, erasures, links, slots } from './state.ts';
import { shuffled } from './keys.ts';

export interface SyncProblem {
  /** What was being done. */
  readonly step: string;
  readonly code: string;
}

export interface SyncReport {
  /** Messages taken from mailboxes. */
  readonly notices: number;
  readonly deliveries: number;
  readonly records: number;
  readonly sealed: number;
  /** Index entries written now, and those still waiting for their time. */
  readonly indexed: number;
  readonly toIndex: number;
  /** Requests that wait for an answer. */
  readonly waiting: number;
  readonly problems: readonly SyncProblem[];
}

/** Throws DEVICE_NOT_ENROLLED; everything else that fails is in `problems`. */
export async function synchronise(context: Context, signal?: AbortSignal): Promise<SyncReport> {
  const problems: SyncProblem[] = [];
  const attempt = async <T>(step: string, act: () => Promise<T>, otherwise: T): Promise<T> => {
    // Once interrupted, the steps that follow wait for the next time.
    if (problems.some(({ code }) => code === 'SYNC_INTERRUPTED')) return otherwise;
    try {
      if (signal?.aborted === true) throw new CodedError('SYNC_INTERRUPTED', 'Something more urgent came first.');
      return await act();
    } catch (error) {
      // An interrupted call looks like one that found nobody.
      const code = signal?.aborted === true ? 'SYNC_INTERRUPTED' : codeOf(error);
      context.log('warn', 'device.step-failed', { step, code });
      problems.push({ step, code });
      return otherwise;
    }
  };
  const collect = async (step: string, act: () => Promise<readonly string[]>): Promise<void> => {
    for (const code of await attempt(step, act, [])) problems.push({ step, code });
  };
  await attempt('enrolment', () => finishEnrolment(context), undefined);
  await enrolmentSigner(context);
  await attempt('map', () => refreshMap(context), undefined);
  // Before anything is asked of a channel: it must still be the one that was seen before.
  await collect('checkpoints', () => watchCheckpoints(context));
  await finishBegun(context, collect);
  const notices = await readMail(context, attempt);
  for (const { code } of await attempt('deliveries', () => readDeliveries(context), [])) problems.push({ step: 'deliveries', code });
  await attempt('index', () => queueEntries(context), undefined);
  const entries = await attempt('index', () => writeEntries(context), { written: 0, codes: [] });
  problems.push(...entries.codes.map((code) => ({ step: 'index', code })));
  await collect('requests', () => readSlots(context));
  return { ...(await counts(context)), notices, indexed: entries.written, problems };
}

type Attempt = <T>(step: string, act: () => Promise<T>, otherwise: T) => Promise<T>;
type Collect = (step: string, act: () => Promise<readonly string[]>) => Promise<void>;

/** Taking back comes before everything else. */
async function finishBegun(context: Context, collect: Collect): Promise<void> {
  await collect('revocations', () => finishRevocations(context));
  await collect('revocations', () => confirmRevocations(context));
  await collect('links', async () => { await finishLinks(context); return []; });
  await collect('permits', () => openSlots(context));
  await collect('answers', () => finishAnswers(context));
  await collect('erasures', () => finishErasures(context));
}

async function readMail(context: Context, attempt: Attempt): Promise<number> {
  let notices = 0;
  for (const [, { keeper }] of await context.vault.all(links)) notices += await attempt('mailbox', () => readLinkMailbox(context, keeper), 0);
  for (const [tag, slot] of shuffled(context.random, await context.vault.all(slots))) {
    if (mayChange(slot, context.clock.now())) notices += await attempt('mailbox', () => readSlotMailbox(context, tag as SlotTag), 0);
  }
  return notices;
}

async function counts(context: Context): Promise<Pick<SyncReport, 'deliveries' | 'records' | 'sealed' | 'toIndex' | 'waiting'>> {
  const records = await placedRecords(context);
  const now = context.clock.now();
  return {
    deliveries: (await context.vault.all(deliveries)).length,
    records: records.length,
    sealed: records.filter(({ held }) => held.seal === 'sealed').length,
    toIndex: (await pendingEntries(context)).length,
    waiting: (await context.vault.all(slots)).filter(([, slot]) => requestState(slot, now) === 'waiting').length,
  };
}

/** One thing this device still has to do. */
export interface PendingAct {
  readonly kind: 'index-entry' | 'list' | 'anchor' | 'slot' | 'answer' | 'revocation' | 'withdrawal' | 'report' | 'erasure';
  /** UTC milliseconds; the past when it only waits for the next synchronisation. */
  readonly dueAt: number;
  readonly id: string;
  readonly code?: string;
}

/** What is left to do. Empty: everything that was begun is finished. */
export async function pendingActs(context: Context): Promise<readonly PendingAct[]> {
  const acts: PendingAct[] = (await pendingEntries(context)).map(({ tag, dueAt }) => ({ kind: 'index-entry', dueAt, id: tag }));
  for (const [id, { list, indexed, problem }] of await context.vault.all(deliveries)) {
    if (list === undefined || !indexed) acts.push({ kind: 'list', dueAt: 0, id, ...(problem === undefined ? {} : { code: problem }) });
    else if (list.records.some(({ seal }) => seal === 'waiting')) acts.push({ kind: 'anchor', dueAt: 0, id });
  }
  for (const [id, slot] of await context.vault.all(slots)) {
    const code = slot.answer?.parts.find((part) => part.code !== undefined)?.code;
    const named = { dueAt: 0, id, ...(code === undefined ? {} : { code }) };
    if (slot.phase === 'opening' && slot.withdrawal === 'none') acts.push({ kind: 'slot', ...named, dueAt: slot.dueAt });
    if (slot.answer !== undefined && slot.revocation === 'none' && answerUnfinished(slot.answer)) acts.push({ kind: 'answer', ...named });
    if (slot.revocation === 'wanted') acts.push({ kind: 'revocation', ...named });
    if (slot.withdrawal === 'wanted') acts.push({ kind: 'withdrawal', ...named });
    if (slot.reports.some(({ done }) => !done)) acts.push({ kind: 'report', ...named });
  }
  for (const [id, { receipt, code }] of await context.vault.all(erasures)) if (receipt === undefined && code === undefined) acts.push({ kind: 'erasure', dueAt: 0, id });
  return acts;
}
