/** Who sent a request, and whether a row of the endpoint table lets it in. */
import type { MailboxHandle, OrgId } from '#model/ids.ts';
import type { Caller } from '#model/orgs.ts';
import type { Allowed, Endpoint } from './endpoint.ts';

/** The holder of a certificate of a member organisation. */
export interface HttpCaller extends Caller {
  /** PEM. */
  readonly certificate: string;
}

/** The holder of a mailbox key; nothing else is known of it. */
export interface MailboxCaller {
  readonly mailbox: MailboxHandle;
}

export type AnyCaller = HttpCaller | MailboxCaller;

/** What a handler of the endpoint gets: nobody for public rows (even when the request is signed), else the kind of caller the row names. */
export type CallerOf<E extends Endpoint> = 'public' extends E['by'][number] ? undefined : E['by'][number] extends 'mailbox-key' ? MailboxCaller : HttpCaller;

/** Needs the row no signature? */
export function isOpen(by: readonly Allowed[]): boolean {
  return by.includes('public');
}

/** Does the row let this caller in? `own` is the organisation that answers. */
export function isAllowed(by: readonly Allowed[], caller: AnyCaller | undefined, own: OrgId): boolean {
  return isOpen(by) || (caller !== undefined && by.some((allowed) => matches(allowed, caller, own)));
}

function matches(allowed: Allowed, caller: AnyCaller, own: OrgId): boolean {
  if ('mailbox' in caller) return allowed === 'mailbox-key';
  const [who, role] = allowed.split('/');
  // A role is believed only inside the organisation that issued it; `own` means the answering one and no other.
  const scope = who === 'own' ? caller.org === own : who === 'member' || who === caller.class;
  return scope && role === caller.role;
}
