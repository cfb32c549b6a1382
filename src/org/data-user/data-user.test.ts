import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fromBase64url, toBase64url } from '#base/bytes.ts';
import { createApiClient } from '#api/client.ts';
import { dataUserEndpoints, hospitalEndpoints, type BoardRow } from '#api/endpoints.ts';
import { syncUntil } from '#device/network.test-kit.ts';
import { instant, type SlotTag } from '#model/ids.ts';
import { orgClass } from '#model/orgs.ts';
import { verifyNoteSignature } from '#crypto/checkpoint.ts';
import { generateSigningKey } from '#crypto/keys.ts';
import { readBlock } from '#ledger/block.ts';
import { createSigner } from '#ledger/signer.ts';
import { drcClient } from '#contracts/client.ts';
import type { KeptOrgIdentity } from '#org/identity.ts';
import { EAST, WEST } from '#sim/members.ts';
import { realScheduler, seededRandom, systemRandom } from '#sim/seams.ts';
import { signerOf } from '../signing.ts';
import { bills, emptyLedger, readBlockLine } from '../../../verifier/settle.ts';
import { flaky } from './keeper.test-kit.ts';
import { DAY_MS, INSTITUTE, INSURER, openDataUserWorld, order, type DataUserClient, type DataUserWorld, type Disk, type Owner, type Running } from './world.test-kit.ts';

let kit: DataUserWorld;
let disk: Disk;
let running: Running;
let owner: Owner;
let slots: SlotTag[];

beforeAll(async () => {
  kit = await openDataUserWorld('data-user');
  disk = kit.disk();
  running = await kit.open(disk);
  await running.dataUser.start();
  owner = await kit.owner();
  slots = [...(await kit.permit(owner, 16))];
}, 60_000);

afterAll(async () => {
  await running?.dataUser.close();
  await kit?.close();
});

const now = (): number => kit.world.clock.now();
const drcHeight = async (): Promise<number> => (await kit.world.network.ledger.height('drc')) - 1;
const take = (): SlotTag => slots.pop() as SlotTag;
const identityOf = (org: typeof INSURER): KeptOrgIdentity => kit.world.network.identities.get(org.org) as KeptOrgIdentity;

async function row(slot: SlotTag): Promise<BoardRow | undefined> {
  await running.dataUser.caughtUp(await drcHeight());
  return (await running.api.board()).rows.find((one) => one.slot === slot);
}

async function granted(): Promise<SlotTag> {
  const slot = take();
  await running.api.invite({ params: { slot }, body: order(kit.world, kit.ref) });
  await kit.answer(owner, slot);
  return slot;
}

const receive = (slot: SlotTag, api: DataUserClient = running.api) => api.receive({ params: { slot }, body: {} });
const read = async (slot: SlotTag, record: string): Promise<Uint8Array> => new Uint8Array(await (await running.api.read({ params: { slot, record: record as never } })).arrayBuffer());
const slotState = (slot: SlotTag) => drcClient(kit.world.network.client, identityOf(INSURER).system).evaluate('getSlot', { slot });

/** Runs with another network, then goes back to the good one. */
async function over<T>(fetch: (request: Request) => Promise<Response>, work: (api: DataUserClient) => Promise<T>): Promise<T> {
  await running.dataUser.close();
  running = await kit.open(disk, { fetch });
  await running.dataUser.start();
  try {
    return await work(running.api);
  } finally {
    await running.dataUser.close();
    running = await kit.open(disk);
    await running.dataUser.start();
  }
}

describe('the data user', () => {
  it('sees its permits, invites once, and shows the state of every request', async () => {
    const slot = take();
    expect(await row(slot)).toMatchObject({ state: 'permitted', quota: 16 });
    const first = order(kit.world, kit.ref);
    expect(await running.api.invite({ params: { slot }, body: first })).toEqual({ slot });
    expect(await running.api.invite({ params: { slot }, body: first })).toEqual({ slot });
    expect(await row(slot)).toMatchObject({ state: 'sent', template: kit.ref });
    await expect(running.api.invite({ params: { slot }, body: { ...first, answerBy: instant(now() + DAY_MS) } })).rejects.toMatchObject({ code: 'SLOT_SPENT' });
    await kit.answer(owner, slot);
    expect((await row(slot))?.state).toBe('answered');
    const { items, short } = await receive(slot);
    expect(items.length).toBeGreaterThan(2);
    expect(items.every((item) => item.good)).toBe(true);
    expect(short).toBeUndefined();
    expect(await row(slot)).toMatchObject({ state: 'received', items: items.length, verified: items.length });
    // The package is received once; asking again fetches nothing and says the same.
    expect(await receive(slot)).toMatchObject({ items });
    for (const { record } of items) expect(await read(slot, record)).toEqual(await owner.device.openRecord(record));
  });

  it('shows a no as a no and silence as silence', async () => {
    const refused = take();
    const silent = take();
    for (const slot of [refused, silent]) await running.api.invite({ params: { slot }, body: order(kit.world, kit.ref, 1) });
    await kit.answer(owner, refused, 'no');
    expect((await row(refused))?.state).toBe('refused');
    expect((await row(silent))?.state).toBe('sent');
    await expect(receive(refused)).rejects.toMatchObject({ code: 'SLOT_UNANSWERED' });
    await expect(receive(silent)).rejects.toMatchObject({ code: 'SLOT_UNANSWERED' });
    kit.world.clock.advance(2 * DAY_MS);
    expect((await row(silent))?.state).toBe('silent');
    expect((await row(refused))?.state).toBe('refused');
  });

  it('delivers every item once over a line that breaks three times in ten', async () => {
    const slot = await granted();
    const items = await over(flaky(kit.world.wire.fetch, 0.3, seededRandom('flaky')), async (api) => {
      for (let attempt = 0; ; attempt++) {
        try {
          return (await receive(slot, api)).items;
        } catch (error) {
          if (attempt === 20) throw error;
        }
      }
    });
    expect(items.every((item) => item.good)).toBe(true);
    expect(new Set(items.map((item) => item.record)).size).toBe(items.length);
    expect((await slotState(slot)).receipt).toMatchObject({ delivered: items.length, verified: items.length });
  });

  it('keeps what came when a keeper cannot be reached, and goes on later with the rest', async () => {
    const slot = await granted();
    const west = kit.world.network.urls.get(WEST.org) as string;
    const asked: string[] = [];
    const withoutWest = (request: Request): Promise<Response> => (request.url.startsWith(west) ? Promise.reject(new TypeError('refused')) : kit.world.wire.fetch(request));
    await over(withoutWest, async (api) => {
      await expect(receive(slot, api)).rejects.toMatchObject({ code: 'PACKAGE_INCOMPLETE', details: { keepers: [{ keeper: WEST.org, code: 'ORG_UNREACHABLE' }] } });
      const partial = await row(slot);
      expect(partial?.state).toBe('answered');
      expect(partial?.verified).toBeGreaterThan(0);
      expect(partial?.items).toBeGreaterThan(partial?.verified as number);
    });
    const { items } = await over((request) => (asked.push(request.url), kit.world.wire.fetch(request)), (api) => receive(slot, api));
    expect(items.every((item) => item.good)).toBe(true);
    const east = kit.world.network.urls.get(EAST.org) as string;
    expect(asked.filter((url) => url.startsWith(east) && url.includes('/items/'))).toEqual([]);
    expect(asked.filter((url) => url.startsWith(west) && url.includes('/items/')).length).toBe(items.filter((item) => item.keeper === WEST.org).length);
  });

  it('names the one item that was altered on the way and keeps the others', async () => {
    const slot = await granted();
    let altered = '';
    const alter = async (request: Request): Promise<Response> => {
      const response = await kit.world.wire.fetch(request);
      const record = /\/items\/([^/]+)$/.exec(new URL(request.url).pathname)?.[1];
      if (record === undefined || (altered !== '' && altered !== record)) return response;
      altered = record;
      const body = new Uint8Array(await response.arrayBuffer());
      body[body.length - 20] = (body[body.length - 20] as number) ^ 1;
      return new Response(body, { status: response.status, headers: response.headers });
    };
    const { items } = await over(alter, (api) => receive(slot, api));
    expect(items.filter((item) => !item.good)).toMatchObject([{ record: altered, code: 'ITEM_BODY' }]);
    expect((await slotState(slot)).receipt).toMatchObject({ delivered: items.length, verified: items.length - 1 });
    await expect(running.api.read({ params: { slot, record: altered as never } })).rejects.toMatchObject({ code: 'ITEM_UNKNOWN' });
  });

  it('erases when its owner revokes, within two seconds, and stops what is under way', async () => {
    const slot = await granted();
    const { items } = await receive(slot);
    await owner.device.revoke(slot);
    const started = Date.now();
    await until(async () => (await slotState(slot)).erasure !== undefined);
    expect(Date.now() - started).toBeLessThan(2_000);
    expect((await slotState(slot)).erasure?.reason).toBe('revoked');
    await expect(running.api.read({ params: { slot, record: items[0]?.record as never } })).rejects.toMatchObject({ code: 'ITEM_ERASED' });
    expect((await row(slot))?.state).toBe('erased');
    expect(await running.api.receive({ params: { slot }, body: {} }).catch((error: { code: string }) => error.code)).toMatch(/GRANT_REVOKED|ITEM_ERASED/);
  });

  it('stops a transfer that is under way when its owner revokes', async () => {
    const slot = await granted();
    let waiting: (() => void) | undefined;
    const stalls = new Promise<void>((resolve) => (waiting = resolve));
    const slow = async (request: Request): Promise<Response> => {
      if (!request.url.includes('/items/')) return kit.world.wire.fetch(request);
      waiting?.();
      await realScheduler.sleep(3_000, request.signal);
      return kit.world.wire.fetch(request);
    };
    await over(slow, async (api) => {
      const receiving = receive(slot, api).catch((error: { code: string }) => error.code);
      await stalls;
      await owner.device.revoke(slot);
      expect(await receiving).toBe('GRANT_REVOKED');
      await until(async () => (await slotState(slot)).erasure !== undefined);
    });
    expect((await slotState(slot)).receipt).toBeUndefined();
  });

  it('pays for what came of a package that never became whole, whether revoked or out of time', async () => {
    const west = kit.world.network.urls.get(WEST.org) as string;
    const withoutWest = (request: Request): Promise<Response> => (request.url.startsWith(west) ? Promise.reject(new TypeError('refused')) : kit.world.wire.fetch(request));
    const [revoked, late] = [await granted(), await granted()];
    await over(withoutWest, async (api) => {
      for (const slot of [revoked, late]) await expect(receive(slot, api)).rejects.toMatchObject({ code: 'PACKAGE_INCOMPLETE' });
    });
    await owner.device.revoke(revoked);
    await until(async () => (await slotState(revoked)).erasure !== undefined);
    const { receipt } = await slotState(revoked);
    expect(receipt?.verified).toBeGreaterThan(0);
    expect(receipt?.keepers.find(({ org }) => org === WEST.org)?.items).toBe(0);
    const ahead = Date.parse((await slotState(late)).answer?.until as string) - now() + 1;
    kit.world.clock.advance(ahead);
    const { items } = await receive(late);
    expect(items.map(({ keeper }) => keeper)).toEqual(items.map(() => EAST.org));
    expect((await slotState(late)).receipt).toMatchObject({ verified: receipt?.verified });
    kit.world.clock.advance(-ahead);
  });

  it('can be read no longer once it is due, whether or not the erasure has run, and says so on DRC and to its owner', async () => {
    const slot = await granted();
    const { items } = await receive(slot);
    const eraseAt = (await slotState(slot)).answer?.eraseAt as string;
    const ahead = Date.parse(eraseAt) - now();
    kit.world.clock.advance(ahead - 60_000);
    expect((await read(slot, items[0]?.record as string)).length).toBeGreaterThan(0);
    kit.world.clock.advance(60_001);
    await expect(running.api.read({ params: { slot, record: items[0]?.record as never } })).rejects.toMatchObject({ code: 'ITEM_ERASED' });
    await running.dataUser.tick();
    expect((await slotState(slot)).erasure).toMatchObject({ reason: 'due' });
    expect((await row(slot))?.state).toBe('erased');
    expect(running.dataUser.overdue()).toEqual([]);
    await syncUntil(owner.device, async () => (await owner.device.receipts()).some((receipt) => JSON.stringify(receipt).includes(slot)));
    kit.world.clock.advance(-ahead - 1);
  });

  it('leaves nothing of an erased package in its files', async () => {
    const held = kit.disk();
    const ciphertexts: Uint8Array[] = [];
    const capture = async (request: Request): Promise<Response> => {
      const response = await kit.world.wire.fetch(request);
      if (request.url.includes('/items/')) ciphertexts.push(new Uint8Array(await response.clone().arrayBuffer()));
      return response;
    };
    await running.dataUser.close();
    running = await kit.open(held, { fetch: capture });
    await running.dataUser.start();
    const slot = await granted();
    const { items } = await receive(slot);
    expect(ciphertexts).toHaveLength(items.length);
    const bodies = await Promise.all(items.map((item) => read(slot, item.record)));
    const before = filesUnder(held.folder);
    for (const canary of owner.person.canaries) expect(before.includes(canary)).toBe(false);
    for (const bytes of [...ciphertexts, ...bodies]) expect(before.includes(head(bytes))).toBe(false);
    const sealed = await held.store.list('body/');
    expect(sealed.length).toBe(items.length);
    const kept = [...sealed.map(([, bytes]) => bytes), (await held.store.get(`invitation/${slot}`)) as Uint8Array, (await held.store.get(`package/${slot}`)) as Uint8Array];
    for (const bytes of kept) expect(before.includes(head(bytes))).toBe(true);
    await running.api.eraseNow({ params: { slot }, body: {} });
    expect((await slotState(slot)).erasure).toMatchObject({ reason: 'early' });
    // At once, in a process that goes on running: keys, bodies and ciphertexts are in no file, the write-ahead log included.
    const after = filesUnder(held.folder);
    for (const bytes of [...kept, ...ciphertexts]) expect(after.includes(head(bytes))).toBe(false);
    await running.dataUser.close();
    await held.close();
    running = await kit.open(disk);
    await running.dataUser.start();
  });

  it('tells another data user nothing of its slots', async () => {
    const slot = await granted();
    const other = createApiClient({ table: dataUserEndpoints, baseUrl: kit.world.network.urls.get(INSTITUTE.org) as string, fetch: kit.world.wire.fetch, sign: signerOf({ clock: kit.world.clock, random: systemRandom }, identityOf(INSTITUTE).staff) });
    await kit.world.network.dataUsers.get(INSTITUTE.org)?.caughtUp(await drcHeight());
    expect((await other.board()).rows).toEqual([]);
    await expect(other.invite({ params: { slot }, body: order(kit.world, kit.ref) })).rejects.toMatchObject({ code: 'SLOT_UNKNOWN' });
    await expect(other.receive({ params: { slot }, body: {} })).rejects.toMatchObject({ code: 'SLOT_UNKNOWN' });
    await expect(other.read({ params: { slot, record: 'A'.repeat(22) as never } })).rejects.toMatchObject({ code: 'SLOT_UNKNOWN' });
    await expect(other.eraseNow({ params: { slot }, body: {} })).rejects.toMatchObject({ code: 'SLOT_UNKNOWN' });
    // Nor may its staff ask the first one.
    const foreign = createApiClient({ table: dataUserEndpoints, baseUrl: kit.world.network.urls.get(INSURER.org) as string, fetch: kit.world.wire.fetch, sign: signerOf({ clock: kit.world.clock, random: systemRandom }, identityOf(INSTITUTE).staff) });
    for (const call of [() => foreign.board(), () => foreign.settle({ body: {} }), () => foreign.read({ params: { slot, record: 'A'.repeat(22) as never } })]) await expect(call()).rejects.toMatchObject({ code: 'CALLER_REFUSED' });
    // The keeper gives nothing to it either, even with nothing but the ticket missing.
    const keeper = createApiClient({ table: hospitalEndpoints, baseUrl: kit.world.network.urls.get(EAST.org) as string, fetch: kit.world.wire.fetch, sign: signerOf({ clock: kit.world.clock, random: systemRandom }, identityOf(INSTITUTE).system) });
    await expect(keeper.manifest({ params: { grant: 'A'.repeat(22) as never }, headers: { 'healthkeep-ticket': toBase64url(new Uint8Array(32)) } })).rejects.toMatchObject({ code: 'GRANT_UNKNOWN' });
  });

  it('settles what was received, states it once, and hands it out as a table', async () => {
    const statement = await running.api.settle({ body: {} });
    expect(statement.number).toBe(1);
    expect(BigInt(statement.total)).toBe(statement.lines.reduce((sum, line) => sum + BigInt(line.owner) + BigInt(line.operator) + line.keepers.reduce((part, keeper) => part + BigInt(keeper.amount), 0n), 0n));
    await expect(running.api.settle({ body: {} })).rejects.toMatchObject({ code: 'NOTHING_TO_SETTLE' });
    expect(await running.api.statement({ params: { number: 1 } })).toEqual(statement);
    await expect(running.api.statement({ params: { number: 2 } })).rejects.toMatchObject({ code: 'STATEMENT_UNKNOWN' });
    const table = await kit.world.wire.fetch(await signerOf({ clock: kit.world.clock, random: systemRandom }, identityOf(INSURER).staff)(new Request(`${kit.world.network.urls.get(INSURER.org)}/v1/statements/1`, { headers: { accept: 'text/csv' } })));
    expect(table.headers.get('content-type')).toMatch(/^text\/csv/);
    expect((await table.text()).split('\r\n')).toHaveLength(statement.lines.length + 3);
    const slot = await granted();
    await receive(slot);
    // A process that forgot how far it had counted finds the next number on the ledger.
    await disk.store.write(new Map([['statements', undefined]]));
    const second = await running.api.settle({ body: {} });
    expect(second.number).toBe(2);
    // Anybody with the blocks of DRC comes to the same bill.
    const ledger = emptyLedger();
    const last = await drcHeight();
    for await (const event of kit.world.network.client.blocks({ channel: 'drc', startBlock: 0, signer: identityOf(INSTITUTE).peer })) {
      const { number, transactions } = readBlock(event.bytes);
      readBlockLine(ledger, JSON.stringify({ number, transactions: transactions.map(({ txId, code, writes }) => ({ txId, code, writes: writes.map((one) => ({ ...one, value: one.value === null ? null : toBase64url(one.value) })) })) }));
      if (number === last) break;
    }
    const bill = bills(ledger).find(({ duo }) => duo === INSURER.org);
    expect(bill).toMatchObject({ lines: statement.lines.length + 1, total: String(BigInt(statement.total) + BigInt(second.total)), unsettled: { lines: 0, total: '0' } });
    expect(bill?.statements.map(({ agrees, stated }) => [agrees, stated])).toEqual([[true, statement.total], [true, second.total]]);
  });

  it('proves an answer in the tree of DRC with the signatures of two members', async () => {
    const slot = await granted();
    const person = await ownerClient(kit, identityOf);
    const proof = await person.drcProof({ query: { slot } });
    expect(JSON.parse(Buffer.from(fromBase64url(proof.value as string)).toString())).toMatchObject({ phase: 'answered', duo: INSURER.org });
    for (const member of [INSURER, INSTITUTE]) expect(await verifyNoteSignature(proof.checkpoint, { name: member.org, rootCertificate: identityOf(member).ca.certificate })).toBe(true);
    await expect(person.drcProof({ query: { slot: toBase64url(systemRandom.bytes(32)) as SlotTag } })).rejects.toMatchObject({ code: 'SLOT_UNKNOWN' });
  });
});

async function ownerClient(world: DataUserWorld, of: (org: typeof INSURER) => KeptOrgIdentity) {
  const org = [...world.world.network.identities.keys()].find((one) => orgClass(one) === 'uo') as typeof INSURER.org;
  const { ca } = of({ org, name: '' });
  const pair = await generateSigningKey();
  const certificate = await ca.issue({ commonName: toBase64url(systemRandom.bytes(16)), organizationalUnit: 'client', attributes: { 'hk.role': 'person' }, publicKey: pair.publicKey, notBefore: world.world.clock.now(), days: 5 });
  const signer = createSigner({ mspId: org, certificate, privateKey: pair.privateKey });
  return createApiClient({ table: dataUserEndpoints, baseUrl: world.world.network.urls.get(INSURER.org) as string, fetch: world.world.wire.fetch, sign: signerOf({ clock: world.world.clock, random: systemRandom }, signer) });
}

async function until(done: () => Promise<boolean>): Promise<void> {
  for (let round = 0; round < 400; round++) {
    if (await done()) return;
    await realScheduler.sleep(10);
  }
  throw new Error('it did not come about');
}

/** Enough of a value to find it by. */
function head(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.subarray(0, 48));
}

function filesUnder(folder: string): Buffer {
  return Buffer.concat(readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => readFileSync(join(entry.parentPath, entry.name))));
}
