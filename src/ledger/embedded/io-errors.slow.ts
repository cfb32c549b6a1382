/** Disks that fail at the n-th call (docs/durability.md): a sample of the calls; HEALTHKEEP_EVERY_CALL=1 takes each. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { countCalls, liveWithFault, liveWithLimit, type Fault } from './io-errors.test-kit.ts';
import { referenceOf, survey } from './power-cut-check.test-kit.ts';
import { fastFolder, record, straceWorks } from './trace.test-kit.ts';

const every = process.env['HEALTHKEEP_EVERY_CALL'] === '1';
/** Lives of one call and error in the sample. */
const SAMPLE = 5;

describe.skipIf(!straceWorks)('an embedded ledger whose disk fails', () => {
  let counts: ReadonlyMap<string, number>;
  beforeAll(async () => {
    counts = await countCalls();
  });

  it.each([
    ['fsync', 'EIO'], ['fsync', 'ENOSPC'], ['pwrite64', 'EIO'], ['pwrite64', 'ENOSPC'], ['openat', 'EIO'], ['ftruncate', 'EIO'], ['rename', 'EIO'], ['write', 'ENOSPC'],
  ] as const)('stops or refuses with a code, loses nothing and starts again: %s %s', async (call, error) => {
    const calls = counts.get(call) ?? 0;
    expect(calls).toBeGreaterThan(0);
    const step = every ? 1 : Math.max(1, calls / SAMPLE);
    const wrong: string[] = [];
    const ends = new Set<string>();
    let lives = 0;
    for (let at = step; at <= calls; at += step) {
      const outcome = await liveWithFault({ call, error, when: Math.floor(at) } satisfies Fault);
      lives++;
      ends.add(outcome.ended);
      if (outcome.wrong !== undefined) wrong.push(`${call} ${Math.floor(at)}: ${outcome.wrong}`);
    }
    process.stdout.write(`disk errors: ${lives} of ${calls} calls of ${call} answered with ${error}: ${wrong.length} wrong; ${[...ends].join(', ')}\n`);
    expect(wrong).toEqual([]);
  });

  it('and when its writes are cut short', async () => {
    const wrong: string[] = [];
    const ends = new Set<string>();
    let lives = 0;
    // Most blocks of 512 bytes do not end where a page or a frame of the log ends.
    for (let blocks = 3; blocks < 480; blocks += every ? 1 : 61) {
      const outcome = await liveWithLimit(blocks);
      lives++;
      ends.add(outcome.ended);
      if (outcome.wrong !== undefined) wrong.push(`${blocks} blocks: ${outcome.wrong}`);
    }
    process.stdout.write(`disk errors: ${lives} lives with writes cut short: ${wrong.length} wrong; ${[...ends].join(', ')}\n`);
    expect(wrong).toEqual([]);
    expect(ends.size).toBeGreaterThan(1);
  });

  it.each([40, 60, 85])('and forgets what a failed sync left in the cache before it goes on: sync %i', async (when) => {
    const home = fastFolder('failed-sync');
    try {
      const recording = await record({ home, shape: { turns: 2 }, options: ['-e', `inject=fsync:error=EIO:when=${when}`] });
      const operations = recording.operations();
      expect(operations.filter((operation) => operation.kind === 'sync-failed').length).toBeGreaterThan(0);
      const looking = { plan: recording.plan, root: recording.root, scratch: join(home, 'scratch') };
      const { reference, violations } = await referenceOf(operations, looking);
      const surveyed = await survey(operations, { ...looking, reference, count: 200, seed: 3, part: 0, parts: 1, wholeEvery: 50 });
      expect([...violations, ...surveyed.violations]).toEqual([]);
    } finally {
      rmSync(home, { recursive: true, force: true });
    }
  });
});
