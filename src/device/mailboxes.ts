/** A6 and B4: sealed messages that waited while the device slept. Their effect is stored before they are acknowledged. */
import { fromBase64url, fromUtf8, type Bytes } from '#base/bytes.ts';
import { openFrom } from '#crypto/hpke.ts';
import { isCoded } from '#base/errors.ts';
import { MailboxMessage } from '#model/messages.ts';
import { mailboxBinding } from '#model/bindings.ts';
import type { Context } from './context.ts';
import { linkHpke } from './links.ts';
import { userOrg } from './organisations.ts';
import { mailboxSigner } from './signing.ts';
import { deliveries, links, slots, type Link, type Mailbox, type Slot } from './state.ts';
import { deliveryId } from './deliveries.ts';
import { put, type Change } from './vault.ts';

const PAGE = 200;

interface Post {
  readonly mailbox: Mailbox;
  readonly privateKey: Bytes;
  /** The changes that messages bring, with the mailbox read up to their end. */
  readonly effect: (messages: readonly MailboxMessage[], read: Mailbox) => Promise<readonly Change[]>;
}

/** Reads a keeper's mailbox; returns the number of notices. */
export async function readLinkMailbox(context: Context, keeper: Link['keeper']): Promise<number> {
  const link = await context.vault.get(links, keeper);
  if (link === undefined || !link.mailbox.opened) return 0;
  const { privateKey } = await linkHpke(context, keeper);
  return readMailbox(context, {
    mailbox: link.mailbox,
    privateKey,
    effect: async (messages, mailbox) => [put(links, keeper, { ...link, mailbox }), ...(await newDeliveries(context, link, messages))],
  });
}

/** Reads a slot's mailbox; returns the number of notices. */
export async function readSlotMailbox(context: Context, tag: Slot['slot']): Promise<number> {
  const slot = await context.vault.get(slots, tag);
  if (slot === undefined || !slot.mailbox.opened) return 0;
  const { privateKey } = await context.keys.hpke(`slot/${tag}`);
  return readMailbox(context, {
    mailbox: slot.mailbox,
    privateKey,
    effect: async (messages, mailbox) => {
      const noticed = slot.noticed || messages.some((message) => message.kind !== 'delivery' && message.slot === tag);
      return [put(slots, tag, { ...slot, mailbox, noticed })];
    },
  });
}

async function readMailbox(context: Context, post: Post): Promise<number> {
  const client = userOrg(context);
  const sign = mailboxSigner(context, post.mailbox);
  const params = { handle: post.mailbox.handle };
  const messages: MailboxMessage[] = [];
  let readUpTo = post.mailbox.readUpTo;
  for (;;) {
    const page = (await client.fetchMessages({ params, body: { after: readUpTo, limit: PAGE }, sign })).messages;
    for (const message of page) {
      const opened = await openMessage(context, post, message.sealed);
      if (opened !== undefined) messages.push(opened);
      readUpTo = Math.max(readUpTo, message.sequence);
    }
    if (page.length < PAGE) break;
  }
  if (readUpTo === post.mailbox.readUpTo) return 0;
  await context.vault.write(...(await post.effect(messages, { ...post.mailbox, readUpTo })));
  // A lost acknowledgement only leaves messages lying until the next one: they are behind `readUpTo`.
  await client.ack({ params, body: { upTo: readUpTo }, sign });
  return messages.length;
}

/** A message that does not open is passed over: anybody among the members may post, and one bad post must not stop the rest. */
async function openMessage(context: Context, post: Post, sealed: string): Promise<MailboxMessage | undefined> {
  try {
    const plaintext = await openFrom({ privateKey: post.privateKey, ...mailboxBinding(post.mailbox.handle), envelope: fromBase64url(sealed) });
    return MailboxMessage.parse(JSON.parse(fromUtf8(plaintext)));
  } catch (error) {
    context.log('warn', 'device.message-refused', { code: isCoded(error) ? error.code : 'MESSAGE_MALFORMED' });
    return undefined;
  }
}

async function newDeliveries(context: Context, link: Link, messages: readonly MailboxMessage[]): Promise<readonly Change[]> {
  const changes = new Map<string, Change>();
  for (const message of messages) {
    if (message.kind !== 'delivery' || message.keeper !== link.keeper) continue;
    const id = deliveryId(message);
    if ((await context.vault.get(deliveries, id)) === undefined) changes.set(id, put(deliveries, id, newDelivery(message)));
  }
  return [...changes.values()];
}

/** A delivery the device has heard of and not yet read. */
export function newDelivery(notice: Extract<MailboxMessage, { kind: 'delivery' }>) {
  const { keeper, delivery, subject, count, createdAt } = notice;
  return { keeper, delivery, subject, count, createdAt, indexed: false };
}
