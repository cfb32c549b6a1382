/** Structured log lines in a file of the folder, one JSON object a line: event names, ids, codes, counts. */
import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Log, LogLevel } from '#base/ports.ts';

const ORDER: Readonly<Record<LogLevel, number>> = { error: 0, warn: 1, info: 2, debug: 3 };

/** Appends to `log.jsonl` in the folder. A log that cannot be written never stops the work. */
export function fileLog(folder: string, most: LogLevel = 'info'): Log {
  const file = join(folder, 'log.jsonl');
  try {
    mkdirSync(folder, { recursive: true });
  } catch {
    return () => undefined;
  }
  return (level, event, fields = {}) => {
    if (ORDER[level] > ORDER[most]) return;
    try {
      appendFileSync(file, `${JSON.stringify({ time: new Date(Date.now()).toISOString(), level, event, ...fields })}\n`, { mode: 0o600 });
    } catch {
      // A full disk must not turn a log line into a failure of what it speaks of.
    }
  };
}
