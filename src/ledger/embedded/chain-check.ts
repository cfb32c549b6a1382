/** Whole-chain checks: is every block what the one after it says, signed by the orderer, and does the chain give the state that is in the tables? */
import { concat, equalBytes, toHex } from '#base/bytes.ts';
import { CodedError, isCoded } from '#base/errors.ts';
import type { ChainFacts } from '../admin.ts';
import { commitHashOf, dataHash, headerDer, headerHash } from '../block.ts';
import { validationCode } from '../codes.ts';
import { Block, headerType, IdentifierHeader, Metadata, metadataSlot, SerializedIdentity, SignatureHeader } from '../protos/common.ts';
import { ConfigEnvelope } from '../protos/config.ts';
import { Orderers } from '../protos/orderer-config.ts';
import { readEnvelope } from '../transaction.ts';
import { viewOf, type ChannelView } from './channel-config.ts';
import { openChannelStore, type ChannelStore } from './channel-store.ts';
import { checkConfigTransaction } from './config-update.ts';
import { nativeHash } from './hash.ts';
import { LIFECYCLE, readDefinition, type Definition } from './lifecycle.ts';
import { isRefusal } from './msp.ts';
import { verifyNative } from './native-signer.ts';
import { noKnownEndorsements, prepare, type Prepared } from './prepared.ts';
import { newBatch, nextCommitHash } from './update-batch.ts';
import type { DerivedTable, StateReader } from './state-reader.ts';
import { judgeBlock } from './validator.ts';

export interface ReplayFacts extends ChainFacts {
  /** Hexadecimal commit hash of the last block. */
  readonly commitHash: string;
}

interface Where {
  readonly channel: string;
  readonly file: string;
}

/** Blocks by number. */
export interface Blocks extends Where {
  readonly reader: Pick<StateReader, 'block' | 'height'>;
}

/** What is checked: one height of the channel, while it may go on. */
export interface Source extends Where {
  readonly reader: StateReader;
}

function broken(where: Where, block: number, why: string): CodedError {
  return new CodedError('LEDGER_CHAIN_BROKEN', `Block ${block} of channel ${where.channel} is not what the chain says.`, { why, next: `Restore ${where.file} from a copy and compare it with the checkpoints of other members.`, ...where, block });
}

type WholeBlock = Block & { readonly header: NonNullable<Block['header']> };

function readWhole(store: Blocks, number: number): WholeBlock {
  const bytes = store.reader.block(number);
  if (bytes === undefined) throw broken(store, number, 'It is missing.');
  try {
    const block = Block.decode(bytes);
    if (block.header?.number !== number) throw broken(store, number, 'Its header has another number.');
    return { ...block, header: block.header };
  } catch (error) {
    if (isCoded(error, 'LEDGER_MALFORMED')) throw broken(store, number, 'It cannot be decoded.');
    throw error;
  }
}

const slot = (block: Block, index: number): Uint8Array => block.metadata?.metadata[index] ?? new Uint8Array(0);

/** Enough of the orderers signed: one under Raft and in the embedded ledger, a quorum under BFT. A signature that is wrong counts for nobody. */
async function signedByOrderer(block: WholeBlock, view: ChannelView): Promise<boolean> {
  const { value, signatures } = Metadata.decode(slot(block, metadataSlot.signatures));
  const header = headerDer(block.header);
  const identities = await Promise.all(signatures.map(async ({ signatureHeader, identifierHeader, signature }) => {
    const creator = signatureHeader.length > 0 ? SignatureHeader.decode(signatureHeader).creator : consenterOf(view, IdentifierHeader.decode(identifierHeader).identifier);
    const identity = creator === undefined ? undefined : view.identify(creator);
    if (identity === undefined || isRefusal(identity)) return undefined;
    const signedPart = signatureHeader.length > 0 ? signatureHeader : identifierHeader;
    return (await verifyNative(identity.key, concat(value, signedPart, header), signature)) ? identity : undefined;
  }));
  return view.holds('/Channel/Orderer/BlockValidation', identities.filter((identity) => identity !== undefined));
}

/** The serialised identity of a BFT orderer, by its number in the configuration. */
function consenterOf({ group }: ChannelView, id: number): Uint8Array | undefined {
  const orderers = Orderers.decode(group.groups.get('Orderer')?.values.get('Orderers')?.value ?? new Uint8Array(0));
  const consenter = orderers.consenterMapping.find((one) => one.id === id);
  return consenter === undefined ? undefined : SerializedIdentity.encode({ mspId: consenter.mspId, idBytes: consenter.identity });
}

function configIn(envelope: Uint8Array): ChannelView | undefined {
  const outer = readEnvelope(envelope);
  if (outer.channelHeader.type !== headerType.config) return undefined;
  const { config } = ConfigEnvelope.decode(outer.data);
  return config === undefined ? undefined : viewOf(config);
}

interface Step {
  readonly block: WholeBlock;
  readonly data: readonly Uint8Array[];
  /** Configuration in force when the block was cut. */
  readonly view: ChannelView;
  readonly codes: Uint8Array;
}

/** Blocks in order, each with its links, hashes, signature and configuration checked. Throws LEDGER_CHAIN_BROKEN. */
async function* checkedBlocks(store: Blocks): AsyncGenerator<Step> {
  let previous: Uint8Array = new Uint8Array(0);
  let view: ChannelView | undefined;
  const height = store.reader.height();
  for (let number = 0; number < height; number++) {
    const block = readWhole(store, number);
    const data = block.data?.data ?? [];
    const codes = slot(block, metadataSlot.transactionsFilter);
    if (!equalBytes(block.header.previousHash, previous)) throw broken(store, number, 'It does not name the block before it.');
    if (!equalBytes(block.header.dataHash, dataHash(data, nativeHash))) throw broken(store, number, 'Its transactions are not those of its header.');
    if (codes.length !== data.length) throw broken(store, number, 'It has not one verdict per transaction.');
    const before = view;
    const config = data[0] !== undefined && codes[0] === validationCode.VALID ? configIn(data[0]) : undefined;
    if (before === undefined && config === undefined) throw broken(store, number, 'It is no configuration.');
    if (before !== undefined) {
      if (!(await signedByOrderer(block, before))) throw broken(store, number, 'The signature of the orderer is missing or wrong.');
      if (config !== undefined) guardConfig(store, { number, view: before, envelope: data[0] as Uint8Array });
    }
    yield { block, data, view: before ?? (config as ChannelView), codes };
    view = config ?? before;
    previous = headerHash(block.header, nativeHash);
  }
}

function guardConfig(store: Blocks, { number, view, envelope }: { readonly number: number; readonly view: ChannelView; readonly envelope: Uint8Array }): void {
  try {
    checkConfigTransaction(view, envelope, store.channel);
  } catch (error) {
    if (isCoded(error)) throw broken(store, number, String(error.details.why ?? error.message));
    throw error;
  }
}

/** Numbers, links, data hashes, orderer signatures and configurations of the whole chain. Throws LEDGER_CHAIN_BROKEN naming the first bad block. */
export async function checkChain(channelStore: ChannelStore): Promise<ChainFacts> {
  return withSource(channelStore, checkSource);
}

async function withSource<T>({ channel, file, snapshot }: ChannelStore, work: (source: Source) => Promise<T>): Promise<T> {
  const { reader, release } = snapshot();
  try {
    return await work({ channel, file, reader });
  } finally {
    release();
  }
}

async function checkSource(store: Source): Promise<ChainFacts> {
  const facts = await checkLinks(store);
  const kept = store.reader.lastHash();
  if (kept === undefined || toHex(kept) !== facts.lastHash) throw broken(store, Math.max(0, facts.blocks - 1), 'Its hash is not the one that was kept when it was written.');
  return facts;
}

/** The same of blocks that somebody else delivered, from block 0 on. Throws LEDGER_CHAIN_BROKEN. */
export function checkDelivered(channel: string, blocks: readonly Uint8Array[]): Promise<ChainFacts> {
  return checkLinks({ channel, file: 'the ledger', reader: { height: () => blocks.length, block: (number) => blocks[number] } });
}

async function checkLinks(store: Blocks): Promise<ChainFacts> {
  let blocks = 0;
  let transactions = 0;
  let last: Uint8Array = new Uint8Array(0);
  for await (const { block, data } of checkedBlocks(store)) {
    blocks++;
    transactions += data.length;
    last = headerHash(block.header, nativeHash);
  }
  return { blocks, transactions, lastHash: toHex(last) };
}

/**
 * Judges every transaction again, without trusting anything but block 0, into a fresh file, and compares verdicts, commit
 * hashes and tables. Private values are not in blocks; their hashes are compared. Throws LEDGER_CHAIN_BROKEN.
 */
export async function replayChain(channelStore: ChannelStore, scratch: string): Promise<ReplayFacts> {
  return withSource(channelStore, (source) => replaySource(source, scratch));
}

/** The same of one height that a caller reads by other means. */
export async function replaySource(store: Source, scratch: string): Promise<ReplayFacts> {
  const copy = openChannelStore({ channel: store.channel, file: scratch, durable: false });
  try {
    const facts = await replayInto(copy, store);
    for (const table of ['state', 'hashes', 'history', 'transactions'] as const) compareTables(store, copy, table);
    return facts;
  } finally {
    copy.close();
  }
}

/** Judges blocks into an empty store: state, history, hashes and index out of blocks alone. Throws LEDGER_CHAIN_BROKEN. */
export async function replayInto(copy: ChannelStore, store: Blocks): Promise<ReplayFacts> {
  const facts = { blocks: 0, transactions: 0, last: new Uint8Array(0) as Uint8Array, commitHash: new Uint8Array(0) as Uint8Array };
  for await (const step of checkedBlocks(store)) {
    facts.commitHash = await replayBlock(copy, step, { store, commitHash: facts.commitHash });
    facts.blocks++;
    facts.transactions += step.data.length;
    facts.last = headerHash(step.block.header, nativeHash);
  }
  return { blocks: facts.blocks, transactions: facts.transactions, lastHash: toHex(facts.last), commitHash: toHex(facts.commitHash) };
}

async function replayBlock(copy: ChannelStore, { block, data, view, codes }: Step, { store, commitHash }: { readonly store: Blocks; readonly commitHash: Uint8Array }): Promise<Uint8Array> {
  const { number } = block.header;
  const prepared: Prepared[] = [];
  const isConfig = codes[0] === validationCode.VALID && configIn(data[0] ?? new Uint8Array(0)) !== undefined;
  if (!isConfig) prepared.push(...(await Promise.all(data.map((bytes) => prepare(bytes, { channel: store.channel, view, known: noKnownEndorsements })))));
  const definitions = new Map<string, Definition | undefined>();
  const definition = (name: string): Definition | undefined => {
    if (!definitions.has(name)) definitions.set(name, readDefinition(copy.head, name));
    return definitions.get(name);
  };
  const verdicts = isConfig ? { codes: [validationCode.VALID], batch: newBatch() } : judgeBlock(prepared, { number, view, reader: copy.head, definition, privateSet: () => undefined });
  verdicts.codes.forEach((code, index) => {
    if (code !== codes[index]) throw broken(store, number, `Transaction ${index} was marked ${codes[index] ?? 'nothing'} and is judged ${code}.`);
  });
  const next = nextCommitHash(commitHash, codes, verdicts.batch, nativeHash);
  if (!equalBytes(next, commitHashOf(block.metadata?.metadata ?? []))) throw broken(store, number, 'Its commit hash is not that of its updates.');
  const lifetimes = new Map<string, number>();
  for (const [namespace, collections] of verdicts.batch.hashes) {
    for (const collection of collections.keys()) {
      const life = definition(namespace)?.collections.get(collection)?.blockToLive ?? 0;
      if (life > 0) lifetimes.set(`${namespace}\0${collection}`, life);
    }
  }
  const txIds = isConfig ? data.map((bytes) => readEnvelope(bytes).channelHeader.txId) : prepared.map(({ txId }) => txId);
  copy.append({
    number, hash: headerHash(block.header, nativeHash), bytes: store.reader.block(number) as Uint8Array, commitHash: next, batch: verdicts.batch, lifetimes,
    transactions: number === 0 ? [] : txIds.map((txId, index) => ({ txId, code: codes[index] as number })),
  });
  if (verdicts.batch.state.has(LIFECYCLE)) definitions.clear();
  return next;
}

function compareTables(store: Source, copy: ChannelStore, table: DerivedTable): void {
  const differs = (): CodedError => new CodedError('LEDGER_STATE_DIFFERS', `The table ${table} of channel ${store.channel} is not what its blocks give.`, { next: `Restore ${store.file} from a copy.`, channel: store.channel, file: store.file, table });
  const ours = store.reader.rows(table)[Symbol.iterator]();
  const theirs = copy.head.rows(table)[Symbol.iterator]();
  for (;;) {
    const [left, right] = [ours.next(), theirs.next()];
    if (left.done === true && right.done === true) return;
    if (left.done === true || right.done === true) throw differs();
    const [a, b] = [Object.values(left.value), Object.values(right.value)];
    const same = a.length === b.length && a.every((value, index) => (value instanceof Uint8Array ? b[index] instanceof Uint8Array && equalBytes(value, b[index]) : value === b[index]));
    if (!same) throw differs();
  }
}
