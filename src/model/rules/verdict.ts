/** What a rule says: yes, or no with the code that explains it. Refusals are values; only the edge turns them into errors. */
import { CodedError, type CodedErrorDetails } from '#base/errors.ts';
import { errorRow, type ErrorCode } from '../errors.ts';

export interface Refusal {
  readonly allow: false;
  readonly because: ErrorCode;
  /** Ids, counts and paths only. */
  readonly details?: CodedErrorDetails;
}

export type Verdict = { readonly allow: true } | Refusal;

export const ALLOW: Verdict = { allow: true };

/** A refusal as a value. */
export function refuse(because: ErrorCode, details?: CodedErrorDetails): Refusal {
  return details === undefined ? { allow: false, because } : { allow: false, because, details };
}

/** The first refusal of several verdicts, in their order of precedence; ALLOW when there is none. */
export function firstRefusal(...verdicts: readonly Verdict[]): Verdict {
  return verdicts.find((verdict) => !verdict.allow) ?? ALLOW;
}

/** Turns a refusal into the CodedError of its code; the sentence and the next step come from the error table. */
export function enforce(verdict: Verdict): void {
  if (!verdict.allow) throw codedRefusal(verdict);
}

/** The CodedError of a refusal: the same code gives the same message, so that messages tell strangers nothing more than codes. */
export function codedRefusal(refusal: Refusal): CodedError {
  const row = errorRow(refusal.because);
  return new CodedError(refusal.because, row.sentence, { next: row.next, ...refusal.details });
}
