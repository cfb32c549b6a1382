/** Moving a channel, on two real ledgers: who may do what when, what an import refuses, and that a frozen channel takes nothing. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fromBase64url, toBase64url } from '#base/bytes.ts';
import type { LedgerSigner } from '#ledger/client.ts';
import { stateRootOf } from '#ledger/state-root.ts';
import type { ChannelName, Digest } from '#model/ids.ts';
import { STATE_FORMAT, type StateRow } from '#model/move.ts';
import { CON, DRC, UIC } from '#model/orgs.ts';
import { contractClient } from './client.ts';
import { foundConsortium, publish, templateOf, type Consortium } from './consortium.test-kit.ts';
import { codeOf, day, digestOf, EAST, INSURER, LAB, PEOPLE, slotOf, startNetwork, WEST, type Network } from './network.test-kit.ts';
import { OBJECT_TYPES } from './object-types.ts';
import { samples } from './samples.test-kit.ts';

let source: Network;
let target: Network;
let consortium: Consortium;
const operators = new Map<string, LedgerSigner>();

const here = (org: string, channel: ChannelName) => contractClient(source.ledger, { channel, signer: operators.get(`source ${org}`) as LedgerSigner });
const there = (org: string, channel: ChannelName) => contractClient(target.ledger, { channel, signer: operators.get(`target ${org}`) as LedgerSigner });
const sourceOf = (channel: ChannelName) => ({ channel, height: 5, blockHash: digestOf('block'), checkpoint: 'note' });

async function rowsOf(client: ReturnType<typeof here>, pageSize = 3): Promise<StateRow[]> {
  const rows: StateRow[] = [];
  for (let from = ''; ; ) {
    const page = await client.evaluate('readState', { from, pageSize });
    rows.push(...page.rows);
    if (page.next === '') return rows;
    from = page.next;
  }
}

async function rootOf(rows: readonly StateRow[]): Promise<Digest> {
  return toBase64url((await stateRootOf(rows.map((row) => ({ key: row.key, value: fromBase64url(row.value), policy: fromBase64url(row.policy) })))).root) as Digest;
}

beforeAll(async () => {
  [source, target] = [await startNetwork(), await startNetwork()];
  consortium = await foundConsortium(source);
  await publish(consortium, templateOf('move'));
  await contractClient(source.ledger, { channel: UIC, signer: await source.signer(PEOPLE, 'person') }).submit('putEntry', samples.uic.putEntry);
  for (const org of [PEOPLE, EAST, WEST, LAB, INSURER]) {
    operators.set(`source ${org}`, await source.signer(org, 'operator'));
    operators.set(`target ${org}`, await target.signer(org, 'operator'));
  }
});
afterAll(async () => {
  await source.close();
  await target.close();
});

describe('a whole state', () => {
  it.each([1, 2, 7, 1_000])('reads the same in pages of %i, in key order, without what is said of the move', async (pageSize) => {
    const rows = await rowsOf(here(EAST, CON), pageSize);
    expect(await rootOf(rows)).toBe(await rootOf(await rowsOf(here(EAST, CON), 13)));
    expect(new Set(rows.map((row) => row.key.split('\u0000')[1]))).toEqual(new Set(['accepted', 'directory', 'member', 'proposal']));
  });

  it('goes on from any key, between object types and behind the last', async () => {
    const rows = await rowsOf(here(EAST, CON));
    for (const [at, row] of rows.entries()) {
      const page = await here(EAST, CON).evaluate('readState', { from: `${row.key}\u0000`, pageSize: 1_000 });
      expect(page.rows).toEqual(rows.slice(at + 1));
    }
  });

  it('holds plain keys too', async () => {
    const system = contractClient<'con'>(source.ledger, { channel: CON, signer: consortium.systemOf(PEOPLE) });
    const checkpoint = { channel: UIC, size: 3, root: digestOf('root'), height: 2, blockHash: digestOf('b') };
    const base64 = (digest: string): string => `${digest.replaceAll('-', '+').replaceAll('_', '/')}=`;
    await system.submit('putCheckpoint', { ...checkpoint, note: `healthkeep/uic\n3\n${base64(checkpoint.root)}\nheight 2\nblock ${base64(checkpoint.blockHash)}\n\n— x` });
    expect((await rowsOf(here(EAST, CON))).filter((row) => row.key.startsWith('checkpoint/')).length).toBe(1);
  });

  it('has its object types in no order that matters, each once', () => {
    expect(new Set(OBJECT_TYPES).size).toBe(OBJECT_TYPES.length);
  });
});

describe('an import', () => {
  it('is refused for another format, on a channel with a state, before it began and out of order', async () => {
    const begin = { source: sourceOf(UIC), root: digestOf('r'), keys: 2, format: STATE_FORMAT };
    expect(await codeOf(there(PEOPLE, UIC).submit('beginImport', { ...begin, format: STATE_FORMAT + 1 }))).toBe('STATE_FORMAT_OTHER');
    expect(await codeOf(here(PEOPLE, UIC).submit('beginImport', begin))).toBe('CHANNEL_NOT_EMPTY');
    expect(await codeOf(there(PEOPLE, UIC).submit('importChunk', samples.uic.importChunk))).toBe('IMPORT_NOT_BEGUN');
    expect(await codeOf(there(PEOPLE, UIC).submit('sealImport', samples.uic.sealImport))).toBe('IMPORT_NOT_BEGUN');
  });

  it('takes a state whole: normal writing waits, every member seals, and then nothing can be taken in for ever', async () => {
    const rows = await rowsOf(here(EAST, CON));
    const root = await rootOf(rows);
    await there(LAB, CON).submit('beginImport', { source: sourceOf(CON), root, keys: rows.length, format: STATE_FORMAT });
    expect(await codeOf(there(LAB, CON).submit('beginImport', { source: sourceOf(CON), root, keys: rows.length, format: STATE_FORMAT }))).toBe('IMPORT_BEGUN');
    expect(await codeOf(contractClient<'con'>(target.ledger, { channel: CON, signer: await target.signer(EAST, 'system') }).submit('setTimeFloor', { at: day(1) }))).toBe('CHANNEL_IMPORTING');
    expect(await codeOf(there(LAB, CON).submit('importChunk', { number: 2, rows: rows.slice(0, 3) }))).toBe('IMPORT_CHUNK_ORDER');
    expect(await codeOf(there(LAB, CON).submit('importChunk', { number: 1, rows: [...rows.slice(0, 3)].reverse() }))).toBe('INPUT_INVALID');
    await there(LAB, CON).submit('importChunk', { number: 1, rows: rows.slice(0, 3) });
    expect(await codeOf(there(LAB, CON).submit('importChunk', { number: 2, rows: rows.slice(0, 3) }))).toBe('INPUT_INVALID');
    expect(await codeOf(there(LAB, CON).submit('importChunk', { number: 2, rows: [{ key: '\u0000move\u0000', value: 'AAAA', policy: '' }] }))).toBe('INPUT_INVALID');
    expect(await codeOf(there(LAB, CON).submit('importChunk', { number: 2, rows: [{ key: '\u0000unheard-of\u0000', value: 'AAAA', policy: '' }] }))).toBe('INPUT_INVALID');
    expect(await codeOf(there(LAB, CON).submit('sealImport', { root }))).toBe('STATE_ROOT_DIFFERS');
    await there(EAST, CON).submit('importChunk', { number: 2, rows: rows.slice(3) });
    expect(await codeOf(there(LAB, CON).submit('importChunk', { number: 3, rows: rows.slice(3) }))).toBe('STATE_ROOT_DIFFERS');
    expect(await codeOf(there(LAB, CON).submit('sealImport', { root: digestOf('another') }))).toBe('STATE_ROOT_DIFFERS');
    expect(await codeOf(there(PEOPLE, UIC).submit('freezeChannel', { freeze: true }))).toBe('CHANNEL_IMPORTING');
    for (const org of [PEOPLE, EAST, WEST, LAB]) expect((await there(org, CON).submit('sealImport', { root })).output.sealed, org).toBe(false);
    expect((await there(INSURER, CON).submit('sealImport', { root })).output).toMatchObject({ sealed: true, sealedBy: [PEOPLE, EAST, WEST, LAB, INSURER] });
    expect(await rootOf(await rowsOf(there(WEST, CON)))).toBe(root);
    for (const again of ['beginImport', 'importChunk', 'sealImport'] as const) expect(await codeOf(there(LAB, CON).submit(again, samples.con[again] as never)), again).toBe('IMPORT_SEALED');
    await contractClient<'con'>(target.ledger, { channel: CON, signer: await target.signer(EAST, 'system') }).submit('setTimeFloor', { at: day(1) });
    await target.embedded.replay(CON);
  });

  it('is not sealed when a value was changed, a key left out or one put in', async () => {
    const rows = await rowsOf(here(LAB, DRC));
    const root = await rootOf(rows);
    const [first, ...rest] = rows as [StateRow, ...StateRow[]];
    const extra = { ...first, key: `${first.key.slice(0, -2)}!\u0000` };
    for (const wrong of [[{ ...first, value: toBase64url(new Uint8Array([1])) }, ...rest], rest, [first, ...rest, extra], [{ ...first, policy: 'AAAA' }, ...rest]]) {
      const sorted = [...wrong].sort((left, right) => (left.key < right.key ? -1 : 1));
      const empty = await startNetwork();
      try {
        const client = contractClient(empty.ledger, { channel: DRC, signer: await empty.signer(LAB, 'operator') });
        await client.submit('beginImport', { source: sourceOf(DRC), root, keys: rows.length, format: STATE_FORMAT });
        const carried = await codeOf(client.submit('importChunk', { number: 1, rows: sorted }));
        expect(carried === 'STATE_ROOT_DIFFERS' ? carried : await codeOf(client.submit('sealImport', { root }))).toBe('STATE_ROOT_DIFFERS');
        expect(await codeOf(contractClient<'drc'>(empty.ledger, { channel: DRC, signer: await empty.signer(LAB, 'system') }).submit('setTimeFloor', { at: day(1) }))).toBe('CHANNEL_IMPORTING');
      } finally {
        await empty.close();
      }
    }
  });
});

describe('a freeze', () => {
  const write = async () => codeOf(contractClient<'drc'>(source.ledger, { channel: DRC, signer: consortium.systemOf(LAB) }).submit('setTimeFloor', { at: day(20 + floors++) }));
  let floors = 0;

  it('needs more than half of those who run peers; then everything but reading is refused', async () => {
    expect(await codeOf(here(EAST, DRC).submit('freezeChannel', { freeze: true }))).toBe('LEDGER_ACCESS_DENIED');
    expect(await codeOf(contractClient(source.ledger, { channel: DRC, signer: consortium.systemOf(LAB) }).submit('freezeChannel', { freeze: true }))).toBe('ROLE_NOT_ALLOWED');
    expect((await here(LAB, DRC).submit('freezeChannel', { freeze: true })).output.frozen).toBe(false);
    expect((await here(LAB, DRC).submit('freezeChannel', { freeze: true })).output).toMatchObject({ frozen: false, freeze: [LAB] });
    expect(await write()).toBe('allowed');
    expect((await here(INSURER, DRC).submit('freezeChannel', { freeze: true })).output.frozen).toBe(true);
    expect(await write()).toBe('CHANNEL_FROZEN');
    expect(await codeOf(contractClient<'drc'>(source.ledger, { channel: DRC, signer: await source.signer(PEOPLE, 'person') }).submit('openSlot', { ...samples.drc.openSlot, slot: slotOf('late') }))).toBe('CHANNEL_FROZEN');
    expect((await rowsOf(here(LAB, DRC))).length).toBeGreaterThan(1);
  });

  it('is taken back by all of them only', async () => {
    expect((await here(LAB, DRC).submit('freezeChannel', { freeze: false })).output.frozen).toBe(true);
    expect(await write()).toBe('CHANNEL_FROZEN');
    expect((await here(INSURER, DRC).submit('freezeChannel', { freeze: false })).output).toEqual({ freeze: [], thaw: [], frozen: false });
    expect(await write()).toBe('allowed');
  });

  it('judges a conflict whatever was under way when it came', async () => {
    await here(LAB, DRC).submit('freezeChannel', { freeze: true });
    const signer = consortium.systemOf(LAB);
    const racing = Array.from({ length: 20 }, (_, at) => codeOf(source.ledger.submit({ channel: DRC, contract: 'drc', name: 'setTimeFloor', input: { at: day(60 + at) }, signer })));
    const frozen = here(INSURER, DRC).submit('freezeChannel', { freeze: true });
    const outcomes = await Promise.all(racing);
    const { blockNumber } = await frozen;
    expect(outcomes).toContain('CHANNEL_FROZEN');
    const after = new AbortController();
    for await (const block of source.ledger.blocks({ channel: DRC, startBlock: blockNumber, signer: source.peerOf(LAB), signal: after.signal })) {
      const { readBlock } = await import('#ledger/block.ts');
      const facts = readBlock(block.bytes).transactions;
      const freezing = facts.findIndex((one) => one.function === 'freezeChannel' && one.code === 'VALID');
      expect(facts.slice(block.number === blockNumber ? freezing + 1 : 0).filter((one) => one.code === 'VALID' && one.function === 'setTimeFloor')).toEqual([]);
      if (block.number + 1 >= source.embedded.height(DRC)) break;
    }
    after.abort();
    await source.embedded.replay(DRC);
  });
});
