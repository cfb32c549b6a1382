/**
 * Moving a channel's state from one ledger to another: the same transactions on every kind of channel. The source is
 * frozen by those who run peers on it; the target takes the state in chunks, in key order, and is live once every one of
 * them has found the same root by its own reading. docs/moving.md.
 */
import { z } from 'zod';
import { ChannelName, Digest, OrgId } from './ids.ts';

/** The form of keys and values that the contracts write. It changes when a version of the contracts could not read what the last one wrote. */
export const STATE_FORMAT = 1;

export const STATE_PAGE_MAX = 1_000;

const bytesText = z.string().regex(/^[A-Za-z0-9_-]*$/);

/** One key as it stands: value and policy are base64url; an empty policy is none. */
export const StateRow = z.strictObject({ key: z.string().min(1).max(4_000), value: bytesText.min(2), policy: bytesText }).readonly();
export type StateRow = z.infer<typeof StateRow>;

/** Where a state comes from, as its members saw it last. */
export const MoveSource = z
  .strictObject({
    channel: ChannelName,
    /** Blocks up to and including the one that froze the channel. */
    height: z.int().min(1),
    /** Hash of the last of them. */
    blockHash: Digest,
    /** The last checkpoint of the channel, signed by those who run peers on it; old proofs are held against it. */
    checkpoint: z.string().max(100_000),
  })
  .readonly();
export type MoveSource = z.infer<typeof MoveSource>;

export const moveInputs = {
  /** A page of everything the contract has written, beginning at a key. */
  readState: z.strictObject({ from: z.string().max(4_001), pageSize: z.int().min(1).max(STATE_PAGE_MAX) }).readonly(),
  getMove: z.strictObject({}).readonly(),
  /** A voice for freezing the channel, or for thawing it. */
  freezeChannel: z.strictObject({ freeze: z.boolean() }).readonly(),
  beginImport: z.strictObject({ source: MoveSource, root: Digest, keys: z.int().min(0), format: z.int() }).readonly(),
  /** Chunks are numbered from 1; rows go on in key order from the last one of the chunk before. */
  importChunk: z.strictObject({ number: z.int().min(1), rows: z.array(StateRow).min(1).max(STATE_PAGE_MAX).readonly() }).readonly(),
  /** `root`: what the caller's organisation computed from the state it read. */
  sealImport: z.strictObject({ root: Digest }).readonly(),
} as const;

export const ImportState = z
  .strictObject({
    source: MoveSource,
    /** Of the source's state, as it was announced. */
    root: Digest,
    keys: z.int(),
    /** Number of the next chunk. */
    next: z.int(),
    lastKey: z.string(),
    /** Root and count of what has come so far. */
    running: Digest,
    count: z.int(),
    sealedBy: z.array(OrgId).readonly(),
    sealed: z.boolean(),
  })
  .readonly();
export type ImportState = z.infer<typeof ImportState>;

export const FreezeState = z.strictObject({ freeze: z.array(OrgId).readonly(), thaw: z.array(OrgId).readonly(), frozen: z.boolean() }).readonly();
export type FreezeState = z.infer<typeof FreezeState>;

/** Absent on a channel that was neither moved here nor is about to leave. */
export const MoveState = z.strictObject({ import: ImportState.nullable(), freeze: FreezeState.nullable() }).readonly();
export type MoveState = z.infer<typeof MoveState>;

/** `next`: the key to go on from; empty after the last page. */
export const StatePage = z.strictObject({ rows: z.array(StateRow).readonly(), next: z.string() }).readonly();
export const MoveAnswer = z.strictObject({ format: z.int(), move: MoveState }).readonly();

export const moveOutputs = {
  readState: StatePage,
  getMove: MoveAnswer,
  freezeChannel: FreezeState,
  beginImport: ImportState,
  importChunk: ImportState,
  sealImport: ImportState,
} as const;

export const moveEvents = {
  freezeChannel: 'channel-freeze-voted',
  beginImport: 'import-begun',
  importChunk: 'state-imported',
  sealImport: 'import-sealed',
} as const;

export const NOT_MOVED: MoveState = { import: null, freeze: null };
