/**
 * When acts that must not be linked are done: apart in time, each at a random moment of its own. A device that slept past
 * several of these moments does one of the acts and draws new moments for the others; done in one breath they would
 * follow each other on the channel and belong together for everybody who looks.
 */
import { instant, milliseconds, type Instant } from '#model/ids.ts';
import type { Context } from './context.ts';
import { randomBelow, shuffled } from './keys.ts';

const DAY_MS = 86_400_000;

/** Default longest wait. People who act within about a third of it hide each other's times (docs/privacy.md). */
export const SPREAD_MS = 3 * DAY_MS;

interface Waiting {
  /** UTC milliseconds. */
  readonly dueAt: number;
}

/** Of acts that are due, in random order: those to do now, and those that wait anew for up to their spread (milliseconds). */
export function spaced<T extends Waiting>({ clock, random }: Pick<Context, 'clock' | 'random'>, due: readonly T[], spreadOf: (one: T) => number): { readonly now: readonly T[]; readonly later: readonly T[] } {
  const order = shuffled(random, due);
  const waits = (one: T, at: number): boolean => at > 0 && spreadOf(one) > 0;
  return { now: order.filter((one, at) => !waits(one, at)), later: order.filter(waits).map((one) => ({ ...one, dueAt: clock.now() + 1 + randomBelow(random, spreadOf(one)) })) };
}

/** The end of one slot of several: whole days earlier, at random, by up to a sixth of the time left, so that slots of one permit do not share a rare day. */
export function earlierEnd({ clock, random }: Pick<Context, 'clock' | 'random'>, until: Instant): Instant {
  const days = Math.floor((milliseconds(until) - clock.now()) / 6 / DAY_MS);
  return instant(milliseconds(until) - randomBelow(random, days + 1) * DAY_MS);
}

/** The time rounded down to a whole day (UTC), or to a whole hour or minute where a day would leave nothing: a moment to the millisecond is a name. */
export function roundedEnd(until: Instant, nowMs: number): Instant {
  const end = milliseconds(until);
  const unit = [DAY_MS, DAY_MS / 24, DAY_MS / 1_440].find((size) => end - (end % size) > nowMs);
  return unit === undefined ? until : instant(end - (end % unit));
}
