import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, it } from 'vitest';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { memoryStore } from '../memory-store.test-kit.ts';
import { storeConformance } from './conformance.test-kit.ts';

const folder = mkdtempSync(join(tmpdir(), 'healthkeep-conformance-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('stores that a device may use', () => {
  for (const [at, { name, run }] of storeConformance.entries()) {
    it(`SQLite ${name}`, async () => {
      const file = join(folder, `${at}.sqlite`);
      await run({ store: openSqliteKeyValueStore(file), reopen: async () => openSqliteKeyValueStore(file) });
    });
    it(`the store in memory ${name}`, async () => {
      const store = memoryStore();
      await run({ store, reopen: async () => store });
    });
  }
});
