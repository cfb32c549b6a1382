/** One at a time: reads and the write that depends on them must not interleave with another caller's. */

export interface Turnstile {
  /** Runs when all work of the same key that came before is over, however it ended. */
  run<T>(key: string, work: () => Promise<T>): Promise<T>;
}

export function createTurnstile(): Turnstile {
  const last = new Map<string, Promise<unknown>>();
  return {
    run(key, work) {
      const turn = (last.get(key) ?? Promise.resolve()).then(work, work);
      const settled = turn.then(
        () => undefined,
        () => undefined,
      );
      last.set(key, settled);
      void settled.then(() => {
        if (last.get(key) === settled) last.delete(key);
      });
      return turn;
    },
  };
}
