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
      if (operation.kind === 'write') {
        const inode = fileAt(operation.path);
        inode.pending = [...inode.pending, { at, kind: 'write', offset: operation.offset, bytes: operation.bytes }];
      } else if (operation.kind === 'truncate') {
        const inode = fileAt(operation.path);
        inode.pending = [...inode.pending, { at, kind: 'truncate', size: operation.size }];
      } else if (operation.kind === 'create') {
        const inode: Inode = { folder: operation.folder, path: operation.path, data: new Uint8Array(0), pending: [] };
        names.set(operation.path, inode);
        change(at, { path: operation.path, inode });
      } else if (operation.kind === 'unlink') {
        if (operation.path.endsWith('-wal')) stale = Uint8Array.from(withChanges(fileAt(operation.path), () => true));
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

/** The file with those of its pending changes that survive, whole and in order. */
export function withChanges({ data, pending }: Inode, survives: (change: Pending) => boolean): Uint8Array {
  const surviving = pending.filter(survives);
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

/** Every version that each unit (sector or page of the cache) of a file has had since it was last durable, oldest first, and every size. */
export interface Versions {
  readonly unit: number;
  readonly units: ReadonlyMap<number, readonly Uint8Array[]>;
  readonly sizes: readonly number[];
}

export function versionsOf({ data, pending }: Inode, unit: number): Versions {
  const longest = pending.reduce((most, one) => Math.max(most, endOf(one)), data.length);
  const now = new Uint8Array(Math.ceil(longest / unit) * unit);
  now.set(data);
  const units = new Map<number, Uint8Array[]>();
  const sizes = [data.length];
  for (const one of pending) {
    const [start, end] = one.kind === 'write' ? [one.offset, endOf(one)] : [one.size, now.length];
    const [first, last] = [Math.floor(start / unit), Math.ceil(end / unit)];
    for (let index = first; index < last; index++) if (!units.has(index)) units.set(index, [now.slice(index * unit, (index + 1) * unit)]);
    if (one.kind === 'write') now.set(one.bytes, one.offset);
    else now.fill(0, one.size);
    for (let index = first; index < last; index++) (units.get(index) as Uint8Array[]).push(now.slice(index * unit, (index + 1) * unit));
    sizes.push(one.kind === 'write' ? Math.max(sizes.at(-1) as number, end) : one.size);
  }
  return { unit, units, sizes };
}

/** The file as `pick` chooses among versions and sizes. `stale`: what lies where the file grew and no data came; absent: zeros. */
export function pickedFrom({ data }: Inode, { unit, units, sizes }: Versions, { pick, stale }: { readonly pick: (count: number) => number; readonly stale?: Uint8Array }): Uint8Array {
  const size = sizes[pick(sizes.length)] as number;
  const out = new Uint8Array(size);
  if (stale !== undefined) out.set(stale.subarray(0, size));
  if (data.length < size && stale !== undefined) out.set(data);
  else out.set(data.subarray(0, size));
  for (const [index, versions] of units) {
    const at = index * unit;
    const choice = pick(versions.length);
    // The oldest version of what was beyond the end is no version at all: what lies there is what the disk has.
    if (at >= size || (choice === 0 && at >= data.length)) continue;
    out.set((versions[choice] as Uint8Array).subarray(0, size - at), at);
  }
  return out;
}
