/**
 * Moves one channel from a ledger to another (docs/moving.md): freeze, archive, announce, carry over, read back, seal. Every
 * step asks first how far things are, so the whole may be killed anywhere and run again.
 */
import { equalBytes, fromBase64url, toBase64url, toHex } from '#base/bytes.ts';
import { CodedError, isCoded } from '#base/errors.ts';
import { contractClient, type ContractClient } from '#contracts/client.ts';
import { rowBytes } from '#contracts/move.ts';
import type { LedgerClient, LedgerSigner } from '#ledger/client.ts';
import type { Config } from '#ledger/protos/config.ts';
import type { ChannelName, Digest, OrgId } from '#model/ids.ts';
import { STATE_FORMAT, type ImportState, type MoveSource, type StateRow } from '#model/move.ts';
import type { ChannelKind } from '#model/orgs.ts';
import { checkLikeness } from './likeness.ts';
import { firstDifference, readRoot, readRows } from './rows.ts';

/** One of the two ledgers. */
export interface LedgerSide {
  /** An organisation's own way there: on Fabric through its own peer, so that what it reads is what it holds. */
  clientOf(org: OrgId): LedgerClient;
  /** Number of blocks. */
  height(channel: string): Promise<number>;
  /** The configuration in force. */
  config(channel: string, signer: LedgerSigner): Promise<Config>;
}

/** An organisation with a peer on the channel, as far as it acts here. */
export interface Voice {
  readonly org: OrgId;
  readonly operator: LedgerSigner;
  /** Reads whole blocks. */
  readonly peer: LedgerSigner;
}

export interface ArchiveEnd {
  readonly height: number;
  readonly blockHash: Uint8Array;
}

export interface ChannelMove {
  readonly channel: ChannelName;
  readonly source: LedgerSide;
  readonly target: LedgerSide;
  readonly voices: readonly Voice[];
  /** Keeps the source's blocks and says where they end. Again from the beginning when called again. */
  archive(channel: ChannelName, blocks: AsyncIterable<Uint8Array>): Promise<ArchiveEnd>;
  /** The last checkpoint of the source, signed by all voices, from the archive. */
  checkpoint(channel: ChannelName, end: ArchiveEnd): Promise<string>;
  /** The root as the source's own tables give it, where they can be read. */
  sourceRoot?(channel: ChannelName): Promise<Uint8Array>;
  progress(step: MoveStep): void;
  /** Rows in one transaction; default 400. */
  readonly chunkRows?: number;
}

export interface MoveStep {
  readonly channel: ChannelName;
  readonly step: 'compared' | 'frozen' | 'archived' | 'announced' | 'carried' | 'sealed';
  readonly done?: number;
  readonly of?: number;
}

export interface MovedChannel {
  readonly channel: ChannelName;
  readonly keys: number;
  readonly root: Digest;
  readonly height: number;
  readonly sealedBy: readonly OrgId[];
}

const CHUNK_ROWS = 400;
const CHUNK_BYTES = 512 * 1024;

type Contract = ContractClient<ChannelKind>;

const contractOn = (side: LedgerSide, { channel }: Pick<ChannelMove, 'channel'>, { org, operator }: Voice): Contract => contractClient(side.clientOf(org), { channel, signer: operator });

/** Throws MOVE_NO_VOICE when there is none. */
export function firstVoice({ voices, channel }: Pick<ChannelMove, 'voices' | 'channel'>): Voice {
  const [first] = voices;
  if (first === undefined) throw new CodedError('MOVE_NO_VOICE', 'Nobody who runs a peer on the channel takes part in the move.', { next: 'Give the identities of the organisations that run peers.', channel });
  return first;
}

/** Throws MOVE_AGAIN, MOVE_TARGET_OTHER, STATE_FORMAT_OTHER, and CHANNEL_NOT_EMPTY for a target that holds another state. */
export async function compareChannel(move: ChannelMove): Promise<void> {
  const { channel, source, target, progress } = move;
  const voice = firstVoice(move);
  const here = await contractOn(source, move, voice).evaluate('getMove', {});
  if (here.move.import !== null) throw new CodedError('MOVE_AGAIN', 'The channel came from another ledger itself.', { channel });
  checkLikeness(channel, await source.config(channel, voice.operator), await target.config(channel, voice.operator));
  const there = contractOn(target, move, voice);
  const { format, move: state } = await there.evaluate('getMove', {});
  if (format !== STATE_FORMAT) throw new CodedError('STATE_FORMAT_OTHER', 'The contract on the target writes its state in another form.', { channel, expected: STATE_FORMAT, format });
  const anything = (await there.evaluate('readState', { from: '', pageSize: 1 })).rows.length > 0;
  if (state.import === null && anything) throw new CodedError('CHANNEL_NOT_EMPTY', 'The channel of the target holds a state already.', { next: 'Use a target on whose channels nothing has been written.', channel });
  progress({ channel, step: 'compared' });
}

/** Every voice freezes the source, until it is frozen. Then nothing but reading is endorsed there. */
export async function freezeSource(move: ChannelMove): Promise<void> {
  const { channel, source, voices, progress } = move;
  for (const voice of voices) {
    const contract = contractOn(source, move, voice);
    if ((await contract.evaluate('getMove', {})).move.freeze?.frozen === true) break;
    await contract.submit('freezeChannel', { freeze: true });
  }
  if ((await contractOn(source, move, firstVoice(move)).evaluate('getMove', {})).move.freeze?.frozen !== true) throw new CodedError('MOVE_NO_VOICE', 'Too few of the organisations with a peer voted for freezing the channel.', { next: 'Let the others vote too.', channel });
  progress({ channel, step: 'frozen' });
}

/** Everything after freezing. Throws STATE_ROOT_DIFFERS, ARCHIVE_BROKEN, MOVE_SOURCE_OTHER. */
export async function carryOver(move: ChannelMove): Promise<MovedChannel> {
  const { channel, target, progress, voices } = move;
  const voice = firstVoice(move);
  const there = contractOn(target, move, voice);
  const begun = (await there.evaluate('getMove', {})).move.import;
  const coming = begun?.sealed === true ? begun : await carried(move, begun ?? (await announce(move, there)));
  let last = coming;
  for (const one of voices) if (!last.sealed && !last.sealedBy.includes(one.org)) last = await seal(move, one, last);
  if (!last.sealed) throw new CodedError('CHANNEL_IMPORTING', 'Not every organisation with a peer has sealed the import.', { next: 'Let the others read the state and seal it too.', channel });
  progress({ channel, step: 'sealed' });
  return { channel, keys: last.count, root: last.root, height: last.source.height, sealedBy: last.sealedBy };
}

async function announce(move: ChannelMove, there: Contract): Promise<ImportState> {
  const { channel, source, progress } = move;
  const voice = firstVoice(move);
  const height = await source.height(channel);
  const end = await move.archive(channel, blocksUpTo(source.clientOf(voice.org), { channel, height, signer: voice.peer }));
  progress({ channel, step: 'archived', done: end.height });
  const { root, keys } = await readRoot(contractOn(source, move, voice));
  const stored = await move.sourceRoot?.(channel);
  if (stored !== undefined && !equalBytes(stored, root)) throw new CodedError('STATE_ROOT_DIFFERS', 'The contract of the source shows another state than its tables hold.', { next: 'Check the source with its replay first.', channel });
  const from: MoveSource = { channel, height: end.height, blockHash: toBase64url(end.blockHash) as Digest, checkpoint: await move.checkpoint(channel, end) };
  const { output } = await there.submit('beginImport', { source: from, root: toBase64url(root) as Digest, keys, format: STATE_FORMAT });
  progress({ channel, step: 'announced', of: keys });
  return output;
}

/** The source's blocks as they stand; whatever follows can only be refused transactions. */
async function* blocksUpTo(client: LedgerClient, { channel, height, signer }: { readonly channel: string; readonly height: number; readonly signer: LedgerSigner }): AsyncGenerator<Uint8Array> {
  const stop = new AbortController();
  try {
    for await (const block of client.blocks({ channel, startBlock: 0, signer, signal: stop.signal })) {
      yield block.bytes;
      if (block.number + 1 >= height) return;
    }
  } finally {
    stop.abort();
  }
}

async function carried(move: ChannelMove, begun: ImportState): Promise<ImportState> {
  const { channel, source, target, progress } = move;
  const voice = firstVoice(move);
  const there = contractOn(target, move, voice);
  let state = begun;
  const from = state.lastKey === '' ? '' : `${state.lastKey}\u0000`;
  for await (const rows of chunksOf(readRows(contractOn(source, move, voice), from), move.chunkRows ?? CHUNK_ROWS)) {
    state = await sendChunk(there, state, rows);
    progress({ channel, step: 'carried', done: state.count, of: state.keys });
  }
  return state;
}

/** A chunk whose answer was lost is not sent twice: the target says which one it wants next. */
async function sendChunk(there: Contract, state: ImportState, rows: readonly StateRow[]): Promise<ImportState> {
  try {
    return (await there.submit('importChunk', { number: state.next, rows })).output;
  } catch (error) {
    if (!isCoded(error, 'IMPORT_CHUNK_ORDER') && !isCoded(error, 'LEDGER_OUTCOME_UNKNOWN')) throw error;
    const now = (await there.evaluate('getMove', {})).move.import;
    if (now?.next !== state.next + 1 || now.lastKey !== rows.at(-1)?.key) throw error;
    return now;
  }
}

async function* chunksOf(rows: AsyncIterable<StateRow>, most: number): AsyncGenerator<readonly StateRow[]> {
  let chunk: StateRow[] = [];
  let bytes = 0;
  for await (const row of rows) {
    if (chunk.length === most || (chunk.length > 0 && bytes + rowBytes(row) > CHUNK_BYTES)) {
      yield chunk;
      [chunk, bytes] = [[], 0];
    }
    chunk.push(row);
    bytes += rowBytes(row);
  }
  if (chunk.length > 0) yield chunk;
}

/** One organisation reads both states itself, and seals only what is the same. */
async function seal(move: ChannelMove, voice: Voice, state: ImportState): Promise<ImportState> {
  const { channel, source, target } = move;
  const [here, there] = [contractOn(source, move, voice), contractOn(target, move, voice)];
  const [own, found] = [await readRoot(here), await readRoot(there)];
  if (!equalBytes(own.root, found.root) || !equalBytes(found.root, fromBase64url(state.root))) {
    const key = await firstDifference(readRows(here), readRows(there));
    throw new CodedError('STATE_ROOT_DIFFERS', 'The state that was taken in is not the state of the source.', { why: key === undefined ? 'The announced root is another one.' : `The first key that differs: ${key.replaceAll('\u0000', '~')}`, channel, root: toHex(own.root), found: toHex(found.root) });
  }
  return (await there.submit('sealImport', { root: toBase64url(found.root) as Digest })).output;
}
