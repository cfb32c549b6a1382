import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import type { AnyCaller } from '#api/caller.ts';
import type { Endpoint } from '#api/endpoint.ts';
import type { Call } from '#api/handlers.ts';
import { toBase64url } from '#base/bytes.ts';
import { generateSigningKey, spki } from '#crypto/keys.ts';
import { CallerId, Digest, MailboxHandle, OrgId } from '#model/ids.ts';
import { fakeClock, seededRandom } from '#sim/seams.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { createMetrics } from '../metrics.ts';
import { createMailboxes, type MailboxLimits } from './mailbox.ts';

const DAY_MS = 86_400_000;
const folder = mkdtempSync(join(tmpdir(), 'mailbox-'));
afterAll(() => rmSync(folder, { recursive: true }));
let files = 0;

const random = seededRandom('mailbox');
const sealed = (bytes = 2_048): string => toBase64url(random.bytes(bytes));
const system = (org: string): AnyCaller => ({ org: OrgId.parse(org), class: 'ho', role: 'system', name: 'system', id: CallerId.parse('S'.repeat(43)), key: Digest.parse('K'.repeat(43)), certificate: '' });
const jane = CallerId.parse('J'.repeat(43));
const person: AnyCaller = { org: OrgId.parse('UO-people'), class: 'uo', role: 'person', name: 'x', id: jane, key: Digest.parse('K'.repeat(43)), certificate: '' };

async function setUp(limits: Partial<MailboxLimits> = {}, file = join(folder, `${files++}.sqlite`)) {
  const clock = fakeClock(Date.UTC(2026, 10, 20));
  const store = openSqliteKeyValueStore(file);
  const boxes = createMailboxes({ store, clock, metrics: createMetrics(), holderOf: async (caller) => caller, limits });
  const call = (caller: AnyCaller, body: unknown, handle?: string) => ({ params: { handle }, query: {}, body, caller, headers: new Headers(), traceId: '', signal: new AbortController().signal }) as unknown as Call<Endpoint>;
  const newKey = async (): Promise<string> => toBase64url(await spki((await generateSigningKey()).publicKey));
  const open = async (publicKey?: string): Promise<MailboxHandle> => ((await boxes.handlers.openMailbox(call(person, { publicKey: publicKey ?? (await newKey()) }) as never)) as { handle: MailboxHandle }).handle;
  const post = (handle: string, id: string, text = sealed(), org = 'HO-east') => boxes.handlers.post(call(system(org), { id, sealed: text }, handle) as never) as Promise<unknown>;
  const fetch = async (handle: MailboxHandle, after = 0, limit = 500, by = handle) => ((await boxes.handlers.fetchMessages(call({ mailbox: by }, { after, limit }, handle) as never)) as { messages: readonly { sequence: number; sealed: string; at: string }[] }).messages;
  const ack = (handle: MailboxHandle, upTo: number, by = handle) => boxes.handlers.ack(call({ mailbox: by }, { upTo }, handle) as never) as Promise<unknown>;
  return { clock, store, file, boxes, open, newKey, post, fetch, ack };
}

describe('the mailbox', () => {
  it('hands messages over in their order, as they came', async () => {
    const { open, post, fetch, clock } = await setUp();
    const box = await open();
    const texts = [sealed(), sealed(8_192), sealed()];
    for (const [at, text] of texts.entries()) {
      await post(box, `m${at}`, text);
      clock.advance(1_000);
    }
    const messages = await fetch(box);
    expect(messages.map((message) => message.sealed)).toEqual(texts);
    expect(messages.map((message) => message.sequence)).toEqual([1, 2, 3]);
    expect(messages[1]?.at).toBe('2026-11-20T00:00:01.000Z');
    expect((await fetch(box, 1, 1)).map((message) => message.sequence)).toEqual([2]);
  });

  it('keeps them for a device that sleeps for 30 days, over restarts', async () => {
    const { open, post, store, file, clock } = await setUp();
    const box = await open();
    const texts: string[] = [];
    for (let day = 0; day < 30; day++) {
      texts.push(sealed());
      await post(box, `day${day}`, texts[day]);
      clock.advance(DAY_MS);
    }
    await store.close();
    const after = await setUp({}, file);
    await after.boxes.sweep();
    expect((await after.fetch(box)).map((message) => message.sealed)).toEqual(texts);
    await after.ack(box, 30);
    expect(await after.fetch(box)).toEqual([]);
  });

  it('doubles nothing: not at once, not after an acknowledgement, not after a restart', async () => {
    const { open, post, fetch, ack, store, file } = await setUp();
    const box = await open();
    const text = sealed();
    await Promise.all(Array.from({ length: 5 }, () => post(box, 'same', text)));
    expect(await fetch(box)).toHaveLength(1);
    await ack(box, 1);
    await post(box, 'same', text);
    expect(await fetch(box)).toEqual([]);
    await store.close();
    const after = await setUp({}, file);
    await after.post(box, 'same', text);
    expect(await after.fetch(box)).toEqual([]);
    // Another sender's id is another message: nobody can occupy it.
    await after.post(box, 'same', text, 'HO-west');
    expect(await after.fetch(box)).toHaveLength(1);
  });

  it('forgets message ids after 90 days, and not before', async () => {
    const { open, post, store, clock, boxes } = await setUp();
    const box = await open();
    await post(box, 'old');
    clock.advance(60 * DAY_MS);
    await post(box, 'young');
    await boxes.sweep();
    expect(await store.list('mailbox/id/')).toHaveLength(2);
    clock.advance(31 * DAY_MS);
    await boxes.sweep();
    expect([(await store.list('mailbox/id/')).length, (await store.list('mailbox/id-day/')).length]).toEqual([1, 1]);
  });

  it('gives the holder of another key the answer it gives for no mailbox at all', async () => {
    const { open, post, fetch, ack } = await setUp();
    const [box, other] = [await open(), await open()];
    const none = MailboxHandle.parse('N'.repeat(43));
    await post(box, 'm');
    const refusals = await Promise.all(
      [fetch(box, 0, 10, other), fetch(none, 0, 10, other), fetch(none), ack(box, 1, other), ack(none, 1), post(none, 'm')].map((answer) => answer.then(() => 'answered', (error: { toJSON(): unknown }) => JSON.stringify(error))),
    );
    expect(new Set(refusals).size).toBe(1);
    expect(refusals[0]).toContain('MAILBOX_UNKNOWN');
    expect(await fetch(box)).toHaveLength(1);
  });

  it('opens for a key once', async () => {
    const { open, newKey, post, fetch } = await setUp({ perPerson: 2 });
    const key = await newKey();
    const [first, second] = await Promise.all([open(key), open(key)]);
    expect(first).toBe(second);
    await post(first, 'm');
    await open(key);
    expect(await fetch(first)).toHaveLength(1);
    await open();
    await expect(open()).rejects.toMatchObject({ code: 'MAILBOX_LIMIT' });
  });

  it.each([
    ['bytes of no size class', 2_047, 'MAILBOX_SIZE'],
    ['nothing', 0, 'MAILBOX_SIZE'],
    ['more than the largest', 8_193, 'MAILBOX_SIZE'],
  ])('refuses %s', async (_, bytes, code) => {
    const { open, post } = await setUp();
    await expect(post(await open(), 'm', sealed(bytes))).rejects.toMatchObject({ code });
  });

  it('refuses a key that is none', async () => {
    const { open } = await setUp();
    await expect(open(toBase64url(random.bytes(91)))).rejects.toMatchObject({ code: 'KEY_INVALID' });
  });

  it('stops a member that floods one mailbox, not the others, and starts anew the next day', async () => {
    const { open, post, clock } = await setUp({ perDayAndMailbox: 3, perDay: 5 });
    const [box, other, third] = [await open(), await open(), await open()];
    for (let at = 0; at < 3; at++) await post(box, `a${at}`);
    await expect(post(box, 'a3')).rejects.toMatchObject({ code: 'MAILBOX_FULL' });
    await post(box, 'b', sealed(), 'HO-west');
    await post(other, 'c');
    await post(third, 'd');
    await expect(post(third, 'e')).rejects.toMatchObject({ code: 'MAILBOX_FULL' });
    clock.advance(DAY_MS);
    await post(box, 'a3');
  });

  it('holds a bounded number of messages, and takes more once they are read', async () => {
    const { open, post, fetch, ack } = await setUp({ waiting: 4 });
    const box = await open();
    for (let at = 0; at < 4; at++) await post(box, `m${at}`);
    await expect(post(box, 'more')).rejects.toMatchObject({ code: 'MAILBOX_FULL' });
    await ack(box, 2);
    expect((await fetch(box)).map((message) => message.sequence)).toEqual([3, 4]);
    await post(box, 'more');
    await ack(box, 9_007_199_254_740_991);
    expect(await fetch(box)).toEqual([]);
    await post(box, 'last');
    expect((await fetch(box)).map((message) => message.sequence)).toEqual([6]);
  });

  it('keeps neither who posted nor whose mailbox it is', async () => {
    const { open, post, store } = await setUp();
    const box = await open();
    await post(box, 'message-id-CANARY');
    const kept = (await store.list('')).map(([key, bytes]) => `${key} ${Buffer.from(bytes).toString('latin1')}`);
    expect(kept.join('\n')).not.toMatch(/HO-east|CANARY/);
    expect(kept.filter((line) => line.includes(jane) && line.includes(box))).toEqual([]);
  });

  it('loses and doubles nothing under any order of posts, reads and acknowledgements', async () => {
    const { open, post, fetch, ack } = await setUp();
    const step = fc.oneof(fc.record({ kind: fc.constant('post' as const), id: fc.integer({ min: 0, max: 15 }) }), fc.record({ kind: fc.constant('read' as const), limit: fc.integer({ min: 1, max: 5 }) }));
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const box = await open();
        const posted = new Map<string, string>();
        const read: string[] = [];
        const readSome = async (limit: number): Promise<number> => {
          const messages = await fetch(box, 0, limit);
          read.push(...messages.map((message) => message.sealed));
          await ack(box, messages.at(-1)?.sequence ?? 0);
          return messages.length;
        };
        for (const one of steps) {
          if (one.kind === 'read') await readSome(one.limit);
          else {
            const text = posted.get(`m${one.id}`) ?? sealed();
            posted.set(`m${one.id}`, text);
            await post(box, `m${one.id}`, text);
          }
        }
        while ((await readSome(500)) > 0);
        expect(read).toEqual([...posted.values()]);
      }),
      { numRuns: 30, seed: 3 },
    );
  });
});
