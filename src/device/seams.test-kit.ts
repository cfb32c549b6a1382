/** The seams as this room's tests use them. */
import { silentLog, type Log } from '#base/ports.ts';

export { realScheduler, seededRandom, shiftedClock, systemClock, systemRandom, type SettableClock } from '#sim/seams.ts';

/** A log that says everything when asked to, for finding out why a test fails. */
export function silentOr(loud: boolean): Log {
  return loud ? (level, event, fields) => console.log(level, event, JSON.stringify(fields ?? {})) : silentLog;
}
