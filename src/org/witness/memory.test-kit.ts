/** What a witness signed before, kept in memory, for tests. */
import { silentLog, type KeyValueStore, type Log } from '#base/ports.ts';
import type { Member } from '#model/con.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { createMemory, type Memory } from './exchange.ts';

export function testMemory(options: { readonly store?: KeyValueStore; readonly log?: Log; readonly members?: readonly Member[] } = {}): Memory {
  const { store = openSqliteKeyValueStore(':memory:'), log = silentLog, members = [] } = options;
  return createMemory({ deps: { store, log }, consortium: { members: () => members } });
}
