/** A few things at a time. */

const AT_ONCE = 8;

/** Runs an act for each value, a few at a time, answers in order; the first failure ends it. */
export async function eachOf<T, R>(values: readonly T[], act: (value: T) => Promise<R>): Promise<readonly R[]> {
  const out: R[] = new Array<R>(values.length);
  let next = 0;
  const work = async (): Promise<void> => {
    for (let at = next++; at < values.length; at = next++) out[at] = await act(values[at] as T);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, values.length) }, work));
  return out;
}
