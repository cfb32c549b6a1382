/**
 * A disk with a volatile cache, fed with recorded operations: what is durable, what is pending, and what a power cut may
 * leave. What POSIX promises and no more: a sync makes a file's bytes and size durable, a folder's sync the names in it;
 * before, any subset of sectors, sizes and names may have reached the disk, in any order. Sectors are written whole
 * (SQLite counts on that, https://www.sqlite.org/psow.html): one shows one of the versions that it had in the cache.
 */
import { dirname } from 'node:path';
import type { Operation } from './trace-reader.test-kit.ts';

/** A change of a file that no sync covers yet. `at`: index of its operation. */
export type Pending = { readonly at: number; readonly kind: 'write'; readonly offset: number; readonly bytes: Uint8Array } | { readonly at: number; readonly kind: 'truncate'; readonly size: number };

export interface Inode {
  readonly folder: boolean;
  /** The name that it was made with. */
  readonly path: string;
  /** What is on the disk for certain. */
  data: Uint8Array;
  pending: readonly Pending[];
  /** What processes read, as long as the power is on. */
  cache: Uint8Array;
}

/** A change of names that no sync of its folder covers yet. */
export interface NameChange {
  readonly at: number;
  readonly folder: string;
  readonly path: string;
  /** Absent: the name goes. */
  readonly inode?: Inode;
  /** Of a rename: the name that goes with it, in one step. */
  readonly gone?: string;
}

export interface Disk {
  readonly names: ReadonlyMap<string, Inode>;
  readonly pendingNames: readonly NameChange[];
  /** What lies in space that a file grows into: the newest log that was deleted. Frames of an earlier life are the worst that could. */
  readonly stale: Uint8Array;
  apply(operation: Operation, at: number): void;
  /** What is there after a cut, when `survives` says which changes of names reached the disk. Files whose folder is lost are lost. */
  namesAfter(survives: (change: NameChange) => boolean): Map<string, Inode>;
}

export function createDisk(): Disk {
  const names = new Map<string, Inode>();
  const durable = new Map<string, Inode>();
  let pendingNames: NameChange[] = [];
  let stale = new Uint8Array(65_536).fill(0xa5);
  const change = (at: number, rest: Omit<NameChange, 'at' | 'folder'>): void => void pendingNames.push({ at, folder: dirname(rest.path), ...rest });
  const fileAt = (path: string): Inode => {
    const inode = names.get(path);
    if (inode === undefined) throw new Error(`the trace changes ${path}, which was never made`);
    return inode;
  };
  const sync = (path: string, begun: number): void => {
    for (const one of pendingNames) if (one.folder === path && one.at < begun) rename(durable, one);
    pendingNames = pendingNames.filter((one) => one.folder !== path || one.at >= begun);
    const inode = names.get(path);
    if (inode === undefined || inode.folder) return;
    inode.data = withChanges(inode, (one) => one.at < begun);
    inode.pending = inode.pending.filter((one) => one.at >= begun);
  };
  // What Linux does: pages that could not be written count as clean, stay readable, and are not tried again (fsync(2), "EIO").
  const drop = (path: string, begun: number): void => {
    const inode = names.get(path);
    if (inode !== undefined) inode.pending = inode.pending.filter((one) => one.at >= begun);
  };
  const note = (path: string, change: Pending): void => {
    const inode = fileAt(path);
    inode.pending = [...inode.pending, change];
    inode.cache = changed(inode.cache, change);
  };
  return {
    names,
    get pendingNames() {
      return pendingNames;
    },
    get stale() {
      return stale;
    },
    apply: (operation, at) => {
      if (operation.kind === 'say') return;
      if (operation.kind === 'sync') return sync(operation.path, operation.begun);
      if (operation.kind === 'sync-failed') return drop(operation.path, operation.begun);
      if (operation.kind === 'write') note(operation.path, { at, kind: 'write', offset: operation.offset, bytes: operation.bytes });
      else if (operation.kind === 'truncate') note(operation.path, { at, kind: 'truncate', size: operation.size });
      else if (operation.kind === 'create') {
        const inode: Inode = { folder: operation.folder, path: operation.path, data: new Uint8Array(0), pending: [], cache: new Uint8Array(0) };
        names.set(operation.path, inode);
        change(at, { path: operation.path, inode });
      } else if (operation.kind === 'unlink') {
        if (operation.path.endsWith('-wal')) stale = Uint8Array.from(fileAt(operation.path).cache);
        names.delete(operation.path);
        change(at, { path: operation.path });
      } else {
        const inode = fileAt(operation.path);
        names.delete(operation.path);
        names.set(operation.to, inode);
        change(at, { path: operation.to, inode, gone: operation.path });
      }
    },
    namesAfter: (survives) => {
      const after = new Map(durable);
      for (const one of pendingNames) if (survives(one)) rename(after, one);
      const roots = new Set([...names.values(), ...after.values()].filter((inode) => inode.folder).map((inode) => inode.path));
      const reachable = (path: string): boolean => {
        for (let folder = dirname(path); folder !== dirname(folder); folder = dirname(folder)) if (roots.has(folder) && after.get(folder) === undefined) return false;
        return true;
      };
      return new Map([...after].filter(([path]) => reachable(path)));
    },
  };
}

function rename(map: Map<string, Inode>, { path, inode, gone }: NameChange): void {
  if (gone !== undefined) map.delete(gone);
  if (inode === undefined) map.delete(path);
  else map.set(path, inode);
}

const endOf = (change: Pending): number => (change.kind === 'write' ? change.offset + change.bytes.length : change.size);

/** In place where it can be: nobody else has the bytes. */
function changed(cache: Uint8Array, change: Pending): Uint8Array {
  const end = endOf(change);
  if (change.kind === 'truncate' && end <= cache.length) return cache.slice(0, end);
  let out = cache;
  if (end > cache.length) {
    const room = cache.byteOffset === 0 && cache.buffer.byteLength >= end ? cache.buffer : new ArrayBuffer(Math.max(65_536, end * 2));
    out = new Uint8Array(room, 0, end);
    if (room !== cache.buffer) out.set(cache);
  }
  if (change.kind === 'write') out.set(change.bytes, change.offset);
  return out;
}

/**
 * The file with those of its pending changes that survive, whole and in order. A file system cuts a file in one step of
 * its journal and gives what comes after other blocks: where a cut did not survive, what was written after it is not seen.
 */
export function withChanges({ data, pending }: Inode, survives: (change: Pending) => boolean): Uint8Array {
  const lostCut = pending.find((one) => one.kind === 'truncate' && one.size < data.length && !survives(one));
  const surviving = pending.filter((one) => survives(one) && (lostCut === undefined || one.at < lostCut.at));
  const longest = surviving.reduce((most, one) => Math.max(most, endOf(one)), data.length);
  const out = new Uint8Array(longest);
  out.set(data);
  let size = data.length;
  for (const one of surviving) {
    if (one.kind === 'write') out.set(one.bytes, one.offset);
    else out.fill(0, one.size);
    size = one.kind === 'write' ? Math.max(size, endOf(one)) : one.size;
  }
  return out.subarray(0, size);
}

/** The file with all pending changes, of one of which only the sectors `from` to `to` (of the disk, not of the write) survive. */
export function tornAt(inode: Inode, at: number, [from, to]: readonly [number, number]): Uint8Array {
  const whole = withChanges(inode, () => true);
  const without = withChanges(inode, (one) => one.at !== at);
  const change = inode.pending.find((one) => one.at === at);
  if (change?.kind !== 'write') return without;
  const out = new Uint8Array(whole.length);
  out.set(without.subarray(0, whole.length));
  const [start, end] = [Math.max(from, change.offset), Math.min(to, endOf(change))];
  if (end > start) out.set(whole.subarray(start, end), start);
  return out;
}

/** Every version that each unit (sector or page of the cache) of a file has had since it was last durable or cut, oldest first, and every size. */
export interface Versions {
  readonly unit: number;
  /** What was there before the first of them. */
  readonly base: Uint8Array;
  readonly units: ReadonlyMap<number, readonly Uint8Array[]>;
  readonly sizes: readonly number[];
}

/** One for each time that the file was cut, and one for before. */
export function versionsOf({ data, pending }: Inode, unit: number): readonly Versions[] {
  const rounds: Pending[][] = [[]];
  const bases = [data];
  for (const one of pending) {
    const [last, base] = [rounds.at(-1) as Pending[], bases.at(-1) as Uint8Array];
    if (one.kind === 'write') last.push(one);
    else {
      bases.push(withChanges({ folder: false, path: '', cache: base, data: base, pending: last }, () => true).slice(0, one.size));
      rounds.push([]);
    }
  }
  return rounds.map((round, index) => versionsSince(bases[index] as Uint8Array, round, unit));
}

function versionsSince(base: Uint8Array, writes: readonly Pending[], unit: number): Versions {
  const longest = writes.reduce((most, one) => Math.max(most, endOf(one)), base.length);
  const now = new Uint8Array(Math.ceil(longest / unit) * unit);
  now.set(base);
  const units = new Map<number, Uint8Array[]>();
  const sizes = [base.length];
  for (const one of writes) {
    if (one.kind !== 'write') continue;
    const [first, last] = [Math.floor(one.offset / unit), Math.ceil(endOf(one) / unit)];
    for (let index = first; index < last; index++) if (!units.has(index)) units.set(index, [now.slice(index * unit, (index + 1) * unit)]);
    now.set(one.bytes, one.offset);
    for (let index = first; index < last; index++) (units.get(index) as Uint8Array[]).push(now.slice(index * unit, (index + 1) * unit));
    sizes.push(Math.max(sizes.at(-1) as number, endOf(one)));
  }
  return { unit, base, units, sizes };
}

/** The file as `pick` chooses among versions and sizes. `stale`: what lies where the file grew and no data came; absent: zeros. */
export function pickedFrom(rounds: readonly Versions[], { pick, stale }: { readonly pick: (count: number) => number; readonly stale?: Uint8Array }): Uint8Array {
  const { unit, base, units, sizes } = rounds[pick(rounds.length)] as Versions;
  const size = sizes[pick(sizes.length)] as number;
  const out = new Uint8Array(size);
  if (stale !== undefined) out.set(stale.subarray(0, size));
  out.set(base.subarray(0, size));
  for (const [index, versions] of units) {
    const at = index * unit;
    const choice = pick(versions.length);
    // The oldest version of what was beyond the end is no version at all: what lies there is what the disk has.
    if (at >= size || (choice === 0 && at >= base.length)) continue;
    out.set((versions[choice] as Uint8Array).subarray(0, size - at), at);
  }
  return out;
}
