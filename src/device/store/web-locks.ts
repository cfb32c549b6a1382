/** Turns among all tabs of one browser (Web Locks), so that two pages of the same person act one after the other. */
import type { Exclusive } from '../context.ts';

/** One act at a time for everybody who uses the same name: the name of the device's database. */
export function webLocks(name: string): Exclusive {
  return async (act) => await navigator.locks.request(`healthkeep/${name}`, act);
}
