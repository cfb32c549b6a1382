/** Transfers under way: one per slot, stoppable at once when the owner revokes. */
import type { SlotTag } from '#model/ids.ts';
import { CodedError } from '#base/errors.ts';

export interface Transfers {
  /** Runs the work with a signal that `stop` aborts. Throws GRANT_REVOKED when it was stopped. */
  run<T>(slot: SlotTag, work: (signal: AbortSignal) => Promise<T>): Promise<T>;
  stop(slot: SlotTag): void;
  stopAll(): void;
}

export function createTransfers(): Transfers {
  const running = new Map<SlotTag, AbortController>();
  return {
    async run(slot, work) {
      const control = new AbortController();
      running.set(slot, control);
      try {
        return await work(control.signal);
      } catch (error) {
        if (control.signal.aborted) throw new CodedError('GRANT_REVOKED', 'The transfer was stopped.', { slot }, { cause: error });
        throw error;
      } finally {
        running.delete(slot);
      }
    },
    stop: (slot) => running.get(slot)?.abort(),
    stopAll: () => running.forEach((control) => control.abort()),
  };
}
