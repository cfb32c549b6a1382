/**
 * A8 and docs/protocol.md section 3: the owner's index on UIC. One sealed entry per delivery, each under its own
 * one-time certificate and tag, stamped with the full hour, after a random wait and in random order, so that neither
 * content, writer, time nor order link two entries.
 */
import { toBase64url, fromBase64url, fromUtf8, type Bytes } from '#base/bytes.ts';
import { canonicalBytes, type Json } from '#base/canonical-json.ts';
import { openWith, padTo, SEAL_OVERHEAD_BYTES, sealWith, unpad } from '#crypto/aead.ts';
import { instant, type IndexTag } from '#model/ids.ts';
import { INDEX_ENTRY_BYTES, IndexEntry } from '#model/messages.ts';
import { uic } from './channels.ts';
import type { Context } from './context.ts';
import { deliveryId } from './deliveries.ts';
import { randomBelow, shuffled, type IndexPosition } from './keys.ts';
import { codeOf, once } from './persistence.ts';
import { eachOf } from './parallel.ts';
import { signerOf } from './signing.ts';
import { deliveries, indexCounters, indexWrites, ONLY, type Delivery, type IndexCounter, type Identity, type IndexWrite } from './state.ts';
import { spaced } from './spacing.ts';
import { isCurrent, readerSigner, takeSpares } from './stock.ts';
import { put, remove } from './vault.ts';

const NO_AAD: Bytes = new Uint8Array(0);
const PAGE = 1_000;
/** Numbers looked for beyond the last one found: entries of a lost device that were never written leave gaps. */
const GAP_MAX = 1_024;
const DAY_MS = 86_400_000;
/** Deliveries whose entries are made together, in random order among themselves. */
const QUEUE_AT_ONCE = 100;

/** Queues an entry (and dummies) for every delivery that was read and has none. */
export async function queueEntries(context: Context): Promise<void> {
  const missing = (await context.vault.all(deliveries)).filter(([, { list, indexed }]) => list !== undefined && !indexed);
  for (let at = 0; at < missing.length; at += QUEUE_AT_ONCE) await queue(context, missing.slice(at, at + QUEUE_AT_ONCE));
}

async function queue(context: Context, missing: readonly (readonly [string, Delivery])[]): Promise<void> {
  const wanted = missing.flatMap(([of, { keeper, delivery, subject, count }]): readonly NewEntry[] => [
    { entry: { kind: 'delivery', keeper, delivery, subject, count }, of },
    ...Array.from({ length: context.dummiesPerEntry }, () => ({ entry: { kind: 'dummy' } as const })),
  ]);
  const counter = await nextCounter(context);
  const taken = await takeSpares(context, wanted.length, context.clock.now() + context.indexDelay.maxMs + DAY_MS);
  const writes = await Promise.all(shuffled(context.random, wanted).map((entry, at) => newWrite(context, { ...entry, position: { epoch: counter.epoch, n: counter.next + at }, identity: taken.identities[at] as Identity })));
  await context.vault.write(
    ...writes.map((write) => put(indexWrites, write.tag, write)),
    put(indexCounters, ONLY, { ...counter, next: counter.next + writes.length }),
    ...missing.map(([id, delivery]) => put(deliveries, id, { ...delivery, indexed: true })),
    ...taken.changes,
  );
}

async function nextCounter(context: Context): Promise<IndexCounter> {
  return (await context.vault.get(indexCounters, ONLY)) ?? { epoch: 0, next: 0 };
}

interface NewEntry {
  readonly entry: IndexEntry;
  readonly of?: string;
}

interface NewWrite extends NewEntry {
  readonly position: IndexPosition;
  readonly identity: Identity;
}

async function newWrite(context: Context, { entry, of, position, identity }: NewWrite): Promise<IndexWrite> {
  const { minMs, maxMs } = context.indexDelay;
  const padded = padTo(canonicalBytes(entry as Json), INDEX_ENTRY_BYTES - SEAL_OVERHEAD_BYTES);
  const sealed = toBase64url(await sealWith(context.keys.indexKey(position), padded, NO_AAD, context.random));
  return { ...position, tag: context.keys.indexTag(position), sealed, dueAt: context.clock.now() + minMs + randomBelow(context.random, maxMs - minMs + 1), identity, written: false, ...(of === undefined ? {} : { of }) };
}

/** Writes an entry whose time has come; what else has come due waits anew (all at once only where there is no wait). Returns how many, and the codes of what failed. */
export async function writeEntries(context: Context): Promise<{ readonly written: number; readonly codes: readonly string[] }> {
  const due = (await pendingEntries(context)).filter(({ dueAt }) => dueAt <= context.clock.now());
  const { now, later } = spaced(context, due, () => context.indexDelay.maxMs - context.indexDelay.minMs);
  if (later.length > 0) await context.vault.write(...later.map((write) => put(indexWrites, write.tag, write)));
  const order = await currentCertificates(context, now);
  const codes = await eachOf(order, (write) => writeEntry(context, write));
  // Another device of the same person took the number.
  for (const [at, code] of codes.entries()) if (code === 'ENTRY_EXISTS') await renumber(context, order[at] as IndexWrite);
  for (const [at, code] of codes.entries()) if (code === 'CERTIFICATE_REUSED') await recertify(context, order[at] as IndexWrite);
  const failed = codes.filter((code) => code !== undefined);
  return { written: order.length - failed.length, codes: failed };
}

/** Entries that waited into another month get certificates of this one. What was sent under the old one is found by its tag. */
async function currentCertificates(context: Context, writes: readonly IndexWrite[]): Promise<readonly IndexWrite[]> {
  const stale = writes.filter(({ identity }) => identity !== undefined && !isCurrent(context, identity));
  if (stale.length === 0) return writes;
  const taken = await takeSpares(context, stale.length, context.clock.now() + DAY_MS);
  const renewed = new Map(stale.map((write, at) => [write.tag, { ...write, identity: taken.identities[at] as Identity }]));
  await context.vault.write(...[...renewed.values()].map((write) => put(indexWrites, write.tag, write)), ...taken.changes);
  return writes.map((write) => renewed.get(write.tag) ?? write);
}

/** The certificate has written another entry (a stock that was copied with a device): this one gets a fresh certificate and is written by the next synchronisation. */
async function recertify(context: Context, write: IndexWrite): Promise<void> {
  const taken = await takeSpares(context, 1, context.clock.now() + DAY_MS);
  await context.vault.write(put(indexWrites, write.tag, { ...write, identity: taken.identities[0] as Identity }), ...taken.changes);
}

/** Entries that are not on the channel yet. */
export async function pendingEntries(context: Context): Promise<readonly IndexWrite[]> {
  return (await context.vault.all(indexWrites)).map(([, write]) => write).filter(({ written }) => !written);
}

async function writeEntry(context: Context, write: IndexWrite): Promise<string | undefined> {
  try {
    const channel = uic(context, await signerOf(write.identity));
    const { tag, sealed } = write;
    await once({
      act: () => channel.submit('putEntry', { tag, sealed }),
      stands: async () => (await channel.evaluate('getEntry', { tag })).sealed === sealed,
    });
    // The key has done its one act; without it nobody can act under this certificate again.
    const { identity: _, ...rest } = write;
    await context.vault.write(put(indexWrites, tag, { ...rest, written: true }));
    return undefined;
  } catch (error) {
    return codeOf(error);
  }
}

/** Another device of the same person took the number: the same content goes under the next one. */
async function renumber(context: Context, write: IndexWrite): Promise<void> {
  const counter = await nextCounter(context);
  const padded = await openWith(context.keys.indexKey(write), fromBase64url(write.sealed), NO_AAD);
  const position = { epoch: counter.epoch, n: counter.next };
  const moved: IndexWrite = { ...write, ...position, tag: context.keys.indexTag(position), sealed: toBase64url(await sealWith(context.keys.indexKey(position), padded, NO_AAD, context.random)) };
  await context.vault.write(remove(indexWrites, write.tag), put(indexWrites, moved.tag, moved), put(indexCounters, ONLY, { ...counter, next: counter.next + 1 }));
}

/** Every own entry on the channel, found by reading the index whole: the channel cannot tell which entries were looked for. */
export async function readIndex(context: Context): Promise<readonly { readonly position: IndexPosition; readonly entry: IndexEntry }[]> {
  const channel = uic(context, await readerSigner(context));
  const onChannel = new Map<IndexTag, string>();
  for (let bookmark = ''; ; ) {
    const page = await channel.evaluate('listEntries', { bookmark, pageSize: PAGE });
    for (const { tag, sealed } of page.entries) onChannel.set(tag, sealed);
    if (page.bookmark === '' || page.entries.length === 0) break;
    bookmark = page.bookmark;
  }
  return ownEntries(context, onChannel);
}

async function ownEntries(context: Context, onChannel: ReadonlyMap<IndexTag, string>): Promise<readonly { readonly position: IndexPosition; readonly entry: IndexEntry }[]> {
  const own: { position: IndexPosition; entry: IndexEntry }[] = [];
  const { epoch: lastEpoch, next } = await nextCounter(context);
  for (let epoch = 0; epoch <= lastEpoch; epoch++) {
    let lastFound = epoch === lastEpoch ? next : 0;
    for (let n = 0; n <= lastFound + GAP_MAX; n++) {
      const position = { epoch, n };
      const sealed = onChannel.get(context.keys.indexTag(position));
      if (sealed === undefined) continue;
      lastFound = Math.max(lastFound, n);
      own.push({ position, entry: IndexEntry.parse(JSON.parse(fromUtf8(unpad(await openWith(context.keys.indexKey(position), fromBase64url(sealed), NO_AAD))))) });
    }
  }
  return own;
}

/** Takes over what the index knows and this device does not: after a loss. Returns the number of deliveries found again. */
export async function recoverIndex(context: Context): Promise<number> {
  const own = await readIndex(context);
  const counter = await nextCounter(context);
  const next = own.filter(({ position }) => position.epoch === counter.epoch).reduce((most, { position }) => Math.max(most, position.n + 1), counter.next);
  await context.vault.write(put(indexCounters, ONLY, { ...counter, next }));
  let found = 0;
  for (const { entry } of own) {
    if (entry.kind === 'dummy' || (await context.vault.get(deliveries, deliveryId(entry))) !== undefined) continue;
    const { keeper, delivery, subject, count } = entry;
    await context.vault.write(put(deliveries, deliveryId(entry), { keeper, delivery, subject, count, createdAt: instant(0), indexed: true }));
    found++;
  }
  return found;
}
