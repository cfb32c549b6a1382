/**
 * Errors over HTTP: `application/problem+json` (RFC 9457) with our stable `code`. Built from a CodedError on one side
 * and back into the same CodedError on the other. What is not coded says nothing of itself.
 */
import { CodedError, isCoded, type CodedErrorDetails } from '#base/errors.ts';
import { errorRow, errorTable } from '#model/errors.ts';
import { z } from 'zod';

export const PROBLEM_TYPE = 'application/problem+json';

/** The wire form. `details` holds ids, counts and codes. */
export const Problem = z.object({
  type: z.string(),
  status: z.int().min(100).max(599),
  code: z.string().regex(/^[A-Z][A-Z0-9_]{1,60}$/),
  /** The code's sentence, always the same. */
  title: z.string(),
  /** What happened this time. */
  detail: z.string(),
  /** What to do next. */
  next: z.string(),
  /** May the same request succeed later without change? */
  retry: z.boolean(),
  /** Finds the line in the log of the organisation that answered. */
  traceId: z.string(),
  why: z.string().optional(),
  details: z.record(z.string(), z.unknown()).optional(),
});
export type Problem = z.infer<typeof Problem>;

/** The problem of any thrown value. Values that are not coded, and codes without a row, become INTERNAL. */
export function problemOf(error: unknown, traceId: string): Problem {
  const coded = isCoded(error) && Object.hasOwn(errorTable, error.code) ? error : new CodedError('INTERNAL', 'Something went wrong inside healthkeep.');
  const row = errorRow(coded.code);
  const { why, next, ...details } = coded.details;
  return {
    type: `urn:healthkeep:problem:${coded.code}`,
    status: row.status,
    code: coded.code,
    title: row.sentence,
    detail: coded.message,
    next: next ?? row.next,
    retry: row.retry,
    traceId,
    ...(why === undefined ? {} : { why }),
    ...(Object.keys(details).length === 0 ? {} : { details }),
  };
}

/** Whoever is refused because there is too much to do may try again after this many seconds. */
const RETRY_AFTER_SECONDS = 1;

/** The answer that carries a problem. */
export function problemResponse(problem: Problem, headers: Readonly<Record<string, string>> = {}): Response {
  const later = problem.retry && (problem.status === 429 || problem.status === 503) ? { 'retry-after': String(RETRY_AFTER_SECONDS) } : {};
  return new Response(JSON.stringify(problem), { status: problem.status, headers: { ...later, ...headers, 'content-type': PROBLEM_TYPE } });
}

const PROBLEM_BYTES_MAX = 64_000;

/**
 * The CodedError of an answer that is not 2xx. An answer that is no problem of ours (a proxy's page) becomes
 * ORG_ANSWER_INVALID, or ORG_UNREACHABLE for 502, 503 and 504.
 */
export async function errorOfResponse(response: Response): Promise<CodedError> {
  const problem = response.headers.get('content-type')?.startsWith(PROBLEM_TYPE) === true ? await readProblem(response) : undefined;
  if (problem === undefined) {
    await response.body?.cancel().catch(() => undefined);
    const code = response.status >= 502 && response.status <= 504 ? 'ORG_UNREACHABLE' : 'ORG_ANSWER_INVALID';
    return new CodedError(code, `The organisation answered with status ${response.status} and no problem description.`, { status: response.status });
  }
  const details: CodedErrorDetails = { ...problem.details, next: problem.next, ...(problem.why === undefined ? {} : { why: problem.why }), traceId: problem.traceId, status: problem.status };
  return new CodedError(problem.code, problem.detail, details);
}

async function readProblem(response: Response): Promise<Problem | undefined> {
  try {
    const text = await response.text();
    if (text.length > PROBLEM_BYTES_MAX) return undefined;
    return Problem.safeParse(JSON.parse(text)).data;
  } catch {
    // Not JSON, or cut off while reading: the caller is told so by ORG_ANSWER_INVALID.
    return undefined;
  }
}
