/** Was every acknowledgement preceded by the sync that made its block durable? Read from a recording, call by call. */
import type { Operation } from './trace-reader.test-kit.ts';

export interface SyncOrder {
  /** Transactions acknowledged, blocks durable, syncs of logs. */
  readonly acknowledged: number;
  readonly durableBlocks: number;
  readonly syncs: number;
  /** One per acknowledgement that came before the sync. */
  readonly early: readonly string[];
}

interface Log {
  /** Commits written: where their last page was written. */
  readonly commits: number[];
  /** A commit's frame header was seen; its page comes next. */
  open: boolean;
  /** How many of them are durable. */
  durable: number;
}

/** Frame header of a log: https://www.sqlite.org/fileformat2.html#walformat. "For commit records, the size of the database file in pages after the commit. For all other records, zero." */
const isCommit = (bytes: Uint8Array): boolean => bytes.length === 24 && new DataView(bytes.buffer, bytes.byteOffset).getUint32(4) !== 0;

/** The first commit of a channel's file makes its tables; each further one is a block. */
const blocksIn = (log: Log | undefined): number => Math.max(0, (log?.durable ?? 0) - 1);

export function syncOrder(operations: readonly Operation[]): SyncOrder {
  const logs = new Map<string, Log>();
  const early: string[] = [];
  let [acknowledged, syncs] = [0, 0];
  for (const [at, operation] of operations.entries()) {
    if (operation.kind === 'say') {
      const [word, channel = '', block = ''] = operation.line.split(' ');
      if (word !== 'committed') continue;
      acknowledged++;
      if (blocksIn(logs.get(channel)) <= Number(block)) early.push(`call ${at}: ${operation.line}, when ${blocksIn(logs.get(channel))} blocks were durable`);
      continue;
    }
    const channel = /\/([^/]+)\.sqlite-wal$/.exec(operation.path)?.[1];
    if (channel === undefined) continue;
    const log = logs.get(channel) ?? { commits: [], open: false, durable: 0 };
    logs.set(channel, log);
    if (operation.kind === 'write') {
      if (log.open) log.commits.push(at);
      log.open = isCommit(operation.bytes);
    } else if (operation.kind === 'sync') {
      syncs++;
      while ((log.commits[log.durable] ?? Number.POSITIVE_INFINITY) < operation.begun) log.durable++;
    }
  }
  return { acknowledged, syncs, early, durableBlocks: [...logs.values()].reduce((sum, log) => sum + blocksIn(log), 0) };
}
