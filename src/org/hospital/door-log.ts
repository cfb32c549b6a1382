/**
 * Refusals at the door: callers whose certificate no longer counts, or whose role may not use an address, never reach a
 * handler; they stand in the access log all the same. What carries no good signature of a member is counted in the
 * metrics only, so that strangers cannot fill the log.
 */
import type { Fetch, Log } from '#base/ports.ts';
import type { OrgId } from '#model/ids.ts';
import type { AccessLog } from './access-log.ts';
import { codeOf } from './background.ts';

const LOGGED = new Set(['CALLER_REFUSED', 'CERTIFICATE_REVOKED', 'CERTIFICATE_NOT_VALID']);

/** The same interface, with a line per refusal at the door. */
export function withDoorLog(inner: Fetch, { keeper, accessLog, log }: { readonly keeper: OrgId; readonly accessLog: Pick<AccessLog, 'append'>; readonly log: Log }): Fetch {
  return async (request) => {
    const response = await inner(request);
    if (response.status !== 401 && response.status !== 403) return response;
    const code = await codeOfProblem(response);
    if (code === undefined || !LOGGED.has(code)) return response;
    await accessLog.append({ org: keeper, role: 'door', caller: 'refused', action: 'refuse', records: 0, purpose: 'door', outcome: 'refused', code }).catch((error: unknown) => log('error', 'access-log.unwritten', { code: codeOf(error) }));
    return response;
  };
}

async function codeOfProblem(response: Response): Promise<string | undefined> {
  if (response.headers.get('content-type')?.startsWith('application/problem+json') !== true) return undefined;
  const problem: unknown = await response.clone().json().catch(() => undefined);
  const code = typeof problem === 'object' && problem !== null ? (problem as { readonly code?: unknown }).code : undefined;
  return typeof code === 'string' ? code : undefined;
}
