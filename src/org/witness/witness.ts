/**
 * A member's own view of a channel it takes part in (docs/protocol.md section 7): it follows the blocks, checks that each
 * hangs on the last, appends every public write of every valid transaction to a Merkle tree, and signs what it saw.
 */
import type { LeafProof } from '#api/endpoints.ts';
import { equalBytes, fromUtf8, toBase64url, toHex, type Bytes } from '#base/bytes.ts';
import { assert, CodedError, isCoded } from '#base/errors.ts';
import type { Clock, Log, Scheduler } from '#base/ports.ts';
import { parseCheckpoint, signNote, writeCheckpoint, type Checkpoint } from '#crypto/checkpoint.ts';
import { compositeKey } from '#contracts/keys.ts';
import { sha256 } from '#crypto/digest.ts';
import type { Beginning } from '#crypto/growth.ts';
import { appendLeaf, consistencyPath, encodeLeaf, inclusionPath, leafHash, rootAt, type MerkleNodes } from '#crypto/merkle.ts';
import { dataHash, readBlock, type BlockFacts } from '#ledger/block.ts';
import type { BlockEvent, LedgerClient } from '#ledger/client.ts';
import { Block } from '#ledger/protos/common.ts';
import { TimeFloorState } from '#model/hdc.ts';
import { Digest, milliseconds, type ChannelName } from '#model/ids.ts';
import { CON, contractOf } from '#model/orgs.ts';
import type { TreeHead, TreeLeaf, TreeNode, TreeStore } from '#store/tree-store.ts';
import { codeOf } from '../consortium.ts';
import type { OrgIdentity } from '../types.ts';
import type { Heads } from './heads.ts';

/** A state's place in the tree. `size` asks for the tree as it was with so many leaves. */
export interface LeafQuery {
  readonly namespace: string;
  readonly key: string;
  readonly size?: number;
}

export interface Witness {
  readonly channel: ChannelName;
  /** Begins to follow; resolves at once. */
  start(): Promise<void>;
  close(): Promise<void>;
  /** Resolves when the block is in the tree. Throws WITNESS_BEHIND after 10 s. */
  caughtUp(block: number): Promise<void>;
  /** Leaves. */
  size(): number;
  /** Blocks. */
  height(): number;
  /** False once a block did not hang on the last: following stopped, a person must look. */
  sound(): boolean;
  /** The last write of a key; undefined when there is none. */
  lastWrite(query: LeafQuery): TreeLeaf | undefined;
  /** Every key under a prefix that was ever written; for kinds of state with few keys. */
  keysUnder(where: { readonly namespace: string; readonly prefix: string }): readonly string[];
  /** The last write of a key with its path and this member's checkpoint, whose signature is this member's only. Throws LEAF_UNKNOWN. */
  proofOf(query: LeafQuery): Promise<LeafProof>;
  /** The tree as it stands, signed by this member's peer. Throws WITNESS_BEHIND while the tree is empty, CHECKPOINT_FORKED when it did not grow out of what this member signed before. */
  checkpoint(): Promise<string>;
  /** The tree as it stood after so many blocks, signed; undefined when this member has not got so far. */
  checkpointAt(height: number): Promise<string | undefined>;
  /** The note with this member's signature, when it agrees with the own tree. Throws WITNESS_BEHIND, CHECKPOINT_FORKED, TIME_FLOOR_AHEAD. */
  cosign(note: string): Promise<string>;
  /** Is the checkpoint one of the own tree? `unknown` while the tree has not got so far. */
  agrees(checkpoint: Checkpoint): 'yes' | 'no' | 'unknown';
  /** How the own tree of `to` leaves began at `from` leaves. Throws TREE_RANGE. */
  beginning(from: number, to: number): Beginning;
  /** Puts the present checkpoint on CON under this member's name; null when CON has that size already. */
  putOnCon(): Promise<PinnedCheckpoint | null>;
}

export interface PinnedCheckpoint {
  readonly size: number;
  readonly txId: string;
  readonly blockNumber: number;
}

export interface WitnessOptions {
  readonly channel: ChannelName;
  readonly ledger: LedgerClient;
  readonly identity: OrgIdentity;
  readonly store: TreeStore;
  /** What this member signed before: nothing is signed that did not grow out of it. */
  readonly heads: Heads;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly log: Log;
}

/** A channel's time may run ahead of a member's clock by as much as the clocks of members differ at most. */
const AHEAD_MS_MAX = 300_000;
const RETRY_MS = 1_000;
const CAUGHT_UP_MS = 10_000;

export function createWitness(options: WitnessOptions): Witness {
  const { channel, store, scheduler, log } = options;
  const stopped = new AbortController();
  const waiting = new Set<() => void>();
  let following: Promise<void> = Promise.resolve();
  let sound = true;
  let pinned = 0;

  const head = (): TreeHead | undefined => store.head(channel);
  const height = (): number => (head()?.block ?? -1) + 1;
  const size = (): number => head()?.size ?? 0;

  let seen = 0;
  const take = (event: BlockEvent): void => {
    const block = soundBlock(event);
    if (block.number < height()) {
      // A ledger that was put back to an older state and went on tells another history than the one signed here.
      if (!equalBytes(block.headerHash, (store.headAt(channel, block.number) as TreeHead).blockHash)) throw new CodedError('BLOCK_CHAIN_BROKEN', 'A block is not the one this member saw before.', { channel, block: block.number });
      return;
    }
    store.append(channel, growthOf(options, head(), block));
    seen = block.number + 1;
    for (const wake of waiting) wake();
  };
  const follow = async (): Promise<void> => {
    while (!stopped.signal.aborted && sound) {
      try {
        for await (const event of options.ledger.blocks({ channel, startBlock: Math.max(0, height() - 1), signer: options.identity.peer, signal: stopped.signal })) take(event);
      } catch (error) {
        if (stopped.signal.aborted) return;
        sound = !(error instanceof CodedError && error.code === 'BLOCK_CHAIN_BROKEN');
        log(sound ? 'warn' : 'error', 'witness.interrupted', { channel, height: seen, code: codeOf(error) });
      }
      await scheduler.sleep(RETRY_MS, stopped.signal);
    }
  };

  return {
    channel,
    async start() {
      following = follow();
    },
    async close() {
      stopped.abort();
      for (const wake of waiting) wake();
      await following;
    },
    async caughtUp(block) {
      if (height() > block) return;
      const expired = new AbortController();
      await new Promise<void>((resolve) => {
        const check = (): void => {
          if (height() > block || stopped.signal.aborted || expired.signal.aborted) resolve();
        };
        waiting.add(check);
        void scheduler.sleep(CAUGHT_UP_MS, expired.signal).then(() => (expired.abort(), check()));
        void Promise.resolve().then(check);
        expired.signal.addEventListener('abort', () => waiting.delete(check), { once: true });
      }).finally(() => expired.abort());
      if (height() <= block) throw behind({ channel, height: height() });
    },
    size,
    height,
    sound: () => sound,
    lastWrite: (query) => lastWrite(options, query)?.leaf,
    keysUnder: (where) => store.keysUnder(channel, where),
    async proofOf(query) {
      const found = lastWrite(options, query);
      if (found === undefined) throw new CodedError('LEAF_UNKNOWN', 'The channel tree holds no write of this key.', { channel });
      const checkpoint = await signedCheckpoint(options, head());
      return leafProof(options, found, checkpoint);
    },
    checkpoint: () => signedCheckpoint(options, head()),
    async checkpointAt(height) {
      const then = store.headAt(channel, height - 1);
      if (then === undefined || then.size === 0) return undefined;
      await signedCheckpoint(options, head());
      return signed(options, writeCheckpoint(checkpointOf(options, then)));
    },
    cosign: (note) => cosign(options, note),
    agrees: (checkpoint) => agrees(options, checkpoint),
    beginning: (from, to) => beginning(options, from, to),
    async putOnCon() {
      const at = head();
      if (at === undefined || at.size === 0 || at.size === pinned) return null;
      const result = await putOnCon(options, at);
      pinned = at.size;
      return result;
    },
  };
}

/** The block's facts, after its header was held against its transactions; numbered as the channel's members count. */
function soundBlock({ number, bytes, hangsOn }: BlockEvent): BlockFacts {
  const facts = { ...readBlock(bytes), number, ...(hangsOn === undefined ? {} : { previousHash: hangsOn }) };
  if (!equalBytes(dataHash(Block.decode(bytes).data?.data ?? [], sha256), facts.dataHash)) throw new CodedError('BLOCK_CHAIN_BROKEN', 'The transactions of a block are not those its header names.', { block: facts.number });
  return facts;
}

/** What a block adds to the tree. Throws BLOCK_CHAIN_BROKEN when it is not the next one or does not hang on the last. */
function growthOf(options: WitnessOptions, head: TreeHead | undefined, block: BlockFacts): { readonly head: TreeHead; readonly leaves: readonly TreeLeaf[]; readonly nodes: readonly TreeNode[] } {
  const { channel, store } = options;
  const follows = block.number === (head?.block ?? -1) + 1 && (head === undefined || equalBytes(block.previousHash, head.blockHash));
  if (!follows) throw new CodedError('BLOCK_CHAIN_BROKEN', 'A block does not hang on the one before it.', { channel, block: block.number });
  const leaves = leavesOf(block);
  const added = new Map<string, TreeNode>();
  const from = head?.size ?? 0;
  const nodes: MerkleNodes = {
    get: (level, index) => added.get(`${level}/${index}`)?.hash ?? store.node(channel, level, index),
    set: (level, index, hash) => void added.set(`${level}/${index}`, { level, index, hash }),
  };
  leaves.forEach((leaf, at) => appendLeaf(nodes, from + at, leaf.hash));
  return { head: { block: block.number, blockHash: block.headerHash, size: from + leaves.length }, leaves, nodes: [...added.values()].filter((node) => node.level > 0) };
}

function leavesOf(block: BlockFacts): readonly TreeLeaf[] {
  return block.transactions.flatMap((transaction, tx) =>
    transaction.code === 'VALID'
      ? transaction.writes.map(({ namespace, key, value }) => {
          const leaf = { block: block.number, tx, namespace, key, value: value as Bytes | null };
          return { ...leaf, hash: leafHash(encodeLeaf(leaf)) };
        })
      : [],
  );
}

interface FoundLeaf {
  readonly leaf: TreeLeaf;
  readonly index: number;
  readonly size: number;
}

function lastWrite({ store, channel }: WitnessOptions, query: LeafQuery): FoundLeaf | undefined {
  const size = Math.min(query.size ?? Infinity, store.head(channel)?.size ?? 0);
  const index = store.lastWrite(channel, { namespace: query.namespace, key: query.key, size });
  const leaf = index === undefined ? undefined : store.leaf(channel, index);
  return index === undefined || leaf === undefined ? undefined : { leaf, index, size };
}

function leafProof(options: WitnessOptions, { leaf, index, size }: FoundLeaf, checkpoint: string): LeafProof {
  return {
    channel: options.channel,
    block: leaf.block,
    tx: leaf.tx,
    namespace: leaf.namespace,
    key: leaf.key,
    value: leaf.value === null ? null : toBase64url(leaf.value),
    leafIndex: index,
    size,
    path: inclusionPath(nodesOf(options), index, size).map((hash) => Digest.parse(toBase64url(hash))),
    checkpoint,
  };
}

/** The stored tree, for reading. */
function nodesOf({ store, channel }: WitnessOptions): MerkleNodes {
  return { get: (level, index) => store.node(channel, level, index), set: () => assert(false, 'a stored tree grows by blocks only') };
}

function checkpointOf(options: WitnessOptions, head: TreeHead): Checkpoint {
  return { origin: originOf(options.channel), size: head.size, root: rootAt(nodesOf(options), head.size), height: head.block + 1, blockHash: head.blockHash };
}

/** The name of a channel's tree in checkpoints. */
export const originOf = (channel: string): string => `healthkeep/${channel}`;

/** Signs the present tree, once it is sure that it grew out of what this member signed before. */
async function signedCheckpoint(options: WitnessOptions, head: TreeHead | undefined): Promise<string> {
  const { channel, heads, log } = options;
  if (head === undefined || head.size === 0) throw behind({ channel, height: 0 });
  const text = writeCheckpoint(checkpointOf(options, head));
  const last = await heads.last(originOf(channel));
  // By the block's hash too: a block can be exchanged without a trace in the leaves.
  const agreed = last === undefined ? 'yes' : agrees(options, parseCheckpoint(last));
  if (agreed === 'no') {
    log('error', 'witness.forked', { channel, height: head.block + 1, size: head.size });
    throw new CodedError('CHECKPOINT_FORKED', 'The ledger tells another history than the one this member signed.', { channel });
  }
  // After a power cut the tree follows the ledger again; until it is as long as what was signed, it signs nothing.
  if (agreed === 'unknown') throw behind({ channel, height: head.block + 1 });
  try {
    return await heads.advance(text, { beginningFrom: (from) => (from > head.size ? undefined : beginning(options, from, head.size)), sign: (note) => signed(options, note) });
  } catch (error) {
    // Another call signed a longer tree, the own one, meanwhile.
    if (isCoded(error, 'WITNESS_SIZE')) return signed(options, text);
    throw error;
  }
}

function signed({ identity }: WitnessOptions, note: string): Promise<string> {
  return signNote(note, { name: identity.org, certificate: identity.peer.certificate, sign: (message) => identity.peer.sign(message) });
}

function beginning(options: WitnessOptions, from: number, to: number): Beginning {
  if (to > (options.store.head(options.channel)?.size ?? 0)) throw new CodedError('TREE_RANGE', 'The tree has no such leaf or size.', { from, to });
  const nodes = nodesOf(options);
  return { path: consistencyPath(nodes, from, to), root: rootAt(nodes, from) };
}

function agrees(options: WitnessOptions, theirs: Checkpoint): 'yes' | 'no' | 'unknown' {
  const own = options.store.headAt(options.channel, theirs.height - 1);
  if (own === undefined) return 'unknown';
  const same = theirs.origin === originOf(options.channel) && own.size === theirs.size && equalBytes(own.blockHash, theirs.blockHash) && equalBytes(rootAt(nodesOf(options), own.size), theirs.root);
  return same ? 'yes' : 'no';
}

async function cosign(options: WitnessOptions, note: string): Promise<string> {
  const { channel, store, log } = options;
  const theirs = parseCheckpoint(note);
  const agreed = agrees(options, theirs);
  if (agreed === 'unknown') throw behind({ channel, height: (store.head(channel)?.block ?? -1) + 1 });
  if (agreed === 'no') {
    log('error', 'witness.forked', { channel, height: theirs.height, theirs: toHex(theirs.root), size: theirs.size });
    throw new CodedError('CHECKPOINT_FORKED', 'The checkpoint does not agree with this member\'s own tree.', { channel, height: theirs.height });
  }
  checkTime(options, theirs.size);
  await signedCheckpoint(options, store.head(channel));
  return signed(options, note);
}

/** A ledger whose time lies ahead would end permits before their time: a member does not vouch for it. */
function checkTime(options: WitnessOptions, size: number): void {
  const { channel, clock, log } = options;
  const value = lastWrite(options, { namespace: contractOf(channel), key: compositeKey(['time-floor']), size })?.leaf.value;
  if (value === undefined || value === null) return;
  const aheadMs = milliseconds(TimeFloorState.parse(JSON.parse(fromUtf8(value))).at) - clock.now();
  if (aheadMs <= AHEAD_MS_MAX) return;
  log('error', 'witness.time-ahead', { channel, aheadMs });
  throw new CodedError('TIME_FLOOR_AHEAD', 'The channel\'s time lies in the future of this member\'s clock.', { channel, aheadMs });
}

async function putOnCon(options: WitnessOptions, head: TreeHead): Promise<PinnedCheckpoint> {
  const { channel, ledger, identity } = options;
  const { size, root, height, blockHash } = checkpointOf(options, head);
  const note = await signedCheckpoint(options, head);
  const input = { channel, size, root: toBase64url(root), height, blockHash: toBase64url(blockHash), note };
  const { txId, blockNumber } = await ledger.submit({ channel: CON, contract: contractOf(CON), name: 'putCheckpoint', input, signer: identity.system });
  return { size, txId, blockNumber };
}

function behind(details: { readonly channel: ChannelName; readonly height: number }): CodedError {
  return new CodedError('WITNESS_BEHIND', 'This member has not seen that part of the channel yet.', details);
}
