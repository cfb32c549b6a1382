/**
 * The one error type that crosses rooms. Its code is stable and machine readable; its three sentences
 * (what happened, why, what to do next) are for people. It never carries health data or keys.
 */

export interface CodedErrorDetails {
  /** Why it happened, one sentence. */
  readonly why?: string;
  /** What the reader can do next, one sentence. */
  readonly next?: string;
  /** Ids, counts and codes only: never health data, never keys. */
  readonly [key: string]: unknown;
}

export class CodedError extends Error {
  readonly code: string;
  readonly details: CodedErrorDetails;

  constructor(code: string, what: string, details: CodedErrorDetails = {}, options?: { cause?: unknown }) {
    super(what, options);
    this.name = 'CodedError';
    this.code = code;
    this.details = details;
  }

  /** The wire form: used inside Fabric messages, problem+json bodies and command line output. */
  toJSON(): { code: string; message: string; details: CodedErrorDetails } {
    return { code: this.code, message: this.message, details: this.details };
  }
}

/** True when the value is a CodedError (optionally of one code); works across module copies. */
export function isCoded(error: unknown, code?: string): error is CodedError {
  return error instanceof Error && error.name === 'CodedError' && (code === undefined || (error as CodedError).code === code);
}

/** For states that cannot happen. The process must not go on with a broken invariant. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new CodedError('INTERNAL_INVARIANT', `Broken invariant: ${message}`, { next: 'Report this with the code and time; nothing was changed.' });
}
