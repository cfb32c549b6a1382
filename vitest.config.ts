import { defineConfig } from 'vitest/config';

// HEALTHKEEP_SLOW=1 (set by .ci/run) adds the tests that take minutes: kills, fuzzing, a thousand people.
const slow = process.env['HEALTHKEEP_SLOW'] === '1';
// The suite on a Fabric network that runs (docs/chaincode.md): collected only where its description is named.
const fabric = process.env['HEALTHKEEP_FABRIC_NETWORK'] === undefined ? [] : ['src/**/*.fabric.ts'];

export default defineConfig({
  test: {
    include: [...(slow ? ['src/**/*.{test,slow}.ts', 'verifier/**/*.test.ts'] : ['src/**/*.test.ts', 'verifier/**/*.test.ts']), ...fabric],
    testTimeout: slow ? 1_200_000 : 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
    // One more try in CI, where a red run loses the whole submission; a test that needed it is named in the log and is a bug.
    retry: process.env['CI'] === 'true' ? 1 : 0,
  },
});
