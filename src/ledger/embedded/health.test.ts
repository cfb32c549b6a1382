/** What a ledger says of itself to whoever looks after it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withHealth } from './health.ts';
import { MIXED, mixedKeys, openMixed, type MixedLedger } from './mixed-chain.test-kit.ts';

const folder = mkdtempSync(join(tmpdir(), 'healthkeep-health-'));
let mixed: MixedLedger;
beforeAll(async () => {
  mixed = await openMixed(folder, await mixedKeys(), 1_500_000);
});
afterAll(async () => {
  await mixed.ledger.close();
  rmSync(folder, { recursive: true, force: true });
});

async function ask(path: string, method = 'GET'): Promise<{ readonly status: number; readonly retry: string | null; readonly body: unknown }> {
  const response = await withHealth(mixed.ledger.health, async () => Response.json('handed on', { status: 418 }))(new Request(`http://127.0.0.1${path}`, { method }));
  return { status: response.status, retry: response.headers.get('retry-after'), body: await response.json() };
}

describe('the health of a ledger', () => {
  it('is told per channel, and other requests are handed on', async () => {
    expect(await ask('/healthz')).toEqual({ status: 200, retry: null, body: { status: 'alive' } });
    expect(await ask('/readyz')).toEqual({ status: 200, retry: null, body: { status: 'ready', channels: [{ channel: MIXED, height: mixed.ledger.height(MIXED), ready: true }] } });
    expect(await ask('/readyz', 'POST')).toMatchObject({ status: 418 });
    expect(await ask('/v1/gateway/evaluate')).toMatchObject({ status: 418 });
  });

  it('is not ready while a channel has no room for blocks, and alive all the same', async () => {
    const fill = async (): Promise<void> => {
      for (let turn = 0; ; turn++) await mixed.client.submit(mixed.run(['putLong', `k${turn}`, 100_000]));
    };
    await expect(fill()).rejects.toMatchObject({ code: 'LEDGER_DISK_FULL' });
    const height = mixed.ledger.height(MIXED);
    expect(await ask('/readyz')).toEqual({ status: 503, retry: '5', body: { status: 'not ready', channels: [{ channel: MIXED, height, ready: false, code: 'LEDGER_DISK_FULL' }] } });
    expect(await ask('/healthz')).toMatchObject({ status: 200 });
  });
});
