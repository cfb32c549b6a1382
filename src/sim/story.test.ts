import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { recompute } from '#cli/recompute.ts';
import { openSqliteKeyValueStore } from '#store/sqlite-kv.ts';
import { openNetwork, type NetworkOptions } from './network.ts';
import { syntheticPlan } from './plan.ts';
import { realScheduler, rememberingLog, systemClock, systemRandom } from './seams.ts';
import { playStory, type Summary } from './story.ts';
import { createWire } from './wire.ts';

const PEOPLE = 11;

describe('the whole story in one process', () => {
  const folder = mkdtempSync(join(tmpdir(), 'healthkeep-story-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const plan = syntheticPlan({ seed: 'story-test', count: PEOPLE, visits: 1 });
  const remembered = rememberingLog();

  const play = async (): Promise<{ readonly summary: Summary; readonly traffic: readonly string[] }> => {
    const wire = createWire();
    const traffic: string[] = [];
    wire.observe((request) => void traffic.push(request.url));
    const options: NetworkOptions = {
      folder, clock: systemClock, random: systemRandom, scheduler: realScheduler, log: remembered.log, fetch: wire.fetch,
      host: async (org, handler) => {
        const url = `http://${org.toLowerCase()}.local`;
        wire.attach(url, handler);
        return url;
      },
    };
    const network = await openNetwork(options);
    const memory = openSqliteKeyValueStore(join(folder, 'story.sqlite'));
    try {
      const { summary, people } = await playStory({ network, networkOptions: options, plan, memory, say: () => undefined, recompute, indexDelay: { minMs: 0, maxMs: 30 } });
      for (const person of people) await person.open.close();
      return { summary, traffic };
    } finally {
      await memory.close();
      await network.close();
    }
  };

  it('holds every promise, and played again on the same folder changes no figure', async () => {
    const first = await play();
    expect(first.summary.checks.filter((one) => !one.held)).toEqual([]);
    expect(first.summary).toMatchObject({ people: PEOPLE, items: { bytesEqual: true } });
    expect(first.summary.resources.read).toBe(first.summary.anchored);
    expect(first.summary.invitations.refused).toBeGreaterThan(0);
    expect(first.summary.revocations).toBeGreaterThan(0);
    const again = await play();
    expect(again.summary.checks.filter((one) => !one.held)).toEqual([]);
    const { seconds: _, blocks: __, invitations: ___, transactions: ____, checks: _____, ...before } = first.summary;
    expect(again.summary).toMatchObject(before);
    const told = [...first.traffic, ...again.traffic, remembered.text()].join('\n');
    expect(plan.canaries.filter((canary) => told.includes(canary))).toEqual([]);
  }, 120_000);
});
