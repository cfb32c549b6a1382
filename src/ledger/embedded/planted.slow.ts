/** Planted bugs that show in recorded system calls, and the checks that turn red (docs/durability.md). */
import { describe, expect, it } from 'vitest';
import { acknowledgementsFollowSyncs, failedSyncsStopTheChannel, failedWritesAreNotAcknowledged, powerCutsLoseNothing, type Check } from './planted-checks.test-kit.ts';
import type { PlantedBug } from './planted.ts';
import { straceWorks } from './trace.test-kit.ts';

const found: readonly (readonly [name: string, Check, readonly PlantedBug[]])[] = [
  ['power cuts', powerCutsLoseNothing, ['no-sync', 'no-folder-sync', 'early-acknowledgement', 'state-apart', 'private-apart']],
  ['the order of syncs and answers', acknowledgementsFollowSyncs, ['no-sync', 'early-acknowledgement']],
  ['writes that fail', failedWritesAreNotAcknowledged, ['swallowed-io-error']],
  ['syncs that fail', failedSyncsStopTheChannel, ['sync-retried']],
];

describe.skipIf(!straceWorks).each(found)('%s', (_name, check, bugs) => {
  it('find nothing wrong with the ledger as it is', async () => {
    expect(await check([])).toBeUndefined();
  });

  it.each(bugs)('find %s', async (bug) => {
    expect(await check([bug])).toEqual(expect.any(String));
  });
});
