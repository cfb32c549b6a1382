/** Which states a power cut may leave, in the order of the recording: around every sync one by one, everywhere else by seeded chance. */
import { pickedFrom, tornAt, versionsOf, withChanges, type Disk, type Inode, type Versions } from './power-cut-disk.test-kit.ts';
import type { Operation } from './trace-reader.test-kit.ts';

/** Bytes of the two kinds of sectors that disks have; the second is also the page of the cache. */
const SECTORS = [512, 4096] as const;

export type Shape =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'everything' }
  /** All but one change, or one alone; of a file or of names. */
  | { readonly kind: 'without' | 'only'; readonly at: number }
  /** Everything, but of one write only the bytes from … to. */
  | { readonly kind: 'torn'; readonly at: number; readonly from: number; readonly to: number }
  | { readonly kind: 'random'; readonly seed: number };

/** A cut before operation `cut`, and what survives it. */
export interface State {
  readonly cut: number;
  readonly shape: Shape;
}

/** Every single change lost, alone, or torn at every sector, in the file or folder that is about to be synced. */
function aroundSync(disk: Disk, path: string): Shape[] {
  const shapes: Shape[] = [];
  for (const change of disk.pendingNames) if (change.folder === path) shapes.push({ kind: 'without', at: change.at }, { kind: 'only', at: change.at });
  for (const change of disk.names.get(path)?.pending ?? []) {
    shapes.push({ kind: 'without', at: change.at }, { kind: 'only', at: change.at });
    if (change.kind !== 'write') continue;
    const [start, end] = [change.offset, change.offset + change.bytes.length];
    for (const sector of SECTORS) {
      for (let edge = (Math.floor(start / sector) + 1) * sector; edge < end; edge += sector) shapes.push({ kind: 'torn', at: change.at, from: start, to: edge }, { kind: 'torn', at: change.at, from: edge, to: end });
    }
  }
  return shapes;
}

const changes = (operation: Operation): boolean => operation.kind !== 'say' && operation.kind !== 'sync' && operation.kind !== 'sync-failed';

/**
 * The states of a recording, some `count` in all: before every sync the ones of `aroundSync` (every n-th, when they would
 * be more than half of all); after every change nothing and everything of what is pending (at most a quarter); the rest
 * by chance, evenly over the changes. `disk` is moved along and stands at the state's cut while it is looked at.
 */
export function* statesOf(operations: readonly Operation[], disk: Disk, { count, seed, systematic }: { readonly count: number; readonly seed: number; readonly systematic: number }): Generator<State> {
  const total = operations.filter(changes).length;
  const rates = { around: Math.min(1, count / 2 / systematic), plain: Math.min(1, count / 8 / total) };
  const random = Math.max(0, count - systematic * rates.around - 2 * total * rates.plain) / total;
  const owed = { around: 0, plain: 0, random: 0 };
  let next = seed;
  for (const [at, operation] of operations.entries()) {
    if (operation.kind === 'sync') {
      for (const shape of aroundSync(disk, operation.path)) {
        owed.around += rates.around;
        if (owed.around < 1) continue;
        owed.around -= 1;
        yield { cut: at, shape };
      }
    }
    disk.apply(operation, at);
    if (!changes(operation)) continue;
    owed.plain += rates.plain;
    owed.random += random;
    for (; owed.plain >= 1; owed.plain -= 1) {
      yield { cut: at + 1, shape: { kind: 'nothing' } };
      yield { cut: at + 1, shape: { kind: 'everything' } };
    }
    for (; owed.random >= 1; owed.random -= 1) yield { cut: at + 1, shape: { kind: 'random', seed: next++ } };
  }
}

/** Mulberry32: small, fast, and the same everywhere. */
export function dice(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** What lies on the disk after the cut: every file by its path. */
export interface Wreck {
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Content of the files above that have pending changes or a pending name; the others are as they were. */
  readonly touched: ReadonlySet<string>;
}

/** Versions are the same for all cuts between two changes of a file. */
const known = new WeakMap<Inode, { readonly pending: unknown; readonly byUnit: Map<number, readonly Versions[]> }>();

function versionsKnown(inode: Inode, unit: number): readonly Versions[] {
  let entry = known.get(inode);
  if (entry?.pending !== inode.pending) known.set(inode, (entry = { pending: inode.pending, byUnit: new Map() }));
  let versions = entry?.byUnit.get(unit);
  if (versions === undefined) entry?.byUnit.set(unit, (versions = versionsOf(inode, unit)));
  return versions as readonly Versions[];
}

function contentOf(inode: Inode, shape: Exclude<Shape, { kind: 'random' }>): Uint8Array {
  if (inode.pending.length === 0) return inode.data;
  if (shape.kind === 'nothing') return inode.data;
  if (shape.kind === 'everything') return withChanges(inode, () => true);
  const here = inode.pending.some((change) => change.at === shape.at);
  if (shape.kind === 'torn') return here ? tornAt(inode, shape.at, [shape.from, shape.to]) : withChanges(inode, () => true);
  return withChanges(inode, (change) => (change.at === shape.at) === (shape.kind === 'only'));
}

/** The files that are there after a cut of this shape. */
export function wreckOf(disk: Disk, shape: Shape): Wreck {
  if (shape.kind === 'random') return randomWreck(disk, shape.seed);
  const names = disk.namesAfter(({ at }) => shape.kind === 'everything' || shape.kind === 'torn' || (shape.kind === 'only' && shape.at === at) || (shape.kind === 'without' && shape.at !== at));
  return wreck(disk, names, (inode) => contentOf(inode, shape));
}

function wreck(disk: Disk, names: ReadonlyMap<string, Inode>, content: (inode: Inode) => Uint8Array): Wreck {
  const files = new Map<string, Uint8Array>();
  const touched = new Set(disk.pendingNames.flatMap(({ path, gone }) => (gone === undefined ? [path] : [path, gone])));
  for (const [path, inode] of names) {
    if (inode.folder) continue;
    files.set(path, content(inode));
    if (inode.pending.length > 0) touched.add(path);
  }
  return { files, touched };
}

/** Most, half, or few of the changes survive, by whole writes, by sectors or by pages; what grew without data holds zeros or old bytes. */
function randomWreck(disk: Disk, seed: number): Wreck {
  const roll = dice(seed);
  const rate = [0.03, 0.3, 0.5, 0.7, 0.97][Math.floor(roll() * 5)] as number;
  const names = disk.namesAfter(() => roll() < rate);
  return wreck(disk, names, (inode) => {
    if (inode.pending.length === 0) return inode.data;
    const unit = [0, ...SECTORS][Math.floor(roll() * 3)] as number;
    if (unit === 0) return withChanges(inode, () => roll() < rate);
    const old = roll() < 0.5 ? { stale: disk.stale } : {};
    return pickedFrom(versionsKnown(inode, unit), { pick: (count) => (roll() < rate ? count - 1 : Math.floor(roll() * count)), ...old });
  });
}

/** How many states `aroundSync` gives in all. */
export function countSystematic(operations: readonly Operation[], disk: Disk): number {
  let count = 0;
  for (const [at, operation] of operations.entries()) {
    if (operation.kind === 'sync') count += aroundSync(disk, operation.path).length;
    disk.apply(operation, at);
  }
  return count;
}
