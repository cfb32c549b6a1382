/** Every error code, one row each. A test walks the sources: a code thrown without a row, or a row never thrown, fails. */
import { baseErrors } from './errors/base.ts';
import { cliErrors } from './errors/cli.ts';
import { contractErrors } from './errors/contracts.ts';
import { cryptoErrors } from './errors/crypto.ts';
import { deviceErrors } from './errors/device.ts';
import { ledgerErrors } from './errors/ledger.ts';
import { moveErrors } from './errors/move.ts';
import { orgErrors } from './errors/org.ts';
import { recordsErrors } from './errors/records.ts';
import { storeErrors } from './errors/store.ts';

/** Exit codes of the command line (docs/operating.md): 2 usage, 3 config, 4 refused by policy, 5 unreachable, 6 integrity failure. */
export type ExitCode = 1 | 2 | 3 | 4 | 5 | 6;

export interface ErrorRow {
  /** HTTP status. */
  readonly status: number;
  /** FHIR issue type (http://hl7.org/fhir/R4/valueset-issue-type.html). */
  readonly issue: 'invalid' | 'structure' | 'required' | 'value' | 'invariant' | 'security' | 'login' | 'expired' | 'forbidden' | 'not-found' | 'duplicate' | 'business-rule' | 'conflict' | 'too-long' | 'throttled' | 'timeout' | 'transient' | 'exception' | 'no-store' | 'incomplete' | 'not-supported';
  readonly exit: ExitCode;
  /** What happened, for people. */
  readonly sentence: string;
  /** What to do next, used when the thrower gave none. */
  readonly next: string;
  /** May the same request succeed later without change? */
  readonly retry: boolean;
}

export const errorTable = {
  ...baseErrors,
  ...cliErrors,
  ...contractErrors,
  ...cryptoErrors,
  ...deviceErrors,
  ...ledgerErrors,
  ...moveErrors,
  ...orgErrors,
  ...recordsErrors,
  ...storeErrors,
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof errorTable;

/** The row of a code; an unknown code is an internal error and says nothing of itself. */
export function errorRow(code: string): ErrorRow {
  return Object.hasOwn(errorTable, code) ? errorTable[code as ErrorCode] : errorTable.INTERNAL;
}
