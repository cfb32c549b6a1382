/** What the data user does without being asked: erase in time, make up for interruptions, publish its view of DRC. */
import type { SlotTag } from '#model/ids.ts';
import { codeOf } from '../consortium.ts';
import { createLoop } from '../hospital/background.ts';
import type { OrgDeps } from '../types.ts';
import type { Witness } from '../witness/witness.ts';
import type { Erasures } from './erasure.ts';
import { conclude, type ReceiveDeps } from './receive.ts';
import type { Requests } from './requests.ts';
import type { OwnSlots } from './slots.ts';
import type { Templates } from './templates.ts';

export interface BackgroundDeps {
  readonly deps: Pick<OrgDeps, 'scheduler' | 'log'>;
  readonly slots: OwnSlots;
  readonly erasures: Erasures;
  readonly requests: Requests;
  readonly templates: Templates;
  readonly receiving: ReceiveDeps;
  readonly witness: Witness;
  readonly exclusive: <T>(slot: SlotTag, work: () => Promise<T>) => Promise<T>;
}

export interface Background {
  start(): void;
  close(): Promise<void>;
  /** All of it, once, now. */
  tick(): Promise<void>;
}

/** What is due is looked at this often, and at once when a slot changes. */
const DUE_EVERY_MS = 1_000;
/** What an interruption left half done is tried again this often. */
const RESUME_EVERY_MS = 15_000;
/** The own view of DRC goes on CON this often. */
const CHECKPOINT_EVERY_MS = 60_000;

export function createBackground(parts: BackgroundDeps): Background {
  const { scheduler, log } = parts.deps;
  const { erasures, requests, templates, receiving, witness, exclusive } = parts;
  const attempt = async (event: string, work: () => Promise<unknown>): Promise<void> => {
    await work().catch((error: unknown) => log('warn', event, { code: codeOf(error) }));
  };
  const due = async (): Promise<void> => {
    await attempt('data-user.erasures-failed', erasures.eraseDue);
    await attempt('data-user.templates-failed', templates.resume);
  };
  const resume = async (): Promise<void> => {
    await attempt('data-user.erasures-failed', erasures.resume);
    await attempt('data-user.invitations-failed', requests.resume);
    await attempt('data-user.receipts-failed', () => putReceipts(receiving, exclusive));
  };
  const loops = [
    createLoop({ name: 'data-user.due', scheduler, log, everyMs: DUE_EVERY_MS, run: due }),
    createLoop({ name: 'data-user.resume', scheduler, log, everyMs: RESUME_EVERY_MS, run: resume }),
    createLoop({ name: 'data-user.checkpoint', scheduler, log, everyMs: CHECKPOINT_EVERY_MS, run: async () => void (await witness.putOnCon()) }),
  ];
  return {
    async tick() {
      await due();
      await resume();
    },
    start() {
      parts.slots.onChange(() => loops[0]?.wake());
      for (const loop of loops) loop.start();
    },
    async close() {
      await Promise.all(loops.map((loop) => loop.close()));
    },
  };
}

/** Packages that were verified but whose receipt was not written. */
async function putReceipts(receiving: ReceiveDeps, exclusive: BackgroundDeps['exclusive']): Promise<void> {
  for (const [slot, held] of await receiving.packages.all()) {
    if (held.step === 'verified') await exclusive(slot, () => conclude(slot, held, receiving)).catch((error: unknown) => receiving.log('warn', 'receipt-not-put', { slot, code: codeOf(error) }));
  }
}
