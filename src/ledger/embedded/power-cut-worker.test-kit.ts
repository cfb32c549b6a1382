/** One thread of a survey over power-cut states; `surveyOnThreads` starts them and adds up what they found. */
import { join } from 'node:path';
import { parentPort, Worker, workerData } from 'node:worker_threads';
import { referenceOf, survey, type Reference, type Survey } from './power-cut-check.test-kit.ts';
import type { TracePlan } from './trace-child.test-kit.ts';
import { readTrace } from './trace-reader.test-kit.ts';
import type { Recording } from './trace.test-kit.ts';

interface Task {
  readonly kind: 'power-cut';
  readonly plan: TracePlan;
  readonly root: string;
  readonly trace: string;
  readonly scratch: string;
  readonly reference: Reference;
  readonly count: number;
  readonly seed: number;
  readonly part: number;
  readonly parts: number;
  readonly wholeEvery: number;
}

export interface SurveySize {
  readonly count: number;
  readonly seed: number;
  readonly threads: number;
  readonly wholeEvery: number;
}

/** The states of a recording, `count` in all. What was wrong with the undisturbed run comes first among the violations. */
export async function surveyOnThreads(recording: Recording, { count, seed, threads, wholeEvery }: SurveySize): Promise<Survey> {
  const { plan, root, trace, home } = recording;
  const operations = recording.operations();
  const { reference, violations } = await referenceOf(operations, { plan, root, scratch: join(home, 'scratch') });
  const parts = await Promise.all(Array.from({ length: threads }, (_, part) => new Promise<Survey>((resolve, reject) => {
    const task: Task = { kind: 'power-cut', plan, root, trace, scratch: join(home, `scratch-${part}`), reference, count, seed, part, parts: threads, wholeEvery };
    const worker = new Worker(new URL('./power-cut-worker.test-kit.ts', import.meta.url), { workerData: task });
    worker.once('message', resolve);
    worker.once('error', reject);
  })));
  return { states: parts.reduce((sum, part) => sum + part.states, 0), whole: parts.reduce((sum, part) => sum + part.whole, 0), violations: [...violations, ...parts.flatMap((part) => part.violations)] };
}

const task = workerData as Task | null;
if (task?.kind === 'power-cut') {
  const { trace, ...rest } = task;
  parentPort?.postMessage(await survey(readTrace(trace, rest.root), rest));
}
