/** Every handler that touches records passes through here: one line in the access log, whether it was done or refused. */
import type { HttpCaller } from '#api/caller.ts';
import { isCoded } from '#base/errors.ts';
import type { GrantId, SubjectId } from '#model/ids.ts';
import type { AccessLine } from '#model/messages.ts';
import type { Access, AccessLog } from './access-log.ts';

/** What a handler learns about the access while it works. */
export interface About {
  readonly subject?: SubjectId;
  readonly records?: number;
  readonly grant?: GrantId;
  readonly purpose?: string;
}

export interface Audit {
  /** Runs the work; its line is durable before the result is handed on. A refusal is logged with its code and thrown on. */
  on<T>(what: { readonly caller: HttpCaller; readonly action: AccessLine['action']; readonly purpose: string }, work: (note: (about: About) => void) => Promise<T>): Promise<T>;
  /** A line outside a handler's own: a transfer that was cut. */
  line(access: Access): Promise<void>;
}

export function createAudit(log: Pick<AccessLog, 'append'>): Audit {
  return {
    line: (access) => log.append(access),
    async on({ caller, action, purpose }, work) {
      let about: About = {};
      const line = (outcome: AccessLine['outcome'], code?: string): Access => ({
        ...accessor(caller),
        action,
        purpose: about.purpose ?? purpose,
        records: about.records ?? 0,
        outcome,
        ...(about.subject === undefined ? {} : { subject: about.subject }),
        ...(about.grant === undefined ? {} : { grant: about.grant }),
        ...(code === undefined ? {} : { code }),
      });
      let result: Awaited<ReturnType<typeof work>>;
      try {
        result = await work((more) => {
          about = { ...about, ...more };
        });
      } catch (error) {
        await log.append(line('refused', isCoded(error) ? error.code : 'INTERNAL'));
        throw error;
      }
      await log.append(line('done'));
      return result;
    },
  };
}

/** Who it was, by organisation, role and pseudonym. */
export function accessor(caller: Pick<HttpCaller, 'org' | 'role' | 'id'>): Pick<Access, 'org' | 'role' | 'caller'> {
  return { org: caller.org, role: caller.role, caller: caller.id };
}
