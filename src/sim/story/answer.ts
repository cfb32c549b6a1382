/** Process C (flows.md section 5): people decide, keepers release, data users verify; grants are revoked before and after. */
import { toBase64url } from '#base/bytes.ts';
import { isCoded } from '#base/errors.ts';
import type { OrgId, RecordId, SlotTag } from '#model/ids.ts';
import { characterOf, type Character } from '../plan.ts';
import { inTurns, type Person, type Stage } from './stage.ts';

const LANES = 4;
const WAIT_ROUNDS = 300;
const WAIT_MS = 50;

/** What a person saw before it left: record → SHA-256 of the exact bytes. Kept to compare with what arrived. */
export interface Shown {
  readonly slot: SlotTag;
  readonly duo: OrgId;
  readonly person: string;
  readonly character: Character;
  readonly items: Readonly<Record<string, string>>;
}

async function digestOf(bytes: Uint8Array): Promise<string> {
  return toBase64url(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>)));
}

/** C1–C4: every waiting request is answered by its owner's character; the preview is kept first. */
export async function answerAll(stage: Stage, people: readonly Person[]): Promise<void> {
  await inTurns(people, LANES, async (person) => {
    const { device } = person.open;
    await device.sync();
    const character = characterOf(person.index);
    if (character === 'stays-silent') return;
    for (const card of await device.requests()) {
      if (card.state !== 'waiting') continue;
      await answerOne(stage, person, { slot: card.slot, duo: card.requester, character, matching: (card.matching ?? []).reduce((sum, one) => sum + one.items, 0) });
    }
    await device.sync();
  });
}

async function answerOne(stage: Stage, person: Person, request: { readonly slot: SlotTag; readonly duo: OrgId; readonly character: Character; readonly matching: number }): Promise<void> {
  const { device } = person.open;
  const { slot, duo, character } = request;
  if (character === 'says-no' || request.matching === 0) {
    await device.answer(slot, { decision: 'no' });
    return;
  }
  const all = await device.preview(slot, { decision: 'all' });
  const narrower: RecordId[] = all.items.filter((_, at) => at % 2 === 0).map((item) => item.id);
  const choice = character === 'shares-less' && all.items.length > 1 ? { decision: 'narrower' as const, items: narrower } : { decision: 'all' as const };
  const preview = await device.preview(slot, choice);
  const items: Record<string, string> = {};
  for (const item of preview.items) items[item.id] = await digestOf(item.bytes);
  const shown: Shown = { slot, duo, person: person.name, character, items };
  await stage.memory.write(`shown/${slot}`, shown);
  await device.answer(slot, choice);
}

export interface RevokedEarly {
  readonly slot: SlotTag;
  /** What the data user was told when it then asked for the package. */
  readonly code: string;
  /** Milliseconds from the owner's act until the refusal. */
  readonly withinMs: number;
}

/** Revocations before delivery: the package must be refused afterwards, within two seconds. */
export async function revokeBefore(stage: Stage, people: readonly Person[]): Promise<void> {
  for (const person of people.filter((one) => characterOf(one.index) === 'revokes-before')) {
    for (const card of await person.open.device.requests()) {
      if (card.state !== 'answered' || (await stage.memory.read(`arrived/${card.slot}`)) !== undefined) continue;
      const from = stage.options.clock.now();
      await person.open.device.revoke(card.slot);
      const code = await stage.dataUser(card.requester).receive({ params: { slot: card.slot }, body: {} }).then(() => 'NOT_REFUSED', (error: unknown) => (isCoded(error) ? error.code : 'INTERNAL'));
      const revoked: RevokedEarly = { slot: card.slot, code, withinMs: stage.options.clock.now() - from };
      await stage.memory.write(`revoked-before/${card.slot}`, revoked);
    }
    await person.open.device.sync();
  }
}

/** C6–C8: each data user fetches, opens, verifies and receipts every answered request; what came and was not looked at before a stop is looked at now. */
export async function receiveAll(stage: Stage): Promise<void> {
  for (const [duo, org] of stage.network.dataUsers) {
    await org.caughtUp((await stage.network.ledger.height('drc')) - 1);
    const { rows } = await stage.dataUser(duo).board({});
    await inTurns(rows.filter((row) => row.state === 'answered' || row.state === 'received'), LANES, async (row) => {
      // What its owner answered outside the story is not the story's to fetch.
      if ((await stage.memory.read(`shown/${row.slot}`)) === undefined || (await stage.memory.read(`arrived/${row.slot}`)) !== undefined) return;
      const { items } = await stage.dataUser(duo).receive({ params: { slot: row.slot }, body: {} });
      const arrived: Record<string, string> = {};
      for (const item of items.filter((one) => one.good)) {
        const answer = await stage.dataUser(duo).read({ params: { slot: row.slot, record: item.record } });
        arrived[item.record] = await digestOf(new Uint8Array(await answer.arrayBuffer()));
      }
      await stage.memory.write(`arrived/${row.slot}`, { items: arrived, bad: items.filter((one) => !one.good).map((one) => ({ record: one.record, code: one.code ?? '' })) });
    });
  }
}

/** C10: revocations after delivery; the data user must erase and say so on DRC. */
export async function revokeAfter(stage: Stage, people: readonly Person[]): Promise<void> {
  for (const person of people.filter((one) => characterOf(one.index) === 'revokes-after')) {
    await person.open.device.sync();
    for (const card of await person.open.device.requests()) {
      if (!['answered', 'revoked'].includes(card.state) || (await stage.memory.read(`arrived/${card.slot}`)) === undefined) continue;
      if (card.state === 'answered') await person.open.device.revoke(card.slot);
      await erased(stage, card.requester, card.slot);
    }
    await person.open.device.sync();
  }
}

async function erased(stage: Stage, duo: OrgId, slot: SlotTag): Promise<void> {
  for (let round = 0; round < WAIT_ROUNDS; round++) {
    await stage.network.dataUsers.get(duo)?.tick();
    const row = (await stage.dataUser(duo).board({})).rows.find((one) => one.slot === slot);
    if (row?.state === 'erased') return;
    await stage.options.scheduler.sleep(WAIT_MS);
  }
}

/** C9: settles what has a receipt and is not settled yet. */
export async function settleAll(stage: Stage): Promise<void> {
  for (const duo of stage.network.dataUsers.keys()) {
    await stage.dataUser(duo).settle({ body: {} }).catch((error: unknown) => {
      if (!isCoded(error, 'NOTHING_TO_SETTLE')) throw error;
    });
  }
}
