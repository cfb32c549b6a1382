/** Notices to owners' mailboxes. They only wake a device: what counts is on the ledger, so a notice may come late, never twice. */
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import { fromBase64url, lengthPrefixed, toBase64url, utf8 } from '#base/bytes.ts';
import { isCoded } from '#base/errors.ts';
import type { Fetch, Log } from '#base/ports.ts';
import { createApiClient, type SignRequest } from '#api/client.ts';
import { userOrgEndpoints } from '#api/endpoints.ts';
import { sha256 } from '#crypto/digest.ts';
import { sealTo } from '#crypto/hpke.ts';
import type { MailboxMessage, SlotCapability } from '#model/messages.ts';
import { MAILBOX_SIZES } from '#model/messages.ts';
import { orgClass } from '#model/orgs.ts';
import { codeOf, type Consortium } from '../consortium.ts';
import { mailboxBinding } from '#model/bindings.ts';

export type SlotNotice = Extract<MailboxMessage, { kind: 'invitation' | 'erased' }>;

export interface Mailman {
  /** Posts once per slot and kind, however often it is called. A mailbox that no user organisation has any more is passed over: its owner closed it. */
  post(to: SlotCapability, notice: SlotNotice): Promise<void>;
  note(event: string, error: unknown, ids: Readonly<Record<string, string>>): void;
}

export interface MailmanDeps {
  readonly consortium: Consortium;
  readonly fetch: Fetch;
  readonly sign: SignRequest;
  readonly log: Log;
}

export function createMailman({ consortium, fetch, sign, log }: MailmanDeps): Mailman {
  const note: Mailman['note'] = (event, error, ids) => log('warn', event, { ...ids, code: codeOf(error) });
  return {
    note,
    async post({ mailbox, hpkePublicKey }, notice) {
      const plaintext = canonicalBytes(notice as unknown as Json);
      const sealed = await sealTo({ recipientPublicKey: fromBase64url(hpkePublicKey), ...mailboxBinding(mailbox), plaintext, envelopeBytes: MAILBOX_SIZES[0] });
      const body = { id: messageId(notice), sealed: toBase64url(sealed) };
      if (consortium.members().length === 0) await consortium.refresh();
      for (const { url: baseUrl } of userOrgs(consortium)) {
        try {
          await createApiClient({ table: userOrgEndpoints, baseUrl, fetch, sign }).post({ params: { handle: mailbox }, body });
          return;
        } catch (error) {
          if (!isCoded(error, 'MAILBOX_UNKNOWN')) throw error;
        }
      }
      log('info', 'mailbox-gone', { kind: notice.kind, slot: notice.slot });
    },
  };
}

/** The same notice has the same id: the mailbox keeps it once. It says nothing to whoever sees it. */
function messageId(notice: SlotNotice): string {
  return toBase64url(sha256(lengthPrefixed(utf8('healthkeep/v1/notice'), utf8(notice.kind), utf8(notice.slot))).slice(0, 16));
}

function userOrgs(consortium: Consortium): readonly { readonly url: string }[] {
  return consortium.members().filter((member) => orgClass(member.org) === 'uo');
}
