/** The conformance suite: the same cases for every engine and transport. Call it in a test file with a harness. */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { accessCases } from './access-cases.ts';
import type { Case } from './case.ts';
import { conflictCases } from './conflict-cases.ts';
import { createRunner, type Abilities, type Harness, type Runner } from './harness.ts';
import { messageCases } from './message-cases.ts';
import { policyCases } from './policy-cases.ts';
import { privateCases } from './private-cases.ts';
import { stateCases } from './state-cases.ts';
import { transactionCases } from './transaction-cases.ts';

export const chapters: readonly (readonly [string, readonly Case[]])[] = [
  ['state', stateCases], ['transactions', transactionCases], ['what comes between endorsement and commit', conflictCases], ['messages', messageCases], ['access', accessCases], ['policies', policyCases], ['private data', privateCases],
];

export interface SuiteOptions {
  readonly engine?: 'embedded' | 'fabric';
  readonly abilities?: readonly (keyof Abilities)[];
}

export interface OpenHarness {
  readonly harness: Harness;
  close(): Promise<void>;
}

/** Registers all cases under a name, save those for which the network lacks an ability: they are named. */
export function conformance(name: string, open: () => Promise<OpenHarness>, { engine = 'embedded', abilities = ['revocation', 'expiry'] }: SuiteOptions = {}): void {
  const can = ({ needs }: Case): boolean => needs === undefined || abilities.includes(needs);
  for (const one of chapters.flatMap(([, cases]) => cases).filter((one) => !can(one))) process.stderr.write(`${name}: left out, because the network cannot do it (${one.needs}): ${one.rule}\n`);
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
        it.each(cases.filter(can))('$rule', ({ run, onFabric }) => (engine === 'fabric' ? (onFabric ?? run) : run)(runner));
      });
    }
  });
}
