/**
 * Moving a channel (docs/moving.md): the same rows in every contract. Key: (`move`) for what `MoveState` says. The state
 * itself is read and written here without looking into it; the contract that wrote it once vouches for its form.
 */
import { canonicalJson, type Json } from '#base/canonical-json.ts';
import { fromBase64url, toBase64url } from '#base/bytes.ts';
import { compareKeys } from '#ledger/key-order.ts';
import { emptyRoot, nextRoot } from '#ledger/state-root.ts';
import type { ContractStub, StateEntry } from '#ledger/stub.ts';
import type { Member, Standing } from '#model/con.ts';
import type { Digest, OrgId } from '#model/ids.ts';
import { STATE_FORMAT, type FreezeState, type ImportState, type MoveState, type StateRow } from '#model/move.ts';
import { channelOrgs, CON, type ChannelKind } from '#model/orgs.ts';
import { decideBegin, decideChunk, decideSeal, decideVoice, freezeAfter, sealAfter } from '#model/rules/move.ts';
import { codedRefusal, enforce, refuse } from '#model/rules/verdict.ts';
import type { Input, Output, SubmitName } from './catalogue.ts';
import { OBJECT_TYPES } from './object-types.ts';
import { ledgerKey, rowsUnder, writeState } from './state.ts';
import { evaluateElsewhere, MOVE, moveOf, type Outcome, type Transaction } from './table.ts';

/** The rows of moving, for the contract of one kind of channel. */
export function moveRuns(kind: ChannelKind): MoveRuns {
  return {
    readState: async (tx, { from, pageSize }) => ({ output: await readPage(tx.stub, { from, pageSize }) }),
    getMove: async ({ stub }) => ({ output: { format: STATE_FORMAT, move: await moveOf(stub) } }),

    async freezeChannel(tx, { freeze }) {
      const [move, peers] = [await moveOf(tx.stub), await peersOf(tx, kind)];
      enforce(decideVoice(tx.caller.org, peers));
      const after = freezeAfter(move.freeze, { caller: tx.caller.org, freeze, peers });
      await writeMove(tx.stub, { ...move, freeze: after });
      return { output: after, event: { org: tx.caller.org, frozen: after.frozen } };
    },

    async beginImport({ stub }, { source, root, keys, format }) {
      const move = await moveOf(stub);
      enforce(decideBegin({ move, empty: await isEmpty(stub), format }));
      const coming: ImportState = { source, root, keys, next: 1, lastKey: '', running: toBase64url(emptyRoot()) as Digest, count: 0, sealedBy: [], sealed: false };
      await writeMove(stub, { ...move, import: coming });
      return { output: coming, event: { channel: source.channel, height: source.height, keys } };
    },

    async importChunk({ stub }, { number, rows }) {
      const move = await moveOf(stub);
      enforce(decideChunk(move.import, { number, rows: rows.length }));
      const after = await takeRows(stub, move.import as ImportState, rows);
      await writeMove(stub, { ...move, import: after });
      return { output: after, event: { number, keys: rows.length } };
    },

    async sealImport(tx, { root }) {
      const move = await moveOf(tx.stub);
      enforce(decideSeal(move.import, root));
      const peers = await peersOf(tx, kind);
      enforce(decideVoice(tx.caller.org, peers));
      const after = sealAfter(move.import as ImportState, tx.caller.org, peers);
      await writeMove(tx.stub, { ...move, import: after });
      return { output: after, event: { org: tx.caller.org, sealed: after.sealed } };
    },
  };
}

type MoveName = 'readState' | 'getMove' | 'freezeChannel' | 'beginImport' | 'importChunk' | 'sealImport';
/** Every kind has them with the same schemas. */
type MoveRuns = { readonly [N in MoveName]: (tx: Transaction, input: Input<'con', N>) => Promise<Outcome<Output<'con', N>, N extends SubmitName<'con'> ? true : false>> };

const writeMove = (stub: ContractStub, move: MoveState): Promise<void> => writeState(stub, MOVE, move as unknown as Json);

/** Who runs a peer here: as CON says, and on CON itself as its own state says. A directory that is still on its way in says nothing. */
async function peersOf({ stub, channel }: Transaction, kind: ChannelKind): Promise<readonly OrgId[]> {
  const members: OrgId[] = [];
  if (kind === 'con') {
    const left = new Set<string>();
    for await (const row of rowsUnder<{ readonly standing: Standing }>(stub, ['standing'])) if (row.value.standing === 'left') left.add(row.attributes[0] as string);
    for await (const row of rowsUnder<Member>(stub, ['member'])) if (!left.has(row.value.org)) members.push(row.value.org);
  } else {
    const there = (await evaluateElsewhere(stub, { contract: 'con', channel: CON, name: 'getMove', input: {} })) as unknown as Output<'con', 'getMove'>;
    if (there.move.import?.sealed === false) throw codedRefusal(refuse('CHANNEL_IMPORTING', { channel: CON }));
    const directory = (await evaluateElsewhere(stub, { contract: 'con', channel: CON, name: 'getMembers', input: {} })) as unknown as Output<'con', 'getMembers'>;
    const left = directory.standings.filter((one) => one.standing === 'left').map((one) => one.org);
    members.push(...directory.members.map((member) => member.org).filter((org) => !left.includes(org)));
  }
  return channelOrgs(channel, members).peers;
}

interface Section {
  readonly start: string;
  /** From a key of the section on, in key order. */
  read(from: string, pageSize: number): Promise<{ readonly rows: readonly StateEntry[]; readonly next: string }>;
}

/** The key space in order: each object type's composite keys, then the plain keys, which begin above U+0000. */
function sectionsOf(stub: ContractStub): readonly Section[] {
  const composite = OBJECT_TYPES.map((type) => {
    const start = ledgerKey(stub, [type]);
    return { start, read: async (from: string, pageSize: number) => pageOf(await stub.getStateByPartialCompositeKeyWithPagination(type, [], pageSize, from === start ? '' : from)) };
  }).sort((left, right) => compareKeys(left.start, right.start));
  const plain = { start: '\u0001', read: async (from: string, pageSize: number) => pageOf(await stub.getStateByRangeWithPagination(from === '\u0001' ? '' : from, '', pageSize)) };
  return [...composite, plain];
}

async function pageOf({ iterator, metadata }: Awaited<ReturnType<ContractStub['getStateByRangeWithPagination']>>): Promise<{ readonly rows: readonly StateEntry[]; readonly next: string }> {
  const rows: StateEntry[] = [];
  for await (const entry of iterator) rows.push(entry);
  return { rows, next: metadata.bookmark };
}

/** Rows from a key on, over the borders of sections. What is said of the move itself is no part of the state that moves. */
async function readPage(stub: ContractStub, { from, pageSize }: { readonly from: string; readonly pageSize: number }): Promise<{ readonly rows: readonly StateRow[]; readonly next: string }> {
  const own = ledgerKey(stub, MOVE);
  const rows: StateRow[] = [];
  const sections = sectionsOf(stub);
  for (const [at, section] of sections.entries()) {
    const end = sections[at + 1]?.start;
    if (from !== '' && end !== undefined && compareKeys(from, end) >= 0) continue;
    const start = from !== '' && compareKeys(from, section.start) > 0 ? from : section.start;
    const page = await section.read(start, pageSize - rows.length);
    for (const { key, value } of page.rows) {
      if (key !== own) rows.push({ key, value: toBase64url(value), policy: await policyOf(stub, key) });
    }
    if (page.next !== '') return { rows, next: page.next };
    if (rows.length === pageSize) return { rows, next: end ?? '' };
  }
  return { rows, next: '' };
}

/** fabric-shim answers nothing at all where a key has no policy of its own. */
async function policyOf(stub: ContractStub, key: string): Promise<string> {
  const policy = (await stub.getStateValidationParameter(key)) as Uint8Array | undefined;
  return policy === undefined ? '' : toBase64url(policy);
}

async function isEmpty(stub: ContractStub): Promise<boolean> {
  const own = ledgerKey(stub, MOVE);
  for (const type of OBJECT_TYPES) {
    for await (const entry of stub.getStateByPartialCompositeKey(type, [])) if (entry.key !== own) return false;
  }
  for await (const entry of stub.getStateByRange('', '')) return entry.key === own;
  return true;
}

/** Writes the rows as they come. Throws INPUT_INVALID for a key out of order or of no known kind. */
async function takeRows(stub: ContractStub, before: ImportState, rows: readonly StateRow[]): Promise<ImportState> {
  let running: Uint8Array = fromBase64url(before.running);
  let lastKey = before.lastKey;
  for (const { key, value, policy } of rows) {
    if ((lastKey !== '' && compareKeys(lastKey, key) >= 0) || !isKnownKey(stub, key)) throw codedRefusal(refuse('INPUT_INVALID', { path: 'rows', problem: 'a key out of order or of no kind that the contract writes' }));
    const row = { key, value: fromBase64url(value), policy: fromBase64url(policy) };
    running = nextRoot(running, row);
    await stub.putState(key, row.value);
    if (row.policy.length > 0) await stub.setStateValidationParameter(key, row.policy);
    lastKey = key;
  }
  return { ...before, next: before.next + 1, lastKey, running: toBase64url(running) as Digest, count: before.count + rows.length };
}

/** Plain keys are the contract's own business; composite ones must be of a type that a later reading finds. */
function isKnownKey(stub: ContractStub, key: string): boolean {
  if (!key.startsWith('\u0000')) return key.isWellFormed();
  if (key === ledgerKey(stub, MOVE)) return false;
  return OBJECT_TYPES.some((type) => key.startsWith(ledgerKey(stub, [type])) && key.endsWith('\u0000'));
}

/** How much of a transaction a row takes, for whoever makes chunks. Bytes. */
export const rowBytes = (row: StateRow): number => canonicalJson(row as unknown as Json).length;
