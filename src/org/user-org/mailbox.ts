/**
 * The mailbox: sealed messages wait for sleeping devices (docs/protocol.md section 6). Kept per mailbox are its handle, sizes
 * and times. Neither whose it is nor who posted is kept; quotas per sender are counted in memory, by day.
 */
import type { userOrgEndpoints } from '#api/endpoints.ts';
import type { Handlers } from '#api/handlers.ts';
import type { MailboxCaller } from '#api/caller.ts';
import { concat, fromBase64url, lengthPrefixed, toBase64url, u64, utf8, type Bytes } from '#base/bytes.ts';
import { CodedError } from '#base/errors.ts';
import type { Clock, KeyValueStore } from '#base/ports.ts';
import { sha256 } from '#crypto/digest.ts';
import { importPublicKey } from '#crypto/keys.ts';
import { instant, MailboxHandle, type CallerId, type OrgId } from '#model/ids.ts';
import { MAILBOX_SIZES } from '#model/messages.ts';
import { z } from 'zod';
import { commit, kept, type Change } from '../kept.ts';
import type { Metrics } from '../metrics.ts';
import { createTurnstile } from '../turnstile.ts';

export interface MailboxLimits {
  /** Mailboxes one enrolment may open. */
  readonly perPerson: number;
  /** Messages that may wait in one mailbox. */
  readonly waiting: number;
  /** Messages one organisation may post in a day: into one mailbox, and in all. */
  readonly perDayAndMailbox: number;
  readonly perDay: number;
}

const LIMITS: MailboxLimits = { perPerson: 20_000, waiting: 10_000, perDayAndMailbox: 1_000, perDay: 2_000_000 };
const DAY_MS = 86_400_000;
/** For so long a message id is remembered after its message came, so that a sender's late repetition doubles nothing. */
const ID_DAYS = 90;
const ACK_PAGE = 200;
const SEQUENCE_DIGITS = 16;

export interface MailboxOptions {
  readonly store: KeyValueStore;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** The enrolment that counts for a person's certificate. */
  readonly holderOf: (caller: CallerId) => Promise<CallerId>;
  readonly limits?: Partial<MailboxLimits>;
}

export interface Mailboxes {
  readonly handlers: Pick<Handlers<typeof userOrgEndpoints>, 'openMailbox' | 'post' | 'fetchMessages' | 'ack'>;
  /** Forgets message ids that are old enough. */
  sweep(): Promise<void>;
}

const BoxRow = z.strictObject({ next: z.int(), waiting: z.int() }).readonly();
const OpenedRow = z.strictObject({ count: z.int() }).readonly();
const IdRow = z.strictObject({ sequence: z.int() }).readonly();

export function createMailboxes(options: MailboxOptions): Mailboxes {
  const { store, clock, metrics } = options;
  const limits = { ...LIMITS, ...options.limits };
  const boxes = kept(store, 'mailbox/box/', BoxRow);
  const opened = kept(store, 'mailbox/opened/', OpenedRow);
  const ids = kept(store, 'mailbox/id/', IdRow);
  const idsByDay = kept(store, 'mailbox/id-day/', z.strictObject({}));
  const quotas = createQuotas(clock, limits);
  const turnstile = createTurnstile();

  const boxOf = async (handle: MailboxHandle): Promise<z.infer<typeof BoxRow>> => {
    const box = await boxes.get(handle);
    if (box === undefined) throw mailboxUnknown();
    return box;
  };

  return {
    handlers: {
      async openMailbox({ body, caller }) {
        const handle = await handleOf(body.publicKey);
        const holder = await options.holderOf(caller.id);
        const open = async (): Promise<{ readonly handle: MailboxHandle }> => {
          if ((await boxes.get(handle)) !== undefined) return { handle };
          const count = (await opened.get(holder))?.count ?? 0;
          if (count >= limits.perPerson) throw new CodedError('MAILBOX_LIMIT', 'No more mailboxes can be opened with this enrolment.', { limit: limits.perPerson });
          await commit(store, boxes.put(handle, { next: 1, waiting: 0 }), opened.put(holder, { count: count + 1 }));
          return { handle };
        };
        return turnstile.run(`holder ${holder}`, () => turnstile.run(handle, open));
      },
      post: ({ params: { handle }, body, caller }) =>
        turnstile.run(handle, async () => {
          const sealed = sealedBytes(body.sealed);
          const box = await boxOf(handle);
          // The id belongs to its sender: no member can occupy another's.
          const id = `${handle}/${toBase64url(sha256(lengthPrefixed(utf8(caller.org), utf8(body.id))))}`;
          if ((await ids.get(id)) !== undefined) return { done: true as const };
          if (box.waiting >= limits.waiting) throw mailboxFull();
          quotas.take(caller.org, handle);
          const now = clock.now();
          await commit(
            store,
            boxes.put(handle, { next: box.next + 1, waiting: box.waiting + 1 }),
            [messageKey(handle, box.next), concat(u64(now), sealed)],
            ids.put(id, { sequence: box.next }),
            idsByDay.put(`${dayKey(now)}/${id}`, {}),
          );
          metrics.count('healthkeep_mailbox_messages_total');
          return { done: true as const };
        }),
      fetchMessages: ({ params: { handle }, body, caller }) =>
        turnstile.run(handle, async () => {
          checkKey(caller, handle);
          await boxOf(handle);
          const rows = await store.list(messagePrefix(handle), { after: messageKey(handle, Math.max(0, body.after)), limit: body.limit });
          return { messages: rows.map(([key, bytes]) => messageOf(key, bytes)) };
        }),
      ack: ({ params: { handle }, body, caller }) =>
        turnstile.run(handle, async () => {
          checkKey(caller, handle);
          const upTo = messageKey(handle, Math.max(0, body.upTo));
          for (;;) {
            const box = await boxOf(handle);
            const rows = await store.list(messagePrefix(handle), { limit: ACK_PAGE });
            const read: Change[] = rows.map(([key]) => key).filter((key) => key <= upTo).map((key) => [key, undefined]);
            if (read.length > 0) await commit(store, boxes.put(handle, { ...box, waiting: box.waiting - read.length }), ...read);
            if (read.length < ACK_PAGE) return { done: true as const };
          }
        }),
    },
    async sweep() {
      const last = dayKey(clock.now() - ID_DAYS * DAY_MS);
      for (;;) {
        const old = (await idsByDay.list({ limit: 1_000 })).map(([key]) => key).filter((key) => key.slice(0, last.length) < last);
        if (old.length === 0) return;
        await commit(store, ...old.flatMap((key) => [idsByDay.remove(key), ids.remove(key.slice(last.length + 1))]));
      }
    },
  };
}

/** Counts of the present day; a restart begins them anew, which costs a flooding member one restart and no message of others. */
function createQuotas(clock: Clock, limits: MailboxLimits): { take(org: OrgId, handle: MailboxHandle): void } {
  let day = -1;
  let counts = new Map<string, number>();
  return {
    take(org, handle) {
      const today = Math.floor(clock.now() / DAY_MS);
      if (today !== day) [day, counts] = [today, new Map()];
      const all = counts.get(org) ?? 0;
      const here = counts.get(`${org} ${handle}`) ?? 0;
      if (all >= limits.perDay || here >= limits.perDayAndMailbox) throw mailboxFull();
      counts.set(org, all + 1);
      counts.set(`${org} ${handle}`, here + 1);
    },
  };
}

async function handleOf(publicKey: string): Promise<MailboxHandle> {
  const spki = fromBase64url(publicKey);
  // Throws KEY_INVALID: a mailbox that no key can empty would only collect.
  await importPublicKey(spki);
  return MailboxHandle.parse(toBase64url(sha256(spki)));
}

/** The answer for another's mailbox is that for none: a key opens its own and learns of no other. */
function checkKey(caller: MailboxCaller, handle: MailboxHandle): void {
  if (caller.mailbox !== handle) throw mailboxUnknown();
}

function sealedBytes(sealed: string): Bytes {
  const bytes = fromBase64url(sealed);
  if (!MAILBOX_SIZES.some((size) => size === bytes.length)) throw new CodedError('MAILBOX_SIZE', 'The message is not of a mailbox size class.', { next: `Pad the sealed message to ${MAILBOX_SIZES.join(' or ')} bytes.` });
  return bytes;
}

const messagePrefix = (handle: MailboxHandle): string => `mailbox/message/${handle}/`;
const messageKey = (handle: MailboxHandle, sequence: number): string => messagePrefix(handle) + String(sequence).padStart(SEQUENCE_DIGITS, '0');
const dayKey = (at: number): string => String(Math.floor(at / DAY_MS)).padStart(7, '0');

function messageOf(key: string, bytes: Bytes): { readonly sequence: number; readonly sealed: string; readonly at: ReturnType<typeof instant> } {
  const at = Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0));
  return { sequence: Number(key.slice(-SEQUENCE_DIGITS)), sealed: toBase64url(bytes.subarray(8)), at: instant(at) };
}

function mailboxUnknown(): CodedError {
  return new CodedError('MAILBOX_UNKNOWN', 'There is no such mailbox for this caller.');
}

function mailboxFull(): CodedError {
  return new CodedError('MAILBOX_FULL', 'The mailbox takes no more messages from this organisation at the moment.');
}
