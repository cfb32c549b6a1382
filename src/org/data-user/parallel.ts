/** Bounded parallel work whose results are handed on as they finish. */

/** Runs at most `width` pieces of work at once; yields results in order of completion. Leaving the loop early lets running work finish unseen. */
export async function* parallel<In, Out>(inputs: readonly In[], width: number, work: (input: In) => Promise<Out>): AsyncGenerator<Out, void, undefined> {
  const running = new Map<number, Promise<{ readonly at: number; readonly out: Out }>>();
  let next = 0;
  const startOne = (): void => {
    const at = next++;
    const piece = work(inputs[at] as In).then((out) => ({ at, out }));
    // A consumer that stops listening must not turn a later failure into an unhandled rejection.
    piece.catch(() => undefined);
    running.set(at, piece);
  };
  while (next < inputs.length || running.size > 0) {
    while (next < inputs.length && running.size < width) startOne();
    const done = await Promise.race(running.values());
    running.delete(done.at);
    yield done.out;
  }
}
