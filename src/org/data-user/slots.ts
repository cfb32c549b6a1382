/**
 * The organisation's own slots on DRC, kept up to date by following the channel's blocks. What it keeps is the slot's
 * state without the sealed bytes, and the capability that it alone could open. Slots of other data users pass by unread.
 */
import { z } from 'zod';
import { fromBase64url, fromUtf8 } from '#base/bytes.ts';
import type { Json } from '#base/canonical-json.ts';
import type { Log, Scheduler } from '#base/ports.ts';
import { openFrom } from '#crypto/hpke.ts';
import { readBlock } from '#ledger/block.ts';
import type { LedgerClient } from '#ledger/client.ts';
import { SlotState, type SlotPhase } from '#model/drc.ts';
import { SlotTag } from '#model/ids.ts';
import { SlotCapability } from '#model/messages.ts';
import { DRC } from '#model/orgs.ts';
import { codeOf } from '../consortium.ts';
import { createTurnstile } from '../turnstile.ts';
import type { OrgIdentity } from '../types.ts';
import { slotBinding } from '#model/bindings.ts';
import { slotFacts, type SlotFacts } from './board.ts';
import type { DrcCalls } from './drc-calls.ts';
import type { Vault } from './vault.ts';

export interface OwnSlot {
  readonly slot: SlotTag;
  readonly facts: SlotFacts;
  /** Absent when what the permit holds cannot be opened: then nobody can be invited by it. */
  readonly capability?: SlotCapability | undefined;
}

export interface OwnSlots {
  start(): Promise<void>;
  close(): Promise<void>;
  /** An own slot, asked of the ledger when it was not followed to yet. Throws SLOT_UNKNOWN. */
  known(slot: SlotTag): Promise<OwnSlot>;
  all(): readonly OwnSlot[];
  /** Takes a state just read from the ledger; blocks that follow may only move it on. */
  learn(slot: SlotTag, state: SlotState): Promise<OwnSlot>;
  /** Resolves when every block up to this one has been read. */
  caughtUp(block: number): Promise<void>;
  height(): number;
  /** Called after changes of own slots were kept. */
  onChange(listener: (slots: readonly SlotTag[]) => void): void;
}

export interface OwnSlotsDeps {
  readonly identity: OrgIdentity;
  readonly ledger: LedgerClient;
  readonly drc: Pick<DrcCalls, 'slot'>;
  readonly vault: Vault;
  readonly scheduler: Scheduler;
  readonly log: Log;
}

const Kept = z.strictObject({ facts: z.unknown(), capability: SlotCapability.optional() });
const Cursor = z.strictObject({ next: z.int().min(0) });
const CURSOR = 'follow/drc';
const RETRY_MS = 500;
/** Blocks without own changes move the kept cursor only now and then: reading a few again costs less than a write each. */
const CURSOR_EVERY = 64;
const SLOT_KEY = /^\u0000slot\u0000([A-Za-z0-9_-]{43})\u0000$/;

export function createOwnSlots(deps: OwnSlotsDeps): OwnSlots {
  const { identity, ledger, vault, scheduler, log } = deps;
  const known = new Map<SlotTag, OwnSlot>();
  const listeners: ((slots: readonly SlotTag[]) => void)[] = [];
  const waiting: { readonly block: number; readonly resolve: () => void }[] = [];
  const stop = new AbortController();
  let next = 0;
  let running: Promise<void> | undefined;

  // One writer at a time: two that read the same old state must not both build on it.
  const exclusive = createTurnstile();
  const keep = (states: ReadonlyMap<SlotTag, SlotState>, nextBlock?: number): Promise<void> => exclusive.run('keep', () => keepNow(states, nextBlock));
  const keepNow = async (states: ReadonlyMap<SlotTag, SlotState>, nextBlock: number | undefined): Promise<void> => {
    const changes = new Map<string, Json | undefined>();
    const fresh: OwnSlot[] = [];
    for (const [slot, state] of states) {
      const before = known.get(slot);
      // What was read from the ledger and what its blocks say may arrive in either order; only the further one counts.
      if (before !== undefined && progress(before.facts) > progress(state)) continue;
      const capability = before?.capability ?? (await openCapability(slot, state, deps));
      fresh.push({ slot, facts: slotFacts(state), capability });
      changes.set(`slot/${slot}`, { facts: slotFacts(state) as unknown as Json, ...(capability && { capability: capability as unknown as Json }) });
    }
    if (nextBlock !== undefined && (states.size > 0 || nextBlock % CURSOR_EVERY === 0)) changes.set(CURSOR, { next: nextBlock });
    await vault.write(changes);
    for (const own of fresh) known.set(own.slot, own);
  };

  const learn = async (slot: SlotTag, state: SlotState): Promise<OwnSlot> => {
    await keep(new Map([[slot, state]]));
    return known.get(slot) as OwnSlot;
  };

  const readOne = async (bytes: Uint8Array): Promise<void> => {
    const block = readBlock(bytes);
    const states = ownStates(block.transactions, identity);
    await keep(states, block.number + 1);
    next = block.number + 1;
    if (states.size > 0) for (const listener of listeners) listener([...states.keys()]);
    for (let at = waiting.length - 1; at >= 0; at--) if ((waiting[at] as { block: number }).block < next) waiting.splice(at, 1).forEach((one) => one.resolve());
  };

  const follow = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        for await (const { bytes } of ledger.blocks({ channel: DRC, startBlock: next, signer: identity.peer, signal: stop.signal })) await readOne(bytes);
      } catch (error) {
        if (stop.signal.aborted) return;
        log('warn', 'data-user.drc-interrupted', { code: codeOf(error), next });
      }
      await scheduler.sleep(RETRY_MS, stop.signal);
    }
  };

  return {
    async start() {
      next = (await vault.get(CURSOR, Cursor))?.next ?? 0;
      for (const [name, kept] of await vault.list('slot/', Kept)) {
        const slot = SlotTag.parse(name.slice('slot/'.length));
        known.set(slot, { slot, facts: kept.facts as SlotFacts, capability: kept.capability });
      }
      running = follow();
    },
    async close() {
      stop.abort();
      for (const one of waiting.splice(0)) one.resolve();
      await running;
    },
    known: async (slot) => known.get(slot) ?? learn(slot, await deps.drc.slot(slot)),
    all: () => [...known.values()],
    learn,
    caughtUp: (block) => (next > block || stop.signal.aborted ? Promise.resolve() : new Promise((resolve) => waiting.push({ block, resolve }))),
    height: () => next,
    onChange: (listener) => void listeners.push(listener),
  };
}

const PHASE_RANK: Readonly<Record<SlotPhase, number>> = { open: 0, invited: 1, withdrawn: 2, answered: 2, refused: 2, revoked: 3 };

/** Grows by one with every transaction on a slot: phases lead on only, receipts, erasures and reports are added and stay. */
export function progress({ phase, receipt, erasure, reports }: Pick<SlotState, 'phase' | 'receipt' | 'erasure' | 'reports'>): number {
  return PHASE_RANK[phase] + (receipt ? 1 : 0) + (erasure ? 1 : 0) + reports.length;
}

type Transactions = ReturnType<typeof readBlock>['transactions'];

/** The last state in the block of every slot that is ours. */
function ownStates(transactions: Transactions, identity: OrgIdentity): ReadonlyMap<SlotTag, SlotState> {
  const states = new Map<SlotTag, SlotState>();
  for (const { code, writes } of transactions) {
    if (code !== 'VALID') continue;
    for (const { namespace, key, value } of writes) {
      const tag = namespace === 'drc' && value !== null ? SLOT_KEY.exec(key)?.[1] : undefined;
      if (tag === undefined) continue;
      const state = SlotState.parse(JSON.parse(fromUtf8(value as Uint8Array)));
      if (state.duo === identity.org) states.set(SlotTag.parse(tag), state);
    }
  }
  return states;
}

async function openCapability(slot: SlotTag, state: SlotState, { identity, log }: OwnSlotsDeps): Promise<SlotCapability | undefined> {
  try {
    const opened = await openFrom({ privateKey: identity.hpke.privateKey, ...slotBinding(slot), envelope: fromBase64url(state.sealed) });
    return SlotCapability.parse(JSON.parse(fromUtf8(opened)));
  } catch {
    // Whoever opened the slot put something else into it; it cannot be used, and that is its owner's choice.
    log('warn', 'slot-capability-unreadable', { slot });
    return undefined;
  }
}
