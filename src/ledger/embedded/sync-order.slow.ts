/** No acknowledgement before the sync: over a thousand commits, from the system calls (docs/durability.md). */
import { rmSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { syncOrder } from './sync-order.test-kit.ts';
import { fastFolder, record, straceWorks } from './trace.test-kit.ts';

const home = fastFolder('sync-order');
afterAll(() => rmSync(home, { recursive: true, force: true }));

describe.skipIf(!straceWorks)('an embedded ledger, call by call', () => {
  it.each([
    ['one writer', { writers: 1, turns: 1_000 }, 1_000],
    ['eight writers', { writers: 8, turns: 125 }, 100],
  ])('never acknowledges what is not synced: %s', async (_, shape, blocks) => {
    const recording = await record({ home, bytes: false, shape: { ...shape, life: 'writing', checkpointPages: 1_000 } });
    const order = syncOrder(recording.operations());
    process.stdout.write(`sync order: ${order.acknowledged} acknowledgements, ${order.durableBlocks} blocks, ${order.syncs} syncs of the log\n`);
    expect(order.early).toEqual([]);
    expect(order.acknowledged).toBe(shape.writers * shape.turns);
    expect(order.durableBlocks).toBeGreaterThanOrEqual(blocks);
    rmSync(recording.root, { recursive: true, force: true });
  });
});
