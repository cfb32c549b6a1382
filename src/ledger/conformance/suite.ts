/** The conformance suite: the same cases for every engine and transport. Call it in a test file with a harness. */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { createRunner, type Harness, type Runner } from './harness.ts';
import { policyCases } from './policy-cases.ts';
import { stateCases, type Case } from './state-cases.ts';
import { transactionCases } from './transaction-cases.ts';

const chapters: readonly (readonly [string, readonly Case[]])[] = [['state', stateCases], ['transactions', transactionCases], ['policies and private data', policyCases]];

export interface OpenHarness {
  readonly harness: Harness;
  close(): Promise<void>;
}

/** Registers all cases under a name. */
export function conformance(name: string, open: () => Promise<OpenHarness>): void {
  describe(name, () => {
    let opened: OpenHarness;
    let runner: Runner;
    beforeAll(async () => {
      opened = await open();
      runner = createRunner(opened.harness);
    });
    afterAll(() => opened.close());
    for (const [chapter, cases] of chapters) {
      describe(chapter, () => {
        it.each(cases)('$rule', ({ run }) => run(runner));
      });
    }
  });
}
