/** A bounded cache of pure results: the oldest entry leaves first. It changes speed, never an answer. */

export interface BoundedCache<Value> {
  /** The value under the key, made once. A maker that throws leaves nothing behind. */
  of(key: string, make: () => Value): Value;
}

export function boundedCache<Value>(entriesMax: number): BoundedCache<Value> {
  const entries = new Map<string, Value>();
  return {
    of(key, make) {
      const known = entries.get(key);
      if (known !== undefined) return known;
      const made = make();
      if (entries.size >= entriesMax) entries.delete(entries.keys().next().value as string);
      entries.set(key, made);
      return made;
    },
  };
}
